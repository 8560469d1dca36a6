//! The rows within reach of a row.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::bounds::Across;
use super::{CellGrid, CellStarts, Real, SpaceError};
use crate::simd::lanes::{LaneKernel, Lanes, WIDTH, on_lanes};

/// Finds the rows within reach of a row, in a table that is sorted by the keys of a grid ([`CellGrid::key`]).
///
/// Cells of half the reach are a good width. Particles must be in the box along its periodic axes
/// ([`super::Bounds::wrap`]). The order of what is found follows from the cells and the rows alone: cell by cell, own
/// rows before ghosts. An atom meets its own image where the reach is longer than half of a periodic side: then only
/// the nearest image counts.
#[derive(Debug)]
pub struct NeighbourSearch<'a, T, const N: usize> {
    grid: &'a CellGrid<T, N>,
    starts: &'a CellStarts,
    at: [&'a [T]; N],
    reach: T,
    lines: Vec<Line<N>>,
    /// The cell that `runs` are of.
    cell: Option<u32>,
    /// Consecutive rows to look at, of all lines.
    runs: Vec<(u32, u32)>,
    found: Vec<u32>,
}

/// Cells along the first axis that are in reach of a cell.
#[derive(Clone, Copy, Debug)]
struct Line<const N: usize> {
    /// How many cells off, along the other axes.
    off: [i32; N],
    /// How many cells to both sides, along the first.
    half: i32,
}

impl<'a, T: Real, const N: usize> NeighbourSearch<'a, T, N> {
    /// A search among all rows of a table, by their cells and places.
    ///
    /// # Panics
    /// Where the columns are not of one length, or shorter than `starts` says.
    #[must_use]
    pub fn new(grid: &'a CellGrid<T, N>, starts: &'a CellStarts, at: [&'a [T]; N], reach: T) -> Self {
        let rows = at[0].len();
        assert!(at.iter().all(|column| column.len() == rows), "columns of one table");
        assert!(starts.end() <= rows, "the starts are of this table");
        let lines = lines(grid, reach);
        NeighbourSearch { grid, starts, at, reach, lines, cell: None, runs: Vec::new(), found: Vec::new() }
    }

    /// The rows within reach of one, without itself. The next call forgets them.
    ///
    /// # Errors
    /// Another row at the very same place.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn of(&mut self, row: usize) -> Result<&[u32], SpaceError> {
        let mut centre = [T::ZERO; N];
        for axis in 0..N {
            centre[axis] = self.at[axis][row];
        }
        let cell = self.grid.key(centre);
        if self.cell != Some(cell) {
            self.cell = Some(cell);
            self.collect(self.grid.cell_of(cell));
        }
        let across = Across::of(self.grid.bounds(), centre, self.reach);
        let (count, same) = on_lanes::<T, _>(Scan {
            at: self.at,
            centre,
            across,
            square_max: self.reach * self.reach,
            own: row,
            runs: &self.runs,
            found: &mut self.found,
        });
        match same {
            Some(other) => Err(SpaceError::SamePlace { row, other }),
            None => Ok(&self.found[..count]),
        }
    }

    /// Gives the rows within reach of each of some rows to `take`, with the row's place among these.
    ///
    /// # Errors
    /// Another row at the very same place; `take` has had the rows before it.
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    pub fn each(&mut self, rows: Range<usize>, mut take: impl FnMut(usize, &[u32])) -> Result<(), SpaceError> {
        for (index, row) in rows.enumerate() {
            take(index, self.of(row)?);
        }
        Ok(())
    }

    /// As [`NeighbourSearch::each`], with each pair of which both are among the rows in the list of the first one alone: for
    /// [`PairForces::once`](super::PairForces::once) of the same rows.
    ///
    /// # Errors
    /// As [`NeighbourSearch::each`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn each_once(&mut self, rows: Range<usize>, mut take: impl FnMut(usize, &[u32])) -> Result<(), SpaceError> {
        let mut kept = Vec::new();
        for (index, row) in rows.clone().enumerate() {
            kept.clear();
            let before = |other: &u32| (rows.start..row).contains(&(*other as usize));
            kept.extend(self.of(row)?.iter().copied().filter(|other| !before(other)));
            take(index, &kept);
        }
        Ok(())
    }

    /// The runs around a cell, and room for all of their rows.
    fn collect(&mut self, cell: [i32; N]) {
        let (cells, periodic) = (self.grid.cells(), self.grid.bounds().is_periodic());
        self.runs.clear();
        let mut rows = 0;
        'lines: for line in &self.lines {
            let mut at = [0; N];
            for axis in 1..N {
                let (place, count) = (cell[axis] + line.off[axis], cells[axis]);
                if !(0..count).contains(&place) && !periodic[axis] {
                    continue 'lines;
                }
                at[axis] = place.rem_euclid(count);
            }
            let first = self.grid.number(at);
            let last = cells[0] - 1;
            let (from, to) = (cell[0].saturating_sub(line.half), cell[0].saturating_add(line.half));
            let mut parts = [(from.max(0), to.min(last)), (1, 0), (1, 0)];
            if periodic[0] && i64::from(line.half) * 2 + 1 >= i64::from(cells[0]) {
                parts[0] = (0, last);
            } else if periodic[0] {
                parts[1] = (from + cells[0], last);
                parts[2] = (0, to - cells[0]);
            }
            for (from, to) in parts.into_iter().filter(|(from, to)| from <= to) {
                self.starts.each_run(first + from as u32, first + to as u32, |run| {
                    rows += run.len();
                    self.runs.push((run.start as u32, run.end as u32));
                });
            }
        }
        if self.found.len() < rows + WIDTH {
            self.found.resize(rows + WIDTH, 0);
        }
    }
}

