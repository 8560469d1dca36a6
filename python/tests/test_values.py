"""What is given is what is held, or an error: no value is changed to make it fit, no handle is taken for a row."""

import numpy as np
import pytest

import hypostyle

LAYOUT = """
name = "values"
bytes_max = "64 MiB"
[components.n]
fields = { i8 = "i8", i16 = "i16", i32 = "i32", i64 = "i64", u8 = "u8", u16 = "u16", u32 = "u32", u64 = "u64" }
[components.r]
fields = { f32 = "f32", f64 = "f64", up = "bool", to = "entity", v = "[i8; 3]" }
[components.body]
fields = { x = "f32" }
[components.spark]
fields = { parent = "entity" }
[components.toggled]
storage = "toggle"
fields = { q = "i32" }
[resources.limits]
fields = { i8 = "i8", u8 = "u8", f32 = "f32", v = "[u8; 2]" }
"""
INTEGERS = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"]


@pytest.fixture
def world():
    with hypostyle.World(LAYOUT) as made:
        yield made


def run_once(world, kernel, **declared):
    """Runs a system once, in this thread; its error is the frame's cause."""
    made = hypostyle.system(**declared)(kernel)
    with hypostyle.Simulation(world, [made], "local") as simulation:
        return simulation.step(0.1).patches[made.name]


