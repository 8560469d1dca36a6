"""States in files are opened as regions are, and worlds go on from them."""

import subprocess

import numpy as np
import pytest

import hypostyle
from conftest import program, unique

LAYOUT = 'name = "files"\nbytes_max = "16 MiB"\n[components.a]\nfields = { x = "f64" }'


@hypostyle.system(writes="a")
def grow(rows, frame):
    rows.a.x = rows.a.x * 1.5 + 1


@pytest.fixture
def world():
    with hypostyle.World(LAYOUT) as made:
        made.spawn(a={"x": np.arange(100.0)})
        made.add_system(grow)
        made.step(0.25)
        yield made


def test_a_checkpoint_is_read_like_a_region(world, tmp_path):
    path = tmp_path / "run.checkpoint"
    with world.pin() as snapshot:
        size, state = snapshot.checkpoint(path), snapshot.hash()
    assert path.stat().st_size == size
    for name in (path, str(path)):
        with hypostyle.open(name) as region:
            assert region.is_file and not region.is_alive and region.newest == 2
            with region.pin() as snapshot:
                assert (snapshot.frame, snapshot.time, snapshot.hash()) == (1, 0.25, state)
                assert np.array_equal(snapshot["a"].x, np.arange(100.0) * 1.5 + 1)
                kept = snapshot.to_arrow()["a.x"]
            assert region.wait(0) == 2
            with pytest.raises(hypostyle.WriterGoneError, match="is a file: it has the generation 2, and no more"):
                region.wait()
            assert [s.generation for s in region.follow()] == [2]
        assert kept[99].as_py() == 149.5


def test_a_world_goes_on_from_a_checkpoint(world, tmp_path):
    path = tmp_path / "run.checkpoint"
    with world.pin() as snapshot:
        snapshot.checkpoint(str(path), level=0)
    with hypostyle.World.restore(path, region=unique("restored")) as again:
        assert (again.frame, again.time, len(again)) == (1, 0.25, 100)
        again.add_system(grow)
        for each in (world, again):
            each.step(0.25)
        with world.pin() as one, again.pin() as other:
            assert one.hash() == other.hash() and other.frame == 2
        with hypostyle.open(again.region) as region:
            assert not region.is_file


def test_files_that_are_none_say_so(tmp_path):
    with pytest.raises(hypostyle.RegionNotFoundError, match="there is no file .*none.checkpoint"):
        hypostyle.open(tmp_path / "none.checkpoint")
    (tmp_path / "text.txt").write_text("not a checkpoint")
    for act in (hypostyle.open, hypostyle.World.restore):
        with pytest.raises(hypostyle.RegionError):
            act(tmp_path / "text.txt")
    with pytest.raises(hypostyle.RegionNotFoundError, match="no checkpoint and no journal"):
        hypostyle.World.restore(unique("none"))


def test_frames_of_journals(tmp_path):
    history = tmp_path / "history"
    command = [program(), "run", "particles", "--entities", "500", "--frames", "6", "--record", str(history)]
    subprocess.run([*command, "--workers", "local"], check=True, capture_output=True)
    with hypostyle.open(f"{history}@4") as region, region.pin() as snapshot:
        assert snapshot.frame == 4
        state = snapshot.hash()
    with hypostyle.open(history) as region, region.pin() as snapshot:
        assert snapshot.frame == 6 and snapshot.hash() != state
    with pytest.raises(hypostyle.RegionError):
        hypostyle.open(f"{history}@99")
    scene = hypostyle.Scene("particles", entities=500)
    with hypostyle.World.restore(f"{history}@4") as world, scene.simulation(world, "local") as simulation:
        simulation.run(2, scene.dt)
        with hypostyle.open(history) as region, region.pin() as wanted, world.pin() as got:
            assert got.hash() == wanted.hash()
