//! Tools for particles in space: boxes with periodic axes, cells and their keys, lists of neighbours, sums over pairs.
//!
//! The way of a simulation of many particles with short forces:
//! 1. A [`Bounds`] ([`Box3`], [`Box2`]) says where they are, which axes are periodic, and what the nearest image is.
//! 2. A [`CellGrid`] gives each particle the key of its cell, by which the table is sorted
//!    ([`System::sort_by`](crate::System::sort_by)): then a cell's particles are consecutive rows, which [`CellStarts`] knows.
//! 3. A [`NeighbourSearch`] finds the rows within reach of a row; a [`Skin`] says for how long such a list holds.
//! 4. [`PairForces`] sums a law of forces over the lists, in vectors; lists that are kept take half of the memory as
//!    [`PackedRows`].
//!
//! Everything is for `f32` and `f64`, two and three dimensions, and plain slices: the columns of a job, or any others.
//!
//! **The same bits everywhere.** Numbers are computed by correctly rounded operations in one order; sums go by
//! eight lanes, joined by one tree, whatever vectors the processor has (see [`Vectors`](crate::simd::Vectors)). So a run has the
//! same bytes on any x86-64 processor and any other machine.
//!
//! ```
//! use hypostyle::space::{Box3, CellGrid, CellStarts, NeighbourSearch, PairForces};
//!
//! // a chain of particles along x, across the border of a periodic box
//! let bounds = Box3::periodic([10.0; 3])?;
//! let grid = CellGrid::new(&bounds, 1.5)?;
//! let mut x: Vec<f64> = (0..10).map(|i| f64::from(i) + 0.25).collect();
//! let (y, z) = (vec![5.0; 10], vec![5.0; 10]);
//! x.sort_by_key(|x| grid.key([*x, 5.0, 5.0])); // what `System::sort_by` does with a table
//! let keys: Vec<u32> = x.iter().map(|x| grid.key([*x, 5.0, 5.0])).collect();
//!
//! let starts = CellStarts::of_sorted(&keys, grid.count())?;
//! let mut search = NeighbourSearch::new(&grid, &starts, [&x, &y, &z], 1.5);
//! let lists: Vec<Vec<u32>> = (0..10).map(|row| search.of(row).map(<[u32]>::to_vec)).collect::<Result<_, _>>()?;
//! assert!(lists.iter().all(|list| list.len() == 2));
//!
//! let mut force = [vec![0.0; 10], vec![0.0; 10], vec![0.0; 10]];
//! let [fx, fy, fz] = &mut force;
//! let pairs = PairForces::new(&bounds, [&x, &y, &z], 1.5, 1.5);
//! pairs.set(0, |row| &lists[row], [fx, fy, fz], |square| 1.0 / square);
//! assert!(force[0].iter().all(|f| f.abs() < 1e-12), "the pulls of both sides are opposite");
//! # Ok::<(), hypostyle::space::SpaceError>(())
//! ```

mod bounds;
mod curves;
mod error;
mod forces;
mod grid;
mod packed;
mod real;
mod search;
mod skin;
mod starts;
#[cfg(test)]
mod tests;

pub use bounds::{Bounds, Box2, Box3};
pub use curves::{hilbert2, hilbert3, morton2, morton3};
pub use error::SpaceError;
pub use forces::PairForces;
pub use grid::CellGrid;
pub use packed::PackedRows;
pub use real::Real;
pub use search::NeighbourSearch;
pub use skin::Skin;
pub use starts::CellStarts;
