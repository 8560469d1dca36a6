"""Worlds made in Python: filled from arrays, stepped by functions on arrays, published for any reader."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _native
from .closing import Closes
from .errors import AbsentError, HypostyleError, NotPublishedError, WorkersError
from .journal import Recorded
from .layout import Layout, check_names, layout_of, warn_of_names
from .region import _target
from .scene import NativeSystem
from .snapshot import Resource, Snapshot
from .system import System, _broadcast, _count, _pack, _values
from .values import count_of, fit, handle_of, handles_of, integer_of

if TYPE_CHECKING:
    from .simulation import Simulation

__all__ = ["World"]

Array = npt.NDArray[Any]
AnySystem = Union[System, NativeSystem]

#: More frames than there will be.
_NEVER = 2**63

#: The place whose systems this worker process is looking for, while it reads that.
_reading: Optional[str] = None


def check_not_reading(what: str) -> None:
    """Refuses what a script must not do where a worker process reads it for its systems."""
    if _reading is not None:
        raise WorkersError(
            f"{what} while a worker process reads `{_reading}` for its systems: each worker process runs the script again, "
            f'so put all that makes worlds and runs them under `if __name__ == "__main__":`'
        )


class World(Closes):
    """A world of this process: entities with components, from a layout in TOML.

    With a ``region``, a name or a path, its published states can be read by any process; without, by this one. With
    ``keep_region`` the region stays when the world is closed. With ``replace`` a region of that name goes first, where its writer is
    gone: what was in it is lost; a live writer is :class:`RegionInUseError`.
    """

    def __init__(
        self,
        layout: str,
        region: Union[str, os.PathLike[str], None] = None,
        *,
        keep_region: bool = False,
        replace: bool = False,
        keep_generations: int = 0,
    ) -> None:
        if region is not None:
            check_not_reading("a world is made in a region")
        # before anything is made or replaced
        check_names(layout_of(_native.parse_layout(layout)))
        kept = integer_of("keep_generations", keep_generations, 0)
        self._start(_native.World(layout, None if region is None else _target(region), keep_region, replace, kept))

    @classmethod
    def resume(cls, region: Union[str, os.PathLike[str]], *, keep_region: bool = False) -> World:
        """Resumes a region whose writer has exited, from its newest generation."""
        check_not_reading("a region is resumed")
        world = cls._of(_native.World.resume(_target(region), keep_region))
        warn_of_names(world.layout)
        return world

    @classmethod
    def restore(
        cls,
        source: Union[str, os.PathLike[str]],
        region: Union[str, os.PathLike[str], None] = None,
        *,
        keep_region: bool = False,
    ) -> World:
        """A world that continues, bit for bit, from a checkpoint (``"run.checkpoint"``) or from a frame of a journal
        (``"history@12"``; without a frame its last)."""
        if region is not None:
            check_not_reading("a world is made in a region")
        world = cls._of(_native.World.restore(os.fspath(source), None if region is None else _target(region), keep_region))
        warn_of_names(world.layout)
        return world

    @classmethod
    def _of(cls, native: _native.World) -> World:
        world = cls.__new__(cls)
        world._start(native)
        return world

    def _start(self, native: _native.World) -> None:
        self._native = native
        self._layout = layout_of(native.layout())
        self._systems: list[AnySystem] = []
        # what runs them
        self._own: Optional[Simulation] = None
        self._simulation: Optional[Simulation] = None

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

    def spawn(self, count: Optional[int] = None, /, **components: Any) -> Array:
        """Spawns entities in bulk, and returns their handles (uint64).

        >>> world.spawn(position={"x": xs, "y": 0.0}, velocity={}, hot=True)

        A component is a mapping of its fields to arrays, one value for each entity, or to single values for all of
        them; fields that are left out have the layout's defaults. ``count`` is needed where no array tells it.

        All of it happens or nothing. Raises :class:`FieldValueError` where a value does not fit its field, and
        :class:`NoSpaceError` if the world cannot hold that many.
        """
        values = _values(self.layout, components)
        count = count_of(self.layout, components, _count(self.layout, values) if count is None else count)
        # before anything is made of that length
        self._native.reserve(count, list(components))
        return np.frombuffer(self._native.spawn(count, list(components), self._columns(count, values)), np.uint64)

    def set(self, entities: npt.ArrayLike, name: str, values: Any) -> None:
        """Sets a field, ``"position.x"``, of entities that have its component; or several fields, by a mapping.

        >>> world.set(handles, "position", {"x": xs, "y": 0.0})

        Values are one for each entity, or one for all of them; fields that are left out keep theirs. All of it happens or
        nothing: every entity must live (:class:`AbsentError`) and have the component, every value must fit
        (:class:`FieldValueError`).
        """
        handles = handles_of(entities)
        if "." in name:
            given = {name: fit(name, values, self.layout.field(name))}
        else:
            given = _values(self.layout, {name: values})
        self._native.set(handles.tobytes(), self._columns(len(handles), given))

    def add(self, entities: npt.ArrayLike, component: str, values: Optional[Mapping[str, Any]] = None) -> None:
        """Gives entities a component, or sets it where present. Fields that are left out have the layout's defaults.

        >>> world.add(handles, "heat", {"degrees": temperatures})

        Values are one for each entity, or one for all of them. All of it happens or nothing: every entity must live
        (:class:`AbsentError`), every value must fit (:class:`FieldValueError`), and the world must have room
        (:class:`NoSpaceError`).
        """
        handles = handles_of(entities)
        given = _values(self.layout, {component: {} if values is None else values})
        self._native.add(handles.tobytes(), component, self._columns(len(handles), given))

    def remove(self, entities: npt.ArrayLike, component: str) -> int:
        """Takes a component from entities, and returns how many had it. Every entity must live, else nothing happens."""
        self.layout.component(component)
        return self._native.remove(handles_of(entities).tobytes(), component)

    def _columns(self, count: int, given: Mapping[str, Array]) -> list[tuple[str, bytes]]:
        """The bytes of values, by full name: one value for each entity."""

        def packed(name: str, array: Array) -> bytes:
            return _broadcast(name, array, (count, *self.layout.field(name).shape)).tobytes()

        return [(name, packed(name, array)) for name, array in given.items()]

    def despawn(self, entities: npt.ArrayLike) -> None:
        """Despawns entities. All of them must be alive; otherwise nothing changes."""
        self._native.despawn(np.unique(handles_of(entities)).tobytes())

    def __contains__(self, entity: int) -> bool:
        """Whether the world has this entity: it was spawned here and not despawned since."""
        return self._native.contains(handle_of(entity))

    def resource(self, name: str) -> Resource:
        """A resource's value."""
        declared = self.layout.resource(name)
        packed = self._native.resource(name)
        if packed is None:
            raise AbsentError(f"resource `{name}` has no value yet: set it")
        return Resource(declared, packed)

    def set_resource(self, name: str, /, **fields: Any) -> None:
        """Sets fields of a resource. Others keep their values, or get the layout's defaults.

        Raises :class:`FieldValueError` where a value does not fit its field; then none is set.
        """
        declared = self.layout.resource(name)
        self._native.set_resource(name, _pack(declared, self._native.resource(name), fields))

    def add_system(self, added: AnySystem) -> AnySystem:
        """Adds a system that :meth:`step` runs in this process. For workers and plans use :class:`Simulation`."""
        if isinstance(added, System):
            for component in (*added.reads, *added.writes, *added.with_, *added.without):
                self.layout.component(component)
        if any(known.name == added.name for known in self._systems):
            raise ValueError(f"there is a system `{added.name}` already")
        self._systems.append(added)
        if self._own is not None:
            self._own.close()
        return added

    def step(self, dt: float, *, publish: bool = True) -> Optional[int]:
        """Runs a frame of the systems that were added, in this thread. Returns the generation that it published; None with
        ``publish=False``.

        Where a system raises, the world goes back to its newest generation, and :class:`FrameError` names the system. Where
        readers hold the memory that the generation needs, the frame stands unpublished, :class:`NotPublishedError` names
        them, and the next step tries again.
        """
        from .simulation import Simulation

        if self._own is None:
            if self._simulation is not None:
                raise HypostyleError("the world has a simulation: step that, or close it")
            self._own = Simulation(self, self._systems, "local", tracing=False)
        report = self._own._run(1, dt, 1 if publish else _NEVER)
        if report.skipped is not None:
            raise NotPublishedError(report.skipped)
        return report.generation

    def _schedule(self, simulation: Simulation, *arguments: Any) -> None:
        """Gives the world to a simulation."""
        if self._own is not None:
            self._own.close()
        self._native.schedule(*arguments)
        self._simulation = simulation

    def _unschedule(self) -> None:
        """Takes it back."""
        self._native.unschedule()
        self._own = self._simulation = None

    def publish(self) -> int:
        """Publishes the current state of the world, and returns the generation's number.

        Raises :class:`NotPublishedError` where readers hold the memory that it needs; the message names them.
        """
        return self._native.publish()

    def rollback(self, frames: int) -> int:
        """Goes back by ``frames`` frames, or to the newest kept state before that, and returns the frame at which the world
        stands. The same steps then give the same bytes again.

        A world keeps its newest published state, and as many before it as ``World(..., keep_generations=N)`` says.
        """
        return self._native.rollback(integer_of("the number of frames", frames, 0))[0]

    def record(
        self, directory: Union[str, os.PathLike[str]], *, checkpoint_every: int = 1000, skip: bool = False
    ) -> None:
        """Begins to write every published state into a journal, which :class:`Journal` opens; one that ends at this frame or
        before is appended to.

        Frames wait for the recorder where they are faster; with ``skip`` they leave states out instead. Every
        ``checkpoint_every``-th state is written whole. It ends with :meth:`stop_recording`, or when the world is closed.
        """
        every = integer_of("checkpoint_every (states)", checkpoint_every, 1)
        self._native.record(os.fspath(directory), every, bool(skip))

    def stop_recording(self) -> Optional[Recorded]:
        """Ends the recording and says what it wrote; None: there is none."""
        done = self._native.stop_recording()
        return None if done is None else Recorded(**done)

    def pin(self) -> Snapshot:
        """Pins the newest published generation, as :meth:`Reader.pin` does."""
        return Snapshot(self._native.pin(), self._layout)

    def close(self) -> None:
        """Closes the world, and removes its region unless ``keep_region`` was given. Snapshots stay valid."""
        self._native.close()
