"""The stubs name what the native half has, every public thing is described, and the types fit."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import hypostyle
from conftest import unique
from hypostyle import _native

PACKAGE = Path(hypostyle.__file__).parent


def members(native):
    return {name for name in vars(native) if not name.startswith("_") or name == "__array_interface__"}


def test_the_stubs_are_those_of_the_native_half():
    stubs = ast.parse((PACKAGE / "_native.pyi").read_text(encoding="utf-8"))
    named = {node.name: node for node in stubs.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    assert set(named) == members(_native)
    for name, node in named.items():
        if isinstance(node, ast.ClassDef):
            functions = {item.name for item in node.body if isinstance(item, ast.FunctionDef)} - {"__init__", "__len__"}
            assert functions == members(getattr(_native, name)), name


def test_everything_public_is_described():
    for name in hypostyle.__all__:
        found = getattr(hypostyle, name)
        if not callable(found):
            continue
        assert inspect.getdoc(found), name
        if inspect.isclass(found):
            for member, value in vars(found).items():
                if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    assert inspect.getdoc(value), f"{name}.{member}"


def checks_in(folder):
    checks = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(folder / "cache")]
    # packages that are optional are not always there; an import that is ignored for that is none too many
    return [*checks, "--disable-error-code=import-untyped", "--disable-error-code=import-not-found"]


LAYOUT = """
name = "typed"
[components.position]
fields = { x = "f64" }
[components.cell_of]
fields = { place = "[u32; 3]", class = "u8" }
[components.bond]
storage = "list"
fields = { to = "entity" }
[components.tag]
[components.work]
storage = "scratch"
fields = { sum = "f32" }
[resources.wind]
fields = { speed = "f32" }
"""

USE = """
from __future__ import annotations
from typing import TYPE_CHECKING, cast
import hypostyle
if TYPE_CHECKING:
    from typed import Position, Rows, Snapshot

@hypostyle.system(writes=["position", "work"], reads="cell_of")
def move(rows: Rows, frame: hypostyle.Frame) -> None:
    rows.position.x += rows.work.sum * frame.dt
    rows.position.x = 0.0
    rows.work.sum = rows.cell_of.place[:, 0]

with hypostyle.open("demo").pin() as pinned:
    snapshot = cast("Snapshot", pinned)
    position: Position = snapshot["position"]
    print(position.x.mean(), snapshot["cell_of.place"].sum(), snapshot["tag"].entities)
"""


def test_a_layout_has_types(tmp_path):
    with hypostyle.World(LAYOUT, region=unique("typed")) as world:
        world.spawn(1, position={"x": 1.0})
        text = world.layout.stubs()
        printed = subprocess.run([sys.executable, "-m", "hypostyle.stubs", world.region], capture_output=True, text=True, check=True)
    assert printed.stdout == text
    # what cannot be an attribute is reached by its name
    assert "def class" not in text and '"cell_of.class"' in text and "bond.to" not in text
    (tmp_path / "typed.pyi").write_text(text, encoding="utf-8")
    good, wrong = tmp_path / "good.py", tmp_path / "wrong.py"
    good.write_text(USE, encoding="utf-8")
    wrong.write_text(USE.replace("position.x.mean()", "position.y.mean()").replace("rows.work.sum = ", "rows.wrk.sum = "), encoding="utf-8")
    environment = {**os.environ, "MYPYPATH": str(tmp_path)}
    told = [
        subprocess.run([*checks_in(tmp_path), str(file)], capture_output=True, text=True, cwd=tmp_path, check=False, env=environment)
        for file in (tmp_path / "typed.pyi", good, wrong)
    ]
    assert told[0].returncode == 0 and told[1].returncode == 0, told[0].stdout + told[1].stdout
    assert '"Position" has no attribute "y"' in told[2].stdout and '"Rows" has no attribute "wrk"' in told[2].stdout, told[2].stdout


def test_types_fit(tmp_path):
    use = tmp_path / "use.py"
    use.write_text(
        "import hypostyle\n"
        "region = hypostyle.open('demo')\n"
        "with region.pin() as snapshot:\n"
        "    rows: int = len(snapshot)\n"
        "    generation: int = snapshot.generation\n"
        "newer: int | None = region.wait(after=generation, timeout=1.0)\n"
        "@hypostyle.system(reads='velocity', writes=['position'], spawns='velocity')\n"
        "def move(rows: hypostyle.Job, frame: hypostyle.Frame, patches: hypostyle.Patches) -> None:\n"
        "    rows.position.x += rows.velocity.x * frame.dt\n"
        "    patches.spawn(3, velocity={'x': 1.0})\n"
        "@hypostyle.system(writes='position')\n"
        "def stop(rows: hypostyle.Job, frame: hypostyle.Frame) -> None:\n"
        "    rows.position.x = 0.0\n"
        "world = hypostyle.World('')\n"
        "with hypostyle.Simulation(world, [move, stop], workers='processes:2') as simulation:\n"
        "    report: hypostyle.FrameReport = simulation.step(0.1)\n"
        "    spawned: int = report.patches['move'].spawned\n",
        encoding="utf-8",
    )
    checks = checks_in(tmp_path)
    checked = subprocess.run([*checks, "-p", "hypostyle"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = subprocess.run([*checks, str(use)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
