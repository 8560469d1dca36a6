"""Pinned generations: tables, components, columns, in place."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterator, Mapping, NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _native
from .errors import AbsentError, ClosedError, SeveralTablesError, UnknownNameError
from .layout import ComponentLayout, Layout, ResourceLayout, _unknown
from .values import Array, handle_of, integer_of, name_of

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["ChangedRows", "Changes", "Chunk", "Component", "Resource", "Rows", "Selection", "Snapshot", "Table"]


#: Storages whose values snapshots have.
_READ = ("table", "toggle", "list")


class _Core:
    """What the parts of a snapshot share. Nothing refers back to the snapshot, so that it goes when it is let go of."""

    __slots__ = ("pin", "layout")

    def __init__(self, pin: _native.Pin, layout: Layout) -> None:
        self.pin = pin
        self.layout = layout

    def check(self) -> None:
        if self.pin.released:
            raise ClosedError(f"the snapshot of generation {self.pin.generation} was released: pin again")


class Table:
    """All entities that have the same components, one row each. Part of a :class:`Snapshot`."""

    __slots__ = ("_core", "index", "rows", "capacity", "components", "_columns", "_masks")

    def __init__(self, core: _Core, index: int, rows: int, capacity: int, components: list[str]) -> None:
        self._core = core
        #: Its place among the snapshot's tables.
        self.index = index
        #: Rows in use.
        self.rows = rows
        #: Rows there is room for.
        self.capacity = capacity
        #: Names of the components that it has columns for, toggles included.
        self.components = tuple(components)
        self._columns: dict[str, Array] = {}
        self._masks: dict[str, Array] = {}

    def __len__(self) -> int:
        return self.rows

    def __contains__(self, component: object) -> bool:
        return component in self.components

    def __getitem__(self, name: str) -> Any:
        """A component of the table (``table["position"]``), or a column (``table["position.x"]``)."""
        name = name_of(name, "a component or column of a table", 'write table["position"].x[row] for a row')
        component, dot, field = name.partition(".")
        chunk = Chunk(self, self._core.layout.component(component))
        if component not in self.components:
            has = ", ".join(self.components) or "none"
            raise AbsentError(f"table {self.index} has no component `{component}`; it has {has}")
        return chunk[field] if dot else chunk

    @property
    def entities(self) -> Array:
        """The handles of the rows' entities (uint64), in place."""
        return self._memory("(entity)", lambda pin: pin.entities(self.index))

    def column(self, name: str) -> Array:
        """A column in place and whole, whatever rows have the component: rows without it hold leftovers."""
        found = self._memory(name, lambda pin: pin.column(self.index, name))
        return found

    def _value(self, component: ComponentLayout, field: str, row: int) -> Any:
        name = f"{component.name}.{field}"
        if component.storage != "list":
            return self.column(name)[row]
        starts, lengths, values = self.list(name)
        return values[starts[row] : starts[row] + lengths[row]]

    def _memory(self, key: str, ask: Any) -> Array:
        try:
            self._core.check()
            return self._columns[key]
        except KeyError:
            pass
        memory = ask(self._core.pin)
        if memory is None:
            has = ", ".join(self.components) or "none"
            raise AbsentError(f"table {self.index} has no column `{key}`; its components are {has}")
        array = np.asarray(memory)
        self._columns[key] = array
        return array

    def presence(self, component: str) -> npt.NDArray[np.bool_]:
        """Which rows have a component."""
        self._core.check()
        mask = self._masks.get(component)
        if mask is None:
            found = self._core.pin.presence(self.index, component)
            if isinstance(found, bool):
                mask = np.broadcast_to(np.bool_(found), (self.rows,))
            else:
                bits = np.asarray(found).view(np.uint8)
                mask = np.unpackbits(bits, count=self.rows, bitorder="little").view(np.bool_)
                mask.flags.writeable = False
            self._masks[component] = mask
        return mask

    def changed(self, component: str) -> Optional[npt.NDArray[np.bool_]]:
        """Which rows of a component the newest frame changed, exactly; None where its layout does not track that."""
        self._core.check()
        self._core.layout.component(component)
        found = self._core.pin.changed(self.index, component)
        if found is None:
            return None
        bits = np.asarray(found).view(np.uint8)
        return np.unpackbits(bits, count=self.rows, bitorder="little").view(np.bool_)

    def changed_since(self, generation: int, *names: str) -> list[slice]:
        """Runs of rows in which any of these columns (default: all) changed after a generation.

        They were written, or came from another table, as happens when a component is added or removed by query. A name is
        a field, ``position.x``; or a component, for its presence; or ``(entity)``, for which entities the rows are.
        Changes are known by chunks of 1024 rows, so a run can hold rows that did not change.
        """
        self._core.check()
        declared = self._core.layout.components
        if not names:
            fields = (f"{c}.{f.name}" for c in self.components for f in declared[c].published_fields)
            names = ("(entity)", *self.components, *fields)
        found = self._core.pin.changed_since(self.index, list(names), max(int(generation), 0))
        if found is None:
            has = ", ".join(self.components) or "none"
            raise AbsentError(f"table {self.index} lacks one of {', '.join(names)}; its components are {has}")
        return [slice(begin, end) for begin, end in found]

    def list(self, name: str) -> tuple[Array, Array, Array]:
        """One field of a component that is a list, in place: starts, lengths and values.

        The list of row ``i`` is ``values[starts[i]:starts[i] + lengths[i]]``. ``values`` holds the elements of all rows of
        all tables, and some that belong to no row any more.
        """
        name = name_of(name, "a field of a list", 'write starts[row] for a row')
        self._core.layout.field(name)
        component, _, field = name.partition(".")
        self._core.check()
        found = self._core.pin.list(self.index, component, field)
        if found is None:
            has = ", ".join(self.components) or "none"
            raise AbsentError(f"table {self.index} has no component `{component}`; it has {has}")
        starts, lengths, values = found
        return np.asarray(starts), np.asarray(lengths), np.asarray(values)

    def _forget(self) -> None:
        self._columns.clear()
        self._masks.clear()

    def __repr__(self) -> str:
        return f"<Table {self.index}: {self.rows} rows of ({', '.join(self.components)})>"


