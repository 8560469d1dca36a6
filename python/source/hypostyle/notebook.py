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

from .errors import ClosedError, WriterGoneError
from .points import axes_of, checked_range, coloured, floats, magnitude, range_of, rows_with
from .region import Reader
from .snapshot import Selection, Snapshot
from .values import Array

__all__ = ["Points"]


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
        self._axes = axes_of(self._position)
        self._colour = None if colour is None else coloured(layout.component(colour.partition(".")[0]), colour)
        self._most = max(int(most), 1)
        self._fixed = range
        self._follower: Optional[threading.Thread] = None
        self._ends = threading.Event()
        self._failed: Optional[BaseException] = None
        self.colour = colour or ""
        self.axes = [f"{position}.{axis.name}" for axis in self._axes]
        if range is not None:
            self.low, self.high = checked_range(range)
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
            rows = rows_with(table, names)[::every]
            axes = [floats(table, self._position, axis, rows) for axis in self._axes]
            if len(axes) == 2:
                axes.append(np.zeros(len(rows), np.float32))
            positions.append(np.column_stack(axes))
            if self._colour:
                values.append(magnitude(table, *self._colour, rows))
        all_positions = np.concatenate(positions) if positions else np.zeros((0, 3), np.float32)
        all_values = np.concatenate(values) if values else np.zeros(0, np.float32)
        shown = f"{len(all_positions):,} of {len(selection):,}" if every > 1 else f"{len(all_positions):,}"
        with self.hold_sync():
            if self._fixed is None and len(all_values):
                self._fixed = range_of(all_values)
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
