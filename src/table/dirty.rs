//! Which rows were written, listed once for several columns: cheap to note, row by row.
//!
//! Invariant: no row that was written is missing; where too many are apart to be listed, their chunks are exact.
#![forbid(unsafe_code)]

use crate::limits::CHUNK_ROWS;

/// Rows that were written, in runs as long as they come in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowRuns {
    /// The last run: rows from here,
    from: u32,
    /// up to here. `u32::MAX`, which no row is, where runs are not listed any more.
    to: u32,
    /// The runs before it, with their ends.
    runs: Vec<(u32, u32)>,
    /// So many runs that listing them does not pay: the chunks that they touch, a bit each.
    chunks: Option<Vec<u64>>,
}

impl RowRuns {
    /// As if all rows had been written.
    pub(crate) fn all() -> Self {
        RowRuns { runs: vec![(0, u32::MAX)], ..RowRuns::default() }
    }

    /// Notes all rows of a chunk.
    pub(crate) fn write_chunk(&mut self, chunk: u32) {
        let (from, to) = (chunk * CHUNK_ROWS as u32, (chunk + 1) * CHUNK_ROWS as u32);
        match (&mut self.chunks, self.runs.last_mut()) {
            (Some(chunks), _) => set_chunks(chunks, from, from + 1),
            (None, Some((_, end))) if *end == from => *end = to,
            (None, _) => self.runs.push((from, to)),
        }
    }

    /// Notes a row of a table of `total`.
    #[inline(always)]
    pub(crate) fn write(&mut self, row: u32, total: u32) {
        if row == self.to { self.to += 1 } else { self.write_apart(row, total) }
    }

    #[inline]
    fn write_apart(&mut self, row: u32, total: u32) {
        if let Some(chunks) = &mut self.chunks {
            let chunk = row as usize / CHUNK_ROWS;
            match chunks.get_mut(chunk / 64) {
                Some(word) => *word |= 1 << (chunk % 64),
                None => set_chunks(chunks, row, row + 1),
            }
        } else if row < self.from || row > self.to {
            self.begin_run(row, total);
        }
    }

    #[inline(never)]
    fn begin_run(&mut self, row: u32, total: u32) {
        if self.from < self.to {
            self.runs.push((self.from, self.to));
        }
        (self.from, self.to) = (row, row + 1);
        if self.runs.len() as u64 > u64::from(total) / 16 + 64 {
            let mut chunks = Vec::new();
            for (from, to) in self.runs.drain(..) {
                set_chunks(&mut chunks, from, to);
            }
            set_chunks(&mut chunks, row, row + 1);
            self.chunks = Some(chunks);
            (self.from, self.to) = (u32::MAX, u32::MAX);
        }
    }

    /// Calls `f` with the runs (start, rows) below `rows`.
    pub(crate) fn each_run(&self, rows: u32, mut f: impl FnMut(u32, u32)) {
        for (from, to) in self.runs.iter().copied().chain([(self.from, self.to)]) {
            // rows may have gone since
            let to = to.min(rows);
            if from < to {
                f(from, to - from);
            }
        }
    }

    /// Whether the rows are known; else their chunks are.
    pub(crate) fn in_runs(&self) -> bool {
        self.chunks.is_none()
    }

    /// Whether rows of a chunk were written; where runs are not listed any more.
    pub(crate) fn has_chunk(&self, chunk: usize) -> bool {
        let words = self.chunks.as_deref().unwrap_or_default();
        words.get(chunk / 64).is_some_and(|word| word >> (chunk % 64) & 1 != 0)
    }

    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.chunks = None;
        (self.from, self.to) = (0, 0);
    }
}

/// Sets the bits of the chunks of rows.
#[inline(never)]
fn set_chunks(chunks: &mut Vec<u64>, from: u32, to: u32) {
    let (first, last) = (from as usize / CHUNK_ROWS, (to - 1) as usize / CHUNK_ROWS);
    if chunks.len() <= last / 64 {
        chunks.resize(last / 64 + 1, 0);
    }
    for chunk in first..=last {
        chunks[chunk / 64] |= 1 << (chunk % 64);
    }
}

/// What was written to a table row by row, and its columns have not noted yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirtyRows {
    /// Whether anything of it is open.
    pub(crate) listed: bool,
    /// Whether the table is open; no rows are noted for all its columns where it is not.
    pub(crate) open: bool,
    /// Rows from here on,
    pub(crate) appended: u32,
    /// and these below.
    pub(crate) rows: RowRuns,
    /// Bits of rows below were cleared, as these rows are gone.
    pub(crate) gone: u32,
    /// Of open components, the rows that were written in their columns: where the first of them stands (`Slot::mark`).
    pub(crate) components: Vec<Option<RowRuns>>,
    /// For the next one that is opened.
    pub(crate) spare: Vec<RowRuns>,
}

impl DirtyRows {
    /// Whether anything of the table is open.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    #[inline]
    pub(crate) fn append(&mut self, row: u32) {
        self.appended = self.appended.min(row);
    }

    #[inline]
    pub(crate) fn write(&mut self, row: u32, total: u32) {
        if row < self.appended {
            self.rows.write(row, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_is_noted_and_no_other_chunk(
            runs in prop::collection::vec((0u32..20_000, 1u32..40, 0u32..4), 0..200), total in 1u32..20_000
        ) {
            let mut notes = RowRuns::default();
            let mut rows = BTreeSet::new();
            for (start, len, step) in runs {
                if step == 0 {
                    let chunk = start / CHUNK_ROWS as u32;
                    notes.write_chunk(chunk);
                    rows.extend(chunk * CHUNK_ROWS as u32..(chunk + 1) * CHUNK_ROWS as u32);
                    continue;
                }
                for row in (start..start + len * step).step_by(step as usize) {
                    notes.write(row, 20_000);
                    rows.insert(row);
                }
            }
            if notes.in_runs() {
                let mut listed = BTreeSet::new();
                notes.each_run(total, |start, len| listed.extend(start..start + len));
                prop_assert_eq!(&listed, &rows.iter().copied().filter(|row| *row < total).collect());
            } else {
                let chunks: BTreeSet<usize> = rows.iter().map(|row| *row as usize / CHUNK_ROWS).collect();
                for chunk in 0..25_000 / CHUNK_ROWS {
                    prop_assert_eq!(notes.has_chunk(chunk), chunks.contains(&chunk));
                }
            }
            notes.clear();
            notes.each_run(u32::MAX, |_, _| unreachable!("nothing is noted"));
            prop_assert!(notes.in_runs());
        }
    }
}
