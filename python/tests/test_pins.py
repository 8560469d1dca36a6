"""A pinned generation stays as it is, and goes when nobody needs it."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import hypostyle


def held(region):
    return [lease for lease in region.leases if lease.generation is not None and lease.pid == os.getpid()]


def test_a_pinned_generation_does_not_change(bodies):
    with bodies.pin() as snapshot:
        x = snapshot["position"].x
        before, generation = x.copy(), snapshot.generation
        after = bodies.wait(generation + 4, timeout=60)
        assert after > generation + 4 and np.array_equal(x, before)
        with bodies.pin() as newer:
            assert newer.generation > generation and not np.array_equal(newer["position"].x, x)


def test_kept_frames_can_be_pinned(run):
    started = run("nbody", "--entities", "200", "--frames", "30", "--keep", "--keep-generations", "4")
    assert started.process.wait(60) == 0
    with started.open() as region:
        assert region.frames == [26, 27, 28, 29, 30]
        positions = []
        for frame in region.frames:
            with region.pin(frame) as snapshot:
                assert snapshot.frame == frame
                positions.append(snapshot["position"].x.copy())
        assert len({array.tobytes() for array in positions}) == 5
        with pytest.raises(hypostyle.NotKeptError, match="no generation of frame 25 to pin: there are those of frames 26, 27"):
            region.pin(25)


def test_arrays_outlive_their_snapshot(bodies):
    before = len(held(bodies))
    with bodies.pin() as snapshot:
        x = snapshot["position"].x
        part = x[10:20]
        copy, generation = x.copy(), snapshot.generation
    assert snapshot.released
    bodies.wait(generation + 4, timeout=60)
    assert generation in [lease.generation for lease in held(bodies)]
    assert np.array_equal(x, copy)
    del x, snapshot
    assert len(held(bodies)) == before + 1 and np.array_equal(part, copy[10:20]), "a part holds it, too"
    del part
    assert len(held(bodies)) == before


def test_a_released_snapshot_says_so(bodies):
    with bodies.pin() as snapshot:
        component, table = snapshot["position"], snapshot.tables[0]
    for look in (
        lambda: snapshot["position"],
        lambda: component.x,
        lambda: table.entities,
        lambda: table["position"].x,
        lambda: snapshot.resources["gravitation"],
        lambda: snapshot.hash(),
        lambda: snapshot.locate(0),
        lambda: snapshot.to_arrow(),
        lambda: snapshot.__enter__(),
    ):
        with pytest.raises(hypostyle.ClosedError, match="was released: pin again"):
            look()
    assert snapshot.generation > 0 and "released" in repr(snapshot)
    snapshot.release()


def test_many_generations_are_held_at_a_time(bodies):
    snapshots = []
    for _ in range(8):
        bodies.wait(timeout=60)
        snapshots.append(bodies.pin())
    generations = [snapshot.generation for snapshot in snapshots]
    assert generations == sorted(set(generations))
    heights = [snapshot["position"].y.copy() for snapshot in snapshots]
    bodies.wait(timeout=60)
    for snapshot, height in zip(snapshots, heights):
        assert np.array_equal(snapshot["position"].y, height)
        snapshot.release()


def test_leases_run_out_with_a_message(still):
    region = hypostyle.open(still(1000))
    snapshots = []
    with pytest.raises(hypostyle.NoLeaseError, match="leases of the region are taken"):
        for _ in range(1000):
            snapshots.append(region.pin())
    assert len(snapshots) > 200
    for snapshot in snapshots:
        snapshot.release()
    region.pin().release()


def test_waits_end_by_time_and_by_news(bodies, still):
    newest = bodies.newest
    assert bodies.wait(newest + 1_000_000, timeout=0.05) is None
    assert bodies.wait(newest + 1_000_000, timeout=0) is None
    assert bodies.wait(0, timeout=0) >= newest
    assert bodies.wait(timeout=60) > newest
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            bodies.wait(0, timeout=wrong)
    dead = hypostyle.open(still(1000))
    assert not dead.is_alive and dead.wait(0) == dead.newest
    with pytest.raises(hypostyle.WriterGoneError, match=f"newest generation is {dead.newest}, which can still be pinned"):
        dead.wait()


def test_others_run_during_a_wait(bodies):
    counted = 0
    waiting = threading.Thread(target=lambda: bodies.wait(2**40, timeout=0.5))
    waiting.start()
    while waiting.is_alive():
        counted += 1
        time.sleep(0.001)
    assert counted > 20


def test_a_signal_ends_a_wait(bodies):
    code = f"import hypostyle; r = hypostyle.open({bodies.name!r}); print('waits', flush=True); r.wait(2**40)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "waits\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]


def test_a_region_is_followed(bodies):
    seen = []
    for snapshot in bodies.follow(timeout=60):
        seen.append((snapshot.generation, snapshot.frame))
        if len(seen) == 5:
            break
    assert seen == sorted(set(seen))


def test_threads_share_a_region(bodies):
    failures = []

    def look():
        try:
            for _ in range(50):
                with bodies.pin() as snapshot:
                    first = snapshot["position"].x.sum()
                    assert first == snapshot["position"].x.sum()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


READER = """
import sys, hypostyle
region = hypostyle.open(sys.argv[1])
snapshot = region.pin()
x = snapshot["position"].x
print(snapshot.generation, flush=True)
sys.stdin.read()
"""


def test_a_killed_reader_loses_its_pin_and_stops_nobody(bodies):
    process = subprocess.Popen(
        [sys.executable, "-c", READER, bodies.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    generation = int(process.stdout.readline())
    mine = [lease for lease in bodies.leases if lease.pid == process.pid and lease.generation == generation]
    assert len(mine) == 1 and mine[0].is_alive
    bodies.wait(generation + 4, timeout=60)
    process.kill()
    process.communicate()
    newest = bodies.newest
    assert bodies.wait(newest + 10, timeout=60) > newest + 10
    assert not [lease for lease in bodies.leases if lease.pid == process.pid and lease.is_alive]


def test_what_a_dead_writer_published_can_be_read(run):
    started = run("spheres", "--entities", "500", "--seconds", "600")
    region = started.open()
    early = region.pin()
    started.kill()
    assert not region.is_alive
    with pytest.raises(hypostyle.WriterGoneError):
        region.wait(timeout=60)
    with region.pin() as snapshot:
        assert len(snapshot["position"].x) == 500
    with hypostyle.open(started.name) as again, again.pin() as snapshot:
        assert snapshot.generation == region.newest
    started.end()
    with pytest.raises(hypostyle.RegionNotFoundError, match=started.name):
        hypostyle.open(started.name)
    assert np.isfinite(early["position"].x).all(), "its memory outlives its files"
    early.release()
    assert region.pin()["position"].x.shape == (500,), "with a lease that it had"


def test_a_forked_process_pins_for_itself(bodies):
    with bodies.pin() as snapshot:
        x, copy = snapshot["position"].x, snapshot["position"].x.copy()
        generation = snapshot.generation
        child = os.fork()
        if child == 0:
            try:
                del x
                snapshot.release()
                with bodies.pin() as own:
                    good = own.generation >= generation and len(own["position"].x) == 400
                os._exit(0 if good else 1)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        bodies.wait(generation + 4, timeout=60)
        assert generation in [lease.generation for lease in held(bodies)], "the child ended its own pins only"
        assert np.array_equal(x, copy)


def test_a_closed_region_says_so(bodies):
    region = hypostyle.open(bodies.name)
    snapshot = region.pin()
    region.close()
    assert region.closed and "closed" in repr(region)
    with pytest.raises(hypostyle.ClosedError, match=f"region {bodies.name} was closed"):
        region.pin()
    with pytest.raises(hypostyle.ClosedError):
        region.wait(timeout=1)
    assert len(snapshot["position"].x) == 400, "its snapshots stay"
    snapshot.release()
    region.close()
