"""Histories are written, walked and laid out; worlds go back; values reach a running simulation."""

import subprocess
import threading

import numpy as np
import pytest

import hypostyle
from conftest import program, unique

LAYOUT = """
name = "histories"
bytes_max = "32 MiB"
[components.a]
unit = "m"
fields = { x = { type = "f64", description = "to the right" }, at = "[f32; 2]", owner = "entity", count = "u16" }
[components.mark]
[components.lit]
storage = "toggle"
fields = { level = "u32" }
[components.notes]
storage = "list"
fields = { what = "u8" }
[resources.clock]
fields = { ticks = "u64", pair = "[i16; 2]" }
"""


@hypostyle.system(writes="a")
def grow(rows, frame):
    rows.a.x = rows.a.x * 1.5 + 1
    rows.a.count = rows.a.count + 1


@pytest.fixture
def world():
    with hypostyle.World(LAYOUT, region=unique("histories"), keep_generations=4) as made:
        made.spawn(a={"x": np.arange(10.0)})
        made.set_resource("clock", ticks=0)
        yield made


def test_what_was_recorded_is_walked(world, tmp_path):
    wanted = {}
    with hypostyle.Simulation(world, [grow], workers="local") as simulation:
        simulation.run(2, 0.5)
        world.record(tmp_path / "history", checkpoint_every=3)
        with pytest.raises(hypostyle.HypostyleError, match="recorded to .*history already"):
            world.record(tmp_path / "other")
        for _ in range(8):
            with simulation.pin() as snapshot:
                wanted[snapshot.frame] = (snapshot.hash(), snapshot.time, snapshot["a"].x.copy())
            simulation.step(0.5)
        with simulation.pin() as snapshot:
            wanted[snapshot.frame] = (snapshot.hash(), snapshot.time, snapshot["a"].x.copy())
        done = world.stop_recording()
        assert world.stop_recording() is None
    assert (done.generations, done.skipped, done.frame) == (9, 0, 10) and done.checkpoints >= 2 and done.bytes > 0

    history = hypostyle.Journal(tmp_path / "history")
    assert history.frames == [*range(2, 11)] and len(history) == 9 and 5 in history and 1 not in history
    assert history.is_finished and not history.problems and history.layout.name == "histories"
    assert history.times == [each / 2 for each in history.frames]
    for snapshot in history:
        state, time, x = wanted[snapshot.frame]
        assert (snapshot.hash(), snapshot.time) == (state, time) and np.array_equal(snapshot["a"].x, x)
    assert [each.frame for each in history.snapshots(3, 9, 2)] == [3, 5, 7]
    assert [each.frame for each in history.snapshots(stop=3)] == [2] and [*history.snapshots(11)] == []
    with pytest.raises(ValueError, match="read forward"):
        next(history.snapshots(step=0))
    with history.pin() as last, history.pin(4) as fourth:
        assert last.frame == 10 and fourth.hash() == wanted[4][0]
    with pytest.raises(hypostyle.NotKeptError, match="no frame 11: it has frames 2 to 10"):
        history.pin(11)
    with pytest.raises(hypostyle.RegionNotFoundError, match="no journal"):
        hypostyle.Journal(tmp_path / "none")


def test_many_frames_of_one_call_are_all_recorded(world, tmp_path):
    with hypostyle.Simulation(world, [grow], workers="local", publish_every=3) as simulation:
        world.record(tmp_path / "history")
        simulation.run(20, 1.0)
    # closing the world ends the recording
    world.close()
    history = hypostyle.Journal(tmp_path / "history")
    assert history.is_finished and history.frames[-6:] == [3, 6, 9, 12, 15, 18]


