//! What tables are: columns and their kinds, shapes, places of rows, dirty rows, and which Rust type is which component.
//!
//! The words that the writer, its commits and the readers of generations share. Architecture invariant: nothing here
//! owns memory, reads a generation or changes a world.

mod column;
mod dirty;
mod error;
mod ghosts;
mod location;
mod presence;
mod registry;
mod shape;

pub(crate) use column::{Column, ColumnKind, Item, Spare, Stale};
pub(crate) use dirty::{DirtyRows, RowRuns};
pub(crate) use error::UnknownName;
pub(crate) use ghosts::Ghosts;
pub(crate) use location::{ENTITIES, FIRST_POOL, LOCATION_FREE, Location, RESOURCES};
pub use presence::Presence;
pub(crate) use registry::{IdMap, Registry, TypeMap};
pub(crate) use shape::{Shape, Slot, Table, TableKind, next_shapes};
