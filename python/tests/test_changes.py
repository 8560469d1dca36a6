"""What was written since a generation, by chunks of 1024 rows."""

import numpy as np

import hypostyle


def test_changes_are_told_by_columns(particles):
    with particles.pin() as old:
        since = old.generation
        rates = {table.index: table["emitter"].rate.copy() for table in old.tables if "emitter" in table}
        with particles.changed_since(since) as none:
            if none.snapshot.generation == since:
                assert not none and not none["position.x"]
        particles.wait(since, timeout=60)
        with particles.changed_since(since) as changes:
            assert changes.snapshot.generation > since and changes
            assert changes["position.x"], "everything moves"
            assert not [run for run in changes["position.x"] if "emitter" in run.table], "emitters stay where they are"
            for run in changes["position.x"]:
                assert np.shares_memory(run.values, run.table.column("position.x"))
                assert run.rows.start % 1024 == 0 and len(run.values) == len(run.entities)
            for table in changes.snapshot.tables:
                if table.index in rates:
                    assert np.array_equal(table["emitter"].rate, rates[table.index])


def test_unchanged_rows_are_what_they_were(particles):
    with particles.pin() as old:
        particles.wait(old.generation + 2, timeout=60)
        with particles.pin() as new:
            for table in new.tables:
                if table.index >= len(old.tables):
                    continue
                before = old.tables[table.index]
                for name in (f"{c}.{f.name}" for c in table.components for f in new.layout.components[c].fields):
                    same = np.ones(table.rows, np.bool_)
                    for run in table.changed_since(old.generation, name):
                        same[run] = False
                    rows = np.flatnonzero(same)
                    assert len(rows) == 0 or rows[-1] < before.rows
                    assert np.array_equal(table.column(name)[rows], before.column(name)[rows])


def test_components_tell_their_changes(spheres):
    with spheres.pin() as snapshot:
        changed = snapshot["position"].changed_since(0)
        assert [(chunk.rows, runs) for chunk, runs in changed] == [(3000, [slice(0, 3000)])]
        assert snapshot["position"].changed_since(snapshot.generation) == []
        assert snapshot.changed_since(snapshot.generation).columns == {}
        assert isinstance(snapshot.changed_since(0), hypostyle.Changes)
