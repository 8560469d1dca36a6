"""The book's blocks of Python run, chapter by chapter, beside the simulations that its shell commands start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ROOT, program

import hypostyle

BOOK = ROOT / "docs" / "book"
BLOCK = re.compile(r"^(?P<note><!-- [^\n]* -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


def chapters() -> list[str]:
    """Those that have Python in them."""
    return sorted(path.stem for path in BOOK.glob("*.md") if "\n```python\n" in path.read_text(encoding="utf-8"))


def await_region(name: str, process: subprocess.Popen[bytes]) -> None:
    """Waits until a simulation has published something."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with hypostyle.open(name) as region:
                if region.wait(0, timeout=60) is not None:
                    return
        except (hypostyle.RegionNotFoundError, hypostyle.WriterGoneError):
            time.sleep(0.05)
    raise RuntimeError(f"{name}: the simulation published nothing")


def test_chapters_are_found() -> None:
    assert {"python", "ten-minutes"} <= set(chapters())


@pytest.mark.parametrize("chapter", chapters())
def test_the_blocks_run(chapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = BOOK / f"{chapter}.md"
    text = path.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(program()).resolve().parent}{os.pathsep}{os.environ['PATH']}")
    regions = sorted(set(re.findall(r"--region ([\w-]+)", text)))
    started: list[subprocess.Popen[bytes]] = []
    names: dict[str, object] = {"__name__": f"book_{chapter}"}
    count = 0
    try:
        for block in BLOCK.finditer(text):
            code = block["text"]
            for name in regions:
                code = re.sub(rf"(?<![\w./-]){name}(?![\w./-])", f"{name}-{os.getpid()}", code)
            if block["note"] and "not run" in block["note"]:
                continue
            if block["language"] == "sh":
                # what the commands print is compared elsewhere; here the simulations are wanted that go on
                for line in code.splitlines():
                    if line.endswith(" &"):
                        command = line.removesuffix(" &").split()
                        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
                        await_region(command[command.index("--region") + 1], started[-1])
            elif block["language"] == "python":
                line = text[: block.start("text")].count("\n")
                exec(compile("\n" * line + code, str(path), "exec"), names)
                count += 1
    finally:
        for process in started:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        for name in regions:
            subprocess.run([program(), "clean", f"{name}-{os.getpid()}"], capture_output=True, check=False)
    assert count == text.count("\n```python\n")
