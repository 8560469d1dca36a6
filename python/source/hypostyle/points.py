"""Entities as points: where they are, a number of each for its colour, and all that rows of several tables have."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from .errors import UnknownNameError
from .layout import ComponentLayout, FieldLayout, _unknown
from .small import FRACTIONS, widen
from .snapshot import Table
from .values import Array

#: Axes of a component, where nothing else is said.
_AXES = (("x", "y", "z"), ("x", "y"), ("lon", "lat"))
#: Numbers that a colour's range leaves out at each end, as a share of all.
_OUTSIDE = 0.01
#: The handle of no entity.
_NULL = 0xFFFF_FFFF_FFFF_FFFF
#: What programs of others have for types of ours.
_WIDER = {"bool": np.uint8, "f16": np.float32}


def checked_range(ends: tuple[float, float]) -> tuple[float, float]:
    """The ends of a range of colours, checked."""
    low, high = (float(end) for end in ends)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"a range of colours has a lower end and a higher one, and not {low} and {high}")
    return low, high


def axes_of(component: ComponentLayout) -> list[FieldLayout]:
    """Its fields that are places."""
    for names in _AXES:
        fields = {declared.name: declared for declared in component.published_fields if not declared.array_len}
        if all(name in fields for name in names):
            return [fields[name] for name in names]
    raise ValueError(f"component `{component.name}` has no fields `x` and `y` that snapshots show, nor `lon` and `lat`")


def coloured(component: ComponentLayout, name: str) -> tuple[ComponentLayout, list[FieldLayout]]:
    """A component, and those of its fields that make the number that a column or component name stands for."""
    field = name.partition(".")[2]
    if field and field not in {declared.name for declared in component.published_fields}:
        raise UnknownNameError(_unknown("column", name, [f"{component.name}.{f.name}" for f in component.published_fields]))
    chosen = [each for each in component.published_fields if (not field or each.name == field) and each.scalar != "entity"]
    if not chosen:
        raise ValueError(f"`{name}` has no numbers that could be colours")
    return component, chosen


def rows_with(table: Table, names: list[str]) -> Array:
    """The rows of a table that have all of these components."""
    has = np.ones(table.rows, np.bool_)
    for name in names:
        has &= table.presence(name)
    return np.flatnonzero(has)


def floats(table: Table, component: ComponentLayout, field: FieldLayout, rows: Array) -> Array:
    """A column's values at these rows, as floats of 32 bits."""
    values = table.column(f"{component.name}.{field.name}")[rows]
    return widen(values, field.scalar) if field.scalar in FRACTIONS else values.astype(np.float32)


def magnitude(table: Table, component: ComponentLayout, fields: list[FieldLayout], rows: Array) -> Array:
    """One number for each of these rows: the value, or the length of all of them."""
    parts = [floats(table, component, field, rows).reshape(len(rows), -1) for field in fields]
    parts_of_all = np.concatenate(parts, axis=1)
    return parts_of_all[:, 0] if parts_of_all.shape[1] == 1 else np.linalg.norm(parts_of_all, axis=1).astype(np.float32)


def range_of(values: Array) -> tuple[float, float]:
    """Where most numbers lie, for a range of colours."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = (float(end) for end in np.quantile(finite, (_OUTSIDE, 1 - _OUTSIDE)))
    return (low, high) if low < high else (low, low + 1.0)


def wide(values: Array, field: FieldLayout) -> Array:
    """A field's values as numbers that programs of others have: small fractions as ``f32``, bools as bytes."""
    if field.scalar in FRACTIONS:
        values = widen(values, field.scalar)
    return values.astype(_WIDER[field.scalar]) if field.scalar in _WIDER else values


def joined(parts: Sequence[Array], rows: Sequence[Array], empty: Array) -> Array:
    """These rows of some tables, in place where that is all of one; of no tables ``empty``."""
    chosen = [part if len(kept) == len(part) else part[kept] for part, kept in zip(parts, rows)]
    return chosen[0] if len(chosen) == 1 else np.concatenate([empty, *chosen])


def present_of(component: str, tables: Sequence[Table], rows: Sequence[Array]) -> Array:
    """Which of these rows have a component."""
    has = [table.presence(component) if component in table else np.zeros(table.rows, np.bool_) for table in tables]
    return joined(has, rows, np.zeros(0, np.bool_))


def values_of(component: ComponentLayout, field: FieldLayout, tables: Sequence[Table], rows: Sequence[Array]) -> Array:
    """A field's values at these rows, :func:`wide`. Where a row lacks the component a float is NaN, a handle the null handle,
    and another number 0."""
    empty = wide(np.zeros((0, *field.shape), field.dtype), field)
    nothing = np.nan if empty.dtype.kind == "f" else _NULL if field.scalar == "entity" else 0
    parts = []
    for table in tables:
        if component.name not in table:
            parts.append(np.full((table.rows, *field.shape), nothing, empty.dtype))
            continue
        values, present = wide(table.column(f"{component.name}.{field.name}"), field), table.presence(component.name)
        if not present.all():
            values = values.copy()
            values[~present] = nothing
        parts.append(values)
    return joined(parts, rows, empty)
