"""Worlds made in Python: filled from arrays, stepped by functions, read like any other."""

import subprocess
import sys

import numpy as np
import pytest

import hypostyle
from conftest import unique
from memory import mapping_of

LAYOUT = """
name = "python"
bytes_max = "64 MiB"
[components.position]
fields = { x = "f32", y = "f32", at = "[u16; 2]" }
track_changes = true
[components.velocity]
fields = { x = "f32", y = { type = "f32", default = -1.0 } }
[components.heat]
storage = "toggle"
track_changes = true
fields = { degrees = "f64", steps = "i32" }
[components.marked]
[components.flag]
fields = { up = "bool", leader = "entity" }
[resources.gravity]
fields = { x = "f32", y = { type = "f32", default = -9.81 }, v = "[f32; 2]" }
"""


@pytest.fixture
def world():
    with hypostyle.World(LAYOUT) as made:
        yield made


@hypostyle.system(reads=["velocity"], writes=["position"])
def integrate(rows, frame):
    rows.position.x += rows.velocity.x * frame.dt
    rows.position.y = rows.position.y + rows["velocity"]["y"] * np.float32(frame.dt)


def test_entities_are_spawned_from_arrays(world):
    x = np.arange(1000, dtype=np.float32)
    handles = world.spawn(position={"x": x, "y": 2, "at": [3, 4]}, velocity={}, marked=True)
    assert handles.dtype == np.uint64 and len(np.unique(handles)) == 1000 == len(world)
    world.spawn(5, heat={"degrees": 30.5})
    assert world.publish() == 1
    with world.pin() as snapshot:
        position = snapshot["position"]
        assert np.array_equal(position.x, x) and (position.y == 2).all()
        assert np.array_equal(position.at, np.tile(np.uint16([3, 4]), (1000, 1)))
        assert (snapshot["velocity"].y == -1).all() and len(snapshot["marked"]) == 1000
        assert np.array_equal(position.entities, handles)
        assert snapshot["heat"].degrees.tolist() == [30.5] * 5


def test_toggles_are_masked_arrays(world):
    world.spawn(position={"x": np.ones(100, np.float32)}, heat={"degrees": np.arange(100.0), "steps": 7})
    world.spawn(28, position={"x": 1.0})
    world.publish()
    with world.pin() as snapshot:
        degrees = snapshot["heat"].degrees
        assert isinstance(degrees, np.ma.MaskedArray) and degrees.shape == (128,)
        assert degrees.count() == 100 == len(snapshot["heat"]) and degrees.sum() == 4950
        assert degrees.data.__array_interface__["data"][1], "in place and read-only"
        with pytest.raises(ValueError):
            degrees[0] = 1.0
        assert snapshot["heat"].concat("steps").tolist() == [7] * 100
        table = snapshot.to_arrow("position", "heat")
        table.validate(full=True)
        assert table["heat.degrees"].null_count == 28 and table["heat.degrees"].to_pylist()[99:101] == [99.0, None]
        polars_frame = snapshot.to_polars("heat")
        assert polars_frame["heat.steps"].null_count() == 28 and polars_frame["heat.steps"].sum() == 700
        backed = snapshot.to_pandas("heat", dtype_backend="pyarrow")
        assert str(backed["heat.steps"].dtype) == "int32[pyarrow]" and int(backed["heat.steps"].isna().sum()) == 28
        assert snapshot.get(snapshot["position"].entities[127]).keys() == {"position"}


def test_bools_and_handles(world):
    first = world.spawn(3, marked=True)
    world.spawn(flag={"up": [True, False, True], "leader": first})
    world.spawn(2, flag={"up": True})
    world.publish()
    with world.pin() as snapshot:
        flag = snapshot["flag"]
        assert flag.up.dtype == np.bool_ and flag.up.tolist() == [True, False, True, True, True]
        assert np.array_equal(flag.leader[:3], first) and (flag.leader[3:] == hypostyle.NULL_ENTITY).all()
        table = snapshot.to_arrow("flag")
        assert table["flag.up"].to_pylist() == [True, False, True, True, True]


def test_systems_run_on_arrays_in_place(world):
    x = np.linspace(0, 1, 5000, dtype=np.float32)
    world.spawn(position={"x": x, "y": 0}, velocity={"x": 2.0, "y": 1.0})
    world.spawn(position={"x": x, "y": 0}, velocity={"x": 2.0, "y": 1.0}, marked=True)
    world.spawn(10, position={"x": 5.0})
    world.add_system(integrate)
    assert world.step(0.5) == 2 and world.step(0.5) == 3
    assert (world.frame, world.time, world.generation) == (2, 1.0, 3)
    with world.pin() as snapshot:
        assert snapshot.frame == 2 and snapshot.time == 1.0
        for chunk in snapshot.select("velocity")["position"]:
            assert np.allclose(chunk.x, x + 2) and np.allclose(chunk.y, 1)
            assert chunk.changed.all()
        still = snapshot.select("position", without=["marked"]).tables[-1]
        assert (still["position"].x == 5).all() and not still.changed("position").any()


