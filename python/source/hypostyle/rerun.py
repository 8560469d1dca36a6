"""States for Rerun (https://rerun.io): points with radii and colours, and resources as plots, on two time lines.

    import hypostyle
    from hypostyle import rerun

    rerun.save("history.rrd", hypostyle.Journal("history"), colour="velocity")     # then: rerun history.rrd

    import rerun as viewer                                 # the SDK itself: a window that follows a run
    viewer.init("demo", spawn=True)
    rerun.log(hypostyle.open("demo").follow(), colour="velocity")

It needs the package ``rerun-sdk``: ``pip install "hypostyle[rerun]"``.
"""

from __future__ import annotations

import math
import os
from typing import Any, Callable, Iterable, Mapping, Optional, Sequence, Union

import numpy as np

try:
    import rerun as sdk
except ImportError as error:
    raise ImportError(f'{error}: recordings for Rerun need it: pip install "hypostyle[rerun]"') from error

from .errors import UnknownNameError
from .layout import FieldLayout, Layout, _unknown
from .points import axes_of, checked_range, coloured, floats, magnitude, range_of, rows_with, wide
from .snapshot import Snapshot
from .states import Source, states_of
from .values import Array, integer_of

__all__ = ["log", "save"]

#: Viridis, as the page has it: red, green and blue as polynomials of the place between 0 and 1.
_VIRIDIS = np.array([
    [0.2777273272, 0.0054073445, 0.3340998053],
    [0.1050930431, 1.4046135299, 1.3845901626],
    [-0.3308618287, 0.2148475595, 0.095095163],
    [-4.634230499, -5.7991009734, -19.3324409563],
    [6.2282699363, 14.1799333668, 56.6905526007],
    [4.7763849977, -13.7451453777, -65.3530326334],
    [-5.4354558559, 4.6458526122, 26.3124352496],
])  # fmt: skip
#: What has no number.
_GREY = 128


def save(
    path: Union[str, os.PathLike[str]],
    source: Source,
    *,
    position: str = "position",
    colour: Optional[str] = None,
    radius: Union[str, float, None] = None,
    range: Optional[tuple[float, float]] = None,
    scalars: Optional[Sequence[str]] = None,
    measures: Optional[Mapping[str, Callable[[Snapshot], float]]] = None,
    most: int = 200_000,
) -> int:
    """Writes a recording (``.rrd``) of what :func:`log` logs, and returns how many states it has. A file that is there is
    replaced."""
    stream = sdk.RecordingStream("hypostyle")
    stream.save(os.fspath(path))
    try:
        return log(
            source, stream, position=position, colour=colour, radius=radius, range=range, scalars=scalars,
            measures=measures, most=most,
        )  # fmt: skip
    finally:
        stream.flush()
        stream.disconnect()


def log(
    source: Source,
    recording: Optional[sdk.RecordingStream] = None,
    *,
    position: str = "position",
    colour: Optional[str] = None,
    radius: Union[str, float, None] = None,
    range: Optional[tuple[float, float]] = None,
    scalars: Optional[Sequence[str]] = None,
    measures: Optional[Mapping[str, Callable[[Snapshot], float]]] = None,
    most: int = 200_000,
) -> int:
    """Logs states to a recording of Rerun (default: the one that ``rerun.init`` made), and returns how many.

    ``source`` is a snapshot; a region or an opened file, of which it takes the newest state; a :class:`Journal`, of which it
    takes all frames; or any iterable of snapshots, as :meth:`Reader.follow` and :meth:`Journal.snapshots` are.

    Below the layout's name stand ``position`` (or another component that ``position`` names, with fields ``x`` and ``y``, and
    ``z`` or not) as points, each with its ``entity`` and the number that it is coloured by; each of ``scalars``, which are
    resources and fields of theirs (``melt.temperature``; default: all that hold numbers); and each of ``measures``, functions
    of a snapshot by name. Points that leave, leave.

    ``colour`` is a column (``velocity.y``), or a component, of which it takes the magnitude; ``range`` is that of the colours,
    by default that of the first state. ``radius`` is a column, or one number for all. An entity that lacks one of these
    components is no point. Of more than ``most`` points each second one is logged, or each third one, and so on.

    The time lines are ``frame``, and ``time``: simulated time as if it were seconds, which Rerun keeps as whole nanoseconds.
    Numbers of points are floats of 32 bits there.
    """
    stream = sdk.get_global_data_recording() if recording is None else recording
    if stream is None:
        raise ValueError("there is no recording: call rerun.init(...) first, or give one, or use save(path, ...)")
    logger: Optional[_Logger] = None
    count = 0
    for snapshot in states_of(source):
        if logger is None:
            logger = _Logger(stream, snapshot.layout, position, colour, radius, range, scalars, most)
            logger.measures = dict(measures or {})
        logger.log(snapshot)
        count += 1
    return count


