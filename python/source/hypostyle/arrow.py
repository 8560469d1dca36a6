"""Snapshots as Arrow tables, pandas frames and polars frames. Needs pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import numpy as np
import pyarrow as pa

from .layout import FieldLayout

if TYPE_CHECKING:
    import pandas
    import polars

    from .snapshot import Table, _Core


def arrow_type(field: FieldLayout) -> pa.DataType:
    """The Arrow type of a field."""
    scalar = pa.uint64() if field.scalar == "entity" else pa.from_numpy_dtype(field.dtype)
    return pa.list_(scalar, field.array_len) if field.array_len else scalar


def _values(field: FieldLayout, values: Any) -> Any:
    """An Arrow array on the same bytes, but for bools, which Arrow packs into bits."""
    flat = values.reshape(-1)
    if field.scalar == "bool":
        return pa.Array.from_buffers(pa.bool_(), len(flat), [None, pa.py_buffer(np.packbits(flat, bitorder="little"))])
    kind = arrow_type(field).value_type if field.array_len else arrow_type(field)
    return pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(flat)])


def _column(table: Table, component: str, field: FieldLayout) -> Any:
    if component not in table.components:
        return pa.nulls(table.rows, arrow_type(field))
    values = _values(field, table.column(f"{component}.{field.name}"))
    validity = _bits(table, component)
    if validity is True:
        validity = None
    if field.array_len:
        return pa.Array.from_buffers(arrow_type(field), table.rows, [validity], children=[values])
    return pa.Array.from_buffers(arrow_type(field), table.rows, [validity, *values.buffers()[1:]])


def _bits(table: Table, component: str) -> Any:
    """Who has a component: True or False for all or none, or a buffer of bits, in place."""
    found = table._core.pin.presence(table.index, component)
    return found if isinstance(found, bool) else pa.py_buffer(np.asarray(found).view(np.uint8))


def _tag(table: Table, component: str) -> Any:
    bits = _bits(table, component)
    if isinstance(bits, bool):
        bits = pa.py_buffer(np.full(-(-table.rows // 8), 255 if bits else 0, np.uint8))
    return pa.Array.from_buffers(pa.bool_(), table.rows, [None, bits])


def to_arrow(core: _Core, tables: list[Table], names: tuple[str, ...]) -> pa.Table:
    """The rows of these tables: their entities and these components (default: all)."""
    core.check()
    tables = [table for table in tables if table.rows]
    kinds, columns = [pa.field("entity", pa.uint64(), nullable=False)], []
    columns.append([pa.Array.from_buffers(pa.uint64(), t.rows, [None, pa.py_buffer(t.entities)]) for t in tables])
    for name in names or core.layout.components:
        component = core.layout.component(name)
        if not component.fields:
            kinds.append(pa.field(name, pa.bool_(), nullable=False))
            columns.append([_tag(table, name) for table in tables])
        for field in component.fields:
            kinds.append(pa.field(f"{name}.{field.name}", arrow_type(field)))
            columns.append([_column(table, name, field) for table in tables])
    about = {"generation": core.pin.generation, "frame": core.pin.frame, "time": core.pin.time}
    schema = pa.schema(kinds, {f"hypostyle.{key}": str(value) for key, value in about.items()})
    arrays = [pa.chunked_array(chunks, kind.type) for chunks, kind in zip(columns, kinds)]
    return pa.Table.from_arrays(arrays, schema=schema)


def to_pandas(table: pa.Table, dtype_backend: Optional[str]) -> pandas.DataFrame:
    """A frame, its columns in place as far as pandas can have them so."""
    if dtype_backend is None:
        return table.to_pandas(split_blocks=True)
    if dtype_backend == "pyarrow":
        import pandas

        return table.to_pandas(types_mapper=pandas.ArrowDtype)
    raise ValueError(f'dtype_backend is None or "pyarrow", not {dtype_backend!r}')


def to_polars(table: pa.Table) -> polars.DataFrame:
    """A frame, its columns in place as far as polars can have them so."""
    import polars

    frame = polars.from_arrow(table)
    assert isinstance(frame, polars.DataFrame)
    return frame
