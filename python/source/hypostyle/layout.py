"""What the bytes mean: components, fields and resources of a world."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Union

import numpy as np

from . import _native
from .errors import LayoutError, NameCollisionWarning, UnknownNameError

__all__ = ["ComponentLayout", "FieldLayout", "Layout", "ResourceLayout"]


@dataclass(frozen=True)
class FieldLayout:
    """A field of a component or a resource."""

    name: str
    #: The scalar type as layout files name it: ``f32``, ``bool``, ``entity``, ...
    scalar: str
    #: The dtype of one value, without the array's length.
    dtype: np.dtype[Any] = field(repr=False)
    #: Values in each row; 0: a single one.
    array_len: int
    #: The packed bytes that a row has where no value is given.
    default_bytes: bytes = field(repr=False)
    #: The unit of its numbers, for people: ``m/s``; empty: none is told.
    unit: str = ""
    #: What it is, in a few words; empty: nothing is told.
    description: str = ""

    @property
    def type(self) -> str:
        """The type as layout files name it: ``f32``, ``[f32; 3]``."""
        return f"[{self.scalar}; {self.array_len}]" if self.array_len else self.scalar

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's value."""
        return (self.array_len,) if self.array_len else ()

    @property
    def nbytes(self) -> int:
        """Bytes of a row."""
        return int(self.dtype.itemsize) * (self.array_len or 1)

    @property
    def default(self) -> Any:
        """The value that a row has where none is given."""
        return self.value_of(self.default_bytes)

    def value_of(self, packed: bytes) -> Any:
        """The value of a row's bytes: a numpy scalar, or an array."""
        values = np.frombuffer(packed, self.dtype)
        return values if self.array_len else values[0]


@dataclass(frozen=True)
class ComponentLayout:
    """A component: a named set of fields. Without fields it is a tag."""

    name: str
    #: ``table``: having it decides the entity's table. ``toggle``: one bit per row says whether the row has it.
    #: ``scratch``: as ``table``, but its values are in memory alone: snapshots have none of them. ``list``: any number of
    #: elements per entity, which have the fields (:meth:`Table.list`); ``scratch_list``: the same in memory alone.
    storage: str
    #: Whether the rows that the newest frame changed are known exactly.
    track_changes: bool
    fields: tuple[FieldLayout, ...]

    @property
    def published_fields(self) -> tuple[FieldLayout, ...]:
        """The fields that are columns of a snapshot's rows: none of a scratch component, none of a list."""
        return self.fields if self.storage in ("table", "toggle") else ()

    def field(self, name: str) -> FieldLayout:
        """A field by name."""
        for declared in self.fields:
            if declared.name == name:
                return declared
        raise UnknownNameError(_unknown("field", f"{self.name}.{name}", [f"{self.name}.{f.name}" for f in self.fields]))


@dataclass(frozen=True)
class ResourceLayout:
    """A resource: a named single value."""

    name: str
    fields: tuple[FieldLayout, ...]


@dataclass(frozen=True)
class Layout:
    """A world's declaration. ``print(layout)`` shows it as a layout file does."""

    name: str
    #: Equal hashes: the same bytes mean the same.
    hash: int
    #: The most bytes the world may take.
    bytes_max: int
    #: The components by name, in order.
    components: Mapping[str, ComponentLayout]
    #: The resources by name, in order.
    resources: Mapping[str, ResourceLayout]
    _toml: str = field(repr=False, compare=False)

    def component(self, name: str) -> ComponentLayout:
        """A component by name."""
        try:
            return self.components[name]
        except KeyError:
            raise UnknownNameError(_unknown("component", name, self.components)) from None

    def resource(self, name: str) -> ResourceLayout:
        """A resource by name."""
        try:
            return self.resources[name]
        except KeyError:
            raise UnknownNameError(_unknown("resource", name, self.resources)) from None

    def field(self, name: str) -> FieldLayout:
        """A component's field by its whole name, ``position.x``."""
        component, _, rest = name.partition(".")
        return self.component(component).field(rest)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns that snapshots have: ``position.x``, ..."""
        return tuple(f"{c.name}.{f.name}" for c in self.components.values() for f in c.published_fields)

    def to_toml(self) -> str:
        """The declaration as a layout file."""
        return self._toml

    def stubs(self) -> str:
        """Types of this layout for editors and type checkers, as the text of a ``.pyi`` file.

        Its ``Snapshot`` knows the components and columns by name, its ``Rows`` is what systems get::

            if TYPE_CHECKING:
                from demo_types import Rows, Snapshot
        """
        from .stubs import stubs_of

        return stubs_of(self)

    def __str__(self) -> str:
        return self._toml

    def __iter__(self) -> Iterator[ComponentLayout]:
        return iter(self.components.values())


def taken_names(layout: Layout) -> list[str]:
    """What in a layout has the name of an attribute of this package, each with how it is reached all the same."""
    from .snapshot import Chunk, Component, Resource, Rows
    from .system import NeighbourTable, Job

    def public(*kinds: type) -> set[str]:
        return {name for kind in kinds for name in (*dir(kind), *getattr(kind, "__annotations__", ())) if name[0] != "_"}

    of_rows, of_fields, of_values = public(Job, NeighbourTable), public(Component, Chunk, Rows), public(Resource)
    found = [f'component `{name}`, reached by rows["{name}"]' for name in layout.components if name in of_rows]
    for owners, names in ((layout.components, of_fields), (layout.resources, of_values)):
        for owner in owners.values():
            found += [
                f'field `{owner.name}.{f.name}`, reached by ["{f.name}"]' for f in owner.fields if f.name in names
            ]
    return found


def check_names(layout: Layout) -> None:
    """Refuses names that are attributes of this package, where the layout is Python's own."""
    found = taken_names(layout)
    if found:
        names = ", ".join(each.split(",")[0] for each in found)
        raise LayoutError(f"{names}: this package has attributes of these names, which would hide them; choose others")


def warn_of_names(layout: Layout) -> None:
    """Warns of such names in a world that was made elsewhere."""
    found = taken_names(layout)
    if found:
        warnings.warn(
            f"this package has attributes of the same names as {'; '.join(found)}", NameCollisionWarning, stacklevel=4
        )


def _unknown(what: str, name: str, known: Union[Mapping[str, Any], list[str]]) -> str:
    names = ", ".join(known) or "none"
    return f"there is no {what} `{name}`{_native.did_you_mean(str(name), list(known))}; there are: {names}"


def layout_of(parts: tuple[Any, ...]) -> Layout:
    """A layout of what the native half says of it."""
    name, hash_, bytes_max, toml, components, resources = parts

    def fields(declared: list[tuple[str, str, str, int, bytes, str, str]]) -> tuple[FieldLayout, ...]:
        return tuple(
            FieldLayout(name, scalar, np.dtype(kind), length, default, unit, description)
            for name, scalar, kind, length, default, unit, description in declared
        )

    return Layout(
        name,
        hash_,
        bytes_max,
        {n: ComponentLayout(n, storage, tracked, fields(f)) for n, storage, tracked, f in components},
        {n: ResourceLayout(n, fields(f)) for n, f in resources},
        toml,
    )
