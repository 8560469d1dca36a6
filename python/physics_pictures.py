"""The pictures of docs/PHYSICS.md: `python python/physics.py pictures`. They need matplotlib; the melt's energy needs `lmp`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable

import matplotlib
import numpy as np

import hypostyle
import physics
from hypostyle import space

matplotlib.use("agg")
# text stays text, and two runs give the same bytes
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "hypostyle", "font.size": 9, "figure.dpi": 110})
matplotlib.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

import matplotlib.pyplot as plt  # noqa: E402

COLOURS = ("#2060a0", "#d07020", "#3a9050", "#808080")
#: Bytes of a picture, at most.
BYTES_MAX = 60_000


def draw(directory: Path, quick: bool = False, only: str = "") -> None:
    """Makes all of them, or those with ``only`` in their names."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, make in PICTURES.items():
        if only not in name:
            continue
        if make is melt_energy and shutil.which("lmp") is None:
            print(f"SKIPPED {name}: there is no lmp (Debian: lammps)")
            continue
        made = make(quick)
        path = directory / name
        made.tight_layout()
        if path.suffix == ".svg":
            made.savefig(path, metadata={"Date": None, "Creator": None})
        else:
            save_small(made, path)
        plt.close(made)
        size = path.stat().st_size
        print(f"{path}: {size:,} bytes", flush=True)
        if size > BYTES_MAX:
            raise SystemExit(f"{path} has {size} bytes; pictures have {BYTES_MAX} at most")


def save_small(figure: Any, path: Path) -> None:
    """As a PNG of 32 colours."""
    from PIL import Image

    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    image.quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)


def melt_energy(quick: bool) -> Any:
    """Total energy of the melt beside LAMMPS, from one state."""
    series = physics.drifts(4000, 1200 if quick else 10_000, 1)
    figure, axes = plt.subplots(figsize=(6.2, 2.8))
    labels = ("LAMMPS, as bench/in.lj", "LAMMPS, lists as needed", "hypostyle")
    for (name, runs), label, colour in zip(series.items(), labels, (COLOURS[3], COLOURS[1], COLOURS[0])):
        steps, energy = runs[0]
        axes.plot(steps, energy, color=colour, label=label, linewidth=1.2)
    axes.set(xlabel="step", ylabel="energy per atom / epsilon", title="4,000 atoms of the melt, from one state")
    axes.legend(loc="upper right")
    return figure


def radial_distribution(quick: bool) -> Any:
    """How many atoms there are around an atom, beside an even spread."""
    scene = hypostyle.Scene("lj", entities=4000 if quick else 32_000, seed=1)
    reach, bins, looks = 4.0, 200, 2 if quick else 10
    edges = np.linspace(0.0, reach, bins + 1)
    counts = np.zeros(bins)
    with scene.world() as world, scene.simulation(world, "auto", publish_every=100) as simulation:
        simulation.run(200 if quick else 1000, scene.dt)
        for _ in range(looks):
            simulation.run(100, scene.dt)
            simulation.publish()
            box = space.Box(world.resource("melt").side)
            grid = space.CellGrid(box, reach / 2)
            with simulation.pin() as snapshot:
                at = np.stack(box.wrap(*(snapshot["position"][axis] for axis in "xyz"))[0])
            at = at[:, np.argsort(grid.key(*at), kind="stable")]
            a, b = space.neighbours(grid, at, reach).pairs()
            counts += np.histogram(np.sqrt(box.distance_square(at[:, a], at[:, b])), edges)[0]
    atoms, volume = at.shape[1], box.volume
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    g = counts / (looks * atoms * (atoms / volume) * shells)
    figure, axes = plt.subplots(figsize=(6.2, 2.8))
    axes.plot((edges[1:] + edges[:-1]) / 2, g, color=COLOURS[0], linewidth=1.4)
    axes.axhline(1.0, color=COLOURS[3], linewidth=0.8)
    axes.set(xlabel="distance / sigma", ylabel="g", xlim=(0, reach), ylim=(0, None))
    axes.set_title(f"radial distribution of the melt, {atoms:,} atoms")
    return figure


def phase_space(quick: bool) -> Any:
    """Two beams of electrons until they are mixed."""
    scene = hypostyle.Scene("field", entities=4_000 if quick else 20_000, seed=1)
    figure, panels = plt.subplots(1, 4, figsize=(7.6, 2.3), sharey=True)
    with scene.world() as world, scene.simulation(world, publish_every=1000) as simulation:
        for panel, time in zip(panels, (0, 20, 25, 40)):
            simulation.run(round(time / scene.dt) - world.frame, scene.dt)
            simulation.publish()
            with simulation.pin() as snapshot:
                x, v = snapshot["position"].x.copy(), snapshot["velocity"].x.copy()
            panel.scatter(x[::2], v[::2], s=0.15, color=COLOURS[0], linewidths=0)
            panel.scatter(x[1::2], v[1::2], s=0.15, color=COLOURS[1], linewidths=0)
            panel.set(title=f"time {time}", xlabel="x", xlim=(0, x.max()), ylim=(-3, 3))
    panels[0].set_ylabel("velocity")
    return figure


def epidemic_course(quick: bool) -> Any:
    """How many are how, day by day."""
    scene = hypostyle.Scene("epidemic", entities=2_000 if quick else 100_000, seed=1)
    days = 60 if quick else 365
    with scene.world() as world, scene.simulation(world, publish_every=1000) as simulation:
        rows = [list(scene.measure(world).values())[:3]]
        for _ in range(days):
            simulation.step(scene.dt)
            rows.append(list(scene.measure(world).values())[:3])
    figure, axes = plt.subplots(figsize=(6.2, 2.8))
    for column, label, colour in zip(np.array(rows).T, ("susceptible", "infected", "recovered"), COLOURS):
        axes.plot(column / 1000, label=label, color=colour, linewidth=1.4)
    axes.set(xlabel="day", ylabel="people, thousands", xlim=(0, days), ylim=(0, None))
    axes.set_title(f"{scene.entities:,} people with 8 contacts each on the mean")
    axes.legend(loc="center right")
    return figure


