"""Systems: functions on arrays of rows, which a simulation runs in this process, in threads, or in worker processes."""

from __future__ import annotations

import inspect
import json
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, Optional, Protocol, Sequence, TypeVar, Union, cast

import numpy as np
import numpy.typing as npt

from . import _native
from .errors import AbsentError, ClosedError, HypostyleError, ScheduleError, UnknownNameError
from .layout import ComponentLayout, Layout, ResourceLayout, _unknown, layout_of
from .reduction import Reduction, kept
from .snapshot import Resource
from .values import Array, count_of, fit, handles_of, integer_of, payload_of, target_handles, target_rows

if TYPE_CHECKING:
    from .space import CellGrid, Search

__all__ = [
    "Frame",
    "Job",
    "JobComponent",
    "NeighbourTable",
    "Patches",
    "System",
    "guard_conserved",
    "guard_finite",
    "guard_within",
    "system",
]

Names = Union[str, Iterable[str]]

#: A column's array, and its rows as they were, if those are elsewhere.
_Take = Callable[[str, str], Optional[tuple[Array, Optional[Array]]]]

#: The null handle.
_NOBODY = b"\xff" * 8

_ENDED = "a system's rows are of no use after it has ended"


class Frame:
    """The frame that a system runs in."""

    __slots__ = ("_job", "_layout", "frame", "time", "dt", "payload")

    #: Its number, from 1 on.
    frame: int
    #: Simulated time at its beginning.
    time: float
    #: Simulated time that it takes.
    dt: float
    #: The system's payload: :meth:`Simulation.set_payload`.
    payload: bytes

    def __init__(self, job: _native.Job, layout: Layout) -> None:
        self._job = job
        self._layout = layout
        self.frame, self.time, self.dt, self.payload = job.head()

    def resource(self, name: str) -> Resource:
        """The value of a resource that the system declares in ``resources``."""
        declared = self._layout.resource(name)
        packed = self._job.resource(name)
        if packed is None:
            raise AbsentError(f"to read resource `{name}`, declare it in `resources`")
        return Resource(declared, packed)

    def random(self, count: int) -> npt.NDArray[np.float64]:
        """Random numbers from 0 to below 1 that belong to no entity: every job of the system draws the same. See
        :meth:`Job.random`."""
        return np.frombuffer(self._job.random(_NOBODY, count, False), np.float64).copy()

    @property
    def iteration(self) -> int:
        """Which pass of its loop this is, from 0; 0 where the system is in none."""
        return self._job.iteration()

    def __repr__(self) -> str:
        return f"<frame {self.frame}: time {self.time}, dt {self.dt}>"


class JobComponent:
    """A component in a system's rows: its fields are arrays in place, attributes or items.

    Fields of components that the system writes can be changed in place (``position.x += 1``) or assigned
    (``position.x = values``). Rows that are left alone keep their values.
    """

    __slots__ = ("_take", "_arrays")
    # of a class for each component: `_of`
    _declared: ComponentLayout
    _writes: bool
    _take: Optional[_Take]
    _arrays: dict[str, Array]

    def __init__(self, take: _Take) -> None:
        _set_take(self, take)
        _set_arrays(self, {})

    @classmethod
    def _of(cls, declared: ComponentLayout, writes: bool) -> type[JobComponent]:
        """The class of a component in a system's rows."""
        fields = (each.name for each in declared.fields)
        return _with_properties(cls, fields, _field, _declared=declared, _writes=writes)

    def __getitem__(self, field: str) -> Array:
        found = self._arrays.get(field)
        if found is None:
            found, before = self._column(field)
            if before is not None:
                found[...] = before
        return found

    def _column(self, field: str) -> tuple[Array, Optional[Array]]:
        """A column, and where its rows are as they were, if they have to be copied or written first."""
        taken = self._take(self._declared.name, field) if self._take else None
        if taken is None:
            self._declared.field(field)
            raise ClosedError(_ENDED)
        self._arrays[field] = taken[0]
        return taken

    def __setitem__(self, field: str, values: Any) -> None:
        array, before = self._arrays.get(field), None
        if array is None:
            array, before = self._column(field)
        if not self._writes:
            name = self._declared.name
            raise HypostyleError(f"the system reads `{name}`: to change `{name}.{field}`, declare it in `writes`")
        # `position.x += 1` has changed the array by now, and assigns it to where it is
        if values is not array:
            try:
                array[...] = fit(f"{self._declared.name}.{field}", values, self._declared.field(field))
            except BaseException:
                if before is not None:
                    array[...] = before
                raise

    def __getattr__(self, field: str) -> Array:
        found = self._arrays.get(field)
        if found is not None:
            return found
        if field.startswith("__"):
            raise AttributeError(field)
        return self[field]

    def __setattr__(self, field: str, values: Any) -> None:
        # `position.x += 1`
        if values is None or self._arrays.get(field) is not values or not self._writes:
            self[field] = values

    def __dir__(self) -> list[str]:
        return [f.name for f in self._declared.fields]

    def _end(self) -> None:
        self._arrays.clear()
        _set_take(self, None)


# attributes are the component's fields: these two are set past that
_set_take: Callable[[JobComponent, Optional[_Take]], None] = vars(JobComponent)["_take"].__set__
_set_arrays: Callable[[JobComponent, dict[str, Array]], None] = vars(JobComponent)["_arrays"].__set__


def _field(name: str) -> property:
    """A field as a property: an attribute that is found need not be missed first."""

    def get(component: JobComponent) -> Array:
        found = component._arrays.get(name)
        return component[name] if found is None else found

    return property(get)


def _component(name: str) -> property:
    def get(rows: Job) -> JobComponent:
        found = rows._components.get(name)
        return rows[name] if found is None else found

    return property(get)


def _with_properties(
    base: type[Any], names: Iterable[str], made: Callable[[str], property], **constants: Any
) -> type[Any]:
    """A class of the same name and behaviour, quicker at these attributes, and with these values."""
    quick = {name: made(name) for name in names if not name.startswith("_") and not hasattr(base, name)}
    like = {"__slots__": (), "__module__": base.__module__, "__doc__": base.__doc__}
    return type(base.__name__, (base,), {**like, **constants, **quick})


