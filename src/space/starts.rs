//! Which rows of a sorted table are in which cell.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::SpaceError;

/// The first row of each cell, in a table that is sorted by the cells' numbers. It is made in one pass over the keys, and
/// then answers without a search.
///
/// Behind its own rows a table may show ghosts, rows of other parts of a spread world
/// ([`World::set_ghosts`](crate::World::set_ghosts)), which are sorted, too. A cell then has own rows, ghosts, or both: its
/// own ones come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellStarts {
    /// Of each cell, and where the last one ends.
    rows: Vec<u32>,
    /// The same among ghosts; empty where there are none.
    ghosts: Vec<u32>,
}

/// The rows of the cells `first..=last`, where `starts` has those of each.
#[inline]
fn between(starts: &[u32], first: u32, last: u32) -> Range<usize> {
    match (starts.get(first as usize), starts.get(last as usize + 1)) {
        (Some(from), Some(to)) => *from as usize..*to as usize,
        _ => 0..0,
    }
}

impl CellStarts {
    /// Of keys in order.
    ///
    /// # Errors
    /// Keys that are not in order, or are of no cell.
    pub fn of_sorted(keys: &[u32], cells: usize) -> Result<Self, SpaceError> {
        let mut starts = CellStarts::default();
        starts.refill(keys, cells)?;
        Ok(starts)
    }

    /// As [`CellStarts::of_sorted`], in the memory that it has.
    ///
    /// # Errors
    /// As [`CellStarts::of_sorted`]; nothing is found then.
    pub fn refill(&mut self, keys: &[u32], cells: usize) -> Result<(), SpaceError> {
        self.refill_with_ghosts(keys, keys.len(), cells)
    }

    /// Of the keys of `own` rows, in order, and of ghosts behind them, in an order of their own.
    ///
    /// ```
    /// use hypostyle::space::CellStarts;
    /// let starts = CellStarts::with_ghosts(&[1, 1, 3, /* ghosts */ 0, 2], 3, 4)?;
    /// let mut rows = Vec::new();
    /// starts.each_run(0, 3, |run| rows.extend(run));
    /// assert_eq!(rows, [3, 0, 1, 4, 2]);
    /// # Ok::<(), hypostyle::space::SpaceError>(())
    /// ```
    ///
    /// # Errors
    /// As [`CellStarts::of_sorted`], for each of the two.
    ///
    /// # Panics
    /// More own rows than keys.
    pub fn with_ghosts(keys: &[u32], own: usize, cells: usize) -> Result<Self, SpaceError> {
        let mut starts = CellStarts::default();
        starts.refill_with_ghosts(keys, own, cells)?;
        Ok(starts)
    }

    /// As [`CellStarts::with_ghosts`], in the memory that it has.
    ///
    /// # Errors
    /// As [`CellStarts::with_ghosts`]; nothing is found then.
    ///
    /// # Panics
    /// As [`CellStarts::with_ghosts`].
    pub fn refill_with_ghosts(&mut self, keys: &[u32], own: usize, cells: usize) -> Result<(), SpaceError> {
        let filled = fill(&mut self.rows, keys, 0..own, cells);
        let filled = match own == keys.len() {
            true => {
                self.ghosts.clear();
                filled
            }
            false => filled.and_then(|()| fill(&mut self.ghosts, keys, own..keys.len(), cells)),
        };
        if filled.is_err() {
            self.rows.clear();
            self.ghosts.clear();
        }
        filled
    }

    /// Cells.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.rows.len().saturating_sub(1)
    }

    /// The rows of a cell; none of one that is not there.
    ///
    /// # Panics
    /// As [`CellStarts::run`].
    #[inline]
    #[must_use]
    pub fn rows(&self, cell: u32) -> Range<usize> {
        self.run(cell, cell)
    }

    /// The rows of the cells `first..=last`, one after the other: own ones or ghosts.
    ///
    /// # Panics
    /// Where these cells have own rows and ghosts, which do not stand one after the other: [`CellStarts::each_run`] goes over
    /// them.
    #[inline]
    #[must_use]
    pub fn run(&self, first: u32, last: u32) -> Range<usize> {
        let own = between(&self.rows, first, last);
        if self.ghosts.is_empty() {
            return own;
        }
        let ghosts = between(&self.ghosts, first, last);
        assert!(
            own.is_empty() || ghosts.is_empty(),
            "cells {first} to {last} have own rows and ghosts: see `each_run`"
        );
        if ghosts.is_empty() { own } else { ghosts }
    }

    /// Calls `f` with the rows of the cells `first..=last`, cell by cell, as runs of rows that stand one after the other. None
    /// is empty.
    #[inline]
    pub fn each_run(&self, first: u32, last: u32, mut f: impl FnMut(Range<usize>)) {
        let (own, ghosts) = (between(&self.rows, first, last), between(&self.ghosts, first, last));
        match (own.is_empty(), ghosts.is_empty()) {
            (true, true) => {}
            (false, true) => f(own),
            (true, false) => f(ghosts),
            (false, false) => self.each_mixed_run(first, last, f),
        }
    }

    #[cold]
    fn each_mixed_run(&self, first: u32, last: u32, mut f: impl FnMut(Range<usize>)) {
        let mut open = 0..0;
        for part in (first..=last).flat_map(|cell| [&self.rows, &self.ghosts].map(|starts| between(starts, cell, cell)))
        {
            if part.is_empty() {
                continue;
            }
            if open.is_empty() {
                open = part;
            } else if open.end == part.start {
                open.end = part.end;
            } else {
                f(std::mem::replace(&mut open, part));
            }
        }
        if !open.is_empty() {
            f(open);
        }
    }

    /// Where the last row ends.
    pub(super) fn end(&self) -> usize {
        let ends = [self.rows.last(), self.ghosts.last()];
        ends.into_iter().flatten().copied().max().unwrap_or(0) as usize
    }
}

