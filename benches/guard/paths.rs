//! The paths: what is set up, and what runs between the marks.

use std::error::Error;
use std::hint::black_box;

use hypostyle::{Component, Entity, Read, Schedule, Simulation, System, Workers, World, Write};

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

#[derive(Component, Clone, Copy)]
struct Value {
    a: f32,
}

#[derive(Component, Clone, Copy)]
struct Target {
    entity: Entity,
}

const POSITION: Position = Position { x: 1.0, y: 2.0, z: 3.0 };
const VELOCITY: Velocity = Velocity { x: 0.5, y: 0.25, z: 0.125 };

/// Something to run between the marks; it says how many units of work it did.
pub type Run = Box<dyn FnMut() -> Result<u64, Box<dyn Error>>>;

/// A path: its name, what its unit is, and how it is set up.
pub struct Path {
    pub name: &'static str,
    pub unit: &'static str,
    pub make: fn() -> Result<Run, Box<dyn Error>>,
}

/// All of them.
pub const PATHS: &[Path] = &[
    Path { name: "integrate", unit: "entity and frame", make: integrate },
    Path { name: "integrate, frames in one pass", unit: "entity and frame", make: integrate_run },
    Path { name: "set own rows", unit: "patch", make: set_own },
    Path { name: "set others", unit: "patch", make: set_others },
    Path { name: "pin and unpin", unit: "pin", make: pin },
    Path { name: "pin what is new", unit: "generation", make: pin_new },
    Path { name: "frame of 20 systems over 1,000 rows", unit: "frame", make: frame },
    Path { name: "spawn one by one", unit: "entity", make: spawn },
    Path { name: "add and remove one by one", unit: "entity", make: add_remove },
];

fn moving(entities: usize) -> Result<World, Box<dyn Error>> {
    let mut world = World::builder().component::<Position>().component::<Velocity>().build()?;
    world.spawn_batch((0..entities).map(|_| (POSITION, VELOCITY)))?;
    Ok(world)
}

fn movement() -> System {
    System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut position, velocity)| {
        let dt = job.dt() as f32;
        position.x.map_with(velocity.x, |x, v| x + v * dt);
        position.y.map_with(velocity.y, |x, v| x + v * dt);
        position.z.map_with(velocity.z, |x, v| x + v * dt);
    })
}

const ROWS: usize = 4096;
/// Frames of a generation.
const FRAMES: u64 = 4;

fn integrating() -> Result<Simulation, Box<dyn Error>> {
    let mut schedule = Schedule::new();
    schedule.add(movement());
    let mut simulation =
        Simulation::builder().workers(Workers::Local).publish_every(FRAMES).build(moving(ROWS)?, schedule)?;
    simulation.run(40, 0.01)?;
    Ok(simulation)
}

fn integrate() -> Result<Run, Box<dyn Error>> {
    let mut simulation = integrating()?;
    Ok(Box::new(move || {
        for _ in 0..FRAMES {
            simulation.step(0.01)?;
        }
        Ok(FRAMES * ROWS as u64)
    }))
}

fn integrate_run() -> Result<Run, Box<dyn Error>> {
    let mut simulation = integrating()?;
    Ok(Box::new(move || {
        simulation.run(FRAMES, 0.01)?;
        Ok(FRAMES * ROWS as u64)
    }))
}

const PATCHES: usize = 1024;

fn set_own() -> Result<Run, Box<dyn Error>> {
    let mut world = World::builder().component::<Value>().build()?;
    world.spawn_batch((0..PATCHES).map(|index| Value { a: index as f32 }))?;
    let mut schedule = Schedule::new();
    let sets = System::rows::<Read<Value>>("set own rows", |job, value| {
        for row in 0..job.len() {
            job.set_row(row, Value { a: value.a[row] + 1.0 });
        }
    });
    schedule.add(sets.sets::<Value>());
    setting(world, schedule)
}

