//! Forces between pairs, summed over lists of neighbours.
#![expect(unsafe_code, reason = "gathers of rows that were compared with the column's length")]

use super::bounds::Across;
use super::{Bounds, Real};
use crate::simd::lanes::{LaneKernel, Lanes, WIDTH, on_lanes};

/// Eights of neighbours whose distances are known before their forces are computed.
const EIGHTS: usize = 32;

/// Sums forces between pairs: for each row of a job over its list of neighbours. Every pair is computed from both sides; the
/// two forces are exact opposites, so momentum is kept to rounding.
///
/// The law is a plain function of the square of the distance; it runs on eight pairs at a time. A row's sum is made of eight
/// partial sums (the list's first, second, .. eighth neighbour of each eight), joined as
/// `((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))`: it has the same bits with any vectors.
#[derive(Clone, Copy, Debug)]
pub struct PairForces<'a, T, const N: usize> {
    bounds: Bounds<T, N>,
    at: [&'a [T]; N],
    cutoff: T,
    margin: T,
}

impl<'a, T: Real, const N: usize> PairForces<'a, T, N> {
    /// Of a table with these places. There is no force at `cutoff` and beyond. Rows of one list are no further apart than
    /// `margin`: cutoff and skin, and what both have moved since the list was made, so cutoff and two skins.
    ///
    /// # Panics
    /// Where the columns are not of one length.
    #[must_use]
    pub fn new(bounds: &Bounds<T, N>, at: [&'a [T]; N], cutoff: T, margin: T) -> Self {
        assert!(at.iter().all(|column| column.len() == at[0].len()), "columns of one table");
        PairForces { bounds: *bounds, at, cutoff, margin }
    }

    /// Sets the forces on the rows from `first_row` on. `lists(i)` has the neighbours of row `first_row + i`; `law` gives
    /// force over distance for a square of the distance, above 0 where they push each other apart.
    ///
    /// # Panics
    /// A list with a row that is not there; columns of forces of different lengths.
    pub fn set<'l>(
        &self,
        first_row: usize,
        lists: impl Fn(usize) -> &'l [u32],
        force: [&mut [T]; N],
        law: impl Fn(T) -> T,
    ) {
        self.set_and_sum(first_row, lists, force, |square| (law(square), []));
    }

    /// As [`PairForces::set`]; the law gives further quantities, too, as a pair's energy. Returned are their sums over all
    /// rows and their lists: twice over pairs of which both rows are the job's.
    ///
    /// # Panics
    /// As [`PairForces::set`].
    pub fn set_and_sum<'l, const K: usize>(
        &self,
        first_row: usize,
        lists: impl Fn(usize) -> &'l [u32],
        force: [&mut [T]; N],
        law: impl Fn(T) -> (T, [T; K]),
    ) -> [T; K] {
        assert!(force.iter().all(|column| column.len() == force[0].len()), "forces of the same rows");
        on_lanes::<T, _>(Sums { pairs: *self, first_row, lists, force, law })
    }
}

struct Sums<'a, 'f, T, const N: usize, S, F> {
    pairs: PairForces<'a, T, N>,
    first_row: usize,
    lists: S,
    force: [&'f mut [T]; N],
    law: F,
}

/// The pairs of a row: distances along the axes, their square, the law's value for each, and the law's other quantities.
struct Block<T, const N: usize, const K: usize> {
    d: [[[T; WIDTH]; EIGHTS]; N],
    square: [[T; WIDTH]; EIGHTS],
    value: [[T; WIDTH]; EIGHTS],
    quantities: [[[T; WIDTH]; EIGHTS]; K],
}

impl<'l, T: Real, const N: usize, const K: usize, S, F> LaneKernel<T> for Sums<'_, '_, T, N, S, F>
where
    S: Fn(usize) -> &'l [u32],
    F: Fn(T) -> (T, [T; K]),
{
    type Output = [T; K];

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) -> [T; K] {
        let Sums { pairs, first_row, lists, force, law } = self;
        let zero = [[T::ZERO; WIDTH]; EIGHTS];
        let mut block = Block { d: [zero; N], square: zero, value: zero, quantities: [zero; K] };
        let mut totals = [T::ZERO; K];
        for index in 0..force[0].len() {
            let list = lists(index);
            let mut sums = [lanes.splat(T::ZERO); N];
            let mut others = [lanes.splat(T::ZERO); K];
            for part in list.chunks(EIGHTS * WIDTH) {
                let eights = distances(lanes, &pairs, first_row + index, part, &mut block);
                values(&mut block, eights * WIDTH, pairs.cutoff * pairs.cutoff, &law);
                let value = &block.value[..eights];
                let d: [_; N] = std::array::from_fn(|axis| &block.d[axis][..eights]);
                for eight in 0..eights {
                    let value = lanes.load(&value[eight]);
                    for axis in 0..N {
                        sums[axis] = lanes.add(sums[axis], lanes.mul(lanes.load(&d[axis][eight]), value));
                    }
                }
                for k in 0..K {
                    for quantity in &block.quantities[k][..eights] {
                        others[k] = lanes.add(others[k], lanes.load(quantity));
                    }
                }
            }
            for axis in 0..N {
                force[axis][index] = joined(lanes, sums[axis]);
            }
            for k in 0..K {
                totals[k] = totals[k] + joined(lanes, others[k]);
            }
        }
        totals
    }
}

