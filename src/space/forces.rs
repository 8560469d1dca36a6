//! Forces between pairs, summed over lists of neighbours.
#![expect(unsafe_code, reason = "gathers of rows that were compared with the column's length")]

use super::bounds::Across;
use super::packed::{PART, RowList};
use super::{Bounds, PackedRows, Real};
use crate::simd::lanes::{LaneKernel, Lanes, WIDTH, on_lanes};

/// Eights of neighbours whose distances are known before their forces are computed.
const EIGHTS: usize = PART / WIDTH;
/// So many rows ahead lists are asked for: longer than memory takes.
const AHEAD: usize = 2;

/// Sums forces between pairs: for each row of a job over its list of neighbours. Every pair is computed from both sides; the
/// two forces are exact opposites, so momentum is kept to rounding. With [`PairForces::once`], a pair of which both rows are
/// the job's is computed once.
///
/// The law is a plain function of the square of the distance; it runs on eight pairs at a time. A row's sum is made of eight
/// partial sums (the list's first, second, .. eighth neighbour of each eight), joined as
/// `((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))`: it has the same bits with any vectors.
#[derive(Clone, Copy, Debug)]
pub struct PairForces<'a, T, const N: usize> {
    bounds: Bounds<T, N>,
    at: Places<'a, T, N>,
    cutoff: T,
    margin: T,
    once: bool,
}

