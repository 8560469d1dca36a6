"""Tools for particles in space: boxes with periodic axes, cells and their keys, lists of neighbours with a skin.

Those of Rust's ``hypostyle::space``, with the same bits, on columns: a place is an array for each axis, as the rows of a
system have them. All in two or three dimensions, in 64 bits or, for a box of ``dtype="float32"``, in 32.

>>> import numpy as np
>>> from hypostyle import space
>>> box = space.Box([10.0, 10.0, 10.0])
>>> grid = space.CellGrid(box, width_min=0.75)
>>> random = np.random.default_rng(1)
>>> at = random.uniform(0, 10, (3, 1000))
>>> at = at[:, np.argsort(grid.key(*at), kind="stable")]  # what `sort_by` does with a table
>>> found = space.neighbours(grid, at, reach=1.5)
>>> len(found), len(found.indices) == int(found.offsets[-1])
(1000, True)
>>> a, b = found.pairs()
>>> bool(box.distance_square(at[:, a], at[:, b]).max() < 1.5**2)
True

Nobody needs the lists anew while nobody has moved more than half of a skin by which they reach further: :func:`is_used_up`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt

from . import _native

__all__ = ["Box", "CellGrid", "Neighbours", "Search", "cell_starts", "hilbert", "is_used_up", "morton", "neighbours"]

Array = npt.NDArray[Any]
#: An array for each axis.
Places = Union[Sequence[Any], Array]


class Box:
    """A box of two or three dimensions, open or periodic along each axis.

    >>> box = Box([10.0, 10.0, 4.0], periodic=(True, True, False))
    >>> (x, y, z), (i, j, k) = box.wrap([11.0, -1.0], [5.0, 5.0], [9.0, 9.0])
    >>> x.tolist(), i.tolist(), z.tolist()
    ([1.0, 9.0], [1, -1], [9.0, 9.0])
    >>> [d.tolist() for d in box.between(([9.5], [0.0], [0.0]), ([0.5], [0.0], [3.0]))]
    [[-1.0], [0.0], [-3.0]]
    """

    __slots__ = ("low", "side", "periodic", "dtype", "volume")

    #: Where the axes begin.
    low: tuple[float, ...]
    #: How long they are.
    side: tuple[float, ...]
    #: Which of them are periodic.
    periodic: tuple[bool, ...]
    #: float64 or float32.
    dtype: np.dtype[Any]
    #: The product of the sides.
    volume: float

    def __init__(
        self,
        side: Iterable[float],
        low: Union[float, Iterable[float]] = 0.0,
        periodic: Union[bool, Iterable[bool]] = True,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        self.side = tuple(float(each) for each in side)
        axes = len(self.side)
        self.low = (float(low),) * axes if isinstance(low, (int, float)) else tuple(float(each) for each in low)
        self.periodic = (bool(periodic),) * axes if isinstance(periodic, (bool, np.bool_)) else tuple(map(bool, periodic))
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
            raise TypeError(f"a box is of float64 or float32; not of {self.dtype}")
        self.volume = _native.space_box(self)

    @property
    def single(self) -> bool:
        """Whether its numbers are of 32 bits."""
        return bool(self.dtype == np.float32)

    def _columns(self, at: Places) -> list[bytes]:
        return _columns(at, self.dtype)

    def _arrays(self, columns: Iterable[bytearray]) -> tuple[Array, ...]:
        return tuple(np.frombuffer(column, self.dtype) for column in columns)

    def contains(self, *at: Any) -> npt.NDArray[np.bool_]:
        """Which places are in the box, borders included."""
        inside = np.broadcast_to(np.bool_(True), np.shape(at[0]))
        for axis, column in enumerate(at):
            column = np.asarray(column, self.dtype)
            low, side = self.dtype.type(self.low[axis]), self.dtype.type(self.side[axis])
            inside = inside & (column >= low) & (column <= low + side)
        return inside

    def wrap(self, *at: Any) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Places brought into the box along its periodic axes, and by how many boxes they were outside (int32)."""
        inside, boxes = _native.space_wrap(self, self._columns(at))
        return self._arrays(inside), tuple(np.frombuffer(column, np.int32) for column in boxes)

    def between(self, a: Places, b: Places) -> tuple[Array, ...]:
        """What leads from the nearest images of places ``b`` to ``a`` (the minimum image convention)."""
        return self._arrays(_native.space_between(self, self._columns(a), self._columns(b)))

    def distance_square(self, a: Places, b: Places) -> Array:
        """The squares of the distances between places and the nearest images of others."""
        total: Any = self.dtype.type(0.0)
        for d in self.between(a, b):
            total = total + d * d
        return np.asarray(total)

    def _key(self) -> tuple[Any, ...]:
        return self.low, self.side, self.periodic, self.dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Box) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<box of {' x '.join(map(str, self.side))} from {self.low}, periodic {self.periodic}, {self.dtype}>"


