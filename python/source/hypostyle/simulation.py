"""Simulations: a world, systems, and the workers that run them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterable, Mapping, Optional, Union

from . import _native
from .closing import Closes
from .errors import WorkersError
from .scene import NativeSystem
from .system import System, guard_place
from .values import integer_of, payload_of

if TYPE_CHECKING:
    from .snapshot import Snapshot
    from .steering import Steering
    from .world import World

AnySystem = Union[System, NativeSystem]

__all__ = ["FrameReport", "Loop", "PatchCounts", "Simulation", "WorkerStatus"]


@dataclass(frozen=True)
class PatchCounts:
    """Counts of a system's patches in one call of :meth:`Simulation.step` or :meth:`Simulation.run`."""

    #: Patches that took effect.
    applied: int
    #: Sets that a later one in the same batch replaced: they left no trace.
    overwritten: int
    #: Patches on entities that are gone.
    stale: int
    #: Removes of components that were not there.
    absent: int
    #: Patches that were refused, and why the first one was.
    refused: int
    spawned: int
    despawned: int
    #: Rows that were written in place.
    dense_rows: int
    refusal: Optional[str]


@dataclass(frozen=True)
class FrameReport:
    """The result of a call of :meth:`Simulation.step` or :meth:`Simulation.run`."""

    #: The newest frame.
    frame: int
    #: The newest generation that the call made, if any.
    generation: Optional[int]
    #: Why the newest publication was left out, and which readers hold the memory that it needs; None: it was not.
    skipped: Optional[str]
    #: Jobs: calls of systems, or of several that share their rows.
    jobs: int
    #: Jobs that this process ran itself.
    jobs_on_main: int
    #: Rows of all jobs.
    rows: int
    #: Workers that died, and jobs that were run again because of it.
    deaths: int
    retries: int
    #: Time of the call, and time of all workers together in systems.
    seconds: float
    busy_seconds: float
    #: By system.
    patches: Mapping[str, PatchCounts]
    #: Inputs of other processes.
    inputs: PatchCounts


@dataclass(frozen=True)
class WorkerStatus:
    """The status of a worker."""

    index: int
    #: The process id of a live worker process.
    pid: Optional[int]
    #: Whether it takes jobs; one that is being replaced does not.
    is_alive: bool
    #: Jobs that it completed, those of workers that it replaced included.
    jobs: int
    #: Number of times that it died.
    deaths: int
    busy_seconds: float
    #: Whether it is replaced no more, as its starts came to nothing again and again. Others do its jobs.
    is_given_up: bool


@dataclass(frozen=True)
class Loop:
    """Systems that run several times within a frame: those that name it with ``in_loop``. To the rest of its stage a loop is
    like one system.

    >>> solve = hypostyle.Loop("solve", times=8)
    >>> @hypostyle.system(writes="position", in_loop="solve")
    ... def relax(rows, frame): ...
    >>> hypostyle.Simulation(world, [relax], loops=[solve])
    """

    name: str
    #: How often: a number, or the name of an integer of a resource, ``"solver.iterations"``.
    times: Union[int, str] = 1
    #: The loop in each of whose passes it runs whole.
    inside: Optional[str] = None
    #: Whether each pass is a part of the frame's step: ``frame.dt`` is divided, and ``frame.time`` advances by it.
    divides_step: bool = False


