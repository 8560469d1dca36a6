"""Reads what the engine wrote with reader.py and compares every answer with the engine's own commands.

Usage: agree.py PROGRAM DIRECTORY. The program is `hypostyle`; files go to the directory.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import reader


def run(*words):
    """What a command that must succeed prints."""
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout



def compare(state, place):
    """The state is what `inspect` and `stats` say of the place."""
    seen = json.loads(run("inspect", place, "--json"))["snapshot"]
    assert (state.generation, state.frame, state.entities) == (seen["generation"], seen["frame"], seen["entities"]), seen
    for name, fields in seen["resources"].items():
        assert state.resource(name) == fields or close_fields(state.resource(name), fields), (name, fields)
    columns = json.loads(run("stats", place, "--json"))["columns"]
    assert columns, "stats describes nothing"
    for column in columns:
        values = state.values(column["name"]).reshape(-1)
        assert len(values) == column["count"], (column, len(values))
        if column["null"] is not None:
            # handles have no mean
            assert int((values == reader.NO_ENTITY).sum()) == column["null"], column
            continue
        assert (values.min().item(), values.max().item()) == (column["min"], column["max"]), column
        scale = float(np.abs(values.astype(np.float64)).max())
        assert abs(float(values.astype(np.float64).mean()) - column["mean"]) <= 1e-9 * scale, column
    return len(columns)


def close_fields(mine, theirs):
    """The same numbers, where one was printed in fewer digits."""
    flat = lambda value: [x for item in value for x in flat(item)] if isinstance(value, list) else [value]
    pairs = [pair for name in theirs for pair in zip(flat(mine[name]), flat(theirs[name]), strict=True)]
    return all(abs(a - b) <= 1e-6 * max(abs(a), abs(b)) for a, b in pairs)


def compare_trace(place):
    """The trace is what `trace` says of the region."""
    mine = reader.trace(place / "trace")
    theirs = json.loads(run("trace", place, "--json"))
    events = [event for ring in mine.rings for event in ring]
    assert len(events) == theirs["events"], (len(events), theirs["events"])
    assert sum(event[2] for event in events if event[0] == 1) == theirs["frames"]
    assert sum(event[0] == 9 and not event[1] & 1 for event in events) == theirs["published"]
    assert sum(event[0] == 16 for event in events) == sum(lane["jobs"] for lane in theirs["lanes"])
    assert {system["system"] for system in theirs["systems"]} <= set(mine.systems)


def damaged(path, at):
    """A copy of a checkpoint with one bit turned."""
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    other = path.with_suffix(".damaged")
    other.write_bytes(content)
    return other


def main(directory):
    columns = 0
    for scene, entities in (("particles", 3000), ("nbody", 40)):
        place, history = directory / f"{scene}.region", directory / f"{scene}.history"
        run("run", scene, "--entities", entities, "--frames", 12, "--workers", "local", "--region", place, "--keep",
            "--record", history, "--record-compress", "never", "--checkpoint-every", "5")
        columns += compare(reader.region(place), place)
        compare_trace(place)
        for level in (0, 1):
            file = directory / f"{scene}-{level}.checkpoint"
            run("checkpoint", place, "--output", file, "--level", level)
            columns += compare(reader.checkpoint(file), file)
        states = 0
        for state in reader.journal(history):
            again = directory / "again.checkpoint"
            if state.frame % 4 == 0:
                run("replay", history, "--to", state.frame, "--output", again)
                columns += compare(state, again)
            states += 1
        assert states == 13, states
        cut = directory / f"{scene}.cut"
        shutil.copytree(history, cut)
        sorted(cut.glob("*.journal"))[1].unlink()
        try:
            list(reader.journal(cut))
            raise AssertionError("a segment is missing, and nothing was said")
        except reader.Damaged:
            pass
        file = directory / f"{scene}-0.checkpoint"
        size = file.stat().st_size
        for at in range(0, size, size // 50):
            try:
                reader.checkpoint(damaged(file, at))
            except reader.Damaged:
                continue
            raise AssertionError(f"a bit of byte {at} turned, and nothing was said")
    print(f"{columns} columns agree")


if __name__ == "__main__":
    PROGRAM = sys.argv[1]
    main(Path(sys.argv[2]))
