"""Arrow, pandas and polars see the same values, numbers in place."""

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

from memory import mapping_of


def address(array):
    return array.__array_interface__["data"][0]


def test_arrow_columns_lie_on_the_shared_bytes(spheres):
    with spheres.pin() as snapshot:
        table = snapshot.to_arrow()
        assert table.num_rows == 3000
        for name in snapshot.layout.columns:
            field = snapshot.layout.field(name)
            (chunk,) = table[name].chunks
            column = snapshot[name]
            values = chunk.flatten() if field.array_len else chunk
            assert values.buffers()[1].address == address(column), name
            assert np.array_equal(values.to_numpy(), column.reshape(-1))
        assert table["entity"].chunks[0].buffers()[1].address == address(snapshot["position"].entities)
        assert table.schema.field("contact.near").type == pa.list_(pa.uint32(), 20)
        assert table["asleep"].type == pa.bool_()
        metadata = table.schema.metadata
        assert metadata[b"hypostyle.generation"] == str(snapshot.generation).encode()
        table.validate(full=True)


def test_rows_without_a_component_are_null(particles):
    with particles.pin() as snapshot:
        table = snapshot.to_arrow()
        table.validate(full=True)
        assert table.num_rows == len(snapshot)
        moving = len(snapshot["velocity"])
        assert table["velocity.x"].null_count == len(snapshot) - moving
        assert table["position.x"].null_count == 0
        frozen = np.concatenate([t.present("frozen") for t in snapshot.tables if t.rows])
        assert np.array_equal(table["frozen"].to_numpy(), frozen)
        chosen = snapshot.to_arrow("velocity", "hot")
        assert chosen.num_rows == len(snapshot.select("velocity", "hot"))
        assert chosen.column_names == ["entity", "velocity.x", "velocity.y", "velocity.z", "hot"]


def test_an_arrow_table_holds_its_generation(bodies):
    with bodies.pin() as snapshot:
        table = snapshot["position"].to_arrow()
        copy, generation = snapshot["position"].x.copy(), snapshot.generation
    bodies.wait(generation + 4, timeout=60)
    assert generation in [lease.generation for lease in bodies.leases]
    assert np.array_equal(table["position.x"].to_numpy(), copy)
    del table
    assert generation not in [lease.generation for lease in bodies.leases]


def test_pandas(spheres, particles):
    with spheres.pin() as snapshot:
        frame = snapshot["position"].to_pandas()
        assert list(frame.columns) == ["entity", "position.x", "position.y", "position.z"]
        assert np.array_equal(frame["position.x"].to_numpy(), snapshot["position"].x)
        assert np.shares_memory(frame["position.x"].to_numpy(), snapshot["position"].x)
        arrow = snapshot.to_pandas("velocity", "contact", dtype_backend="pyarrow")
        assert isinstance(arrow["contact.count"].dtype, pandas.ArrowDtype)
        with pytest.raises(ValueError, match="dtype_backend"):
            snapshot.to_pandas(dtype_backend="numpy2")
    with particles.pin() as snapshot:
        frame = snapshot.to_pandas()
        assert int(frame["velocity.x"].isna().sum()) == len(snapshot) - len(snapshot["velocity"])


def test_polars(spheres, particles):
    with spheres.pin() as snapshot:
        frame = snapshot["position"].to_polars()
        assert np.array_equal(frame["position.y"].to_numpy(), snapshot["position"].y)
        assert mapping_of(frame["position.y"].to_numpy(allow_copy=False)) == mapping_of(snapshot["position"].y)
        assert frame.schema["position.x"] == polars.Float64
        assert polars.DataFrame(snapshot["velocity"]).shape == (3000, 4)
        matrix = snapshot["contact"].to_polars()["contact.near"]
        assert matrix.dtype == polars.Array(polars.UInt32, 20)
    with particles.pin() as snapshot:
        frame = snapshot.to_polars()
        assert frame["velocity.x"].null_count() == len(snapshot) - len(snapshot["velocity"])
        by_hot = frame.filter(polars.col("velocity.x").is_not_null()).group_by("hot").len()
        assert by_hot["len"].sum() == len(snapshot["velocity"])
