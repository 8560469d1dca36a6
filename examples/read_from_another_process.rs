//! Another process reads the live state in place: no copy, and the simulation does not wait.
//!
//! ```sh
//! cargo run --release --example read_from_another_process
//! ```
#![expect(unsafe_code, reason = "opens a region, whose files nobody else may write")]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Position {
    x: f64,
}

/// What the other process does: pins a few generations and looks at them.
fn read(region: &str) -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the region is that of the example's own writer, which writes as a region is to be written.
    let mut reader = unsafe { Reader::open(&RegionTarget::Named(region.to_owned())) }?;
    for _ in 0..3 {
        let snapshot = reader.pin()?;
        let mut sum = 0.0;
        for table in snapshot.tables() {
            // a slice of the simulation's own memory, which nobody writes while it is pinned
            let x = table.column::<f64>("position.x")?.unwrap_or_default();
            assert!(x.iter().all(|own| *own == x[0]), "all rows are of one frame");
            sum += x.iter().sum::<f64>();
        }
        println!("the other process: frame {}, mean {}", snapshot.frame(), sum / snapshot.entity_count() as f64);
        let seen = snapshot.generation();
        drop(snapshot);
        reader.wait(seen, std::time::Duration::from_secs(60)).ok_or("the simulation has stopped")?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(region) = std::env::args().nth(1) {
        return read(&region);
    }
    let region = format!("example-reader-{}", std::process::id());
    let mut world = World::builder().component::<Position>().region(RegionTarget::Named(region.clone())).build()?;
    world.spawn_batch((0..10_000).map(|_| Position { x: 0.0 }))?;
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Position>>("move", |_, mut position| position.x.map(|x| x + 1.0)));
    let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    simulation.step(1.0)?;

    let mut other = std::process::Command::new(std::env::current_exe()?).arg(&region).spawn()?;
    while other.try_wait()?.is_none() {
        simulation.step(1.0)?;
    }
    println!("the simulation: frame {}", simulation.world().frame());
    if !other.wait()?.success() {
        return Err("the other process failed".into());
    }
    Ok(())
}