def test_a_history_that_went_back_is_walked_as_it_stands(world, tmp_path):
    with hypostyle.Simulation(world, [grow], workers="local") as simulation:
        world.record(tmp_path / "history")
        simulation.run(5, 1.0)
        with simulation.pin() as snapshot:
            fifth = snapshot.hash()
        assert world.rollback(3) == 2
        assert world.frame == 2 and world.time == 2.0
        simulation.run(3, 1.0)
        with simulation.pin() as snapshot:
            assert (snapshot.frame, snapshot.hash()) == (5, fifth)
        with pytest.raises(hypostyle.HypostyleError, match="kept"):
            world.rollback(100)
        assert world.frame == 5
        world.stop_recording()
    history = hypostyle.Journal(tmp_path / "history")
    assert history.frames[-3:] == [3, 4, 5]
    assert [each.frame for each in history] == history.frames
    with history.pin(5) as snapshot:
        assert snapshot.hash() == fifth


def test_histories_of_the_command(tmp_path):
    history = tmp_path / "history"
    command = [program(), "run", "particles", "--entities", "300", "--frames", "6", "--record", str(history)]
    subprocess.run([*command, "--workers", "local"], check=True, capture_output=True)
    opened = hypostyle.Journal(history)
    assert opened.notes and opened.frames[-1] == 6
    for frame in (2, 5):
        with opened.pin(frame) as one, hypostyle.open(f"{history}@{frame}") as region, region.pin() as other:
            assert one.hash() == other.hash()


def test_frames_by_entities(world, tmp_path):
    xarray = pytest.importorskip("xarray")
    first = world.spawn(1, a={"x": 7.0}, mark=True, lit={"level": 3})[0]
    world.record(tmp_path / "history")
    with hypostyle.Simulation(world, [grow], workers="local") as simulation:
        simulation.step(1.0)
        world.set_resource("clock", ticks=9, pair=[-1, 2])
        late = world.spawn(1, a={"x": 100.0, "at": [1, 2], "owner": int(first)})[0]
        world.remove([first], "lit")
        simulation.step(1.0)
        world.despawn([first])
        simulation.step(1.0)
        world.stop_recording()
    history = hypostyle.Journal(tmp_path / "history")
    found = history.to_xarray(start=1)
    assert isinstance(found, xarray.Dataset) and found.sizes["frame"] == 3 and found.sizes["entity"] == 12
    assert found.frame.values.tolist() == [1, 2, 3] and found.time.values.tolist() == [1.0, 2.0, 3.0]
    one, other = found.sel(entity=np.uint64(first)), found.sel(entity=np.uint64(late))
    assert one["a.x"].values[:2].tolist() == [11.5, 18.25] and np.isnan(one["a.x"].values[2])
    assert np.isnan(other["a.x"].values[0]) and other["a.x"].values[1:].tolist() == [151.0, 227.5]
    assert one["a.present"].values.tolist() == [True, True, False] and one.mark.values.tolist() == [True, True, False]
    assert one["lit.present"].values.tolist() == [True, False, False] and one["lit.level"].values.tolist() == [3, 0, 0]
    assert other["a.owner"].values.tolist() == [hypostyle.NULL_ENTITY, int(first), int(first)]
    assert other["a.at"].dims == ("frame", "a.at[]") and other["a.at"].values[2].tolist() == [1.0, 2.0]
    assert found["a.count"].dtype == np.uint16 and other["a.count"].values.tolist() == [0, 1, 2]
    assert found["clock.ticks"].values.tolist() == [0, 9, 9] and found["clock.pair"].values[2].tolist() == [-1, 2]

    assert found["a.x"].attrs == {"units": "m", "long_name": "to the right"} and found["clock.ticks"].attrs == {}
    few = history.to_xarray("a.x", "clock", start=3)
    assert sorted(few.data_vars) == ["a.x", "clock.pair", "clock.ticks"] and few.sizes["entity"] == 11
    with pytest.raises(hypostyle.UnknownNameError, match="component, column or resource `clok`.*did you mean `clock`"):
        history.to_xarray("clok")
    with pytest.raises(ValueError, match="`notes` is a list"):
        history.to_xarray("notes")
    with hypostyle.open(world.region) as region:
        live = hypostyle.to_xarray(region.follow(timeout=0), "a.x")
    assert live.sizes == {"frame": 1, "entity": 11} and live["a.x"].dtype == np.float64
    with pytest.raises(ValueError, match="no snapshots"):
        hypostyle.to_xarray([])


