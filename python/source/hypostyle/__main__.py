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
            return Path(str(file.locate())).resolve()
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
