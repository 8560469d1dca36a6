//! Dispatch and join, patches, spawning, pins.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use hypostyle::{
    Component, Entity, Read, RegionTarget, Schedule, Simulation, System, WorkerCommand, Workers, World, Write,
};

use super::{Case, Figure, Options, compare, quantile};

#[derive(Component, Clone, Copy)]
struct Value {
    a: f32,
}

#[derive(Component, Clone, Copy)]
struct Target {
    entity: Entity,
}

#[derive(Component, Clone, Copy)]
struct Place {
    x: f32,
    y: f32,
    z: f32,
}

/// Two jobs that do next to nothing, so that a frame is dispatch and join.
pub fn idle_schedule() -> Schedule {
    let mut schedule = Schedule::new();
    let idle = System::neighbours::<Write<Value>, Read<Value>>("idle", |_, mut value, _| {
        value.a[0] += 1.0;
    });
    schedule.add(idle.job_rows(256));
    schedule
}

fn value_world(size: usize, region: RegionTarget) -> Result<World, Box<dyn Error>> {
    let mut world =
        World::builder().component::<Value>().component::<Target>().component::<Place>().region(region).build()?;
    let a = vec![1.0f32; size];
    world.spawn_columns(size).column("value.a", &a).spawn()?;
    Ok(world)
}

/// Frames of two tiny jobs: p50 and p99 for each pool.
pub fn empty_frame(options: &Options, _: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut figures = Vec::new();
    let mut pools = vec![(Workers::Local, "local"), (Workers::Threads(1), "main + 1 thread")];
    if options.worker.is_some() {
        pools.push((Workers::Processes(1), "main + 1 process"));
    }
    let mut first = None;
    for (workers, name) in pools {
        let shared = matches!(workers, Workers::Processes(_));
        let region =
            if shared { RegionTarget::Named(format!("bench-idle-{}", std::process::id())) } else { RegionTarget::Heap };
        let mut builder = Simulation::builder().workers(workers).publish_every(1_000_000);
        if let (true, Some(worker)) = (shared, options.worker) {
            let program = std::env::current_exe()?;
            builder = builder.worker_command(WorkerCommand { program, args: worker("idle") });
        }
        let mut simulation = builder.build(value_world(512, region)?, idle_schedule())?;
        let mut times: Vec<f64> = Vec::new();
        for frame in 0..200 * options.rounds {
            let begun = Instant::now();
            simulation.step(0.01)?;
            if frame >= 100 {
                times.push(begun.elapsed().as_nanos() as f64);
            }
        }
        times.sort_by(f64::total_cmp);
        for (q, label) in [(0.5, "p50"), (0.99, "p99")] {
            let median = quantile(&times, q);
            let base = *first.get_or_insert(median);
            figures.push(Figure {
                group: "empty frame: two tiny jobs, dispatch + join".to_owned(),
                case: format!("{name}, {label}"),
                unit: "ns/frame",
                median,
                quartiles: (quantile(&times, 0.25), quantile(&times, 0.75)),
                ratio: median / base,
            });
        }
    }
    Ok(figures)
}

const SETS: usize = 1_000_000;

/// Set patches from kernels through records to columns, beside raw stores; in row order and at random.
pub fn set_patches(options: &Options, _: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut order: Vec<u32> = (0..SETS as u32).collect();
    // a fixed shuffle
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for index in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(index, (state % (index as u64 + 1)) as usize);
    }
    let mut raw = vec![0.0f32; SETS];
    let mut raw_random = vec![0.0f32; SETS];
    let mut in_order = {
        let mut schedule = Schedule::new();
        let sets = System::rows::<Read<Value>>("set own rows", |job, value| {
            for row in 0..job.len() {
                job.set_row(row, Value { a: value.a[row] + 1.0 });
            }
        });
        schedule.add(sets.sets::<Value>());
        Simulation::new(value_world(SETS, RegionTarget::Heap)?, schedule, Workers::Local)?
    };
    let mut random = {
        let mut world = World::builder().component::<Value>().component::<Target>().component::<Place>().build()?;
        let a = vec![1.0f32; SETS];
        let entities = world.spawn_columns(SETS).column("value.a", &a).spawn()?;
        let targets: Vec<Entity> = order.iter().map(|index| entities[*index as usize]).collect();
        world.spawn_columns(SETS).column("target.entity", &targets).spawn()?;
        let mut schedule = Schedule::new();
        let sets = System::rows::<Read<Target>>("set others", |job, target| {
            for entity in target.entity {
                job.set(*entity, Value { a: entity.index() as f32 });
            }
        });
        schedule.add(sets.sets::<Value>());
        Simulation::new(world, schedule, Workers::Local)?
    };
    let order = &order;
    let cases = vec![
        Case::new("raw stores in order", || {
            for (index, value) in raw.iter_mut().enumerate() {
                *value = index as f32;
            }
            black_box(&mut raw);
            SETS as u64
        }),
        Case::new("raw stores at random", || {
            for index in order {
                raw_random[*index as usize] = *index as f32;
            }
            black_box(&mut raw_random);
            SETS as u64
        }),
        Case::new("set patches in row order, recorded and committed", move || {
            in_order.step(0.01).expect("sets do not fail");
            SETS as u64
        }),
        Case::new("set patches at random handles, recorded and committed", move || {
            random.step(0.01).expect("sets do not fail");
            SETS as u64
        }),
    ];
    Ok(compare("set patches, 1 M entities", "ns/set", options.rounds, cases))
}

/// Spawning a million entities by columns, into a new world and into a warm one.
pub fn bulk_spawn(options: &Options, _: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let columns: Vec<Vec<f32>> = (0..3).map(|k| (0..SETS).map(|i| (i + k) as f32).collect()).collect();
    let spawn = |world: &mut World| {
        world
            .spawn_columns(SETS)
            .column("place.x", &columns[0])
            .column("place.y", &columns[1])
            .column("place.z", &columns[2])
            .spawn()
            .expect("there is memory")
            .len() as u64
    };
    let mut warm = value_world(1, RegionTarget::Heap)?;
    let columns = &columns;
    let cases = vec![
        Case::new("copying three plain columns", move || {
            let copy: Vec<Vec<f32>> = columns.clone();
            black_box(&copy);
            SETS as u64
        }),
        Case::new("cold: a new world", || {
            let mut world = value_world(1, RegionTarget::Heap).expect("a world can be made");
            spawn(&mut world)
        }),
        Case::new("warm: and despawned again (all)", move || {
            let n = spawn(&mut warm);
            warm.despawn_where::<Read<Place>>().expect("there is memory");
            n
        }),
    ];
    Ok(compare("bulk spawn, 1 M entities of 3 f32", "ns/entity", options.rounds, cases))
}

/// Pinning the newest generation and letting go of it.
pub fn pin(options: &Options, _: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    const PINS: u64 = 100_000;
    let mut world = value_world(1000, RegionTarget::Heap)?;
    world.publish()?;
    let mut reader = world.reader()?;
    let name = format!("bench-pin-{}", std::process::id());
    let mut shared = value_world(1000, RegionTarget::Named(name))?;
    shared.publish()?;
    let mut shared_reader = shared.reader()?;
    let cases = vec![
        Case::new("heap region", move || {
            for _ in 0..PINS {
                black_box(reader.pin().expect("a generation is published").generation());
            }
            PINS
        }),
        Case::new("named region", move || {
            for _ in 0..PINS {
                black_box(shared_reader.pin().expect("a generation is published").generation());
            }
            PINS
        }),
    ];
    let figures = compare("pin + unpin", "ns", options.rounds, cases);
    drop((world, shared));
    Ok(figures)
}