def test_published_states_stay_while_the_world_goes_on(world):
    world.spawn(position={"x": np.zeros(2000, np.float32)}, velocity={"x": 1.0})
    world.add_system(integrate)
    pinned = []
    for _ in range(6):
        world.step(1.0)
        pinned.append(world.pin())
    assert [float(snapshot["position"].x[7]) for snapshot in pinned] == [1, 2, 3, 4, 5, 6]
    assert world.step(1.0, publish=False) is None and world.pin().frame == 6


def test_a_region_is_read_by_other_processes():
    name = unique("world")
    with hypostyle.World(LAYOUT, region=name) as world:
        world.spawn(position={"x": np.arange(10, dtype=np.float32)}, velocity={"x": 1.0})
        world.add_system(integrate)
        world.step(1.0)
        code = f"import hypostyle; print(hypostyle.open({name!r}).pin()['position'].x.sum())"
        assert float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) == 55
        with hypostyle.open(name) as region, region.pin() as snapshot:
            assert f"hypostyle.{name}/data" in mapping_of(snapshot["position"].x)
            seen = region.newest
            world.step(1.0)
            assert region.wait(seen, timeout=10) == seen + 1
        with pytest.raises(hypostyle.RegionInUseError, match=f"{name} already exists"):
            hypostyle.World(LAYOUT, region=name)
        with pytest.raises(hypostyle.RegionInUseError, match="has a live writer"):
            hypostyle.World.resume(name)
    with pytest.raises(hypostyle.RegionNotFoundError):
        hypostyle.open(name)


def test_a_kept_world_is_resumed(tmp_path):
    with hypostyle.World(LAYOUT, region=tmp_path / "kept", keep_region=True) as world:
        world.spawn(position={"x": [1.0, 2.0]}, velocity={"x": 1.0})
        world.add_system(integrate)
        world.step(1.0)
    with hypostyle.World.resume(tmp_path / "kept") as again:
        assert (again.frame, again.time, len(again)) == (1, 1.0, 2)
        again.add_system(integrate)
        again.step(1.0)
        with again.pin() as snapshot:
            assert snapshot["position"].x.tolist() == [3.0, 4.0]
    assert not (tmp_path / "kept").exists()


def test_regions_are_replaced_and_cleaned(tmp_path):
    name = unique("replaced")
    with hypostyle.World(LAYOUT, region=name, keep_region=True, replace=True) as first:
        first.spawn(3, marked=True)
        first.publish()
        with pytest.raises(hypostyle.RegionInUseError, match="writer"):
            hypostyle.World(LAYOUT, region=name, replace=True)
        with pytest.raises(hypostyle.RegionInUseError, match="writer"):
            hypostyle.clean(name)
    with pytest.raises(hypostyle.RegionInUseError):
        hypostyle.World(LAYOUT, region=name)
    with hypostyle.World(LAYOUT, region=name, keep_region=True, replace=True) as second:
        assert len(second) == 0 and second.generation == 0
    hypostyle.clean(name)
    with pytest.raises(hypostyle.RegionNotFoundError):
        hypostyle.clean(name)
    with hypostyle.World(LAYOUT, region=tmp_path / "kept", keep_region=True):
        pass
    assert hypostyle.clean_stale(tmp_path) == [], "what was kept stays"
    for wrong in ("nonsense", 'name = "w"\n[components.entities]\nfields = { x = "f32" }'):
        with pytest.raises(hypostyle.LayoutError):
            hypostyle.World(wrong, region=tmp_path / "kept", replace=True)
    assert (tmp_path / "kept").exists(), "a layout that is wrong replaces nothing"
    hypostyle.clean(tmp_path / "kept")
    assert not any(tmp_path.iterdir())


def test_a_failed_frame_is_undone(world):
    world.spawn(position={"x": np.zeros(100, np.float32)}, velocity={"x": 1.0})

    @hypostyle.system(reads="velocity", writes="position")
    def break_later(rows, frame):
        rows.position.x += 1
        if frame.frame == 3:
            raise RuntimeError("on purpose")

    world.add_system(break_later)
    world.step(1.0)
    world.step(1.0)
    with pytest.raises(hypostyle.FrameError, match="system `break_later`, rows 0..100 of .*RuntimeError: on purpose\nTraceback") as raised:
        world.step(1.0)
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert (world.frame, world.time) == (2, 2.0)
    world.publish()
    with world.pin() as snapshot:
        assert (snapshot["position"].x == 2).all()
    with pytest.raises(hypostyle.FrameError):
        world.step(1.0)


