//! Systems in worker processes: one of them is killed, and the result is the same.
//!
//! ```sh
//! cargo run --release --example worker_processes
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Number {
    value: u64,
}

/// Both the main process and its workers make the schedule.
fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Number>>("collatz", |_, mut number| {
        number.value.map(|n| match n {
            0 | 1 => n,
            n if n % 2 == 0 => n / 2,
            n => 3 * n + 1,
        });
    }));
    schedule
}

fn run(workers: Workers) -> Result<u64, Box<dyn std::error::Error>> {
    let name = format!("example-workers-{}", std::process::id());
    let mut world = World::builder().component::<Number>().region(RegionTarget::Named(name)).build()?;
    world.spawn_batch((0..100_000).map(|i| Number { value: i }))?;
    let mut simulation = Simulation::new(world, schedule(), workers)?;
    let mut reader = simulation.world().reader()?;
    for frame in 0..50 {
        simulation.step(1.0)?;
        // a worker may die at any instruction
        if let Some(pid) = simulation.worker_status().first().and_then(|worker| worker.pid).filter(|_| frame == 20) {
            std::process::Command::new("kill").args(["-9", &pid.to_string()]).status()?;
        }
    }
    let hash = reader.pin()?.hash();
    let deaths: u64 = simulation.worker_status().iter().map(|worker| worker.deaths).sum();
    println!("{workers:<12} state {hash:016x}, {deaths} deaths");
    Ok(hash)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // a worker process comes in here, does its work, and is done
    if hypostyle::serve(schedule)? {
        return Ok(());
    }
    let local = run(Workers::Local)?;
    let processes = run(Workers::Processes(2))?;
    assert_eq!(local, processes, "the same bytes for any number and kind of workers");
    Ok(())
}
