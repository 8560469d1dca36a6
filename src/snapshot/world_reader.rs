//! Readers of a world in the process that writes it.
#![forbid(unsafe_code)]

use crate::World;
use crate::generation::SnapshotError;

use super::reader::{Reader, reader_of};

impl World {
    /// A reader of this world in the same process.
    ///
    /// # Errors
    /// No lease is free.
    pub fn reader(&self) -> Result<Reader, SnapshotError> {
        reader_of(&self.store.region, &self.registry.layout, self.layout_hash)
    }
}
