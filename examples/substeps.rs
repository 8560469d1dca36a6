//! A stiff spring in a frame that is too long for it: a loop of systems divides the frame's step.
//!
//! ```sh
//! cargo run --release --example substeps
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::Loop;
use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Spring {
    x: f64,
    v: f64,
}

fn run(passes: u32) -> Result<f64, Box<dyn std::error::Error>> {
    let mut world = World::builder().component::<Spring>().build()?;
    let spring = world.spawn(Spring { x: 1.0, v: 0.0 })?;
    let mut schedule = Schedule::new();
    schedule.add_loop(Loop::new("substeps").times(passes).divides_step());
    schedule.add(
        System::rows::<Write<Spring>>("swing", |job, mut spring| {
            // the part of the frame's step that this pass has
            let dt = job.dt();
            for row in 0..job.len() {
                spring.v[row] -= dt * 400.0 * spring.x[row];
                spring.x[row] += dt * spring.v[row];
            }
        })
        .in_loop("substeps"),
    );
    let mut simulation = Simulation::new(world, schedule, Workers::Local)?;
    simulation.run(60, 1.0 / 60.0)?;
    let Spring { x, v } = simulation.world().get(spring)?;
    Ok(0.5 * v * v + 200.0 * x * x)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for passes in [1, 4, 16, 64] {
        println!("{passes:>2} substeps: energy {:.3} after a second, 200 at first", run(passes)?);
    }
    Ok(())
}
