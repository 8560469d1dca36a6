//! Random numbers that depend on nothing but seed, frame and entity: a walk, and its spread as a histogram.
//!
//! ```sh
//! cargo run --release --example random_walk
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Walker {
    place: i32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut world = World::builder().component::<Walker>().build()?;
    world.spawn_batch((0..10_000).map(|_| Walker { place: 0 }))?;

    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Walker>>("step", |job, mut walker| {
        for row in 0..job.len() {
            walker.place[row] += if job.random(row).u32() % 2 == 0 { 1 } else { -1 };
        }
    }));

    let mut simulation = Simulation::builder().workers(Workers::Auto).seed(7).build(world, schedule)?;
    simulation.run(100, 1.0)?;

    let mut bins = [0u32; 13];
    let mut square = 0.0;
    simulation.world().query::<Read<Walker>>(|_, walker| {
        for place in walker.place {
            bins[((place + 32) / 5).clamp(0, 12) as usize] += 1;
            square += f64::from(place * place);
        }
    })?;
    for (bin, count) in bins.iter().enumerate() {
        println!("{:>4} {}", bin as i32 * 5 - 30, "#".repeat(*count as usize / 40));
    }
    println!("mean square {:.1}: a walk of 100 steps has 100", square / 10_000.0);
    Ok(())
}
