"""Dumps of the melt, opened by programs that others use: box, positions, velocities and numbers are those of the region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypostyle

FRAMES, EVERY, ATOMS = 20, 10, 256


class State:
    """What the region has, atom by atom."""

    def __init__(self, world: hypostyle.World) -> None:
        with world.pin() as snapshot:
            melt = world.resource("melt")
            order = np.argsort(snapshot["global_id"].value)
            columns = {
                name: np.stack([snapshot[name][axis][order] for axis in "xyz"]) for name in ("position", "velocity", "image")
            }
            self.ids, self.side = snapshot["global_id"].value[order], melt.side
            self.frame, self.time = snapshot.frame, snapshot.time
        (x, y, z), more = hypostyle.space.Box(self.side).wrap(*columns["position"])
        self.at, self.velocity = np.stack([x, y, z], 1), columns["velocity"].T
        self.image = columns["image"].T + np.stack(more, 1)


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> tuple[State, Path, Path]:
    """The state after some frames, and files of both formats."""
    folder = tmp_path_factory.mktemp("dumps")
    states, files = [], (folder / "atoms.dump", folder / "atoms.xyz")
    for file in files:
        scene = hypostyle.Scene("lj", entities=ATOMS, seed=3, dump=file, dump_every=EVERY)
        with scene.world() as world:
            scene.run(FRAMES, "local", world=world)
            states.append(State(world))
    assert np.array_equal(states[0].at, states[1].at)
    # atoms have left the box, and come in on the other side
    assert states[0].frame == FRAMES and states[0].image.any()
    return states[0], *files


def test_ase_reads_the_text_dump(dumps):
    io = pytest.importorskip("ase.io")
    state, dump, _ = dumps
    from ase import units

    # ASE has no reduced units: lengths of "metal" are its own, velocities are in angstroms per picosecond
    frames = io.read(dump, index=":", format="lammps-dump-text", units="metal")
    assert len(frames) == FRAMES // EVERY + 1
    last = frames[-1]
    assert last.cell.orthorhombic and np.array_equal(last.cell.lengths(), state.side) and last.pbc.all()
    assert np.array_equal(last.get_positions(), state.at)
    assert np.allclose(last.get_velocities() * 1000 * units.fs, state.velocity, rtol=1e-12, atol=0.0)


def test_ase_reads_extended_xyz(dumps):
    io = pytest.importorskip("ase.io")
    state, _, xyz = dumps
    frames = io.read(xyz, index=":", format="extxyz")
    assert len(frames) == FRAMES // EVERY + 1
    last = frames[-1]
    assert last.cell.orthorhombic and np.array_equal(last.cell.lengths(), state.side) and last.pbc.all()
    assert np.array_equal(last.get_positions(), state.at)
    assert np.array_equal(last.arrays["velo"], state.velocity) and np.array_equal(last.arrays["id"], state.ids)
    assert (last.info["Step"], last.info["Time"]) == (state.frame, pytest.approx(state.time, rel=1e-15))
    assert set(last.get_chemical_symbols()) == {"Ar"}


@pytest.mark.parametrize("which", ["dump", "xyz"])
def test_ovito_reads_both(dumps, which):
    io = pytest.importorskip("ovito.io", exc_type=ImportError)
    state, dump, xyz = dumps
    pipeline = io.import_file(str(dump if which == "dump" else xyz))
    assert pipeline.num_frames == FRAMES // EVERY + 1
    data: Any = pipeline.compute(pipeline.num_frames - 1)
    particles, cell = data.particles, np.asarray(data.cell)
    assert np.array_equal(cell, np.hstack([np.diag(state.side), np.zeros((3, 1))])) and all(data.cell.pbc)
    order = np.argsort(particles.identifiers[...])
    assert np.array_equal(particles.identifiers[...][order], state.ids)
    # OVITO rounds the last digit of a number its own way
    assert np.allclose(particles.positions[...][order], state.at, rtol=1e-15, atol=0.0)
    assert np.allclose(particles.velocities[...][order], state.velocity, rtol=1e-15, atol=0.0)
    if which == "dump":
        assert np.array_equal(particles["Periodic Image"][...][order], state.image)
        assert data.attributes["Timestep"] == state.frame
