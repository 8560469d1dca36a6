//! Access to the tables, for the world's owner between frames: one entity or many, by type or by name, and what a query
//! matches.
//!
//! Invariant: every access checks its arguments before it changes anything, and changes tables through the store alone. It
//! never publishes.

mod batch;
pub(crate) mod bulk;
pub(crate) mod bundle;
mod compare;
mod despawn;
pub(crate) mod edit;
pub(crate) mod ghosts;
pub(crate) mod lists;
pub(crate) mod lookup;
pub(crate) mod lookup_mut;
mod named;
mod parallel;
pub(crate) mod prefab;
pub(crate) mod query;
pub(crate) mod row;
mod select;
mod set_columns;
pub(crate) mod visit;
