"""Worlds of several ranks: each process of a cluster has a region with its part, and readers see the whole at one frame."""

from __future__ import annotations

import os
import time
from typing import Optional, Union

from . import _native
from .errors import AbsentError, HypostyleError, NothingPublishedError, NotKeptError, WriterGoneError
from .region import LeaseInfo, Reader
from .snapshot import Changes, Selection, Snapshot, Table, _Core
from .steering import Steering
from .values import integer_of

__all__ = ["ClusterReader", "ClusterSnapshot"]

#: How long to look for a frame that all ranks have, in seconds.
_PATIENCE = 10.0
#: How long to wait between two looks, in seconds.
_REST = 0.0002
#: How long a wait goes without a look at the other ranks, in seconds.
_LOOK = 0.05


class ClusterReader(Reader):
    """A world that several ranks write, each in a region of its own, as one. Made by :func:`hypostyle.open`.

    A generation of it is a frame that all ranks have published: numbers of generations are numbers of frames.
    """

    def __init__(self, name: str, ranks: list[str]) -> None:
        readers = [Reader(rank) for rank in ranks]
        for rank, reader in enumerate(readers):
            if reader.layout.to_toml() != readers[0].layout.to_toml():
                raise HypostyleError(f"{name}: rank {rank} has another layout than rank 0")
        self._name = name
        self._ranks = readers
        self._layout = readers[0].layout

    @property
    def name(self) -> str:
        """The name that all ranks publish under."""
        return self._name

    @property
    def ranks(self) -> list[Reader]:
        """The regions of the ranks."""
        return list(self._ranks)

    @property
    def frames(self) -> list[int]:
        """The frames that :meth:`pin` can pin at this moment: those that all ranks have, oldest first."""
        common = set(self._ranks[0].frames)
        for rank in self._ranks[1:]:
            common &= set(rank.frames)
        return sorted(common)

    @property
    def newest(self) -> int:
        """The newest frame that all ranks have published; 0: none yet."""
        frames = self.frames
        return frames[-1] if frames else 0

    @property
    def is_alive(self) -> bool:
        """Whether all ranks are being written at this moment."""
        return all(rank.is_alive for rank in self._ranks)

    @property
    def leases(self) -> list[LeaseInfo]:
        """The leases of all readers, this one's included, rank after rank."""
        return [lease for rank in self._ranks for lease in rank.leases]

    def steering(self) -> Steering:
        """Steers its run: rank 0 is asked, and the others go with it. See :meth:`Reader.steering`."""
        return self._ranks[0].steering()

    def pin(self, frame: Optional[int] = None) -> ClusterSnapshot:
        """Pins the newest frame that all ranks have, or another one. Use it in a ``with`` block, or release it.

        Raises :class:`NotKeptError` if a rank has none of that frame: ranks keep as many as ``--keep-generations`` says.
        """
        if frame is not None:
            return self._pin_all(frame)
        ends = time.monotonic() + _PATIENCE
        while True:
            frames = self.frames
            try:
                if frames:
                    # a world that has not run yet is at frame 0
                    return self._pin_all(frames[-1])
                if any(rank.newest == 0 for rank in self._ranks):
                    raise NothingPublishedError(f"{self._name}: a rank has published nothing yet: wait for its first frame")
                if time.monotonic() > ends:
                    told = ", ".join(str(max(rank.frames, default=0)) for rank in self._ranks)
                    raise NotKeptError(f"{self._name}: no frame is there on all ranks; their newest are {told}")
            except NotKeptError:
                # it went away between the two looks
                if time.monotonic() > ends:
                    raise
            time.sleep(_REST)

    def _pin_all(self, frame: int) -> ClusterSnapshot:
        pinned: list[Snapshot] = []
        try:
            for rank in self._ranks:
                pinned.append(rank.pin(frame))
        except BaseException:
            for snapshot in pinned:
                snapshot.release()
            raise
        return ClusterSnapshot(pinned, self._ranks[0]._native.notes())

    def wait(self, after: Optional[int] = None, timeout: Optional[float] = None) -> Optional[int]:
        """Waits until all ranks have published a frame after ``after`` (default: the newest at the moment); that frame, or None
        when ``timeout`` seconds are over (default: never).

        Raises :class:`WriterGoneError` if a rank has ended.
        """
        after = self.newest if after is None else after
        ends = None if timeout is None else time.monotonic() + timeout
        while True:
            newest = self.newest
            if newest > after:
                return newest
            left = _LOOK if ends is None else min(ends - time.monotonic(), _LOOK)
            if left <= 0.0:
                return None
            # the one that is furthest behind is the one to wait for
            behind = min(self._ranks, key=lambda rank: max(rank.frames, default=0))
            try:
                behind.wait(timeout=left)
            except WriterGoneError:
                newest = self.newest
                if newest > after:
                    return newest
                raise

    def changed_since(self, generation: int) -> Changes:
        """Not of a world of several ranks: rows change ranks. Ask the :attr:`ranks`."""
        raise HypostyleError("rows change ranks: ask each of `ranks` for what changed in it")

    @property
    def is_file(self) -> bool:
        """Whether it is the state of a file: never."""
        return False

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._ranks[0].closed

    def close(self) -> None:
        """Closes the readers of all ranks. Snapshots and arrays stay valid."""
        for rank in self._ranks:
            rank.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"frame {self.newest}"
        return f"<ClusterReader {self.name}: {len(self._ranks)} ranks, {state}>"


