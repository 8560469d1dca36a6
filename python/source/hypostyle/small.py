"""Small numbers: halves of floats, and fractions of integers, as columns have them.

A column of type ``f16`` is an array of ``numpy.float16``. The others are arrays of their bits, as numpy has no such
types: ``bf16`` and ``unorm16`` of ``uint16``, ``unorm8`` of ``uint8``, ``snorm8`` and ``snorm16`` of ``int8`` and ``int16``.

    >>> import hypostyle, numpy
    >>> bits = hypostyle.small.narrow([0.0, 0.5, 1.0, 2.0], "unorm8")
    >>> bits.tolist(), hypostyle.small.widen(bits[2:], "unorm8").tolist()
    ([0, 128, 255, 255], [1.0, 1.0])
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from . import _native

#: The types, and what numpy has for their bits.
_BITS = {"f16": "<f2", "bf16": "<u2", "unorm8": "|u1", "unorm16": "<u2", "snorm8": "|i1", "snorm16": "<i2"}

#: Those of which numpy has the bits alone, and what they hold.
FRACTIONS = {
    "bf16": (-3.3895313892515355e38, 3.3895313892515355e38),
    "unorm8": (0.0, 1.0), "unorm16": (0.0, 1.0), "snorm8": (-1.0, 1.0), "snorm16": (-1.0, 1.0),
}


@cache
def _values(scalar: str) -> Any:
    return np.frombuffer(_native.small_values(scalar), "<f4")


def widen(values: Any, scalar: str) -> Any:
    """What small numbers stand for, as a new array of ``float32``: exact, or the nearest.

    Raises ``ValueError`` for a type that is none of small numbers, ``TypeError`` for an array of another type.
    """
    all_values = _values(scalar)
    bits = np.asarray(values)
    if bits.dtype != np.dtype(_BITS[scalar]):
        raise TypeError(f"columns of {scalar} are arrays of {np.dtype(_BITS[scalar])}, not {bits.dtype}")
    return all_values[bits.view(f"<u{bits.dtype.itemsize}")]


def narrow(values: Any, scalar: str) -> Any:
    """The small numbers nearest to numbers (of two the even one), as a column of the type has them.

    What is out of range is the end of it, or an infinity where there is one. Raises ``ValueError`` for a type that is none of
    small numbers.
    """
    wide = np.asarray(values, "<f4")
    bits = _native.small_nearest(scalar, wide.tobytes())
    return np.frombuffer(bytearray(bits), _BITS[scalar]).reshape(wide.shape)
