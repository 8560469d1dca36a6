"""Steering: from both ends in Python, and of a run of the command."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import hypostyle

LAYOUT = """
    name = "steered"
    [components.a]
    fields = { x = "f64" }
"""


@hypostyle.system(writes="a")
def grow(rows, frame):
    rows.a.x += frame.dt


def until(is_so: Callable[[], bool]) -> None:
    """What never comes ends the test."""
    ends = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends, "not within a minute"
        time.sleep(0.01)


def test_both_ends_see_the_same(tmp_path: Path) -> None:
    with hypostyle.World(LAYOUT, region=tmp_path / "region") as world:
        world.spawn(3, a={"x": 0.0})
        with hypostyle.Simulation(world, [grow], workers="local", steerable=True) as simulation:
            run = simulation.steering
            simulation.step(1.0)
            with hypostyle.open(world.region) as region:
                wheel = region.steering()
                assert not wheel.is_paused and wheel.pace is None and run.take_steps(5) == 0
                wheel.pause()
                assert run.is_paused and repr(run) == "<Steering: paused, as fast as it goes>"
                wheel.step(3)
                wheel.step()
                assert (run.take_steps(3), run.take_steps(3), run.take_steps(3)) == (3, 1, 0)
                wheel.pace = 60
                assert run.pace == 60.0 and repr(run) == "<Steering: paused, at most 60 frames per second>"
                for wrong in (0, -1, float("nan"), float("inf"), 1e10):
                    with pytest.raises(ValueError, match="from 0.001 to 1e9, or None"):
                        wheel.pace = wrong
                for wrong in (0, -1):
                    with pytest.raises(ValueError, match="number of frames"):
                        wheel.step(wrong)
                with pytest.raises(TypeError):
                    wheel.step(1.5)
                assert run.pace == 60.0 and run.take_steps(9) == 0, "nothing was done"
                run.pace = None
                wheel.resume()
                assert not run.is_paused and wheel.pace is None and not wheel.is_closed
        assert wheel.is_closed
        for act in (wheel.pause, wheel.resume, wheel.step):
            with pytest.raises(hypostyle.WriterGoneError, match="run has ended"):
                act()
        with pytest.raises(hypostyle.WriterGoneError, match="run has ended"):
            wheel.pace = 1


def test_what_is_not_steerable_says_so(tmp_path: Path) -> None:
    with hypostyle.World(LAYOUT, region=tmp_path / "region") as world:
        world.spawn(3, a={"x": 0.0})
        with hypostyle.Simulation(world, [grow], workers="local") as simulation:
            simulation.step(1.0)
            assert simulation.steering is None
            with hypostyle.open(world.region) as region, pytest.raises(hypostyle.NotSteerableError, match="run --steer"):
                region.steering()
        with world.pin() as snapshot:
            snapshot.checkpoint(tmp_path / "a.checkpoint")
    with hypostyle.open(tmp_path / "a.checkpoint") as state, pytest.raises(hypostyle.WriterGoneError, match="is the state of a file"):
        state.steering()


def test_a_run_of_the_command_is_steered_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hypostyle", "run", "particles", "--entities", "300", "--frames", "300", "--print-hash"]
    alone = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout
    place = tmp_path / "region"
    run = subprocess.Popen(
        [*words, "--region", str(place), "--steer", "--pace", "20"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        until(lambda: any(each.generation > 0 for each in hypostyle.list(tmp_path)))
        with hypostyle.open(place) as region:
            wheel = region.steering()
            assert wheel.pace == 20.0
            wheel.pause()
            # the frame in which it was paused may still come
            time.sleep(0.5)
            with region.pin() as snapshot:
                stands = snapshot.frame

            def frame() -> int:
                with region.pin() as snapshot:
                    return snapshot.frame

            wheel.step(5)
            until(lambda: frame() == stands + 5)
            wheel.pace = None
            wheel.step()
            until(lambda: frame() == stands + 6)
            time.sleep(0.2)
            assert frame() == stands + 6
            wheel.resume()
            printed, _ = run.communicate(timeout=120)
        assert run.returncode == 0
        state = re.compile(r"^state ([0-9a-f]{16})$", re.MULTILINE)
        assert state.findall(printed) == state.findall(alone) != []
    finally:
        run.kill()
        run.wait()


def test_a_run_that_was_killed_is_gone(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hypostyle", "run", "particles", "--entities", "10", "--seconds", "600", "--pace", "50", "--steer"]
    place = tmp_path / "region"
    run = subprocess.Popen([*words, "--region", str(place)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: any(each.generation > 0 for each in hypostyle.list(tmp_path)))
        with hypostyle.open(place) as region:
            region.steering().pause()
            run.kill()
            run.wait()
            with pytest.raises(hypostyle.WriterGoneError, match="has no writer"):
                region.steering()
    finally:
        run.kill()
        run.wait()
        hypostyle.clean_stale(tmp_path)