class CellGrid:
    """Cells that fill a box, each at least ``width_min`` wide; for a search within a reach half of that is a good width.

    >>> grid = CellGrid(Box([10.0, 10.0]), 3.0)
    >>> grid.cells, grid.count
    ((3, 3), 9)
    >>> grid.key([0.1, 5.0], [0.1, 9.0]).tolist()
    [0, 7]
    """

    __slots__ = ("box", "width_min", "cells", "width")

    #: What they fill.
    box: Box
    #: How wide they are at least.
    width_min: float
    #: Cells along each side.
    cells: tuple[int, ...]
    #: How wide one is.
    width: tuple[float, ...]

    def __init__(self, box: Box, width_min: float) -> None:
        self.box, self.width_min = box, float(width_min)
        cells, width = _native.space_cells(box, self.width_min)
        self.cells, self.width = tuple(cells), tuple(width)

    @property
    def count(self) -> int:
        """Cells in all."""
        return int(np.prod(self.cells, dtype=np.int64))

    def key(self, *at: Any) -> Array:
        """The number of each place's cell (uint32), by which a table is sorted for :func:`neighbours`."""
        return self._keys("cell", at)

    def morton(self, *at: Any) -> Array:
        """The key of each place's cell along Morton's curve (uint32): what is near is often near in a table sorted by it."""
        return self._keys("morton", at)

    def hilbert(self, *at: Any) -> Array:
        """The same along Hilbert's curve: consecutive cells are always neighbours."""
        return self._keys("hilbert", at)

    def _keys(self, curve: str, at: Places) -> Array:
        return np.frombuffer(_native.space_keys(self.box, self.width_min, curve, self.box._columns(at)), np.uint32)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CellGrid) and (self.box, self.width_min) == (other.box, other.width_min)

    def __hash__(self) -> int:
        return hash((self.box, self.width_min))

    def __repr__(self) -> str:
        return f"<grid of {' x '.join(map(str, self.cells))} cells>"