@hypostyle.system(reads="a")
def watch(rows, frame):
    pass


def test_values_reach_a_running_simulation(world):
    handles = world.spawn(3, a={"x": 1.0, "at": [1.0, 2.0], "count": 5})
    with hypostyle.Simulation(world, [watch], workers="local", inputs=["a.x", "a.at", "clock", "lit"]) as simulation:
        simulation.step(1.0)
        with hypostyle.open(world.region) as region, region.inputs() as inputs:
            assert inputs.names == ["a.x", "a.at", "clock", "lit"] and inputs.is_current
            inputs.set(handles, "a.x", [7.0, 8.0, 9.0])
            inputs.set(handles[:1], "a.at", [[3.0, 4.0]])
            sent = inputs.set_resource("clock", ticks=12)
            with region.pin() as before:
                assert not inputs.is_in(sent, before)
            report = simulation.step(1.0)
            assert (report.inputs.applied, report.inputs.stale, report.inputs.refused) == (5, 0, 0)
            with region.pin() as after:
                assert inputs.is_in(sent, after)
                values = after.get(int(handles[0]))["a"]
                assert values["x"] == 7.0 and values["at"].tolist() == [3.0, 4.0] and values["count"] == 5
                assert after.resources["clock"].ticks == 12
            with pytest.raises(hypostyle.UnknownNameError, match="takes no input `a.count`"):
                inputs.set(handles, "a.count", 1)
            with pytest.raises(hypostyle.UnknownNameError, match="no field `a.y`"):
                inputs.set(handles, "a.y", 1)
            with pytest.raises(ValueError, match="all its fields; `level` not given"):
                inputs.set(handles, "lit", {})
            world.despawn(handles[2:])
            inputs.set(handles, "a.x", 0.5)
            assert simulation.step(1.0).inputs.stale == 1
        with pytest.raises(hypostyle.ClosedError, match="sender of inputs was closed"):
            inputs.set(handles, "a.x", 1.0)
    with hypostyle.open(world.region) as region, pytest.raises(hypostyle.NoInputsError, match="takes no inputs: start its run with inputs"):
        region.inputs()


def test_a_mailbox_has_few_places(world):
    with hypostyle.Simulation(world, [watch], workers="local", inputs=["a.x"]):
        with hypostyle.open(world.region) as region:
            taken = []
            with pytest.raises(hypostyle.InputsFullError, match="rings of the mailbox are taken"):
                while True:
                    taken.append(region.inputs())
            for each in taken:
                each.close()
            region.inputs().close()


def test_inputs_from_another_thread(world):
    handles = world.spawn(1, a={"x": 0.0})
    with hypostyle.Simulation(world, [watch], workers="local", inputs=["a.x"]) as simulation:
        simulation.step(1.0)

        def send():
            with hypostyle.open(world.region) as region, region.inputs() as inputs:
                inputs.set(handles, "a.x", 42.0)

        thread = threading.Thread(target=send)
        thread.start()
        thread.join()
        simulation.step(1.0)
        with simulation.pin() as snapshot:
            assert snapshot.get(int(handles[0]))["a"]["x"] == 42.0


def test_a_history_goes_to_zarr_and_comes_back(tmp_path):
    """Arrays over (frame, entity) with their units, as any reader of Zarr sees them."""
    pytest.importorskip("zarr")
    xarray = pytest.importorskip("xarray")
    recorded = tmp_path / "recorded"
    words = ["run", "particles", "--entities", "300", "--frames", "6", "--record", str(recorded)]
    subprocess.run([program(), *words], capture_output=True, check=True)
    found = hypostyle.Journal(recorded).to_xarray("position", "velocity.y")
    found.to_zarr(tmp_path / "history.zarr")
    again = xarray.open_zarr(tmp_path / "history.zarr")
    xarray.testing.assert_identical(again.load(), found)
    assert again["position.x"].attrs.get("units") == found["position.x"].attrs.get("units")
