"""What looking at and working on shared columns costs in Python, beside numpy on private arrays.

    python python/measure.py [--quick] [--systems | --export PROGRAM]

With ``--systems`` it measures systems alone, with ``--export`` exports: those of PROGRAM, a ``hypostyle`` with the feature
``export``, beside what pyarrow writes of arrays in its own memory.

Times are the least of several rounds, of systems the median, taken in turns with what they are compared to. Rounds of
systems in which other processes took more than a tenth of a core are measured again.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import time
from typing import Any, Callable

import numpy as np

import hypostyle

#: How much of a core other processes may take in a round that counts, and how often a round is tried, on average.
OTHERS_MAX, TRIES = 0.1, 4

LAYOUT = """
name = "measure"
bytes_max = "2 GiB"
[components.position]
fields = { x = "f32", y = "f32", z = "f32" }
[components.velocity]
fields = { x = "f32", y = "f32", z = "f32" }
"""


@hypostyle.system(reads="velocity", writes="position")
def move(rows: hypostyle.Job, frame: hypostyle.Frame) -> None:
    """position += velocity dt"""
    dt = np.float32(frame.dt)
    position, velocity = rows.position, rows.velocity
    position.x += velocity.x * dt
    position.y += velocity.y * dt
    position.z += velocity.z * dt


@hypostyle.system(reads="velocity", writes="position")
def move_without_temporaries(rows: hypostyle.Job, frame: hypostyle.Frame) -> None:
    """The same, with room for one product."""
    dt, product = np.float32(frame.dt), room(len(rows))
    position, velocity = rows.position, rows.velocity
    for axis in "xyz":
        np.multiply(velocity[axis], dt, out=product)
        position[axis] += product


_room = np.empty(0, np.float32)


def room(rows: int) -> Any:
    global _room
    if len(_room) < rows:
        _room = np.empty(rows, np.float32)
    return _room[:rows]


def private(rows: int, temporaries: bool = True) -> Callable[[], None]:
    """The same on arrays of this process, whole columns at a time."""
    arrays = [np.ones(rows, np.float32) for _ in range(6)]
    product = np.empty(rows, np.float32)
    dt = np.float32(0.001)

    def step() -> None:
        for position, velocity in zip(arrays[:3], arrays[3:]):
            position += velocity * dt

    def step_without() -> None:
        for position, velocity in zip(arrays[:3], arrays[3:]):
            np.multiply(velocity, dt, out=product)
            np.add(position, product, out=position)

    return step if temporaries else step_without


def world(rows: int, region: str) -> hypostyle.World:
    made = hypostyle.World(LAYOUT, region=f"measure-{os.getpid()}-{region}")
    made.spawn(rows, position={"x": 1.0}, velocity={"x": 1.0, "y": 1.0, "z": 1.0})
    made.publish()
    return made


def least(rounds: int, *actions: Callable[[], Any], repeat: int = 1) -> list[float]:
    """The least seconds that each took, measured in turns."""
    times = [float("inf")] * len(actions)
    for _ in range(rounds):
        for place, action in enumerate(actions):
            begun = time.perf_counter()
            for _ in range(repeat):
                action()
            times[place] = min(times[place], (time.perf_counter() - begun) / repeat)
    return times


def line(what: str, seconds: float, base: float, bar: float) -> float:
    ratio = seconds / base
    print(f"{what:<64} {seconds * 1e6:>10.1f} us {base * 1e6:>10.1f} us {ratio:>7.3f}  (bar {bar})", flush=True)
    return ratio


def cores_of_others(own: list[int]) -> Callable[[], float]:
    """How many cores all other processes took since the last call; 0 where the system does not tell."""

    def seconds() -> tuple[float, float]:
        try:
            with open("/proc/stat") as file:
                ticks = [int(word) for word in file.readline().split()[1:]]
            took = sum(ticks[place] for place in (0, 1, 2, 5, 6))
            for pid in own:
                with open(f"/proc/{pid}/stat") as file:
                    words = file.read().rsplit(")", 1)[1].split()
                took -= int(words[11]) + int(words[12])
            return time.perf_counter(), took / os.sysconf("SC_CLK_TCK")
        except OSError:
            return time.perf_counter(), 0.0

    last = [seconds()]

    def look() -> float:
        before, last[0] = last[0], seconds()
        return (last[0][1] - before[1]) / (last[0][0] - before[0])

    return look


def kernels(rows: int, rounds: int, repeat: int = 10) -> dict[tuple[str, int, str], float]:
    """Systems, against numpy on private arrays without temporaries, all in turns, ``repeat`` frames each; one frame in so
    many is published. The ratios of medians."""
    actions: dict[Any, Callable[[], Any]] = {"alone": private(rows, False), "alone, temporaries": private(rows)}
    kinds = {"": move, ", no temporaries": move_without_temporaries}
    with contextlib.ExitStack() as stack:
        pids = [os.getpid()]
        for (workers, every), kind in itertools.product(
            itertools.product(("local", "processes:1", "processes:2"), (1, 10)), kinds
        ):
            made = stack.enter_context(world(rows, f"kernel-{len(actions)}"))
            made_of = hypostyle.Simulation(made, [kinds[kind]], workers=workers, publish_every=every)
            simulation = stack.enter_context(made_of)
            pids += [info.pid for info in simulation.worker_status if info.pid]
            actions[workers, every, kind] = lambda simulation=simulation: simulation.step(0.001)
        times: dict[Any, list[float]] = {what: [] for what in actions}
        others, left_out = cores_of_others(pids), 0
        for round in range(TRIES * (rounds + 1)):
            others()
            these = {}
            for what, action in actions.items():
                begun = time.perf_counter()
                for _ in range(repeat):
                    action()
                these[what] = (time.perf_counter() - begun) / repeat
            # the first is to warm up; the last tries count whatever happened, so that there is a figure
            late = round >= TRIES * (rounds + 1) - rounds
            if round == 0 or (others() > OTHERS_MAX and not late):
                left_out += round > 0
                continue
            for what, took in these.items():
                times[what].append(took)
            if len(times["alone"]) == rounds:
                break
    median = {what: float(np.median(all_times)) for what, all_times in times.items()}
    without, temporaries = median.pop("alone"), median.pop("alone, temporaries")
    alone = min(without, temporaries)
    print(f"position += velocity dt, {rows:,} rows; numpy alone {without * 1e6:.0f} us, with temporaries {temporaries * 1e6:.0f} us")
    ratios = {}
    for (workers, every, kind), seconds in median.items():
        ratios[workers, every, kind] = line(f"    a system, {workers}, a generation in {every}{kind}", seconds, alone, 1.3)
    print(f"    {rounds} rounds; {left_out} left out, as other processes ran")
    return ratios


def attaching(small: int, large: int, rounds: int) -> float:
    """Attach, pin and view, by rows."""
    with world(small, "small") as few, world(large, "large") as many:

        def look(name: str) -> Callable[[], int]:
            def attach() -> int:
                with hypostyle.open(name) as region, region.pin() as snapshot:
                    position = snapshot["position"]
                    return len(position.x) + len(position.y) + len(position.z)

            return attach

        base, seconds = least(rounds, look(few.region), look(many.region), repeat=10)
        return line(f"attach, pin and view {large:,} rows against {small:,}", seconds, base, 1.5)


def sums(rows: int, rounds: int) -> float:
    """numpy on a pinned column, against a private copy."""
    with world(rows, "sum") as made, made.pin() as snapshot:
        shared = snapshot["position"].x
        copy = shared.copy()
        base, seconds = least(rounds, copy.sum, shared.sum)
        ratio = line(f"sum of {rows:,} rows, pinned against private", seconds, base, 1.05)
        del shared
        return ratio


READER = """
import sys, time
import hypostyle
region = hypostyle.open(sys.argv[1])
print("ready", flush=True)
while True:
    with region.pin() as snapshot:
        snapshot["position"].x.sum()
    time.sleep(float(sys.argv[2]))
