"""The scenes that come with the engine: worlds and systems in Rust, to be run and mixed with systems in Python."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _native
from .errors import UnknownNameError
from .values import integer_of

if TYPE_CHECKING:
    from .simulation import Simulation
    from .world import World

__all__ = ["NativeSystem", "Scene", "scenes"]


@dataclass(frozen=True)
class NativeSystem:
    """A system of a :class:`Scene`. It stands wherever a system made by :func:`system` can, and its kernel runs without
    the interpreter."""

    #: Its name among a simulation's systems.
    name: str
    #: The scene that has it, and what decides that.
    scene: str
    entities: Optional[int] = None
    seed: int = 0

    @property
    def _place(self) -> str:
        """Where a worker process finds it."""
        entities = "" if self.entities is None else str(self.entities)
        return f"{_PREFIX}{self.scene}:{entities}:{self.seed}:{self.name}"


_PREFIX = "hypostyle-scene:"


def _system_at(place: str) -> Optional[NativeSystem]:
    """The system of a scene at a worker's place; None: it is another kind of place."""
    if not place.startswith(_PREFIX):
        return None
    scene, entities, seed, name = place[len(_PREFIX) :].split(":", 3)
    return NativeSystem(name, scene, int(entities) if entities else None, int(seed))


def scenes() -> list[str]:
    """The names of all scenes."""
    return _native.scene_names()


class Scene:
    """A scene by name, with as many ``entities`` as are wanted (or its own number), and the ``seed`` of everything random.

    >>> particles = hypostyle.Scene("particles", entities=10_000, seed=1)
    >>> with particles.world() as world, particles.simulation(world, workers="threads:2") as simulation:
    ...     simulation.run(60, particles.dt)

    The states are those of ``hypostyle run`` with the same scene, entities, seed and frames. Single systems are items:
    ``particles["integrate"]`` moves whatever has a position and a velocity of the same fields, in any world.
    """

    def __init__(self, name: str, *, entities: Optional[int] = None, seed: int = 0) -> None:
        self._name = name
        self._asked = None if entities is None else integer_of("entities", entities)
        self._seed = integer_of("seed", seed)
        about = _native.scene_about(name, self._asked, self._seed)
        self._about, self._entities, self._dt, self._frames, names = about
        self._systems = tuple(NativeSystem(each, name, self._asked, self._seed) for each in names)

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def about(self) -> str:
        """One line about it."""
        return self._about

    @property
    def entities(self) -> int:
        """Entities to begin with."""
        return self._entities

    @property
    def seed(self) -> int:
        """What decides everything random."""
        return self._seed

    @property
    def dt(self) -> float:
        """The step of simulated time, in seconds (in ``nbody`` days or N-body units)."""
        return self._dt

    @property
    def frames(self) -> Optional[int]:
        """How many frames make a run, if the scene says so."""
        return self._frames

    @property
    def systems(self) -> tuple[NativeSystem, ...]:
        """Its systems, in the order in which they have to be registered."""
        return self._systems

    def __getitem__(self, name: str) -> NativeSystem:
        for each in self._systems:
            if each.name == name:
                return each
        known = ", ".join(f"`{each.name}`" for each in self._systems)
        hint = _native.did_you_mean(name, [each.name for each in self._systems])
        raise UnknownNameError(f"scene `{self._name}` has no system `{name}`{hint}; it has {known}")

    def world(self, region: Union[str, os.PathLike[str], None] = None, *, keep_region: bool = False) -> World:
        """A world with the scene's layout and its initial state."""
        from .region import _target
        from .world import World, check_not_reading

        if region is not None:
            check_not_reading("a world is made in a region")
        where = None if region is None else _target(region)
        return World._of(_native.scene_world(self._name, self._asked, self._seed, where, keep_region))

    def simulation(self, world: World, workers: str = "auto", **options: Any) -> Simulation:
        """The world with all systems of the scene; ``options`` as for :class:`Simulation`."""
        from .simulation import Simulation

        return Simulation(world, self._systems, workers, **options)

    def observe(self, world: World) -> dict[str, str]:
        """What the scene says of a world of its own: energies, counts, each with its unit."""
        return dict(_native.scene_observe(self._name, world._native))

    def __repr__(self) -> str:
        return f"<scene {self._name}, {self._entities} entities, seed {self._seed}>"
