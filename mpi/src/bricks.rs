//! Which rank has which cells: bricks, by orthogonal bisection over the cells of a grid.
//!
//! The cells of a box are cut in two along its longest side, where the weights on both sides are nearest to the numbers
//! of ranks that each side gets (Berger and Bokhari, IEEE Transactions on Computers C-36, 570, 1987), and so on until
//! each part is of one rank. Borders are borders of cells. All ranks compute the same bricks from the same weights.
//!
//! Ghosts: a rank needs the cells around its brick that are within reach. Reach is a number of cells along each axis, so
//! what one rank needs of another is a product of sets of columns, one for each axis; periodic axes wrap. A rank needs no
//! ghosts of itself: what is across the border of a periodic axis is its own row already.
#![forbid(unsafe_code)]

use std::ops::Range;

/// The cells of a grid of one to three dimensions; axes that are not there have one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    /// Along each axis.
    pub along: [u32; 3],
    /// Whether the last is beside the first.
    pub periodic: [bool; 3],
}

impl Cells {
    /// Of a grid.
    #[must_use]
    pub fn of<T: hypostyle::space::Real, const N: usize>(grid: &hypostyle::space::CellGrid<T, N>) -> Self {
        let (cells, periodic) = (grid.cells(), grid.bounds().is_periodic());
        Cells {
            along: std::array::from_fn(|axis| cells.get(axis).map_or(1, |n| *n as u32)),
            periodic: std::array::from_fn(|axis| periodic.get(axis).copied().unwrap_or(false)),
        }
    }

    /// In all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.along.iter().map(|n| *n as usize).product()
    }

    /// The number of a cell: consecutive along the first axis, as `CellGrid::number`.
    #[must_use]
    pub fn number(&self, at: [u32; 3]) -> u32 {
        (at[2] * self.along[1] + at[1]) * self.along[0] + at[0]
    }
}

/// A box of cells: from, and up to but without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brick {
    /// Along each axis; empty where the rank has no cells.
    pub cells: [Range<u32>; 3],
}

impl Brick {
    /// Cells of it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.cells.iter().map(ExactSizeIterator::len).product()
    }
}

/// Which rank has which cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bricks {
    cells: Cells,
    bricks: Vec<Brick>,
    /// Of each cell.
    owner: Vec<u32>,
}

impl Bricks {
    /// For so many ranks, by the weight of each cell (its rows, or the time that they take). A cell counts a little even
    /// without weight, so that empty space is shared, too.
    ///
    /// # Panics
    /// Where there is not one weight for each cell, or no rank.
    #[must_use]
    pub fn new(cells: Cells, weights: &[u64], ranks: usize) -> Self {
        assert_eq!(weights.len(), cells.count(), "a weight for each cell");
        assert!(ranks > 0, "at least one rank");
        // all cells together count a sixteenth of all weights
        let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        let (scale, each) = (cells.count() as u128 * 16, total.max(1));
        let weights: Vec<u128> = weights.iter().map(|weight| u128::from(*weight) * scale + each).collect();
        let mut bricks = Bricks { cells, bricks: vec![Brick { cells: [0..0, 0..0, 0..0] }; ranks], owner: Vec::new() };
        bricks.cut(&weights, cells.along.map(|n| 0..n), 0..ranks);
        bricks.owner = vec![0; cells.count()];
        for (rank, brick) in bricks.bricks.iter().enumerate() {
            for cell in numbers(&cells, &brick.cells.clone().map(Iterator::collect)) {
                bricks.owner[cell as usize] = rank as u32;
            }
        }
        bricks
    }

    /// The cells that are spread.
    #[must_use]
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// The brick of a rank.
    #[must_use]
    pub fn brick(&self, rank: usize) -> &Brick {
        &self.bricks[rank]
    }

    /// The rank that has a cell; none where there is no such cell.
    #[must_use]
    pub fn owner(&self, cell: u32) -> Option<usize> {
        self.owner.get(cell as usize).map(|rank| *rank as usize)
    }

    /// The cells of rank `of` that rank `by` needs as ghosts, in ascending order: those within `reach` cells of its brick
    /// along each axis.
    #[must_use]
    pub fn ghosts(&self, of: usize, by: usize, reach: [u32; 3]) -> Vec<u32> {
        if of == by || self.bricks[by].count() == 0 {
            return Vec::new();
        }
        let columns = std::array::from_fn(|axis| {
            let near = |at: &u32| self.is_near(*at, axis, &self.bricks[by].cells[axis], reach[axis]);
            self.bricks[of].cells[axis].clone().filter(near).collect()
        });
        numbers(&self.cells, &columns)
    }