class Chunk:
    """A component in one table: its fields are attributes, ``chunk.x``, or items, ``chunk["x"]``.

    Fields of a component that is stored as a toggle are masked arrays, so that rows without it do not count. Their
    ``data`` is in place like all else.
    """

    __slots__ = ("table", "declared")

    def __init__(self, table: Table, declared: ComponentLayout) -> None:
        #: The table.
        self.table = table
        #: What the layout says of the component.
        self.declared = declared

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self.table.rows

    @property
    def entities(self) -> Array:
        """The handles of the rows' entities (uint64), in place."""
        return self.table.entities

    @property
    def presence(self) -> npt.NDArray[np.bool_]:
        """Which rows have the component."""
        return self.table.presence(self.declared.name)

    @property
    def changed(self) -> Optional[npt.NDArray[np.bool_]]:
        """Which rows the newest frame changed, exactly; None where the layout does not track that."""
        return self.table.changed(self.declared.name)

    def changed_since(self, generation: int) -> list[slice]:
        """Runs of rows in which the component, or its presence, changed after a generation, by chunks of 1024 rows."""
        name = self.declared.name
        return self.table.changed_since(generation, name, *(f"{name}.{f.name}" for f in self.declared.published_fields))

    def __len__(self) -> int:
        return self.table.rows

    def __getitem__(self, field: str) -> Array:
        self.declared.field(name_of(field, "a field", "write chunk.x[row] for a row"))
        column = self.table.column(f"{self.declared.name}.{field}")
        if self.declared.storage != "toggle":
            return column
        absent = ~self.presence
        if column.ndim == 2:
            absent = np.broadcast_to(absent[:, None], column.shape)
        masked: Array = np.ma.MaskedArray(column, absent, copy=False)
        return masked

    def __getattr__(self, field: str) -> Array:
        if field.startswith("__"):
            raise AttributeError(field)
        return self[field]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(f.name for f in self.declared.published_fields)]

    def __repr__(self) -> str:
        return f"<Chunk of {self.declared.name}: {self.rows} rows of table {self.table.index}>"


