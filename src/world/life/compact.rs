//! How a world gets room for what a schedule writes: as it stands, else compacted over some generations.
//!
//! Only a simulation that is being made asks for it, as each step is a generation.
#![forbid(unsafe_code)]

use crate::region::RegionError;
use crate::world::store::expected::Writes;
use crate::world::{World, WorldError};

/// Steps at most: after a few of them nothing moves any more.
const STEPS_MAX: usize = 8;

impl World {
    /// Notes what a schedule is going to write, and finds room for it; what is published is moved, where that helps.
    ///
    /// # Errors
    /// The world has no room for it; then nothing is expected. A world that has run goes on as it is.
    pub(crate) fn expect(&mut self, writes: Vec<Writes>) -> Result<(), WorldError> {
        let mut done = self.store.expect(writes.clone());
        if matches!(done, Err(RegionError::Full { .. })) {
            let wanted = self.store.exact_capacities();
            self.store.forget_expected();
            if self.compact(&wanted)? {
                done = self.store.expect(writes.clone());
            }
            if done.is_err() && self.frame > 0 {
                self.store.begin_expecting(writes);
            }
        }
        match done {
            Ok(()) => {
                self.store.prepare();
                Ok(())
            }
            // readers let go in time
            Err(RegionError::Held { .. }) => Ok(()),
            Err(error) if self.frame > 0 => {
                tracing::warn!(%error, "the world has less room than its schedule may need");
                Ok(())
            }
            Err(error) => {
                self.store.forget_expected();
                Err(error.into())
            }
        }
    }

    /// Moves frozen columns until what is free lies together, and gives tables these capacities. It takes generations.
    /// False: a reader holds what would be moved.
    ///
    /// # Errors
    /// As for [`World::publish`].
    fn compact(&mut self, capacities: &[(u32, u32)]) -> Result<bool, WorldError> {
        if !self.pack()? {
            return Ok(false);
        }
        for (table, capacity) in capacities {
            // what does not fit yet is asked for again by the code that needs it
            if let Err(error) = self.store.resize(*table, *capacity) {
                tracing::debug!(%error, table, capacity, "a table stays as it is");
            }
        }
        Ok(self.publish()?.is_published() && self.pack()?)
    }

    fn pack(&mut self) -> Result<bool, WorldError> {
        for _ in 0..STEPS_MAX {
            self.store.refresh_pins();
            if !self.store.pins().is_empty() {
                return Ok(false);
            }
            if !self.store.move_frozen_down()? {
                break;
            }
            if !self.publish()?.is_published() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
