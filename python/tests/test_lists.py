"""Components that are lists: any number of elements per entity, as arrays in place and as Arrow lists."""

import numpy as np
import pytest

import hypostyle
from hypostyle.snapshot import Table

LAYOUT = """
name = "lists"
[components.body]
fields = { x = "f64" }
[components.near]
storage = "list"
fields = { place = "u32", push = "[f32; 3]", other = "entity", on = "bool" }
"""
NOBODY = 2**64 - 1


@pytest.fixture
def snapshot():
    with hypostyle.World(LAYOUT) as world:
        world.spawn(3, body={"x": 1.0}, near={})
        world.spawn(2, body={"x": 1.0})
        world.publish()
        with world.pin() as pinned:
            yield pinned


def test_lists_are_three_arrays(snapshot):
    (table,) = (table for table in snapshot.tables if "near" in table.components)
    starts, lengths, values = table.list("near.push")
    assert starts.tolist() == lengths.tolist() == [0, 0, 0]
    assert values.dtype == np.float32 and values.shape == (0, 3) and not starts.flags.writeable
    assert {name: len(list_) for name, list_ in snapshot.get(table.entities[0])["near"].items()} == {
        "place": 0,
        "push": 0,
        "other": 0,
        "on": 0,
    }
    with pytest.raises(hypostyle.UnknownNameError):
        table.list("near.nothing")
    with pytest.raises(Exception, match="no list"):
        table.list("body.x")
    (other,) = (table for table in snapshot.tables if "near" not in table.components)
    with pytest.raises(hypostyle.AbsentError):
        other.list("near.place")


@pytest.mark.parametrize("starts, lengths", [([2, 4, 4], [2, 0, 3]), ([5, 0, 1], [2, 1, 3]), ([0, 0, 0], [0, 0, 0])])
def test_arrow_has_lists_in_any_order(snapshot, monkeypatch, starts, lengths):
    pytest.importorskip("pyarrow")
    place = np.arange(9)
    values = {
        "place": place.astype(np.uint32),
        "push": np.arange(27, dtype=np.float32).reshape(9, 3),
        "other": np.where(place == 4, NOBODY, place).astype(np.uint64),
        "on": place % 2 == 0,
    }

    def lists(self, name):
        return np.array(starts, np.uint32), np.array(lengths, np.uint32), values[name.split(".")[1]]

    monkeypatch.setattr(Table, "list", lists)
    table = snapshot.to_arrow()
    table.validate(full=True)
    spans = [range(start, start + length) for start, length in zip(starts, lengths)]

    def column(name):
        return [value for value in table[name].to_pylist() if value is not None]

    assert column("near.place") == [list(span) for span in spans]
    assert column("near.push") == [[[3.0 * i, 3.0 * i + 1, 3.0 * i + 2] for i in span] for span in spans]
    assert column("near.other") == [[None if i == 4 else i for i in span] for span in spans]
    assert column("near.on") == [[i % 2 == 0 for i in span] for span in spans]


LISTS = """
name = "lists"
[components.body]
fields = { x = "f64", sum = "f64" }
[components.near]
storage = "list"
fields = { place = "u32", push = "f64" }
[components.draft]
storage = "scratch_list"
fields = { place = "u32" }
"""


@hypostyle.system(reads="body", sets_lists="near")
def touch(rows, frame, patches):
    count = (rows.body.x.astype(np.int64) + frame.frame) % 4
    patches.set_lists_rows(slice(None), "near", count, push=np.repeat(rows.body.x, count))


@hypostyle.system(writes="body", reads_lists="near", after="touch")
def pull(rows, frame):
    starts, lengths, push = rows.list("near.push")
    sums = np.concatenate(([0.0], np.cumsum(push)))
    rows.body.sum = sums[starts + lengths] - sums[starts]


@hypostyle.system(with_=("body", "draft"), builds_lists="draft", job_rows=64)
def build(rows, frame, patches):
    count = (rows.entities.astype(np.int64) * frame.frame) % 7
    patches.set_lists_rows(np.arange(len(rows)), "draft", count, place=np.arange(count.sum()))


@hypostyle.system(reads="body", without="near", adds="near", spawns=("body", "near"), job_rows=64)
def begin(rows, frame, patches):
    patches.add_lists_rows(slice(None), "near", 1, push=7.0)
    (child,) = patches.spawn(1, body={"x": -1.0}, near={})
    patches.add_lists(child, "near", 2, push=[0.5, 0.25])