/// The first row of each cell among some rows in order, and where the last cell ends.
fn fill(starts: &mut Vec<u32>, keys: &[u32], rows: Range<usize>, cells: usize) -> Result<(), SpaceError> {
    starts.clear();
    starts.resize(cells + 1, 0);
    let (first, end) = (rows.start, rows.end);
    // cells up to here have their start
    let mut next = 0;
    for (index, &key) in keys[rows].iter().enumerate() {
        let row = first + index;
        if key as usize >= cells {
            return Err(SpaceError::NoCell { row, key, cells });
        }
        if (key as usize) + 1 < next {
            return Err(SpaceError::Unsorted { row, key, before: keys[row - 1] });
        }
        while next <= key as usize {
            starts[next] = row as u32;
            next += 1;
        }
    }
    starts[next..].fill(end as u32);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_those_with_the_key(mut keys in prop::collection::vec(0u32..40, 0..200), cells in 40usize..50) {
            keys.sort_unstable();
            let starts = CellStarts::of_sorted(&keys, cells).expect("they are sorted");
            prop_assert_eq!(starts.cells(), cells);
            for cell in 0..cells as u32 {
                let want: Vec<usize> = (0..keys.len()).filter(|row| keys[*row] == cell).collect();
                prop_assert_eq!(starts.rows(cell).collect::<Vec<_>>(), want);
            }
            prop_assert_eq!(starts.run(0, cells as u32 - 1), 0..keys.len());
        }
    }

    /// Keys of rows in order.
    fn sorted() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(0u32..30, 0..60).prop_map(|mut keys| {
            keys.sort_unstable();
            keys
        })
    }

    proptest! {
        #[test]
        fn own_rows_and_ghosts_come_cell_by_cell(own in sorted(), ghosts in sorted(), first in 0u32..34, more in 0u32..34) {
            let keys = [&own[..], &ghosts].concat();
            let last = (first + more).min(34);
            let starts = CellStarts::with_ghosts(&keys, own.len(), 35).expect("they are sorted");
            let mut want: Vec<usize> = (0..keys.len()).filter(|row| (first..=last).contains(&keys[*row])).collect();
            want.sort_by_key(|row| (keys[*row], *row));
            let mut runs = Vec::new();
            starts.each_run(first, last, |run| runs.push(run));
            prop_assert!(runs.iter().all(|run| !run.is_empty()));
            prop_assert!(runs.windows(2).all(|two| two[0].end != two[1].start), "runs are as long as can be");
            prop_assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), want);
            prop_assert_eq!(starts.end(), keys.len());
        }
    }

    #[test]
    fn cells_with_own_rows_and_ghosts_are_no_run() {
        let starts = CellStarts::with_ghosts(&[0, 2, /* ghosts */ 1, 2], 2, 4).expect("they are sorted");
        assert_eq!((starts.rows(0), starts.rows(1), starts.rows(3).len()), (0..1, 2..3, 0));
        assert!(std::panic::catch_unwind(|| starts.rows(2)).is_err());
        assert!(std::panic::catch_unwind(|| starts.run(0, 1)).is_err());
        let refused = CellStarts::with_ghosts(&[0, 2, /* ghosts */ 2, 1], 2, 4);
        assert_eq!(refused, Err(SpaceError::Unsorted { row: 3, key: 1, before: 2 }));
    }

    #[test]
    fn keys_out_of_order_or_range_are_refused() {
        let mut starts = CellStarts::default();
        assert_eq!(starts.refill(&[1, 3, 2], 4), Err(SpaceError::Unsorted { row: 2, key: 2, before: 3 }));
        assert_eq!((starts.cells(), starts.rows(1)), (0, 0..0));
        assert_eq!(starts.refill(&[1, 4], 4), Err(SpaceError::NoCell { row: 1, key: 4, cells: 4 }));
        assert_eq!(starts.refill(&[], 4), Ok(()));
        assert_eq!(starts.rows(3), 0..0);
    }
}
