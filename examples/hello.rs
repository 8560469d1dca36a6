//! The smallest simulation: ten bodies fall for a second.
//!
//! ```sh
//! cargo run --release --example hello
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Body {
    /// Metres.
    height: f64,
    /// Metres per second.
    speed: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // a world knows its components from the beginning
    let mut world = World::builder().component::<Body>().build()?;
    let bodies = world.spawn_batch((1..=10).map(|i| Body { height: 10.0 * f64::from(i), speed: 0.0 }))?;

    // a system gets columns: `body.height` is one slice of all heights
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Body>>("fall", |job, mut body| {
        let dt = job.dt();
        body.speed.map(|speed| speed - 9.81 * dt);
        body.height.map_with(&body.speed, |height, speed| height + speed * dt);
    }));

    let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    simulation.run(1000, 0.001)?;

    let last = simulation.world().get::<Body>(bodies[9])?;
    println!("after {:.1} s: {:.3} m, {:.3} m/s", simulation.world().time(), last.height, last.speed);
    Ok(())
}
