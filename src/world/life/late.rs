//! Worlds whose counters begin near their end, for tests.
#![forbid(unsafe_code)]

use crate::region::pin;
use crate::world::{Publication, World, WorldError};

/// The last generation that a world can publish.
pub const GENERATION_LAST: u64 = pin::GENERATION_MAX - 1;

impl World {
    /// Publishes the world's state as this generation of this frame, as if all before had been.
    ///
    /// # Errors
    /// As [`World::publish`].
    #[doc(hidden)]
    pub fn publish_as(&mut self, generation: u64, frame: u64) -> Result<Publication, WorldError> {
        assert!(generation > self.store.published, "numbers grow");
        (self.store.published, self.frame) = (generation - 1, frame);
        self.publish()
    }
}
