//! A shared-memory structure-of-arrays engine: typed columns, parallel systems in threads or processes, patches, and
//! generations that any process reads in place.
//!
//! Goals, in order:
//! 1. The same bytes for any number and kind of workers.
//! 2. A worker may die at any instruction without changing the result.
//! 3. Another process reads a consistent state without a copy and without stopping the simulation.
//! 4. The machine's memory bandwidth, not our overhead.
//! 5. It feels like an ECS: derive, queries, schedules.
//!
//! ```
//! use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
//!
//! #[derive(Component, Clone, Copy)]
//! struct Position { x: f32 }
//! #[derive(Component, Clone, Copy)]
//! struct Velocity { x: f32 }
//!
//! let mut world = World::builder().component::<Position>().component::<Velocity>().build()?;
//! let ship = world.spawn((Position { x: 0.0 }, Velocity { x: 2.0 }))?;
//! let mut schedule = Schedule::new();
//! schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut position, velocity)| {
//!     let dt = job.dt() as f32;
//!     position.x.map_with(velocity.x, |x, v| x + v * dt);
//! }));
//! let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
//! simulation.run(10, 0.5)?;
//! assert_eq!(simulation.world().get::<Position>(ship)?.x, 10.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to go next: [`System`] and [`Job`] for kernels, [`World`] for what is done between frames, [`Reader`] for other
//! processes, and the book in `docs/book` of the repository, of which every block is run by the tests.
//!
//! The modules below stand in floors: each imports those above it only.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    // such builds make the standard library anew, which takes a nightly compiler anyway
    all(target_arch = "wasm32", target_feature = "atomics"),
    feature(stdarch_wasm_atomic_wait)
)]
#![cfg_attr(not(unix), allow(dead_code, reason = "shared regions and processes are not there"))]

// the ground floor: bounds, atomics, the system, points at which tests kill
mod fault;
pub mod limits;
mod os;
#[cfg(all(test, not(target_family = "wasm")))]
mod own_process;
mod primitive;
#[cfg(all(test, loom))]
mod tracked;

// what the bytes mean, and what the layout's types are in Rust
pub mod layout;

pub mod simd;
mod value;

// places, cells, pairs: on plain slices
pub mod small;
pub mod space;

mod column;

mod component;
mod elsewhere;
mod exact_sum;
mod gather;
mod global_id;
mod join;
mod lists;
pub mod random;
mod reduce;

// where the bytes live, and how changes travel
mod patch;

mod accumulate;
pub mod trace;

mod region;
mod worker;

// what tables are; what a frozen state is
mod table;

mod id_hash;

mod generation;

// the state and what changes it
mod world;

mod commit;

mod snapshot;

mod inputs;

mod schedule;

// copies of states, elsewhere and later
#[cfg(feature = "checkpoint")]
pub mod checkpoint;
#[cfg(feature = "checkpoint")]
pub mod journal;

#[cfg(feature = "export")]
pub mod export;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(all(test, loom))]
mod models;

/// The README's example is tested, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// So are the blocks of the page on kernels.
#[cfg(doctest)]
#[doc = include_str!("../docs/kernels.md")]
pub struct Kernels;

/// And those of the page on tools.
#[cfg(doctest)]
#[doc = include_str!("../docs/toolbox.md")]
pub struct Toolbox;

extern crate self as hypostyle;

pub use column::Mut;
pub use commit::PatchCounts;
pub use component::{Bool, Component, Entity, Field, Plain, Resource};
pub use elsewhere::Elsewhere;
pub use exact_sum::ExactSum;
pub use generation::SnapshotError;
pub use global_id::GlobalId;
pub use hypostyle_derive::{Bundle, Component, Field, Reduce, Resource};
pub use id_hash::{IdHash, IdHashError};
pub use inputs::{InputError, InputSender, Steering};
pub use join::FieldJoin;
pub use layout::{FieldType, Layout, LayoutError, ScalarType};
pub use lists::Lists;
#[cfg(target_family = "wasm")]
pub use os::{Host, set_host};
pub use reduce::Reduce;
pub use region::{RegionError, RegionTarget};
#[cfg(unix)]
pub use schedule::serve;
pub use schedule::{
    FixedStep, FrameReport, Job, JobError, KernelError, Loop, NeighbourTable, Neighbours, STAGES, Schedule,
    ScheduleError, Simulation, SimulationBuilder, StepError, System, Tolerance,
};
pub use snapshot::{ClusterReader, GlobalIds, OwnedSnapshot, Reader, SharedReader, Snapshot, TableView};
pub use table::Presence;
pub use trace::Timeline;
pub use worker::{Sandbox, WorkerCommand, Workers};
pub use world::{
    AnyOf, BulkSpawn, Bundle, Changed, Dangling, Entities, KeptGeneration, List, Lookup, LookupMut, Prefab,
    PrefabSpawn, Publication, Query, Read, Rollback, RowBatch, RowBatchError, ValueMut, With, Without, World,
    WorldBuilder, WorldError, Write,
};

/// Regions as a whole: which there are, which processes write and read them, what stopped programs left, and how it is removed.
///
/// ```
/// for info in hypostyle::regions::list()? {
///     println!("{} {}", info.name, if info.alive { "is being written" } else { "has no writer" });
/// }
/// # Ok::<(), hypostyle::RegionError>(())
/// ```
pub mod regions {
    pub use crate::region::{
        LeaseInfo, RANKS_MAX, RegionInfo, Residue, ResidueKind, Usage, abandon, clean, clean_stale, inspect, list,
        list_in, notes_of_rank, ranks, residue,
    };
}

