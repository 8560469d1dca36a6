"""Live points in a notebook: a picture of a state that the reader turns, and that follows a run.

    from hypostyle.notebook import Points

    points = Points(region, colour="velocity")     # the newest state, in a cell
    points.follow(region, seconds=60)              # and what comes after it, beside other cells

The picture is drawn by the code of the gateway's page, in the cell, by WebGL 2. Drag to turn or to pan, wheel to zoom,
double click to see all. It needs the package ``anywidget``: ``pip install "hypostyle[notebook]"``.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise ImportError(f'{error}: points in a notebook need it: pip install "hypostyle[notebook]"') from error

from .errors import ClosedError, UnknownNameError, WriterGoneError
from .layout import ComponentLayout, FieldLayout, _unknown
from .region import Reader
from .small import FRACTIONS, widen
from .snapshot import Selection, Snapshot, Table
from .values import Array

__all__ = ["Points"]

#: Axes of a component, where nothing else is said.
_AXES = (("x", "y", "z"), ("x", "y"), ("lon", "lat"))
#: Numbers that a colour's range leaves out at each end, as a share of all.
_OUTSIDE = 0.01


class Points(anywidget.AnyWidget):
    """Entities as points of a notebook's cell.

    Its traits can be set at any time: ``size``, ``spheres``, ``map`` (``viridis``, ``inferno``, ``plasma``, ``balance``),
    ``low``, ``high``, ``height``, ``title``.
    """

    _esm = Path(__file__).parent / "points.js"

    positions = traitlets.Bytes().tag(sync=True)
    values = traitlets.Bytes().tag(sync=True)
    axes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colour = traitlets.Unicode().tag(sync=True)
    low = traitlets.Float(0.0).tag(sync=True)
    high = traitlets.Float(1.0).tag(sync=True)
    map = traitlets.Unicode("viridis").tag(sync=True)
    size = traitlets.Float(3.0).tag(sync=True)
    spheres = traitlets.Bool(False).tag(sync=True)
    height = traitlets.Int(420).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        source: Union[Reader, Snapshot],
        position: str = "position",
        colour: Optional[str] = None,
        *,
        most: int = 200_000,
        range: Optional[tuple[float, float]] = None,
        **traits: Any,
    ) -> None:
        """Shows a snapshot, or the newest state of a region.

        ``position`` is a component with fields ``x`` and ``y``, and ``z`` or not. ``colour`` is a column
        (``velocity.y``), or a component, of which it takes the magnitude. Of more than ``most`` entities each second one is
        shown, or each third one, and so on. ``range`` is that of the colours; it follows from the first values where none
        is given. ``traits`` are those of the widget.

        Raises :class:`UnknownNameError` for what the layout does not have, and ``ValueError`` for a component without such
        axes, or of which no number can be made.
        """
        super().__init__(**traits)
        layout = source.layout
        self._position = layout.component(position)
        self._axes = _axes(self._position)
        self._colour = None if colour is None else _coloured(layout.component(colour.partition(".")[0]), colour)
        self._most = max(int(most), 1)
        self._fixed = range
        self._follower: Optional[threading.Thread] = None
        self._ends = threading.Event()
        self._failed: Optional[BaseException] = None
        self.colour = colour or ""
        self.axes = [f"{position}.{axis.name}" for axis in self._axes]
        if range is not None:
            self.low, self.high = _range_of(range)
        if isinstance(source, Snapshot):
            self.show(source)
        else:
            with source.pin() as snapshot:
                self.show(snapshot)

    def show(self, snapshot: Snapshot) -> None:
        """Shows a state. What is sent is copied: the snapshot may be released."""
        names = [self._position.name, *([self._colour[0].name] if self._colour else [])]
        selection: Selection = snapshot.select(*names)
        every = max(-(-len(selection) // self._most), 1)
        positions: list[Array] = []
        values: list[Array] = []
        for table in selection.tables:
            rows = _rows(table, names)[::every]
            axes = [_floats(table, self._position, axis, rows) for axis in self._axes]
            if len(axes) == 2:
                axes.append(np.zeros(len(rows), np.float32))
            positions.append(np.column_stack(axes))
            if self._colour:
                values.append(_magnitude(table, *self._colour, rows))
        all_positions = np.concatenate(positions) if positions else np.zeros((0, 3), np.float32)
        all_values = np.concatenate(values) if values else np.zeros(0, np.float32)
        shown = f"{len(all_positions):,} of {len(selection):,}" if every > 1 else f"{len(all_positions):,}"
        with self.hold_sync():
            if self._fixed is None and len(all_values):
                self._fixed = _range(all_values)
                self.low, self.high = self._fixed
            self.positions = np.ascontiguousarray(all_positions, "<f4").tobytes()
            self.values = np.ascontiguousarray(all_values, "<f4").tobytes()
            self.title = f"{shown} entities, frame {snapshot.frame}"

    def follow(self, region: Reader, *, seconds: Optional[float] = None, pace: float = 20.0) -> Points:
        """Shows what a region publishes, at most ``pace`` states a second, beside other cells.

        Ends with :meth:`stop`, after ``seconds``, or when the run does. Returns itself, so that it can be a cell's last line.
        """
        self.stop()
        self._ends.clear()
        self._failed = None
        self._follower = threading.Thread(target=self._watch, args=(region, seconds, 1.0 / max(pace, 0.1)), daemon=True)
        self._follower.start()
        return self

    def stop(self) -> None:
        """Ends :meth:`follow`, if it has not ended. What it failed of is raised here."""
        self._ends.set()
        if self._follower is not None and self._follower is not threading.current_thread():
            self._follower.join()
            self._follower = None
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits until :meth:`follow` has ended by itself. False: the time was over first."""
        if self._follower is not None:
            self._follower.join(timeout)
            if self._follower.is_alive():
                return False
        self.stop()
        return True

    @property
    def is_following(self) -> bool:
        """Whether :meth:`follow` goes on."""
        return self._follower is not None and self._follower.is_alive()

    def _watch(self, region: Reader, seconds: Optional[float], least: float) -> None:
        ends = None if seconds is None else time.monotonic() + seconds
        seen = 0
        try:
            while not self._ends.is_set() and (ends is None or time.monotonic() < ends):
                begun = time.monotonic()
                if region.wait(seen, timeout=0.1) is None:
                    continue
                with region.pin() as snapshot:
                    seen = snapshot.generation
                    self.show(snapshot)
                self._ends.wait(max(least - (time.monotonic() - begun), 0.0))
        except (WriterGoneError, ClosedError):
            return
        except BaseException as error:  # told where somebody waits
            self._failed = error


