"""Values, handles, rows and counts as callers give them: what fits passes, all else is an error that says what to write.

No value is ever changed to make it fit. Integers must be in range; floats and bools are no integers; floats round to the
nearest value of the field's type, and are refused where that has no such value but infinity.
"""

from __future__ import annotations

import operator
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from .errors import FieldValueError, NoSpaceError
from .layout import FieldLayout, Layout
from .small import FRACTIONS, narrow

Array = npt.NDArray[Any]

#: Bytes that each entity takes in addition to its components: its handle.
_HANDLE_BYTES = 8


def fit(name: str, given: Any, field: FieldLayout) -> Array:
    """Values as an array of the field's type.

    Raises :class:`FieldValueError` where one of them is not a value of that type.
    """
    dtype = field.dtype
    if type(given) is np.ndarray and given.dtype == dtype:
        return given
    if isinstance(given, np.ma.MaskedArray) and np.ma.getmaskarray(given).any():
        raise FieldValueError(f"`{name}` was given masked values, which are absent: fill or leave them out, `values.compressed()`")
    try:
        values = _array(given)
    except (ValueError, OverflowError) as failed:
        raise FieldValueError(f"`{name}` ({field.type}) was given what is no array: {failed}") from None
    if values.dtype == dtype:
        return values
    if values.dtype.kind == "O":
        values = _of_objects(name, values, field)
    if not values.size:
        return np.empty(values.shape, dtype)
    if field.scalar in FRACTIONS:
        return _fractions(name, values, field)
    if dtype.kind in "iu":
        return _integers(name, values, field)
    if dtype.kind == "f" and values.dtype.kind in "iuf":
        return _floats(name, values, field)
    raise _other_kind(name, values, field)


def _array(given: Any) -> Array:
    """An array of what is given. A list of integers of which some need 63 bits and some 64 would be one of floats."""
    values = np.asarray(given)
    if values.dtype.kind == "f" and not hasattr(given, "dtype"):
        objects = np.array(given, object)
        if all(isinstance(value, (int, np.integer)) for value in objects.reshape(-1).tolist()):
            return objects
    return values


def _fractions(name: str, values: Array, field: FieldLayout) -> Array:
    """Small numbers of which numpy has the bits alone: numbers become the nearest ones; bits are arrays of their own type."""
    if values.dtype.kind != "f":
        raise FieldValueError(
            f"`{name}` is {field.type}; it was given values of {values.dtype}: write floats, or bits as an array of {field.dtype}"
        )
    low, high = FRACTIONS[field.scalar]
    lost = ~((values >= low) & (values <= high) | (~np.isfinite(values) if field.scalar == "bf16" else False))
    if lost.any():
        raise FieldValueError(
            f"`{name}` is {field.type}, which holds {low} to {high}; it was given {values[lost].flat[0] if values.ndim else values}: "
            f"clip the values, or declare a wider type"
        )
    bits: Array = narrow(values, field.scalar)
    return bits


def _integers(name: str, values: Array, field: FieldLayout) -> Array:
    if values.dtype.kind not in "iu":
        raise _other_kind(name, values, field)
    for value in (int(values.min()), int(values.max())):
        _check_range(name, value, field)
    return values.astype(field.dtype)


def _check_range(name: str, value: int, field: FieldLayout) -> None:
    held = np.iinfo(field.dtype)
    if not held.min <= value <= held.max:
        raise FieldValueError(
            f"`{name}` is {field.type}, which holds {held.min} to {held.max}; it was given {value}: "
            f"clip the values, or declare a wider type"
        )


def _floats(name: str, values: Array, field: FieldLayout) -> Array:
    if values.dtype.kind == "f":
        try:
            with np.errstate(over="raise"):
                return values.astype(field.dtype)
        except FloatingPointError:
            with np.errstate(over="ignore"):
                lost = np.isinf(values.astype(field.dtype)) & ~np.isinf(values)
            worst = values[lost].flat[0] if values.ndim else values[()]
            raise FieldValueError(
                f"`{name}` is {field.type}, which holds up to {np.finfo(field.dtype).max}; it was given {worst}: "
                f"declare a wider type"
            ) from None
    cast = values.astype(field.dtype)
    # integers up to here are floats, each of them
    exact = 2 ** (np.finfo(field.dtype).nmant + 1)
    far = (values > exact) | (values < -exact) if values.dtype.kind == "i" else values > exact
    for value, near in zip(values[far].tolist(), cast[far].tolist()):
        if int(near) != value:
            raise FieldValueError(
                f"`{name}` is {field.type}, which does not hold {value} exactly (its nearest value is {int(near)}): "
                f"declare an integer type, or round: `np.asarray(values, float)`"
            )
    return cast


def _of_objects(name: str, values: Array, field: FieldLayout) -> Array:
    """Integers among objects: those beyond 64 bits, and nullable columns of pandas without nulls."""
    flat = values.reshape(-1).tolist()
    for value in flat:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise FieldValueError(f"`{name}` ({field.type}) was given {value!r} ({type(value).__name__}), which is no number")
        if field.dtype.kind in "iu":
            _check_range(name, int(value), field)
        elif not -(2**63) <= value < 2**64:
            raise FieldValueError(f"`{name}` ({field.type}) was given {value}, an integer of more than 64 bits: give a float")
    wide = any(value >= 2**63 for value in flat)
    return np.array(flat, np.uint64 if wide else np.int64).reshape(values.shape)


