//! Entities come and go: fountains spawn drops, drops that reach the ground are despawned.
//!
//! ```sh
//! cargo run --release --example spawn_and_despawn
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Fountain {
    per_frame: u32,
}

#[derive(Component, Clone, Copy)]
struct Droplet {
    height: f64,
    speed: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut world = World::builder().component::<Fountain>().component::<Droplet>().build()?;
    world.spawn_batch([Fountain { per_frame: 3 }, Fountain { per_frame: 5 }])?;

    let mut schedule = Schedule::new();
    // a kernel changes nothing but its own rows: everything else is a patch, applied after all jobs of the batch
    schedule.add(
        System::rows::<Read<Fountain>>("spout", |job, fountain| {
            for row in 0..job.len() {
                // numbers by counter: the same for any workers
                let mut random = job.random(row);
                for _ in 0..fountain.per_frame[row] {
                    job.spawn(Droplet { height: 0.0, speed: 8.0 + 4.0 * random.f64() });
                }
            }
        })
        .spawns::<Droplet>(),
    );
    schedule.add(
        System::rows::<Write<Droplet>>("fly", |job, mut drop| {
            let dt = job.dt();
            drop.speed.map(|speed| speed - 9.81 * dt);
            drop.height.map_with(&drop.speed, |height, speed| height + speed * dt);
            for row in 0..job.len() {
                if drop.height[row] < 0.0 {
                    job.despawn_row(row);
                }
            }
        })
        .despawns(),
    );

    let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    for second in 1..=4 {
        simulation.run(50, 0.02)?;
        let drops = simulation.world().count::<With<Droplet>>()?;
        println!("{second} s: {drops:>4} drops {}", "#".repeat(drops as usize / 20));
    }
    Ok(())
}