class Rows:
    """A component's rows of several tables as whole arrays: copies where there are several tables, else in place."""

    __slots__ = ("_component", "_arrays")

    def __init__(self, component: Component) -> None:
        self._component = component
        self._arrays: dict[str, Array] = {}

    @property
    def entities(self) -> Array:
        """The handles of the rows' entities (uint64)."""
        return self._get("(entity)", lambda: self._component._concat(lambda chunk: chunk.entities, np.dtype("<u8"), ()))

    def __getitem__(self, field: str) -> Array:
        return self._get(field, lambda: self._component.concat(field))

    def _get(self, key: str, make: Any) -> Array:
        if key not in self._arrays:
            self._arrays[key] = make()
        return self._arrays[key]

    def __getattr__(self, field: str) -> Array:
        if field.startswith("_"):
            raise AttributeError(field)
        return self[field]

    def __len__(self) -> int:
        return len(self.entities)

    def __repr__(self) -> str:
        return f"<Rows of {self._component.declared.name}>"


class Selection:
    """Tables that have certain components. :class:`Snapshot` is the selection of all tables."""

    def __init__(self, core: _Core, tables: list[Table], names: tuple[str, ...]) -> None:
        self._core = core
        self._tables = tables
        self._names = names

    @property
    def tables(self) -> list[Table]:
        """The tables; those without rows included."""
        return self._tables

    @property
    def layout(self) -> Layout:
        """The world's layout."""
        return self._core.layout

    def select(self, *components: str, without: Union[str, tuple[str, ...], list[str]] = ()) -> Selection:
        """The tables whose entities have all of these components, and none of those ``without``.

        Components that are stored as toggles decide nothing here: their presence says which rows have them.
        """
        self._core.check()
        without = (without,) if isinstance(without, str) else tuple(without)
        for name in (*components, *without):
            self.layout.component(name)
        deciding = {name for name in without if self.layout.components[name].storage != "toggle"}
        tables = [t for t in self._tables if set(components) <= set(t.components) and not deciding & set(t.components)]
        return Selection(self._core, tables, components)

    def __getitem__(self, name: str) -> Any:
        """A component (``snapshot["position"]``), or a column as one array (``snapshot["position.x"]``)."""
        name = name_of(name, "a component or column", "write .tables[0] for a table, .get(entity) for an entity")
        self._core.check()
        component, dot, field = name.partition(".")
        found = Component(self, self.layout.component(component))
        return found[field] if dot else found

    def __contains__(self, component: object) -> bool:
        return any(component in table.components for table in self._tables)

    def __len__(self) -> int:
        return sum(table.rows for table in self._tables)

    def __bool__(self) -> bool:
        return True

    def to_arrow(self, *components: str, flat: bool = False) -> pyarrow.Table:
        """A ``pyarrow.Table`` of these components, one row per entity that has them (default: all of the selection).

        Columns are named as in the layout, ``position.x``, and ``entity``; components without fields are columns of
        bool. Numbers, handles and arrays of numbers stay where they are, a chunk for each table; bools are packed
        into bits, as Arrow asks. Rows that lack a component are null, and so are handles of no entity. Columns and
        metadata are those that ``hypostyle export`` writes.

        ``flat=True`` makes each element of an array a column of its own, ``velocity.v[0]``; these are copied.
        Lists have no such columns: leave them out.
        """
        from .arrow import to_arrow

        chosen = self.select(*components) if components else self
        return to_arrow(self._core, chosen._tables, components or self._names, flat)

    def to_pandas(self, *components: str, dtype_backend: Optional[str] = None, flat: bool = False) -> pandas.DataFrame:
        """A ``pandas.DataFrame`` of :meth:`to_arrow`.

        Columns of numbers without nulls stay in place where there is one table. Integers and bools with nulls are
        columns of pandas' nullable types (``UInt64``, ``boolean``), never floats; in lists of integers a null is None.
        Floats have NaN for null. ``dtype_backend="pyarrow"`` keeps all in place, as Arrow columns.
        """
        from .arrow import to_pandas

        return to_pandas(self.to_arrow(*components, flat=flat), dtype_backend)

    def to_polars(self, *components: str, flat: bool = False) -> polars.DataFrame:
        """A ``polars.DataFrame`` of :meth:`to_arrow`, its numbers in place."""
        from .arrow import to_polars

        return to_polars(self.to_arrow(*components, flat=flat))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """For everything that takes Arrow tables: ``polars.DataFrame(snapshot)``, ``duckdb``, ..."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        tables = ", ".join(repr(table) for table in self._tables)
        return f"<Selection ({', '.join(self._names)}) of generation {self._core.pin.generation}: {tables}>"


class Component:
    """A component in all tables that have it.

    Where one table holds all of its entities its fields are arrays in place: ``snapshot["position"].x``. Where there
    are several, ask for ``chunks`` (in place, one for each table) or ``concat`` (a copy).
    """

    __slots__ = ("_selection", "declared")

    def __init__(self, selection: Selection, declared: ComponentLayout) -> None:
        self._selection = selection
        #: What the layout says of the component.
        self.declared = declared

    @property
    def chunks(self) -> list[Chunk]:
        """The component in each table that has it and any rows."""
        name = self.declared.name
        return [Chunk(table, self.declared) for table in self._selection.tables if name in table and table.rows]

    @property
    def entities(self) -> Array:
        """The handles of the rows' entities (uint64), in place, where there is one table."""
        return self._single(lambda chunk: chunk.entities, "entities", np.dtype("<u8"), ())

    @property
    def presence(self) -> npt.NDArray[np.bool_]:
        """Which rows have the component, where there is one table."""
        return self._single(lambda chunk: chunk.presence, "presence", np.dtype(np.bool_), ())

    def _single(self, get: Any, what: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        self._selection._core.check()
        chunks = self.chunks
        if len(chunks) == 1:
            found: Array = get(chunks[0])
            return found
        if not chunks:
            return _empty(dtype, shape)
        copy = f".concat().{what}" if what == "entities" else f'.concat("{what}")'
        name, tables = self.declared.name, " + ".join(str(chunk.rows) for chunk in chunks)
        raise SeveralTablesError(
            f"`{name}` stands in {len(chunks)} tables ({tables} rows), so there is no one array of `{name}.{what}` in "
            f'place. Use .chunks (in place, one for each table), {copy} (a copy), or '
            f'select("{name}", ..., without=...) for fewer tables'
        )

    def __getitem__(self, field: str) -> Array:
        declared = self.declared.field(name_of(field, "a field", "write .chunks[0] for the rows of one table"))
        return self._single(lambda chunk: chunk[field], field, declared.dtype, declared.shape)

    def __getattr__(self, field: str) -> Array:
        if field.startswith("__"):
            raise AttributeError(field)
        return self[field]

    def concat(self, field: Optional[str] = None) -> Any:
        """One array of a field, of the entities that have the component: a copy, unless it is in place as it is.

        Without a field: :class:`Rows`, whose attributes are such arrays, all in the same order.
        """
        if field is None:
            return Rows(self)
        declared = self.declared.field(field)
        return self._concat(
            lambda chunk: chunk.table.column(f"{self.declared.name}.{field}"), declared.dtype, declared.shape
        )

    def _concat(self, get: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        self._selection._core.check()
        parts = []
        for chunk in self.chunks:
            values = get(chunk)
            if self.declared.storage == "toggle" and not chunk.presence.all():
                values = values[chunk.presence]
            parts.append(values)
        if len(parts) == 1:
            whole: Array = parts[0]
        else:
            whole = np.concatenate(parts) if parts else _empty(dtype, shape)
        if whole.flags.owndata:
            whole.flags.writeable = False
        return whole

    def changed_since(self, generation: int) -> list[tuple[Chunk, list[slice]]]:
        """The chunks in which the component was written after a generation, with the runs of rows."""
        found = [(chunk, chunk.changed_since(generation)) for chunk in self.chunks]
        return [(chunk, runs) for chunk, runs in found if runs]

    def to_arrow(self, flat: bool = False) -> pyarrow.Table:
        """A ``pyarrow.Table`` of the component. See :meth:`Selection.to_arrow`."""
        return self._selection.to_arrow(self.declared.name, flat=flat)

    def to_pandas(self, dtype_backend: Optional[str] = None, flat: bool = False) -> pandas.DataFrame:
        """A ``pandas.DataFrame`` of the component. See :meth:`Selection.to_pandas`."""
        return self._selection.to_pandas(self.declared.name, dtype_backend=dtype_backend, flat=flat)

    def to_polars(self, flat: bool = False) -> polars.DataFrame:
        """A ``polars.DataFrame`` of the component. See :meth:`Selection.to_polars`."""
        return self._selection.to_polars(self.declared.name, flat=flat)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """For everything that takes Arrow tables."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self.chunks)

    def __len__(self) -> int:
        """How many entities have the component."""
        if self.declared.storage != "toggle":
            return sum(chunk.rows for chunk in self.chunks)
        return sum(int(chunk.presence.sum()) for chunk in self.chunks)

    def __bool__(self) -> bool:
        return True

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(f.name for f in self.declared.published_fields)]

    def __repr__(self) -> str:
        fields = ", ".join(f"{f.name}: {f.type}" for f in self.declared.published_fields)
        return f"<Component {self.declared.name} ({fields}): {len(self)} entities in {len(self.chunks)} tables>"


def _empty(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    empty = np.empty((0, *shape), dtype)
    empty.flags.writeable = False
    return empty


class Resource(Mapping[str, Any]):
    """A resource's value: its fields are attributes, or items. A copy, as resources are small."""

    def __init__(self, declared: ResourceLayout, packed: bytes) -> None:
        self._name = declared.name
        self._values: dict[str, Any] = {}
        at = 0
        for field in declared.fields:
            self._values[field.name] = field.value_of(packed[at : at + field.nbytes])
            at += field.nbytes

    def __getitem__(self, field: str) -> Any:
        try:
            return self._values[field]
        except KeyError:
            raise UnknownNameError(_unknown("field", f"{self._name}.{field}", self._values)) from None

    def __getattr__(self, field: str) -> Any:
        if field.startswith("_"):
            raise AttributeError(field)
        return self[field]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __repr__(self) -> str:
        return f"<Resource {self._name}: {', '.join(f'{name}={value}' for name, value in self._values.items())}>"


class _Resources(Mapping[str, Resource]):
    """The resources of a snapshot that have a value, by name."""

    def __init__(self, core: _Core) -> None:
        self._core = core

    def __getitem__(self, name: str) -> Resource:
        self._core.check()
        declared = self._core.layout.resource(name)
        packed = self._core.pin.resource(name)
        if packed is None:
            raise AbsentError(f"resource `{name}` has no value")
        return Resource(declared, packed)

    def __contains__(self, name: object) -> bool:
        self._core.check()
        return name in self._core.layout.resources and self._core.pin.resource(str(name)) is not None

    def get(self, name: str, default: Any = None) -> Any:
        """A resource's value; ``default`` where it has none."""
        return self[name] if name in self else default

    def __iter__(self) -> Iterator[str]:
        pin = self._core.pin
        return (name for name in self._core.layout.resources if pin.resource(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {self[name]!r}' for name in self)}}}"


class Snapshot(Selection):
    """A pinned generation: a consistent state of a world, in place, that does not change while it is held.

    It is held until the ``with`` block ends, or :meth:`release`. Arrays that were taken from it hold it further, each
    by itself, until they are gone: an array's bytes never change. The memory of a generation that is held cannot be
    used again by the simulation, so let go of what you no longer need, or copy it.
    """

    def __init__(self, pin: _native.Pin, layout: Layout) -> None:
        core = _Core(pin, layout)
        super().__init__(core, [Table(core, index, *parts) for index, parts in enumerate(pin.tables())], ())

    @property
    def generation(self) -> int:
        """The generation's number, from 1 on."""
        return self._core.pin.generation

    @property
    def frame(self) -> int:
        """The frame after which it was published."""
        return self._core.pin.frame

    @property
    def time(self) -> float:
        """Simulated time after that frame."""
        return self._core.pin.time

    @property
    def released(self) -> bool:
        """Whether it was released."""
        return self._core.pin.released

    @property
    def resources(self) -> Mapping[str, Resource]:
        """The resources that have a value, by name: ``snapshot.resources["gravity"].y``."""
        return _Resources(self._core)

    def locate(self, entity: int) -> Optional[tuple[Table, int]]:
        """The table and row of an entity; None where it is dead."""
        self._core.check()
        found = self._core.pin.locate(handle_of(entity))
        return None if found is None else (self._tables[found[0]], found[1])

    def get(self, entity: int) -> dict[str, dict[str, Any]]:
        """All components of an entity, with the values of their fields; of a list an array for each field."""
        found = self.locate(entity)
        if found is None:
            handle = handle_of(entity)
            raise AbsentError(f"entity {handle & 0xFFFFFFFF}v{handle >> 32} is dead")
        table, row = found
        has = (self.layout.components[name] for name in table.components if table.presence(name)[row])
        return {c.name: {f.name: table._value(c, f.name, row) for f in c.fields if c.storage in _READ} for c in has}

    def checkpoint(self, path: Union[str, os.PathLike[str]], *, level: int = 1) -> int:
        """Writes the state into a file, and returns how many bytes that has. ``level`` says how hard to compress: 0 not at
        all, up to 19. :func:`hypostyle.open` reads it like a region, :meth:`World.restore` continues from it.
        """
        self._core.check()
        return self._core.pin.checkpoint(os.fspath(path), integer_of("level", level))

    def hash(self) -> int:
        """The hash of the generation's logical content: equal content, equal hashes, on any machine."""
        self._core.check()
        return self._core.pin.hash()

    def hash_by_id(self) -> str:
        """The hash of all entities by their global ids, in which neither handles nor the order of rows count: what
        ``hypostyle hash --by-id`` prints."""
        self._core.check()
        return _native.joined_hash([self._core.pin.hash_by_id()])

    def changed_since(self, generation: int) -> Changes:
        """What was written after a generation, by columns and chunks of 1024 rows."""
        return Changes(self, generation)

    def release(self) -> None:
        """Lets go of the generation, as far as no array holds it. The snapshot is of no use afterwards."""
        self._core.pin.release()
        for table in self._tables:
            table._forget()

    def __enter__(self) -> Snapshot:
        self._core.check()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "released" if self.released else f"{self._core.pin.entity_count} entities in {len(self._tables)} tables"
        return f"<Snapshot of generation {self.generation}, frame {self.frame}: {state}>"


class ChangedRows(NamedTuple):
    """A run of rows of one column that was written."""

    #: The table.
    table: Table
    #: The rows.
    rows: slice
    #: Their values, in place.
    values: Array

    @property
    def entities(self) -> Array:
        """The handles of the rows' entities, in place."""
        return self.table.entities[self.rows]


class Changes:
    """What was written after a generation, by columns: ``changes["position.x"]`` is a list of :class:`ChangedRows`.

    Changes are known by chunks of 1024 rows, so a run can hold rows that did not change. An entity that moved to
    another row counts as written there. Removed rows show in the tables' row counts and entities, not here.
    """

    def __init__(self, snapshot: Snapshot, since: int) -> None:
        #: The newer state.
        self.snapshot = snapshot
        #: The older generation's number.
        self.since = since
        self._columns: dict[str, list[ChangedRows]] = {}
        for table in snapshot.tables:
            for component in table.components:
                for field in snapshot.layout.components[component].published_fields:
                    self._look(table, f"{component}.{field.name}")

    def _look(self, table: Table, name: str) -> None:
        runs = table.changed_since(self.since, name) if table.rows else []
        if runs:
            column = table.column(name)
            self._columns.setdefault(name, []).extend(ChangedRows(table, run, column[run]) for run in runs)

    @property
    def columns(self) -> Mapping[str, list[ChangedRows]]:
        """The columns with changes, by name."""
        return self._columns

    def __getitem__(self, name: str) -> list[ChangedRows]:
        self.snapshot.layout.field(name)
        return self._columns.get(name, [])

    def __bool__(self) -> bool:
        return bool(self._columns)

    def __enter__(self) -> Changes:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._columns = {}
        self.snapshot.release()

    def __repr__(self) -> str:
        return f"<Changes from generation {self.since} to {self.snapshot.generation} in {len(self._columns)} columns>"
