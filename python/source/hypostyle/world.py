"""Worlds made in Python: filled from arrays, stepped by functions on arrays, published for any reader."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, Iterable, Mapping, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _native
from .errors import AbsentError, FrameError, HypostyleError, UnknownNameError
from .layout import ComponentLayout, Layout, ResourceLayout, _unknown, layout_of
from .snapshot import Resource, Snapshot

__all__ = ["Frame", "System", "Work", "World", "WorkComponent", "system"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """The frame that a system runs in."""

    #: Its number, from 1 on.
    frame: int
    #: Simulated time at its beginning.
    time: float
    #: Simulated time that it takes.
    dt: float


class WorkComponent:
    """A component in a system's rows: its fields are arrays in place, attributes or items.

    Fields of components that the system writes can be changed in place (``position.x += 1``) or assigned
    (``position.x = values``). Rows that are left alone keep their values.
    """

    __slots__ = ("_declared", "_arrays", "_writes")
    _declared: ComponentLayout
    _arrays: dict[str, Array]
    _writes: bool

    def __init__(self, declared: ComponentLayout, arrays: dict[str, Array], writes: bool) -> None:
        object.__setattr__(self, "_declared", declared)
        object.__setattr__(self, "_arrays", arrays)
        object.__setattr__(self, "_writes", writes)

    def __getitem__(self, field: str) -> Array:
        try:
            return self._arrays[field]
        except KeyError:
            self._declared.field(field)
            raise HypostyleError("a system's rows are of no use after it has ended") from None

    def __setitem__(self, field: str, values: Any) -> None:
        array = self[field]
        if not self._writes:
            name = self._declared.name
            raise HypostyleError(f"the system reads `{name}`: to change `{name}.{field}`, declare it in `writes`")
        # `position.x += 1` has changed the array by now, and assigns it to where it is
        if values is not array:
            array[...] = values

    def __getattr__(self, field: str) -> Array:
        if field.startswith("__"):
            raise AttributeError(field)
        return self[field]

    def __setattr__(self, field: str, values: Any) -> None:
        self[field] = values

    def __dir__(self) -> list[str]:
        return [f.name for f in self._declared.fields]


class Work:
    """The rows of one table that a system works on. Components are attributes, or items: ``rows.position.x``."""

    __slots__ = ("_world", "_table", "_rows", "_components")

    def __init__(self, world: World, table: int, rows: int, components: dict[str, WorkComponent]) -> None:
        self._world = world
        self._table = table
        self._rows = rows
        self._components = components

    def __len__(self) -> int:
        return self._rows

    @property
    def entities(self) -> Array:
        """The handles of the rows' entities, a copy."""
        return np.asarray(self._world._native.entities(self._table)).copy()

    def present(self, component: str) -> npt.NDArray[np.bool_]:
        """Which rows have a component. Rows without a toggle component hold leftovers in its fields."""
        self._world.layout.component(component)
        found = self._world._native.presence(self._table, component)
        if isinstance(found, bool):
            return np.broadcast_to(np.bool_(found), (self._rows,))
        bits = np.frombuffer(found, np.uint8)
        return np.unpackbits(bits, count=self._rows, bitorder="little").view(np.bool_)

    def __getitem__(self, component: str) -> WorkComponent:
        try:
            return self._components[component]
        except KeyError:
            self._world.layout.component(component)
            declared = ", ".join(self._components) or "nothing"
            raise AbsentError(f"the system declares {declared}, and not `{component}`") from None

    def __getattr__(self, component: str) -> WorkComponent:
        if component.startswith("_"):
            raise AttributeError(component)
        return self[component]


@dataclass(frozen=True)
class System:
    """A function on the rows of one table at a time, with what it reads and writes. Made by :func:`system`."""

    name: str
    run: Callable[[Work, Frame], None]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    without: tuple[str, ...]

    def __call__(self, rows: Work, frame: Frame) -> None:
        self.run(rows, frame)