def test_a_system_that_keeps_its_arrays_is_refused(world):
    world.spawn(position={"x": np.zeros(100, np.float32)})
    kept = []

    @hypostyle.system(writes="position")
    def keep(rows, frame):
        kept.append(rows.position.x[10:20])

    world.add_system(keep)
    with pytest.raises(hypostyle.FrameError, match="kept an array of its rows"):
        world.step(1.0)
    with pytest.raises(hypostyle.HypostyleError, match="still held"):
        world.publish()
    with pytest.raises(hypostyle.HypostyleError, match="still held"):
        world.spawn(1, marked=True)
    kept.clear()
    assert world.publish() == 2 and world.frame == 0


def test_systems_see_what_they_declare(world):
    world.spawn(position={"x": np.zeros(10, np.float32)}, velocity={"x": 1.0}, heat={})
    seen = []

    @hypostyle.system(reads=["position"], writes=["heat"], without=["marked"])
    def look(rows, frame):
        seen.append((len(rows), rows.first_row, len(rows.entities), frame.dt))
        with pytest.raises(hypostyle.AbsentError, match="declares position, heat, and not `velocity`"):
            rows.velocity
        with pytest.raises(hypostyle.UnknownNameError):
            rows.speed
        with pytest.raises(hypostyle.HypostyleError, match="declare it in `writes`"):
            rows.position.x = 3
        with pytest.raises(ValueError):
            rows.position.x += 3
        with pytest.raises(hypostyle.HypostyleError, match="a system is running"):
            world.spawn(1, marked=True)
        rows.heat.steps += 1

    world.add_system(look)
    world.step(0.25)
    assert seen == [(10, 0, 10, 0.25)]
    with pytest.raises(ValueError, match="already"):
        world.add_system(look)
    with pytest.raises(ValueError, match="in reads and in writes"):
        hypostyle.system(reads="heat", writes="heat")(lambda rows, frame: None)
    with pytest.raises(hypostyle.UnknownNameError):
        world.add_system(hypostyle.system(reads="wind", name="w")(lambda rows, frame: None))


def test_entities_end(world):
    handles = world.spawn(position={"x": np.arange(10, dtype=np.float32)})
    world.despawn(handles[::2])
    assert len(world) == 5 and handles[0] not in world and handles[1] in world
    with pytest.raises(hypostyle.AbsentError, match="no longer alive"):
        world.despawn(handles[:2])
    assert len(world) == 5
    again = world.spawn(1, marked=True)
    assert hypostyle.entity_index(again[0]) == 0 and hypostyle.entity_generation(again[0]) == 1


def test_values_are_set_between_frames(world):
    handles = world.spawn(position={"x": np.arange(10.0), "y": 7}, velocity={"x": 1.0})
    hot = world.spawn(2, heat={"degrees": 1.0})
    world.add_system(integrate)
    world.step(1.0)
    world.set(handles[::-1], "position.x", np.arange(10.0) * 10)
    world.set(handles[3], "velocity", {"x": 100.0, "y": 0.0})
    world.set(handles[:2].tolist(), "position", {"at": [[1, 2], [3, 4]], "y": 0})
    for wrong, kind in (
        (lambda: world.set(hot, "position.x", 5.0), hypostyle.AbsentError),
        (lambda: world.set([*handles, hot[0]], "position.x", 5.0), hypostyle.AbsentError),
        (lambda: world.set([*handles, np.uint64(2**40)], "position.x", 5.0), hypostyle.AbsentError),
        (lambda: world.set(handles, "position.x", [1.0, 2.0]), ValueError),
        (lambda: world.set(handles, "position", {"x": 5.0, "at": [1, 2**16]}), hypostyle.FieldValueError),
        (lambda: world.set(handles, "position.z", 5.0), hypostyle.UnknownNameError),
        (lambda: world.set(1.5, "position.x", 5.0), TypeError),
    ):
        with pytest.raises(kind):
            wrong()
    world.set([], "position.x", 5.0)
    world.step(1.0)
    with world.pin() as snapshot:
        position = snapshot["position"]
        assert position.x.tolist() == [91, 81, 71, 160, 51, 41, 31, 21, 11, 1]
        assert position.at[:3].tolist() == [[1, 2], [3, 4], [0, 0]] and position.y[:3].tolist() == [-1, -1, 5]
        assert snapshot["heat"].degrees.tolist() == [1.0, 1.0]


