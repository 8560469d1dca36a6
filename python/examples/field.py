"""The scene ``field`` in Python: electrons that make a field and move in it. Compiled with numba, it ends in the same bytes.

    python field.py [--entities N] [--frames N] [--workers WORKERS] [--seed S]

It prints what ``hypostyle run field --print-hash`` with the same numbers prints. The model is told in docs/PHYSICS.md and
in the scene's source: linear weighting of whole charges to a mesh, Gauss's law, linear weighting back, leapfrog.
"""

from __future__ import annotations

import argparse
from typing import Any

import numba
import numpy as np

import hypostyle

NODES = 128
#: Parts of an electron's charge.
CHARGE = 1 << 32
#: One wave of the fastest growth between beams of speed 1: 2 pi / sqrt(3/8).
LENGTH = 10.260_398_641_294_913
WIDTH = LENGTH / NODES
DT = 0.05

LAYOUT = """
name = "field"
bytes_max = "4 GiB"

[components.global_id]
fields = { value = "u64" }

[components.position]
fields = { x = "f64" }

[components.velocity]
fields = { x = "f64" }

[resources.mesh]
fields = { charge = "[i64; 128]" }

[resources.field]
fields = { strength = "[f64; 128]", energy = "f64", charge = "i64" }
"""

# without `fastmath` every operation is rounded as it stands, so that the bits are those of Rust


@numba.njit(inline="always")
def node_of(x: float) -> tuple[int, float]:
    """The node before a place, and how far behind it the place is, in widths of the mesh."""
    at = x / WIDTH
    node = min(int(at), NODES - 1)
    return node, min(max(at - node, 0.0), 1.0)


@numba.njit(inline="always")
def wrapped(x: float) -> float:
    """The place in the periodic space; rounding may end at the very end, which is the beginning."""
    inside = x - LENGTH * np.floor(x / LENGTH)
    return inside if inside < LENGTH else 0.0


@numba.njit
def charges(x: Any, charge: Any) -> int:
    """Adds the charge of each electron to the two nodes around it. A row that is not in the space, or -1."""
    for row in range(len(x)):
        if not 0.0 <= x[row] < LENGTH:
            return row
        node, behind = node_of(x[row])
        second = np.int64(behind * CHARGE)
        charge[node] += CHARGE - second
        charge[(node + 1) % NODES] += second
    return -1


@numba.njit
def field_of(charge: Any, strength: Any) -> tuple[float, int]:
    """The field of all charges by Gauss's law, its energy, and the sum of all charges."""
    everything = np.int64(0)
    for node in range(NODES):
        everything += charge[node]
    mean = everything / NODES
    between = np.empty(NODES)
    total, mean_field = 0.0, 0.0
    for node in range(NODES):
        # electrons are negative, ions are their mean
        total += WIDTH * (1.0 - charge[node] / mean) if mean > 0.0 else 0.0
        between[node] = total
        mean_field += total / NODES
    energy = 0.0
    for node in range(NODES):
        strength[node] = 0.5 * (between[node - 1] - mean_field + between[node] - mean_field)
        energy += 0.5 * strength[node] * strength[node] * WIDTH
    return energy, everything


@numba.njit
def leap(x: Any, v: Any, strength: Any, dt: float) -> None:
    """Velocities are those of half a step later than places."""
    for row in range(len(x)):
        node, behind = node_of(x[row])
        v[row] -= dt * (strength[node] * (1.0 - behind) + strength[(node + 1) % NODES] * behind)
        x[row] = wrapped(x[row] + dt * v[row])


@hypostyle.system(reads="position", reduces={"mesh": {"charge": "sum"}})
def deposit(rows: hypostyle.Job, frame: hypostyle.Frame, patches: hypostyle.Patches) -> None:
    """The charge of each electron, on the two nodes around it."""
    charge = np.zeros(NODES, np.int64)
    bad = charges(rows.position.x, charge)
    if bad >= 0:
        place = rows.position.x[bad]
        raise ValueError(f"entity {rows.entities[bad]} is at {place}: places are from 0 to {LENGTH} (frame {frame.frame})")
    patches.reduce("mesh", charge=charge)


@hypostyle.system(resources="mesh", sets_resources="field", after="deposit")
def solve(rows: hypostyle.Job, frame: hypostyle.Frame, patches: hypostyle.Patches) -> None:
    """The field of all charges: once in a frame."""
    strength = np.empty(NODES)
    energy, charge = field_of(frame.resource("mesh").charge, strength)
    patches.set_resource("field", strength=strength, energy=energy, charge=charge)


@hypostyle.system(writes=["position", "velocity"], resources="field", after="solve")
def push(rows: hypostyle.Job, frame: hypostyle.Frame) -> None:
    """Leapfrog."""
    leap(rows.position.x, rows.velocity.x, frame.resource("field").strength, frame.dt)


def unit_of(seed: int) -> float:
    """The scene's first random number for a seed: SplitMix64 of the seed, of nobody and of no time."""
    golden, mask = 0x9E37_79B9_7F4A_7C15, 2**64 - 1

    def mix(bits: int) -> int:
        bits = (bits ^ (bits >> 30)) * 0xBF58_476D_1CE4_E5B9 & mask
        bits = (bits ^ (bits >> 27)) * 0x94D0_49BB_1331_11EB & mask
        return bits ^ (bits >> 31)

    key = seed
    for _ in range(4):
        key = mix(key + golden & mask)
    return float(key >> 11) / 2**53


def world(entities: int = 100_000, seed: int = 0, region: Any = None, speed: float = 1.0, amplitude: float = 0.001) -> hypostyle.World:
    """Two beams that run through each other, evenly along the way but for a wave."""
    made = hypostyle.World(LAYOUT, region)
    made.set_resource("mesh")
    made.set_resource("field")
    index = np.arange(entities)
    place = (index // 2 + unit_of(seed)) / -(-entities // 2)
    # a wave of polynomials, nearly a sine
    wave = 12.0 * np.sqrt(3.0) * place * (0.5 - place) * (1.0 - place)
    x = place * LENGTH + amplitude * wave
    x -= LENGTH * np.floor(x / LENGTH)
    made.spawn(
        global_id={"value": index.astype(np.uint64)},
        position={"x": np.where(x < LENGTH, x, 0.0)},
        velocity={"x": np.where(index % 2 == 0, speed, -speed)},
    )
    return made


SYSTEMS = [deposit, solve, push]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", default="auto")
    parser.add_argument("--publish-every", type=int, default=1)
    parser.add_argument("--region", help="a name in shared memory, as worker processes need one")
    given = parser.parse_args()
    with world(given.entities, given.seed, given.region) as made:
        with hypostyle.Simulation(made, SYSTEMS, given.workers, publish_every=given.publish_every) as simulation:
            simulation.run(given.frames, DT)
            if given.frames % given.publish_every:
                simulation.publish()
            with simulation.pin() as snapshot:
                print(f"state {snapshot.hash():016x}")


if __name__ == "__main__":
    main()
