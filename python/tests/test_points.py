"""Exports as points (VTK's .vtp and .pvd), opened by programs that others use."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import hypostyle
from conftest import program

FRAMES, EVERY = 6, 3


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of particles, and its frames as points."""
    place = tmp_path_factory.mktemp("points")
    for words in (
        ["run", "particles", "--entities", "500", "--frames", str(FRAMES), "--record", str(place / "journal")],
        ["export", f"{place / 'journal'}@{FRAMES}", "-o", str(place / "last.vtp")],
        ["export", str(place / "journal"), "-o", str(place / "set"), "--every", str(EVERY), "--format", "vtp"],
    ):
        done = subprocess.run([program(), *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return place


def truth(exported: Path) -> tuple[np.ndarray, np.ndarray]:
    """Entities, and where they are."""
    with hypostyle.open(f"{exported / 'journal'}@{FRAMES}") as region, region.pin() as snapshot:
        position = snapshot["position"]
        entities = np.concatenate([chunk.entities for chunk in position.chunks])
        return entities, np.stack([position.concat(axis) for axis in "xyz"], 1)


def test_vtk_reads_points_and_what_they_have(exported):
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    entities, at = truth(exported)
    reader = vtk.vtkXMLPolyDataReader()
    reader.SetFileName(str(exported / "last.vtp"))
    reader.Update()
    points = reader.GetOutput()
    assert np.array_equal(vtk_to_numpy(points.GetPoints().GetData()), at)
    data = points.GetPointData()
    assert np.array_equal(vtk_to_numpy(data.GetArray("entity")).astype(np.uint64), entities)
    assert vtk_to_numpy(data.GetArray("velocity")).shape == (len(entities), 3)
    time = vtk_to_numpy(points.GetFieldData().GetArray("TimeValue"))
    with hypostyle.open(f"{exported / 'journal'}@{FRAMES}") as region, region.pin() as snapshot:
        assert time.tolist() == [snapshot.time]


def test_ovito_reads_points_and_the_series(exported):
    io = pytest.importorskip("ovito.io", exc_type=ImportError)
    entities, at = truth(exported)
    particles = io.import_file(str(exported / "last.vtp")).compute().particles
    assert np.array_equal(particles.positions[...], at)
    assert np.array_equal(particles["entity"][...].astype(np.uint64), entities)
    assert particles["velocity"][...].shape == (len(entities), 3)
    series = io.import_file(str(exported / "set" / "frames.pvd"))
    assert series.num_frames == FRAMES // EVERY + 1
    last = series.compute(series.num_frames - 1)
    assert np.array_equal(last.particles.positions[...], at)


def test_a_data_set_says_which_file_is_of_which_time(exported):
    text = (exported / "set" / "frames.pvd").read_text()
    assert text.count("<DataSet ") == FRAMES // EVERY + 1
    for frame in range(0, FRAMES + 1, EVERY):
        assert (exported / "set" / f"frame={frame}" / "part-0.vtp").is_file() and f'file="frame={frame}/part-0.vtp"' in text
