//! The whole history of a run in files, and any state of it again.
//!
//! ```sh
//! cargo run --release --features checkpoint --example journal
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::journal::{Journal, Recorder, RecorderOptions};
use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Cell {
    heat: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::temp_dir().join(format!("example-journal-{}", std::process::id()));
    let mut world = World::builder().component::<Cell>().build()?;
    world.spawn_batch((0..1000).map(|i| Cell { heat: f64::from(i) }))?;
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Cell>>("cool", |_, mut cell| cell.heat.map(|heat| heat * 0.9)));
    let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;

    let mut recorder = Recorder::start(simulation.world(), RecorderOptions::new(&directory))?;
    for _ in 0..30 {
        simulation.step(1.0)?;
        recorder.look()?;
    }
    recorder.finish()?;

    let journal = Journal::open(&directory)?;
    println!("{} states, frames {} to {}", journal.entries().len(), journal.first().frame, journal.last().frame);
    for frame in [5, 15, 30] {
        let mut reader = journal.replay_to(journal.at(frame)?)?.load()?;
        let snapshot = reader.pin()?;
        for table in snapshot.tables() {
            let heat = table.column::<f64>("cell.heat")?.unwrap_or_default();
            println!("frame {frame:>2}: mean heat {:.3}", heat.iter().sum::<f64>() / heat.len() as f64);
        }
    }
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
