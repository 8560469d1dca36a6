"""Columns are arrays on the shared bytes; what they are follows from the layout."""

import gc
import weakref

import numpy as np
import pytest

import hypostyle
from memory import mapping_of, private_bytes


def test_a_column_is_an_array_on_the_shared_bytes(spheres):
    with spheres.pin() as snapshot:
        position = snapshot["position"]
        assert position.x.dtype == np.float64 and position.x.shape == (3000,)
        assert snapshot["velocity"].x.dtype == np.float64
        for array in (position.x, snapshot["springs"].partner, position.entities):
            line = mapping_of(array)
            assert f"hypostyle.{spheres.name}/data" in line, line
            assert line.split()[1].startswith("r--"), line
            assert not array.flags.writeable and not array.flags.owndata and array.flags.c_contiguous
        # the same bytes each time, and two columns have none in common
        assert position.x is snapshot["position"].x
        assert not np.shares_memory(position.x, position.y)
        assert np.isfinite(position.x).all() and (position.x >= 0).all()


def test_nothing_writes_through_an_array(spheres):
    with spheres.pin() as snapshot:
        x = snapshot["position"].x
        with pytest.raises(ValueError):
            x[0] = 1.0
        with pytest.raises(ValueError):
            x.flags.writeable = True
        with pytest.raises(ValueError):
            x.view().flags.writeable = True
        with pytest.raises(ValueError):
            np.add(x, 1, out=x)
        copy = x.copy()
        copy[0] = 1.0


def test_looking_costs_no_private_memory(still):
    region = hypostyle.open(still(1_000_000))
    with region.pin() as warm:
        warm["position"].x[:1000].sum()
    before = private_bytes()
    with region.pin() as snapshot:
        columns = [snapshot[name] for name in snapshot.layout.columns]
        total = sum(column.nbytes for column in columns)
        assert total > 100_000_000
        # reads every page of all of them, without making anything of the same size
        checked = sum(int(column.reshape(-1).view(np.uint8)[::4096].max()) for column in columns)
        assert checked > 0
        assert private_bytes() - before < total // 20
    region.close()


def test_arrays_of_a_field_are_matrices(spheres):
    with spheres.pin() as snapshot:
        partner = snapshot["springs"].partner
        assert partner.dtype == np.uint64 and partner.shape == (3000, 16) and partner.strides == (128, 8)
        assert mapping_of(partner)


def test_entities_are_handles(particles):
    with particles.pin() as snapshot:
        handles = np.concatenate([table.entities for table in snapshot.tables])
        assert handles.dtype == np.uint64 and len(np.unique(handles)) == len(handles) == len(snapshot)
        assert len(np.unique(hypostyle.entity_index(handles))) == len(handles)
        table, row = snapshot.locate(handles[17])
        assert table.entities[row] == handles[17]
        whole = snapshot.get(handles[17])
        assert whole["position"]["x"] == table["position"].x[row]
        assert snapshot.locate(hypostyle.NULL_ENTITY) is None
        with pytest.raises(hypostyle.AbsentError, match="is dead"):
            snapshot.get(hypostyle.NULL_ENTITY)


def test_a_component_in_several_tables_is_given_by_chunks(particles):
    with particles.pin() as snapshot:
        velocity = snapshot["velocity"]
        chunks = velocity.chunks
        assert len(chunks) == 2 and all("velocity" in chunk.table for chunk in chunks)
        with pytest.raises(hypostyle.SeveralTablesError, match=r"`velocity` stands in 2 tables .*concat\(\"x\"\)"):
            velocity.x
        with pytest.raises(hypostyle.SeveralTablesError):
            snapshot["velocity.x"]
        with pytest.raises(hypostyle.SeveralTablesError):
            velocity.entities
        whole = velocity.concat("x")
        assert np.array_equal(whole, np.concatenate([chunk.x for chunk in velocity]))
        assert not whole.flags.writeable and len(whole) == len(velocity)
        rows = velocity.concat()
        assert len(rows) == len(rows.y) == len(rows.entities) and np.array_equal(rows["x"], whole)
        table, row = snapshot.locate(rows.entities[-1])
        assert table["velocity"].x[row] == rows.x[-1]


