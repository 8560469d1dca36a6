//! position += velocity * dt over three f32, beside hand-written loops over plain vectors.

use std::error::Error;
use std::hint::black_box;

use hypostyle::{Component, Read, RegionTarget, Schedule, Simulation, System, WorkerCommand, Workers, World, Write};

use super::{Case, Figure, Options, compare};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
    z: f32,
}

#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f32,
    y: f32,
    z: f32,
}

const DT: f32 = 1.0 / 60.0;

/// The bench's only system.
pub fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut position, velocity)| {
        let dt = job.dt() as f32;
        position.x.map_with(velocity.x, |x, v| x + v * dt);
        position.y.map_with(velocity.y, |y, v| y + v * dt);
        position.z.map_with(velocity.z, |z, v| z + v * dt);
    }));
    schedule
}

fn columns(size: usize) -> Vec<Vec<f32>> {
    (0..6).map(|k| (0..size).map(|i| (i % 1000 + k) as f32 * 1e-3).collect()).collect()
}

/// A world of `size` entities, in a region where workers are processes.
pub fn simulation(
    size: usize,
    workers: Workers,
    publish_every: u64,
    options: &Options,
) -> Result<Simulation, Box<dyn Error>> {
    let shared = matches!(workers, Workers::Processes(_));
    let region = if shared {
        RegionTarget::Named(format!("bench-{}-{size}-{publish_every}", std::process::id()))
    } else {
        RegionTarget::Heap
    };
    let bytes_max = (64 << 20) + size as u64 * 128;
    let mut world = World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .bytes_max(bytes_max)
        .region(region)
        .table(&["position", "velocity"], size as u64)
        .build()?;
    let columns = columns(size);
    world
        .spawn_columns(size)
        .column("position.x", &columns[0])
        .column("position.y", &columns[1])
        .column("position.z", &columns[2])
        .column("velocity.x", &columns[3])
        .column("velocity.y", &columns[4])
        .column("velocity.z", &columns[5])
        .spawn()?;
    let mut builder = Simulation::builder().workers(workers).publish_every(publish_every);
    if let (true, Some(worker)) = (shared, options.worker) {
        let program = std::env::current_exe()?;
        builder = builder.worker_command(WorkerCommand { program, args: worker("integrate") });
    }
    Ok(builder.build(world, schedule())?)
}

/// All pools beside the hand-written loops, for one size.
pub fn group(options: &Options, size: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    // enough frames a round that a small world's round is longer than the clock's grain
    let frames = (200_000 / size).clamp(1, 50) as u64;
    let operations = frames * size as u64;
    let source = columns(size);
    let mut in_place = source.clone();
    let (mut front, mut back) = (source[..3].to_vec(), source[..3].to_vec());
    let mut cases = vec![
        Case::new("by hand, double-buffered", || {
            for _ in 0..frames {
                for axis in 0..3 {
                    let velocity = &source[axis + 3];
                    for ((new, old), v) in back[axis].iter_mut().zip(&front[axis]).zip(velocity) {
                        *new = old + v * DT;
                    }
                }
                std::mem::swap(&mut front, &mut back);
                black_box(&mut front);
            }
            operations
        }),
        Case::new("by hand, in place", || {
            for _ in 0..frames {
                let (positions, velocities) = in_place.split_at_mut(3);
                for (position, velocity) in positions.iter_mut().zip(velocities) {
                    for (x, v) in position.iter_mut().zip(velocity) {
                        *x += *v * DT;
                    }
                }
                black_box(&mut in_place);
            }
            operations
        }),
    ];
    let mut pools = vec![
        (Workers::Local, 1, "local, a generation every frame"),
        (Workers::Local, 10, "local, a generation every 10 frames"),
        (Workers::Threads(1), 1, "main + 1 thread, every frame"),
    ];
    if options.worker.is_some() {
        pools.push((Workers::Processes(1), 1, "main + 1 process, every frame"));
    }
    for (workers, publish_every, name) in pools {
        let mut simulation = simulation(size, workers, publish_every, options)?;
        cases.push(Case::new(name, move || {
            for _ in 0..frames {
                simulation.step(f64::from(DT)).expect("an integration step does not fail");
            }
            operations
        }));
    }
    // frames per pass: all frames up to the next generation on one range of rows
    let mut passes = simulation(size, Workers::Local, 10, options)?;
    cases.push(Case::new("local, every 10 frames, run(10)", move || {
        passes.run(10, f64::from(DT)).expect("an integration step does not fail");
        10 * size as u64
    }));
    Ok(compare(&format!("position += velocity * dt, {size} entities"), "ns/entity", options.rounds, cases))
}