def _other_kind(name: str, values: Array, field: FieldLayout) -> FieldValueError:
    example = values.reshape(-1)[:1].tolist()[0]
    how = {
        "b": "write a comparison, `values != 0`",
        "f": "write numbers",
    }.get(field.dtype.kind, "write integers: `np.rint(values).astype(int)` where rounding is meant")
    if values.dtype.kind == "b":
        how = "write `np.asarray(values, np.uint8)` where 0 and 1 are meant"
    return FieldValueError(f"`{name}` is {field.type}; it was given values of {values.dtype}, such as {example!r}: {how}")


def payload_of(given: Any) -> bytes:
    """A payload: bytes, or anything that lies in memory as bytes."""
    try:
        return memoryview(given).tobytes()
    except TypeError:
        raise TypeError(
            f"a payload is bytes, or an array; not {type(given).__name__} ({given!r:.40}): "
            f"pack it, by `struct.pack`, `text.encode()` or `np.asarray(values).tobytes()`"
        ) from None


def integer_of(what: str, given: Any, least: int = 0) -> int:
    """A whole number."""
    try:
        if isinstance(given, (bool, np.bool_)):
            raise TypeError
        number = operator.index(given)
    except TypeError:
        raise TypeError(f"{what} is a whole number; not {given!r} ({type(given).__name__})") from None
    if number < least:
        raise ValueError(f"{what} is {least} or more; not {number}")
    return number


def count_of(layout: Layout, components: Any, count: Any) -> int:
    """How many entities are to be spawned, checked against what the world may ever hold."""
    number = integer_of("the number of entities", count)
    row = _HANDLE_BYTES + sum(each.nbytes for name in components for each in layout.component(name).fields)
    if number * row > layout.bytes_max:
        raise NoSpaceError(
            f"{number} entities of {row} B each take {number * row} B, and the layout allows bytes_max = "
            f"{layout.bytes_max} B: spawn {layout.bytes_max // row} or less, or raise bytes_max"
        )
    return number


def handle_of(given: Any) -> int:
    """One handle."""
    number = integer_of("a handle", given)
    if number >= 2**64:
        raise ValueError(f"a handle has 64 bits; not {number}")
    return number


def handles_of(given: Any) -> Array:
    """Handles, where nothing else can be meant: any integers that are none below 0."""
    values = np.atleast_1d(_array(given))
    if not values.size:
        return np.empty(0, np.uint64)
    if values.dtype.kind == "O":
        values = np.array([handle_of(value) for value in values.reshape(-1).tolist()], np.uint64)
    if values.dtype.kind not in "iu":
        raise TypeError(f"handles are integers (uint64); not {values.dtype}, such as {values.reshape(-1)[:1].tolist()[0]!r}")
    if values.dtype.kind == "i" and values.min() < 0:
        raise ValueError(f"handles are integers from 0 on (uint64); not {values.min()}")
    return values.astype(np.uint64, copy=False).reshape(-1)


def target_handles(call: str, given: Any) -> Array:
    """Handles, where rows may have been meant: ``uint64`` only, as all handles of this package are."""
    values = np.asarray(given) if not isinstance(given, slice) else None
    if values is not None and values.ndim <= 1:
        if not values.size:
            return np.empty(0, np.uint64)
        plain = isinstance(given, int) or isinstance(given, (list, tuple)) and any(isinstance(v, int) for v in given)
        if values.dtype == np.uint64 and not plain:
            return np.atleast_1d(values)
    raise TypeError(
        f"`{call}` takes handles (uint64, as `rows.entities` and fields of type entity have them), and was given "
        f"{_told(given, values)}: for rows of the system write `{call}_rows`, for handles `np.asarray(handles, np.uint64)`"
    )


def target_rows(call: str, given: Any, rows: int) -> Array:
    """Rows of a system's: numbers from 0 on, a mask, or a slice; never ``uint64``, as those are handles."""
    if isinstance(given, slice):
        return np.arange(rows, dtype=np.uint32)[given]
    values = np.atleast_1d(np.asarray(given))
    if values.ndim == 1 and not values.size:
        return np.empty(0, np.uint32)
    if values.ndim != 1 or values.dtype.kind not in "biu" or values.dtype == np.uint64:
        raise TypeError(
            f"`{call}_rows` takes rows of the system (integers from 0 on, a mask or a slice), and was given "
            f"{_told(given, values)}: for handles (uint64) write `{call}`"
        )
    if values.dtype == np.bool_:
        if len(values) != rows:
            raise IndexError(f"`{call}_rows` was given a mask of {len(values)} rows; the system has {rows}")
        return np.flatnonzero(values).astype(np.uint32)
    if not (0 <= values.min() and values.max() < rows):
        raise IndexError(f"`{call}_rows` was given rows {values.min()} to {values.max()}; the system has {rows}, from 0 on")
    return values.astype(np.uint32)


def _told(given: Any, values: Optional[Array]) -> str:
    if values is None:
        return "a slice"
    if values.ndim == 0:
        return f"{type(given).__name__} {given!r:.40}"
    kind = "an array" if hasattr(given, "dtype") else f"a {type(given).__name__}"
    return f"{kind} of {values.dtype}" + (f" of shape {values.shape}" if values.ndim > 1 else "")


def name_of(given: Any, what: str, hint: str) -> str:
    """A name, where a number may have been meant."""
    if not isinstance(given, str):
        raise TypeError(f"{what} is named by text, not by {given!r} ({type(given).__name__}): {hint}")
    return given
