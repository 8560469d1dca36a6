"""Asks the states of a journal and compares the answers with what other commands say.

Usage: query.py PROGRAM DIRECTORY. The program is `hypostyle` with the feature `query`; files go to the directory.
"""

import json
import math
import os
import pty
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

    def told(questions, *words, code=0):
        """What the shell answers to a pipe."""
        done = subprocess.run([program, "query", *words], input=questions, capture_output=True, text=True)
        assert done.returncode == code, (questions, done.returncode, done.stderr)
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
    shell(journal, told)
    talk(program, journal)
    for wrong in (["nothing > 1"], ["position.x >"], ["--sql", "select * from elsewhere"]):
        assert "cannot be answered" in run("query", journal, *wrong, code=2), wrong
    print("all answers agree")


def shell(journal, told):
    """Questions from a pipe: conditions, SQL of several lines, formats, what is held."""
    (sums,) = json.loads(told("select count(*) as n,\n  ';' as mark from world;\n", journal, "--json"))
    assert sums["n"] > 100 and sums["mark"] == ";", sums
    lines = told("-- the fast ones\n(position.y > 1.5\n and not hot)\n", journal, "--format", "ndjson").splitlines()
    assert len(lines) > 100 and all(json.loads(line)["position.y"] > 1.5 for line in lines)
    table = told("true\n", journal, "--components", "position")
    assert "the first 100 rows; there are more" in table and table.count("\n") == 105, table
    table = told(".limit 3\nselect entity from world", journal)
    assert f"the first 3 rows; there are {sums['n']:,}" in table, table
    csv = told(".format csv\n.limit all\n.hold\nselect entity from world;\n.release\nselect 1 as a; .quit\nnonsense", journal)
    assert csv.splitlines()[0] == "entity" and csv.splitlines()[-2:] == ["a", "1"] and csv.count("\n") == sums["n"] + 3
    columns = told(".columns", journal)
    assert "velocity.x        Float32  m/s" in columns, columns
    assert ".hold" in told(".help\n", journal) and told("", journal) == ""
    for wrong, why in ((".nope", "there is no command `.nope`"), (".limit few", "wants a number"), (".hold now", "stands alone")):
        assert why in told(wrong, journal, code=2)
    # the first that cannot be answered ends it
    assert "cannot be answered" in told("nothing > 1\nselect 1;", journal, code=2)


def talk(program, journal):
    """On a terminal: an error is told and the next question answered, Tab completes, Ctrl-D ends it."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm"
        os.execv(program, [program, "query", journal])
    seen = b""

    def read_until(text):
        nonlocal seen
        while text not in seen:
            seen += os.read(terminal, 65536)
        before, _, seen = seen.partition(text)
        return before

    read_until(b"query> ")
    os.write(terminal, b"nothing > 1\r")
    read_until(b"cannot be answered")
    read_until(b"query> ")
    os.write(terminal, b".hold\r")
    read_until(b"query@8> ")
    # a line that is not whole is gone on with
    os.write(terminal, b"select count(*) as many\r")
    os.write(terminal, b"from world where posi\ty > 1.5;\r")
    assert b"many" in read_until(b"frame 8, ")
    os.write(terminal, b"\x04")
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # the other side is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


if __name__ == "__main__":
    main()
