"""States as VTKHDF: points with all that they have, all frames in one compressed file, for ParaView and VTK.

    import hypostyle
    from hypostyle import vtkhdf

    vtkhdf.write("run.vtkhdf", hypostyle.Journal("history"))         # open it in ParaView 5.13 or newer, and play

It needs the package ``h5py``: ``pip install "hypostyle[vtkhdf]"``. The command writes the same as ``.vtp`` and ``.pvd`` without
any package: ``hypostyle export history -o frames --format vtp --every 10``.
"""

from __future__ import annotations

import os
from typing import Any, Sequence, Union

import numpy as np
import numpy.typing as npt

try:
    import h5py
except ImportError as error:
    raise ImportError(f'{error}: files of VTKHDF need it: pip install "hypostyle[vtkhdf]"') from error

from .layout import ComponentLayout, FieldLayout, Layout
from .points import axes_of, joined, present_of, rows_with, values_of
from .snapshot import Snapshot
from .states import Source, states_of
from .values import Array

__all__ = ["write"]

#: Rows of a piece of a dataset.
_PIECE = 4096
#: The kinds of cells that PolyData has. Each point is a vertex, so that it is drawn.
_CELLS = ("Vertices", "Lines", "Polygons", "Strips")


def write(path: Union[str, os.PathLike[str]], source: Source, *components: str, position: str = "position") -> int:
    """Writes states as steps of PolyData, at their times, and returns how many. A file that is there is replaced.

    ``source`` is a snapshot; a region or an opened file, of which it takes the newest state; a :class:`Journal`, of which it
    takes all frames; or any iterable of snapshots. Entities that have ``position`` are points; ``components`` are what each
    of them is written with (default: all but lists), with its ``entity``. ``x``, ``y`` and ``z`` of a component are one
    vector, ``velocity``; a tag is an array of 0 and 1. Where a point lacks a component a float is NaN, a handle the null
    handle, and other values are 0. ``frame`` says for each step which frame it is.
    """
    states = states_of(source)
    first = next(states, None)
    if first is None:
        raise ValueError("there are no snapshots, so there is nothing to write")
    columns = _columns(first.layout, components)
    place = first.layout.component(position)
    with h5py.File(path, "w") as file:
        steps = _Steps(file.create_group("VTKHDF", track_order=True))
        count = 0
        snapshot: Union[Snapshot, None] = first
        while snapshot is not None:
            if snapshot.layout.hash != first.layout.hash:
                raise ValueError(f"the snapshot of frame {snapshot.frame} is of a world with another layout than the first")
            steps.put(snapshot, place, columns)
            count += 1
            snapshot = next(states, None)
    return count


def _columns(layout: Layout, names: Sequence[str]) -> list[tuple[str, ComponentLayout, list[FieldLayout]]]:
    """The arrays of points: names, and the fields that stand side by side in each; none: a tag."""
    found: list[tuple[str, ComponentLayout, list[FieldLayout]]] = []
    for component in map(layout.component, names or layout.components):
        fields = list(component.published_fields)
        if component.storage.endswith("list") or (component.fields and not fields):
            if names:
                raise ValueError(f"`{component.name}` is a list, or in memory alone: a point has one value")
        elif not fields or [(each.name, each.type) for each in fields] == [(axis, fields[0].type) for axis in "xyz"]:
            found.append((component.name, component, fields))
        else:
            found.extend((f"{component.name}.{each.name}", component, [each]) for each in fields)
    return found


class _Steps:
    """The datasets of a file, to which each state is added: points, a vertex for each, and where the step's begin."""

    def __init__(self, root: Any) -> None:
        root.attrs["Version"] = np.array([2, 2], np.int64)
        root.attrs.create("Type", b"PolyData", dtype=h5py.string_dtype("ascii", 8))
        self.root = root
        root.create_group("PointData")
        root.create_group("FieldData")
        self.steps = root.create_group("Steps")
        self.steps.create_group("PointDataOffsets")
        self.steps.create_group("FieldDataOffsets")
        self.steps.create_group("FieldDataSizes")
        self.count = 0

    def add(self, name: str, values: npt.ArrayLike) -> None:
        """Adds rows to a dataset."""
        rows = np.asarray(values)
        if name not in self.root:
            self.root.create_dataset(
                name, data=rows, maxshape=(None, *rows.shape[1:]), chunks=(_PIECE, *rows.shape[1:]), compression="gzip",
                compression_opts=1,
            )  # fmt: skip
            return
        dataset = self.root[name]
        dataset.resize(len(dataset) + len(rows), 0)
        dataset[len(dataset) - len(rows) :] = rows

    def put(self, snapshot: Snapshot, position: ComponentLayout, columns: Any) -> None:
        """Adds a state."""
        tables = [table for table in snapshot.select(position.name).tables if table.rows]
        rows = [rows_with(table, [position.name]) for table in tables]
        count, before = sum(map(len, rows)), len(self.root["Points"]) if self.count else 0
        places = [values_of(position, axis, tables, rows) for axis in axes_of(position)]
        places += [np.zeros_like(places[0])] * (3 - len(places))
        self.add("Points", np.column_stack(places))
        self.add("NumberOfPoints", [count])
        for kind in _CELLS:
            cells = count if kind == "Vertices" else 0
            self.add(f"{kind}/NumberOfCells", [cells])
            self.add(f"{kind}/NumberOfConnectivityIds", [cells])
            self.add(f"{kind}/Offsets", np.arange(cells + 1))
            self.add(f"{kind}/Connectivity", np.arange(cells))
        self.data("entity", joined([table.entities for table in tables], rows, np.zeros(0, np.uint64)), before)
        for name, component, fields in columns:
            parts = [values_of(component, each, tables, rows) for each in fields]
            if not fields:
                parts = [present_of(name, tables, rows).astype(np.uint8)]
            self.data(name, parts[0] if len(parts) == 1 else np.column_stack(parts), before)
        begins = {"Values": snapshot.time, "PartOffsets": self.count, "NumberOfParts": 1, "PointOffsets": before}
        for name, value in begins.items():
            self.add(f"Steps/{name}", [value])
        for name in ("CellOffsets", "ConnectivityIdOffsets"):
            self.add(f"Steps/{name}", [[before, 0, 0, 0]])
        self.add("FieldData/frame", [snapshot.frame])
        self.add("Steps/FieldDataOffsets/frame", [self.count])
        self.add("Steps/FieldDataSizes/frame", [[1, 1]])
        self.count += 1
        self.steps.attrs["NSteps"] = self.count

    def data(self, name: str, values: Array, before: int) -> None:
        """Adds the values of a step's points."""
        self.add(f"PointData/{name}", values)
        self.add(f"Steps/PointDataOffsets/{name}", [before])
