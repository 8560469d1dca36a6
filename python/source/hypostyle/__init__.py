"""Live simulations from shared memory, in place.

    >>> import hypostyle
    >>> region = hypostyle.open("demo")                          # doctest: +SKIP
    >>> with region.pin() as snapshot:                           # doctest: +SKIP
    ...     print(snapshot.frame, snapshot["position"].x.mean())

A snapshot is a finished state that another process published. Its columns are read-only numpy arrays on the
simulation's own bytes: nothing is copied, and the simulation is not stopped.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _native
from .errors import (
    AbsentError,
    BadNameError,
    ClosedError,
    FieldValueError,
    FrameError,
    HypostyleError,
    InputsFullError,
    LayoutError,
    NameCollisionWarning,
    NoLeaseError,
    ForkedError,
    NoSpaceError,
    NotPublishedError,
    NotKeptError,
    NoInputsError,
    NotSteerableError,
    NothingPublishedError,
    RegionError,
    RegionInUseError,
    RegionNotFoundError,
    ScheduleError,
    SeveralTablesError,
    UnknownNameError,
    WorkersError,
    WriterGoneError,
)
from .layout import ComponentLayout, FieldLayout, Layout, ResourceLayout
from . import small, space
from .clock import FixedStep
from .cluster import ClusterReader, ClusterSnapshot
from .inputs import InputSender
from .journal import Journal, Recorded
from .reduction import Reduction
from .region import LeaseInfo, Reader, RegionInfo, Residue, clean, clean_stale, list_regions, open_region
from .series import to_xarray
from .scene import NativeSystem, Scene, scenes
from .snapshot import ChangedRows, Changes, Chunk, Component, Resource, Rows, Selection, Snapshot, Table
from .simulation import FrameReport, Loop, PatchCounts, Simulation, WorkerStatus, worker_command
from .steering import Steering
from .system import (
    Frame,
    Job,
    JobComponent,
    NeighbourTable,
    Patches,
    System,
    ends_events,
    guard_conserved,
    guard_finite,
    guard_within,
    relation_cascade,
    relation_clear,
    system,
)
from .world import World

__version__: str = _native.__version__

#: All named regions of this machine, or those in a directory.
list = list_regions
#: Opens the region of a simulation.
open = open_region
#: The handle of no entity.
NULL_ENTITY = 0xFFFF_FFFF_FFFF_FFFF


def entity_index(handles: Any) -> Any:
    """The slots of handles: the low 32 bits."""
    return np.uint32(np.asarray(handles, np.uint64) & np.uint64(0xFFFF_FFFF))


def entity_generation(handles: Any) -> Any:
    """The generations of handles: the high 32 bits. A slot that is used again gets a new one."""
    return np.uint32(np.asarray(handles, np.uint64) >> np.uint64(32))


# `list` and `open` are left out: a star import would take the builtins' place
__all__ = [
    "AbsentError",
    "BadNameError",
    "ChangedRows",
    "Changes",
    "Chunk",
    "ClosedError",
    "ClusterReader",
    "ClusterSnapshot",
    "Component",
    "ComponentLayout",
    "FieldLayout",
    "FieldValueError",
    "FixedStep",
    "ForkedError",
    "Frame",
    "FrameError",
    "FrameReport",
    "HypostyleError",
    "InputSender",
    "InputsFullError",
    "Job",
    "JobComponent",
    "Journal",
    "Layout",
    "LayoutError",
    "LeaseInfo",
    "Loop",
    "NULL_ENTITY",
    "NameCollisionWarning",
    "NativeSystem",
    "NeighbourTable",
    "NoLeaseError",
    "NoSpaceError",
    "NotPublishedError",
    "NotKeptError",
    "NoInputsError",
    "NotSteerableError",
    "NothingPublishedError",
    "PatchCounts",
    "Patches",
    "Reader",
    "Recorded",
    "Reduction",
    "RegionError",
    "RegionInUseError",
    "RegionInfo",
    "RegionNotFoundError",
    "Residue",
    "Resource",
    "ResourceLayout",
    "Rows",
    "Scene",
    "ScheduleError",
    "Selection",
    "SeveralTablesError",
    "Simulation",
    "Snapshot",
    "Steering",
    "System",
    "Table",
    "UnknownNameError",
    "WorkerStatus",
    "WorkersError",
    "World",
    "WriterGoneError",
    "clean",
    "clean_stale",
    "entity_generation",
    "entity_index",
    "ends_events",
    "guard_conserved",
    "guard_finite",
    "guard_within",
    "relation_cascade",
    "relation_clear",
    "scenes",
    "small",
    "space",
    "system",
    "to_xarray",
    "worker_command",
]