    /// The ranks with which one exchanges ghosts, in ascending order. Reach is the same in both directions, so `a` is a
    /// neighbour of `b` where `b` is one of `a`.
    #[must_use]
    pub fn neighbours(&self, rank: usize, reach: [u32; 3]) -> Vec<usize> {
        let near = |other: &usize| {
            *other != rank && self.bricks[*other].count() > 0 && self.bricks[rank].count() > 0 && {
                (0..3).all(|axis| {
                    let theirs = &self.bricks[*other].cells[axis];
                    theirs.clone().any(|at| self.is_near(at, axis, &self.bricks[rank].cells[axis], reach[axis]))
                })
            }
        };
        (0..self.bricks.len()).filter(near).collect()
    }

    /// Whether a column of cells is within reach of some others.
    fn is_near(&self, at: u32, axis: usize, others: &Range<u32>, reach: u32) -> bool {
        let (at, reach, all) = (i64::from(at), i64::from(reach), i64::from(self.cells.along[axis]));
        let (from, to) = (i64::from(others.start) - reach, i64::from(others.end) - 1 + reach);
        let inside = |at: i64| (from..=to).contains(&at);
        inside(at) || self.cells.periodic[axis] && (to - from + 1 >= all || inside(at + all) || inside(at - all))
    }

    /// Gives the cells of a box to some ranks.
    fn cut(&mut self, weights: &[u128], cells: [Range<u32>; 3], ranks: Range<usize>) {
        if ranks.len() == 1 {
            self.bricks[ranks.start] = Brick { cells };
            return;
        }
        // of equally long ones the last: cells along the first are consecutive, and so rows of a border stand together
        let longest = (0..3).max_by_key(|axis| (cells[*axis].len(), *axis)).unwrap_or(0);
        if cells[longest].len() < 2 {
            // fewer cells than ranks: the others have none
            self.bricks[ranks.start] = Brick { cells };
            return;
        }
        let low = ranks.len() / 2;
        let layers = self.layers(weights, &cells, longest);
        let total: u128 = layers.iter().sum();
        let mut best = (u128::MAX, 1);
        let mut before = 0;
        // both sides have a layer; the first of two that are as good
        for (index, layer) in layers[..layers.len() - 1].iter().enumerate() {
            before += layer;
            let miss = (before * ranks.len() as u128).abs_diff(total * low as u128);
            if miss < best.0 {
                best = (miss, index as u32 + 1);
            }
        }
        let at = cells[longest].start + best.1;
        let (mut left, mut right) = (cells.clone(), cells);
        left[longest].end = at;
        right[longest].start = at;
        let middle = ranks.start + low;
        self.cut(weights, left, ranks.start..middle);
        self.cut(weights, right, middle..ranks.end);
    }

    /// The weight of each layer of a box across an axis.
    fn layers(&self, weights: &[u128], cells: &[Range<u32>; 3], axis: usize) -> Vec<u128> {
        let mut layers = vec![0; cells[axis].len()];
        for z in cells[2].clone() {
            for y in cells[1].clone() {
                for x in cells[0].clone() {
                    let at = [x, y, z];
                    layers[(at[axis] - cells[axis].start) as usize] += weights[self.cells.number(at) as usize];
                }
            }
        }
        layers
    }
}