@dataclass(frozen=True)
class Neighbours:
    """Lists of rows, one after the other: that of the i-th row is ``indices[offsets[i]:offsets[i + 1]]``, also ``found[i]``."""

    #: Where each list begins, and the last one ends (int64).
    offsets: Array
    #: All lists (uint32).
    indices: Array
    #: The row that the first list is of.
    first_row: int = 0

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Array:
        if not -len(self) <= row < len(self):
            raise IndexError(f"there is no list {row} of {len(self)}")
        row %= len(self)
        return self.indices[self.offsets[row] : self.offsets[row + 1]]

    @property
    def counts(self) -> Array:
        """How long each list is."""
        return np.diff(self.offsets)

    def pairs(self) -> tuple[Array, Array]:
        """Every pair, from both sides: the rows that lists are of, and those in the lists."""
        return np.repeat(np.arange(self.first_row, self.first_row + len(self)), self.counts), self.indices

    def forces(
        self,
        box: Box,
        at: Places,
        cutoff: float,
        law: Callable[..., Any],
        columns: Sequence[Any] = (),
    ) -> tuple[Array, ...]:
        """The sum of the forces on each row that a list is of, along each axis, with the bits of Rust's ``PairForces``.

        ``law`` gives force over distance, above 0 where a pair is pushed apart, for an array of squares of distances; with
        ``columns`` (charges, radii), it gets an array of them of each row, and one of each other row, too. There is no force
        at ``cutoff`` and beyond. ``at`` and ``columns`` are those of all rows of the table.

        >>> box = Box([9.0, 9.0], periodic=False)
        >>> found = Neighbours(np.array([0, 1, 3, 4]), np.array([1, 0, 2, 1], np.uint32))
        >>> [f.tolist() for f in found.forces(box, ([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]), 3.0, lambda square: 1.0 / square)]
        [[-1.0, 0.5, 0.5], [0.0, 0.0, 0.0]]
        >>> charge = [1.0, -1.0, 2.0]
        >>> found.forces(box, ([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]), 3.0, lambda square, a, b: a * b, [charge])[0].tolist()
        [1.0, 3.0, -4.0]
        """
        own, others = self.pairs()
        places = [np.asarray(column, box.dtype) for column in at]
        d = box.between([column[own] for column in places], [column[others] for column in places])
        square: Any = d[0] * d[0]
        for along in d[1:]:
            square = square + along * along
        given = [np.asarray(column, box.dtype) for column in columns]
        value = np.asarray(law(square, *(column[own] for column in given), *(column[others] for column in given)), box.dtype)
        if value.shape != square.shape:
            raise ValueError(f"the law gives an array of shape {value.shape} for one of {square.shape}")
        limit = box.dtype.type(cutoff) * box.dtype.type(cutoff)
        value = np.where((square < limit) & (square > 0), value, box.dtype.type(0))
        # eight sums for each row, of the first, second, .. eighth neighbour of each eight, in the order of its list
        lane = (np.arange(len(others)) - np.repeat(self.offsets[:-1] - self.offsets[0], self.counts)) % 8
        place = (own - self.first_row) * 8 + lane
        return tuple(_joined(place, along * value, len(self)) for along in d)

    def padded(self, width: int, fill: int = 0) -> tuple[Array, Array]:
        """The lists as an array of ``width`` columns, and how long they are (uint32): for fields of arrays, ``[u32; 64]``. A longer
        one is an error, and nothing is cut off."""
        counts = self.counts
        if len(counts) and counts.max() > width:
            row = int(np.argmax(counts > width))
            raise ValueError(
                f"row {self.first_row + row} has {counts[row]} neighbours, and a list holds {width}: "
                f"make the lists longer, or their reach shorter"
            )
        lists = np.full((len(self), width), fill, np.uint32)
        lists[np.arange(width) < counts[:, None]] = self.indices
        return lists, counts.astype(np.uint32)


def _joined(place: Array, values: Array, rows: int) -> Array:
    """Sums of values by their places, eight for each row, joined in one order."""
    if values.dtype == np.float64:
        sums = np.bincount(place, values, 8 * rows)
    else:
        sums = np.zeros(8 * rows, values.dtype)
        np.add.at(sums, place, values)
    a, b, c, d, e, f, g, h = sums.reshape(rows, 8).T
    return np.asarray(((a + b) + (c + d)) + ((e + f) + (g + h)))


