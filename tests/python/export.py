"""Reads exports with pyarrow, as an analyst would, and compares them with what the command itself says of them.

Usage: export.py PROGRAM DIRECTORY. The program is `hypostyle` with the feature `export`; files go to the directory.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq


def run(*words):
    """What a command that must succeed prints."""
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def same(mine, theirs, what, tolerance):
    if mine is None or theirs is None:
        assert mine is None and theirs is None, (what, mine, theirs)
    else:
        assert math.isclose(mine, theirs, rel_tol=tolerance, abs_tol=1e-12), (what, mine, theirs)


def check(table, stats, what, tolerance=1e-9):
    """Counts, extremes and means of every column."""
    for column in stats["columns"]:
        name = column["name"]
        if name.endswith("]") and name not in table.column_names:
            field, element = name[:-1].split("[")
            values = pc.list_element(pc.drop_null(table[field]), int(element))
        else:
            values = pc.drop_null(table[name])
        if column["null"] is not None:
            assert len(values) == column["count"] - column["null"], (what, name)
            continue
        assert len(values) == column["count"], (what, name, len(values), column["count"])
        if len(values) == 0:
            continue
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.uint8())
        # numbers that are none
        finite = values.cast(pa.float64(), safe=False)
        finite = finite.filter(pc.is_finite(finite))
        same(pc.min(finite).as_py(), column["min"], (what, name, "min"), tolerance)
        same(pc.max(finite).as_py(), column["max"], (what, name, "max"), tolerance)
        same(pc.mean(finite).as_py(), column["mean"], (what, name, "mean"), tolerance)


def check_series(program, journal, scene, frames):
    """The frames of a journal as one data set."""
    run(program, "run", scene, "--entities", "1000", "--frames", "9", "--record", str(journal))
    for kind in ("parquet", "arrow"):
        place = frames / kind
        words = ("export", str(journal), "-o", str(place), "--format", kind, "--every", "3", "--json")
        report = json.loads(run(program, *words))
        assert report["frames"] == [0, 3, 6, 9], report
        assert (place / "frame=3" / f"part-0.{kind}").is_file()
        whole = ds.dataset(place, format=kind, partitioning="hive").to_table()
        assert whole.num_rows == report["rows"]
        assert sorted(set(whole["frame"].to_pylist())) == [0, 3, 6, 9], "directories are a column of numbers"
        for frame in report["frames"]:
            stats = json.loads(run(program, "stats", f"{journal}@{frame}", "--json"))
            check(whole.filter(pc.field("frame") == frame), stats, f"{scene} {kind} frame {frame}")


def main():
    program, directory = sys.argv[1], Path(sys.argv[2])
    for scene, frames in (("particles", "8"), ("spheres", "30"), ("nbody", "3")):
        place = directory / scene
        run(program, "run", scene, "--entities", "3000", "--frames", frames, "--checkpoint", str(place))
        (source,) = place.glob("*.checkpoint")
        stats = json.loads(run(program, "stats", str(source), "--json"))
        inspect = json.loads(run(program, "inspect", str(source), "--json"))
        files = {kind: directory / f"{scene}.{kind}" for kind in ("arrow", "parquet", "csv")}
        for path in files.values():
            report = json.loads(run(program, "export", str(source), "-o", str(path), "--json"))
            assert report["rows"] == inspect["snapshot"]["entities"], report
        with pa.memory_map(str(files["arrow"])) as source:
            arrow = pa.ipc.open_file(source).read_all()
            arrow.validate(full=True)
            assert pa.total_allocated_bytes() < arrow.nbytes // 4 or arrow.nbytes < 1 << 20, "it is mapped, not read"
            parquet = pq.read_table(files["parquet"])
            parquet.validate(full=True)
            check(arrow, stats, f"{scene} arrow")
            check(parquet, stats, f"{scene} parquet")
            assert arrow.equals(parquet), f"{scene}: both files hold the same"
            text = pyarrow.csv.read_csv(files["csv"])
            # a text has as many digits as tell an f32 from its neighbours
            check(text, stats, f"{scene} csv", tolerance=1e-6)
            metadata = {name.decode(): value.decode() for name, value in arrow.schema.metadata.items()}
            assert metadata["hypostyle.layout"] == inspect["layout"]["toml"]
            assert json.loads(metadata["hypostyle.resources"]) == inspect["snapshot"]["resources"]
            assert int(metadata["hypostyle.frame"]) == int(frames)
            assert len(set(arrow["entity"].to_pylist())) == arrow.num_rows
        check_series(program, directory / f"{scene}-journal", scene, directory / f"{scene}-frames")
        print(f"{scene}: {parquet.num_rows} rows of {parquet.num_columns} columns agree")


if __name__ == "__main__":
    main()
