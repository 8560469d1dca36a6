//! What the systems compute, on plain slices: for programs that compare the engine with loops of their own.
#![forbid(unsafe_code)]

use hypostyle::space::{CellGrid, CellStarts, NeighbourSearch, PairForces, SpaceError};

use super::{Melt, NEIGHBOURS_MAX};

/// Makes the lists of rows from `first_row` on, in a table that is sorted by cells.
///
/// # Errors
/// An atom with more neighbours than a list holds, or at the place of another one.
pub fn lists(
    melt: &Melt,
    (grid, starts): (&CellGrid<f64, 3>, &CellStarts),
    at: [&[f64]; 3],
    first_row: usize,
    (rows, counts): (&mut [[u32; NEIGHBOURS_MAX]], &mut [u32]),
) -> Result<(), SpaceError> {
    NeighbourSearch::new(grid, starts, at, melt.reach()).lists(first_row, rows, counts)
}

/// The forces on rows from `first_row` on.
///
/// # Errors
/// A box that is none.
pub fn forces(
    melt: &Melt,
    at: &[[f64; 4]],
    first_row: usize,
    (rows, counts): (&[[u32; NEIGHBOURS_MAX]], &[u32]),
    force: [&mut [f64]; 3],
) -> Result<(), SpaceError> {
    // what both atoms of a pair have moved since the lists were made is less than a skin
    let margin = melt.reach() + melt.skin;
    let pairs = PairForces::packed(&melt.bounds()?, at, melt.cutoff, margin);
    pairs.set(first_row, |row| &rows[row][..counts[row] as usize], force, factor);
    Ok(())
}

/// Places side by side, as forces want them.
pub fn pack(places: &mut [[f64; 4]], [x, y, z]: [&[f64]; 3]) {
    for (((place, x), y), z) in places.iter_mut().zip(x).zip(y).zip(z) {
        *place = [*x, *y, *z, 0.0];
    }
}

/// Force over distance, for a square of the distance: 24 (2 r^-12 - r^-6) / r^2.
#[inline(always)]
pub(super) fn factor(square: f64) -> f64 {
    let inverse = 1.0 / square;
    let sixth = inverse * inverse * inverse;
    sixth * (48.0 * sixth - 24.0) * inverse
}