def misfits():
    for name in INTEGERS:
        held = np.iinfo(np.dtype({"i": "i", "u": "u"}[name[0]] + str(int(name[1:]) // 8)))
        yield "n", name, held.min - 1
        yield "n", name, held.max + 1
        yield "n", name, 1.5
        yield "n", name, 2.0
        yield "n", name, float("nan")
        yield "n", name, True
        yield "n", name, "1"
        yield "n", name, None
        yield "n", name, 1j
    yield "n", "i8", np.int64(300)
    yield "n", "u8", np.int64(-1)
    yield "n", "i32", np.uint64(2**40)
    yield "r", "f32", 1e39
    yield "r", "f32", 2**24 + 1
    yield "r", "f64", 2**53 + 1
    yield "r", "f64", -(2**53) - 1
    yield "r", "f64", 2**70
    yield "r", "f32", True
    yield "r", "f32", "x"
    yield "r", "f32", None
    yield "r", "f32", np.datetime64("2020-01-01")
    yield "r", "up", 1
    yield "r", "up", 0.0
    yield "r", "to", -1
    yield "r", "to", 1.0
    yield "r", "to", 2**64
    yield "r", "v", [1, 2, 300]


@pytest.mark.parametrize(("component", "field", "value"), list(misfits()))
def test_values_that_do_not_fit_are_refused_everywhere(world, component, field, value):
    def refused(act):
        with pytest.raises(hypostyle.FieldValueError, match=rf"`{component}.{field}`"):
            act()

    refused(lambda: world.spawn(2, **{component: {field: value}}))
    if field != "v":
        # also within an array
        refused(lambda: world.spawn(**{component: {field: [value, value]}}))
    assert len(world) == 0
    entities = world.spawn(2, n={}, r={})
    tried = []

    def kernel(rows, frame, patches):
        refused(lambda: patches.set_rows(0, f"{component}.{field}", value))
        refused(lambda: patches.set(rows.entities, f"{component}.{field}", value))
        refused(lambda: patches.add_rows([0, 1], component, {field: value}))
        refused(lambda: patches.spawn(1, **{component: {field: value}}))
        refused(lambda: setattr(rows[component], field, value))
        tried.append(len(rows))

    run_once(world, kernel, writes=["n", "r"], sets=["n", "r"], adds=["n", "r"], spawns=["n", "r"])
    assert tried == [2] and len(world) == 2 == len(entities)
    world.publish()
    with world.pin() as snapshot:
        for name in (*INTEGERS, "f32", "f64"):
            assert not snapshot["n" if name in INTEGERS else "r"][name].any(), "a refused value left something"


def test_values_that_fit_are_held_as_they_are(world):
    for name in INTEGERS:
        held = np.iinfo(np.dtype(name[0] + str(int(name[1:]) // 8)))
        world.spawn(n={name: [held.min, held.max]})
        world.spawn(n={name: np.array([0, 1], np.int64)})
        world.spawn(1, n={name: np.array([held.max], object)})
        world.spawn(1, n={name: held.max})
    world.spawn(r={"f32": [1, 2**24], "f64": [2**53, 2**60]})
    world.spawn(r={"f32": np.array([0.1, np.inf, np.nan]), "f64": np.float16([1, 2, 3])})
    world.spawn(1, r={"f64": 2**63, "up": np.True_, "to": hypostyle.NULL_ENTITY, "v": [-128, 0, 127]})
    world.spawn(n={"u8": []})
    world.publish()
    with world.pin() as snapshot:
        n, r = snapshot["n"], snapshot["r"]
        for at, name in enumerate(INTEGERS):
            held = np.iinfo(n[name].dtype)
            assert n[name][6 * at : 6 * at + 6].tolist() == [held.min, held.max, 0, 1, held.max, held.max]
        assert r.f32[:4].tolist() == [1, 2**24, float(np.float32(0.1)), np.inf] and np.isnan(r.f32[4])
        assert r.f64.tolist() == [2**53, 2**60, 1, 2, 3, 2**63] and r.v[5].tolist() == [-128, 0, 127]


@pytest.mark.parametrize(
    "wrong", [{"i8": 300}, {"u8": -1}, {"i8": 1.5}, {"f32": 1e39}, {"u8": True}, {"v": [1, 256]}, {"i8": 1, "u8": 2**40}]
)
def test_resources_take_what_fits(world, wrong):
    world.set_resource("limits", i8=-5, u8=7)
    with pytest.raises(hypostyle.FieldValueError, match="`limits."):
        world.set_resource("limits", **wrong)
    with pytest.raises(ValueError, match=r"shape \(3,\); \(2,\) is wanted"):
        world.set_resource("limits", i8=1, v=[1, 2, 3])
    assert (world.resource("limits").i8, world.resource("limits").u8) == (-5, 7)
    world.spawn(1, body={})

    def kernel(rows, frame, patches):
        patches.set_resource("limits", **{"i8": 0, "u8": 0, "f32": 0, "v": 0, **wrong})

    with pytest.raises(hypostyle.FrameError, match="FieldValueError: `limits"):
        run_once(world, kernel, reads="body", sets_resources="limits")
    assert world.resource("limits").i8 == -5


def test_absent_values_are_none(world):
    world.spawn(toggled={"q": [1, 2]}, body={})
    world.spawn(1, body={})
    world.publish()
    with world.pin() as snapshot:
        masked = np.ma.MaskedArray([1, 2, 3], [False, False, True])
        with pytest.raises(hypostyle.FieldValueError, match="masked"):
            world.spawn(toggled={"q": masked})
        assert len(world.spawn(toggled={"q": masked[:2]})) == 2
        assert len(world.spawn(toggled={"q": snapshot["toggled"].concat("q")})) == 2


def test_payloads_are_bytes(world):
    world.spawn(1, body={})

    @hypostyle.system(reads="body", payload=b"first")
    def look(rows, frame):
        seen.append(frame.payload)

    seen = []
    with hypostyle.Simulation(world, [look]) as simulation:
        simulation.step(0.1)
        simulation.set_payload("look", np.array([1, 2], "<u2"))
        simulation.step(0.1)
        for wrong in (5, "text", [1, 2], 1.5, None):
            with pytest.raises(TypeError, match="a payload is bytes"):
                simulation.set_payload("look", wrong)
            with pytest.raises(TypeError, match="a payload is bytes"):
                hypostyle.system(reads="body", payload=wrong)(lambda rows, frame: None)
    assert seen == [b"first", b"\x01\x00\x02\x00"]


HANDLES = {
    "array": lambda handles: handles,
    "slice": lambda handles: handles[::-1][:],
    "list": list,
    "scalars": lambda handles: [handles[i] for i in range(len(handles))],
    "series": lambda handles: __import__("pandas").Series(handles),
    "tolist": lambda handles: handles.tolist(),
    "ints": lambda handles: [int(v) for v in handles],
    "int64": lambda handles: handles.astype(np.int64),
    "float": lambda handles: handles.astype(float),
    "series list": lambda handles: __import__("pandas").Series(handles).tolist(),
    "with none": lambda handles: [*handles.tolist(), hypostyle.NULL_ENTITY],
}


@pytest.mark.parametrize("kind", list(HANDLES))
def test_handles_are_never_taken_for_rows(world, kind):
    bodies = world.spawn(body={"x": np.arange(5.0)})
    sparks = world.spawn(spark={"parent": bodies[[4, 3, 2, 1, 0]]})

    def end(rows, frame, patches):
        patches.despawn(HANDLES[kind](rows.spark.parent))

    if kind in ("array", "slice", "list", "scalars", "series"):
        counts = run_once(world, end, reads="spark", despawns=True)
        assert counts.applied == 5 and not any(body in world for body in bodies)
    else:
        with pytest.raises(hypostyle.FrameError, match=r"`despawn` takes handles .*write `despawn_rows`"):
            run_once(world, end, reads="spark", despawns=True)
        assert all(body in world for body in bodies)
    assert all(spark in world for spark in sparks)


def test_rows_are_never_taken_for_handles(world):
    others = world.spawn(100, body={})
    sparks = world.spawn(10, spark={})
    seen = []

    def end(rows, frame, patches):
        for call in (patches.despawn, lambda t: patches.set(t, "spark.parent", 0), lambda t: patches.add(t, "toggled")):
            for wrong in (slice(0, 2), 3, [1, 2], np.arange(3), rows.spark.parent == 0, True, np.uint32([1]), [[1, 2]]):
                with pytest.raises(TypeError, match="takes handles .*_rows`"):
                    call(wrong)
        with pytest.raises(TypeError, match="takes handles"):
            patches.remove(np.flatnonzero(rows.spark.parent), "toggled") or patches.remove([0], "toggled")
        for call in (patches.despawn_rows, lambda t: patches.set_rows(t, "spark.parent", 0)):
            for wrong in (rows.entities, rows.entities[3], list(rows.entities), [1.5], [[1]], "1"):
                with pytest.raises(TypeError, match="_rows` takes rows .*write `"):
                    call(wrong)
            for wrong in (-1, 10, [0, 10], np.ones(9, bool)):
                with pytest.raises(IndexError):
                    call(wrong)
        patches.despawn_rows([1, 2])
        patches.despawn_rows(slice(3, 5))
        patches.add_rows(np.arange(10) > 7, "toggled", {"q": [5, 6]})
        seen.append(True)

    counts = run_once(world, end, reads="spark", sets="spark", adds="toggled", removes="toggled", despawns=True)
    assert seen and (counts.applied, counts.refused, counts.despawned) == (6, 0, 4)
    assert all(each in world for each in others)
    assert [each in world for each in sparks] == [True, False, False, False, False, *[True] * 5]


def test_handles_of_worlds_are_whole_numbers(world):
    handles = world.spawn(5, body={})
    for wrong in (1.5, [1.0], [True], "1", [None], np.array(["a"])):
        with pytest.raises(TypeError, match="handles are integers|a handle is a whole number"):
            world.despawn(wrong)
    for wrong in (-1, [3, -1]):
        with pytest.raises(ValueError, match="handles are integers"):
            world.despawn(wrong)
    world.publish()
    with world.pin() as snapshot:
        for act in (world.__contains__, snapshot.locate, snapshot.get):
            for wrong in (1.5, True, "1", None):
                with pytest.raises(TypeError, match="a handle is a whole number"):
                    act(wrong)
            with pytest.raises(ValueError, match="0 or more"):
                act(-1)
    assert len(world) == 5
    world.despawn(handles[:2].tolist())
    world.despawn([])
    with pytest.raises(hypostyle.AbsentError):
        world.despawn([hypostyle.NULL_ENTITY, 3])
    world.despawn(int(handles[2]))
    assert [each in world for each in handles] == [False, False, False, True, True]


def test_counts_are_checked_before_anything_is_reserved(world):
    for wrong, kind in ((-1, ValueError), (1.5, TypeError), (True, TypeError), ("3", TypeError)):
        with pytest.raises(kind, match="the number of entities"):
            world.spawn(wrong, body={})
    for far in (2**63, 2**40, 4_000_000_000):
        with pytest.raises(hypostyle.NoSpaceError, match=rf"{far} entities of 12 B .*bytes_max = 67108864 B: spawn 5592405"):
            world.spawn(far, body={"x": 1.0})
        with pytest.raises(hypostyle.NoSpaceError, match="bytes_max"):
            world.spawn(far)
    assert len(world) == 0
    world.spawn(1, spark={})

    def kernel(rows, frame, patches):
        with pytest.raises(hypostyle.NoSpaceError, match="bytes_max"):
            patches.spawn(4_000_000_000, body={})

    run_once(world, kernel, reads="spark", spawns="body")
    assert len(world) == 1
    with hypostyle.Simulation(world, [hypostyle.system(reads="body")(lambda rows, frame: None)]) as simulation:
        for wrong, kind in ((1.5, TypeError), (-1, ValueError), (True, TypeError)):
            with pytest.raises(kind, match="the number of frames"):
                simulation.run(wrong, 0.1)
    for wrong, kind in ((0, ValueError), (2.5, TypeError)):
        with pytest.raises(kind, match="publish_every"):
            hypostyle.Simulation(world, [], publish_every=wrong)
    with pytest.raises(TypeError, match="entities"):
        hypostyle.Scene("particles", entities=1.5)


def test_a_despawn_happens_whole_or_not_at_all(world):
    handles = world.spawn(5, body={})
    world.despawn(handles[4])
    with pytest.raises(hypostyle.AbsentError):
        world.despawn(handles)
    assert len(world) == 4
