"""The pictures and loops of docs/book/gallery.md: `python python/gallery.py`, with the package installed and matplotlib.

Each picture is of the last state of the command that the page has beside it, run as it stands there; each loop is of about
25 states on the way to it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional

import matplotlib
import numpy as np

import hypostyle
from hypostyle import space

matplotlib.use("agg")
matplotlib.rcParams.update({"font.size": 9, "figure.dpi": 110, "figure.max_open_warning": 0})

import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "book" / "gallery.md"
#: Bytes of a picture, and of a loop, at most.
BYTES_MAX = 80_000
LOOP_BYTES_MAX = 300_000
#: States of a loop, about; how long each is shown, milliseconds; how fine they are drawn, dots per inch.
STATES = 25
SHOWN_MS = 80
LOOP_DPI = 64
#: With so few colours in each image nothing needs to be lost.
FEW_COLOURS = 64
DARK = "#10151d"


def commands() -> dict[str, tuple[Path, Optional[Path], list[str]]]:
    """The pictures of the page, the loops where motion tells something, and the commands below them, by scene."""
    text = PAGE.read_text()
    image = r"!\[[^\]]*\]\(([^)]+)\)\n"
    found = re.findall(rf"^{image}(?:{image})?\n`hypostyle (run (\w+)[^`]*)`", text, re.MULTILINE)
    folder = PAGE.parent
    return {
        scene: ((folder / picture).resolve(), (folder / loop).resolve() if loop else None, words.split())
        for picture, loop, words, scene in found
    }


def draw(directory: Path, program: str = "hypostyle", instead: Mapping[str, str] = {}, only: str = "") -> None:
    """Makes all of them, or those of one scene; ``instead`` are other values for options of the commands."""
    directory.mkdir(parents=True, exist_ok=True)
    for scene, (picture, loop, words) in commands().items():
        if only not in scene:
            continue
        for option, value in instead.items():
            words[words.index(option) + 1] = value
        every = max(int(words[words.index("--frames") + 1]) // STATES, 1)
        with tempfile.TemporaryDirectory() as place:
            recorded = ["--record", f"{place}/history", "--publish-every", str(every)]
            subprocess.run([program, *words, *recorded], check=True, stdout=subprocess.DEVNULL)
            history = hypostyle.Journal(f"{place}/history")
            with history.pin() as snapshot:
                save_small(SCENES[scene](snapshot), directory / picture.name)
            if loop:
                save_loop([LOOPS.get(scene, SCENES[scene])(snapshot) for snapshot in history], directory / loop.name)
        plt.close("all")


def pixels(figure: Any) -> Any:
    """A figure as an image."""
    from PIL import Image

    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")


def save_small(figure: Any, path: Path) -> None:
    """As a PNG of 64 colours."""
    from PIL import Image

    pixels(figure).quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    check_size(path, BYTES_MAX)


def save_loop(figures: Sequence[Any], path: Path) -> None:
    """As a WebP that moves: the same limits and colours in all, as good as the bytes allow."""
    axes = [figure.axes[0] for figure in figures]
    for ends, put in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
        limits = [getattr(each, ends)() for each in axes]
        for each in axes:
            getattr(each, put)(min(min(pair) for pair in limits), max(max(pair) for pair in limits))
    painted = [each for one in axes for each in (*one.collections, *one.images)]
    for each in painted:
        each.autoscale_None()
    low, high = np.median([each.get_clim() for each in painted], axis=0)
    for each in painted:
        each.set_clim(low, high)
    for figure in figures:
        figure.set_dpi(LOOP_DPI)
    first, *others = [pixels(figure) for figure in figures]
    loop = {"save_all": True, "append_images": others, "duration": SHOWN_MS, "loop": 0}
    if all(image.getcolors(FEW_COLOURS) for image in (first, *others)):
        first.save(path, lossless=True, **loop)
    else:
        for quality in (80, 70, 60, 50, 40, 30, 20):
            first.save(path, quality=quality, **loop)
            if path.stat().st_size <= LOOP_BYTES_MAX:
                break
    check_size(path, LOOP_BYTES_MAX)


def check_size(path: Path, most: int) -> None:
    """Pages are to stay light."""
    size = path.stat().st_size
    print(f"{path}: {size:,} bytes", flush=True)
    if size > most:
        raise SystemExit(f"{path} has {size} bytes; it may have {most} at most")


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


def particles(snapshot: hypostyle.Snapshot, every: int = 1) -> Any:
    """Particles from the side, by speed; or one of so many, the same ones in each state."""
    moving = snapshot.select("position", "velocity")
    figure, axes = panel()
    kept = hypostyle.entity_index(moving["position"].concat().entities) % every == 0
    x, y, z = (each[kept] for each in columns(moving, "position", *"xyz"))
    depth(axes, x, y, z, speed(moving)[kept], 1.2 * max(every / 2, 1), "plasma")
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


def lj(snapshot: hypostyle.Snapshot, thick: float = 2.0) -> Any:
    """A slice of the melt, by speed."""
    figure, axes = panel(6.0, 4.2)
    side = snapshot.resources["melt"].side
    (x, y, z), _ = space.Box(side).wrap(*columns(snapshot, "position", *"xyz"))
    near = z < thick
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
    # so that in a loop of 100 times 100 people each has as many pixels
    figure, axes = panel(300 / LOOP_DPI, 300 / LOOP_DPI)
    people = snapshot.select("person")
    (number,), (state,) = columns(people, "global_id", "value"), columns(people, "person", "state")
    side = int(np.sqrt(len(number)))
    state = state[np.argsort(number)][: side * side]
    kinds = matplotlib.colors.ListedColormap(["#2060a0", "#e05030", "#404858"])
    axes.imshow(state.reshape(side, side), cmap=kinds, vmin=0, vmax=2, interpolation="nearest")
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

#: How states of a loop are drawn, where that is in another way than the picture.
LOOPS: dict[str, Callable[[hypostyle.Snapshot], Any]] = {
    "particles": partial(particles, every=8),
    "lj": partial(lj, thick=1.2),
}

if __name__ == "__main__":
    draw(ROOT / "docs" / "pictures", only=sys.argv[1] if len(sys.argv) > 1 else "")
