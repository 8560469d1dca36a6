//! The scenes of these tests: their components, worlds and schedules, by name, so that a worker can be told which.
//!
//! Everything that a kernel does depends on the seed (its payload), the frame, and what it reads; never on who runs it.
#![forbid(unsafe_code)]

mod components;
mod mixed;
mod pairs;
mod plain;
mod sealed;

use std::time::Duration;

use hypostyle::{Job, RegionTarget, Schedule, Simulation, World};

pub use components::*;
pub use plain::{FAULTY_ROW, Fault};
pub use sealed::{Clock, Marked, Sealed, Sparse, seal_of, sealed_world, sparse_seal};

use crate::support::mix;

/// The step of all scenes.
pub const DT: f64 = 0.0625;

/// Systems of every schedule that have a seed as their payload.
const SEEDED: [&str; 12] =
    ["touch", "heat", "charges", "births", "adopts", "leaks", "weather", "wrong", "stir", "poke", "flip", "swap"];

/// Gives all systems their seed.
pub fn seed(simulation: &mut Simulation, seed: u64) {
    for system in SEEDED {
        // a schedule has some of them
        let _ = simulation.set_payload(system, seed.to_le_bytes());
    }
}

/// The schedule of this name.
pub fn schedule(name: &str) -> Schedule {
    let mut schedule = Schedule::new();
    match name {
        "mixed" => mixed::schedule(&mut schedule),
        "pairs" => pairs::schedule(&mut schedule),
        "local" => plain::local(&mut schedule),
        "flood" => plain::flood(&mut schedule),
        "sorted" => plain::sorted(&mut schedule),
        "sealed" => sealed::schedule(&mut schedule),
        "faulty" => plain::faulty(&mut schedule, None, 64),
        "faulty-otherwise" => plain::faulty(&mut schedule, None, 128),
        "reaching" => plain::reaching(&mut schedule),
        "deadline" => plain::faulty(&mut schedule, Some(Duration::from_millis(400)), 64),
        _ => panic!("there is no schedule `{name}`"),
    }
    schedule
}

/// The world of a scene.
pub fn world(scene: &str, region: RegionTarget, rows: usize, seed: u64) -> World {
    match scene {
        "mixed" => mixed::world(region, rows, seed),
        "pairs" => pairs::world(region, rows, seed),
        "sealed" => sealed_world(region, rows, None),
        _ => plain::world(region, rows),
    }
}

/// The job's seed.
fn seed_of(job: &Job<'_, '_>) -> u64 {
    job.payload().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A number for an entity of this frame and this purpose.
fn roll(job: &Job<'_, '_>, seed: u64, row: usize, purpose: u64) -> u64 {
    mix(seed ^ mix(job.frame() << 8 | purpose) ^ mix(u64::from(job.entities()[row].index())))
}
