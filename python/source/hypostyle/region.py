"""Regions: the shared memory of live simulations."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, AsyncIterator, Iterator, Optional, Union

from . import _native
from .closing import Closes
from .layout import Layout, layout_of, warn_of_names
from .snapshot import Changes, Snapshot

if TYPE_CHECKING:
    from .inputs import InputSender
    from .steering import Steering

#: How long a thread waits for a task that may be cancelled meanwhile, in seconds.
_LOOK = 0.1

__all__ = ["LeaseInfo", "Reader", "RegionInfo", "Residue", "clean", "clean_stale", "list_regions", "open_region"]


@dataclass(frozen=True)
class RegionInfo:
    """What is known about a region without opening it."""

    #: Its name, or its path: what :func:`hypostyle.open` takes.
    name: str
    #: The directory of its files.
    path: str
    #: Whether a process writes it.
    is_alive: bool
    #: Whether its last writer left it on purpose.
    is_kept: bool
    #: Whether no process needs it any more: `hypostyle clean` removes it.
    is_stale: bool
    #: The writer's process id; 0: none.
    writer_pid: int
    #: The newest generation; 0: none.
    generation: int
    #: Frames that the writer has ended.
    frames: int
    #: Process ids of the readers that hold a generation.
    reader_pids: list[int]
    #: Bytes of its data.
    bytes_backed: int
    #: The most bytes its data may have.
    bytes_max: int
    #: The name of its owner; of another user's region nothing else is known, not even whether it is alive.
    owner: str
    #: Why it cannot be read, if so.
    error: Optional[str]


@dataclass(frozen=True)
class LeaseInfo:
    """A reader's claim to a generation."""

    index: int
    #: The reader's process id.
    pid: int
    #: The generation that it holds, if any.
    generation: Optional[int]
    #: Whether the reader lives.
    is_alive: bool


class Reader(Closes):
    """A live simulation's shared memory, or the state of a file, read-only. Made by :func:`hypostyle.open`.

    It may be used by any number of threads. A process that was forked off may pin by itself, but must not use
    snapshots and arrays of before the fork.
    """

    def __init__(self, name: Union[str, os.PathLike[str]]) -> None:
        self._native = _native.Reader(_target(name))
        self._layout = layout_of(self._native.layout())
        warn_of_names(self._layout)

    @property
    def name(self) -> str:
        """Its name or path."""
        return self._native.name

    @property
    def layout(self) -> Layout:
        """What its bytes mean."""
        return self._layout

    @property
    def newest(self) -> int:
        """The newest published generation; 0: none yet."""
        return self._native.newest()

    @property
    def is_alive(self) -> bool:
        """Whether a process writes it at this moment."""
        return self._native.is_alive()

    @property
    def leases(self) -> list[LeaseInfo]:
        """The leases of all readers, this one's included."""
        return [LeaseInfo(*parts) for parts in self._native.leases()]

    @property
    def frames(self) -> list[int]:
        """The frames that :meth:`pin` can pin at this moment, oldest first."""
        return self._native.frames()

    def pin(self, frame: Optional[int] = None) -> Snapshot:
        """Pins the newest generation, or that of a frame. Use it in a ``with`` block, or :meth:`Snapshot.release` it.

        Raises :class:`NotKeptError` if there is none of that frame: beside the newest there are those that the writer keeps
        (``hypostyle run --keep-generations N``).
        """
        return Snapshot(self._native.pin(frame), self._layout)

    def inputs(self) -> InputSender:
        """A way to send values to its simulation. Use it in a ``with`` block, or close it: a mailbox has few places.

        Raises :class:`NoInputsError` if the simulation takes none, and :class:`InputsFullError` if others hold all places.
        """
        from .inputs import InputSender

        return InputSender(self._native.inputs(), self._layout)

    def steering(self) -> Steering:
        """Steers its run: pause, step, resume, pace.

        Raises :class:`NotSteerableError` if it is not steerable, and :class:`WriterGoneError` if no process runs it.
        """
        from .errors import NotSteerableError, WriterGoneError
        from .steering import Steering

        found = self._native.steering()
        if found is not None:
            return Steering(found)
        if self.is_alive:
            raise NotSteerableError(
                f"the run in region {self.name} is not steerable: start it with `hypostyle run --steer`, or in Python with "
                "`Simulation(..., steerable=True)`"
            )
        what = "is the state of a file" if self.is_file else "has no writer"
        raise WriterGoneError(f"{self.name} {what}: there is no run to be steered")

    def wait(self, after: Optional[int] = None, timeout: Optional[float] = None) -> Optional[int]:
        """Waits until a generation newer than ``after`` (default: the newest at the moment) is published.

        Returns the newest generation, or None when ``timeout`` seconds are over (default: never). Other threads run
        meanwhile. Ctrl-C ends it in the main thread, :meth:`close` in any, by :class:`ClosedError`. In a program of
        ``asyncio`` use :meth:`wait_async`: a thread that waits outlives its task.

        Raises :class:`WriterGoneError` if no writer is left to publish one.
        """
        return self._native.wait(self.newest if after is None else after, timeout)

    async def wait_async(self, after: Optional[int] = None, timeout: Optional[float] = None) -> Optional[int]:
        """As :meth:`wait`, for ``asyncio``. If its task is cancelled, the wait ends."""
        import asyncio

        after = self.newest if after is None else after
        ends = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _LOOK if ends is None else max(ends - time.monotonic(), 0.0)
            newest = await asyncio.to_thread(self.wait, after, min(left, _LOOK))
            if newest is not None or left == 0.0:
                return newest

    async def follow_async(self, timeout: Optional[float] = None) -> AsyncIterator[Snapshot]:
        """As :meth:`follow`, for programs of ``asyncio``."""
        from .errors import WriterGoneError

        seen = 0
        while True:
            try:
                if await self.wait_async(seen, timeout) is None:
                    return
            except WriterGoneError:
                return
            with self.pin() as snapshot:
                seen = snapshot.generation
                yield snapshot

    def changed_since(self, generation: int) -> Changes:
        """Pins the newest generation and returns what was written after an older one.

        Use it in a ``with`` block, or release its ``snapshot``.
        """
        return Changes(self.pin(), generation)

    def follow(self, timeout: Optional[float] = None) -> Iterator[Snapshot]:
        """Yields snapshots, each of the newest generation; each is released before the next one.

        Generations that were published while the loop was busy are skipped. It ends when the writer does, or when
        nothing new came for ``timeout`` seconds.
        """
        from .errors import WriterGoneError

        seen = 0
        while True:
            try:
                if self.wait(seen, timeout) is None:
                    return
            except WriterGoneError:
                return
            with self.pin() as snapshot:
                seen = snapshot.generation
                yield snapshot

    @property
    def is_file(self) -> bool:
        """Whether it is the state of a file, which has no writer."""
        return self._native.is_file

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._native.closed

    def close(self) -> None:
        """Closes the reader. Its snapshots and arrays stay valid."""
        self._native.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"generation {self.newest}"
        return f"<Reader {self.name}: {state}>"


