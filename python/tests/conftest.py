"""Live simulations to attach to: the `hypostyle` program running its scenes in regions of the tests' own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import pytest

import hypostyle

ROOT = Path(__file__).resolve().parents[2]
_numbers = itertools.count()


def program() -> str:
    """The `hypostyle` program: HYPOSTYLE_PROGRAM, or what cargo built last."""
    named = os.environ.get("HYPOSTYLE_PROGRAM")
    if named:
        return named
    built = [ROOT / "target" / profile / "hypostyle" for profile in ("release", "debug")]
    there = [path for path in built if path.is_file()]
    if not there:
        pytest.exit("build the program first: `cargo build --release --bin hypostyle`", returncode=1)
    return str(max(there, key=lambda path: path.stat().st_mtime))


def unique(what: str) -> str:
    """A name for a region that no other test has."""
    return f"pytest-{what}-{os.getpid()}-{next(_numbers)}"


class Run:
    """A simulation in a region, in a process of its own."""

    def __init__(self, scene: str, *arguments: str, name: Optional[str] = None) -> None:
        self.name = name or unique(scene)
        command = [program(), "run", scene, "--workers", "local", "--region", self.name, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def open(self) -> hypostyle.Reader:
        """Opens the region as soon as it has a generation."""
        deadline = time.monotonic() + 120
        while True:
            try:
                region = hypostyle.open(self.name)
                region.wait(0, timeout=60)
                return region
            except (hypostyle.RegionNotFoundError, hypostyle.WriterGoneError):
                if self.process.poll() is not None:
                    raise RuntimeError(f"the run ended early: {self.process.communicate()[1]}") from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        """Ends the writer as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Ends the run, and removes the region."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process.stderr:
            self.process.stderr.close()
        subprocess.run([program(), "clean", self.name], capture_output=True, check=False)


@pytest.fixture
def run() -> Iterator[Callable[..., Run]]:
    """Starts simulations that end with the test."""
    runs: list[Run] = []

    def start(scene: str, *arguments: str, **options: Any) -> Run:
        runs.append(Run(scene, *arguments, **options))
        return runs[-1]

    yield start
    for started in runs:
        started.end()


@pytest.fixture(scope="session")
def spheres() -> Iterator[hypostyle.Reader]:
    """A live simulation in one table."""
    started = Run("spheres", "--entities", "3000", "--seconds", "3000")
    try:
        yield started.open()
    finally:
        started.end()


@pytest.fixture(scope="session")
def bodies() -> Iterator[hypostyle.Reader]:
    """A live simulation in one table that never comes to rest."""
    started = Run("nbody", "--entities", "400", "--seconds", "3000")
    try:
        yield started.open()
    finally:
        started.end()


@pytest.fixture(scope="session")
def particles() -> Iterator[hypostyle.Reader]:
    """A live simulation in several tables, with toggles and tags."""
    started = Run("particles", "--entities", "5000", "--seconds", "3000")
    try:
        yield started.open()
    finally:
        started.end()


@pytest.fixture(scope="session")
def still() -> Iterator[Callable[[int], str]]:
    """Regions of so many bodies in one table that nobody writes any more."""
    runs: dict[int, Run] = {}

    def make(rows: int) -> str:
        if rows not in runs:
            runs[rows] = Run("spheres", "--entities", str(rows), "--frames", "2", "--keep")
            _, errors = runs[rows].process.communicate(timeout=600)
            assert runs[rows].process.returncode == 0, errors
        return runs[rows].name

    yield make
    for started in runs.values():
        started.end()
