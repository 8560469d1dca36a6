//! What a frozen state is: the directory of a generation, what changed since one, and what can be
//! wrong with one.
//!
//! Architecture invariant: nothing here publishes, pins or changes anything; the writer and the readers stand on it.

mod changes;
pub(crate) mod check;
mod directory;
mod error;

pub use changes::{ChangedChunks, ChangedColumn};
pub(crate) use directory::{ColumnEntry, Directory, Meta, TableEntry, encode as encode_directory};
pub use error::SnapshotError;
