"""The stubs name what the native half has, every public thing is described, and the types fit."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import hypostyle
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
    checks = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    checks += ["--disable-error-code=import-untyped", "--disable-error-code=import-not-found"]
    checked = subprocess.run([*checks, "-p", "hypostyle"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = subprocess.run([*checks, str(use)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