/// Workers one by one: how each is doing, and workers whose threads the embedder brings.
pub mod workers {
    pub use crate::snapshot::{WorkerInfo, WorkerState};
    pub use crate::worker::{DeathNotice, HostedWorker, PoolInfo, WorkerKind, WorkerStatus};
}

/// What a schedule becomes: stages, their batches and the systems in them ([`Simulation::plan`]).
pub mod plan {
    pub use crate::schedule::{BatchPlan, LoopPlan, Plan, StagePlan, SystemPlan};
}

/// A world that is one part of many, on other machines or in this process: what happens between the batches of its frames
/// ([`SimulationBuilder::exchange`]), and what a schedule needs of it.
pub mod exchange {
    pub use crate::schedule::exchange::{
        AccumulationNeeds, Exchange, ExchangeError, ExchangeNeeds, ReductionNeeds, SortNeeds, SortPoint, Stale,
        SystemNeeds, ViewNeeds,
    };
}

/// Forces between pairs of rows that are near each other, as a few calls: [`System::pairs`].
pub mod pairs {
    pub use crate::schedule::pairs::{
        Numbers, PAIR_SYSTEMS, PairAnchor, PairCell, PairLists, PairParts, PairRow, PairState, PairWatch,
    };
}

/// Columns as memory, for tools that copy, send or show a state: their bytes, their parts in it, what changed of them.
pub mod columns {
    pub use crate::column::ColumnCursor;
    pub use crate::generation::{ChangedChunks, ChangedColumn};
    pub use crate::global_id::{GlobalIdColumns, GlobalIdColumnsMut};
    pub use crate::schedule::pairs::{
        PairAnchorColumns, PairAnchorColumnsMut, PairCellColumns, PairCellColumnsMut, PairRowColumns, PairRowColumnsMut,
    };
    pub use crate::snapshot::{ColumnMemory, ColumnRole, Pinned, RawColumn, RawLists};
    pub use crate::value::{ColumnItem, Scalar};
}

/// Files that another program may have made: opened and read without waiting for what is no file.
pub mod files {
    pub use crate::os::{open_regular, read_regular};
}

/// Systems whose components are known by name only, at run time: kernels of other languages, in this process or in worker
/// processes that run another program.
///
/// Such a system is a [`Query`](dynamic::Query) by names and a kernel on bytes, which gets a [`Job`](dynamic::Job). To the
/// schedule it is a system like any other. Its patches are declared by name too ([`System::sets_named`] and the like), and
/// tables of a world are read by name with [`World::table_column`].
///
/// ```
/// use hypostyle::dynamic::{self, ColumnBytes};
/// use hypostyle::{Layout, Schedule, Simulation, Workers, World};
///
/// let layout = Layout::parse("name = \"oven\"\n[components.heat]\nfields = { degrees = \"f32\" }\n", "heat.toml")?;
/// let mut world = World::builder().layout(layout).build()?;
/// world.spawn_columns(100).with_named("heat").spawn()?;
///
/// let mut schedule = Schedule::new();
/// schedule.add(dynamic::system("warm up", dynamic::Query::new().write("heat"), |job| {
///     let ColumnBytes::Write(bytes) = &mut job.columns()[0].bytes else { return Err("heat is written".into()) };
///     for value in bytes.chunks_exact_mut(4) {
///         value.copy_from_slice(&20.5_f32.to_le_bytes());
///     }
///     Ok(())
/// }));
/// let mut simulation = Simulation::new(world, schedule, Workers::Local)?;
/// simulation.run(1, 0.1)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod dynamic {
    pub use crate::schedule::Comparison;
    pub use crate::schedule::ListBytes;
    pub use crate::schedule::dynamic::{Column, ColumnBytes, Job, Query, Table, Targets, external, once, system};
    #[cfg(unix)]
    pub use crate::schedule::serve_by_name as serve;
}

/// Errors that few programs name: what others have in their fields and as their sources.
pub mod errors {
    pub use crate::commit::Refusal;
    pub use crate::patch::{PatchError, RecordError, RingError};
    pub use crate::region::HeaderError;
    pub use crate::worker::{
        JobFailure, MemoryError, ParseSandboxError, ParseWorkersError, PoolError, RunnerName, WorkerError,
    };
    pub use crate::world::GhostError;
}

/// A stage on which tests let simulated workers and readers take turns, and where processes die. Not for programs.
#[cfg(feature = "fault-injection")]
#[doc(hidden)]
pub mod stage {
    pub use crate::fault::kill_at;
    pub use crate::fault::stage::{Actor, Curtain, Director, Fate, MAIN, give_way, raise, rest};
    pub use crate::world::life::late::GENERATION_LAST;
}

/// The names that most programs need: `use hypostyle::prelude::*;`.
pub mod prelude {
    pub use crate::{
        AnyOf, Bool, Bundle, Changed, Component, Entities, Entity, Job, List, Lists, Neighbours, Query, Read, Reader,
        Reduce, RegionTarget, Resource, Schedule, Simulation, System, With, Without, Workers, World, Write,
    };
}

/// What the code that the derives write refers to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use std::vec::Vec;

    pub use crate::column::ColumnCursor;
    pub use crate::component::{Component, Field, Plain, Resource};
    pub use crate::join::{Bits, Ordered, Summed};
    pub use crate::layout::{FieldLayout, Storage};
    pub use crate::schedule::pairs::Numbers;
    pub use crate::world::access::bundle::{Bundle, RegistryRef, RowRef, sealed::Sealed as SealedBundle};
    pub use crate::world::{RowOffsets, WorldError};

    /// The name of a column of a nested struct.
    #[must_use]
    pub fn nested_name(outer: &str, inner: &str) -> String {
        format!("{outer}_{inner}")
    }
}