def _names(names: Union[str, Iterable[str]]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def system(
    *,
    reads: Union[str, Iterable[str]] = (),
    writes: Union[str, Iterable[str]] = (),
    without: Union[str, Iterable[str]] = (),
    name: Optional[str] = None,
) -> Callable[[Callable[[Work, Frame], None]], System]:
    """Makes a system of a function.

    >>> @hypostyle.system(reads=["velocity"], writes=["position"])
    ... def integrate(rows, frame):
    ...     rows.position.x += rows.velocity.x * frame.dt

    It runs once for each table whose entities have all components that it reads or writes, and none of those
    ``without``. It must not keep the arrays that it gets.
    """

    def make(run: Callable[[Work, Frame], None]) -> System:
        called = name or str(getattr(run, "__name__", "system"))
        made = System(called, run, _names(reads), _names(writes), _names(without))
        twice = set(made.reads) & set(made.writes)
        if twice:
            raise ValueError(f"system `{called}` declares {', '.join(sorted(twice))} in reads and in writes; writes will do")
        if not made.reads and not made.writes:
            raise ValueError(f"system `{called}` declares nothing that it reads or writes")
        return made

    return make


class World:
    """A world of this process: entities with components, from a layout in TOML.

    With a ``region``, a name or a path, its published states can be read by any process; without, by this one.
    """

    def __init__(
        self, layout: str, region: Union[str, os.PathLike[str], None] = None, *, keep: bool = False
    ) -> None:
        self._start(_native.World(layout, None if region is None else os.fspath(region), keep))

    @classmethod
    def resume(cls, region: Union[str, os.PathLike[str]], *, keep: bool = False) -> World:
        """Takes over a region whose writer is gone, and goes on from its newest generation."""
        world = cls.__new__(cls)
        world._start(_native.World.resume(os.fspath(region), keep))
        return world

    def _start(self, native: _native.World) -> None:
        self._native = native
        self._layout = layout_of(native.layout())
        self._systems: list[System] = []
        self._running: Optional[str] = None
        self._failed = False

    @property
    def layout(self) -> Layout:
        """The world's declaration."""
        return self._layout

    @property
    def region(self) -> str:
        """The region's name or path."""
        return self._native.name

    @property
    def frame(self) -> int:
        """Frames run so far."""
        return self._native.state()[0]

    @property
    def time(self) -> float:
        """Simulated time."""
        return self._native.state()[1]

    @property
    def generation(self) -> int:
        """The newest published generation; 0: none yet."""
        return self._native.state()[2]

    def __len__(self) -> int:
        return self._native.state()[3]

    def __bool__(self) -> bool:
        return True

    def spawn(self, count: Optional[int] = None, **components: Any) -> Array:
        """Spawns entities in bulk, and returns their handles (uint64).

        >>> world.spawn(position={"x": xs, "y": 0.0}, velocity={}, hot=True)

        A component is a mapping of its fields to arrays, one value for each entity, or to single values for all of
        them; fields that are left out have the layout's defaults. ``count`` is needed where no array tells it.
        """
        self._check()
        values: dict[str, Array] = {}
        for name, fields in components.items():
            declared = self.layout.component(name)
            if fields is True:
                fields = {}
            if not isinstance(fields, Mapping):
                raise TypeError(f"`{name}` is a mapping of fields to values, or True; not {type(fields).__name__}")
            for field, given in fields.items():
                values[f"{name}.{field}"] = _cast(f"{name}.{field}", given, declared.field(field).dtype)
        lengths = {name: len(v) for name, v in values.items() if v.ndim > len(self.layout.field(name).shape)}
        if count is None:
            if not lengths:
                raise ValueError("give `count`: no array tells how many entities there are")
            count = next(iter(lengths.values()))
        columns = []
        for name, array in values.items():
            shape = (count, *self.layout.field(name).shape)
            try:
                whole = np.broadcast_to(array, shape)
            except ValueError:
                raise ValueError(f"`{name}` has values of shape {array.shape}; {shape} is wanted") from None
            columns.append((name, whole.tobytes()))
        return np.frombuffer(self._native.spawn(count, list(components), columns), np.uint64)

    def despawn(self, entities: npt.ArrayLike) -> None:
        """Ends the lives of entities. All of them must live, else nothing happens."""
        self._check()
        self._native.despawn(np.unique(np.asarray(entities, np.uint64)).tobytes())

    def is_alive(self, entity: int) -> bool:
        """Whether an entity lives."""
        return self._native.is_alive(int(entity))

    def resource(self, name: str) -> Resource:
        """A resource's value."""
        declared = self.layout.resource(name)
        packed = self._native.resource(name)
        if packed is None:
            raise AbsentError(f"resource `{name}` has no value yet: set it")
        return Resource(declared, packed)

    def set_resource(self, name: str, **fields: Any) -> None:
        """Sets fields of a resource. Others keep their values, or get the layout's defaults."""
        self._check()
        declared = self.layout.resource(name)
        known = {field.name for field in declared.fields}
        for field in fields:
            if field not in known:
                raise UnknownNameError(_unknown("field", f"{name}.{field}", sorted(known)))
        self._native.set_resource(name, _pack(declared, self._native.resource(name), fields))

    def add_system(self, added: System) -> System:
        """Adds a system. Each frame runs the systems in this order; each sees what those before it have written."""
        for component in (*added.reads, *added.writes, *added.without):
            self.layout.component(component)
        if any(known.name == added.name for known in self._systems):
            raise ValueError(f"there is a system `{added.name}` already")
        self._systems.append(added)
        return added

    def step(self, dt: float, *, publish: bool = True) -> Optional[int]:
        """Runs a frame: every system on every table that fits it. Returns the generation that it published, if any.

        Where a system raises, the world goes back to its newest generation, and :class:`FrameError` names the system.
        """
        self._check()
        before = self._native.state()
        if before[2] == 0:
            # something to go back to
            self._native.publish()
        self._native.begin_frame()
        frame = Frame(before[0] + 1, before[1], float(dt))
        try:
            for each in self._systems:
                self._running = each.name
                self._run(each, frame)
        except BaseException as failure:
            # else the failure's frames would hold the arrays of the rows
            traceback.clear_frames(failure.__traceback__)
            running, self._running, self._failed = self._running, None, True
            if not self._native.lent():
                self._go_back()
            if not isinstance(failure, Exception):
                raise
            raise FrameError(
                f"system `{running}` failed in frame {frame.frame}: {failure}; the world goes back to generation "
                f"{self._native.state()[2]}"
            ) from failure
        self._running = None
        self._native.end_frame(float(dt))
        return self._native.publish() if publish else None

    def _go_back(self) -> None:
        self._native.go_back()
        self._failed = False

    def _run(self, each: System, frame: Frame) -> None:
        needed = {*each.reads, *each.writes}
        deciding = {name for name in each.without if self.layout.components[name].storage == "table"}
        for table, (rows, components) in enumerate(self._native.tables()):
            if rows == 0 or not needed <= set(components) or deciding & set(components):
                continue
            work = {name: self._borrow(table, name, name in each.writes) for name in (*each.reads, *each.writes)}
            try:
                each.run(Work(self, table, rows, work), frame)
            finally:
                for part in work.values():
                    part._arrays.clear()
            if self._native.lent():
                raise HypostyleError("it kept an array of its rows, or a part of one; keep a copy instead")

    def _borrow(self, table: int, name: str, writes: bool) -> WorkComponent:
        declared = self.layout.components[name]
        columns = {f.name: self._native.column(table, f"{name}.{f.name}", writes) for f in declared.fields}
        return WorkComponent(declared, {field: np.asarray(memory) for field, memory in columns.items()}, writes)

    def publish(self) -> Optional[int]:
        """Publishes the world as it is; the generation, or None where readers hold all memory."""
        self._check()
        return self._native.publish()

    def pin(self) -> Snapshot:
        """Pins the newest published generation, as :meth:`Region.pin` does."""
        return Snapshot(self._native.pin(), self._layout)

    def close(self) -> None:
        """Closes the world, and removes its region unless it is to be kept. Snapshots stay as they are."""
        if self._running is not None:
            self._check()
        self._native.close()

    def _check(self) -> None:
        if self._running is not None:
            raise HypostyleError(f"system `{self._running}` is running: change the world between frames")
        if self._failed:
            self._go_back()

    def __enter__(self) -> World:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


def _cast(name: str, given: Any, dtype: np.dtype[Any]) -> Array:
    values = np.asarray(given)
    if values.dtype != dtype and not np.can_cast(values.dtype, dtype, "same_kind"):
        # plain numbers of Python, and integers that fit, are as good
        cast = values.astype(dtype)
        if values.dtype.kind not in "iub" or not np.array_equal(cast, values):
            raise ValueError(f"`{name}` holds {dtype}: values of {values.dtype} do not fit")
        return cast
    return values.astype(dtype, copy=False)


def _pack(declared: ResourceLayout, before: Optional[bytes], fields: Mapping[str, Any]) -> bytes:
    packed = bytearray(before if before is not None else b"".join(field.default_bytes for field in declared.fields))
    at = 0
    for field in declared.fields:
        if field.name in fields:
            name = f"{declared.name}.{field.name}"
            value = np.broadcast_to(_cast(name, fields[field.name], field.dtype), field.shape)
            packed[at : at + field.nbytes] = value.tobytes()
        at += field.nbytes
    return bytes(packed)
