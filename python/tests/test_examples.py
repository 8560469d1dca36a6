"""The examples and the examples of docstrings run, and do what they say."""

from __future__ import annotations

import doctest
import importlib
import runpy
import subprocess
import sys

import numpy as np
import pytest

import hypostyle
from conftest import ROOT, program, unique


@pytest.mark.parametrize("module", ["space", "reduction", "scene"])
def test_docstrings_run(module):
    globs = {"hypostyle": hypostyle, "np": np, "space": hypostyle.space}
    found = importlib.import_module(f"hypostyle.{module}")
    ran = doctest.testmod(found, extraglobs=globs)
    assert ran.attempted >= 3 and ran.failed == 0


@pytest.mark.parametrize("workers", ["local", "threads:2", "processes:2"])
def test_the_field_in_python_has_the_bytes_of_the_scene(workers, tmp_path):
    pytest.importorskip("numba")
    numbers = ["--entities", "20001", "--frames", "12", "--seed", "7", "--publish-every", "5"]
    command = [program(), "run", "field", *numbers, "--workers", "local", "--print-hash"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    example = [sys.executable, str(ROOT / "python/examples/field.py"), *numbers, "--workers", workers]
    if workers.startswith("processes"):
        example += ["--region", unique("field")]
    python = subprocess.run(example, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert python.stdout == ran.stdout and "state " in ran.stdout, python.stderr


def test_the_field_in_python_refuses_what_is_outside():
    pytest.importorskip("numba")
    field = runpy.run_path(str(ROOT / "python/examples/field.py"))
    with field["world"](10) as world:
        with hypostyle.Simulation(world, field["SYSTEMS"], "local") as simulation:
            simulation.step(field["DT"])
            with simulation.pin() as snapshot:
                handle = snapshot["position"].entities[4]
            world.set(handle, "position.x", 11.0)
            with pytest.raises(hypostyle.FrameError, match="is at 11.0: places are from 0 to"):
                simulation.step(field["DT"])