def test_tables_are_selected_by_components(particles):
    with particles.pin() as snapshot:
        cool = snapshot.select("position", "velocity", without="hot")
        assert len(cool.tables) == 1 and "hot" not in cool.tables[0]
        x = cool["position"].x
        assert mapping_of(x) and len(x) == len(cool)
        hot = snapshot.select("velocity", "hot")
        assert len(cool) + len(hot) == len(snapshot["velocity"])
        emitters = snapshot.select("emitter")["emitter"]
        assert emitters.rate.dtype == np.float32 and emitters.seed.dtype == np.uint64
        assert snapshot["emitter.rate"] is emitters.rate
        with pytest.raises(hypostyle.UnknownNameError, match="`tail`.*position"):
            snapshot.select("tail")


def test_tags_and_toggles_are_masks(particles):
    with particles.pin() as snapshot:
        for chunk in snapshot["frozen"]:
            mask = chunk.presence
            assert mask.dtype == np.bool_ and len(mask) == chunk.rows
        assert len(snapshot["frozen"]) == sum(int(chunk.presence.sum()) for chunk in snapshot["frozen"].chunks)
        table = snapshot["velocity"].chunks[0].table
        assert table.presence("position").all() and not table.presence("emitter").any()


def test_a_table_tells_what_it_lacks(particles):
    with particles.pin() as snapshot:
        table = snapshot.select("emitter").tables[0]
        with pytest.raises(hypostyle.AbsentError, match="has no component `velocity`; it has global_id, position"):
            table["velocity"]
        with pytest.raises(hypostyle.AbsentError, match="no column `velocity.x`"):
            table.column("velocity.x")


def test_resources_are_values(particles):
    with particles.pin() as snapshot:
        gravity = snapshot.resources["gravity"]
        assert gravity.y == np.float32(-9.81) and gravity["x"] == 0 and dict(gravity)["z"] == 0
        walls = snapshot.resources["walls"]
        assert walls.max.shape == (3,) and not walls.max.flags.writeable
        assert set(snapshot.resources) >= {"gravity", "drag", "walls", "census"}
        assert snapshot.resources["census"].frame == snapshot.frame
        with pytest.raises(hypostyle.UnknownNameError, match="`wind`; there are: gravity"):
            snapshot.resources["wind"]
        with pytest.raises(AttributeError, match="`gravity.w`"):
            gravity.w


def test_the_layout_says_what_there_is(particles):
    layout = particles.layout
    assert layout.name == "particles" and layout.bytes_max == 4 << 30
    assert layout.field("position.x").type == "f32" and layout.field("lifetime.seconds").default == 5.0
    assert layout.components["frozen"].storage == "toggle"
    assert layout.resource("walls").fields[0].type == "[f32; 3]"
    assert "position.x" in layout.columns and "[components.position]" in str(layout)
    wanted = r"`positon` \(did you mean `position`\?\); there are: global_id, position, velocity"
    with pytest.raises(hypostyle.UnknownNameError, match=wanted):
        layout.component("positon")


def test_the_newest_frames_changes_are_exact_where_they_are_tracked(spheres):
    with spheres.pin() as snapshot:
        table = snapshot["radius"].chunks[0].table
        changed = table.changed("radius")
        assert changed.dtype == np.bool_ and changed.shape == (3000,)
        assert table.changed("position") is None


def test_an_unreleased_snapshot_goes_with_its_last_reference(spheres):
    gc.disable()
    try:
        held = lambda: [lease for lease in spheres.leases if lease.generation is not None and lease.is_alive]
        before = len(held())
        snapshot = spheres.pin()
        chunk, gone = snapshot["position"].chunks[0], weakref.ref(snapshot)
        assert len(held()) == before + 1
        del snapshot
        assert gone() is None and len(held()) == before + 1
        del chunk
        assert len(held()) == before, "nothing refers in a circle"
    finally:
        gc.enable()
