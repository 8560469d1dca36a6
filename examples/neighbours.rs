//! Every row looks at the others: birds steer towards the mean direction of those that are near.
//!
//! ```sh
//! cargo run --release --example neighbours
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::{WorldError, prelude::*};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f64,
    y: f64,
}

#[derive(Component, Clone, Copy)]
struct Heading {
    x: f64,
    y: f64,
}

const SIGHT: f64 = 2.0;

/// How far the flock agrees: the length of the mean heading.
fn agreement(world: &World) -> Result<f64, WorldError> {
    let mut sum = [0.0, 0.0];
    world.query::<Read<Heading>>(|_, heading| {
        sum[0] += heading.x.iter().sum::<f64>();
        sum[1] += heading.y.iter().sum::<f64>();
    })?;
    Ok(sum[0].hypot(sum[1]) / world.entity_count() as f64)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut world = World::builder().component::<Position>().component::<Heading>().build()?;
    world.spawn_batch((0..400).map(|i| {
        let angle = f64::from(i) * 2.399_963;
        (Position { x: f64::from(i % 20), y: f64::from(i / 20) }, Heading { x: angle.cos(), y: angle.sin() })
    }))?;

    let mut schedule = Schedule::new();
    // own rows on the left; what is read of all rows on the right, as it was when the batch began
    schedule.add(System::neighbours::<(Read<Position>, Write<Heading>), (Read<Position>, Read<Heading>)>(
        "steer",
        |job, (at, mut heading), others| {
            for row in 0..job.len() {
                let mut mean = [0.0, 0.0];
                for table in others.tables() {
                    let (other, course) = table.columns;
                    for i in 0..table.entities.len() {
                        let d = [other.x[i] - at.x[row], other.y[i] - at.y[row]];
                        if d[0] * d[0] + d[1] * d[1] < SIGHT * SIGHT {
                            mean = [mean[0] + course.x[i], mean[1] + course.y[i]];
                        }
                    }
                }
                let length = (mean[0] * mean[0] + mean[1] * mean[1]).sqrt().max(1e-9);
                heading.x[row] = mean[0] / length;
                heading.y[row] = mean[1] / length;
            }
        },
    ));

    let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    println!("agreement at first: {:.3}", agreement(simulation.world())?);
    simulation.run(200, 0.1)?;
    println!("agreement at last:  {:.3}", agreement(simulation.world())?);
    Ok(())
}
