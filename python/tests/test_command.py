"""The command that the wheel carries."""

import re
import subprocess
import sys
from pathlib import Path

import hypostyle
from hypostyle.__main__ import program


def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*words], capture_output=True, text=True, check=check, timeout=120)


def test_the_wheel_carries_the_command() -> None:
    command = program()
    assert command is not None and command.parent == Path(sys.executable).parent.resolve()
    version = run(str(command), "--version").stdout
    assert version == f"hypostyle {hypostyle.__version__}\n"
    assert run(sys.executable, "-m", "hypostyle", "--version").stdout == version
    wrong = run(sys.executable, "-m", "hypostyle", "no-such-command", check=False)
    assert wrong.returncode == 2 and "no-such-command" in wrong.stderr


def test_it_runs_worlds_with_processes_of_its_own() -> None:
    words = ["run", "particles", "--entities", "2000", "--frames", "5", "--print-hash"]
    alone = run(sys.executable, "-m", "hypostyle", *words, "--workers", "local").stdout
    processes = run(sys.executable, "-m", "hypostyle", *words, "--workers", "processes:2").stdout
    hashes = [re.findall(r"\b[0-9a-f]{16}\b", text) for text in (alone, processes)]
    assert hashes[0] and hashes[0] == hashes[1], (alone, processes)
