"""States as openPMD (https://openpmd.org): particle species in HDF5, ADIOS2, JSON or TOML, an iteration for each frame.

    import hypostyle
    from hypostyle import openpmd

    openpmd.write("run.h5", hypostyle.Journal("history"))            # all frames in one file
    openpmd.write("run_%T.h5", hypostyle.Journal("history"))         # a file for each

openPMD-viewer, ParaView, VisIt, yt and openPMD-api read it. It needs the packages ``openpmd-api`` and ``pint``:
``pip install "hypostyle[openpmd]"``.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Mapping, Optional, Union

import numpy as np

try:
    import openpmd_api as api
    import pint
except ImportError as error:
    raise ImportError(f'{error}: files of openPMD need it: pip install "hypostyle[openpmd]"') from error

from . import _native
from .layout import ComponentLayout, Layout
from .points import axes_of, joined, present_of, values_of, wide
from .snapshot import Snapshot, Table
from .states import Source, states_of
from .values import Array

__all__ = ["write"]

#: The base quantities as pint and as the standard name them.
_BASE = {
    "[length]": "L", "[mass]": "M", "[time]": "T", "[current]": "I", "[temperature]": "theta", "[substance]": "N",
    "[luminosity]": "J",
}  # fmt: skip
#: Powers of the base quantities, for components of these names without units, as the standard has them.
_DIMENSIONS: dict[str, dict[str, float]] = {
    "position": {"L": 1},
    "velocity": {"L": 1, "T": -1},
    "acceleration": {"L": 1, "T": -2},
    "momentum": {"L": 1, "M": 1, "T": -1},
    "force": {"L": 1, "M": 1, "T": -2},
    "mass": {"M": 1},
    "charge": {"I": 1, "T": 1},
    "radius": {"L": 1},
}


def write(
    path: Union[str, os.PathLike[str]],
    source: Source,
    *components: str,
    dimensions: Optional[Mapping[str, Mapping[str, float]]] = None,
    units_si: Optional[Mapping[str, float]] = None,
    time_unit_si: float = 1.0,
) -> int:
    """Writes states as iterations of openPMD, and returns how many. A file that is there is replaced.

    The path's end says which kind of file: ``.h5``, ``.bp``, ``.json`` or ``.toml``; with ``%T`` in its name each iteration has
    a file. ``source`` is a snapshot; a region or an opened file, of which it takes the newest state; a :class:`Journal`, of
    which it takes all frames; or any iterable of snapshots.

    Entities that have a ``position`` and the same components are a species: the first has the layout's name, further ones
    that and a number; its attribute ``components`` says which they have. ``components`` are what is written beside the
    position (default: all but lists). A component is a record, its fields are the record's components; elements of an array
    are ``field_0`` and so on; a single field that is named ``value`` is a scalar record. ``id`` is the global id where the
    layout has those, else the handle. Where a row lacks a component a float is NaN, a handle the null handle, and other
    values are 0; then ``NAME_present`` says who has it. A tag is a record of 0 and 1. Fields of resources are attributes of
    the iteration, ``melt_temperature``.

    A field's unit, ``m/s``, gives the record its dimension and the column its factor to SI units; one that pint does not know
    is warned of. ``dimensions`` (powers of the base quantities L, M, T, I, theta, N and J by component) and ``units_si`` (what
    one of a component's numbers is in SI units) overrule it. Components without units have the dimension of their name
    (position, velocity, acceleration, momentum, force, mass, charge, radius), or none. ``time_unit_si`` is the same for time
    (default: 1).
    ``dt`` is the mean step since the state before, of the first one since frame 0.
    """
    states = states_of(source)
    first = next(states, None)
    if first is None:
        raise ValueError("there are no snapshots, so there is nothing to write")
    writer = _Writer(first.layout, components, dimensions or {}, units_si or {}, float(time_unit_si))
    series = api.Series(os.fspath(path), api.Access.create)
    series.set_software("hypostyle", _native.__version__)
    try:
        before = (0, 0.0)
        count = 0
        snapshot: Optional[Snapshot] = first
        while snapshot is not None:
            iteration = series.write_iterations()[snapshot.frame]
            writer.put(iteration, snapshot, before)
            iteration.close()
            before, count = (snapshot.frame, snapshot.time), count + 1
            snapshot = next(states, None)
        return count
    finally:
        series.close()


class _Writer:
    """What is written of each state."""

    def __init__(
        self,
        layout: Layout,
        names: tuple[str, ...],
        dimensions: Mapping[str, Mapping[str, float]],
        units_si: Mapping[str, float],
        time_unit_si: float,
    ) -> None:
        self.layout = layout
        self.position = layout.component("position")
        axes_of(self.position)
        chosen = [layout.component(name) for name in (names or layout.components) if name != "position"]
        for each in chosen:
            if names and (each.storage.endswith("list") or (each.fields and not each.published_fields)):
                raise ValueError(f"`{each.name}` is a list, or in memory alone: a record has one value for each row")
        shown = [each for each in chosen if each.published_fields or not each.fields]
        self.components = [self.position, *(each for each in shown if not each.storage.endswith("list"))]
        for name in (*dimensions, *units_si):
            layout.component(name)
        self.units_si = units_si
        #: By column: powers, and what one is in SI units.
        self.units = {
            f"{each.name}.{field.name}": _unit(f"{each.name}.{field.name}", field.unit)
            for each in self.components
            for field in each.published_fields
            if field.unit
        }
        self.dimensions = {each.name: self._dimension(each, dimensions) for each in self.components}
        self.time_unit_si = time_unit_si
        self.identity = "id" if "id" not in layout.components else "entity"
        #: Names of species, by what their entities have.
        self.species: dict[tuple[str, ...], str] = {}

    def _dimension(self, component: ComponentLayout, given: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
        """The dimension of a record: that of all its fields that have units."""
        if component.name in given:
            return given[component.name]
        names = [f"{component.name}.{field.name}" for field in component.published_fields]
        told = [self.units[name][0] for name in names if name in self.units]
        if not told:
            return _DIMENSIONS.get(component.name, {})
        return told[0] if all(each == told[0] for each in told) else {}

    def put(self, iteration: Any, snapshot: Snapshot, before: tuple[int, float]) -> None:
        """Writes a state."""
        if snapshot.layout.hash != self.layout.hash:
            raise ValueError(f"the snapshot of frame {snapshot.frame} is of a world with another layout than the first")
        frames = snapshot.frame - before[0]
        iteration.time, iteration.time_unit_SI = snapshot.time, self.time_unit_si
        iteration.dt = (snapshot.time - before[1]) / frames if frames else 0.0
        for resource in self.layout.resources.values():
            value = snapshot.resources.get(resource.name)
            if value is None:
                continue
            for field in resource.fields:
                number = wide(np.atleast_1d(value[field.name]), field).tolist()
                iteration.set_attribute(f"{resource.name}_{field.name}", number if field.array_len else number[0])
        alike: dict[tuple[str, ...], list[Table]] = {}
        for table in snapshot.select("position").tables:
            alike.setdefault(table.components, []).append(table)
        for having, tables in alike.items():
            rows = [np.flatnonzero(table.presence("position")) for table in tables]
            if not sum(map(len, rows)):
                continue
            number = len(self.species)
            name = self.species.setdefault(having, f"{self.layout.name}_{number}" if number else self.layout.name)
            species = iteration.particles[name]
            species.set_attribute("components", list(having))
            self._species(species, tables, rows)

    def _species(self, species: Any, tables: list[Table], rows: list[Array]) -> None:
        ids = [table.column("global_id.value") if "global_id" in table else table.entities for table in tables]
        record = species[self.identity]
        _store(record, joined(ids, rows, np.zeros(0, np.uint64)).astype(np.uint64))
        for component in self.components:
            if component.name not in tables[0]:
                continue
            present = present_of(component.name, tables, rows)
            if not component.published_fields:
                _store(species[component.name], present.astype(np.uint8))
                continue
            self._record(species, component, tables, rows)
            if not present.all():
                _store(species[f"{component.name}_present"], present.astype(np.uint8))

    def _record(self, species: Any, component: ComponentLayout, tables: list[Table], rows: list[Array]) -> None:
        record = species[component.name]
        powers = self.dimensions[component.name]
        record.unit_dimension = {getattr(api.Unit_Dimension, name): power for name, power in powers.items()}
        scalar = [field.name for field in component.fields] == ["value"] and not component.fields[0].array_len
        for field in component.published_fields:
            values = values_of(component, field, tables, rows)
            for index in range(field.array_len or 1):
                name = f"{field.name}_{index}" if field.array_len else field.name
                part = record if scalar else record[name]
                _store(part, values[:, index] if field.array_len else values)
                _, factor = self.units.get(f"{component.name}.{field.name}", ({}, 1.0))
                part.unit_SI = float(self.units_si.get(component.name, factor))
                for key, text in (("unit", field.unit), ("description", field.description)):
                    if text:
                        part.set_attribute(key, text)
                if component is self.position:
                    # part of the standard: places are offset + position
                    offset = species["positionOffset"]
                    offset.unit_dimension = {api.Unit_Dimension.L: 1}
                    offset[name].reset_dataset(api.Dataset(np.dtype(np.float64), [len(values)]))
                    offset[name].make_constant(0.0)


def _unit(column: str, text: str) -> tuple[dict[str, float], float]:
    """Powers of the base quantities, and what one of this unit is in SI units."""
    registry: Any = pint.application_registry
    try:
        factor, base = registry.get_base_units(text)
    except Exception:  # texts are of people: its parser, and the tokenizer below it, raise errors of many kinds
        factor = None
    # degrees Celsius have no factor
    if factor is None:
        warnings.warn(f"`{text}` of {column} is no unit that has a factor: its dimension is not written", stacklevel=5)
        return {}, 1.0
    return {_BASE[name]: float(power) for name, power in base.dimensionality.items()}, float(factor)


def _store(part: Any, values: Array) -> None:
    # a copy: the library takes no arrays that are read-only
    values = np.array(values, order="C")
    part.reset_dataset(api.Dataset(values.dtype, values.shape))
    part.store_chunk(values)
