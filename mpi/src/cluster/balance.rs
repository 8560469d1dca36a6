//! When space is cut anew, and by which weights of cells.
//!
//! A cell weighs its rows, or the time that they took: the kernels of a rank ran for so long since the last cut, and each of
//! its rows counts for an equal part of that. What ranks have no time of (at the first cut; a rank without rows so far)
//! counts as it does on average. Weights are smoothed over cuts. Times differ from run to run, and so do the bricks; bytes do not depend on bricks.
#![forbid(unsafe_code)]

use hypostyle::World;

use super::State;
use super::migration::keys;
use crate::bricks::Bricks;
use crate::bytes::{Read, put_u64, words_u64};
use crate::domain::Looks;
use crate::error::ClusterError;

/// What bricks are to have the same of on all ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Rows.
    #[default]
    Rows,
    /// Time that kernels run, as it was measured since space was cut last.
    Time,
}

/// The weight of a row where there are no times: some room above 1, as weights are whole numbers.
const WEIGHT: u64 = 1 << 16;
/// The weight of a row at most: 2^40 such rows, of all ranks, still have a sum.
const WEIGHT_MAX: u64 = 1 << 24;

impl State {
    /// Takes the cells that the world has now. Space is to be cut anew where they are others.
    fn follow(&mut self, world: &World) -> Result<(), ClusterError> {
        let Looks::Near(domain) = &mut self.looks else { return Ok(()) };
        let Some((cells, reach)) = domain.now(world)? else { return Ok(()) };
        self.comm.all_equal("cells of space", format!("{cells:?} {reach:?}").as_bytes())?;
        if (cells, reach) != (domain.cells, domain.reach) {
            (domain.cells, domain.reach) = (cells, reach);
            (self.bricks, self.weights) = (None, Vec::new());
        }
        Ok(())
    }

    /// Cuts the space anew where it is time, or its cells are others.
    pub(super) fn balance(&mut self, world: &World) -> Result<(), ClusterError> {
        self.follow(world)?;
        let Some(domain) = self.looks.near() else { return Ok(()) };
        let due = match self.balance_every {
            0 => false,
            every => self.report.rebuilds.is_multiple_of(every),
        };
        if self.bricks.is_some() && !due {
            return Ok(());
        }
        let (mut counts, mut rows) = (vec![0_u64; domain.cells.count()], 0);
        for table in 0..world.table_count() {
            for key in keys(world, table, &domain.key_column())?.into_iter().flatten() {
                rows += 1;
                // a key of no cell is found when its row is to go somewhere
                if let Some(count) = counts.get_mut(key as usize) {
                    *count += 1;
                }
            }
        }
        let weight = self.weight(rows)?;
        let mut weights: Vec<u8> = counts.iter().flat_map(|count| (count * weight).to_le_bytes()).collect();
        self.comm.all_reduce("weights of cells", &mut weights, &|a, b| {
            for (a, b) in a.chunks_exact_mut(8).zip(b.chunks_exact(8)) {
                let sum = crate::comm::word(a).wrapping_add(crate::comm::word(b));
                a.copy_from_slice(&sum.to_le_bytes());
            }
        })?;
        let weights = self.smoothed(words_u64(&weights));
        let Some(domain) = self.looks.near() else { return Ok(()) };
        let bricks = Bricks::new(domain.cells, &weights, self.comm.size());
        self.weights = if self.balance == Balance::Time { weights } else { Vec::new() };
        self.report.balanced += 1;
        self.report.busy_since_cut = std::time::Duration::ZERO;
        self.plan = Some(super::ghosts::Plan::new(&bricks, domain, self.comm.rank()));
        self.bricks = Some(bricks);
        Ok(())
    }

    /// Means of weights and those of the cut before: a rank that something else held up does not lose half of its rows.
    fn smoothed(&self, mut weights: Vec<u64>) -> Vec<u64> {
        weights.iter_mut().zip(&self.weights).for_each(|(new, old)| *new = *new / 2 + *old / 2);
        weights
    }

    /// The weight of each of so many rows here.
    fn weight(&mut self, rows: u64) -> Result<u64, ClusterError> {
        let mut mine = Vec::with_capacity(16);
        put_u64(&mut mine, rows);
        put_u64(&mut mine, u64::try_from(self.report.busy_since_cut.as_nanos()).unwrap_or(u64::MAX));
        let mut times = Vec::with_capacity(self.comm.size());
        for (rank, told) in self.comm.all_gather("time of kernels", &mine)?.iter().enumerate() {
            let mut read = Read::new(rank, told);
            times.push((read.u64()?, read.u64()?));
            read.end()?;
        }
        if self.report.balanced == 1 {
            self.report.first_imbalance = imbalance(times.iter().map(|(_, busy)| *busy));
        }
        Ok(match self.balance {
            // before the first cut little has run, on rows that were anywhere
            Balance::Time if self.report.balanced > 0 => weights(&times)[self.comm.rank()],
            _ => WEIGHT,
        })
    }
}

/// The largest over the mean; 0 where there is nothing.
pub(super) fn imbalance(all: impl ExactSizeIterator<Item = u64> + Clone) -> f64 {
    let (count, sum): (usize, u128) = (all.len(), all.clone().map(u128::from).sum());
    let most = all.max().unwrap_or(0);
    if sum == 0 { 0.0 } else { most as f64 * count as f64 / sum as f64 }
}

/// The weight of a row on each rank, by its rows and the time that they took: [`WEIGHT`] on average.
fn weights(times: &[(u64, u64)]) -> Vec<u64> {
    let known = || times.iter().filter(|(rows, busy)| *rows > 0 && *busy > 0);
    let rows: u128 = known().map(|(rows, _)| u128::from(*rows)).sum();
    let busy: u128 = known().map(|(_, busy)| u128::from(*busy)).sum();
    let weight = |(own, time): &(u64, u64)| {
        if *own == 0 || *time == 0 {
            return WEIGHT;
        }
        // time of a row here over that of a row anywhere
        let share = (*time as f64 / *own as f64) / (busy as f64 / rows as f64);
        // a number out of range is cut off
        ((share * WEIGHT as f64) as u64).clamp(1, WEIGHT_MAX)
    };
    times.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_weigh_what_they_take() {
        // ten rows in 30 ns, ten in 10 ns: on average 2 ns each
        let found = weights(&[(10, 30), (10, 10), (0, 0), (5, 0), (0, 7)]);
        assert_eq!(found, [WEIGHT * 3 / 2, WEIGHT / 2, WEIGHT, WEIGHT, WEIGHT]);
        assert_eq!(weights(&[(5, 0), (0, 0)]), [WEIGHT; 2], "there are no times yet");
        let wild = weights(&[(1, u64::MAX), (u64::MAX, 1)]);
        assert!(wild[0] <= WEIGHT_MAX && wild[1] == 1, "{wild:?}");
    }

    #[test]
    fn imbalance_is_the_largest_over_the_mean() {
        assert_eq!(imbalance([3, 1].into_iter()), 1.5);
        assert_eq!(imbalance([0, 0].into_iter()), 0.0);
        assert_eq!(imbalance(std::iter::empty()), 0.0);
    }
}