@pytest.mark.parametrize("workers", ["local", "threads:2"])
def test_systems_set_and_read_and_build_lists(workers):
    with hypostyle.World(LISTS) as world:
        world.spawn(200, body={"x": np.arange(200.0)}, near={}, draft={})
        with hypostyle.Simulation(world, [touch, pull, build], workers=workers) as simulation:
            for number in (1, 2, 3):
                simulation.step(1.0)
                with world.pin() as pinned:
                    (table,) = pinned.tables
                    x, sums = table["body"].x, table["body"].sum
                    assert sums.tolist() == (x * ((x.astype(int) + number) % 4)).tolist()
                    starts, lengths, places = table.list("near.place")
                    assert lengths.sum() == len(places) and not places.any(), "the default"


def test_a_system_adds_lists_to_living_entities():
    with hypostyle.World(LISTS) as world:
        world.spawn(100, body={"x": 1.0})
        with hypostyle.Simulation(world, [begin]) as simulation:
            simulation.run(2, 1.0)
        with world.pin() as pinned:
            (table,) = (table for table in pinned.tables if table.rows)
            starts, lengths, push = table.list("near.push")
            assert sorted(lengths.tolist()) == [1] * 100 + [2, 2]
            assert sorted(push.tolist()) == [0.25, 0.25, 0.5, 0.5] + [7.0] * 100


def test_what_a_system_does_not_declare_of_lists_is_refused():
    @hypostyle.system(reads="body")
    def reads(rows, frame):
        rows.list("near.push")

    @hypostyle.system(reads="body")
    def sets(rows, frame, patches):
        patches.set_lists_rows([0], "near", [1])

    @hypostyle.system(reads="body", sets_lists="near")
    def negative(rows, frame, patches):
        patches.set_lists_rows([0], "near", [-1])

    @hypostyle.system(reads="body", builds_lists="near")
    def state(rows, frame, patches):
        pass

    for made, words in [(reads, "reads_lists"), (sets, "sets_lists"), (negative, "whole numbers"), (state, "is state|are state")]:
        with hypostyle.World(LISTS) as world:
            world.spawn(3, body={"x": 1.0}, near={})
            with pytest.raises(Exception, match=words):
                with hypostyle.Simulation(world, [made]) as simulation:
                    simulation.step(1.0)


FISH = """
name = "fish"
[components.fish]
fields = { x = "f64", sharks = "u32", reefs = "u32" }
[components.shark]
fields = { x = "f64" }
[components.reef]
fields = { x = "f64" }
[components.big]
fields = {}
"""


@hypostyle.system(writes="fish", views={"hunters": ("shark", "big"), "shelter": "reef"})
def look(rows, frame):
    rows.fish.sharks = sum(len(table) for table in rows.view("hunters"))
    rows.fish.reefs = sum(int(table.reef.x.sum()) for table in rows.view("shelter"))
    assert len(rows.neighbours) == 0
    with pytest.raises(hypostyle.AbsentError, match="name it in `views`"):
        rows.view("food")


@hypostyle.system(reads="fish", neighbours="shark", views={"shelter": "reef"}, sets="fish")
def both(rows, frame, patches):
    seen = sum(len(table) for table in rows.neighbours), sum(len(table) for table in rows.view("shelter"))
    patches.set_rows(slice(None), "fish.sharks", 100 * seen[0] + seen[1])


@pytest.mark.parametrize("workers", ["local", "threads:2"])
def test_a_system_has_several_views_by_name(workers):
    with hypostyle.World(FISH) as world:
        world.spawn(10, fish={"x": 1.0})
        world.spawn(3, shark={"x": 2.0}, big=True)
        world.spawn(2, shark={"x": 2.0})
        world.spawn(4, reef={"x": [1.0, 2.0, 3.0, 4.0]})
        for made, sharks, reefs in [(look, 3, 10), (both, 504, 10)]:
            with hypostyle.Simulation(world, [made], workers=workers) as simulation:
                simulation.step(1.0)
            with world.pin() as pinned:
                (table,) = (table for table in pinned.tables if "fish" in table.components)
                fish = table["fish"]
                assert fish.sharks.tolist() == [sharks] * 10 and fish.reefs.tolist() == [reefs] * 10
