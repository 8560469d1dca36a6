"""States of many frames as one labelled array."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Iterable, Optional

import numpy as np
import numpy.typing as npt

from .layout import ComponentLayout, FieldLayout, Layout, ResourceLayout, _unknown
from .errors import UnknownNameError

if TYPE_CHECKING:
    import xarray

    from .snapshot import Snapshot

__all__ = ["to_xarray"]

Array = npt.NDArray[Any]
_NULL = 0xFFFF_FFFF_FFFF_FFFF


@dataclass
class _Chosen:
    """A component, and those of its fields that are wanted."""

    component: ComponentLayout
    fields: tuple[FieldLayout, ...]
    #: By frame: the entities that have it, and their values by field.
    looks: list[tuple[Array, dict[str, Array]]] = field(default_factory=list)


def to_xarray(snapshots: Iterable[Snapshot], *names: str, layout: Optional[Layout] = None) -> xarray.Dataset:
    """An ``xarray.Dataset`` over (frame, entity) of snapshots of one world.

    >>> hypostyle.to_xarray(itertools.islice(region.follow(), 100), "position", "velocity.x", "clock")

    ``names`` are components, columns and resources (default: all but lists, which have no one length). Variables are named as in
    the layout, ``position.x``, with its units and descriptions; those of resources have no entity. Where an entity lacks a component, or does not live yet or any
    more, a float is NaN, a handle the null handle, and other values are 0; then ``position.present`` says who has it. A tag is
    a variable of bool. Arrays have a third dimension, named as their variable. Coordinates are ``frame``, its ``time``, and
    ``entity``, the handles.

    Values are copied: it takes frames x entities x bytes of the values.
    """
    import xarray

    found: list[_Chosen] = []
    resources: list[tuple[ResourceLayout, list[list[Any]]]] = []
    frames: list[int] = []
    times: list[float] = []
    for snapshot in snapshots:
        if layout is None:
            layout = snapshot.layout
        if not frames:
            found, resources = _chosen(layout, names)
        if snapshot.layout.hash != layout.hash:
            raise ValueError(f"the snapshot of frame {snapshot.frame} is of a world with another layout than the first")
        frames.append(snapshot.frame)
        times.append(snapshot.time)
        for each in found:
            each.looks.append(_look(snapshot, each))
        for declared, values in resources:
            resource = snapshot.resources.get(declared.name)
            values.append([each.default if resource is None else resource[each.name] for each in declared.fields])
    if layout is None:
        raise ValueError("there are no snapshots, so there is nothing to make a dataset of")
    if not frames:
        found, resources = _chosen(layout, names)
    living = [entities for each in found for entities, _ in each.looks]
    entities = np.unique(np.concatenate(living)) if living else np.zeros(0, np.uint64)
    variables: dict[str, Any] = {}
    for each in found:
        variables.update(_variables(each, len(frames), entities))
    for declared, values in resources:
        for index, one in enumerate(declared.fields):
            name = f"{declared.name}.{one.name}"
            array = np.array([row[index] for row in values], one.dtype).reshape(len(frames), *one.shape)
            variables[name] = (("frame", *_third(name, one)), array, _words(one))
    coordinates = {
        "frame": np.array(frames, np.int64),
        "time": ("frame", np.array(times, np.float64)),
        "entity": entities,
    }
    about = {"layout": layout.name, "layout_hash": f"{layout.hash:016x}"}
    return xarray.Dataset(variables, coordinates, {f"hypostyle.{key}": value for key, value in about.items()})


def _chosen(
    layout: Layout, names: tuple[str, ...]
) -> tuple[list[_Chosen], list[tuple[ResourceLayout, list[list[Any]]]]]:
    if not names:
        listed = [each for each in layout if each.storage != "list" and (each.published_fields or not each.fields)]
        every = [_Chosen(each, each.published_fields) for each in listed]
        return every, [(each, []) for each in layout.resources.values()]
    fields: dict[str, list[FieldLayout]] = {}
    resources: list[tuple[ResourceLayout, list[list[Any]]]] = []
    for name in names:
        component, _, one = name.partition(".")
        if component in layout.components:
            declared = layout.component(component)
            if declared.storage.endswith("list"):
                raise ValueError(f"`{component}` is a list: its rows have any length, and a dataset has one")
            if declared.fields and not declared.published_fields:
                raise ValueError(f"`{component}` is in memory alone: no snapshot has its values")
            known = fields.setdefault(component, [])
            known += [each for each in ((declared.field(one),) if one else declared.published_fields) if each not in known]
        elif name in layout.resources:
            resources.append((layout.resource(name), []))
        else:
            raise UnknownNameError(_unknown("component, column or resource", name, [*layout.components, *layout.resources]))
    return [_Chosen(layout.component(name), tuple(known)) for name, known in fields.items()], resources


def _look(snapshot: Snapshot, chosen: _Chosen) -> tuple[Array, dict[str, Array]]:
    """Copies of who has a component, and of its values."""
    chunks = snapshot[chosen.component.name].chunks if chosen.component.name in snapshot else []
    has = [chunk.presence for chunk in chunks]

    def joined(parts: list[Array], kind: Any, shape: tuple[int, ...]) -> Array:
        return np.concatenate(parts) if parts else np.zeros((0, *shape), kind)

    entities = joined([chunk.entities[rows] for chunk, rows in zip(chunks, has)], np.uint64, ())
    values = {
        each.name: joined([chunk[each.name][rows] for chunk, rows in zip(chunks, has)], each.dtype, each.shape)
        for each in chosen.fields
    }
    return entities, values


def _variables(chosen: _Chosen, frames: int, entities: Array) -> dict[str, Any]:
    name = chosen.component.name
    present = np.zeros((frames, len(entities)), np.bool_)
    places = []
    for frame, (having, _) in enumerate(chosen.looks):
        place = np.searchsorted(entities, having)
        places.append(place)
        present[frame, place] = True
    if not chosen.component.fields:
        return {name: (("frame", "entity"), present)}
    variables: dict[str, Any] = {}
    for each in chosen.fields:
        empty = np.nan if each.dtype.kind == "f" else _NULL if each.scalar == "entity" else 0
        array = np.full((frames, len(entities), *each.shape), empty, each.dtype)
        for frame, (_, values) in enumerate(chosen.looks):
            array[frame, places[frame]] = values[each.name]
        whole = f"{name}.{each.name}"
        variables[whole] = (("frame", "entity", *_third(whole, each)), array, _words(each))
    if not present.all():
        variables[f"{name}.present"] = (("frame", "entity"), present)
    return variables


def _words(declared: FieldLayout) -> dict[str, str]:
    """A variable's attributes, as the CF conventions name them."""
    words = {"units": declared.unit, "long_name": declared.description}
    return {key: text for key, text in words.items() if text}


def _third(name: str, declared: FieldLayout) -> tuple[str, ...]:
    return (f"{name}[]",) if declared.array_len else ()