"""


def readers(rows: int, rounds: int, count: int = 4, pause: float = 0.1) -> float:
    """Frames while others pin and sum, against frames without readers. In turns: readers are stopped in between."""
    import signal

    with world(rows, "read") as made, hypostyle.Simulation(made, [move], "local") as simulation:
        command = [sys.executable, "-c", READER, made.region, str(pause)]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        try:
            for reader in started:
                assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
            alone, watched = [], []
            for _ in range(rounds):
                for process in started:
                    process.send_signal(signal.SIGSTOP)
                alone += frames(simulation)
                for process in started:
                    process.send_signal(signal.SIGCONT)
                watched += frames(simulation)
        finally:
            for process in started:
                process.kill()
                process.wait()
    base, seconds = float(np.median(alone)), float(np.median(watched))
    return line(f"a frame of {rows:,} rows, {count} readers that sum every {pause} s", seconds, base, 1.03)


def exports(program: str, rows: int, rounds: int) -> None:
    """Files of a live region's columns, beside pyarrow's of private arrays of the same values. Both are brought to disk;
    the program's times include its start."""
    import tempfile

    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(1)
    names = [f"{component}.{axis}" for component in ("position", "velocity") for axis in "xyz"]
    arrays = {name: random.standard_normal(rows).astype(np.float32) for name in names}
    with world_of(rows, arrays) as made, tempfile.TemporaryDirectory() as directory:
        with made.pin() as snapshot:
            handles = np.concatenate([table.entities for table in snapshot.tables])
        # as long as the program's: the handles, too
        values = {"entity": handles, **arrays}

        def exported(end: str) -> Callable[[], Any]:
            command = [program, "export", made.region, "-o", os.path.join(directory, f"ours.{end}")]
            return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        def written(end: str) -> Callable[[], Any]:
            def write() -> None:
                with open(os.path.join(directory, f"theirs.{end}"), "wb") as file:
                    table = pa.table({name: pa.array(array) for name, array in values.items()})
                    if end == "parquet":
                        pq.write_table(table, file, compression="zstd", compression_level=1)
                    else:
                        with pa.ipc.new_file(file, table.schema) as writer:
                            writer.write_table(table)
                    file.flush()
                    os.fsync(file.fileno())

            return write

        for end in ("arrow", "parquet"):
            seconds, base = least(rounds, exported(end), written(end))
            sizes = [os.path.getsize(os.path.join(directory, f"{who}.{end}")) for who in ("ours", "theirs")]
            # 0.8 of its speed is 1.25 of its time
            line(f"{rows:,} rows to {end}, against pyarrow from arrays", seconds, base, 1.25)
            print(f"    bytes: {sizes[0]:,} and {sizes[1]:,}")


