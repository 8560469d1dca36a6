"""Journals of many ranks as one data set: partitioned by frame and rank, rows in order, read by the tools that people have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import hypostyle
from conftest import program
from test_clusters import ranks_program

ENTITIES, FRAMES, EVERY, RANKS = 864, 20, 10, 3


def told(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    """The journals of three ranks and of one process, and the data set of the former."""
    place = tmp_path_factory.mktemp("journals")
    run = ["--entities", str(ENTITIES), "--frames", str(FRAMES)]
    ranks = told(ranks_program(), "run", "lj", *run, "--ranks", str(RANKS), "--record", str(place / "ranks"), "--print-hash=by-id")
    one = told(program(), "run", "lj", *run, "--record", str(place / "one"), "--print-hash=by-id")
    assert ranks == one
    told(program(), "export", str(place / "ranks"), "-o", str(place / "set"), "--every", str(EVERY))
    return place


def truth(frames: Path, frame: int) -> dict[int, float]:
    """Places by global ids, as one process has them."""
    with hypostyle.open(f"{frames / 'one'}@{frame}") as region, region.pin() as snapshot:
        return dict(zip(snapshot["global_id"].concat("value").tolist(), snapshot["position"].concat("x").tolist()))


def test_files_are_partitioned_by_frame_and_rank(frames):
    made = sorted(str(path.relative_to(frames / "set")) for path in (frames / "set").rglob("*.parquet"))
    assert made == sorted(f"frame={f}/rank={r}/part-0.parquet" for f in (0, 10, 20) for r in range(RANKS))


def test_rows_are_in_order_and_the_files_say_so(frames):
    pq = pytest.importorskip("pyarrow.parquet")
    for path in (frames / "set").rglob("*.parquet"):
        file = pq.ParquetFile(path)
        names = [file.schema_arrow.names[column.column_index] for column in file.metadata.row_group(0).sorting_columns]
        assert names == ["cell.key", "global_id.value"]
        table = file.read()
        places = np.rec.fromarrays([table["cell.key"].to_numpy(), table["global_id.value"].to_numpy()])
        assert (np.argsort(places, kind="stable") == np.arange(len(places))).all()
        assert file.schema_arrow.metadata[b"hypostyle.rank"].decode() == path.parent.name.removeprefix("rank=")


def test_pyarrow_reads_one_data_set(frames):
    dataset = pytest.importorskip("pyarrow.dataset")
    read = dataset.dataset(frames / "set", partitioning="hive").to_table()
    assert read.num_rows == 3 * ENTITIES
    for frame in (0, 10, 20):
        rows = read.filter(dataset.field("frame") == frame)
        assert set(rows["rank"].to_pylist()) == set(range(RANKS))
        assert dict(zip(rows["global_id.value"].to_pylist(), rows["position.x"].to_pylist())) == truth(frames, frame)


def test_polars_and_duckdb_read_it_too(frames):
    pattern, ids = str(frames / "set" / "**" / "*.parquet"), sorted(truth(frames, 10))
    polars = pytest.importorskip("polars")
    read = polars.scan_parquet(pattern, hive_partitioning=True).filter(polars.col("frame") == 10).collect()
    assert sorted(read["global_id.value"].to_list()) == ids and set(read["rank"].to_list()) == set(range(RANKS))
    duckdb = pytest.importorskip("duckdb")
    query = f"""SELECT count(*), count(DISTINCT rank), count(DISTINCT "global_id.value")
                FROM read_parquet('{pattern}', hive_partitioning = true) WHERE frame = 10"""
    assert duckdb.sql(query).fetchall() == [(ENTITIES, RANKS, ENTITIES)]


def test_dask_reads_it_too(frames):
    want = truth(frames, 10)
    dask = pytest.importorskip("dask.dataframe")
    read = dask.read_parquet(frames / "set", filters=[("frame", "==", 10)])
    assert read.npartitions >= RANKS, "a part of each rank, at least"
    rows = read[["global_id.value", "position.x", "rank"]].compute()
    assert dict(zip(rows["global_id.value"].tolist(), rows["position.x"].tolist())) == want
    assert {int(rank) for rank in rows["rank"]} == set(range(RANKS))
    # what is reduced of all frames is reduced part by part
    assert len(dask.read_parquet(frames / "set")) == 3 * ENTITIES


def test_ray_reads_it_too(frames):
    ray = pytest.importorskip("ray")
    data = pytest.importorskip("ray.data")
    ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR")
    try:
        rows = [row for row in data.read_parquet(str(frames / "set")).take_all() if int(row["frame"]) == 10]
    finally:
        ray.shutdown()
    assert {row["global_id.value"]: row["position.x"] for row in rows} == truth(frames, 10)
    assert {int(row["rank"]) for row in rows} == set(range(RANKS))


def test_journals_that_do_not_belong_together_are_refused(frames, tmp_path):
    again = [ranks_program(), "run", "lj", "--entities", str(ENTITIES), "--frames", "1", "--ranks", "2"]
    refused = subprocess.run([*again, "--record", str(frames / "ranks")], capture_output=True, text=True)
    assert refused.returncode != 0 and "journals of 3 ranks, and these are 2" in refused.stderr
    looked = subprocess.run([program(), "hash", str(frames / "ranks")], capture_output=True, text=True)
    assert looked.returncode == 2 and "rank-00000" in looked.stderr
    refused = subprocess.run(
        [program(), "export", str(frames / "one"), "-o", str(frames / "set"), "--every", "10"], capture_output=True, text=True
    )
    assert refused.returncode != 0 and "has frames of recording" in refused.stderr
