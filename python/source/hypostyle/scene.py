"""The scenes that come with the engine: worlds and systems in Rust, to be run and mixed with systems in Python."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

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
    #: What only this scene has, as text.
    options: tuple[tuple[str, str], ...] = ()

    @property
    def _place(self) -> str:
        """Where a worker process finds it."""
        return _PREFIX + json.dumps([self.name, self.scene, self.entities, self.seed, self.options])


_PREFIX = "hypostyle-scene:"


def _system_at(place: str) -> Optional[NativeSystem]:
    """The system of a scene at a worker's place; None: it is another kind of place."""
    if not place.startswith(_PREFIX):
        return None
    name, scene, entities, seed, options = json.loads(place[len(_PREFIX) :])
    return NativeSystem(name, scene, entities, seed, tuple((option, value) for option, value in options))


def scenes() -> list[str]:
    """The names of all scenes."""
    return _native.scene_names()


class Scene:
    """A scene by name, with as many ``entities`` as are wanted (or its own number), the ``seed`` of everything random, and
    the options that only this scene has (:attr:`options` tells them), which ``hypostyle run`` has, too.

    >>> particles = hypostyle.Scene("particles", entities=10_000, seed=1)
    >>> with particles.world() as world, particles.simulation(world, workers="threads:2") as simulation:
    ...     report = simulation.run(60, particles.dt)

    >>> melt = hypostyle.Scene("lj", entities=4000, skin=0.3, thermo="thermo.csv", thermo_every=10)
    >>> melt.run(frames=100)["total energy"]                     # doctest: +SKIP

    The states are those of ``hypostyle run`` with the same scene, entities, seed and frames. Single systems are items:
    ``particles["integrate"]`` moves whatever has a position and a velocity of the same fields, in any world.
    """

    def __init__(
        self,
        name: str,
        *,
        entities: Optional[int] = None,
        seed: int = 0,
        **options: Union[str, float, os.PathLike[str]],
    ) -> None:
        self._name = name
        self._asked = None if entities is None else integer_of("entities", entities)
        self._seed = integer_of("seed", seed)
        self._own = [(option.replace("_", "-"), _text(option, value)) for option, value in options.items()]
        about = _native.scene_about(name, self._asked, self._seed, self._own)
        self._about, self._entities, self._dt, self._frames, names, self._known = about
        self._systems = tuple(NativeSystem(each, name, self._asked, self._seed, tuple(self._own)) for each in names)

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
    def options(self) -> dict[str, str]:
        """The options that only this scene has, each with a sentence about it."""
        return {name.replace("-", "_"): f"{value}: {about}" for name, value, about in self._known}

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
        return World._of(_native.scene_world(self._name, self._asked, self._seed, self._own, where, keep_region))

    def simulation(self, world: World, workers: str = "auto", **options: Any) -> Simulation:
        """The world with all systems of the scene; ``options`` as for :class:`Simulation`."""
        from .simulation import Simulation

        return Simulation(world, self._systems, workers, **options)

    def run(
        self,
        frames: Optional[int] = None,
        workers: str = "auto",
        *,
        world: Optional[World] = None,
        region: Union[str, os.PathLike[str], None] = None,
        **options: Any,
    ) -> dict[str, float]:
        """Runs so many frames (or the scene's own number) in a new world, or in a ``world`` of this scene, and returns what
        :meth:`measure` says afterwards. Files that the scene's options name are written meanwhile. ``options`` are as for
        :class:`Simulation`; worker processes need a ``region``.

        >>> hypostyle.Scene("epidemic", entities=1000).run(30)["recovered"] > 0
        True
        """
        many = self._frames if frames is None else integer_of("the number of frames", frames)
        if many is None:
            raise ValueError(f"scene `{self._name}` has no number of frames of its own: give `frames`")
        if world is None:
            with self.world(region) as made:
                return self.run(many, workers, world=made, **options)
        watches = _native.Watches(self._name, self._asked, self._seed, self._own)
        with self.simulation(world, workers, **options) as simulation:
            watches.look(world._native)
            while many:
                until = watches.until(world.frame)
                now = many if until is None else min(many, until)
                simulation.run(now, self._dt)
                watches.look(world._native)
                many -= now
        return self.measure(world)

    def observe(self, world: World) -> dict[str, str]:
        """What the scene says of a world of its own: energies, counts, each as text with its unit."""
        return {name: text for name, text, _ in _native.scene_observe(self._name, world._native)}

    def measure(self, world: World) -> dict[str, float]:
        """The same as numbers, in the units of :meth:`observe`."""
        return {name: number for name, _, number in _native.scene_observe(self._name, world._native)}

    def __repr__(self) -> str:
        return f"<scene {self._name}, {self._entities} entities, seed {self._seed}>"


def _text(name: str, value: Any) -> str:
    """An option's value as the command line has it."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (str, int, float, np.number, os.PathLike)):
        raise TypeError(f"option `{name}` is a number or a text; not {value!r}")
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
