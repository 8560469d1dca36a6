"""Points in a notebook: what the cell gets of a state, what follows a run, and the notebook of the examples, run."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import hypostyle
from conftest import ROOT, unique

LAYOUT = """
name = "notebook"
[components.position]
fields = { x = "f64", y = "f16" }
[components.heat]
storage = "toggle"
fields = { of = "unorm8" }
[components.spin]
fields = { axis = "[f32; 3]" }
[components.owner]
fields = { of = "entity" }
[components.tag]
"""


def points_of(*args, **options):
    pytest.importorskip("anywidget")
    from hypostyle.notebook import Points

    return Points(*args, **options)


def positions(points):
    return np.frombuffer(points.positions, "<f4").reshape(-1, 3)


def values(points):
    return np.frombuffer(points.values, "<f4")


@pytest.fixture
def world():
    with hypostyle.World(LAYOUT, region=unique("notebook")) as world:
        x = np.arange(10.0)
        handles = world.spawn(position={"x": x, "y": x / 2}, spin={"axis": np.stack([x, 0 * x, 2 * x], 1)})
        world.spawn(position={"x": 100.0 + x, "y": -x})
        world.add(handles[3:6], "heat", {"of": np.array([0, 51, 255], np.uint8)})
        world.publish()
        yield world


def test_a_state_becomes_points(world):
    with hypostyle.open(world.region) as region:
        points = points_of(region)
        x = np.arange(10.0)
        expected = np.stack([np.r_[x, 100 + x], np.r_[x / 2, -x], np.zeros(20)], 1)
        assert sorted(positions(points).tolist()) == sorted(expected.astype("f4").tolist())
        assert (points.axes, points.values, points.title) == (["position.x", "position.y"], b"", "20 entities, frame 0")
        # of a component its magnitude, for those that have it
        points = points_of(region, colour="spin", range=(0, 5))
        np.testing.assert_allclose(sorted(values(points)), x * np.sqrt(5), rtol=1e-6)
        assert (points.low, points.high, len(positions(points))) == (0.0, 5.0, 10)
        points = points_of(region, colour="spin.axis", size=7, spheres=True)
        assert (points.size, points.spheres) == (7.0, True) and 0 < points.low < 2 < 18 < points.high < 21
        # rows that have a toggle, and small numbers as what they stand for
        points = points_of(region, colour="heat.of")
        np.testing.assert_allclose(values(points), [0, 0.2, 1.0], rtol=1e-6)
        assert positions(points)[:, 0].tolist() == [3, 4, 5]
        with region.pin() as snapshot:
            points = points_of(snapshot, most=6)
        assert points.title == "6 of 20 entities, frame 0" and len(positions(points)) == 6


def test_what_cannot_be_shown_is_told(world):
    with hypostyle.open(world.region) as region:
        for position, colour, kind, told in (
            ("positron", None, hypostyle.UnknownNameError, "did you mean `position`"),
            ("spin", None, ValueError, "no fields `x` and `y`"),
            ("position", "position.z", hypostyle.UnknownNameError, "position.z"),
            ("position", "tag", ValueError, "no numbers"),
            ("position", "owner", ValueError, "no numbers"),
        ):
            with pytest.raises(kind, match=told):
                points_of(region, position, colour)
        for ends in ((1, 1), (2, 1), (0, float("nan"))):
            with pytest.raises(ValueError, match="a lower end and a higher one"):
                points_of(region, range=ends)


def test_points_follow_a_run(run):
    started = run("nbody", "--entities", "50", "--seconds", "600", "--pace", "200")
    region = started.open()
    points = points_of(region, colour="velocity")
    seen = set()
    points.observe(lambda change: seen.add(change["new"]), "title")
    assert points.follow(region, pace=1000) is points and points.is_following
    begun = time.monotonic()
    while len(seen) < 5:
        assert time.monotonic() - begun < 120, seen
        time.sleep(0.01)
    points.stop()
    assert not points.is_following
    # it ends with the run
    points.follow(region)
    started.kill()
    assert points.wait(120)
    # and by its time
    with region.pin() as snapshot:
        shown = points_of(snapshot)
    assert shown.follow(region, seconds=0.0).wait(120)
    region.close()


def test_the_notebook_runs(tmp_path):
    for needed in ("anywidget", "nbclient", "ipykernel"):
        pytest.importorskip(needed)
    import nbclient
    import nbformat

    notebook = nbformat.read(ROOT / "python/examples/live.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells), "the notebook is kept without outputs"
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    client = nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    # the kernel of this Python, whatever others there are
    client.create_kernel_manager().kernel_spec.argv[0] = sys.executable
    client.execute(env=environment)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" in kinds and "image/png" in kinds
    assert any("mean x" in output.get("text", "") for output in outputs)
    assert not [region for region in hypostyle.list() if region.name.startswith("notebook-") and region.is_alive]


def test_what_is_missing_is_named(tmp_path):
    program = (
        "import sys\n"
        "sys.modules['anywidget'] = None\n"
        "try:\n"
        "    import hypostyle.notebook\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert 'pip install "hypostyle[notebook]"' in ran.stdout