/// Where the rows of a table are.
#[derive(Clone, Copy, Debug)]
enum Places<'a, T, const N: usize> {
    /// A column for each axis.
    Columns([&'a [T]; N]),
    /// The axes of a row side by side.
    Packed(&'a [[T; 4]]),
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
        PairForces { bounds: *bounds, at: Places::Columns(at), cutoff, margin, once: false }
    }

    /// As [`PairForces::new`], of places that stand side by side, in the first `N` numbers of each row's four: a neighbour is
    /// then one piece of memory and not one for each axis, which is faster where there are many. The bits are the same.
    ///
    /// # Panics
    /// In more than three dimensions.
    #[must_use]
    pub fn packed(bounds: &Bounds<T, N>, at: &'a [[T; 4]], cutoff: T, margin: T) -> Self {
        assert!(N <= 3, "three axes at most stand side by side");
        PairForces { bounds: *bounds, at: Places::Packed(at), cutoff, margin, once: false }
    }

    /// Computes a pair of which both rows are among those whose forces are set once: the second one gets the opposite force
    /// (Newton's third law). Lists are those of [`NeighbourSearch::each_once`](super::NeighbourSearch::each_once), of the same
    /// rows. What goes out to other jobs is computed from both sides, so no job writes the rows of another, and the bits depend
    /// on the job's rows alone. It pays where the law costs more than to add three numbers to another row.
    ///
    /// ```
    /// use hypostyle::space::{Box3, PairForces};
    ///
    /// let bounds = Box3::open([0.0; 3], [9.0; 3])?;
    /// let (x, y, z) = ([1.0, 2.0, 3.5], [1.0; 3], [1.0; 3]);
    /// let lists: [&[u32]; 3] = [&[1, 2], &[2], &[]];
    /// let mut force = [[0.0; 3]; 3];
    /// let [fx, fy, fz] = &mut force;
    /// let pairs = PairForces::new(&bounds, [&x, &y, &z], 2.0, 2.0).once();
    /// pairs.set(0, |row| lists[row], [fx, fy, fz], |_| 1.0);
    /// assert_eq!(force[0], [-1.0, -0.5, 1.5]);
    /// # Ok::<(), hypostyle::space::SpaceError>(())
    /// ```
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
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
    /// rows and their lists: twice over pairs of which both rows are the job's, also where these are computed
    /// [once](Self::once).
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
        self.sum(first_row, lists, force, [], |square, [], []| law(square))
    }

    /// As [`PairForces::set`], with a law that depends on numbers of both rows, too: charges, radii, kinds. It gets the square of
    /// the distance, then the numbers of the row in `columns`, then those of the other one.
    ///
    /// ```
    /// use hypostyle::space::{Box3, PairForces};
    ///
    /// let bounds = Box3::open([0.0; 3], [9.0; 3])?;
    /// let (x, y, z, charge) = ([1.0, 2.0, 3.0], [1.0; 3], [1.0; 3], [1.0, -1.0, 2.0]);
    /// let lists: [&[u32]; 3] = [&[1, 2], &[0, 2], &[0, 1]];
    /// let mut force = [[0.0; 3]; 3];
    /// let [fx, fy, fz] = &mut force;
    /// PairForces::new(&bounds, [&x, &y, &z], 1.5, 1.5).set_by(0, |row| lists[row], [fx, fy, fz], [&charge], |square, [a], [b]| {
    ///     a * b / (square * f64::sqrt(square))
    /// });
    /// assert_eq!(force[0], [1.0, 1.0, -2.0]);
    /// # Ok::<(), hypostyle::space::SpaceError>(())
    /// ```
    ///
    /// # Panics
    /// As [`PairForces::set`]; columns of other lengths than the table's.
    pub fn set_by<'l, const M: usize>(
        &self,
        first_row: usize,
        lists: impl Fn(usize) -> &'l [u32],
        force: [&mut [T]; N],
        columns: [&[T]; M],
        law: impl Fn(T, [T; M], [T; M]) -> T,
    ) {
        self.set_by_and_sum(first_row, lists, force, columns, |square, own, other| (law(square, own, other), []));
    }

    /// As [`PairForces::set_by`] and [`PairForces::set_and_sum`].
    ///
    /// # Panics
    /// As [`PairForces::set_by`].
    pub fn set_by_and_sum<'l, const M: usize, const K: usize>(
        &self,
        first_row: usize,
        lists: impl Fn(usize) -> &'l [u32],
        force: [&mut [T]; N],
        columns: [&[T]; M],
        law: impl Fn(T, [T; M], [T; M]) -> (T, [T; K]),
    ) -> [T; K] {
        self.sum(first_row, lists, force, columns, law)
    }

    /// As [`PairForces::set`], of lists that are packed: with the same bits, and half of the memory to read.
    ///
    /// # Panics
    /// As [`PairForces::set`], and a list that [`PackedRows::pack`] has not made.
    pub fn set_packed<'l>(
        &self,
        first_row: usize,
        lists: impl Fn(usize) -> PackedRows<'l>,
        force: [&mut [T]; N],
        law: impl Fn(T) -> T,
    ) {
        self.set_packed_and_sum(first_row, lists, force, |square| (law(square), []));
    }

    /// As [`PairForces::set_and_sum`], of lists that are packed.
    ///
    /// # Panics
    /// As [`PairForces::set_packed`].
    pub fn set_packed_and_sum<'l, const K: usize>(
        &self,
        first_row: usize,
        lists: impl Fn(usize) -> PackedRows<'l>,
        force: [&mut [T]; N],
        law: impl Fn(T) -> (T, [T; K]),
    ) -> [T; K] {
        self.sum(first_row, lists, force, [], |square, [], []| law(square))
    }

    /// As [`PairForces::set_by`], of lists that are packed.
    ///
    /// # Panics
    /// As [`PairForces::set_packed`] and [`PairForces::set_by`].
    pub fn set_packed_by<'l, const M: usize>(
        &self,
        first_row: usize,
        lists: impl Fn(usize) -> PackedRows<'l>,
        force: [&mut [T]; N],
        columns: [&[T]; M],
        law: impl Fn(T, [T; M], [T; M]) -> T,
    ) {
        self.sum(first_row, lists, force, columns, |square, own, other| (law(square, own, other), []));
    }

    fn sum<R: RowList, const M: usize, const K: usize>(
        &self,
        first_row: usize,
        lists: impl Fn(usize) -> R,
        force: [&mut [T]; N],
        columns: [&[T]; M],
        law: impl Fn(T, [T; M], [T; M]) -> (T, [T; K]),
    ) -> [T; K] {
        assert!(force.iter().all(|column| column.len() == force[0].len()), "forces of the same rows");
        let rows = match self.at {
            Places::Columns(at) => at[0].len(),
            Places::Packed(at) => at.len(),
        };
        assert!(columns.iter().all(|column| column.len() == rows), "columns of the table of {rows} rows");
        match self.once {
            false => {
                on_lanes::<T, _>(Sums::<T, _, _, N, M, false> { pairs: *self, first_row, lists, force, columns, law })
            }
            true => {
                on_lanes::<T, _>(Sums::<T, _, _, N, M, true> { pairs: *self, first_row, lists, force, columns, law })
            }
        }
    }
}

