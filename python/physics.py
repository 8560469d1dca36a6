"""The scenes of record from Python: beside LAMMPS, beside their twins in Rust, and as pictures for docs/PHYSICS.md.

    python python/physics.py drift [--atoms N] [--steps N] [--seeds N]     energy of the melt, beside LAMMPS (`lmp`)
    python python/physics.py field [--entities N] [--frames N] [--rounds N] the scene in numba, beside the one in Rust
    python python/physics.py pictures [DIR]                                docs/pictures

Processor times are those of this process in user mode; what is compared runs in turns. Only their ratios mean anything on a
machine that others use.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable

import numpy as np

import hypostyle

ROOT = Path(__file__).resolve().parents[1]

#: The melt of LAMMPS's bench/in.lj; lists are made anew as `neighbours` says.
LAMMPS = """
units lj
atom_style atomic
atom_modify map array
lattice fcc 0.8442
region box block 0 {cells} 0 {cells} 0 {cells}
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 1.44 {seed} loop geom
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
{neighbours}
fix 1 all nve
thermo_style custom step temp pe etotal press
thermo_modify format float %.15g
thermo {every}
write_dump all custom start.dump id x y z vx vy vz modify sort id format float %.17g
run {steps}
"""
NEIGHBOURS = {
    "LAMMPS, as bench/in.lj": "neighbor 0.3 bin\nneigh_modify delay 0 every 20 check no",
    "LAMMPS, lists made anew when an atom has moved half of the skin": "neighbor 0.4 bin\nneigh_modify delay 0 every 1 check yes",
}
OURS = "hypostyle"
#: Steps between two energies, and the first one that counts: the lattice has melted by then.
EVERY, MELTED = 100, 1000


def cells_of(atoms: int) -> int:
    cells = round((atoms / 4) ** (1 / 3))
    if 4 * cells**3 != atoms:
        raise SystemExit(f"an fcc lattice in a cube has 4 k^3 atoms: write {4 * max(cells, 4) ** 3}, not {atoms}")
    return cells


def lammps(folder: Path, cells: int, steps: int, seed: int, neighbours: str) -> tuple[Any, Any]:
    """Steps, and energies per atom after them, of LAMMPS's melt; it leaves its first state in start.dump."""
    script = folder / "in.lj"
    script.write_text(LAMMPS.format(cells=cells, seed=seed, every=EVERY, steps=steps, neighbours=neighbours))
    ran = subprocess.run(["lmp", "-in", script.name, "-log", "none"], cwd=folder, capture_output=True, text=True, check=False)
    lines = [line.split() for line in ran.stdout.splitlines()]
    heads = [number for number, words in enumerate(lines) if words[:2] == ["Step", "Temp"]]
    if ran.returncode or not heads:
        raise SystemExit(f"lmp failed: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    rows = []
    for words in lines[heads[-1] + 1 :]:
        if words[:1] == ["Loop"]:
            break
        rows.append([float(words[0]), float(words[3])])
    table = np.array(rows)
    return table[:, 0], table[:, 1]


def melt(folder: Path, steps: int) -> tuple[Any, Any]:
    """The same of the scene, from the state that LAMMPS left."""
    lines = (folder / "start.dump").read_text().splitlines()
    side = max(float(lines[5].split()[1]) - float(lines[5].split()[0]), 0.0)
    atoms = "\n".join(",".join(line.split()) for line in lines[9:])
    (folder / "start.csv").write_text(f"id,x,y,z,vx,vy,vz\n{atoms}\n")
    thermo = folder / "thermo.csv"
    scene = hypostyle.Scene("lj", input=folder / "start.csv", box=side, thermo=thermo, thermo_every=EVERY)
    scene.run(steps, "local", publish_every=EVERY)
    table = np.genfromtxt(thermo, delimiter=",", names=True)
    energy = next(name for name in table.dtype.names if name.startswith("total"))
    return table["step"], table[energy]


def drift_of(steps: Any, energy: Any) -> tuple[float, float]:
    """By how much a line through the energies rises in 10,000 steps, and how far from it they are on the mean."""
    late = steps >= MELTED
    slope, start = np.polyfit(steps[late], energy[late], 1)
    rest = energy[late] - (slope * steps[late] + start)
    return float(slope * 10_000), float(np.sqrt(np.mean(rest**2)))


def drifts(atoms: int, steps: int, seeds: int) -> dict[str, list[tuple[Any, Any]]]:
    """Energies of all programs, seed by seed, each seed from one state."""
    if shutil.which("lmp") is None:
        raise SystemExit("there is no lmp (Debian: lammps)")
    cells, series = cells_of(atoms), {name: [] for name in (*NEIGHBOURS, OURS)}  # type: dict[str, list[tuple[Any, Any]]]
    for seed in range(87287, 87287 + seeds):
        with tempfile.TemporaryDirectory() as folder:
            for name, neighbours in NEIGHBOURS.items():
                series[name].append(lammps(Path(folder), cells, steps, seed, neighbours))
            series[OURS].append(melt(Path(folder), steps))
    return series


def drift(given: argparse.Namespace) -> None:
    """Prints the drift of all programs."""
    print(f"{given.atoms} atoms, {given.steps} steps, {given.seeds} seeds; energy per atom, epsilon")
    print("| program | drift in 10,000 steps, mean of its size | each seed | scatter |\n|---|---:|---|---:|")
    for name, runs in drifts(given.atoms, given.steps, given.seeds).items():
        found = [drift_of(*run) for run in runs]
        size = np.mean([abs(slope) for slope, _ in found])
        each = ", ".join(f"{slope:+.1e}" for slope, _ in found)
        print(f"| {name} | {size:.1e} | {each} | {np.mean([rest for _, rest in found]):.1e} |", flush=True)


def example(name: str) -> Any:
    """A module of python/examples."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "python/examples" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def user_seconds(action: Callable[[], Any]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    action()
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before


def twins(entities: int, frames: int, rounds: int, workers: str = "local") -> tuple[list[float], list[float]]:
    """User seconds of the field in Rust and in Python, round by round. Both end in the same bytes."""
    field = example("field")
    scene = hypostyle.Scene("field", entities=entities, seed=1)
    with scene.world() as one, field.world(entities, seed=1) as other:
        with scene.simulation(one, workers, publish_every=frames) as rust:
            with hypostyle.Simulation(other, field.SYSTEMS, workers, publish_every=frames) as python:
                times: tuple[list[float], list[float]] = ([], [])
                # numba compiles, and memory is touched
                for simulation in (rust, python):
                    simulation.run(frames, scene.dt)
                for _ in range(rounds):
                    for simulation, took in zip((rust, python), times):
                        took.append(user_seconds(lambda simulation=simulation: simulation.run(frames, scene.dt)))  # type: ignore[misc]
                states = []
                for simulation in (rust, python):
                    with simulation.pin() as snapshot:
                        states.append(snapshot.hash())
                if states[0] != states[1]:
                    raise SystemExit(f"the states differ: {states[0]:016x} in Rust, {states[1]:016x} in Python")
    return times


def field(given: argparse.Namespace) -> None:
    """Prints the ratio of the twins."""
    print(f"field, {given.entities} electrons, {given.frames} frames a round, {given.rounds} rounds; the same bytes")
    for workers in ("local", "threads:1"):
        rust, python = twins(given.entities, given.frames, given.rounds, workers)
        per = 1e9 / given.entities / given.frames
        ratio = float(np.median([b / a for a, b in zip(rust, python)]))
        print(
            f"{workers:<10} Rust {np.median(rust) * per:6.2f} ns, Python {np.median(python) * per:6.2f} ns of user time per electron "
            f"and frame; ratio {ratio:.2f} (bar 1.5)",
            flush=True,
        )


def pictures(given: argparse.Namespace) -> None:
    """Draws them."""
    import physics_pictures

    physics_pictures.draw(given.directory, given.quick, given.only)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command, about, run, options in (
        ("drift", "energy of the melt, beside LAMMPS", drift, {"atoms": 4000, "steps": 10_000, "seeds": 3}),
        ("field", "the scene in numba, beside the one in Rust", field, {"entities": 1_000_000, "frames": 20, "rounds": 15}),
    ):
        added = commands.add_parser(command, help=about)
        added.set_defaults(run=run)
        for name, default in options.items():  # type: ignore[attr-defined]
            added.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    drawn = commands.add_parser("pictures", help="the pictures of docs/PHYSICS.md")
    drawn.add_argument("directory", nargs="?", type=Path, default=ROOT / "docs/pictures", metavar="DIR")
    drawn.add_argument("--quick", action="store_true", help="short runs, to see that everything works")
    drawn.add_argument("--only", default="", metavar="NAME", help="those whose names have it, such as melt")
    drawn.set_defaults(run=pictures)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
