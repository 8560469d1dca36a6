"""Histories in the files of other programs (Rerun, openPMD, VTKHDF), read back by their own libraries."""

from __future__ import annotations

import builtins
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import hypostyle
from conftest import unique

LAYOUT = """
name = "sinks"
bytes_max = "32 MiB"
[components.position]
fields = { x = "f64", y = "f64", z = "f64" }
[components.velocity]
fields = { x = "f32", y = "f32", z = "f32" }
[components.radius]
fields = { value = { type = "f32", unit = "mm", description = "of the hull" } }
[components.grit]
fields = { mass = { type = "f32", unit = "g" }, odd = { type = "f32", unit = "sigma*" } }
[components.charge]
storage = "toggle"
fields = { value = "f64" }
[components.cell]
fields = { place = "[u16; 2]", owner = "entity", shade = "unorm8", warm = "bool" }
[components.marked]
[components.notes]
storage = "list"
fields = { what = "u8" }
[resources.clock]
fields = { ticks = "u64", pair = "[f32; 2]", share = "unorm8", who = "entity" }
"""
STEP = 0.25
ENDS = 1.0


@hypostyle.system(reads="velocity", writes="position")
def move(rows, frame):
    rows.position.x += rows.velocity.x * frame.dt


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> hypostyle.Journal:
    """Frames 0 to 4. Two tables: 5 stones, and 3 marked ones with cells; some are charged; one goes, one comes."""
    place = tmp_path_factory.mktemp("sinks") / "history"
    with hypostyle.World(LAYOUT, region=unique("sinks"), keep_generations=4) as world:
        stones = world.spawn(
            5, position={"x": np.arange(5.0), "y": 1.0}, velocity={"x": [1.0, 2.0, 3.0, 4.0, 5.0], "y": 2.0},
            radius={"value": [0.5, 1.0, 1.5, 2.0, 2.5]},
        )  # fmt: skip
        world.spawn(
            3, position={"x": [10.0, 11.0, 12.0], "z": -1.0}, velocity={"z": 3.0}, radius={"value": 0.25}, marked=True, grit={},
            cell={"place": [[1, 2]] * 3, "owner": int(stones[1]), "shade": 1.0, "warm": True},
        )  # fmt: skip
        world.add(stones[:2], "charge", {"value": [-1.5, 2.5]})
        world.set_resource("clock", ticks=7, pair=[0.5, 1.5], share=1.0, who=int(stones[0]))
        world.publish()
        world.record(place)
        with hypostyle.Simulation(world, [move], workers="local") as simulation:
            for frame in range(4):
                if frame == 2:
                    world.despawn(stones[4:])
                    world.spawn(1, position={"x": 20.0}, velocity={"x": 1.0}, radius={"value": 3.0})
                simulation.step(STEP)
            world.stop_recording()
    return hypostyle.Journal(place)


def truth(snapshot: hypostyle.Snapshot) -> dict[int, tuple[float, ...]]:
    """Where each entity is."""
    position = snapshot["position"].concat()
    return dict(zip(position.entities.tolist(), zip(position.x.tolist(), position.y.tolist(), position.z.tolist())))


