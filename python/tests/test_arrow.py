"""Arrow, pandas and polars see the same values, numbers in place."""

import subprocess

import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet
import pytest

import hypostyle
from conftest import program, unique
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
        assert table.schema.field("springs.partner").type == pa.list_(pa.uint64(), 16)
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
        frozen = np.concatenate([t.presence("frozen") for t in snapshot.tables if t.rows])
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
        arrow = snapshot.to_pandas("velocity", "springs", dtype_backend="pyarrow")
        assert isinstance(arrow["springs.count"].dtype, pandas.ArrowDtype)
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
        matrix = snapshot["springs"].to_polars()["springs.partner"]
        assert matrix.dtype == polars.Array(polars.UInt64, 16)
    with particles.pin() as snapshot:
        frame = snapshot.to_polars()
        assert frame["velocity.x"].null_count() == len(snapshot) - len(snapshot["velocity"])
        by_hot = frame.filter(polars.col("velocity.x").is_not_null()).group_by("hot").len()
        assert by_hot["len"].sum() == len(snapshot["velocity"])


LAYOUT = """
name = "arrow"
bytes_max = "16 MiB"
[components.a]
fields = { u = "u64", i = "i64", b = "bool", to = "entity", all = "[entity; 2]" }
[components.b]
fields = { u = "u64", i8 = "i8" }
[components.c]
storage = "toggle"
fields = { to = "entity", b = "bool" }
"""
BIG = [2**53 + 1, 2**63 + 7, 2**64 - 1]


@pytest.fixture
def mixed():
    """A world whose rows lack components, and whose handles are null in places."""
    with hypostyle.World(LAYOUT, region=unique("mixed")) as world:
        null = hypostyle.NULL_ENTITY
        ends = np.uint64([5, null, 7])
        pairs = np.uint64([[1, null], [null, null], [2, 3]])
        world.spawn(a={"u": BIG, "i": [2**53 + 1, -1, 0], "b": [True, False, True], "to": ends, "all": pairs})
        world.spawn(b={"u": BIG, "i8": [1, -2, 3]})
        world.spawn(b={"u": BIG}, c={"to": ends})
        world.spawn(2, b={"u": 1})
        world.publish()
        yield world


def test_handles_of_nobody_are_null(mixed):
    with mixed.pin() as snapshot:
        table = snapshot.to_arrow()
        table.validate(full=True)
        assert table["a.to"].to_pylist()[:3] == [5, None, 7]
        assert table["a.all"].to_pylist()[:3] == [[1, None], [None, None], [2, 3]]
        assert [v for v in table["c.to"].to_pylist() if v is not None] == [5, 7]
        assert table["c.to"].null_count == len(snapshot) - 2


def test_metadata_is_that_of_exports(mixed):
    with mixed.pin() as snapshot:
        schema = snapshot.to_arrow().schema
        assert schema.metadata == {
            b"hypostyle.layout": snapshot.layout.to_toml().encode(),
            b"hypostyle.layout_hash": f"{snapshot.layout.hash:016x}".encode(),
            b"hypostyle.generation": b"1",
            b"hypostyle.frame": b"0",
            b"hypostyle.time": b"0",
        }
        assert schema.field("a.to").metadata == {b"hypostyle.type": b"entity"}
        assert schema.field("a.all").metadata == {b"hypostyle.type": b"[entity; 2]"}
        assert schema.field("entity").metadata is None and not schema.field("entity").nullable


def test_integers_with_nulls_are_never_floats(mixed):
    with mixed.pin() as snapshot:
        frame = snapshot.to_pandas()
        assert {name: str(frame[name].dtype) for name in frame} == {
            "entity": "uint64",
            "a.u": "UInt64",
            "a.i": "Int64",
            "a.b": "boolean",
            "a.to": "UInt64",
            "a.all": "object",
            "b.u": "UInt64",
            "b.i8": "Int8",
            "c.to": "UInt64",
            "c.b": "boolean",
        }
        assert list(frame.columns) == snapshot.to_arrow().column_names
        assert [int(v) for v in frame["a.u"].dropna()] == BIG and [int(v) for v in frame["b.u"].dropna()] == BIG * 2 + [1, 1]
        assert frame["a.i"].dropna().tolist() == [2**53 + 1, -1, 0] and frame["a.to"][0] == 5 and frame["a.to"].isna()[1]
        assert frame["a.all"][0] == [1, None] and frame["a.all"][2] == [2, 3] and frame["a.all"][3] is None
        # without nulls all is as it was: numpy's types, in place
        single = snapshot.select("a").to_pandas("a")
        assert str(single["a.u"].dtype) == "uint64" and np.shares_memory(single["a.u"].to_numpy(), snapshot["a"].u)
        assert str(snapshot.to_polars()["a.u"].dtype) == "UInt64" and snapshot.to_polars()["a.u"][1] == BIG[1]


@pytest.mark.parametrize("flat", [False, True])
def test_exports_of_the_command_line_say_the_same(mixed, tmp_path, flat):
    path = tmp_path / "mixed.parquet"
    words = [program(), "export", mixed.region, "-o", str(path), *["--flat"] * flat]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if "export" in ran.stderr and "feature" in ran.stderr:
        pytest.skip("the program was built without `--features export`")
    assert ran.returncode == 0, ran.stderr
    with mixed.pin() as snapshot:
        own = snapshot.to_arrow(flat=flat)
        assert ("a.all[1]" in own.column_names, "a.all" in own.column_names) == (flat, not flat)
        own.validate(full=True)
    theirs = pa.parquet.read_table(path)
    own_fields = {field.name: field for field in own.schema}
    for field in theirs.schema:
        if field.name not in own_fields:
            # the frame and its time, of files alone
            assert "." not in field.name
            continue
        assert theirs[field.name].combine_chunks().equals(own[field.name].combine_chunks()), field.name
        kept = {key: value for key, value in (field.metadata or {}).items() if key.startswith(b"hypostyle.")}
        assert kept == (own_fields[field.name].metadata or {}), field.name
        assert field.nullable == own_fields[field.name].nullable, field.name
    for key, value in own.schema.metadata.items():
        assert theirs.schema.metadata[key] == value, key
    assert pandas.read_parquet(path).shape[0] == polars.read_parquet(path).shape[0] == len(snapshot)