/// The numbers of the cells in some columns of each axis, in ascending order where the columns are.
fn numbers(cells: &Cells, columns: &[Vec<u32>; 3]) -> Vec<u32> {
    let mut all = Vec::with_capacity(columns.iter().map(Vec::len).product());
    for z in &columns[2] {
        for y in &columns[1] {
            all.extend(columns[0].iter().map(|x| cells.number([*x, *y, *z])));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn grids() -> impl Strategy<Value = Cells> {
        let axis = prop_oneof![1 => Just(1u32), 4 => 1u32..9];
        ([axis.clone(), axis.clone(), axis], any::<[bool; 3]>()).prop_map(|(along, periodic)| Cells { along, periodic })
    }

    fn weighted() -> impl Strategy<Value = (Cells, Vec<u64>)> {
        grids().prop_flat_map(|cells| (Just(cells), prop::collection::vec(0u64..50, cells.count())))
    }

    fn place(cells: &Cells, number: u32) -> [u32; 3] {
        let [x, y, _] = cells.along;
        [number % x, number / x % y, number / x / y]
    }

    /// Cells between two along an axis, the short way round.
    fn apart(cells: &Cells, axis: usize, a: u32, b: u32) -> u32 {
        let straight = a.abs_diff(b);
        if cells.periodic[axis] { straight.min(cells.along[axis] - straight) } else { straight }
    }

    proptest! {
        #[test]
        fn every_cell_has_one_owner_and_it_is_in_its_brick((cells, weights) in weighted(), ranks in 1usize..14) {
            let bricks = Bricks::new(cells, &weights, ranks);
            let all: usize = (0..ranks).map(|rank| bricks.brick(rank).count()).sum();
            prop_assert_eq!(all, cells.count());
            for cell in 0..cells.count() as u32 {
                let at = place(&cells, cell);
                let having: Vec<usize> = (0..ranks)
                    .filter(|rank| (0..3).all(|axis| bricks.brick(*rank).cells[axis].contains(&at[axis])))
                    .collect();
                prop_assert_eq!(having.as_slice(), &[bricks.owner(cell).expect("a cell of the grid")]);
            }
            prop_assert_eq!(bricks.owner(cells.count() as u32), None);
        }

        #[test]
        fn ghosts_are_what_a_search_of_all_cells_finds(
            (cells, weights) in weighted(), ranks in 1usize..8, reach in [0u32..4, 0u32..4, 0u32..4],
        ) {
            let bricks = Bricks::new(cells, &weights, ranks);
            let owner = |cell: u32| bricks.owner(cell).expect("a cell of the grid");
            let count = cells.count() as u32;
            for by in 0..ranks {
                let mut want: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); ranks];
                for own in (0..count).filter(|cell| owner(*cell) == by) {
                    for other in (0..count).filter(|cell| owner(*cell) != by) {
                        let (a, b) = (place(&cells, own), place(&cells, other));
                        if (0..3).all(|axis| apart(&cells, axis, a[axis], b[axis]) <= reach[axis]) {
                            want[owner(other)].insert(other);
                        }
                    }
                }
                for of in 0..ranks {
                    let found = bricks.ghosts(of, by, reach);
                    prop_assert_eq!(&found, &want[of].iter().copied().collect::<Vec<_>>(), "of {} by {}", of, by);
                    prop_assert_eq!(found.is_empty(), !bricks.neighbours(by, reach).contains(&of));
                    prop_assert_eq!(
                        bricks.neighbours(by, reach).contains(&of), bricks.neighbours(of, reach).contains(&by)
                    );
                }
            }
        }

        #[test]
        fn one_cut_is_the_best_one(weights in prop::collection::vec(1u64..100, 2..40)) {
            let cells = Cells { along: [weights.len() as u32, 1, 1], periodic: [false; 3] };
            let bricks = Bricks::new(cells, &weights, 2);
            let worst = |at: usize| weights[..at].iter().sum::<u64>().max(weights[at..].iter().sum());
            let best = (1..weights.len()).map(worst).min().expect("two cells");
            let cut = bricks.brick(0).cells[0].end as usize;
            // cells count a sixteenth of all weights, all cells together
            let slack = weights.iter().sum::<u64>() / 16 + 1;
            prop_assert!(worst(cut) <= best + slack, "cut at {}: {} of {}", cut, worst(cut), best);
        }
    }

    #[test]
    fn even_weights_are_shared_evenly_by_any_number_of_ranks() {
        let cells = Cells { along: [24, 24, 24], periodic: [true; 3] };
        for ranks in [1, 2, 3, 4, 5, 6, 7, 8, 12, 13] {
            let bricks = Bricks::new(cells, &vec![10; cells.count()], ranks);
            let most = (0..ranks).map(|rank| bricks.brick(rank).count()).max().expect("a rank");
            let mean = cells.count() as f64 / ranks as f64;
            assert!((most as f64) < 1.15 * mean, "{ranks} ranks: {most} cells, {mean} on average");
        }
    }

    #[test]
    fn ranks_without_cells_are_no_neighbours() {
        let cells = Cells { along: [2, 1, 1], periodic: [true; 3] };
        let bricks = Bricks::new(cells, &[1, 1], 4);
        let with: Vec<usize> = (0..4).filter(|rank| bricks.brick(*rank).count() > 0).collect();
        assert_eq!(with.len(), 2);
        assert_eq!(bricks.neighbours(with[0], [1, 0, 0]), [with[1]]);
        let without = (0..4).find(|rank| !with.contains(rank)).expect("two are empty");
        assert!(bricks.neighbours(without, [1, 1, 1]).is_empty());
    }
}