class Simulation(Closes):
    """A world with systems and the workers that run them; the world itself can be used between frames.

    >>> with hypostyle.Simulation(world, systems=[fall, move], workers="processes:2") as simulation:
    ...     simulation.run(100, 0.01)

    ``workers`` is ``auto`` (a thread for each core but one; the default, as in Rust), ``local`` (this thread), ``threads:N``
    or ``processes:N``. The resulting bytes are the same for all of them. Worker processes need a world in a region, and systems at the top of a module (or of the script that runs),
    where they can find them again; ``worker`` names another module for them to look in. A worker process that dies, by a
    crash in a system's library or by ``kill -9``, costs time and nothing else.

    A generation is published every ``publish_every`` frames. ``fuse`` lets systems that see their own rows only run back to
    back on some rows before the next. This process runs systems together with its workers, but none that killed a worker or that
    has a deadline; with ``main_helps=False`` it runs none that a worker can run. ``stages`` names further stages, each with the one that it follows.

    ``inputs`` are components, fields (``"velocity.x"``) and resources that other processes may set while it runs
    (:meth:`Reader.inputs`). ``steerable`` lets them steer the run (:meth:`Reader.steering`): the program that steps it asks
    :attr:`Simulation.steering` between frames, and goes by it.

    ``loops`` declares loops (:class:`Loop`) that systems name with ``in_loop``. ``seed``, from 0 to 2^64 - 1, is what
    :meth:`Job.random` depends on, in addition to frame, system and entity; it is not part of the world.

    Refused patches are counted in the report; a ``strict`` simulation fails the frame with :class:`FrameError`, which names
    the system and the reason.
    """

    def __init__(
        self,
        world: World,
        systems: Iterable[AnySystem],
        workers: str = "auto",
        *,
        publish_every: int = 1,
        fuse: bool = True,
        main_helps: bool = True,
        worker: Union[str, Iterable[str], None] = None,
        stages: Optional[Mapping[str, str]] = None,
        tracing: bool = True,
        strict: bool = False,
        loops: Iterable[Loop] = (),
        seed: int = 0,
        inputs: Iterable[str] = (),
        steerable: bool = False,
    ) -> None:
        self._world = world
        self._systems = tuple(systems)
        from .world import check_not_reading

        workers = _workers(workers)
        if workers.startswith("processes"):
            check_not_reading("a simulation with worker processes is made")
        self._publish_every = integer_of("publish_every (frames)", publish_every, 1)
        self._report: Optional[FrameReport] = None
        self._closed = False
        for each in self._systems:
            if not isinstance(each, (System, NativeSystem)):
                raise TypeError(f"{each!r} is no system: decorate it with hypostyle.system(...), or take it from a hypostyle.Scene")
            for resource, reduction in each.reductions if isinstance(each, System) else ():
                reduction.check(world.layout.resource(resource))
        processes = workers.startswith("processes")
        command = worker_command(self._systems, worker) if processes else None
        stage_list = [*(stages or {}).items()]
        world._schedule(
            self, self._systems, stage_list, workers, command, self._publish_every, fuse, main_helps, tracing, strict,
            [*loops], seed, [*inputs], bool(steerable)
        )

    @property
    def world(self) -> World:
        """The world. It can be changed between frames."""
        return self._world

    @property
    def systems(self) -> tuple[AnySystem, ...]:
        """The systems, in the order of their registration."""
        return self._systems

    def step(self, dt: float) -> FrameReport:
        """Runs a frame of ``dt``.

        Where a system raises, or a job kills one worker after the other, the world goes back to its newest generation,
        and :class:`FrameError` names the system, its rows and the worker, with the traceback. The next step works.
        """
        return self.run(1, dt)

    def run(self, frames: int, dt: float) -> FrameReport:
        """Runs ``frames`` frames of ``dt``. If every system sees its own rows only, and nothing is published between, all
        of them are run on some rows before the next; the result is the same.

        Signals are looked at between frames, so that Ctrl-C ends it: the world stands at the frame that it has reached.
        """
        return self._run(frames, dt, self._publish_every)

    def _run(self, frames: int, dt: float, publish_every: int) -> FrameReport:
        parts = self._native.run(integer_of("the number of frames", frames), float(dt), publish_every)
        patches = {each.name: _counts(*told) for each, told in zip(self._systems, parts.pop("patches"))}
        self._report = FrameReport(patches=patches, inputs=_counts(*parts.pop("inputs")), **parts)
        return self._report

    @property
    def report(self) -> Optional[FrameReport]:
        """The result of the newest call that succeeded; None before the first."""
        return self._report

    @property
    def plan(self) -> str:
        """Stages and batches as text, and why two systems cannot run together."""
        return self._native.plan()

    @property
    def workers(self) -> str:
        """The workers that were started, such as ``threads:3`` for ``auto``."""
        return self._native.workers()[0]

    @property
    def steering(self) -> Optional[Steering]:
        """How others want the run to go; None: it is not ``steerable``."""
        from .steering import Steering

        found = self._native.steering()
        return None if found is None else Steering(found)

    @property
    def worker_status(self) -> list[WorkerStatus]:
        """The status of each worker."""
        return [WorkerStatus(*parts) for parts in self._native.worker_status()]

    def set_payload(self, system: str, payload: bytes) -> None:
        """Replaces what a system finds in :attr:`Frame.payload`, from the next frame on."""
        self._native.set_payload(system, payload_of(payload))

    def publish(self) -> int:
        """Publishes the current state, as :meth:`World.publish` does."""
        return self._world.publish()

    def pin(self) -> Snapshot:
        """Pins the newest published generation."""
        return self._world.pin()

    @property
    def _native(self) -> _native.World:
        if self._closed:
            from .errors import ClosedError

            raise ClosedError("the simulation is closed; make a new one to run frames")
        return self._world._native

    def close(self) -> None:
        """Ends the workers. The world stays open, without systems."""
        if not self._closed:
            self._world._unschedule()
            self._closed = True

    def __repr__(self) -> str:
        names = ", ".join(each.name for each in self._systems)
        return f"<simulation of {names or 'nothing'}{', closed' if self._closed else ''}>"