class ClusterSnapshot(Snapshot):
    """One frame of a world of several ranks: the tables of all of them, in place.

    Its tables are those of rank 0, then those of rank 1, and so on. ``chunks`` of components, and Arrow tables, have a
    chunk for each; ``concat`` makes one array. Handles are of a rank: entities are named by their global ids.
    """

    def __init__(self, ranks: list[Snapshot], notes: list[tuple[str, str]]) -> None:
        first: _Core = ranks[0]._core
        Selection.__init__(self, first, [table for rank in ranks for table in rank.tables], ())
        self._ranks = ranks
        # what rank 0's region says of the world
        self._notes = notes

    @property
    def ranks(self) -> list[Snapshot]:
        """The snapshots of the ranks."""
        return list(self._ranks)

    @property
    def generation(self) -> int:
        """The frame: ranks number their generations by themselves."""
        return self.frame

    def locate(self, entity: int) -> Optional[tuple[Table, int]]:
        """Not of a world of several ranks: handles are of a rank. Ask the :attr:`ranks`."""
        raise AbsentError("handles are of a rank: ask one of `ranks`, or find `global_id.value`")

    def checkpoint(self, path: Union[str, os.PathLike[str]], *, level: int = 1) -> int:
        """Writes the frame as the one file that one process would have written; a path that ends with ``.checkpoints`` is
        that of a set's manifest, with a file of each rank beside it. Returns how many bytes they have. Both are read and
        continued from as any checkpoint, also by ranks (``hypostyle-mpi run --from``, of a set).
        """
        self._core.check()
        pins = [rank._core.pin for rank in self._ranks]
        return _native.joined_checkpoint(pins, self._notes, os.fspath(path), integer_of("level", level))

    def hash(self) -> int:
        """Not of a world of several ranks, whose handles are their own: see :meth:`hash_by_id`."""
        raise HypostyleError("handles are of a rank: use `hash_by_id`")

    def hash_by_id(self) -> str:
        """The hash of all entities by their global ids: that of one process with the same state."""
        self._core.check()
        return _native.joined_hash([rank._core.pin.hash_by_id() for rank in self._ranks])

    def changed_since(self, generation: int) -> Changes:
        """Not of a world of several ranks: rows change ranks. Ask the :attr:`ranks`."""
        raise HypostyleError("rows change ranks: ask each of `ranks` for what changed in it")

    def release(self) -> None:
        """Lets go of all ranks' generations, as far as no array holds them."""
        for rank in self._ranks:
            rank.release()

    def __repr__(self) -> str:
        state = "released" if self.released else f"{len(self)} entities on {len(self._ranks)} ranks"
        return f"<ClusterSnapshot of frame {self.frame}: {state}>"
