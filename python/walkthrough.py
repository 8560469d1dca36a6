"""Runs the Python of docs/analysis.md, block after block, on a live simulation.

    python python/walkthrough.py PROGRAM [--pictures DIR]

PROGRAM is the `hypostyle` program; DIR gets the pictures that the blocks make (`docs`, to renew them there).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "analysis.md"


def blocks(text: str) -> list[tuple[int, str]]:
    """The blocks of Python, each with the number of its first line."""
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n") + 1, match.group(1)) for match in found]


def wait_for(process: subprocess.Popen[str], name: str) -> None:
    """Waits until the simulation has published something."""
    import hypostyle

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with hypostyle.open(name) as region:
                if region.wait(5, timeout=60) is not None:
                    return
        except (hypostyle.RegionNotFoundError, hypostyle.WriterGoneError):
            time.sleep(0.05)
    raise SystemExit("the simulation published nothing")


def main() -> None:
    """Runs all blocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    program = str(Path(arguments.program).resolve())
    pictures = arguments.pictures.resolve() if arguments.pictures else None
    text = DOCUMENT.read_text(encoding="utf-8")
    name = f"walkthrough-{os.getpid()}"
    command = [program, "run", "particles", "--entities", "50000", "--seconds", "600", "--region", name]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(process, name)
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            names: dict[str, object] = {}
            for line, code in blocks(text):
                print(f"---- {DOCUMENT.name}:{line}", flush=True)
                code = "\n" * line + code.replace('"demo"', repr(name))
                exec(compile(code, str(DOCUMENT), "exec"), names)
            for picture in Path(directory).iterdir():
                print(f"made {picture.name}, {picture.stat().st_size} bytes")
                if pictures is not None:
                    shutil.copy(picture, pictures)
            os.chdir("/")
    finally:
        process.terminate()
        process.wait()
        subprocess.run([program, "clean", name], capture_output=True, check=False)
    print(f"{len(blocks(text))} blocks ran")


if __name__ == "__main__":
    sys.exit(main())
