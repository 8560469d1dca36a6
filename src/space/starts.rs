//! Which rows of a sorted table are in which cell.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::SpaceError;

/// The first row of each cell, in a table that is sorted by the cells' numbers. It is made in one pass over the keys, and
/// then answers without a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellStarts {
    /// Of each cell, and where the last one ends.
    rows: Vec<u32>,
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
        self.rows.clear();
        self.rows.resize(cells + 1, 0);
        let filled = self.fill(keys, cells);
        if filled.is_err() {
            self.rows.clear();
        }
        filled
    }

    fn fill(&mut self, keys: &[u32], cells: usize) -> Result<(), SpaceError> {
        // cells up to here have their start
        let mut next = 0;
        for (row, &key) in keys.iter().enumerate() {
            if key as usize >= cells {
                return Err(SpaceError::NoCell { row, key, cells });
            }
            if (key as usize) + 1 < next {
                return Err(SpaceError::Unsorted { row, key, before: keys[row - 1] });
            }
            while next <= key as usize {
                self.rows[next] = row as u32;
                next += 1;
            }
        }
        self.rows[next..].fill(keys.len() as u32);
        Ok(())
    }

    /// Cells.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.rows.len().saturating_sub(1)
    }

    /// The rows of a cell; none of one that is not there.
    #[inline]
    #[must_use]
    pub fn rows(&self, cell: u32) -> Range<usize> {
        self.run(cell, cell)
    }

    /// The rows of the cells `first..=last`, one after the other.
    #[inline]
    #[must_use]
    pub fn run(&self, first: u32, last: u32) -> Range<usize> {
        match (self.rows.get(first as usize), self.rows.get(last as usize + 1)) {
            (Some(from), Some(to)) => *from as usize..*to as usize,
            _ => 0..0,
        }
    }
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
