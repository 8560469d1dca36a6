"""The engine's own scenes, run from Python: the same states as the program's, alone and mixed with systems in Python."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import hypostyle
import kernels
from conftest import program, unique

MOVING = """
name = "moving"
bytes_max = "64 MiB"
[components.position]
fields = { x = "f32", y = "f32", z = "f32" }
[components.velocity]
fields = { x = "f32", y = "f32", z = "f32" }
"""


def state_of(world: hypostyle.World) -> str:
    with world.pin() as snapshot:
        return f"{snapshot.hash():016x}"


@pytest.mark.parametrize("name", hypostyle.scenes())
def test_states_are_those_of_the_program(name):
    # a lattice has 4 atoms in each cell
    entities = 256 if name == "lj" else 300
    command = [program(), "run", name, "--entities", str(entities), "--seed", "5", "--frames", "7", "--workers", "local"]
    ran = subprocess.run([*command, "--print-hash"], capture_output=True, text=True, check=True, timeout=300)
    scene = hypostyle.Scene(name, entities=entities, seed=5)
    with scene.world() as world:
        before = scene.observe(world)
        with scene.simulation(world) as simulation:
            simulation.run(7, scene.dt)
            assert f"state {state_of(world)}" == ran.stdout.strip()
        assert scene.observe(world) != before


@pytest.mark.parametrize("workers", ["threads:2", "processes:2"])
def test_workers_make_no_difference(workers):
    scene = hypostyle.Scene("particles", entities=20_000, seed=3)
    states = []
    for each in ("local", workers):
        with scene.world(region=unique("scene")) as world, scene.simulation(world, each) as simulation:
            simulation.run(5, scene.dt)
            assert simulation.workers == each
            states.append(state_of(world))
    assert states[0] == states[1]


@pytest.mark.parametrize("workers", ["local", "processes:1"])
def test_systems_of_both_languages_share_a_world(workers):
    integrate = hypostyle.Scene("particles")["integrate"]
    with hypostyle.World(MOVING, region=unique("mixed")) as world:
        start = np.linspace(0.0, 1.0, 10_000, dtype=np.float32)
        world.spawn(position={"x": start}, velocity={"x": 2.0})
        with hypostyle.Simulation(world, [kernels.double, integrate], workers) as simulation:
            report = simulation.step(0.5)
            assert set(report.patches) == {"double", "integrate"}
        with world.pin() as snapshot:
            # doubled first, then moved
            assert np.array_equal(snapshot["velocity"].x, np.full(10_000, 4.0, np.float32))
            assert np.array_equal(snapshot["position"].x, start + np.float32(4.0) * np.float32(0.5))


def test_a_world_steps_native_systems_by_itself():
    with hypostyle.World(MOVING) as world:
        world.spawn(3, velocity={"y": 1.0}, position={})
        world.add_system(hypostyle.Scene("particles")["integrate"])
        world.step(0.25)
        with world.pin() as snapshot:
            assert snapshot["position"].y.tolist() == [0.25] * 3


def test_scenes_have_options_and_write_files(tmp_path):
    near = hypostyle.Scene("nbody", entities=300, seed=2)
    tree = hypostyle.Scene("nbody", entities=300, seed=2, theta=0.5)
    assert "theta" in tree.options and [each.name for each in near.systems] != [each.name for each in tree.systems]
    states = []
    for workers in ("local", "processes:1"):
        with tree.world(unique("scene")) as world:
            tree.run(5, workers, world=world)
            states.append(state_of(world))
    assert states[0] == states[1]
    thermo, dump = tmp_path / "thermo.csv", tmp_path / "atoms.xyz"
    melt = hypostyle.Scene("lj", entities=256, skin=0.3, thermo=thermo, thermo_every=4, dump=str(dump), dump_every=5)
    measured = melt.run(10, "local")
    assert measured and all(isinstance(number, float) for number in measured.values())
    series = np.genfromtxt(thermo, delimiter=",", names=True)
    assert series["step"].tolist() == [0, 4, 8]
    assert dump.read_text().count("Lattice=") == 3
    with melt.world() as world:
        assert melt.measure(world).keys() == melt.observe(world).keys() == measured.keys()
    with pytest.raises(ValueError, match="give `frames`"):
        hypostyle.Scene("particles", entities=10).run()


def test_options_that_are_none():
    with pytest.raises(hypostyle.UnknownNameError, match="scene `lj` has no option `skim`.*skin"):
        hypostyle.Scene("lj", skim=0.3)
    with pytest.raises(hypostyle.UnknownNameError, match="has no option `theta`"):
        hypostyle.Scene("field", theta=0.3)
    with pytest.raises(hypostyle.HypostyleError, match="--skin 9: it must be a number from"):
        hypostyle.Scene("lj", entities=256, skin=9).world()
    with pytest.raises(hypostyle.HypostyleError, match="none/such"):
        hypostyle.Scene("lj", entities=256, dump="/none/such.xyz").run(1)
    with pytest.raises(TypeError, match="option `skin` is a number or a text; not None"):
        hypostyle.Scene("lj", skin=None)


def test_names_that_are_none():
    assert hypostyle.scenes() == ["particles", "spheres", "nbody", "lj", "fluids", "field", "epidemic"]
    with pytest.raises(hypostyle.UnknownNameError, match="there are particles, spheres, nbody, lj, fluids, field, epidemic"):
        hypostyle.Scene("ants")
    with pytest.raises(hypostyle.UnknownNameError, match="it has .*`integrate`"):
        hypostyle.Scene("particles")["fly"]
    with hypostyle.World(MOVING) as world:
        missing = hypostyle.NativeSystem("fly", "particles")
        with pytest.raises(hypostyle.UnknownNameError, match="no system `fly`"):
            hypostyle.Simulation(world, [missing])
        # its components are others
        with pytest.raises(hypostyle.HypostyleError):
            hypostyle.Simulation(world, [hypostyle.Scene("particles")["grow old"]])


def test_counts_of_a_scene():
    scene = hypostyle.Scene("particles", seed=2)
    assert (scene.name, scene.seed, scene.entities, scene.frames) == ("particles", 2, 1_000_000, None)
    assert scene.dt == pytest.approx(1 / 60) and "gravity" in scene.about
    assert hypostyle.Scene("spheres", entities=9).entities == 9
    assert "particles" in repr(scene) and scene["integrate"] in scene.systems
