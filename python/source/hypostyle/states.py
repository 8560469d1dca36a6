"""What states can be taken from: one, a region's newest, all of a journal, or any iterable."""

from __future__ import annotations

from typing import Iterable, Iterator, Union

from .journal import Journal
from .region import Reader
from .snapshot import Snapshot

#: A snapshot; a region or an opened file; a journal; snapshots one after the other.
Source = Union[Snapshot, Reader, Journal, Iterable[Snapshot]]


def states_of(source: Source) -> Iterator[Snapshot]:
    """The states, each of which may be released when the next one is asked for."""
    if isinstance(source, Snapshot):
        yield source
    elif isinstance(source, Reader):
        with source.pin() as snapshot:
            yield snapshot
    else:
        yield from source
