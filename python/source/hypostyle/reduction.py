"""Joins of one's own, and what workers keep from job to job."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Callable, Mapping, TypeVar

import numpy as np

from .layout import ResourceLayout

__all__ = ["Reduction", "kept"]

#: What a worker keeps at once.
_KEPT_MAX = 4
_Kept = TypeVar("_Kept")
_thread = threading.local()


@dataclass(frozen=True)
class Reduction:
    """A join of one's own: rows are reduced to a resource by a function of two of its values.

    >>> nearest = np.array((np.inf, hypostyle.NULL_ENTITY), dtype=[("metres", "f8"), ("who", "u8")])
    >>> def closer(earlier, later):
    ...     return later if later["metres"] < earlier["metres"] else earlier
    >>> @hypostyle.system(reads="position", reduces={"nearest": hypostyle.Reduction(nearest, closer)})
    ... def look(rows, frame, patches):
    ...     row = np.argmin(np.abs(rows.position.x))
    ...     patches.reduce("nearest", metres=abs(rows.position.x[row]), who=rows.entities[row])

    ``empty`` is the value where no row gave anything: a record with the fields of the resource, in their order. ``join`` gets two
    records, that of earlier rows first, and returns one, or a mapping of all fields; also one compiled with numba. It must depend
    on the two alone. All jobs are joined by one tree over their order, so the bits do not depend on workers.

    It runs in the interpreter, on main when all jobs have ended: some microseconds for each job. What rows of one job come to is
    best joined in the job itself, by numpy or numba.
    """

    empty: Any
    join: Callable[[Any, Any], Any]

    def __post_init__(self) -> None:
        record = np.asarray(self.empty)
        if record.dtype.names is None or record.ndim != 0:
            raise TypeError(
                "`empty` is one record with the fields of the resource, such as "
                f'`np.array((0.0, 0), dtype=[("metres", "f8"), ("who", "u8")])`; not {self.empty!r:.80}'
            )
        packed = np.dtype([(name, *_of(record.dtype[name])) for name in record.dtype.names])
        object.__setattr__(self, "empty", record.astype(packed))

    @property
    def packed(self) -> bytes:
        """The bytes of ``empty``."""
        return bytes(self.empty.tobytes())

    def __call__(self, earlier: bytes, later: bytes) -> bytes:
        """Joins packed values."""
        dtype = self.empty.dtype
        joined = self.join(np.frombuffer(earlier, dtype)[0], np.frombuffer(later, dtype)[0])
        out = np.empty((), dtype)
        if isinstance(joined, Mapping):
            for name in dtype.names:
                out[name] = joined[name]
        else:
            out[...] = joined
        return out.tobytes()

    def check(self, declared: ResourceLayout) -> None:
        """Raises ``TypeError`` where ``empty`` is no value of the resource."""
        wanted = np.dtype([(each.name, each.dtype, each.shape) for each in declared.fields])
        if wanted != self.empty.dtype:
            raise TypeError(f"resource `{declared.name}` has the fields {wanted}; `empty` of its reduction has {self.empty.dtype}")


def _of(field: Any) -> tuple[Any, ...]:
    return (field.base, field.shape)


def kept(key: Any, make: Callable[[], _Kept]) -> _Kept:
    """What was made under a key in this thread, or is now."""
    all_kept: dict[Any, Any] = _thread.__dict__.setdefault("all", {})
    if key not in all_kept:
        while len(all_kept) >= _KEPT_MAX:
            del all_kept[next(iter(all_kept))]
        all_kept[key] = make()
    found: _Kept = all_kept[key]
    return found