/// The sum of all lanes, in one order.
#[inline(always)]
fn joined<T: Real, L: Lanes<T>>(lanes: L, sum: L::V) -> T {
    let mut all = [T::ZERO; WIDTH];
    lanes.store(sum, &mut all);
    let [a, b, c, d, e, f, g, h] = all;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// The distances of a row to some others; returned is how many eights there are. The row itself fills the last one up: no
/// distance, no force.
#[inline(always)]
fn distances<T: Real, L: Lanes<T>, const N: usize, const K: usize>(
    lanes: L,
    pairs: &PairForces<'_, T, N>,
    row: usize,
    others: &[u32],
    block: &mut Block<T, N, K>,
) -> usize {
    let mut centre = [T::ZERO; N];
    for axis in 0..N {
        centre[axis] = pairs.at[axis][row];
    }
    let across = Across::of(&pairs.bounds, centre, pairs.margin);
    let (whole, rest) = others.as_chunks::<WIDTH>();
    if across.any {
        for (eight, rows) in whole.iter().enumerate() {
            distances_of_eight::<true, _, _, _, _>(lanes, &pairs.at, &centre, &across, rows, eight, block);
        }
    } else {
        for (eight, rows) in whole.iter().enumerate() {
            distances_of_eight::<false, _, _, _, _>(lanes, &pairs.at, &centre, &across, rows, eight, block);
        }
    }
    if rest.is_empty() {
        return whole.len();
    }
    let mut filled = [row as u32; WIDTH];
    filled[..rest.len()].copy_from_slice(rest);
    distances_of_eight::<true, _, _, _, _>(lanes, &pairs.at, &centre, &across, &filled, whole.len(), block);
    whole.len() + 1
}

/// The distances of a row to eight others; to their nearest images where `CROSSES` says that some axis may ask for them.
#[inline(always)]
fn distances_of_eight<const CROSSES: bool, T: Real, L: Lanes<T>, const N: usize, const K: usize>(
    lanes: L,
    at: &[&[T]; N],
    centre: &[T; N],
    across: &Across<T, N>,
    rows: &[u32; WIDTH],
    eight: usize,
    block: &mut Block<T, N, K>,
) {
    let table = at[0].len();
    let within = lanes.all_within(rows, table as u32) && at.iter().all(|column| column.len() == table);
    assert!(within, "rows {rows:?} of a list are in a table of {table}");
    let mut square = lanes.splat(T::ZERO);
    for axis in 0..N {
        // SAFETY: every row is less than the length of each column (asserted above; the low bits of a length are no more
        // than it).
        let other = unsafe { lanes.gather(at[axis], rows) };
        let mut d = lanes.sub(lanes.splat(centre[axis]), other);
        if CROSSES {
            d = across.nearest(lanes, axis, d);
        }
        square = lanes.add(square, lanes.mul(d, d));
        lanes.store(d, &mut block.d[axis][eight]);
    }
    lanes.store(square, &mut block.square[eight]);
}

/// The law for each square within the cutoff; nothing for the others.
#[inline(always)]
fn values<T: Real, const N: usize, const K: usize>(
    block: &mut Block<T, N, K>,
    count: usize,
    square_max: T,
    law: &impl Fn(T) -> (T, [T; K]),
) {
    let (square, value) = (&block.square.as_flattened()[..count], &mut block.value.as_flattened_mut()[..count]);
    for index in 0..count {
        let square = square[index];
        let (force, quantities) = law(square);
        let counts = square < square_max && square > T::ZERO;
        value[index] = if counts { force } else { T::ZERO };
        for k in 0..K {
            block.quantities[k].as_flattened_mut()[index] = if counts { quantities[k] } else { T::ZERO };
        }
    }
}