def test_components_come_and_go_between_frames(world):
    handles = world.spawn(position={"x": np.arange(10.0), "y": 7})
    other = world.spawn(3, velocity={"x": 1.0})
    world.publish()
    # to a table of their own, to a toggle, to both of two tables; twice of one entity: the last counts
    world.add(handles[::-2], "velocity", {"x": np.arange(5.0)})
    world.add([*handles[:3], handles[0]], "heat", {"degrees": [1.0, 2.0, 3.0, 4.0]})
    world.add([handles[9], other[2]], "marked")
    world.add(other[1:], "velocity", {"y": 5.0})
    world.publish()
    with world.pin() as snapshot:

        def values(name, *fields):
            rows = snapshot[name].concat()
            return dict(zip(rows.entities.tolist(), zip(*(rows[field].tolist() for field in fields))))

        assert values("velocity", "x", "y") == {
            **{int(handles[9 - 2 * i]): (i, -1.0) for i in range(5)},
            int(other[0]): (1.0, -1.0),
            int(other[1]): (0.0, 5.0),
            int(other[2]): (0.0, 5.0),
        }
        assert values("heat", "degrees", "steps") == dict(zip(handles[:3].tolist(), [(4.0, 0), (2.0, 0), (3.0, 0)]))
        assert values("position", "x", "y") == {int(handle): (i, 7.0) for i, handle in enumerate(handles)}
        assert sorted(snapshot["marked"].concat().entities.tolist()) == sorted([int(handles[9]), int(other[2])])
    gone = world.spawn(1, position={})
    world.despawn(gone)
    before = world.publish()
    for wrong, kind in (
        (lambda: world.add([*handles, gone[0]], "heat", {"degrees": 9.0}), hypostyle.AbsentError),
        (lambda: world.add(handles, "heat", {"degrees": [1.0, 2.0]}), ValueError),
        (lambda: world.add(handles, "heat", {"kelvin": 1.0}), hypostyle.UnknownNameError),
        (lambda: world.add(handles, "cold"), hypostyle.UnknownNameError),
        (lambda: world.add(handles, "heat", {"degrees": "warm"}), (hypostyle.FieldValueError, TypeError)),
        (lambda: world.remove(handles, "cold"), hypostyle.UnknownNameError),
        (lambda: world.remove([*handles, gone[0]], "heat"), hypostyle.AbsentError),
    ):
        with pytest.raises(kind):
            wrong()
    assert world.remove(handles, "heat") == 3 and world.remove(handles, "heat") == 0
    assert world.remove([other[1], other[1]], "velocity") == 1
    world.add([], "heat")
    world.publish()
    with world.pin() as snapshot:
        assert snapshot.generation > before and len(snapshot["heat"]) == 0
        assert len(snapshot["velocity"]) == 7 and len(snapshot["position"]) == 10


def test_resources_are_set_by_fields(world):
    with pytest.raises(hypostyle.AbsentError):
        world.resource("gravity")
    world.set_resource("gravity", x=1, v=[2, 3])
    assert world.resource("gravity").y == np.float32(-9.81)
    world.set_resource("gravity", y=0.5)
    gravity = world.resource("gravity")
    assert (gravity.x, gravity.y, gravity.v.tolist()) == (1, 0.5, [2, 3])
    with pytest.raises(hypostyle.UnknownNameError, match="gravity.z"):
        world.set_resource("gravity", z=1)
    world.publish()
    with world.pin() as snapshot:
        assert snapshot.resources["gravity"].y == 0.5


def test_wrong_values_say_so(world):
    with pytest.raises(hypostyle.UnknownNameError, match="`positon`"):
        world.spawn(1, positon={})
    with pytest.raises(hypostyle.UnknownNameError, match="`position.z`"):
        world.spawn(1, position={"z": 1})
    with pytest.raises(ValueError, match="give `count`"):
        world.spawn(position={"x": 1})
    with pytest.raises(ValueError, match=r"`position.y` has values of shape \(3,\); \(2,\) is wanted"):
        world.spawn(position={"x": [1, 2], "y": [1, 2, 3]})
    with pytest.raises(ValueError, match="`heat.steps` is i32; it was given values of float64, such as 1.5.*: write integers"):
        world.spawn(heat={"steps": [1.5]})
    with pytest.raises(ValueError, match="`position.at` is .*u16.*holds 0 to 65535; it was given -1"):
        world.spawn(1, position={"at": [-1, 2]})
    with pytest.raises(TypeError, match="mapping"):
        world.spawn(1, position=3)
    with pytest.raises(hypostyle.LayoutError, match="f33"):
        hypostyle.World('name = "x"\n[components.a]\nfields = { x = "f33" }')
    assert len(world) == 0


def test_a_full_world_says_so():
    with hypostyle.World('name = "small"\nbytes_max = "1 MiB"\n[components.a]\nfields = { x = "f64" }') as world:
        with pytest.raises(hypostyle.NoSpaceError, match="bytes_max"):
            world.spawn(1_000_000, a={})
        assert len(world) == 0
        world.spawn(10, a={})
    with pytest.raises(hypostyle.ClosedError):
        world.publish()
