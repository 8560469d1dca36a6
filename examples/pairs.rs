//! Forces between pairs that are near each other: a drop of a fluid in the plane, whose energy stays what it was.
//!
//! ```sh
//! cargo run --release --example pairs
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use hypostyle::pairs::{PairLists, PairState};
use hypostyle::{prelude::*, space::Box2};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f64,
    y: f64,
}
#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f64,
    y: f64,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "scratch")]
struct Force {
    x: f64,
    y: f64,
}
#[derive(Resource, Reduce, Clone, Copy)]
struct Energy {
    #[reduce(sum)]
    potential: f64,
}

fn kick(name: &str) -> System {
    System::rows::<(Write<Velocity>, Read<Force>)>(name, |job, (mut v, f)| {
        let half = 0.5 * job.dt();
        v.x.map_with(f.x, |v, f| v + half * f);
        v.y.map_with(f.y, |v, f| v + half * f);
    })
}

/// Lennard-Jones, shifted to nothing at the cutoff: force over distance, and energy, of the square of the distance.
fn law(square: f64) -> (f64, [f64; 1]) {
    let sixth = 1.0 / (square * square * square);
    (sixth * (48.0 * sixth - 24.0) / square, [4.0 * sixth * (sixth - 1.0) + 0.016_316_891])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lists = PairLists::<Position, Force, f64, 2>::new(Box2::periodic([60.0; 2])?, 2.5, 0.4)?;
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("move", |job, (mut at, v)| {
        let dt = job.dt();
        at.x.map_with(v.x, |x, v| x + v * dt);
        at.y.map_with(v.y, |y, v| y + v * dt);
    }));
    // who is near whom, made anew where somebody has moved too far
    lists.add_to(&mut schedule);
    let force = System::pairs_and_sum("force", &lists, law, |job, [twice]| {
        job.reduce(Energy { potential: 0.5 * twice });
        Ok(())
    });
    schedule.add(force.reduces::<Energy>());
    schedule.add(kick("second half")).add(kick("first half of the next"));

    let builder = World::builder().component::<Velocity>().resource::<Energy>();
    let mut world = lists.register(builder).build()?;
    world.spawn_batch((0..900).map(|i| {
        let at = Position { x: 13.0 + 1.13 * f64::from(i % 30), y: 13.0 + 1.13 * f64::from(i / 30) };
        let angle = f64::from(i) * 2.399_963;
        (at, Velocity { x: 0.6 * angle.cos(), y: 0.6 * angle.sin() }, Force { x: 0.0, y: 0.0 }, lists.parts())
    }))?;

    let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    for _ in 0..3 {
        simulation.run(500, 0.004)?;
        let world = simulation.world();
        // velocities are half a step past the places: halves of the kick back make them those of this moment
        let mut kinetic = 0.0;
        world.query::<(Read<Velocity>, Read<Force>)>(|_, (v, f)| {
            for row in 0..v.x.len() {
                let now = [v.x[row] - 0.002 * f.x[row], v.y[row] - 0.002 * f.y[row]];
                kinetic += 0.5 * (now[0] * now[0] + now[1] * now[1]);
            }
        })?;
        let (energy, made) = (world.resource::<Energy>()?, world.resource::<PairState>()?.made);
        let (frame, each) = (world.frame(), (kinetic + energy.potential) / world.entity_count() as f64);
        println!("frame {frame}: energy {each:.4} each, lists made {made} times");
    }
    Ok(())
}
