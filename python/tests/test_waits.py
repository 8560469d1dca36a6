"""Waits and runs end when they are asked to: by a signal, by `close`, by a task's end; a left-out publication is told."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import hypostyle
from conftest import unique

LAYOUT = 'name = "waits"\nbytes_max = "1 MiB"\n[components.a]\nfields = { x = "f64" }'


#: What does not end by this fails its test instead of holding all of them up.
SECONDS_MAX = 240


@hypostyle.system(writes="a")
def add(rows, frame):
    rows.a.x += 1


RUN = """
import os, signal, sys, hypostyle
kind, workers = sys.argv[1:]
signal.alarm(240)  # no test waits for ever
if kind == "scene":
    scene = hypostyle.Scene("particles", entities=2000)
    world = scene.world(region=f"signals-{os.getpid()}")
    simulation = scene.simulation(world, workers, publish_every=10)
else:
    import test_waits
    world = hypostyle.World(test_waits.LAYOUT, region=f"signals-{os.getpid()}")
    world.spawn(1000, a={})
    simulation = hypostyle.Simulation(world, [test_waits.add], workers)
simulation.run(1, 0.01)
try:
    print("go", flush=True)
    simulation.run(10**7, 0.01)
except KeyboardInterrupt:
    assert simulation.step(0.01).frame == world.frame
    world.close()
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        ("python", "local"),
        ("python", "threads:1"),
        ("python", "processes:1"),
        ("scene", "local"),
        ("scene", "threads:1"),
        ("scene", "processes:1"),
    ],
)
def test_an_interrupt_ends_a_run_of_many_frames(kind, workers):
    command = [sys.executable, "-c", RUN, kind, workers]
    ran = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert ran.stdout.readline() == "go\n"
    os.kill(ran.pid, signal.SIGINT)
    assert ran.communicate()[0] == "interrupted\n" and ran.returncode == 0


def test_reports_of_long_runs_are_those_of_all_their_frames():
    def totals(split):
        with hypostyle.World(LAYOUT) as world:
            world.spawn(100, a={})
            with hypostyle.Simulation(world, [add], "local", publish_every=3) as simulation:
                reports = [simulation.run(frames, 0.1) for frames in split]
                world.publish()
                with world.pin() as snapshot:
                    state = snapshot.hash()
                rows = sum(report.patches["add"].dense_rows for report in reports)
                return rows, reports[-1].frame, state

    assert totals([1000])[:2] == (100 * 1000, 1000)
    assert totals([1000]) == totals([1] * 1000)


def ended_by(end, wait):
    """What a wait of another thread raises, once `end` was called beside it."""
    raised, waits = [], threading.Event()

    def run():
        waits.set()
        try:
            wait()
        except hypostyle.HypostyleError as error:
            raised.append(error)

    # a daemon: where the wait does not end, the tests do
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    waits.wait()
    time.sleep(0.1)  # so that it is in the midst of it, mostly
    end()
    thread.join(SECONDS_MAX)
    assert not thread.is_alive() and len(raised) == 1
    return raised[0]


def test_a_closed_region_ends_its_waits():
    with hypostyle.World(LAYOUT, region=unique("closed")) as world:
        world.publish()
        region = hypostyle.open(world.region)
        ended = ended_by(region.close, region.wait)
        assert isinstance(ended, hypostyle.ClosedError) and f"region {world.region} was closed" in str(ended)
        region = hypostyle.open(world.region)
        ended = ended_by(region.close, lambda: [snapshot.release() for snapshot in region.follow()])
        assert isinstance(ended, hypostyle.ClosedError)


def test_a_closed_world_ends_the_waits_for_it():
    with hypostyle.World(LAYOUT, region=unique("closed")) as world:
        world.publish()
        region = hypostyle.open(world.region)
        ended = ended_by(world.close, region.wait)
        assert isinstance(ended, hypostyle.WriterGoneError) and "newest generation is 1" in str(ended)


@pytest.mark.parametrize("workers", ["local", "threads:1", "processes:1"])
@pytest.mark.parametrize("what", ["world", "simulation"])
def test_a_close_ends_a_run_in_another_thread(workers, what):
    with hypostyle.World(LAYOUT, region=unique("closed")) as world:
        world.spawn(1000, a={})
        simulation = hypostyle.Simulation(world, [add], workers)
        simulation.run(1, 0.01)
        closed = world if what == "world" else simulation
        assert isinstance(ended_by(closed.close, lambda: simulation.run(10**7, 0.01)), hypostyle.ClosedError)
        if what == "simulation":
            assert world.publish() >= 1 and len(world) == 1000


ASYNC = """
import asyncio, os, sys, hypostyle, test_waits
world = hypostyle.World(test_waits.LAYOUT, region=f"async-{os.getpid()}")
world.spawn(3, a={})
world.publish()
region = hypostyle.open(world.region)

async def main():
    waiting = asyncio.create_task(region.wait_async())
    await asyncio.sleep(0.05)
    world.publish()
    assert await waiting == 2
    assert await region.wait_async(2, timeout=0.0) is None
    for_ever = asyncio.create_task(region.wait_async())
    seen = []
    async for snapshot in region.follow_async():
        seen.append(snapshot.generation)
        if len(seen) == 3:
            break
        world.publish()
    assert seen == [2, 3, 4], seen
    await asyncio.sleep(0)
    # `for_ever` goes with the loop
asyncio.run(main())
print("ended", flush=True)
"""


def test_a_program_of_asyncio_ends():
    ran = subprocess.run([sys.executable, "-c", ASYNC], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "ended\n"), ran.stderr


def test_a_cancelled_wait_ends():
    with hypostyle.World(LAYOUT, region=unique("cancelled")) as world, hypostyle.open(world.region) as region:

        async def main():
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(region.wait_async(0), 0.05)
            world.publish()
            return await region.wait_async(0)

        assert asyncio.run(main()) == 1


@pytest.mark.parametrize("how", ["publish", "step"])
def test_a_publication_that_readers_prevent_names_them(how):
    with hypostyle.World(LAYOUT) as world:
        world.spawn(a={"x": np.zeros(10_000)})
        world.add_system(add)
        held = []
        with pytest.raises(hypostyle.NotPublishedError) as raised:
            for _ in range(1000):
                world.step(0.1, publish=how == "step")
                if how == "publish":
                    world.publish()
                held.append(world.pin())
        frame = world.frame
        assert f"process {os.getpid()} holds generation {held[0].generation}" in str(raised.value)
        assert "bytes_max = 1048576 B" in str(raised.value) and f"frame {frame} stands" in str(raised.value)
        # the frame was run, and what is held does not change
        assert [float(snapshot["a"].x[0]) for snapshot in held] == list(range(1, len(held) + 1))
        for snapshot in held:
            snapshot.release()
        held.clear()
        del snapshot
        assert world.step(0.1) == world.generation
        with world.pin() as newest:
            assert newest.frame == frame + 1 and (newest["a"].x == frame + 1).all()
    with hypostyle.World(LAYOUT) as world:
        world.spawn(a={"x": np.zeros(10_000)})
        with hypostyle.Simulation(world, [add], "local") as simulation:
            held = []
            while (report := simulation.step(0.1)).skipped is None:
                assert report.generation is not None
                held.append(world.pin())
            assert report.generation is None and "holds generation" in report.skipped
            held.clear()
            assert simulation.step(0.1).skipped is None
