"""Snapshots as Arrow tables, pandas frames and polars frames. Needs pyarrow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
import pyarrow as pa

from .layout import FieldLayout

if TYPE_CHECKING:
    import pandas
    import polars

    from .snapshot import Table, _Core


#: The handle of no entity.
_NOBODY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def arrow_type(field: FieldLayout) -> pa.DataType:
    """The Arrow type of a field."""
    scalar = pa.uint64() if field.scalar == "entity" else pa.from_numpy_dtype(field.dtype)
    return pa.list_(scalar, field.array_len) if field.array_len else scalar


def arrow_field(name: str, field: FieldLayout) -> pa.Field:
    """The Arrow column of a field, as exports of the command line declare it."""
    return pa.field(name, arrow_type(field), metadata=_told(field, field.type))


def _told(field: FieldLayout, type_: str) -> dict[str, str]:
    words = {"unit": field.unit, "description": field.description}
    return {"hypostyle.type": type_, **{key: text for key, text in words.items() if text}}


def _values(field: FieldLayout, values: Any) -> Any:
    """An Arrow array on the same bytes, but for bools, which Arrow packs into bits."""
    flat = values.reshape(-1)
    if field.scalar == "bool":
        return pa.Array.from_buffers(pa.bool_(), len(flat), [None, pa.py_buffer(np.packbits(flat, bitorder="little"))])
    kind = arrow_type(field).value_type if field.array_len else arrow_type(field)
    return pa.Array.from_buffers(kind, len(flat), [_somebody(flat) if field.scalar == "entity" else None, pa.py_buffer(flat)])


def _somebody(handles: Any) -> Any:
    """Which handles are some entity's, as bits; None: all of them."""
    some = handles != _NOBODY
    return None if some.all() else pa.py_buffer(np.packbits(some, bitorder="little"))


def _both(these: Any, those: Any) -> Any:
    """The bits that are set in both; None: all are."""
    if these is None or those is None:
        return those if these is None else these
    a, b = np.frombuffer(these, np.uint8), np.frombuffer(those, np.uint8)
    length = min(len(a), len(b))
    return pa.py_buffer(a[:length] & b[:length])


def _column(table: Table, component: str, field: FieldLayout) -> Any:
    if component not in table.components:
        return pa.nulls(table.rows, arrow_type(field))
    values = _values(field, table.column(f"{component}.{field.name}"))
    validity = _bits(table, component)
    if validity is True:
        validity = None
    if field.array_len:
        return pa.Array.from_buffers(arrow_type(field), table.rows, [validity], children=[values])
    somebody, *rest = values.buffers()
    return pa.Array.from_buffers(arrow_type(field), table.rows, [_both(validity, somebody), *rest])


def list_type(field: FieldLayout) -> pa.DataType:
    """The Arrow type of lists of a field's values."""
    return pa.large_list(pa.field("item", arrow_type(field)))


def _list(table: Table, component: str, field: FieldLayout) -> Any:
    """Lists of one field: their values in place where they stand one after the other."""
    if component not in table.components:
        return pa.nulls(table.rows, list_type(field))
    starts, lengths, values = table.list(f"{component}.{field.name}")
    offsets = np.zeros(table.rows + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    some = np.flatnonzero(lengths)
    first = int(starts[some[0]]) if len(some) else 0
    if (starts[some] == first + offsets[some]).all():
        own = values[first : first + int(offsets[-1])]
    else:
        own = values[np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])]
    items = _values(field, own)
    if field.array_len:
        items = pa.Array.from_buffers(arrow_type(field), len(own), [None], children=[items])
    return pa.Array.from_buffers(list_type(field), table.rows, [None, pa.py_buffer(offsets)], children=[items])


def _bits(table: Table, component: str) -> Any:
    """Presence of a component: True or False for all or none, or a buffer of bits, in place."""
    found = table._core.pin.presence(table.index, component)
    return found if isinstance(found, bool) else pa.py_buffer(np.asarray(found).view(np.uint8))


