//! Worlds in files: a pinned generation, whole, compressed and checked, and worlds that go on from it bit for bit.
//!
//! [`write()`] is an ordinary reader: it pins a generation, of a region of any process, and streams it out while the
//! simulation runs. A checkpoint holds all that a generation is: layout, tables, rows, presence, changed bits, chunk
//! stamps, entity map (and with it the free slots), resources, frame and time. [`open`] gives a [`CheckpointFile`],
//! which loads into private memory to be looked at like any region, or becomes a world in a new region.
//! [`Keeper`] writes checkpoints from time to time while a simulation runs, and keeps the newest. A [`CheckpointSet`] is
//! one world in the files of several processes.
//!
//! Architecture invariant: nothing here changes a world, and no frame waits for it. A file is hostile until checked.

pub(crate) mod codec;
mod error;
pub(crate) mod format;
mod join;
mod keeper;
pub(crate) mod parts;
pub(crate) mod place;
mod ranks;
mod read;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod sample;
pub(crate) mod set;
pub(crate) mod write;

#[cfg(test)]
mod tests;

pub use error::{CheckpointError, Damage, FormatError};
pub use join::{join, to_memory};
pub use keeper::{Found, KEEPER_PACE_PERCENT, Keeper, KeeperOptions, Kept, in_directory, newest};
pub use ranks::{WrittenRanks, write_ranks};
pub use read::{CheckpointFile, Verification, open};
pub use set::{CheckpointSet, SetFile};
pub use write::{CheckpointOptions, Report, write};