def test_rerun_reads_points_and_plots(history, tmp_path: Path):
    pytest.importorskip("rerun", reason="rerun-sdk is not there")
    from rerun.chunk import RrdReader

    from hypostyle import rerun

    path = tmp_path / "history.rrd"
    count = rerun.save(
        path, history, colour="velocity", radius="radius.value", scalars=["clock.ticks", "clock.pair"],
        measures={"most": lambda snapshot: snapshot["position"].concat("x").max()},
    )  # fmt: skip
    assert count == len(history) == 5
    found: dict[str, dict[int, dict[str, object]]] = {}
    for chunk in RrdReader(path).stream().to_chunks():
        for row in chunk.to_record_batch().to_pylist():
            found.setdefault(chunk.entity_path, {}).setdefault(row.get("frame"), {}).update(row)
    points = found["/sinks/position"]
    assert sorted(points) == history.frames
    for snapshot in history:
        row, at = points[snapshot.frame], truth(snapshot)
        assert row["time"].total_seconds() == snapshot.time == snapshot.frame * STEP
        assert dict(zip(row["entity"], map(tuple, row["Points3D:positions"]))) == at
        speed = dict(zip(row["entity"], row["velocity"]))
        radii = dict(zip(row["entity"], row["Points3D:radii"]))
        for entity in at:
            has = snapshot.get(entity)
            assert radii[entity] == has["radius"]["value"]
            assert speed[entity] == pytest.approx(np.hypot(has["velocity"]["x"], np.hypot(has["velocity"]["y"], has["velocity"]["z"])))
        # one range of colours for all: the same speed, the same colour
        assert dict(zip(row["velocity"], row["Points3D:colors"])).items() <= colours(points).items()
    assert len(set(colours(points).values())) >= 5
    assert [found["/sinks/clock/ticks"][frame]["Scalars:scalars"] for frame in history.frames] == [[7.0]] * 5
    assert found["/sinks/clock/pair"][3]["Scalars:scalars"] == [0.5, 1.5]
    assert "/sinks/clock/share" not in found
    assert found["/sinks/most"][4]["Scalars:scalars"] == [pytest.approx(20.0 + 2 * STEP)]


def colours(points: dict[int, dict[str, object]]) -> dict[float, int]:
    return {value: colour for row in points.values() for value, colour in zip(row["velocity"], row["Points3D:colors"])}


def test_rerun_takes_regions_and_what_a_program_records(history, tmp_path: Path):
    sdk = pytest.importorskip("rerun", reason="rerun-sdk is not there")
    from rerun.chunk import RrdReader

    from hypostyle import rerun

    own = sdk.RecordingStream("own")
    own.save(tmp_path / "own.rrd")
    with hypostyle.World(LAYOUT, region=unique("sinks")) as world:
        world.spawn(6, position={"x": 1.0})
        world.spawn(1, velocity={"x": 1.0})
        world.publish()
        with hypostyle.open(world.region) as region:
            assert rerun.log(region, own, radius=0.1, most=3) == 1
            with region.pin() as snapshot:
                # it was never set, so it is in no plot
                assert "clock" not in snapshot.resources and snapshot.resources.get("clock") is None
            with region.pin() as snapshot, pytest.raises(hypostyle.UnknownNameError, match="no component `velocty`.*`velocity`"):
                rerun.log(snapshot, own, colour="velocty")
        with hypostyle.open(f"{history.path}@2") as file, pytest.raises(hypostyle.UnknownNameError, match="clock.tick"):
            rerun.log(file, own, scalars=["clock.tick"])
    own.flush()
    own.disconnect()
    rows = [
        row
        for chunk in RrdReader(tmp_path / "own.rrd").stream().to_chunks()
        if chunk.entity_path == "/sinks/position"
        for row in chunk.to_record_batch().to_pylist()
    ]
    assert len(rows) == 1 and len(rows[0]["Points3D:positions"]) == 3
    # a radius for all is told once
    assert rows[0]["Points3D:radii"] == [pytest.approx(0.1)]


