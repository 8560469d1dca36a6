"""Histories: the states that a simulation went through, as a journal recorded them."""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator, Mapping, Optional, Union

from . import _native
from .layout import Layout, layout_of, warn_of_names
from .snapshot import Snapshot

if TYPE_CHECKING:
    import xarray

__all__ = ["Journal", "Recorded"]


@dataclass(frozen=True)
class Recorded:
    """What a recording wrote."""

    #: States.
    generations: int
    #: Published states that were left out, because the recorder was busy.
    skipped: int
    #: Whole states among them, from which the others can be reached.
    checkpoints: int
    #: Bytes of all files.
    bytes: int
    #: The newest frame.
    frame: int
    #: How long frames waited for the recorder, seconds.
    waited_seconds: float


class Journal:
    """A history in files: of ``hypostyle run --record DIRECTORY``, or of :meth:`World.record`.

    >>> history = hypostyle.Journal("history")
    >>> for snapshot in history:
    ...     print(snapshot.frame, snapshot["position"].y.mean())

    A journal that is still being written ends at what was there when it was opened.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self._native = _native.Journal(os.fspath(path))
        self._path = os.fspath(path)
        self._layout = layout_of(self._native.layout())
        warn_of_names(self._layout)
        self._entries = self._native.entries()

    @property
    def path(self) -> str:
        """Its directory."""
        return self._path

    @property
    def layout(self) -> Layout:
        """What its bytes mean."""
        return self._layout

    @property
    def frames(self) -> list[int]:
        """The frames whose states it has, oldest first."""
        return [frame for _, frame, _ in self._entries]

    @property
    def times(self) -> list[float]:
        """Their simulated times."""
        return [time for _, _, time in self._entries]

    @property
    def notes(self) -> Mapping[str, str]:
        """What was noted beside the states: a scene and its options, say."""
        return dict(self._native.notes())

    @property
    def is_finished(self) -> bool:
        """Whether its recording came to its end: otherwise it goes on, or its program died."""
        return self._native.is_finished()

    @property
    def problems(self) -> list[str]:
        """Frames that are missing, and an end that was cut off, in words; empty: it is whole."""
        return self._native.problems()

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, frame: object) -> bool:
        return any(frame == each for _, each, _ in self._entries)

    def pin(self, frame: Optional[int] = None) -> Snapshot:
        """The state of a frame (default: the last), in memory. Use it in a ``with`` block, or release it.

        Raises :class:`NotKeptError` if the journal does not have it.
        """
        last = self._entries[-1][1]
        return Snapshot(self._native.walk(last if frame is None else frame).pin(), self._layout)

    def snapshots(
        self, start: Optional[int] = None, stop: Optional[int] = None, step: int = 1
    ) -> Iterator[Snapshot]:
        """The states of frames from ``start`` on and before ``stop``, every ``step``-th of those that were recorded; each is
        released before the next one.

        What lies between two of them is read once, and forward: whole states are loaded for those alone that are given out.
        """
        if step < 1:
            raise ValueError(f"step is {step}; a history is read forward, by 1 or more")
        frames = self.frames
        begin = 0 if start is None else bisect_left(frames, start)
        end = len(frames) if stop is None else bisect_left(frames, stop)
        chosen = self._entries[begin:end:step]
        if not chosen:
            return
        walk = self._native.walk(chosen[0][1])
        for generation, frame, _ in chosen:
            if not walk.forward(generation):
                # a history that was rolled back is recorded as it went: the walk is beyond it
                walk = self._native.walk(frame)
            with Snapshot(walk.pin(), self._layout) as snapshot:
                yield snapshot

    def __iter__(self) -> Iterator[Snapshot]:
        return self.snapshots()

    def to_xarray(
        self, *names: str, start: Optional[int] = None, stop: Optional[int] = None, step: int = 1
    ) -> xarray.Dataset:
        """An ``xarray.Dataset`` over (frame, entity) of these components, columns and resources (default: all), as
        :func:`hypostyle.to_xarray` makes it of :meth:`snapshots`."""
        from .series import to_xarray

        return to_xarray(self.snapshots(start, stop, step), *names, layout=self._layout)

    def __repr__(self) -> str:
        frames = self.frames
        return f"<Journal {self._path}: {len(frames)} frames, {frames[0]} to {frames[-1]}>"
