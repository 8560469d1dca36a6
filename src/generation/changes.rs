//! What changed since a generation: the one answer, for readers, deltas, journals and rollbacks.
//!
//! A column's extent tells, for each chunk of 1024 rows, the generation in which it was last written (its *stamp*). When a
//! query adds or removes a component of whole tables, columns go from one table to another as they are, stamps included;
//! then the directory tells the generation in which that happened (`moved`). Neither is an answer without the other, so
//! nobody outside gets one of them alone.
//!
//! Invariant: where the bytes of a chunk's rows in a later generation differ from those in an earlier one that had the
//! same row numbers, the chunk has changed since the earlier one. The reverse need not hold: a chunk that was written
//! with what it held before counts as changed.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::limits::CHUNK_ROWS;

/// Which chunks of 1024 rows of a column changed since a generation: what
/// [`TableView::changed_since`](crate::TableView::changed_since) finds.
#[derive(Clone, Copy, Debug)]
pub struct ChangedChunks<'s> {
    stamps: &'s [u64],
    rows: usize,
    since: u64,
    /// Columns changed hands since: any row may be another's.
    all: bool,
}

impl<'s> ChangedChunks<'s> {
    /// Those of a column with these stamps, a chunk each, which another table had until the generation `moved` (0: none).
    pub(crate) fn new(stamps: &'s [u64], rows: usize, moved: u64, since: u64) -> Self {
        ChangedChunks {
            stamps: &stamps[..rows.div_ceil(CHUNK_ROWS).min(stamps.len())],
            rows,
            since,
            all: moved > since,
        }
    }

    /// How many chunks the column has: one for every 1024 rows, the last one shorter.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.stamps.len()
    }

    /// Whether a chunk changed; the column has no others than [`ChangedChunks::chunks`].
    #[must_use]
    pub fn contains(&self, chunk: usize) -> bool {
        self.stamps.get(chunk).is_some_and(|stamp| self.all || *stamp > self.since)
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The chunks that changed, in order: chunk `c` has the rows from `1024 * c` on.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let Self { stamps, since, all, .. } = *self;
        stamps.iter().enumerate().filter(move |(_, stamp)| all || **stamp > since).map(|(chunk, _)| chunk)
    }

    /// The rows of the chunks that changed, as runs that do not touch each other, in order.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let rows = self.rows;
        let mut chunks = self.iter().peekable();
        std::iter::from_fn(move || {
            let first = chunks.next()?;
            let mut end = first + 1;
            while chunks.next_if_eq(&end).is_some() {
                end += 1;
            }
            Some(first * CHUNK_ROWS..(end * CHUNK_ROWS).min(rows))
        })
    }
}

/// A column of which something changed since a generation: what [`Snapshot::changed_since`](crate::Snapshot::changed_since)
/// finds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChangedColumn<'s> {
    /// The table, in the order of [`Snapshot::tables`](crate::Snapshot::tables).
    pub table: usize,
    /// `position.x` of a field, a toggle's name for the entities that have it, `(entity)` of the rows' handles.
    pub name: String,
    /// The chunks.
    pub chunks: ChangedChunks<'s>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_the_rows_of_the_changed_chunks(
            stamps in prop::collection::vec(0u64..6, 0..40),
            cut in 0usize..CHUNK_ROWS,
            since in 0u64..6,
            moved in 0u64..6,
        ) {
            let rows = (stamps.len() * CHUNK_ROWS).saturating_sub(cut);
            let changed = ChangedChunks::new(&stamps, rows, moved, since);
            let mut got = vec![false; rows];
            let mut end_before = None;
            for run in changed.runs() {
                prop_assert!(run.start < run.end && end_before.is_none_or(|end| end < run.start));
                end_before = Some(run.end);
                got[run].fill(true);
            }
            for (row, got) in got.iter().enumerate() {
                let chunk = row / CHUNK_ROWS;
                let want = moved > since || stamps[chunk] > since;
                prop_assert_eq!(*got, want);
                prop_assert_eq!(changed.contains(chunk), want);
            }
            prop_assert_eq!(changed.is_empty(), !got.contains(&true));
            prop_assert!(!changed.contains(changed.chunks()));
        }
    }
}