def _target(name: Union[str, os.PathLike[str]]) -> str:
    """A region's name, or its path; a path object is always that."""
    text = os.fspath(name)
    return f"./{text}" if isinstance(name, os.PathLike) and "/" not in text and not text.startswith(".") else text


def clean(name: Union[str, os.PathLike[str]]) -> None:
    """Removes a region whose writer has exited, kept or not.

    Raises :class:`RegionInUseError` where its writer lives, and :class:`RegionNotFoundError` where there is none.
    """
    _native.clean(_target(name))


@dataclass(frozen=True)
class Residue:
    """What a dead process left behind."""

    #: Where it was.
    path: str
    #: ``"region"``, ``"half-made region"``, ``"memory of workers"`` or ``"half-written file"``.
    kind: str
    #: Bytes of its files.
    bytes: int
    #: How long ago it had changed, seconds.
    age_seconds: float


def clean_stale(
    directory: Union[str, os.PathLike[str], None] = None, older_than_seconds: int = 0
) -> list[Residue]:
    """Removes what dead processes left among the named regions, or in a directory, and returns what it was: regions that
    they did not keep, half-made ones, memory of workers, half-written checkpoints.

    Regions that were left on purpose stay: :func:`clean` removes them by name.
    """
    removed = _native.clean_stale(None if directory is None else os.fspath(directory), older_than_seconds)
    return [Residue(**residue) for residue in removed]


def open_region(name: Union[str, os.PathLike[str]]) -> Reader:
    """Opens the region of a simulation, with a live writer or without; or a state in a file; or the regions of all ranks of
    a cluster as one (:class:`ClusterReader`), by the name that they publish under.

    ``name`` is a region's name, or the path of its directory (anything with a ``/`` or a leading ``.``); or a checkpoint,
    ``"run.checkpoint"``, or a set of those of many ranks, ``"run.checkpoints"``, or a frame of a journal, ``"history@12"``
    (``"history"``: its last). Files are loaded into memory, and have one generation.

    Open only regions whose writers you trust: everything in them is checked but that bytes stay as they are while
    they are pinned. Regions belong to one user, and those of others are refused.
    """
    ranks = _native.ranks(_target(name))
    if ranks is None:
        return Reader(name)
    from .cluster import ClusterReader

    return ClusterReader(os.fspath(name), ranks)


def list_regions(directory: Union[str, os.PathLike[str], None] = None) -> list[RegionInfo]:
    """All named regions of this machine, or those in a directory."""
    return [RegionInfo(**info) for info in _native.regions(None if directory is None else os.fspath(directory))]