class NeighbourTable:
    """A table of entities that a system looks at: whole columns, as they were when the system began. To read."""

    __slots__ = ("_layout", "_columns", "_parts", "_entities", "_matches", "_place", "is_own", "own_rows")

    #: Whether the system's own rows are among its rows: those from :attr:`Job.first_row` on.
    is_own: bool
    #: The table's own rows, the first ones. All others are ghosts, copies of rows of other ranks, sorted for themselves.
    own_rows: int

    def __init__(self, layout: Layout, parts: tuple[Any, ...], serial: int) -> None:
        entities, columns, self.is_own, matches, self.own_rows = parts
        self._place = (serial, entities.address)
        self._layout = layout
        self._entities: Optional[Array] = np.asarray(entities)
        self._columns = {(component, field): memory for component, field, memory in columns}
        self._matches: Optional[bytes] = matches
        self._parts: dict[str, JobComponent] = {}

    def __len__(self) -> int:
        return len(self._handles())

    def _handles(self) -> Array:
        if self._entities is None:
            raise ClosedError(_ENDED)
        return self._entities

    @property
    def entities(self) -> Array:
        """The handles of the rows' entities, a copy."""
        return self._handles().copy()

    @property
    def matches(self) -> npt.NDArray[np.bool_]:
        """Which rows have the components. Others hold leftovers; there are such rows only where one is a toggle."""
        if self._matches is None:
            return np.broadcast_to(np.bool_(True), (len(self),))
        return np.frombuffer(self._matches, np.bool_)

    def locate(self, handles: Any) -> npt.NDArray[np.int64]:
        """The rows of entities; -1 for those that are not in the table, or have not the components. A worker looks through the
        table once for all of its jobs.

        >>> @hypostyle.system(reads="spring", neighbours="position")
        ... def pull(rows, frame):
        ...     for table in rows.neighbours:
        ...         ends = table.locate(rows.spring.end)
        ...         x = table.position.x[ends[ends >= 0]]
        """
        entities = self._handles()
        wanted = handles_of(handles)
        rows = kept((*self._place, "rows"), lambda: _rows_by_slot(entities, self._matches))
        slots = (wanted & np.uint64(0xFFFF_FFFF)).astype(np.int64)
        found: npt.NDArray[np.int64] = rows[np.minimum(slots, len(rows) - 1)]
        # an entity that had the slot before has another generation
        found[(found < 0) | (entities[found] != wanted if len(entities) else True)] = -1
        return found

    def cell_starts(self, key: str, cells: int) -> Array:
        """The first row of each cell, and where the last one ends, in a table that is sorted by ``key``, ``"cell.key"``: see
        :func:`hypostyle.space.cell_starts`. A worker makes them once for all of its jobs."""
        from .space import cell_starts

        self._refuse_ghosts("cell_starts")
        component, _, field = key.partition(".")
        return kept((*self._place, key, cells), lambda: cell_starts(self[component][field], cells))

    def _refuse_ghosts(self, what: str) -> None:
        ghosts = len(self) - self.own_rows
        if ghosts:
            message = f"`{what}` knows one sorted table, and behind the own rows there are {ghosts} ghosts, sorted for themselves:"
            raise ScheduleError(f"{message} systems with neighbours on many ranks are written in Rust")

    def search(self, grid: CellGrid, reach: float, places: Sequence[str], key: Optional[str] = None) -> Search:
        """A search for the rows within ``reach``, by the columns of the places, ``("position.x", "position.y")``, and of the cells'
        keys: see :class:`hypostyle.space.Search`. A worker makes it once for all of its jobs.

        >>> @hypostyle.system(writes="near", neighbours=["position", "cell"])
        ... def find(rows, frame):
        ...     for table in rows.neighbours:
        ...         if table.is_own:
        ...             search = table.search(grid, 1.25, ["position.x", "position.y"], "cell.key")
        ...             rows.near.others, rows.near.count = search.lists(rows.first_row, len(rows)).padded(32)
        """
        self._refuse_ghosts("search")
        from .space import Search

        def column(name: str) -> Array:
            component, _, field = name.partition(".")
            return self[component][field]

        def make() -> Search:
            return Search(grid, [column(each) for each in places], reach, None if key is None else column(key))

        return kept((*self._place, grid, reach, tuple(places), key), make)

    def __getitem__(self, component: str) -> JobComponent:
        found = self._parts.get(component)
        if found is None:
            declared = self._layout.component(component)
            if declared.fields and (component, declared.fields[0].name) not in self._columns:
                raise AbsentError(f"to look at `{component}` of others, declare it in `neighbours`")
            found = self._parts[component] = JobComponent._of(declared, False)(self._take)
        return found

    def __getattr__(self, component: str) -> JobComponent:
        if component.startswith("_"):
            raise AttributeError(component)
        return self[component]

    def _take(self, component: str, field: str) -> Optional[tuple[Array, None]]:
        memory = self._columns.get((component, field))
        return None if memory is None else (np.asarray(memory), None)

    def _end(self) -> None:
        for part in self._parts.values():
            part._end()
        self._columns.clear()
        self._entities = None


