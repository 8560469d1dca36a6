"""A process that was forked off may read its parent's world. It can neither change nor step it, and its end takes nothing along."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import hypostyle
from conftest import unique

LAYOUT = """
name = "forks"
bytes_max = "8 MiB"
[components.a]
fields = { x = "f64" }
[resources.gravity]
fields = { y = "f32" }
"""
ROWS = 2000
#: A child that hangs in a lock of its parent's ends by this, and its test fails.
SECONDS_MAX = 240


@hypostyle.system(writes="a")
def add(rows, frame):
    rows.a.x += 1


def filled():
    world = hypostyle.World(LAYOUT, region=unique("forks"))
    world.spawn(ROWS, a={"x": 1.0})
    world.set_resource("gravity", y=2.0)
    return world


def in_child(act):
    """What `act` comes to in a forked process, as text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS_MAX)
        try:
            told = f"returned {act()!r}"
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(write, told.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, told
    return told


CHANGES = {
    "spawn": lambda world, simulation: world.spawn(10, a={"x": 7.0}),
    "set": lambda world, simulation: world.set(HANDLES, "a.x", 7.0),
    "add": lambda world, simulation: world.add(HANDLES, "a", {"x": 7.0}),
    "remove": lambda world, simulation: world.remove(HANDLES, "a"),
    "despawn": lambda world, simulation: world.despawn(HANDLES),
    "set_resource": lambda world, simulation: world.set_resource("gravity", y=7.0),
    "publish": lambda world, simulation: world.publish(),
    "step": lambda world, simulation: simulation.step(0.1),
    "run": lambda world, simulation: simulation.run(3, 0.1),
    "set_payload": lambda world, simulation: simulation.set_payload("add", b"7"),
    "a simulation": lambda world, simulation: hypostyle.Simulation(world, [add], "local"),
}
#: Those of the first entities of a world: the same in all worlds.
HANDLES = np.arange(3, dtype=np.uint64)


@pytest.mark.parametrize("workers", ["local", "threads:2", "processes:1"])
def test_a_forked_process_cannot_change_or_step_its_parents_world(workers):
    with filled() as world, hypostyle.Simulation(world, [add], workers) as simulation:
        assert int(HANDLES[2]) in world
        first = simulation.step(0.1).generation
        pids = [worker.pid for worker in simulation.worker_status]
        with world.pin() as snapshot, hypostyle.open(world.region) as region:
            state, x = snapshot.hash(), snapshot["a"].x
            told = {what: in_child(lambda act=act: act(world, simulation)) for what, act in CHANGES.items()}
            for what, text in told.items():
                assert text.startswith("ForkedError: ") and f"process {os.getpid()}" in text, (what, text)
            # reading is the child's right
            assert in_child(lambda: (len(world), world.frame, world.generation)) == f"returned {(ROWS, 1, first)}"
            assert in_child(lambda: float(world.pin()["a"].x.sum())) == f"returned {2.0 * ROWS}"
            # nothing of it reached the parent's world, nor anybody's snapshots
            assert (len(world), world.frame, world.generation, region.newest) == (ROWS, 1, first, first)
            assert snapshot.hash() == state and (x == 2.0).all()
            assert world.resource("gravity").y == 2.0
            assert simulation.step(0.1).generation == first + 1 and snapshot.hash() == state
            with region.pin() as newest:
                assert (newest["a"].x == 3.0).all()
        assert [worker.pid for worker in simulation.worker_status] == pids
        assert all(worker.is_alive and worker.deaths == 0 for worker in simulation.worker_status)


def test_a_forked_process_cannot_step_a_world_of_added_systems():
    with filled() as world:
        world.add_system(add)
        assert in_child(lambda: world.step(0.1)).startswith("ForkedError: ")
        first = world.step(0.1)
        assert in_child(lambda: world.step(0.1)).startswith("ForkedError: ")
        assert (world.frame, world.generation, world.step(0.1)) == (1, first, first + 1)


def spawn_and_publish(value):
    WORLD.spawn(10, a={"x": value})
    return WORLD.publish()


def mean(_):
    with WORLD.pin() as snapshot:
        return float(snapshot["a"].x.mean())


def test_a_pool_of_forked_processes_cannot_change_a_global_world():
    global WORLD
    with filled() as WORLD:
        WORLD.publish()
        with WORLD.pin() as snapshot:
            state = snapshot.hash()
            context = multiprocessing.get_context("fork")
            with context.Pool(2, initializer=signal.alarm, initargs=(SECONDS_MAX,)) as pool:
                assert pool.map(mean, range(4)) == [1.0] * 4
                results = [pool.apply_async(spawn_and_publish, (float(value),)) for value in range(4)]
                for result in results:
                    with pytest.raises(hypostyle.ForkedError, match=f"process {os.getpid()}"):
                        result.get()
            assert snapshot.hash() == state and (len(WORLD), WORLD.generation) == (ROWS, 1)
        assert WORLD.publish() == 2


#: A child that ends in many ways, at last as programs do: with all destructors of its copies.
ENDS = """
import os, signal, sys, hypostyle, test_forks
how, workers = sys.argv[1:]
world = test_forks.filled()
simulation = hypostyle.Simulation(world, [test_forks.add], workers)
first = simulation.step(0.1).generation
region = hypostyle.open(world.region)
snapshot, pids = region.pin(), [worker.pid for worker in simulation.worker_status]
child = os.fork()
if child == 0:
    signal.alarm(test_forks.SECONDS_MAX)
    if how == "close":
        snapshot.release()
        region.close()
        simulation.close()
        world.close()
    elif how == "with":
        with world, simulation, region, snapshot:
            pass
    elif how == "delete":
        del snapshot, region, simulation, world
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert (snapshot["a"].x == 2.0).all() and not snapshot.released
held = [lease.generation for lease in region.leases if lease.pid == os.getpid()]
assert first in held, held
code = f"import hypostyle; print(hypostyle.open({world.region!r}).is_alive)"
import subprocess
assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\\n"
assert simulation.run(3, 0.1).deaths == 0 and region.newest == first + 3
assert [worker.pid for worker in simulation.worker_status] == pids
world.close()
print("whole", flush=True)
"""


@pytest.mark.parametrize(
    ("how", "workers"),
    [
        ("exit", "local"),
        ("exit", "threads:2"),
        ("exit", "processes:1"),
        ("close", "threads:2"),
        ("close", "processes:1"),
        ("with", "processes:1"),
        ("delete", "threads:2"),
        ("delete", "processes:1"),
    ],
)
def test_a_forked_process_that_ends_takes_nothing_along(how, workers):
    command = [sys.executable, "-c", ENDS, how, workers]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "whole\n"), ran.stderr


OTHER = """
import sys, hypostyle
region = hypostyle.open(sys.argv[1])
with region.pin() as snapshot:
    print(snapshot.generation, flush=True)
"""


def test_released_snapshots_leave_the_region_open_for_others():
    with filled() as world:
        world.publish()
        region, held = hypostyle.open(world.region), []
        assert not [lease for lease in region.leases if lease.pid == os.getpid()], "opening alone takes no lease"
        with pytest.raises(hypostyle.NoLeaseError):
            for _ in range(1000):
                held.append(region.pin())
        pinned = len(held)
        assert pinned > 200
        while held:
            held.pop().release()
        gc.collect()
        for _ in range(max(300 - pinned, 100)):
            region.pin().release()
        assert not [lease for lease in region.leases if lease.generation is not None]
        for look in ("while it stands open", "after it was closed"):
            ran = subprocess.run([sys.executable, "-c", OTHER, world.region], capture_output=True, text=True, check=False)
            assert ran.stdout == "1\n", (look, ran.stderr)
            region.close()
