//! A world in a file, and on from there to the very same bytes.
//!
//! ```sh
//! cargo run --release --features checkpoint --example checkpoint
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::{checkpoint, prelude::*};

#[derive(Component, Clone, Copy)]
struct Orbit {
    x: f64,
    y: f64,
    vx: f64,
    vy: f64,
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Orbit>>("orbit", |job, mut orbit| {
        let dt = job.dt();
        for row in 0..job.len() {
            let (x, y) = (orbit.x[row], orbit.y[row]);
            let square = x * x + y * y;
            let pull = -dt / (square * square.sqrt());
            orbit.vx[row] += pull * x;
            orbit.vy[row] += pull * y;
            orbit.x[row] += dt * orbit.vx[row];
            orbit.y[row] += dt * orbit.vy[row];
        }
    }));
    schedule
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join(format!("example-{}.checkpoint", std::process::id()));
    let mut world = World::builder().component::<Orbit>().build()?;
    world.spawn_batch((1..=1000).map(|i| {
        let r = 1.0 + f64::from(i) * 0.01;
        Orbit { x: r, y: 0.0, vx: 0.0, vy: r.sqrt().recip() }
    }))?;

    let mut simulation = Simulation::new(world, schedule(), Workers::Auto)?;
    simulation.run(500, 0.01)?;
    let mut reader = simulation.world().reader()?;
    let report = checkpoint::write(&reader.pin()?, &file, &checkpoint::CheckpointOptions::default())?;
    println!("frame 500 in a file of {} bytes", report.file_bytes);
    simulation.run(500, 0.01)?;
    let straight = simulation.world().reader()?.pin()?.hash();

    // another time, another process, other workers
    let world = checkpoint::open(&file)?.restore(World::builder().component::<Orbit>())?;
    let mut simulation = Simulation::new(world, schedule(), Workers::Local)?;
    simulation.run(500, 0.01)?;
    let restored = simulation.world().reader()?.pin()?.hash();
    println!("frame 1000: {straight:016x} straight on, {restored:016x} from the file");
    std::fs::remove_file(&file)?;
    assert_eq!(straight, restored);
    Ok(())
}
