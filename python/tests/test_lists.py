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
