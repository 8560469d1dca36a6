//! Memory before it is needed: what a schedule is going to write has its second extents, and all columns their pages,
//! before the first frame. Frames then wait for no pages.
//!
//! Invariant: no byte of a column changes, and nothing depends on whether it was done.
#![forbid(unsafe_code)]

use crate::table::ENTITIES;

use super::Store;

impl Store {
    /// Makes the second extents of columns that are expected to be written, and touches the pages of all columns, on as
    /// many threads as there are processors. Where that cannot be had now, frames do it as they go.
    pub(in crate::world) fn prepare(&mut self) {
        for table in 0..self.tables.len() as u32 {
            // as large as the world, and only written where rows come and go
            if table == ENTITIES && !self.expected.moves_rows() {
                continue;
            }
            for column in 0..self.tables[table as usize].columns.len() {
                let column_now = &self.tables[table as usize].columns[column];
                if !column_now.expected || column_now.spare.is_some() {
                    continue;
                }
                if let Err(error) = self.ready_spare(table, column) {
                    tracing::debug!(%error, "second extents are made when they are needed");
                    return;
                }
            }
        }
        let columns = self.tables.iter().flat_map(|table| &table.columns);
        let extents = columns.flat_map(|column| [Some(column.live), column.spare.as_ref().map(|spare| spare.extent)]);
        let ranges = extents.flatten().map(|extent| extent.offset..extent.offset + extent.bytes).collect();
        if let Err(error) = self.region.touch(ranges) {
            tracing::debug!(%error, "pages are taken when they are touched");
        }
    }
}
