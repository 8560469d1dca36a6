//! Frozen generations: how the writer publishes them and how readers pin them.
//!
//! Architecture invariant: nothing here imports the commit; the two meet at words in the region's control page.

mod cluster;
mod hash;
mod ids;
mod lists;
mod owned;
mod raw;
mod reader;
mod table;
mod world_reader;

pub use cluster::ClusterReader;
pub use ids::GlobalIds;
pub use lists::RawLists;
pub use owned::{OwnedSnapshot, SharedReader};
pub use raw::{ColumnRole, RawColumn};
pub use reader::{Pinned, Reader, Snapshot, WorkerInfo, WorkerState};
pub use table::{ColumnMemory, TableView};