def _counts(numbers: Any, dense_rows: int, refusal: Optional[str]) -> PatchCounts:
    return PatchCounts(*(*numbers, dense_rows, refusal))


def _workers(given: Any) -> str:
    """What names workers, where a number may have been given."""
    if isinstance(given, str):
        return given
    hint = f': write "threads:{given}" or "processes:{given}"' if isinstance(given, int) and given is not True else ""
    raise TypeError(f'workers are named by text, "auto", "local", "threads:N" or "processes:N"; not by {given!r}{hint}')


def worker_command(
    systems: Iterable[AnySystem] = (), worker: Union[str, Iterable[str], None] = None
) -> tuple[str, list[str]]:
    """The program and the arguments by which worker processes of these systems are started.

    They run this interpreter's ``python -m hypostyle.worker`` with the modules that the systems stand in, or with those
    that ``worker`` names: ``module``, ``module:system``, or a script's path.
    """
    if worker is not None:
        places = [worker] if isinstance(worker, str) else [*worker]
        own = [each for each in systems if isinstance(each, NativeSystem) or each.guard is not None]
        places += [_place_of(each) for each in own]
    else:
        places = [_place_of(each) for each in systems]
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)
    return sys.executable, [*flags, "-m", "hypostyle.worker", "--path", path, *places]


def _place_of(made: AnySystem) -> str:
    """Where another process finds a system: ``module:name``, or ``script.py:name``."""
    if isinstance(made, NativeSystem):
        return made._place
    if made.guard is not None:
        return guard_place(made)
    module = getattr(made.run, "__module__", None) or ""
    there = sys.modules.get(module)
    name = next((name for name, value in vars(there).items() if value is made), None) if there else None
    if name is None:
        raise WorkersError(
            f"worker processes cannot find system `{made.name}`: it must stand at the top of its module, "
            f"or `worker` must name a module that has it"
        )
    if module != "__main__":
        return f"{module}:{name}"
    spec: Any = getattr(there, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return f"{spec.name}:{name}"
    script = getattr(there, "__file__", None)
    if script is None or not os.path.isfile(script):
        raise WorkersError(
            f"worker processes cannot find system `{made.name}` of an interactive session: put it into a module"
        )
    return f"{os.path.abspath(script)}:{name}"
