//! Sums over all rows, with the same bits for any number of workers: a thermostat for a gas.
//!
//! ```sh
//! cargo run --release --example reduction
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f64,
}

#[derive(Resource, Reduce, Clone, Copy)]
struct Thermo {
    #[reduce(sum)]
    energy: f64,
    #[reduce(max)]
    fastest: f64,
    #[reduce(sum)]
    atoms: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut world = World::builder().component::<Velocity>().resource::<Thermo>().build()?;
    world.spawn_batch((0..100_000).map(|i| Velocity { x: f64::from(i % 1000) * 0.01 - 5.0 }))?;

    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<Read<Velocity>>("measure", |job, velocity| {
            let mut all = Thermo::empty();
            for x in velocity.x {
                all = all.join(Thermo { energy: 0.5 * x * x, fastest: x.abs(), atoms: 1 });
            }
            job.reduce(all);
        })
        .reduces::<Thermo>(),
    );
    // the next batch sees the result of all jobs of the batch before
    schedule.add(
        System::try_rows::<Write<Velocity>>("rescale", |job, mut velocity| {
            let thermo: Thermo = job.resource()?;
            let scale = (0.5 * thermo.atoms as f64 / thermo.energy).sqrt();
            velocity.x.map(|x| x * scale);
            Ok(())
        })
        .reads_resource::<Thermo>()
        .after("measure"),
    );

    let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    for frame in 1..=2 {
        simulation.step(0.01)?;
        let thermo = simulation.world().resource::<Thermo>()?;
        println!(
            "frame {frame}: energy {:.6} each, fastest {:.3}",
            thermo.energy / thermo.atoms as f64,
            thermo.fastest
        );
    }
    Ok(())
}
