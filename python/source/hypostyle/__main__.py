"""`python -m hypostyle`: the command `hypostyle` that the wheel carries, with the same arguments."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path


def program() -> Path | None:
    """The command of this installation; `None` where the package was built without it."""
    for file in importlib.metadata.files("hypostyle") or []:
        if file.name in ("hypostyle", "hypostyle.exe") and file.parent.name in ("bin", "Scripts"):
            # `pip install --target` puts scripts beside the package, and not where its own list says
            beside = Path(__file__).parents[1] / file.parent.name / file.name
            return next((path.resolve() for path in (Path(str(file.locate())), beside) if path.is_file()), None)
    return None


def main() -> None:
    """Replaces this process by the command."""
    found = program()
    if found is None:
        sys.exit(
            "hypostyle: this package was built without the command: install a wheel of `cargo xtask wheel`, "
            "or the command alone by `cargo install --path cli`"
        )
    os.execv(found, [str(found), *sys.argv[1:]])


if __name__ == "__main__":
    main()