def _range_of(ends: tuple[float, float]) -> tuple[float, float]:
    """The ends of a range of colours, checked."""
    low, high = (float(end) for end in ends)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"a range of colours has a lower end and a higher one, and not {low} and {high}")
    return low, high


def _axes(component: ComponentLayout) -> list[FieldLayout]:
    for names in _AXES:
        fields = {declared.name: declared for declared in component.published_fields if not declared.array_len}
        if all(name in fields for name in names):
            return [fields[name] for name in names]
    raise ValueError(f"component `{component.name}` has no fields `x` and `y` that snapshots show, nor `lon` and `lat`")


def _coloured(component: ComponentLayout, name: str) -> tuple[ComponentLayout, list[FieldLayout]]:
    field = name.partition(".")[2]
    if field and field not in {declared.name for declared in component.published_fields}:
        raise UnknownNameError(_unknown("column", name, [f"{component.name}.{f.name}" for f in component.published_fields]))
    chosen = [each for each in component.published_fields if (not field or each.name == field) and each.scalar != "entity"]
    if not chosen:
        raise ValueError(f"`{name}` has no numbers that could be colours")
    return component, chosen


def _rows(table: Table, names: list[str]) -> Array:
    has = np.ones(table.rows, np.bool_)
    for name in names:
        has &= table.presence(name)
    return np.flatnonzero(has)


def _floats(table: Table, component: ComponentLayout, field: FieldLayout, rows: Array) -> Array:
    values = table.column(f"{component.name}.{field.name}")[rows]
    return widen(values, field.scalar) if field.scalar in FRACTIONS else values.astype(np.float32)


def _magnitude(table: Table, component: ComponentLayout, fields: list[FieldLayout], rows: Array) -> Array:
    parts = [_floats(table, component, field, rows).reshape(len(rows), -1) for field in fields]
    parts_of_all = np.concatenate(parts, axis=1)
    return parts_of_all[:, 0] if parts_of_all.shape[1] == 1 else np.linalg.norm(parts_of_all, axis=1).astype(np.float32)


def _range(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = (float(end) for end in np.quantile(finite, (_OUTSIDE, 1 - _OUTSIDE)))
    return (low, high) if low < high else (low, low + 1.0)