fn set_others() -> Result<Run, Box<dyn Error>> {
    let mut world = World::builder().component::<Value>().component::<Target>().build()?;
    let entities = world.spawn_batch((0..PATCHES).map(|index| Value { a: index as f32 }))?;
    // 1021 and the number of entities have no common divisor: every one, far from the one before
    world.spawn_batch((0..PATCHES).map(|index| Target { entity: entities[index * 1021 % PATCHES] }))?;
    let mut schedule = Schedule::new();
    let sets = System::rows::<Read<Target>>("set others", |job, target| {
        for entity in target.entity {
            job.set(*entity, Value { a: entity.index() as f32 });
        }
    });
    schedule.add(sets.sets::<Value>());
    setting(world, schedule)
}

fn setting(world: World, schedule: Schedule) -> Result<Run, Box<dyn Error>> {
    let mut simulation = Simulation::new(world, schedule, Workers::Local)?;
    simulation.run(20, 0.01)?;
    Ok(Box::new(move || {
        simulation.step(0.01)?;
        Ok(PATCHES as u64)
    }))
}

fn pin() -> Result<Run, Box<dyn Error>> {
    let mut world = moving(1000)?;
    world.publish()?;
    let mut reader = world.reader()?;
    for _ in 0..10 {
        black_box(reader.pin()?.generation());
    }
    // the world lives as long as its reader
    Ok(Box::new(move || {
        let _world = &world;
        for _ in 0..50 {
            black_box(reader.pin()?.generation());
        }
        Ok(50)
    }))
}

fn pin_new() -> Result<Run, Box<dyn Error>> {
    let mut simulation = integrating()?;
    let mut reader = simulation.world().reader()?;
    let mut frames = move |count: u64| {
        for _ in 0..count {
            simulation.world_mut().publish()?;
            black_box(reader.pin()?.generation());
        }
        Ok::<u64, Box<dyn Error>>(count)
    };
    frames(20)?;
    Ok(Box::new(move || frames(5)))
}

fn frame() -> Result<Run, Box<dyn Error>> {
    let mut schedule = Schedule::new();
    for index in 0..20 {
        // they differ in nothing but their names, and none may run beside another
        let system = System::rows::<(Write<Position>, Read<Velocity>)>(
            &format!("system {index}"),
            |job, (mut position, velocity)| {
                let dt = job.dt() as f32;
                position.x.map_with(velocity.x, |x, v| x + v * dt);
            },
        );
        schedule.add(system);
    }
    let mut simulation = Simulation::new(moving(1000)?, schedule, Workers::Local)?;
    simulation.run(20, 0.01)?;
    Ok(Box::new(move || {
        simulation.step(0.01)?;
        Ok(1)
    }))
}

fn spawn() -> Result<Run, Box<dyn Error>> {
    let mut world = moving(0)?;
    let all = world.spawn_batch((0..2000).map(|_| (POSITION, VELOCITY)))?;
    for entity in all {
        world.despawn(entity)?;
    }
    world.spawn((POSITION, VELOCITY))?;
    Ok(Box::new(move || {
        for _ in 0..100 {
            black_box(world.spawn((POSITION, VELOCITY))?);
        }
        Ok(100)
    }))
}

const SINGLES: usize = 50;

fn add_remove() -> Result<Run, Box<dyn Error>> {
    let mut world = World::builder().component::<Position>().component::<Velocity>().component::<Value>().build()?;
    let all = world.spawn_batch((0..1000).map(|_| (POSITION, VELOCITY)))?;
    let mut round = move || {
        // the table keeps most of its rows
        for entity in &all[..SINGLES] {
            world.add(*entity, Value { a: 1.0 })?;
        }
        for entity in &all[..SINGLES] {
            world.remove::<Value>(*entity)?;
        }
        Ok::<u64, Box<dyn Error>>(SINGLES as u64)
    };
    round()?;
    Ok(Box::new(round))
}
