"""Inputs: values that any process sends to a running simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from . import _native
from .closing import Closes
from .layout import FieldLayout, Layout
from .snapshot import Snapshot
from .system import _broadcast, _pack
from .values import fit, handles_of

__all__ = ["InputSender"]


class InputSender(Closes):
    """Sends values to a simulation that takes them (``Simulation(..., inputs=["velocity"])``). Made by
    :meth:`Reader.inputs`.

    >>> with hypostyle.open("demo") as region, region.inputs() as inputs:
    ...     sent = inputs.set(handles, "velocity", {"x": 1.0, "y": 0.0})

    What is sent is applied when a frame begins, in the order of sending. What the simulation refuses then (an entity that is
    gone) is counted in its report.
    """

    def __init__(self, native: _native.InputSender, layout: Layout) -> None:
        self._native = native
        self._layout = layout

    @property
    def names(self) -> list[str]:
        """What the simulation takes: components, fields (``velocity.x``) and resources."""
        return self._native.names()

    @property
    def is_current(self) -> bool:
        """Whether the simulation still takes inputs."""
        return self._native.is_current()

    def set(self, entities: npt.ArrayLike, name: str, values: Any) -> int:
        """Sends values of a field, ``"velocity.x"``, or of all fields of a component, by a mapping: one for each entity, or one
        for all. Returns what :meth:`is_in` takes.

        All fields have to be given: an input that left some out would have to know what they are when it arrives.
        """
        handles = handles_of(entities)
        component, _, field = name.partition(".")
        declared = self._layout.component(component)
        fields = (declared.field(field),) if field else declared.fields
        given: Mapping[str, Any] = {field: values} if field else values
        if not isinstance(given, Mapping):
            raise TypeError(f"`{name}` is a mapping of fields to values, not {type(values).__name__}")
        for other in given:
            declared.field(other)
        missing = [each.name for each in fields if each.name not in given]
        if missing:
            raise ValueError(f"an input of `{name}` has all its fields; {', '.join(f'`{each}`' for each in missing)} not given")
        records = np.zeros(len(handles), _record(fields))
        records["entity"] = handles
        for each in fields:
            whole = f"{component}.{each.name}"
            records[_key(each)] = _broadcast(whole, fit(whole, given[each.name], each), (len(handles), *each.shape))
        return self._native.send(name, records.tobytes())

    def set_resource(self, name: str, /, **fields: Any) -> int:
        """Sends the value of a resource. Fields that are left out have the layout's defaults."""
        return self._native.send(name, _pack(self._layout.resource(name), None, fields))

    def is_in(self, sent: int, snapshot: Snapshot) -> Optional[bool]:
        """Whether a state has what was sent; None: that is not known any more."""
        contained = self._native.contained(snapshot.generation)
        return None if contained is None else contained >= sent

    def close(self) -> None:
        """Gives the place in the mailbox back."""
        self._native.close()


def _key(field: FieldLayout) -> str:
    return f"field {field.name}"


def _record(fields: tuple[FieldLayout, ...]) -> np.dtype[Any]:
    """A handle and the values of fields, one after the other."""
    values = [(_key(each), each.dtype, each.shape) for each in fields]
    return np.dtype([("entity", np.dtype("<u8")), *values])
