//! The physics worlds that the command line runs, written as any user of the library writes one: public API only.
//!
//! A scene's results are the same bytes for every kind and number of workers and on every machine: kernels use
//! correctly rounded operations alone (+ - * / and square roots), and every random number is a hash of what it is for
//! ([`random`]). A scene's schedule is built from its options alone, so a worker process builds the same one.
#![forbid(unsafe_code)]

#[cfg(feature = "cases")]
pub mod cases;
#[cfg(feature = "command")]
pub mod command;
pub mod epidemic;
pub mod field;
pub mod fluids;
pub mod lj;
pub mod nbody;
mod options;
pub mod particles;
pub mod random;
pub mod spheres;

use std::error::Error;

use hypostyle::space::{CellGrid, Real};
use hypostyle::{Resource, Schedule, World, WorldBuilder, WorldError};

pub use options::{SceneError, SceneOption, SceneOptions};

/// Something that a scene observes: a line of the closing table, a column of a time series.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is.
    pub label: String,
    /// Its value for people, with its unit.
    pub value: String,
    /// Its value for programs.
    pub number: f64,
}

impl Line {
    /// A number, and how people read it.
    pub fn number(label: impl Into<String>, number: f64, text: impl FnOnce(f64) -> String) -> Self {
        Line { label: label.into(), value: text(number), number }
    }

    /// A number of things.
    pub fn count(label: impl Into<String>, count: u64) -> Self {
        Line { label: label.into(), value: count.to_string(), number: count as f64 }
    }
}

/// A physics world that can be run by name.
pub trait Scene: Sync {
    /// The name.
    fn name(&self) -> &'static str;
    /// One line about it.
    fn about(&self) -> &'static str;
    /// Entities, where the options do not say.
    fn default_entities(&self) -> u64;
    /// The options that only this scene has; `run` takes them as `--name VALUE`.
    fn options(&self) -> &'static [SceneOption] {
        &[]
    }
    /// The step of simulated time, seconds (in `nbody` days or N-body units, in `lj` reduced units).
    fn dt(&self) -> f64;
    /// How many frames make a run; `None`: as many as fit its seconds.
    fn default_frames(&self) -> Option<u64> {
        None
    }
    /// Makes the world with its initial state.
    ///
    /// # Errors
    /// A region that cannot be made, no memory, too many entities.
    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>>;
    /// The systems; equal for equal options.
    fn schedule(&self, options: &SceneOptions) -> Schedule;
    /// What is to be seen: energies, counts. Asked before the first and after the last frame.
    ///
    /// # Errors
    /// A world of another scene.
    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>>;
    /// How the scene's space is divided where its rows are spread over many ranks; `None`: its systems look at no rows but
    /// their own, so any rank can have any row.
    ///
    /// # Errors
    /// A world of another scene.
    fn space(&self, _: &World) -> Result<Option<Space>, Box<dyn Error>> {
        Ok(None)
    }
    /// Whether its systems look at all rows, in the order of their ids: then each rank has copies of those of all others.
    fn looks_at_all(&self, _: &SceneOptions) -> bool {
        false
    }
    /// What looks at the world while it runs, and writes what it sees to files.
    ///
    /// # Errors
    /// Options that are not valid, files that cannot be made.
    fn watches(&self, _: &SceneOptions) -> Result<Vec<Box<dyn Watch>>, Box<dyn Error>> {
        Ok(Vec::new())
    }
}

/// The cells of a scene's space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Cells along each axis; 1 where there is no such axis.
    pub along: [u32; 3],
    /// Whether the last one is beside the first.
    pub periodic: [bool; 3],
    /// The column that has the number of a row's cell, consecutive along the first axis.
    pub key: &'static str,
    /// So many cells off a system looks for neighbours, along each axis.
    pub reach: [u32; 3],
    /// Whether cells and reach follow from resources that change: they are to be asked for at each sort by the key.
    pub changes: bool,
}

/// Something that looks at a world between frames: before the first one, and whenever the frame's number is a multiple
/// of [`Watch::every`].
pub trait Watch {
    /// Frames between two looks, at least 1.
    fn every(&self) -> u64;
    /// Looks, and writes what it sees.
    ///
    /// # Errors
    /// A world of another scene, a file that cannot be written.
    fn look(&mut self, world: &World) -> Result<(), Box<dyn Error>>;
}

/// Every scene.
pub fn all() -> &'static [&'static dyn Scene] {
    &[
        &particles::Particles,
        &spheres::Spheres,
        &nbody::NBody,
        &lj::LennardJones,
        &fluids::Fluids,
        &field::Plasma,
        &epidemic::Epidemic,
    ]
}

/// The scene of a name.
pub fn find(name: &str) -> Option<&'static dyn Scene> {
    all().iter().copied().find(|scene| scene.name() == name)
}

/// Room for so many entities, each with so many bytes of address space for all versions of its columns.
fn bytes_max(entities: u64, bytes_per_entity: u64) -> u64 {
    const LEAST: u64 = 4 << 30;
    entities.saturating_mul(bytes_per_entity).clamp(LEAST, hypostyle::limits::WORLD_BYTES_MAX)
}

impl Space {
    /// That of a grid in which systems look so far, and of the column that has the number of a row's cell.
    fn of<T: Real, const N: usize>(grid: &CellGrid<T, N>, reach: T, key: &'static str) -> Space {
        let (cells, width, periodic) = (grid.cells(), grid.width().map(T::to_f64), grid.bounds().is_periodic());
        // as searches do, and no less: what rounding has moved across the border of a cell is found, too
        let far = |width: f64| (1.000_02 * reach.to_f64() / width).ceil() as u32;
        Space {
            along: std::array::from_fn(|axis| cells.get(axis).map_or(1, |cells| *cells as u32)),
            periodic: std::array::from_fn(|axis| periodic.get(axis).copied().unwrap_or(false)),
            key,
            reach: std::array::from_fn(|axis| width.get(axis).map_or(0, |width| far(*width))),
            changes: false,
        }
    }
}

/// Gives a resource a value, whether it has one or not.
fn put<R: Resource>(world: &mut World, value: R) -> Result<(), WorldError> {
    if world.has_resource::<R>()? { world.set_resource(value) } else { world.insert_resource(value) }
}