def test_openpmd_reads_species(history, tmp_path: Path):
    api = pytest.importorskip("openpmd_api", reason="openpmd-api is not there")
    from hypostyle import openpmd

    path = tmp_path / ("run.h5" if api.variants["hdf5"] else "run.json")
    with pytest.warns(UserWarning, match=r"`sigma\*` of grit.odd is no unit"):
        count = openpmd.write(path, history, units_si={"position": 1e-9}, dimensions={"charge": {"I": 1, "T": 2}})
    assert count == 5
    series = api.Series(str(path), api.Access.read_only)
    assert series.software == "hypostyle" and list(series.iterations) == history.frames
    for snapshot in history:
        iteration = series.iterations[snapshot.frame]
        assert (iteration.time, iteration.dt) == (snapshot.time, STEP if snapshot.frame else 0.0)
        assert iteration.get_attribute("clock_ticks") == 7 and iteration.get_attribute("clock_pair") == [0.5, 1.5]
        assert iteration.get_attribute("clock_share") == 1.0
        at: dict[int, tuple[float, ...]] = {}
        for name in iteration.particles:
            species = iteration.particles[name]
            ids = read(series, species["id"])
            axes = [read(series, species["position"][axis]) for axis in "xyz"]
            at.update(zip(ids.tolist(), zip(*(axis.tolist() for axis in axes))))
        assert at == truth(snapshot)
    last = series.iterations[history.frames[-1]].particles
    assert sorted(last) == ["sinks", "sinks_1"]
    stones, marked = last["sinks"], last["sinks_1"]
    assert {"cell", "marked"} <= set(marked.get_attribute("components"))
    assert not {"cell", "marked"} & set(stones.get_attribute("components"))
    assert stones["position"].unit_dimension == [1, 0, 0, 0, 0, 0, 0] and stones["position"]["y"].unit_SI == 1e-9
    assert stones["velocity"].unit_dimension == [1, 0, -1, 0, 0, 0, 0]
    assert stones["charge"].unit_dimension == [0, 0, 2, 1, 0, 0, 0] and stones["radius"].unit_dimension == [1, *[0] * 6]
    radius, grit = stones["radius"], marked["grit"]
    assert (radius.unit_SI, radius.get_attribute("unit"), radius.get_attribute("description")) == (1e-3, "mm", "of the hull")
    assert grit["mass"].unit_SI == pytest.approx(1e-3) and grit["odd"].unit_SI == 1.0
    assert read(series, stones["positionOffset"]["x"]).tolist() == [0.0] * 5
    with history.pin() as snapshot:
        charged = {int(e): snapshot.get(int(e)).get("charge", {}).get("value") for e in read(series, stones["id"])}
    present = read(series, stones["charge_present"]).tolist()
    values = dict(zip(charged, read(series, stones["charge"]).tolist()))
    assert present == [int(each is not None) for each in charged.values()] and sum(present) == 2
    assert all(np.isnan(values[e]) if value is None else values[e] == value for e, value in charged.items())
    cell = marked["cell"]
    assert cell.unit_dimension == [0] * 7
    assert read(series, cell["place_1"]).tolist() == [2, 2, 2] and read(series, cell["shade"]).tolist() == [1.0] * 3
    assert read(series, cell["warm"]).tolist() == [1, 1, 1] and read(series, marked["marked"]).tolist() == [1, 1, 1]
    assert read(series, cell["owner"]).dtype == np.uint64 and "notes" not in marked
    series.close()
    with pytest.raises(ValueError, match="`notes` is a list"):
        openpmd.write(tmp_path / "no.json", history, "notes")


def read(series, part):
    values = part.load_chunk()
    series.flush()
    return values


def test_openpmd_writes_a_file_for_each_frame(history, tmp_path: Path):
    api = pytest.importorskip("openpmd_api", reason="openpmd-api is not there")
    from hypostyle import openpmd

    with hypostyle.open(history.path) as file, file.pin() as snapshot:
        assert openpmd.write(tmp_path / "one_%T.json", snapshot, "velocity") == 1
        frame, wanted = snapshot.frame, truth(snapshot)
    assert [path.name for path in tmp_path.iterdir()] == [f"one_{frame}.json"]
    series = api.Series(str(tmp_path / "one_%T.json"), api.Access.read_only)
    species = series.iterations[frame].particles["sinks"]
    assert sorted(species) == ["id", "position", "positionOffset", "velocity"]
    assert set(read(series, species["id"]).tolist()) < set(wanted)
    # the mean step so far, as there is no state before
    assert series.iterations[frame].dt == STEP