def tank(quick: bool) -> Any:
    """Columns of water and oil that fall towards each other, from the side."""
    scene = hypostyle.Scene("fluids", entities=2_000 if quick else 6_000)
    figure, panels = plt.subplots(1, 3, figsize=(7.6, 2.2), sharey=True)
    with scene.world() as world, scene.simulation(world, publish_every=100_000) as simulation:
        for panel, seconds in zip(panels, (0.0, 0.02, 0.04) if quick else (0.0, 0.3, 0.8)):
            simulation.run(round(seconds / scene.dt) - world.frame, scene.dt)
            simulation.publish()
            with simulation.pin() as snapshot:
                at, kind = snapshot["position"], snapshot["fluid"].kind
                for fluid, colour in ((0, COLOURS[0]), (1, COLOURS[1])):
                    panel.scatter(at.x[kind == fluid], at.y[kind == fluid], s=1.2, color=colour, linewidths=0)
            panel.set(title=f"{seconds} s", xlabel="m", xlim=(0, 3), ylim=(0, 1.3), aspect="equal")
    panels[0].set_ylabel("m")
    return figure


def drum(quick: bool) -> Any:
    """The bed of a turning drum, from its end: spheres have the colour of the layer in which they began to turn."""
    from matplotlib.collections import EllipseCollection

    options = {"shape": "drum", "turn": 0.2, "friction": 0.6}
    scene = hypostyle.Scene("spheres", entities=400 if quick else 2_000, seed=1, **options)
    settled, seconds = 0.5 if quick else 4.0, (0.0, 0.2, 0.4) if quick else (0.0, 8.0, 30.0)
    figure, panels = plt.subplots(1, 3, figsize=(7.6, 2.5))
    with scene.world() as world, scene.simulation(world, publish_every=100_000) as simulation:
        vessel = world.resource("vessel")
        axis, wall = vessel.axis[:2], 1.03 * vessel.radius
        simulation.run(round(settled / scene.dt), scene.dt)
        first, layers = world.frame, {}
        for panel, time in zip(panels, seconds):
            simulation.run(first + round(time / scene.dt) - world.frame, scene.dt)
            simulation.publish()
            with simulation.pin() as snapshot:
                who = np.concatenate([table.entities for table in snapshot.tables if "radius" in table]).tolist()
                at, radius = snapshot["position"], snapshot["radius"].value.copy()
                x, y = at.x.copy(), at.y.copy()
            if not layers:
                bounds = np.quantile(y, (0.25, 0.5, 0.75))
                layers = dict(zip(who, np.searchsorted(bounds, y).tolist()))
            colours = [COLOURS[layers[one]] for one in who]
            circles = EllipseCollection(
                2 * radius, 2 * radius, np.zeros(len(who)), units="x", offsets=np.array([x, y]).T,
                offset_transform=panel.transData, facecolors=colours, linewidths=0,
            )
            panel.add_collection(circles)
            panel.add_patch(plt.Circle(tuple(axis), vessel.radius, fill=False, color=COLOURS[3], linewidth=1.0))
            panel.set(xlim=(axis[0] - wall, axis[0] + wall), ylim=(axis[1] - wall, axis[1] + wall))
            panel.set(title=f"{time:g} s", aspect="equal")
            panel.axis("off")
    return figure


def plummer(quick: bool) -> Any:
    """The density of a Plummer sphere, at first and after it has moved, beside the law."""
    scene = hypostyle.Scene("nbody", entities=2_000 if quick else 20_000, seed=1, theta=0.6)
    edges = np.logspace(-1.3, 1.0, 22)
    shells, middle = 4 / 3 * np.pi * np.diff(edges**3), np.sqrt(edges[1:] * edges[:-1])
    figure, axes = plt.subplots(figsize=(6.2, 2.8))
    axes.plot(middle, 3 / (4 * np.pi) * (1 + middle**2) ** -2.5, color=COLOURS[3], linewidth=1.0, label="Plummer's law")
    with scene.world() as world, scene.simulation(world, publish_every=100_000) as simulation:
        for frames, colour, marker in ((0, COLOURS[0], "o"), (20 if quick else 300, COLOURS[1], "x")):
            simulation.run(frames - world.frame, scene.dt)
            simulation.publish()
            with simulation.pin() as snapshot:
                at = np.array([snapshot["position"][axis] for axis in "xyz"])
            distance = np.sqrt((at**2).sum(axis=0))
            density = np.histogram(distance, edges)[0] / (distance.size * shells)
            label = f"time {frames * scene.dt:g}"
            axes.plot(middle, density, marker, color=colour, markersize=4, markerfacecolor="none", label=label)
    axes.set(xscale="log", yscale="log", xlabel="distance / scale radius", ylabel="density", ylim=(1e-6, 1))
    axes.set_title(f"{scene.entities:,} bodies over a tree, theta 0.6")
    axes.legend()
    return figure


PICTURES: dict[str, Callable[[bool], Any]] = {
    "physics-melt-energy.svg": melt_energy,
    "physics-melt-structure.svg": radial_distribution,
    "physics-field-phase-space.png": phase_space,
    "physics-nbody-plummer.svg": plummer,
    "physics-spheres-drum.png": drum,
    "physics-epidemic-course.svg": epidemic_course,
    "physics-fluids-tank.png": tank,
}
