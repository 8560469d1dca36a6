//! Where the bytes live: regions, their extents, their control words and their readers' leases.
//!
//! A [`Region`] is the writer's side: it creates or takes over, hands out [`Extent`]s and grows. A [`ReaderMap`] sees
//! the same bytes read-only and owns [`Lease`]s; a [`WorkerMap`] sees them read-only and opens writable windows. All
//! three exist in memory of one process ([`RegionTarget::Heap`]), under a name in shared memory
//! ([`RegionTarget::Named`]) and in a directory ([`RegionTarget::Directory`]), with one behaviour.
//!
//! Invariants
//! - Data never moves: every process maps the whole reserved range once, and the file grows underneath.
//! - Nobody touches a byte past the backed length.
//! - A live region is never overwritten, taken over or removed by another process.
//!
//! This module must never know what an extent holds: columns, tables and generations live above it.

mod control;
mod error;
mod extent;
mod header;
mod heap;
mod lease;
mod list;
mod mapping;
pub(crate) mod pin;
mod prefault;
mod ranks;
mod reader;
mod residue;
mod runs;
mod target;
mod writer;

#[cfg(unix)]
mod files;
#[cfg(unix)]
mod worker;

#[cfg(test)]
mod tests;

pub use error::{HeaderError, RegionError};
pub use lease::LeaseInfo;
pub use list::{RegionInfo, abandon, clean, inspect, list, list_in};
pub use ranks::{RANKS_MAX, notes_of_rank, ranks};
pub use residue::{Residue, ResidueKind, clean_stale, residue};
pub use target::RegionTarget;

pub(crate) use control::worker_state;
pub(crate) use extent::ExtentPool;
pub(crate) use lease::Lease;
pub(crate) use mapping::Mapping;
pub(crate) use reader::ReaderMap;
pub(crate) use runs::Extent;
#[cfg(unix)]
pub(crate) use worker::WorkerMap;
pub use writer::Usage;
pub(crate) use writer::{Region, forked};
