"""The pictures of docs/book/gallery.md: `python python/gallery.py`, with the package installed. They need matplotlib.

Each picture is of the last state of the command that the page has beside it, run as it stands there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import matplotlib
import numpy as np

import hypostyle
from hypostyle import space

matplotlib.use("agg")
matplotlib.rcParams.update({"font.size": 9, "figure.dpi": 110})

import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "book" / "gallery.md"
#: Bytes of a picture, at most.
BYTES_MAX = 80_000
DARK = "#10151d"


def commands() -> dict[str, tuple[Path, list[str]]]:
    """The pictures of the page and the commands beside them, by scene."""
    text = PAGE.read_text()
    found = re.findall(r"^!\[[^\]]*\]\(([^)]+)\)\n\n`hypostyle (run (\w+)[^`]*)`", text, re.MULTILINE)
    return {scene: ((PAGE.parent / path).resolve(), words.split()) for path, words, scene in found}


def draw(directory: Path, program: str = "hypostyle", instead: Mapping[str, str] = {}, only: str = "") -> None:
    """Makes all of them, or that of one scene; ``instead`` are other values for options of the commands."""
    directory.mkdir(parents=True, exist_ok=True)
    for scene, (path, words) in commands().items():
        if only not in scene:
            continue
        for option, value in instead.items():
            words[words.index(option) + 1] = value
        with tempfile.TemporaryDirectory() as place:
            state = os.path.join(place, "last")
            subprocess.run([program, *words, "--checkpoint", state], check=True, stdout=subprocess.DEVNULL)
            # a long run keeps some on its way
            last = max(Path(state).glob("*.checkpoint"))
            with hypostyle.open(last) as region, region.pin() as snapshot:
                figure = SCENES[scene](snapshot)
        save_small(figure, directory / path.name)
        plt.close(figure)


def save_small(figure: Any, path: Path) -> None:
    """As a PNG of 64 colours."""
    from PIL import Image

    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path}: {size:,} bytes", flush=True)
    if size > BYTES_MAX:
        raise SystemExit(f"{path} has {size} bytes; pictures have {BYTES_MAX} at most")


def panel(width: float = 6.0, height: float = 3.4) -> tuple[Any, Any]:
    """A dark ground with nothing on it."""
    figure = plt.figure(figsize=(width, height), facecolor=DARK)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_facecolor(DARK)
    axes.axis("off")
    return figure, axes


def columns(snapshot: hypostyle.Snapshot, component: str, *axes: str) -> list[np.ndarray]:
    """Columns over all tables."""
    return [snapshot[component].concat(axis) for axis in axes]


def speed(snapshot: hypostyle.Snapshot) -> np.ndarray:
    """How fast each moves."""
    return np.sqrt(sum(each.astype(float) ** 2 for each in columns(snapshot, "velocity", *"xyz")))


def depth(axes: Any, x: np.ndarray, y: np.ndarray, z: np.ndarray, colour: np.ndarray, size: Any, map_name: str) -> None:
    """Discs from behind to the front."""
    order = np.argsort(-z)
    size = size[order] if isinstance(size, np.ndarray) else size
    axes.scatter(x[order], y[order], c=colour[order], s=size, cmap=map_name, linewidths=0)
    axes.set_aspect("equal")


def particles(snapshot: hypostyle.Snapshot) -> Any:
    """Particles from the side, by speed."""
    moving = snapshot.select("position", "velocity")
    figure, axes = panel()
    x, y, z = columns(moving, "position", *"xyz")
    depth(axes, x, y, z, speed(moving), 1.2, "plasma")
    return figure


def spheres(snapshot: hypostyle.Snapshot) -> Any:
    """Spheres of their radius, by how fast they turn."""
    from matplotlib.collections import EllipseCollection

    figure, axes = panel(6.0, 4.2)
    x, y, z = columns(snapshot, "position", *"xyz")
    (radius,) = columns(snapshot, "radius", "value")
    shade = np.sqrt(sum(each**2 for each in columns(snapshot, "spin", *"xyz")))
    order = np.argsort(-z)
    discs = EllipseCollection(
        2 * radius[order], 2 * radius[order], np.zeros(len(order)), units="x", offsets=np.array([x, y]).T[order],
        offset_transform=axes.transData, array=np.log10(shade[order] + 1e-3), cmap="viridis", linewidths=0.3, edgecolors=DARK,
    )
    axes.add_collection(discs)
    axes.set(xlim=(x.min() - 1, x.max() + 1), ylim=(y.min() - 1, y.max() + 1), aspect="equal")
    return figure


def nbody(snapshot: hypostyle.Snapshot) -> Any:
    """A cluster of stars, by speed."""
    figure, axes = panel(6.0, 4.2)
    x, y, z = columns(snapshot, "position", *"xyz")
    depth(axes, x, y, z, speed(snapshot), 1.5, "magma")
    axes.set(xlim=(-3.5, 3.5), ylim=(-2.4, 2.4))
    return figure


def lj(snapshot: hypostyle.Snapshot) -> Any:
    """A slice of the melt, by speed."""
    figure, axes = panel(6.0, 4.2)
    side = snapshot.resources["melt"].side
    (x, y, z), _ = space.Box(side).wrap(*columns(snapshot, "position", *"xyz"))
    near = z < 2.0
    depth(axes, x[near], y[near], z[near], speed(snapshot)[near], 60.0, "coolwarm")
    return figure


def fluids(snapshot: hypostyle.Snapshot) -> Any:
    """Water and oil from the side."""
    figure, axes = panel()
    x, y, z = columns(snapshot, "position", *"xyz")
    (kind,) = columns(snapshot, "fluid", "kind")
    depth(axes, x, y, z, kind, 6.0, "coolwarm")
    return figure


def field(snapshot: hypostyle.Snapshot) -> Any:
    """Two beams of electrons: where they are, and how fast."""
    figure, axes = panel()
    (x,), (v,) = columns(snapshot, "position", "x"), columns(snapshot, "velocity", "x")
    (number,) = columns(snapshot, "global_id", "value")
    axes.scatter(x, v, c=number % 2, s=0.3, cmap="cool", linewidths=0)
    return figure


def epidemic(snapshot: hypostyle.Snapshot) -> Any:
    """People on a square, by how they are: a dot each, in the order of their ids."""
    figure, axes = panel(4.2, 4.2)
    people = snapshot.select("person")
    (number,), (state,) = columns(people, "global_id", "value"), columns(people, "person", "state")
    side = int(np.sqrt(len(number)))
    state = state[np.argsort(number)][: side * side]
    axes.imshow(state.reshape(side, side), cmap=matplotlib.colors.ListedColormap(["#2060a0", "#e05030", "#404858"]), vmin=0, vmax=2)
    return figure


SCENES: dict[str, Callable[[hypostyle.Snapshot], Any]] = {
    "particles": particles,
    "spheres": spheres,
    "nbody": nbody,
    "lj": lj,
    "fluids": fluids,
    "field": field,
    "epidemic": epidemic,
}

if __name__ == "__main__":
    draw(ROOT / "docs" / "pictures", only=sys.argv[1] if len(sys.argv) > 1 else "")
