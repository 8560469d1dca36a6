//! What the store does when a generation is published: columns freeze, and mostly empty tables give memory back.
#![forbid(unsafe_code)]

use crate::region::RegionError;
use crate::table::FIRST_POOL;

use super::{CAPACITY_MIN, SLACK_PUBLICATIONS, Store};

impl Store {
    /// Freezes every building column: generation `generation` names them from now on.
    pub(crate) fn freeze(&mut self, generation: u64) {
        debug_assert!(self.opened.is_empty(), "a publication closes what is open");
        for table in &mut self.tables {
            let published = table.shape.published;
            for column in table.columns[..published].iter_mut().filter(|column| column.building) {
                column.building = false;
                column.named_since = generation;
            }
            // what systems that look at neighbours wrote beside the old rows is not needed any more
            for spare in table.columns[published..].iter_mut().filter_map(|column| column.spare.take()) {
                self.region.free(spare.extent);
            }
        }
        self.published = generation;
        self.dirty = false;
    }

    /// Gives back the memory of mostly empty tables at once, where memory is short: the next generation has them small.
    pub(crate) fn shrink_tight(&mut self) {
        if self.is_roomy(0) {
            return;
        }
        for t in FIRST_POOL as usize..self.tables.len() {
            let table = &self.tables[t];
            let shown = table.shown_rows();
            if u64::from(shown) * 4 < u64::from(table.capacity) && table.capacity > CAPACITY_MIN {
                let capacity = (shown + shown / 2).max(CAPACITY_MIN).next_multiple_of(64);
                if let Err(error) = self.resize(t as u32, capacity) {
                    tracing::debug!(%error, table = t, "a table keeps room that it does not need");
                }
            }
        }
    }

    /// Gives back the memory of tables that have been mostly empty for long.
    pub(crate) fn shrink(&mut self) -> Result<(), RegionError> {
        let mut shrunk = false;
        for t in FIRST_POOL as usize..self.tables.len() {
            let table = &mut self.tables[t];
            let shown = table.shown_rows();
            if table.capacity > 4096 && u64::from(shown) * 4 < u64::from(table.capacity) {
                table.slack += 1;
                if table.slack >= SLACK_PUBLICATIONS {
                    table.slack = 0;
                    let capacity = (shown + shown / 2).max(CAPACITY_MIN).next_multiple_of(64);
                    // a world too tight to hold both sizes at once keeps what it has
                    shrunk |= self.resize(t as u32, capacity).is_ok();
                }
            } else {
                table.slack = 0;
            }
        }
        if shrunk || self.published.is_multiple_of(256) {
            let given_back = self.region.trim()?;
            if given_back > 0 {
                tracing::debug!(given_back, "memory returned to the system");
            }
        }
        Ok(())
    }
}