def _tag(table: Table, component: str) -> Any:
    bits = _bits(table, component)
    if isinstance(bits, bool):
        bits = pa.py_buffer(np.full(-(-table.rows // 8), 255 if bits else 0, np.uint8))
    return pa.Array.from_buffers(pa.bool_(), table.rows, [None, bits])


def _element(table: Table, component: str, field: FieldLayout, index: int) -> Any:
    """One element of each array. Its values are copied: they do not stand side by side."""
    one = replace(field, array_len=0)
    if component not in table.components:
        return pa.nulls(table.rows, arrow_type(one))
    validity, values = _bits(table, component), np.ascontiguousarray(table.column(f"{component}.{field.name}")[:, index])
    somebody, *rest = _values(one, values).buffers()
    return pa.Array.from_buffers(arrow_type(one), table.rows, [_both(None if validity is True else validity, somebody), *rest])


def to_arrow(core: _Core, tables: list[Table], names: tuple[str, ...], flat: bool) -> pa.Table:
    """The rows of these tables: their entities and these components (default: all)."""
    core.check()
    tables = [table for table in tables if table.rows]
    kinds, columns = [pa.field("entity", pa.uint64(), nullable=False)], []
    columns.append([pa.Array.from_buffers(pa.uint64(), t.rows, [None, pa.py_buffer(t.entities)]) for t in tables])
    for name in names or core.layout.components:
        component = core.layout.component(name)
        if component.storage == "list":
            if flat:
                raise ValueError(f"component `{name}` is a list, for which flat columns have no place: leave it out, or flat=False")
            for field in component.fields:
                told = _told(field, f"list<{field.type}>")
                kinds.append(pa.field(f"{name}.{field.name}", list_type(field), metadata=told))
                columns.append([_list(table, name, field) for table in tables])
            continue
        if not component.published_fields:
            kinds.append(pa.field(name, pa.bool_(), nullable=False))
            columns.append([_tag(table, name) for table in tables])
        for field in component.published_fields:
            if flat and field.array_len:
                for index in range(field.array_len):
                    kind = arrow_type(replace(field, array_len=0))
                    told = {"hypostyle.type": field.type}
                    kinds.append(pa.field(f"{name}.{field.name}[{index}]", kind, metadata=told))
                    columns.append([_element(table, name, field, index) for table in tables])
                continue
            kinds.append(arrow_field(f"{name}.{field.name}", field))
            columns.append([_column(table, name, field) for table in tables])
    about = {
        "layout": core.layout.to_toml(),
        "layout_hash": f"{core.layout.hash:016x}",
        "generation": str(core.pin.generation),
        "frame": str(core.pin.frame),
        "time": core.pin.time_text,
    }
    schema = pa.schema(kinds, {f"hypostyle.{key}": value for key, value in about.items()})
    arrays = [pa.chunked_array(chunks, kind.type) for chunks, kind in zip(columns, kinds)]
    return pa.Table.from_arrays(arrays, schema=schema)


def to_pandas(table: pa.Table, dtype_backend: Optional[str]) -> pandas.DataFrame:
    """A frame, its columns in place as far as pandas can have them so."""
    if dtype_backend is None:
        # pandas has floats for integers with nulls, if nothing else is said
        others = [each.name for each, column in zip(table.schema, table.columns) if _loses(each.type, column)]
        frame = table.drop_columns(others).to_pandas(split_blocks=True) if others else table.to_pandas(split_blocks=True)
        for name in others:
            frame.insert(table.schema.get_field_index(name), name, _nullable(table[name]))
        return frame
    if dtype_backend == "pyarrow":
        import pandas

        return table.to_pandas(types_mapper=pandas.ArrowDtype)
    raise ValueError(f'dtype_backend is None or "pyarrow", not {dtype_backend!r}')


def _loses(kind: pa.DataType, column: pa.ChunkedArray) -> bool:
    """Whether nulls would make floats, or objects, of a column."""
    if pa.types.is_fixed_size_list(kind):
        return bool(pa.types.is_integer(kind.value_type)) and any(chunk.flatten().null_count for chunk in column.chunks)
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind)) and column.null_count > 0


def _nullable(column: pa.ChunkedArray) -> Any:
    """A column of a nullable type of pandas; of lists, one of lists."""
    import pandas

    if pa.types.is_fixed_size_list(column.type):
        return pandas.Series(column.to_pylist(), dtype=object)
    name = "boolean" if pa.types.is_boolean(column.type) else str(column.type).replace("int", "Int").replace("u", "U")
    return pandas.Series(column.to_pandas(types_mapper={column.type: pandas.api.types.pandas_dtype(name)}.get))


def to_polars(table: pa.Table) -> polars.DataFrame:
    """A frame, its columns in place as far as polars can have them so."""
    import polars

    frame = polars.from_arrow(table)
    assert isinstance(frame, polars.DataFrame)
    return frame
