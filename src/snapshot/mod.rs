//! Frozen generations: how the writer publishes them and how readers pin them.
//!
//! Architecture invariant: nothing here imports the commit; the two meet at words in the region's control page.

mod changes;
mod directory;
mod error;
mod hash;
mod owned;
mod reader;
mod table;

pub use changes::{ChangedChunks, ChangedColumn};
pub(crate) use directory::{ColumnEntry, Directory, Meta, TableEntry, encode as encode_directory, kind_code};
pub use error::SnapshotError;
pub use owned::{OwnedSnapshot, SharedReader};
pub(crate) use reader::reader_of;
pub use reader::{Pinned, Reader, Snapshot, WorkerInfo, WorkerState};
pub use table::{ColumnMemory, Presence, TableView};