def _rows_by_slot(entities: Array, matches: Optional[bytes]) -> npt.NDArray[np.int64]:
    """The row of each slot's entity; -1: there is none. One more slot than there is need for."""
    slots = (entities & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    found = np.full(int(slots.max()) + 2 if len(slots) else 1, -1, np.int64)
    rows = np.arange(len(slots), dtype=np.int64)
    if matches is not None:
        there = np.frombuffer(matches, np.bool_)
        slots, rows = slots[there], rows[there]
    found[slots] = rows
    return found


class Job:
    """Rows of one table that a system works on. Components are attributes, or items: ``rows.position.x``."""

    __slots__ = ("_job", "_rows", "_components", "_neighbours", "_views")
    # of a class for each system
    _system: System
    _layout: Layout
    _kinds: Mapping[str, type[JobComponent]]

    def __init__(self, job: _native.Job) -> None:
        self._job = job
        self._rows = len(job)
        self._components: dict[str, JobComponent] = {}
        self._neighbours: Optional[Sequence[NeighbourTable]] = None
        self._views: dict[str, Sequence[NeighbourTable]] = {}

    def __len__(self) -> int:
        return self._rows

    @property
    def entities(self) -> Array:
        """The handles of the rows' entities, a copy."""
        return np.asarray(self._job.entities()).copy()

    def random_of(self, handles: Any, count: Optional[int] = None) -> npt.NDArray[np.float64]:
        """As :meth:`random`, for any entities, by their handles."""
        wanted = handles_of(handles)
        drawn = np.frombuffer(self._job.random(wanted.tobytes(), 1 if count is None else count, False), np.float64).copy()
        return drawn if count is None else drawn.reshape(len(wanted), count)

    def random_of_id(self, ids: Any, count: Optional[int] = None) -> npt.NDArray[np.float64]:
        """As :meth:`random`, by global ids in place of handles: the same numbers on any number of ranks, whatever handles
        entities have there. ``rows.random_of_id(rows.global_id.value)`` are those of the rows."""
        wanted = np.ascontiguousarray(ids, np.uint64).reshape(-1)
        drawn = np.frombuffer(self._job.random(wanted.tobytes(), 1 if count is None else count, True), np.float64).copy()
        return drawn if count is None else drawn.reshape(len(wanted), count)

    def random(self, count: Optional[int] = None) -> npt.NDArray[np.float64]:
        """Random numbers from 0 to below 1, one for each row, or ``count`` (an array of rows by ``count``). They depend on the
        simulation's ``seed``, the frame, the system's name and each row's entity, and on nothing else; a second call gives the
        same ones. The generator is Philox4x32-10, as in Rust's ``job.random(row)``."""
        entities = np.asarray(self._job.entities()).tobytes()
        drawn = np.frombuffer(self._job.random(entities, 1 if count is None else count, False), np.float64).copy()
        return drawn if count is None else drawn.reshape(len(self), count)

    @property
    def first_row(self) -> int:
        """Where the rows begin in their table."""
        return self._job.first_row

    def list(self, name: str) -> tuple[Array, Array, Array]:
        """One field of a component that is a list, as the system declares in ``reads_lists``: starts, lengths and values, in
        place. The list of row ``i`` is ``values[starts[i]:starts[i] + lengths[i]]``, as it was when the batch began.

        >>> @hypostyle.system(writes="body", reads_lists="contact")
        ... def pull(rows, frame):
        ...     starts, lengths, spring = rows.list("contact.spring")
        ...     sums = np.concatenate(([0.0], np.cumsum(spring)))
        ...     rows.body.force = sums[starts + lengths] - sums[starts]
        """
        self._layout.field(name)
        component, _, field = name.partition(".")
        found = self._job.list(component, field)
        if found is None:
            raise AbsentError(f"the system does not declare that it reads lists of `{component}`: name it in `reads_lists`")
        starts, lengths, values = found
        return np.asarray(starts), np.asarray(lengths), np.asarray(values)

    @property
    def neighbours(self) -> Sequence[NeighbourTable]:
        """The tables of all entities that have the components which the system declares in ``neighbours``."""
        if self._neighbours is None:
            self._neighbours = self._tables(self._job.tables() or ())
        return self._neighbours

    def _tables(self, tables: Sequence[Any]) -> Sequence[NeighbourTable]:
        serial = self._job.serial()
        return [NeighbourTable(self._layout, parts, serial) for parts in tables]

    def view(self, name: str) -> Sequence[NeighbourTable]:
        """The tables of all entities of a view that the system declares in ``views``.

        >>> @hypostyle.system(writes="fish", views={"hunters": "shark", "shelter": "reef"})
        ... def fear(rows, frame):
        ...     for sharks in rows.view("hunters"):
        ...         rows.fish.fear += 1.0 / np.abs(sharks.shark.x[:, None] - rows.fish.x).min(axis=0)
        """
        found = self._views.get(name)
        if found is None:
            tables = self._job.tables(name)
            if tables is None:
                raise AbsentError(f"the system does not declare a view `{name}`: name it in `views`")
            found = self._views[name] = self._tables(tables)
        return found

    def __getitem__(self, component: str) -> JobComponent:
        found = self._components.get(component)
        if found is None:
            kind = self._kinds.get(component)
            if kind is None:
                self._layout.component(component)
                known = ", ".join(self._kinds) or "nothing"
                raise AbsentError(f"the system declares {known}, and not `{component}`")
            found = self._components[component] = kind(self._job.column)
        return found

    def __getattr__(self, component: str) -> JobComponent:
        found = self._components.get(component)
        if found is not None:
            return found
        if component.startswith("_"):
            raise AttributeError(component)
        return self[component]

    def _end(self) -> None:
        for component in self._components.values():
            component._end()
        for tables in (self._neighbours or (), *self._views.values()):
            for table in tables:
                table._end()


class Patches:
    """Changes beyond a system's own rows and columns. They are made when all rows have been worked on, in one order
    that does not depend on the workers: spawning, despawning, adding and removing components.

    Targets are entities, by their handles: ``uint64`` arrays or scalars, as :attr:`Job.entities` and fields of type
    ``entity`` are, also after slicing and in compiled functions. The methods that end in ``_rows`` take rows of the system
    instead, counted from 0: integers of any other type, masks of bools, or slices. Neither takes what the other does, so
    handles that went through a list of Python's are an error and never rows. Values are one for each target, or one for all
    of them, and must fit their fields (:class:`FieldValueError`).
    """

    __slots__ = ("_system", "_layout", "_job", "_rows")

    def __init__(self, made: System, layout: Layout, job: _native.Job, rows: int) -> None:
        self._system = made
        self._layout = layout
        self._job = job
        self._rows = rows

    def set(self, entities: Any, name: str, values: Any) -> None:
        """Sets a field, ``"heat.degrees"``, of entities that have the component; or all fields, by a mapping."""
        self._set(False, target_handles("set", entities), name, values)

    def set_rows(self, rows: Any, name: str, values: Any) -> None:
        """As :meth:`set`, of the system's own rows."""
        self._set(True, target_rows("set", rows, self._rows), name, values)

    def add(self, entities: Any, component: str, values: Optional[Mapping[str, Any]] = None) -> None:
        """Gives entities a component, or sets it where present. Fields that are left out have their defaults."""
        self._add(False, target_handles("add", entities), component, values)

    def add_rows(self, rows: Any, component: str, values: Optional[Mapping[str, Any]] = None) -> None:
        """As :meth:`add`, to the system's own rows."""
        self._add(True, target_rows("add", rows, self._rows), component, values)

    def accumulate(self, entities: Any, name: str, values: Any) -> None:
        """Joins values to a field, ``"heat.degrees"``, of entities that have the component, or to all fields, by a mapping;
        as the system declares in ``accumulates``. An entity may be named as often as one likes, and by any rows: what comes of
        it does not depend on the workers.

        >>> @hypostyle.system(reads="hit", accumulates={"damage": "sum"})
        ... def hits(rows, frame, patches):
        ...     patches.accumulate(rows.hit.target, "damage.points", rows.hit.points)
        """
        self._set(False, target_handles("accumulate", entities), name, values, "accumulate")

    def accumulate_rows(self, rows: Any, name: str, values: Any) -> None:
        """As :meth:`accumulate`, on the system's own rows."""
        self._set(True, target_rows("accumulate", rows, self._rows), name, values, "accumulate")

    def set_lists(self, entities: Any, component: str, lengths: Any, **fields: Any) -> None:
        """Sets the lists of entities that have the component: how many elements each of them gets, and the fields of all
        elements, one entity's after the other's. Fields that are left out have their defaults.

        >>> @hypostyle.system(reads="body", sets_lists="contact")
        ... def touch(rows, frame, patches):
        ...     patches.set_lists(rows.entities[:2], "contact", [2, 1], spring=[0.5, 0.25, 1.0])
        """
        self._set_lists("sets_lists", False, target_handles("set_lists", entities), component, lengths, fields)

    def set_lists_rows(self, rows: Any, component: str, lengths: Any, **fields: Any) -> None:
        """As :meth:`set_lists`, of the system's own rows."""
        self._set_lists("sets_lists", True, target_rows("set_lists", rows, self._rows), component, lengths, fields)

    def add_lists(self, entities: Any, component: str, lengths: Any, **fields: Any) -> None:
        """Gives entities a list, or sets it where present; with what :meth:`set_lists` takes."""
        self._set_lists("adds", False, target_handles("add_lists", entities), component, lengths, fields)

    def add_lists_rows(self, rows: Any, component: str, lengths: Any, **fields: Any) -> None:
        """As :meth:`add_lists`, to the system's own rows."""
        self._set_lists("adds", True, target_rows("add_lists", rows, self._rows), component, lengths, fields)

    def remove(self, entities: Any, component: str) -> None:
        """Takes a component from entities."""
        self._check("removes", component)
        self._job.patch("remove", component, False, target_handles("remove", entities).tobytes(), b"")

    def remove_rows(self, rows: Any, component: str) -> None:
        """As :meth:`remove`, from the system's own rows."""
        self._check("removes", component)
        self._job.patch("remove", component, True, target_rows("remove", rows, self._rows).tobytes(), b"")

    def despawn(self, entities: Any) -> None:
        """Ends the lives of entities."""
        self._check_despawns()
        self._job.patch("despawn", "", False, target_handles("despawn", entities).tobytes(), b"")

    def despawn_rows(self, rows: Any) -> None:
        """As :meth:`despawn`, of the entities of the system's own rows."""
        self._check_despawns()
        self._job.patch("despawn", "", True, target_rows("despawn", rows, self._rows).tobytes(), b"")

    def spawn(self, count: Optional[int] = None, /, **components: Any) -> Array:
        """Spawns entities, as :meth:`World.spawn` does, and returns their handles.

        The handles are reserved: other patches of this call may name them, also as values, and they may be written to
        own columns of handles; they become real ones when the patches are applied. In any later call they are stale.
        """
        for component in components:
            self._check("spawns", component)
        values = _values(self._layout, components)
        count = count_of(self._layout, components, _count(self._layout, values) if count is None else count)
        packed = _rows_of(self._layout, components, count, values)
        return np.frombuffer(self._job.spawn([*components], count, packed), np.uint64)

    def set_resource(self, name: str, /, **fields: Any) -> None:
        """Sets a resource: all of its fields. Where several calls set it, the last rows' counts."""
        declared = self._layout.resource(name)
        if name not in self._system.sets_resources:
            raise HypostyleError(f"to set resource `{name}`, declare it in `sets_resources`")
        self._job.set_resource(name, _pack_whole(declared, fields))

    def reduce(self, name: str, /, **fields: Any) -> None:
        """Joins the result of these rows, all fields of a resource, to that of other rows, as the system declares in
        ``reduces``. When all rows have been worked on, the resource has the value of all of them; its bits do not depend on
        the workers.

        >>> @hypostyle.system(reads="mass", reduces={"total": {"kg": "sum", "heaviest": "max"}})
        ... def weigh(rows, frame, patches):
        ...     patches.reduce("total", kg=rows.mass.kg.sum(), heaviest=rows.mass.kg.max())

        A join of one's own is a :class:`Reduction`.
        """
        declared = self._layout.resource(name)
        if name not in dict(self._system.reduces) and name not in dict(self._system.reductions):
            raise HypostyleError(f"to reduce rows to resource `{name}`, declare it in `reduces`")
        self._job.reduce(name, _pack_whole(declared, fields))

    def accumulate_resource(self, name: str, /, **fields: Any) -> None:
        """As :meth:`reduce`, of a resource that the system declares in ``accumulates_resource``: what all rows come to is
        joined to the value that is there."""
        declared = self._layout.resource(name)
        if name not in dict(self._system.accumulates_resource):
            raise HypostyleError(f"to accumulate on resource `{name}`, declare it in `accumulates_resource`")
        self._job.reduce(name, _pack_whole(declared, fields))

    def _set(self, own: bool, targets: Array, name: str, values: Any, what: str = "set") -> None:
        component, dot, _ = name.partition(".")
        if what == "set":
            self._check("sets", component)
        elif component not in dict(self._system.accumulates):
            self._layout.component(component)
            raise HypostyleError(f"the system does not declare that it accumulates on `{component}`: name it in `accumulates`")
        if not dot:
            given = _values(self._layout, {component: values})
            rows = _rows_of(self._layout, {component: values}, len(targets), given, complete=True)
            return self._job.patch(what, component, own, targets.tobytes(), rows)
        declared = self._layout.field(name)
        fitting = fit(name, values, declared)
        many = fitting.ndim > len(declared.shape)
        fitting = _broadcast(name, fitting, (len(targets), *declared.shape) if many else declared.shape)
        self._job.patch(what, name, own, targets.tobytes(), fitting.tobytes())

    def _add(self, own: bool, targets: Array, component: str, values: Optional[Mapping[str, Any]]) -> None:
        self._check("adds", component)
        given = {component: values or {}}
        rows = _rows_of(self._layout, given, len(targets), _values(self._layout, given))
        self._job.patch("add", component, own, targets.tobytes(), rows)

    def _set_lists(self, what: str, own: bool, targets: Array, component: str, lengths: Any, fields: Mapping[str, Any]) -> None:
        if not (what == "sets_lists" and own and component in self._system.builds_lists):
            self._check(what, component)
        counts = np.asarray(lengths)
        if counts.size and (counts.dtype.kind not in "iu" or counts.min() < 0 or counts.max() > 0xFFFF_FFFF):
            raise ValueError(f"lengths of lists are whole numbers from 0 to 4294967295; they are {counts.dtype}")
        counts = np.ascontiguousarray(np.broadcast_to(counts, targets.shape), np.uint32)
        given = {component: fields}
        total = int(counts.sum(dtype=np.uint64))
        elements = _rows_of(self._layout, given, total, _values(self._layout, given), each=True)
        self._job.set_lists(component, what == "adds", own, targets.tobytes(), counts.tobytes(), elements)

    def _check_despawns(self) -> None:
        if not self._system.despawns:
            raise HypostyleError("to despawn entities, declare `despawns=True`")

    def _check(self, what: str, component: str) -> None:
        self._layout.component(component)
        if component not in getattr(self._system, what):
            raise HypostyleError(f"the system does not declare that it {what} `{component}`: name it in `{what}`")


#: Names, each with fields and their joins.
Joins = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
Kernel = Union[Callable[[Job, Frame], None], Callable[[Job, Frame, Patches], None]]
_OfLayout = TypeVar("_OfLayout", bound=Job)


class _Makes(Protocol):
    """Makes a system of a function, whose rows may be those of a layout (:meth:`Layout.stubs`)."""

    def __call__(
        self, run: Union[Callable[[_OfLayout, Frame], None], Callable[[_OfLayout, Frame, Patches], None]]
    ) -> System: ...



@dataclass(frozen=True)
class System:
    """A function on rows of one table at a time, with what it reads and changes. Made by :func:`system`."""

    name: str
    run: Kernel
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    with_: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    #: Views of further entities: a name for each, and the components that they have.
    views: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: Components whose lists of the rows it reads; whose lists it sets; whose lists it makes anew in place.
    reads_lists: tuple[str, ...] = ()
    sets_lists: tuple[str, ...] = ()
    builds_lists: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    spawns: tuple[str, ...] = ()
    despawns: bool = False
    resources: tuple[str, ...] = ()
    sets_resources: tuple[str, ...] = ()
    reduces: Joins = ()
    #: Resources that are reduced to by a join of one's own.
    reductions: tuple[tuple[str, Reduction], ...] = ()
    accumulates_resource: Joins = ()
    accumulates: Joins = ()
    stage: str = "update"
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    payload: bytes = b""
    deadline: Optional[float] = None
    job_rows: Optional[int] = None
    sort_by: Optional[str] = None
    sort_then_by: Optional[str] = None
    sort_every: int = 1
    sort_leaves: tuple[str, ...] = ()
    run_if: tuple[tuple[str, str, float], ...] = ()
    every: Optional[tuple[int, int]] = None
    in_loop: Optional[str] = None
    rebuilds: tuple[str, ...] = ()
    #: Of a guard: what it looks at. It has no function.
    guard: Optional[tuple[str, str, tuple[tuple[str, float, float], ...], str, float, bool]] = None
    _wants_patches: bool = field(default=False, repr=False)

    def __call__(self, *arguments: Any) -> None:
        self.run(*arguments)

    def named(self, name: str, **changes: Any) -> System:
        """The same under another name, perhaps with another ``payload``, ``stage`` or order. To be kept at the top of a
        module, where worker processes are to find it."""
        return replace(self, name=name, **changes)

    @property
    def _call(self) -> _Caller:
        return _Caller(self)

    @property
    def _reduces_own(self) -> list[tuple[str, bytes, Reduction]]:
        return [(name, each.packed, each) for name, each in self.reductions]


class _Caller:
    """What the native half calls with each job of a system."""

    __slots__ = ("_system", "_layout", "_rows")

    def __init__(self, made: System) -> None:
        self._system = made
        self._layout: Optional[Layout] = None
        #: The class of its rows.
        self._rows: type[Job] = Job

    def _look(self, layout: Layout) -> Layout:
        made = self._system
        kinds = {name: JobComponent._of(layout.component(name), name in made.writes) for name in (*made.reads, *made.writes)}
        self._rows = _with_properties(Job, kinds, _component, _system=made, _layout=layout, _kinds=kinds)
        # last: other threads go by it
        self._layout = layout
        return layout

    def __call__(self, job: _native.Job) -> None:
        layout = self._layout or self._look(layout_of(job.layout()))
        made = self._system
        rows = self._rows(job)
        try:
            if made._wants_patches:
                made.run(rows, Frame(job, layout), Patches(made, layout, job, len(rows)))  # type: ignore[call-arg]
            else:
                made.run(rows, Frame(job, layout))  # type: ignore[call-arg]
        finally:
            try:
                rows._end()
            except KeyboardInterrupt:
                # it came in the middle: what is still held must be let go of all the same
                rows._end()
                raise


def _forget(failure: Optional[BaseException]) -> None:
    """What the native half calls with what came out of a job, an interrupt at the job's very end too: else the failure's
    frames would hold the arrays of the rows."""
    seen: set[int] = set()
    while failure is not None and id(failure) not in seen:
        seen.add(id(failure))
        traceback.clear_frames(failure.__traceback__)
        failure = failure.__cause__ or failure.__context__


def _no_function(*_: Any) -> None:
    raise HypostyleError("a guard has no function to call: give it to a simulation")


def guard_finite(component: str, *, name: Optional[str] = None, **options: Any) -> System:
    """A guard: a system that fails its frame (:class:`FrameError`) where a floating-point number of a component is infinite or
    not a number. The error names entity, field, row and frame of the first one, and the world stands at its newest
    generation. Listed after the systems whose values it looks at, it sees what they wrote in the same frame. ``options`` are
    those of :func:`system` that say when it runs: ``stage``, ``before``, ``after``, ``every``, ``run_if``.
    """
    return _guard(name or f"{component} is finite", ("finite", component, (), "", 0.0, False), options)


def guard_within(
    component: str, bounds: Mapping[str, tuple[float, float]], *, name: Optional[str] = None, **options: Any
) -> System:
    """A guard: fields of a component lie within bounds, ``{"x": (0, 10), "at[2]": (-1, 1)}``. See :func:`guard_finite`."""
    given = tuple((field, float(least), float(most)) for field, (least, most) in bounds.items())
    return _guard(name or f"{component} is within bounds", ("within", component, given, "", 0.0, False), options)


def guard_conserved(
    quantity: str,
    reference: str,
    *,
    relative: Optional[float] = None,
    absolute: Optional[float] = None,
    name: Optional[str] = None,
    **options: Any,
) -> System:
    """A guard: a number of a resource, ``"thermo.energy"``, stays what it was, but for a part of it (``relative``) or so much
    (``absolute``). ``reference`` is a number of another resource that says what it was; where that is NaN, the guard sets it to
    what it finds. See :func:`guard_finite`.
    """
    if (relative is None) == (absolute is None):
        raise ValueError("give `relative` or `absolute`: by how much the quantity may differ")
    most = float(relative if relative is not None else absolute)  # type: ignore[arg-type]
    given = ("conserved", quantity, (), reference, most, relative is not None)
    return _guard(name or f"{quantity} is conserved", given, options)


def relation_cascade(relation: str, *, name: Optional[str] = None, **options: Any) -> System:
    """A system that ends every entity whose handle in a field, ``"moon.planet"``, names one that is gone. Entities that are led
    to by those go with its next run: in the next frame, or in the next pass of a :class:`Loop`. ``options`` are as of
    :func:`guard_finite`.
    """
    return _guard(name or f"{relation} cascades", ("cascade", relation, (), "", 0.0, False), options)


def relation_clear(relation: str, *, name: Optional[str] = None, **options: Any) -> System:
    """A system that makes handles in a field the null handle where they name an entity that is gone. See
    :func:`relation_cascade`."""
    return _guard(name or f"{relation} forgets", ("clear", relation, (), "", 0.0, False), options)


def ends_events(component: str, *, name: Optional[str] = None, **options: Any) -> System:
    """A system that ends every entity with a component, in the stage ``cleanup``: those are events, which one system spawns and
    others of the same frame have as their rows."""
    return _guard(name or f"{component} ends", ("events", component, (), "", 0.0, False), {"stage": "cleanup", **options})


_GUARD_PLACE = "guard "


def guard_place(made: System) -> str:
    """A guard as an argument of a worker process, which makes it again: it has no function that would have to be found."""
    return _GUARD_PLACE + json.dumps([made.name, made.guard, made.stage, made.job_rows])


def guard_at(place: str) -> Optional[System]:
    """The guard that :func:`guard_place` has written down, if that is one."""
    if not place.startswith(_GUARD_PLACE):
        return None
    name, (kind, what, bounds, *rest), stage, job_rows = json.loads(place[len(_GUARD_PLACE) :])
    given = (kind, what, tuple(tuple(each) for each in bounds), *rest)
    return _guard(name, given, {"stage": stage, "job_rows": job_rows})


def _guard(name: str, given: tuple[str, str, tuple[tuple[str, float, float], ...], str, float, bool], options: dict[str, Any]) -> System:
    known = ("stage", "before", "after", "every", "run_if", "in_loop", "job_rows")
    for option in options:
        if option not in known:
            raise TypeError(f"a guard has no option `{option}`; it has {', '.join(known)}")
    made = system(name=name, reads="_", **options)(lambda rows, frame: None)
    return replace(made, run=_no_function, reads=(), guard=given)


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def system(
    *,
    reads: Names = (),
    writes: Names = (),
    with_: Names = (),
    without: Names = (),
    neighbours: Names = (),
    views: Optional[Mapping[str, Names]] = None,
    reads_lists: Names = (),
    sets_lists: Names = (),
    builds_lists: Names = (),
    sets: Names = (),
    adds: Names = (),
    removes: Names = (),
    spawns: Names = (),
    despawns: bool = False,
    resources: Names = (),
    sets_resources: Names = (),
    reduces: Optional[Mapping[str, Union[Mapping[str, str], Reduction]]] = None,
    accumulates: Optional[Mapping[str, Union[str, Mapping[str, str]]]] = None,
    accumulates_resource: Optional[Mapping[str, Mapping[str, str]]] = None,
    name: Optional[str] = None,
    stage: str = "update",
    before: Names = (),
    after: Names = (),
    payload: bytes = b"",
    deadline: Optional[float] = None,
    job_rows: Optional[int] = None,
    sort_by: Optional[str] = None,
    sort_then_by: Optional[str] = None,
    sort_every: int = 1,
    sort_leaves: Names = (),
    run_if: Union[Condition, Sequence[Condition]] = (),
    every: Union[int, tuple[int, int], None] = None,
    in_loop: Optional[str] = None,
    rebuilds: Names = (),
) -> _Makes:
    """Makes a system of a function.

    >>> @hypostyle.system(reads=["velocity"], writes=["position"])
    ... def integrate(rows, frame):
    ...     rows.position.x += rows.velocity.x * frame.dt

    It is called with some of the rows of one table (``job_rows`` at most; an 8th of the table, but
    from 8,192 to 131,072, where nothing else is said), in any
    process and in any order, as often as it takes: with those of the entities that have all components of ``reads``,
    ``writes`` and ``with_``, and none of those ``without``. It may change its own rows of the components that it
    ``writes``, and nothing else; it must not keep the arrays that it gets, and what it computes must depend on its
    arguments alone. Then the result is the same for any workers. Values that it assigns must fit their fields
    (:class:`FieldValueError`); what numpy does to the arrays themselves, ``rows.hits.count[0] = 300``, is by numpy's rules.

    ``views`` gives names to what it sees of other entities beside these, ``views={"hunters": "shark", "food": ("fish", "small")}``:
    :meth:`Job.view`. ``reads_lists`` names components that are lists, of which it reads those of its rows (:meth:`Job.list`), ``sets_lists`` those
    whose lists it sets (:meth:`Patches.set_lists`), and ``builds_lists`` one scratch component whose lists it makes anew, of all
    rows and in place: :meth:`Patches.set_lists_rows`, once for each row, and nothing else.

    A function that takes three arguments gets :class:`Patches` as the third: for what it declares in ``sets``, ``adds``,
    ``removes``, ``spawns`` and ``despawns``. With ``neighbours`` it sees the whole columns of these components
    (:attr:`Job.neighbours`), with ``resources`` values that there are once (:meth:`Frame.resource`). ``reduces`` names
    resources that all rows are reduced to (:meth:`Patches.reduce`), and each field's join: ``"sum"``, ``"min"``, ``"max"`` or
    ``"or"``, or one of your own (:class:`Reduction`); ``accumulates_resource`` those that what rows come to is joined to. ``accumulates`` names components of any entity
    on which there are deposits (:meth:`Patches.accumulate`), each with a join, or with one for each of some fields.

    ``stage``, ``before`` and ``after`` order it where what is read and written does not; ``deadline`` is how many seconds
    one call may take in a worker process before that is given up. ``sort_by`` names a column, ``"cell.key"``, by which the rows
    of every table that it matches are sorted afterwards, in frames whose number ``sort_every`` divides, and those of equal keys
    by the column ``sort_then_by``; values of the components ``sort_leaves`` stay where they are, as what is made anew from the
    rows may (:mod:`hypostyle.space`).

    A system that names no component runs once in each frame, rows or none: for what is computed of resources.

    It runs in every frame, or where a number of a resource says so, ``run_if=("oven.kelvin", ">=", 300)`` (or several of
    these; ``run_if="oven.on"``: it is not 0), as its batch is due; in every n-th frame, ``every=10``, or from a frame on,
    ``every=(10, 1)``; or several times in each frame, ``in_loop="solve"`` (:class:`Loop`). One that ``rebuilds`` scratch
    components also runs where they are as new: in a world's first frame, and after a resume or a frame that failed.
    """

    given = reduces or {}
    own = tuple((resource, each) for resource, each in given.items() if isinstance(each, Reduction))
    joins = _joins("reduces", {resource: each for resource, each in given.items() if not isinstance(each, Reduction)})
    joins_onto = _joins("accumulates_resource", accumulates_resource or {})
    deposits = {name: {"": each} if isinstance(each, str) else each for name, each in (accumulates or {}).items()}
    joins_of_deposits = _joins("accumulates", deposits)

    def make(run: Kernel) -> System:
        if inspect.iscoroutinefunction(run) or inspect.isgeneratorfunction(run) or inspect.isasyncgenfunction(run):
            kind = "a generator" if inspect.isgeneratorfunction(run) else "`async`"
            raise TypeError(f"system `{run.__name__}` is {kind}, which would never run: write it as a plain `def` that returns")
        called = name or str(getattr(run, "__name__", "system"))
        made = System(
            name=called,
            run=run,
            reads=_names(reads),
            writes=_names(writes),
            with_=_names(with_),
            without=_names(without),
            neighbours=_names(neighbours),
            views=tuple((each, _names(components)) for each, components in (views or {}).items()),
            reads_lists=_names(reads_lists),
            sets_lists=_names(sets_lists),
            builds_lists=_names(builds_lists),
            sets=_names(sets),
            adds=_names(adds),
            removes=_names(removes),
            spawns=_names(spawns),
            despawns=despawns,
            resources=_names(resources),
            sets_resources=_names(sets_resources),
            reduces=joins,
            reductions=own,
            accumulates_resource=joins_onto,
            accumulates=joins_of_deposits,
            stage=stage,
            before=_names(before),
            after=_names(after),
            payload=payload_of(payload),
            deadline=deadline,
            job_rows=job_rows,
            sort_by=sort_by,
            sort_then_by=sort_then_by,
            sort_every=integer_of("sort_every (frames)", sort_every, 1),
            sort_leaves=_names(sort_leaves),
            run_if=_conditions(run_if),
            every=(every, every) if isinstance(every, int) else every,
            in_loop=in_loop,
            rebuilds=_names(rebuilds),
            _wants_patches=_takes(run) >= 3,
        )
        twice = set(made.reads) & set(made.writes)
        if twice:
            raise ValueError(f"system `{called}` declares {', '.join(sorted(twice))} in reads and in writes; writes will do")
        changes: Any = made.sets or made.adds or made.removes or made.spawns or made.despawns or made.sets_resources or made.reduces
        changes = changes or made.accumulates or made.accumulates_resource or made.reductions
        changes = changes or made.sets_lists or made.builds_lists
        if not (made.reads or made.writes or made.with_ or made.reads_lists):
            if not (made.resources or changes):
                raise ValueError(f"system `{called}` declares nothing that it reads or writes")
            rows = [what for what in ("without", "neighbours", "sort_by", "job_rows") if getattr(made, what)]
            if rows:
                raise ValueError(f"system `{called}` has no rows, as it names no component that they have; and {rows[0]} needs them")
        if changes and not made._wants_patches:
            raise ValueError(f"system `{called}` declares patches: its function takes a third argument, which makes them")
        return made

    # what a function's rows are called does not change what it gets
    return cast(_Makes, make)


def _takes(run: Kernel) -> int:
    """How many positional arguments a function takes."""
    try:
        parameters = inspect.signature(run).parameters.values()
    except (TypeError, ValueError):
        return 2
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return 3
    return sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)


