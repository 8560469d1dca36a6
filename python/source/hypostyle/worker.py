"""A worker process of a simulation.

    python -m hypostyle.worker [--path DIRECTORIES] PLACE...

A place is a module, with all systems at its top; a module's system, ``falling:move``; or the same of a script,
``falling.py:move``. It is started by a simulation, in Python (:class:`hypostyle.Simulation` does so by itself) or in
another language (as the command of its workers), and runs the systems that this simulation names.
"""

from __future__ import annotations

import argparse
import importlib
import os
import runpy
import sys
from typing import Any, Optional, Union

from . import _native, world
from .errors import WorkersError
from .scene import NativeSystem, _system_at
from .system import System, guard_at


def systems_of(place: str) -> list[Union[System, NativeSystem]]:
    """The systems at a place."""
    native = _system_at(place)
    if native is not None:
        return [native]
    guard = guard_at(place)
    if guard is not None:
        return [guard]
    module, colon, name = place.rpartition(":")
    if not colon or os.sep in name:
        module, name = place, ""
    world._reading = module
    try:
        if module.endswith(".py"):
            found: dict[str, Any] = _scripts.get(module) or runpy.run_path(module, run_name="__hypostyle_worker__")
            _scripts[module] = found
        else:
            found = vars(importlib.import_module(module))
    finally:
        world._reading = None
    if name:
        if not isinstance(found.get(name), System):
            raise LookupError(f"{module} has no system at `{name}`")
        return [found[name]]
    return [each for each in found.values() if isinstance(each, System)]


_scripts: dict[str, dict[str, Any]] = {}


def main(arguments: Optional[list[str]] = None) -> int:
    """Serves until the simulation is closed."""
    parser = argparse.ArgumentParser(prog="python -m hypostyle.worker", description=__doc__.split("\n")[0])
    parser.add_argument("--path", help="where to look for modules: directories as in PYTHONPATH")
    parser.add_argument("places", nargs="*", metavar="PLACE")
    given = parser.parse_args(arguments)
    if given.path is not None:
        sys.path[:] = given.path.split(os.pathsep)

    def find(names: list[str]) -> list[Union[System, NativeSystem]]:
        known: dict[str, Union[System, NativeSystem]] = {}
        for place in given.places:
            known.update({each.name: each for each in systems_of(place) if each.name not in known})
        return [known[name] for name in names if name in known]

    try:
        served = _native.serve(find, [])
    except WorkersError as failed:
        # its simulation says so, too
        print(f"hypostyle.worker: {failed}", file=sys.stderr)
        return 1
    if not served:
        print("this is the worker of a simulation, which starts it", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # nothing of a worker outlives it: there is nothing to tidy up
    os._exit(code)