/// `ONCE`: the opposite forces go to rows whose forces are set, too.
struct Sums<'a, 'f, T, S, F, const N: usize, const M: usize, const ONCE: bool> {
    pairs: PairForces<'a, T, N>,
    first_row: usize,
    lists: S,
    force: [&'f mut [T]; N],
    columns: [&'f [T]; M],
    law: F,
}

/// The pairs of a row: distances along the axes, their square, the law's value for each, and the law's other quantities.
struct Block<T, const N: usize, const K: usize> {
    d: [[[T; WIDTH]; EIGHTS]; N],
    square: [[T; WIDTH]; EIGHTS],
    value: [[T; WIDTH]; EIGHTS],
    quantities: [[[T; WIDTH]; EIGHTS]; K],
}

impl<T: Real, R: RowList, S, F, const N: usize, const M: usize, const K: usize, const ONCE: bool> LaneKernel<T>
    for Sums<'_, '_, T, S, F, N, M, ONCE>
where
    S: Fn(usize) -> R,
    F: Fn(T, [T; M], [T; M]) -> (T, [T; K]),
{
    type Output = [T; K];

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) -> [T; K] {
        let Sums { pairs, first_row, lists, mut force, columns, law } = self;
        let zero = [[T::ZERO; WIDTH]; EIGHTS];
        let mut block = Block { d: [zero; N], square: zero, value: zero, quantities: [zero; K] };
        let mut totals = [T::ZERO; K];
        let mut buffer = [0; PART];
        let mut numbers = [[T::ZERO; M]; PART];
        let rows = force[0].len();
        if ONCE {
            force.iter_mut().for_each(|column| column.fill(T::ZERO));
        }
        for index in 0..rows {
            let mut list = lists(index).begin();
            if index + AHEAD < rows {
                lists(index + AHEAD).ask();
            }
            let row = first_row + index;
            let mut sums = [lanes.splat(T::ZERO); N];
            let mut others = [lanes.splat(T::ZERO); K];
            while let Some(part) = R::next(&mut list, &mut buffer) {
                let eights = distances(lanes, &pairs, row, part, &mut block);
                let own = columns.map(|column| column[row]);
                if M > 0 {
                    let (of, filled) = numbers[..eights * WIDTH].split_at_mut(part.len());
                    of.iter_mut().zip(part).for_each(|(of, other)| *of = columns.map(|column| column[*other as usize]));
                    filled.fill(own);
                }
                values(&mut block, eights * WIDTH, pairs.cutoff * pairs.cutoff, |pair, square| {
                    law(square, own, if M > 0 { numbers[pair] } else { own })
                });
                if ONCE {
                    give(&mut block, part, first_row, &mut force);
                }
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
                let sum = joined(lanes, sums[axis]);
                force[axis][index] = if ONCE { force[axis][index] + sum } else { sum };
            }
            for k in 0..K {
                totals[k] = totals[k] + joined(lanes, others[k]);
            }
        }
        totals
    }
}

/// Gives the opposite forces of a row's pairs to those of the others whose forces are set, too; quantities of such pairs
/// count twice.
#[inline(always)]
fn give<T: Real, const N: usize, const K: usize>(
    block: &mut Block<T, N, K>,
    part: &[u32],
    first_row: usize,
    force: &mut [&mut [T]; N],
) {
    let rows = force[0].len();
    let value = block.value.as_flattened();
    for (pair, other) in part.iter().enumerate() {
        let at = (*other as usize).wrapping_sub(first_row);
        if at < rows {
            for axis in 0..N {
                force[axis][at] = force[axis][at] - block.d[axis].as_flattened()[pair] * value[pair];
            }
            for k in 0..K {
                let quantity = &mut block.quantities[k].as_flattened_mut()[pair];
                *quantity = *quantity + *quantity;
            }
        }
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
        centre[axis] = match pairs.at {
            Places::Columns(at) => at[axis][row],
            Places::Packed(at) => at[row][axis],
        };
    }
    let across = Across::of(&pairs.bounds, centre, pairs.margin);
    let (whole, rest) = others.as_chunks::<WIDTH>();
    let filled: [u32; WIDTH] = std::array::from_fn(|lane| rest.get(lane).copied().unwrap_or(row as u32));
    let filled = if rest.is_empty() { &[][..] } else { std::slice::from_ref(&filled) };
    let row = Row { centre, across };
    match (pairs.at, across.any) {
        (Places::Columns(at), true) => row.all::<true, L, _, K>(lanes, &at, whole, filled, block),
        (Places::Columns(at), false) => row.all::<false, L, _, K>(lanes, &at, whole, filled, block),
        (Places::Packed(at), true) => row.all::<true, L, _, K>(lanes, &at, whole, filled, block),
        (Places::Packed(at), false) => row.all::<false, L, _, K>(lanes, &at, whole, filled, block),
    }
    whole.len() + filled.len()
}

/// Places of rows, however they stand.
trait Gather<T, const N: usize> {
    /// Those of eight rows along each axis.
    ///
    /// # Panics
    /// When there is no such row.
    fn eight<L: Lanes<T>>(&self, lanes: L, rows: &[u32; WIDTH]) -> [L::V; N];
}

impl<T: Real, const N: usize> Gather<T, N> for [&[T]; N] {
    #[inline(always)]
    fn eight<L: Lanes<T>>(&self, lanes: L, rows: &[u32; WIDTH]) -> [L::V; N] {
        let table = self[0].len();
        let within = lanes.all_within(rows, table as u32) && self.iter().all(|column| column.len() == table);
        assert!(within, "rows {rows:?} of a list are in a table of {table}");
        let mut all = [lanes.splat(T::ZERO); N];
        for axis in 0..N {
            // SAFETY: every row is less than the length of each column (asserted above; the low bits of a length are no
            // more than it).
            all[axis] = unsafe { lanes.gather(self[axis], rows) };
        }
        all
    }
}

impl<T: Real, const N: usize> Gather<T, N> for &[[T; 4]] {
    #[inline(always)]
    fn eight<L: Lanes<T>>(&self, lanes: L, rows: &[u32; WIDTH]) -> [L::V; N] {
        let table = self.len();
        assert!(lanes.all_within(rows, table as u32), "rows {rows:?} of a list are in a table of {table}");
        // SAFETY: every row is less than the length of the column (as above).
        let three = unsafe { lanes.gather_three(self, rows) };
        let mut all = [three[0]; N];
        for (place, at) in all.iter_mut().zip(three) {
            *place = at;
        }
        all
    }
}

/// A row whose distances are asked for.
#[derive(Clone, Copy)]
struct Row<T, const N: usize> {
    centre: [T; N],
    across: Across<T, N>,
}

impl<T: Real, const N: usize> Row<T, N> {
    /// The distances to all rows of some eights; to their nearest images where `CROSSES` says that some axis may ask for
    /// them.
    #[inline(always)]
    fn all<const CROSSES: bool, L: Lanes<T>, G: Gather<T, N>, const K: usize>(
        &self,
        lanes: L,
        at: &G,
        whole: &[[u32; WIDTH]],
        filled: &[[u32; WIDTH]],
        block: &mut Block<T, N, K>,
    ) {
        for (eight, rows) in whole.iter().enumerate() {
            self.one::<CROSSES, L, G, K>(lanes, at, rows, eight, block);
        }
        for rows in filled {
            self.one::<CROSSES, L, G, K>(lanes, at, rows, whole.len(), block);
        }
    }