/// The lines of cells of which some part is in reach of a cell, whatever cell it is.
fn lines<T: Real, const N: usize>(grid: &CellGrid<T, N>, reach: T) -> Vec<Line<N>> {
    let (cells, width) = (grid.cells(), grid.width().map(T::to_f64));
    // what rounding has moved across the border of a cell is found, too
    let reach = (reach * T::A_LITTLE_MORE).to_f64();
    let half = |axis: usize, reach: f64| (reach / width[axis]).ceil().min(f64::from(cells[axis])) as i32;
    // from where to where, and whether a cell's offset says how far it is
    let ranges: [(i32, i32, bool); N] = std::array::from_fn(|axis| {
        let (half, cells) = (half(axis, reach), cells[axis]);
        match grid.bounds().is_periodic()[axis] && 2 * half + 1 >= cells {
            true => (-((cells - 1) / 2), cells / 2, false),
            false => (-half, half, true),
        }
    });
    let mut lines = Vec::new();
    let mut off = ranges.map(|(from, ..)| from);
    off[0] = 0;
    loop {
        let gap = |axis: usize| match ranges[axis].2 {
            true => f64::from((off[axis].abs() - 1).max(0)) * width[axis],
            false => 0.0,
        };
        let left = reach * reach - (1..N).map(|axis| gap(axis) * gap(axis)).sum::<f64>();
        if left > 0.0 {
            lines.push(Line { off, half: half(0, left.sqrt()) });
        }
        // the next one: the second axis fastest
        let Some(axis) = (1..N).find(|axis| off[*axis] < ranges[*axis].1) else { return lines };
        off[axis] += 1;
        for axis in 1..axis {
            off[axis] = ranges[axis].0;
        }
    }
}

/// The distances of some rows, and which are near.
struct Scan<'s, 'a, T, const N: usize> {
    at: [&'a [T]; N],
    centre: [T; N],
    across: Across<T, N>,
    square_max: T,
    own: usize,
    runs: &'s [(u32, u32)],
    found: &'s mut [u32],
}

impl<T: Real, const N: usize> LaneKernel<T> for Scan<'_, '_, T, N> {
    /// How many were found, and one at the same place.
    type Output = (usize, Option<usize>);

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) -> Self::Output {
        match self.across.any {
            true => scan::<true, _, _, _>(lanes, self),
            false => scan::<false, _, _, _>(lanes, self),
        }
    }
}

#[inline(always)]
fn scan<const CROSSES: bool, T: Real, L: Lanes<T>, const N: usize>(
    lanes: L,
    scan: Scan<'_, '_, T, N>,
) -> (usize, Option<usize>) {
    let table = scan.at[0].len();
    let own = scan.own;
    let (mut count, mut same) = (0, None);
    for (from, to) in scan.runs {
        let (from, to) = (*from as usize, *to as usize);
        let holds_own = (from..to).contains(&own);
        for row in (from..to).step_by(WIDTH) {
            let mut mask = if to - row >= WIDTH { u8::MAX } else { u8::MAX >> (WIDTH - (to - row)) };
            if holds_own && own.wrapping_sub(row) < WIDTH {
                mask &= !(1 << (own - row));
            }
            let mut square = lanes.splat(T::ZERO);
            for axis in 0..N {
                let column = &scan.at[axis][..table];
                let places = match column[row..].first_chunk::<WIDTH>() {
                    Some(places) => lanes.load(places),
                    // the last one again, beyond the table's end
                    None => lanes.load(&std::array::from_fn(|lane| column[(row + lane).min(table - 1)])),
                };
                let mut d = lanes.sub(lanes.splat(scan.centre[axis]), places);
                if CROSSES {
                    d = scan.across.nearest(lanes, axis, d);
                }
                square = lanes.add(square, lanes.mul(d, d));
            }
            let near = mask & lanes.below(square, lanes.splat(scan.square_max));
            let touching = mask & lanes.below(square, lanes.splat(T::TINY));
            if let Some(to) = scan.found[count..].first_chunk_mut() {
                lanes.pick(row as u32, near, to);
            }
            count += near.count_ones() as usize;
            if touching != 0 {
                same = Some(row + touching.trailing_zeros() as usize);
            }
        }
    }
    (count, same)
}