def _broadcast(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"`{name}` has values of shape {array.shape}; {shape} is wanted") from None


def _values(layout: Layout, components: Mapping[str, Any]) -> dict[str, Array]:
    """The values of spawned components, by whole name."""
    values: dict[str, Array] = {}
    for name, fields in components.items():
        if name == "count" and name not in layout.components:
            raise TypeError("the number of entities stands first and without a name: `spawn(5, mark=True)`")
        declared = layout.component(name)
        if fields is True:
            fields = {}
        if not isinstance(fields, Mapping):
            raise TypeError(f"`{name}` is a mapping of fields to values, or True; not {type(fields).__name__}")
        for each, given in fields.items():
            values[f"{name}.{each}"] = fit(f"{name}.{each}", given, declared.field(each))
    return values


def _count(layout: Layout, values: Mapping[str, Array]) -> int:
    """How many entities there are, as the first array tells."""
    for name, array in values.items():
        if array.ndim > len(layout.field(name).shape):
            return len(array)
    raise ValueError("give `count`: no array tells how many entities there are")


def _rows_of(
    layout: Layout,
    components: Mapping[str, Any],
    count: int,
    values: Mapping[str, Array],
    complete: bool = False,
    each: bool = False,
) -> bytes:
    """Packed values of components, entity after entity; one where all entities have the same, but with ``each``."""
    many = each or any(array.ndim > len(layout.field(name).shape) for name, array in values.items())
    kinds: list[tuple[str, np.dtype[Any], tuple[int, ...]]] = []
    for name in components:
        if not each and layout.component(name).storage.endswith("list"):
            # a new list is empty
            kinds.append((name, np.dtype(np.uint64), ()))
            continue
        for one in layout.component(name).fields:
            kinds.append((f"{name}.{one.name}", one.dtype, one.shape))
            if complete and f"{name}.{one.name}" not in values:
                raise ValueError(f"`{name}.{one.name}` is missing: give all fields of `{name}`, or set them by one")
    rows = np.empty(count if many else 1, np.dtype(kinds))
    for name, _, shape in kinds:
        array = values.get(name)
        if "." not in name:
            rows[name] = 0
        elif array is None:
            found = layout.field(name)
            rows[name] = np.frombuffer(found.default_bytes, found.dtype).reshape(shape)
        else:
            rows[name] = _broadcast(name, array, (len(rows), *shape))
    return rows.tobytes()