def world_of(rows: int, arrays: dict[str, Any]) -> hypostyle.World:
    """The same with these values."""
    made = hypostyle.World(LAYOUT, region=f"measure-{os.getpid()}-export")
    parts: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        component, axis = name.split(".")
        parts.setdefault(component, {})[axis] = array
    made.spawn(rows, **parts)
    made.publish()
    return made


def frames(simulation: hypostyle.Simulation, count: int = 25) -> list[float]:
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        simulation.step(0.001)
        times.append(time.perf_counter() - begun)
    return times


def main() -> None:
    """Measures all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer rows")
    parser.add_argument("--systems", action="store_true", help="measure systems alone")
    parser.add_argument("--export", metavar="PROGRAM", help="measure this program's exports instead")
    given = parser.parse_args()
    quick = given.quick
    rounds = 15 if quick else 60
    print(f"{'':<64} {'shared':>13} {'private':>13} {'ratio':>7}")
    if given.export:
        exports(given.export, 1_000_000 if quick else 5_000_000, 3 if quick else 5)
        return
    kernels(100_000 if quick else 1_000_000, 5 if quick else 25)
    if given.systems:
        return
    attaching(1000, 1_000_000 if quick else 10_000_000, rounds)
    sums(1_000_000, rounds * 2)
    readers(1_000_000, 4 if quick else 12)


if __name__ == "__main__":
    main()