class Search:
    """Finds the rows within ``reach`` of a row, in a table whose rows stand in the order of :meth:`CellGrid.key` (``sort_by``).

    It copies what it looks at. In a system, :meth:`hypostyle.NeighbourTable.search` makes one for all of a worker's jobs.
    ``keys`` are those of all rows, where there is a column of them already.

    Places must be in the box along its periodic axes (:meth:`Box.wrap`). The order of what is found follows from cells and rows
    alone. Two rows at the very same place, and rows that are not in order, are a ``ValueError``.

    >>> search = Search(CellGrid(Box([10.0, 10.0]), 1.0), ([0.5, 1.5, 9.5], [5.0, 5.0, 5.0]), 1.25)
    >>> [each.tolist() for each in search.lists(1, 2)]
    [[0], [0]]
    """

    __slots__ = ("_native",)

    def __init__(self, grid: CellGrid, at: Places, reach: float, keys: Optional[Any] = None) -> None:
        given = grid.key(*at) if keys is None else np.asarray(keys, np.uint32)
        self._native = _native.Search(grid.box, grid.width_min, given.tobytes(), grid.box._columns(at), float(reach))

    def __len__(self) -> int:
        return len(self._native)

    def lists(self, first_row: int = 0, count: Optional[int] = None) -> Neighbours:
        """The neighbours of ``count`` rows from ``first_row`` on, each without itself; of all rows from there where no count is
        given."""
        many = max(len(self) - first_row, 0) if count is None else count
        offsets, indices = self._native.lists(first_row, many)
        return Neighbours(np.frombuffer(offsets, np.int64), np.frombuffer(indices, np.uint32), first_row)


def neighbours(grid: CellGrid, at: Places, reach: float, keys: Optional[Any] = None) -> Neighbours:
    """The rows within ``reach`` of every row: ``Search(grid, at, reach, keys).lists()``.

    >>> found = neighbours(CellGrid(Box([10.0, 10.0]), 1.0), ([0.5, 1.5, 9.5], [5.0, 5.0, 5.0]), 1.25)
    >>> [found[row].tolist() for row in range(3)]
    [[1, 2], [0], [0]]
    """
    return Search(grid, at, reach, keys).lists()


def cell_starts(keys: Any, cells: int) -> Array:
    """The first row of each cell in a sorted column of keys, and where the last one ends (uint32): the rows of cell ``c`` are
    ``starts[c]`` to before ``starts[c + 1]``. In a system, :meth:`hypostyle.NeighbourTable.cell_starts` makes them once for all
    of a worker's jobs.

    >>> cell_starts([0, 0, 2], 4).tolist()
    [0, 2, 2, 3, 3]
    """
    return np.frombuffer(_native.space_starts(np.asarray(keys, np.uint32).tobytes(), int(cells)), np.uint32)


def is_used_up(skin: float, at: Places, made_at: Places) -> bool:
    """Whether any place has moved more than half of ``skin`` from where lists were made, which reached further than the cutoff
    by it: then they must be made anew. True, too, where a place is no number.

    >>> is_used_up(0.5, ([0.0], [0.2]), ([0.0], [0.0])), is_used_up(0.5, ([0.0], [0.3]), ([0.0], [0.0]))
    (False, True)
    """
    single = all(np.asarray(each).dtype == np.float32 for each in (*at, *made_at))
    dtype = np.dtype(np.float32 if single else np.float64)
    return _native.space_is_used_up(single, float(skin), _columns(at, dtype), _columns(made_at, dtype))


def morton(*cell: Any) -> Array:
    """Keys of cells along Morton's curve (uint64): the bits of the coordinates in turn, those of the first lowest.

    >>> morton([1, 3], [0, 3], [0, 3]).tolist()
    [1, 63]
    """
    return _curve("morton", cell, 0)


def hilbert(*cell: Any, bits: int) -> Array:
    """Keys of cells along Hilbert's curve (uint64), in a square or cube of ``2**bits`` cells along each side.

    >>> hilbert([0, 0, 1, 1], [0, 1, 1, 0], bits=1).tolist()
    [0, 1, 2, 3]
    """
    return _curve("hilbert", cell, bits)


def _curve(name: str, cell: Sequence[Any], bits: int) -> Array:
    if len(cell) not in (2, 3):
        raise ValueError(f"a curve goes through 2 or 3 dimensions; not {len(cell)}")
    return np.frombuffer(_native.space_curve(name, _columns(cell, np.dtype(np.uint32)), int(bits)), np.uint64)


def _columns(at: Places, dtype: np.dtype[Any]) -> list[bytes]:
    return [np.atleast_1d(np.asarray(column, dtype)).tobytes() for column in at]