Condition = Union[str, tuple[str, str, float]]


def _conditions(given: Union[Condition, Sequence[Condition]]) -> tuple[tuple[str, str, float], ...]:
    one = isinstance(given, str) or (len(given) == 3 and isinstance(given[0], str) and given[1] in _SIGNS)
    found = []
    every: Any = (given,) if one else given
    for each in every:
        if isinstance(each, str):
            each = (each, "!=", 0)
        if not (isinstance(each, tuple) and len(each) == 3 and each[1] in _SIGNS):
            raise ValueError(f"{each!r} is no condition: write 'resource.field', or ('resource.field', '>=', 2)")
        name, sign, number = each
        found.append((str(name), str(sign), float(number)))
    return tuple(found)


_SIGNS = ("==", "!=", "<", "<=", ">", ">=")


def _joins(what: str, given: Mapping[str, Any]) -> Joins:
    for owner, fields in given.items():
        if not isinstance(fields, Mapping):
            raise TypeError(f'`{what}` maps each field of `{owner}` to its join, such as {{"{owner}": {{"field": "sum"}}}}')
        for name, join in fields.items():
            if join not in ("sum", "min", "max", "or"):
                called = f"{owner}.{name}" if name else owner
                raise ValueError(f"`{called}` is joined by {join!r}; the joins are 'sum', 'min', 'max' and 'or'")
    return tuple((owner, tuple(fields.items())) for owner, fields in given.items())


def _pack_whole(declared: ResourceLayout, fields: Mapping[str, Any]) -> bytes:
    missing = {each.name for each in declared.fields} - set(fields)
    if missing:
        raise ValueError(f"resource `{declared.name}` has more fields: {', '.join(sorted(missing))}")
    return _pack(declared, None, fields)


def _pack(declared: ResourceLayout, before: Optional[bytes], fields: Mapping[str, Any]) -> bytes:
    known = {each.name for each in declared.fields}
    for name in fields:
        if name not in known:
            raise UnknownNameError(_unknown("field", f"{declared.name}.{name}", sorted(known)))
    packed = bytearray(before if before is not None else b"".join(each.default_bytes for each in declared.fields))
    at = 0
    for each in declared.fields:
        if each.name in fields:
            name = f"{declared.name}.{each.name}"
            value = _broadcast(name, fit(name, fields[each.name], each), each.shape)
            packed[at : at + each.nbytes] = value.tobytes()
        at += each.nbytes
    return bytes(packed)