    /// The distances to eight rows.
    #[inline(always)]
    fn one<const CROSSES: bool, L: Lanes<T>, G: Gather<T, N>, const K: usize>(
        &self,
        lanes: L,
        at: &G,
        rows: &[u32; WIDTH],
        eight: usize,
        block: &mut Block<T, N, K>,
    ) {
        let others = at.eight(lanes, rows);
        let mut square = lanes.splat(T::ZERO);
        for axis in 0..N {
            let mut d = lanes.sub(lanes.splat(self.centre[axis]), others[axis]);
            if CROSSES {
                d = self.across.nearest(lanes, axis, d);
            }
            square = lanes.add(square, lanes.mul(d, d));
            lanes.store(d, &mut block.d[axis][eight]);
        }
        lanes.store(square, &mut block.square[eight]);
    }
}

/// The law for each square within the cutoff; nothing for the others.
#[inline(always)]
fn values<T: Real, const N: usize, const K: usize>(
    block: &mut Block<T, N, K>,
    count: usize,
    square_max: T,
    law: impl Fn(usize, T) -> (T, [T; K]),
) {
    let (square, value) = (&block.square.as_flattened()[..count], &mut block.value.as_flattened_mut()[..count]);
    for index in 0..count {
        let square = square[index];
        let (force, quantities) = law(index, square);
        let counts = square < square_max && square > T::ZERO;
        value[index] = if counts { force } else { T::ZERO };
        for k in 0..K {
            block.quantities[k].as_flattened_mut()[index] = if counts { quantities[k] } else { T::ZERO };
        }
    }
}
