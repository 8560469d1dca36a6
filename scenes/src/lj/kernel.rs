//! What the systems compute, on plain slices: for programs that compare the engine with loops of their own.
#![forbid(unsafe_code)]

use std::ops::Range;

use hypostyle::space::{CellGrid, CellStarts, NeighbourSearch, PackedRows, PairForces, Real, SpaceError};

use super::Melt;

/// Gives the rows within reach of each of some rows to `take`, with the row's place among these; in a table that is sorted by
/// cells.
///
/// # Errors
/// An atom at the place of another one.
pub fn lists<T: Real>(
    reach: T,
    (grid, starts): (&CellGrid<T, 3>, &CellStarts),
    at: [&[T]; 3],
    rows: Range<usize>,
    take: impl FnMut(usize, &[u32]),
) -> Result<(), SpaceError> {
    NeighbourSearch::new(grid, starts, at, reach).each(rows, take)
}

/// The forces on rows from `first_row` on, each with its list.
///
/// # Errors
/// A box that is none.
pub fn forces<'l>(
    melt: &Melt,
    at: &[[f64; 4]],
    first_row: usize,
    lists: impl Fn(usize) -> PackedRows<'l>,
    force: [&mut [f64]; 3],
) -> Result<(), SpaceError> {
    // what both atoms of a pair have moved since the lists were made is less than a skin
    let margin = melt.reach() + melt.skin;
    let pairs = PairForces::packed(&melt.bounds()?, at, melt.cutoff, margin);
    pairs.set_packed(first_row, lists, force, factor);
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
