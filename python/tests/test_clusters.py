"""Worlds of several ranks: one name, every look of one frame, and nothing copied."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest

import hypostyle
from conftest import ROOT, program, unique
from hypostyle.cluster import ClusterReader
from hypostyle.system import NeighbourTable

RANKS = 3
LOOKS = 300


def ranks_program() -> str:
    """The `hypostyle-mpi` program: HYPOSTYLE_MPI_PROGRAM, or what cargo built last."""
    named = os.environ.get("HYPOSTYLE_MPI_PROGRAM")
    built = [ROOT / "target" / profile / "hypostyle-mpi" for profile in ("release", "debug")]
    there = [Path(named)] if named else sorted((p for p in built if p.is_file()), key=lambda path: path.stat().st_mtime)
    if not there:
        pytest.skip("build the program first: `cargo build --package hypostyle-mpi`")
    return str(there[-1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[hypostyle.ClusterReader]:
    name = unique("ranks")
    words = ["run", "lj", "--entities", "864", "--frames", "10_000_000", "--no-observe", "--ranks", str(RANKS)]
    process = subprocess.Popen([ranks_program(), *words, "--region", name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        ends = time.monotonic() + 120
        while True:
            try:
                region = hypostyle.open(name)
                region.wait(0, timeout=60)
                break
            except (hypostyle.RegionNotFoundError, hypostyle.WriterGoneError):
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < ends
                time.sleep(0.02)
        assert isinstance(region, hypostyle.ClusterReader)
        yield region
    finally:
        process.kill()
        process.wait()
        for rank in range(RANKS):
            hypostyle.clean(f"{name}-rank-{rank:05}")


def test_every_look_is_of_one_frame(cluster):
    assert len(cluster.ranks) == RANKS and cluster.is_alive and not cluster.is_file
    states, total = {}, set()
    looks = 0
    # until enough frames were seen, however slow the machine is
    while looks < LOOKS or len(states) <= 10:
        looks += 1
        with cluster.pin() as snapshot:
            assert {rank.frame for rank in snapshot.ranks} == {snapshot.frame}
            assert snapshot.frame == snapshot.generation
            # ids of all rows, whichever ranks they are on
            ids = snapshot["global_id"].concat("value")
            assert len(np.unique(ids)) == 864
            total.add(int(ids.sum(dtype=np.uint64)))
            # a frame has one state, and the parts of two frames have no hash
            assert states.setdefault(snapshot.frame, snapshot.hash_by_id()) == snapshot.hash_by_id()
    assert len(total) == 1, "rows were lost, or are there twice"


def test_columns_are_chunks_of_the_ranks_in_place(cluster):
    with cluster.pin() as snapshot:
        position = snapshot["position"]
        chunks = position.chunks
        assert len(chunks) == RANKS and sum(len(chunk) for chunk in chunks) == len(snapshot) == 864
        assert all(not chunk.x.flags.owndata for chunk in chunks)
        assert (position.concat("x") == np.concatenate([chunk.x for chunk in chunks])).all()
        assert snapshot.resources.keys() == snapshot.ranks[0].resources.keys()
        for refused in (snapshot.hash, lambda: snapshot.locate(0), lambda: snapshot.changed_since(1)):
            with pytest.raises(hypostyle.HypostyleError, match="rank"):
                refused()
    with pytest.raises(hypostyle.ClosedError):
        snapshot.hash_by_id()


def test_arrow_has_a_chunk_of_each_rank_on_its_own_bytes(cluster):
    pytest.importorskip("pyarrow")
    with cluster.pin() as snapshot:
        table = snapshot.to_arrow("global_id", "position")
        assert table.num_rows == 864 and table["position.x"].num_chunks == RANKS
        for chunk, rank in zip(table["position.x"].chunks, snapshot.ranks):
            (own,) = [each for each in rank["position"].chunks if len(each)]
            assert chunk.buffers()[1].address == own.x.__array_interface__["data"][0], "nothing is copied"
        assert table.schema.metadata[b"hypostyle.frame"] == str(snapshot.frame).encode()


def test_a_frame_of_all_ranks_is_a_checkpoint(cluster, tmp_path):
    one, several = tmp_path / "one.checkpoint", tmp_path / "set.checkpoints"
    with cluster.pin() as snapshot:
        state, frame = snapshot.hash_by_id(), snapshot.frame
        assert snapshot.checkpoint(one) == one.stat().st_size
        assert snapshot.checkpoint(several) == sum(file.stat().st_size for file in (tmp_path / "set").iterdir())
        assert len(list((tmp_path / "set").iterdir())) == RANKS
    for path in (one, several):
        with hypostyle.open(path) as region, region.pin() as restored:
            assert (restored.hash_by_id(), restored.frame, len(restored)) == (state, frame, 864)
    # one file stands in the order that one process gives its rows, whoever wrote it
    with hypostyle.open(one) as region, region.pin() as whole, hypostyle.open(several) as other, other.pin() as joined:
        assert np.array_equal(whole["global_id"].value, joined["global_id"].value) and whole.hash() == joined.hash()
    with pytest.raises(hypostyle.ClosedError):
        snapshot.checkpoint(one)


def test_frames_are_waited_for_and_followed(cluster):
    before = cluster.newest
    after = cluster.wait(before, timeout=60)
    assert after is not None and after > before
    seen = []
    for snapshot in cluster.follow(timeout=60):
        seen.append(snapshot.frame)
        if len(seen) == 5:
            break
    assert seen == sorted(set(seen))
    with pytest.raises(hypostyle.NotKeptError):
        cluster.pin(1)
    frames = cluster.frames
    assert frames == sorted(frames)


def test_the_command_sees_the_same(cluster):
    def told(*words: str) -> str:
        done = subprocess.run([program(), *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    name = cluster.name
    assert "on 3 ranks of this machine" in told("inspect", name)
    assert "864" in told("stats", name, "position.x") and told("hash", "--by-id", name).startswith("state-by-id ")
    assert f"{name}: a world of 3 ranks, 3 of them live" in told("list")
    assert "864 entities" in told("top", name, "--once", "--interval", "0.1")
    refused = subprocess.run([program(), "hash", name], capture_output=True, text=True)
    assert refused.returncode == 2 and "--by-id" in refused.stderr


def test_searches_refuse_ghosts():
    table = NeighbourTable.__new__(NeighbourTable)
    table._entities, table.own_rows = np.arange(5, dtype=np.uint64), 3
    for search in (lambda: table.cell_starts("cell.key", 4), lambda: table.search(None, 1.0, ["position.x"], "cell.key")):
        with pytest.raises(hypostyle.ScheduleError, match="2 ghosts"):
            search()


def test_a_world_that_has_not_run_is_at_frame_0():
    layout = "name = 'parts'\n[components.mass]\nfields = { kg = 'f64' }\n"
    regions = [unique("parts") for _ in range(2)]
    worlds = [hypostyle.World(layout, region=region) for region in regions]
    try:
        for world in worlds:
            world.spawn(3, mass={"kg": np.ones(3)})
            world.publish()
        reader = ClusterReader("parts", regions)
        assert reader.frames == [0]
        with reader.pin() as snapshot:
            assert snapshot.frame == 0 and len(snapshot) == 6
            # these worlds do not say in which order rows are one world
            with pytest.raises(hypostyle.HypostyleError, match="`order`"):
                snapshot.checkpoint("never.checkpoint")
    finally:
        for world in worlds:
            world.close()


def test_a_run_of_ranks_is_steered_by_their_name():
    name = unique("steered")
    run = [ranks_program(), "run", "lj", "--entities", "864", "--frames", "40", "--no-observe", "--print-hash=by-id"]
    want = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    steered = [*run, "--ranks", str(RANKS), "--region", name, "--steer", "--pace", "20"]
    process = subprocess.Popen(steered, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        ends = time.monotonic() + 120
        while True:
            try:
                region = hypostyle.open(name)
                wheel = region.steering()
                break
            except hypostyle.HypostyleError:
                assert process.poll() is None and time.monotonic() < ends
                time.sleep(0.01)
        assert isinstance(region, hypostyle.ClusterReader)
        # it is steerable a moment before it has its pace
        while wheel.pace != 20.0:
            assert process.poll() is None and time.monotonic() < ends
            time.sleep(0.01)
        wheel.pause()
        while True:
            # a frame takes 50 ms where it goes on
            before = region.newest
            time.sleep(0.4)
            if region.newest == before:
                break
        assert before < 40
        wheel.step(2)
        assert region.wait(before + 1, timeout=60) == before + 2
        time.sleep(0.4)
        assert region.newest == before + 2
        wheel.pace = None
        wheel.resume()
        assert process.communicate(timeout=120)[0] == want
    finally:
        process.kill()
        process.wait()
        for rank in range(RANKS):
            # it is there where the run did not end by itself
            with contextlib.suppress(hypostyle.RegionNotFoundError):
                hypostyle.clean(f"{name}-rank-{rank:05}")