def test_vtk_reads_steps(history, tmp_path: Path):
    pytest.importorskip("h5py", reason="h5py is not there")
    vtk = pytest.importorskip("vtk", reason="vtk is not there")
    from vtk.util.numpy_support import vtk_to_numpy

    from hypostyle import vtkhdf

    path = tmp_path / "run.vtkhdf"
    assert vtkhdf.write(path, history) == 5
    reader = vtk.vtkHDFReader()
    reader.SetFileName(str(path))
    reader.UpdateInformation()
    times = reader.GetOutputInformation(0).Get(vtk.vtkStreamingDemandDrivenPipeline.TIME_STEPS())
    assert list(times) == history.times
    for step, snapshot in enumerate(history):
        reader.SetStep(step)
        reader.Update()
        points, wanted = reader.GetOutput(), truth(snapshot)
        assert points.GetNumberOfPoints() == points.GetNumberOfVerts() == len(wanted)

        def array(name: str) -> np.ndarray:
            return vtk_to_numpy(points.GetPointData().GetArray(name))

        entities = array("entity").astype(np.uint64).tolist()
        at = vtk_to_numpy(points.GetPoints().GetData()).tolist()
        assert dict(zip(entities, map(tuple, at))) == wanted
        assert vtk_to_numpy(points.GetFieldData().GetArray("frame")).tolist() == [snapshot.frame]
        for row, entity in enumerate(entities):
            has = snapshot.get(entity)
            assert array("velocity")[row].tolist() == list(has["velocity"].values())
            assert array("marked")[row] == ("marked" in has)
            charge = array("charge.value")[row]
            assert charge == has["charge"]["value"] if "charge" in has else np.isnan(charge)
            assert array("cell.place")[row].tolist() == ([1, 2] if "cell" in has else [0, 0])
    with pytest.raises(ValueError, match="no snapshots"):
        vtkhdf.write(tmp_path / "none.vtkhdf", [])


def test_rows_without_a_position_are_no_points(tmp_path: Path):
    api = pytest.importorskip("openpmd_api", reason="openpmd-api is not there")
    h5py = pytest.importorskip("h5py", reason="h5py is not there")
    from hypostyle import openpmd, vtkhdf

    layout = """
    name = "places"
    [components.position]
    storage = "toggle"
    fields = { x = "f32", y = "f32" }
    [components.mass]
    fields = { value = "f64" }
    """
    with hypostyle.World(layout) as world:
        handles = world.spawn(4, mass={"value": [1.0, 2.0, 3.0, 4.0]})
        world.add(handles[[1, 3]], "position", {"x": [0.5, 1.5], "y": 2.0})
        world.publish()
        with world.pin() as snapshot:
            openpmd.write(tmp_path / "places.json", snapshot)
            vtkhdf.write(tmp_path / "places.vtkhdf", snapshot)
    series = api.Series(str(tmp_path / "places.json"), api.Access.read_only)
    species = series.iterations[0].particles["places"]
    assert read(series, species["position"]["x"]).tolist() == [0.5, 1.5]
    assert read(series, species["mass"]).tolist() == [2.0, 4.0] and "position_present" not in species
    with h5py.File(tmp_path / "places.vtkhdf") as file:
        assert file["VTKHDF/Points"][...].tolist() == [[0.5, 2.0, 0.0], [1.5, 2.0, 0.0]]
        assert file["VTKHDF/PointData/mass.value"][...].tolist() == [2.0, 4.0]


@pytest.mark.parametrize(("module", "needs", "package"), [
    ("rerun", "rerun", "rerun"), ("openpmd", "openpmd_api", "openpmd"), ("vtkhdf", "h5py", "vtkhdf"),
])  # fmt: skip
def test_what_is_missing_is_told(monkeypatch, module, needs, package):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == needs:
            raise ModuleNotFoundError(f"No module named '{needs}'")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, f"hypostyle.{module}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=rf'pip install "hypostyle\[{package}\]"'):
        importlib.import_module(f"hypostyle.{module}")
