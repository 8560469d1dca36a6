"""Asks the states of a journal and compares the answers with what other commands say.

Usage: query.py PROGRAM DIRECTORY. The program is `hypostyle` with the feature `query`; files go to the directory.
"""

import json
import math
import subprocess
import sys
from pathlib import Path


def main():
    program, directory = sys.argv[1], Path(sys.argv[2])
    journal = str(directory / "queried")

    def run(*words, code=0):
        done = subprocess.run([program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == code, (words, done.returncode, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def ask(*words):
        return json.loads(run("query", *words, "--json"))

    run("run", "particles", "--entities", "3000", "--frames", "8", "--record", journal)
    for state in (journal, f"{journal}@5"):
        stats = json.loads(run("stats", state, "--json"))
        columns = {column["name"]: column for column in stats["columns"]}
        entities = json.loads(run("inspect", state, "--json"))["snapshot"]["entities"]
        (sums,) = ask(state, "--sql", "select count(*) as n, min(position.x) as x, max(velocity.y) as y from world")
        assert sums["n"] == entities, (sums, entities)
        assert math.isclose(sums["x"], columns["position.x"]["min"], rel_tol=1e-6), sums
        assert math.isclose(sums["y"], columns["velocity.y"]["max"], rel_tol=1e-6), sums
        above = ask(state, "position.y > 1.5 and velocity.y < 0")
        (count,) = ask(state, "--sql", "select count(*) n from world w where w.position.y > 1.5 and w.velocity.y < 0")
        assert len(above) == count["n"] > 0
        assert all(row["position.y"] > 1.5 and row["velocity.y"] < 0 and row["entity"] >= 0 for row in above)
        # rows of entities without the component are not there, and its nulls are null
        emitters = ask(state, "emitter.rate is not null", "--components", "emitter")
        assert len(emitters) == columns["emitter.rate"]["count"] > 0
        assert set(emitters[0]) <= {"entity", *[name for name in columns if name.startswith("emitter.")]}
        assert len(ask(state, "true", "--limit", "7")) == 7 and ask(state, "false") == []
    assert "position.x" in run("query", journal, "true", "--limit", "3")
    for end in ("csv", "arrow", "parquet"):
        file = directory / f"answer.{end}"
        written = json.loads(run("query", journal, "position.y > 1.5", "-o", str(file), "--json"))
        assert written["rows"] > 0 and file.stat().st_size > 0
    lines = (directory / "answer.csv").read_text().splitlines()
    assert lines[0].startswith("entity,") and len(lines) == written["rows"] + 1
    for wrong in (["nothing > 1"], ["position.x >"], ["--sql", "select * from elsewhere"]):
        assert "cannot be answered" in run("query", journal, *wrong, code=2), wrong
    print("all answers agree")


if __name__ == "__main__":
    main()