class _Logger:
    """What is logged of each state."""

    def __init__(
        self,
        stream: sdk.RecordingStream,
        layout: Layout,
        position: str,
        colour: Optional[str],
        radius: Union[str, float, None],
        range: Optional[tuple[float, float]],
        scalars: Optional[Sequence[str]],
        most: int,
    ) -> None:
        self.stream = stream
        self.layout = layout
        self.position = layout.component(position)
        self.axes = axes_of(self.position)
        self.colour_name = colour or ""
        self.colour = None if colour is None else coloured(layout.component(colour.partition(".")[0]), colour)
        self.size = None if radius is None or isinstance(radius, str) else float(radius)
        self.radius = coloured(layout.component(radius.partition(".")[0]), radius) if isinstance(radius, str) else None
        self.range = None if range is None else checked_range(range)
        self.scalars = _scalars(layout, scalars)
        self.measures: dict[str, Callable[[Snapshot], float]] = {}
        self.most = integer_of("most", most, 1)
        # as the page and its pictures have it
        stream.log(layout.name, sdk.ViewCoordinates.RIGHT_HAND_Y_UP, static=True)

    def log(self, snapshot: Snapshot) -> None:
        """Logs one state at its frame and time."""
        if snapshot.layout.hash != self.layout.hash:
            raise ValueError(f"the snapshot of frame {snapshot.frame} is of a world with another layout than the first")
        stream = self.stream
        stream.set_time("frame", sequence=snapshot.frame)
        if math.isfinite(snapshot.time):
            stream.set_time("time", duration=snapshot.time)
        else:
            stream.disable_timeline("time")
        self._points(snapshot)
        for name, fields in self.scalars.items():
            resource = snapshot.resources.get(name)
            if resource is None:
                continue
            for field in fields:
                values = wide(np.atleast_1d(resource[field.name]), field)
                stream.log(f"{self.layout.name}/{name}/{field.name}", sdk.Scalars(values.astype(np.float64)))
        for name, measure in self.measures.items():
            stream.log(f"{self.layout.name}/{name}", sdk.Scalars([float(measure(snapshot))]))

    def _points(self, snapshot: Snapshot) -> None:
        names = list(dict.fromkeys(each[0].name for each in ((self.position, None), self.colour, self.radius) if each))
        selection = snapshot.select(*names)
        places: list[Array] = [np.zeros((0, 3), np.float32)]
        entities, values, radii = [np.zeros(0, np.uint64)], [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
        chosen = [(table, rows_with(table, names)) for table in selection.tables]
        every = max(-(-sum(len(rows) for _, rows in chosen) // self.most), 1)
        for table, rows in chosen:
            rows = rows[::every]
            place = np.zeros((len(rows), 3), np.float32)
            for index, axis in enumerate(self.axes):
                place[:, index] = floats(table, self.position, axis, rows)
            places.append(place)
            entities.append(table.entities[rows])
            if self.colour:
                values.append(magnitude(table, *self.colour, rows))
            if self.radius:
                radii.append(magnitude(table, *self.radius, rows))
        about: dict[str, Any] = {"entity": np.concatenate(entities)}
        colours: Optional[Array] = None
        sizes: Union[Array, list[float], None] = None if self.size is None else [self.size]
        if self.colour:
            about[self.colour_name] = numbers = np.concatenate(values)
            if self.range is None and len(numbers):
                self.range = range_of(numbers)
            colours = _colours(numbers, self.range or (0.0, 1.0))
        if self.radius:
            sizes = np.concatenate(radii)
        points = sdk.Points3D(np.concatenate(places), radii=sizes, colors=colours)
        self.stream.log(f"{self.layout.name}/{self.position.name}", points, sdk.AnyValues(**about))


def _colours(values: Array, ends: tuple[float, float]) -> Array:
    """Viridis from one end of the range to the other; grey where there is no number."""
    low, high = ends
    colours = np.full((len(values), 3), _GREY, np.uint8)
    known = np.isfinite(values)
    place = 0.9 * np.clip((values[known].astype(np.float64) - low) / (high - low), 0.0, 1.0)
    parts = np.polynomial.polynomial.polyval(place, _VIRIDIS)
    colours[known] = np.clip(np.rint(parts.T * 255), 0, 255).astype(np.uint8)
    return colours


def _scalars(layout: Layout, names: Optional[Iterable[str]]) -> dict[str, list[FieldLayout]]:
    """The fields of resources that are plotted, by resource."""

    def plotted(fields: Iterable[FieldLayout]) -> list[FieldLayout]:
        return [each for each in fields if each.scalar != "entity"]

    if names is None:
        return {each.name: plotted(each.fields) for each in layout.resources.values()}
    chosen: dict[str, list[FieldLayout]] = {}
    for name in names:
        owner, _, one = name.partition(".")
        declared = layout.resource(owner)
        found = plotted(each for each in declared.fields if one in ("", each.name))
        if not found:
            known = [f"{owner}.{each.name}" for each in plotted(declared.fields)]
            raise UnknownNameError(_unknown("number of a resource", name, known))
        chosen.setdefault(owner, []).extend(each for each in found if each not in chosen.get(owner, []))
    return chosen
