"""Whether docs/format.md is enough: its reader and the program tell the same of a region, a checkpoint and a journal.

agree.py PROGRAM DIRECTORY
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import reader


def run(program, *words):
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (words, done.returncode, done.stderr)
    return done.stdout


def agree(program, place, state):
    """`stats` and `inspect` of a place, against a state that the reader read."""
    state.check()
    stats = json.loads(run(program, "stats", place, "--json"))
    assert stats["frame"] == state.frame, (place, stats["frame"], state.frame)
    layout = json.loads(run(program, "inspect", place, "--json"))["layout"]
    own = [{"name": c["name"], "fields": [f["name"] for f in c["fields"]]} for c in state.layout.components]
    told = [{"name": c["name"], "fields": [f["name"] for f in c["fields"]]} for c in layout["components"]]
    assert own == told and layout["bytes_max"] == state.layout.bytes_max, place
    told = {column["name"]: column for column in stats["columns"]}
    compared = 0
    for component, described in enumerate(state.layout.components):
        for number, field in enumerate(described["fields"]):
            values = state.values(component, number)
            for element in range(max(field["length"], 1)):
                name = f"{described['name']}.{field['name']}" + (f"[{element}]" if field["length"] else "")
                column = told.get(name)
                if column is None:
                    continue
                own = values[element::max(field["length"], 1)]
                assert len(own) == column["count"], (place, name, len(own), column["count"])
                compared += 1
                finite = [value for value in own if math.isfinite(value)]
                if field["type"] == "entity" or not finite:
                    continue
                assert min(finite) == column["min"] and max(finite) == column["max"], (place, name)
                mean = math.fsum(finite) / len(finite)
                assert math.isclose(mean, column["mean"], rel_tol=1e-6, abs_tol=1e-9), (place, name, mean, column["mean"])
    assert compared >= 3, (place, compared, sorted(told))


def main():
    program, directory = sys.argv[1], Path(sys.argv[2])
    for scene, entities in (("particles", "700"), ("nbody", "60"), ("spheres", "120")):
        place = directory / scene
        region, journal = str(place / "region"), str(place / "journal")
        place.mkdir()
        run(program, "run", scene, "--entities", entities, "--frames", "12", "--workers", "local", "--region", region,
            "--keep", "--record", journal, "--record-compress", "never", "--checkpoint-every", "5",
            "--checkpoint-level", "0")
        state = reader.region(region)
        agree(program, region, state)
        file = str(place / "state.checkpoint")
        run(program, "checkpoint", region, "-o", file, "--level", "0")
        agree(program, file, reader.checkpoint(file)[0])
        frames = []
        for state in reader.journal(journal):
            frames.append(state.frame)
            if state.frame % 4 == 0:
                agree(program, f"{journal}@{state.frame}", state)
        assert frames == list(range(13)), frames
        run(program, "clean", region)
        print(f"{scene}: a region, a checkpoint and {len(frames)} generations of a journal agree")


if __name__ == "__main__":
    main()
