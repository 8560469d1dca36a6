//! A simulation in Rust with a system in Python: its kernel is in worker processes, which are Python's.
//!
//! ```sh
//! pip install ./python
//! cargo run --release --example python_workers -- python3 python/examples/swirl.py 2
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program that says what came of it")]

use hypostyle::{Component, RegionTarget, Schedule, Simulation, System, WorkerCommand, Workers, World, Write, dynamic};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
}

#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f32,
    y: f32,
}

/// How often Python turned a velocity.
#[derive(Component, Clone, Copy)]
struct Turned {
    times: u32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let python = args.next().unwrap_or_else(|| "python3".to_owned());
    let script = args.next().unwrap_or_else(|| "python/examples/swirl.py".to_owned());
    let count: usize = args.next().map_or(Ok(1), |count| count.parse())?;

    let region = RegionTarget::Named(format!("python-workers-{}", std::process::id()));
    let builder = World::builder().component::<Position>().component::<Velocity>().component::<Turned>();
    let mut world = builder.region(region).build()?;
    for index in 0..100_000 {
        let angle = index as f32 * 0.001;
        let position = Position { x: angle, y: 1.0 };
        world.spawn((position, Velocity { x: 1.0, y: angle }, Turned { times: 0 }))?;
    }

    // what the Python side declares, in Rust's words; its kernel is not in this program
    let swirl = dynamic::Query::new().write("velocity").write("turned").read("position");
    let mut schedule = Schedule::new();
    schedule.add(dynamic::external("swirl", swirl));
    schedule.add(System::rows::<(Write<Position>, hypostyle::Read<Velocity>)>(
        "move",
        |job, (mut position, velocity)| {
            let dt = job.dt() as f32;
            position.x.map_with(velocity.x, |x, v| x + v * dt);
            position.y.map_with(velocity.y, |y, v| y + v * dt);
        },
    ));
    let args = ["-m", "hypostyle.worker", &script].map(str::to_owned).into();
    let mut simulation = Simulation::builder()
        .workers(Workers::Processes(count))
        .worker_command(WorkerCommand { program: python.into(), args })
        .build(world, schedule)?;
    simulation.run(60, 1.0 / 60.0)?;

    let mut reader = simulation.world().reader()?;
    let snapshot = reader.pin()?;
    let mut turned = 0_u64;
    for table in snapshot.tables() {
        let times = table.column::<u32>("turned.times")?.unwrap_or_default();
        turned += times.iter().map(|times| u64::from(*times)).sum::<u64>();
    }
    println!("frame {}, {turned} turns by Python, state {:016x}", snapshot.frame(), snapshot.hash());
    Ok(())
}
