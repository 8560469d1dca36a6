//! What the systems compute, on plain slices: for programs that compare the engine with loops of their own.
#![forbid(unsafe_code)]

use hypostyle::wide;

use super::force::Forces;
use super::list::{Search, Starts};
use super::{LANES, Melt, NEIGHBOURS_MAX};

pub use super::cells::{Grid, wrapped};

/// The neighbours of consecutive rows: a list for each, filled up with the own row, and its length.
#[derive(Debug)]
pub struct Lists<'a> {
    /// Rows.
    pub rows: &'a mut [[u32; NEIGHBOURS_MAX]],
    /// How many of them are neighbours.
    pub count: &'a mut [u32],
    /// Whether one is across the border of the box.
    pub crosses: &'a mut [u32],
}

/// Makes the lists of rows from `first_row` on, in a table that is sorted by cells.
///
/// # Errors
/// The row of an atom with more neighbours than a list holds, or at the place of another one.
pub fn list(melt: &Melt, keys: &[u32], at: [&[f64]; 3], first_row: usize, lists: Lists<'_>) -> Result<(), usize> {
    let grid = Grid::new(melt);
    let mut starts = Starts::default();
    starts.begin(&grid);
    for (index, list) in lists.rows.iter_mut().enumerate() {
        let row = first_row + index;
        let found = wide(Search { melt, grid: &grid, keys, at, row, starts: &mut starts, list });
        if found.count > NEIGHBOURS_MAX || found.same.is_some() {
            return Err(row);
        }
        list[found.count..found.count.next_multiple_of(LANES)].fill(row as u32);
        lists.count[index] = found.count as u32;
        lists.crosses[index] = u32::from(found.crosses);
    }
    Ok(())
}

/// The forces on rows from `first_row` on.
pub fn forces(
    melt: &Melt,
    at: [&[f64]; 3],
    first_row: usize,
    (lists, counts, crosses): (&[[u32; NEIGHBOURS_MAX]], &[u32], &[u32]),
    force: [&mut [f64]; 3],
) {
    wide(Forces { melt, at, first_row, lists, counts, crosses, force });
}
