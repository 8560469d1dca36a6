//! hypostyle
#![allow(dead_code)]
mod primitive;
pub mod limits;
pub mod layout;
mod component;
mod column;
mod os;
mod region;
mod world;
mod snapshot;
mod schedule;
mod worker;
mod patch;
mod commit;
#[cfg(all(test, loom))]
mod tracked;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

extern crate self as hypostyle;

pub use column::{ColumnCursor, Mut};
pub use component::{Bool, ColumnItem, Component, Entity, Field, Plain, Resource, Scalar};
pub use hypostyle_derive::{Component, Resource};
pub use commit::{PatchCounts, Refusal};
pub use patch::{PatchError, RecordError, RingError};
pub use region::{HeaderError, RegionError, RegionInfo, RegionTarget, Usage, clean, clean_stale, inspect, list, list_in};
#[cfg(unix)]
pub use schedule::serve;
pub use schedule::{
    BatchPlan, FrameReport, Job, Plan, STAGES, Schedule, ScheduleError, Simulation, SimulationBuilder, StagePlan,
    StepError, System, SystemPlan, Table, View,
};
pub use snapshot::{Presence, Reader, Snapshot, SnapshotError, TableView};
pub use worker::{
    JobFailure, MemoryError, ParseWorkersError, PoolError, PoolNotice, RunnerName, WorkerCommand, WorkerError, WorkerKind,
    WorkerStatus, Workers,
};
pub use world::{
    AnyOf, BulkSpawn, Bundle, Changed, Entities, Prefab, PrefabSpawn, Publication, Query, Read, With, Without, World,
    WorldBuilder, WorldError, Write,
};
pub use layout::{
    ComponentLayout, FieldLayout, FieldType, Layout, LayoutError, ResourceLayout, ScalarType, Storage, TableHint,
};

/// What the code that the derives write refers to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use std::string::String;
    pub use std::vec::Vec;

    pub use bytemuck;

    pub use crate::column::{ColumnCursor, Mut};
    pub use crate::component::{ColumnItem, Component, Field, Plain, Resource};
    pub use crate::layout::{FieldLayout, Storage};
}
