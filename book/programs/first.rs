//! One body on a spring.
#![forbid(unsafe_code)]

use hypostyle::prelude::*;

#[derive(Component, Clone, Copy)]
struct Position {
    x: f64,
}

#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut world = World::builder().component::<Position>().component::<Velocity>().build()?;
    let body = world.spawn((Position { x: 1.0 }, Velocity { x: 0.0 }))?;

    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Read<Position>, Write<Velocity>)>("pull", |job, (position, mut velocity)| {
        let dt = job.dt();
        velocity.x.map_with(position.x, |v, x| v - dt * x);
    }));
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("move", |job, (mut position, velocity)| {
        let dt = job.dt();
        position.x.map_with(velocity.x, |x, v| x + dt * v);
    }));

    let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
    simulation.run(1000, 0.001)?;
    println!("after {:.1} s at {:.4} m", simulation.world().time(), simulation.world().get::<Position>(body)?.x);
    Ok(())
}
