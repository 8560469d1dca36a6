//! Columns that jobs wrote: their rows become the content, those of all other jobs stay what they were.
//!
//! Where a column was written in another extent, that extent lacks the rows of the jobs that did not touch it. Of those
//! only what is stale is copied: the cost follows what changed, not the table.
#![forbid(unsafe_code)]

use super::Store;

impl Store {
    /// Rows of a column were written, `ranges` in order and apart, in the extent that `write_whole` gave; `flip`: in another
    /// one than the live one. Without any, nothing happened.
    pub(crate) fn wrote(&mut self, table: u32, column: usize, flip: bool, ranges: &[(u32, u32)]) {
        let rows = self.tables[table as usize].rows;
        if ranges.is_empty() {
            return;
        }
        if flip {
            if ranges != [(0, rows)] {
                self.complete_spare(table, column, ranges);
            }
            self.flip(table, column);
        }
        for (start, end) in ranges {
            self.mark_dirty(table, column, *start, end - start);
        }
    }

    /// Brings a spare extent up to date but for `written`, which is newer there, and its stamps. What it differs in from the
    /// live extent is then `written` alone, which the caller notes once the two have changed places.
    fn complete_spare(&mut self, table: u32, column: usize, written: &[(u32, u32)]) {
        let Store { tables, arena, .. } = self;
        let table = &mut tables[table as usize];
        let (rows, capacity) = (table.rows, table.capacity);
        let column = &mut table.columns[column];
        let from = column.live.offset;
        let to = column.spare.as_ref().expect("it was written").extent.offset;
        let (stamps, total) = column.item.extent_bytes(capacity);
        let row_bytes = u64::from(column.item.row_bytes());
        let mut copy = |start: u32, end: u32| {
            let at = u64::from(start) * row_bytes;
            arena.copy(from + at, to + at, u64::from(end - start) * row_bytes);
        };
        let all = [(0, rows)];
        for (start, len) in column.stale.runs().unwrap_or(&all[..]) {
            let end = start.saturating_add(*len).min(rows);
            let mut at = *start;
            // the first range that ends behind the run's begin, and those after it
            let first = written.partition_point(|(_, end)| *end <= at);
            for (from, to) in &written[first..] {
                if *from >= end {
                    break;
                }
                if *from > at {
                    copy(at, *from);
                }
                at = *to;
            }
            if at < end {
                copy(at, end);
            }
        }
        column.stale.clear();
        arena.copy(from + stamps, to + stamps, total - stamps);
    }
}
