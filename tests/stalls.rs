//! Frames wait for no pages: what a frame touches for the first time was touched before the first one.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};

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

/// Page faults of this process so far that needed no disk.
fn faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // behind the name, which may hold anything: state is field 3, minflt field 10
    let behind = &stat[stat.rfind(')').unwrap() + 2..];
    behind.split(' ').nth(7).unwrap().parse().unwrap()
}

fn world(named: bool, rows: usize) -> World {
    let builder = World::builder().component::<Position>().component::<Velocity>();
    let builder = if named {
        builder.region(hypostyle::RegionTarget::Named(format!("stalls-{}", std::process::id())))
    } else {
        builder
    };
    let mut world = builder.build().unwrap();
    let row = |i: usize| (Position { x: i as f32, y: 0.0, z: 0.0 }, Velocity { x: 1.0, y: 1.0, z: 1.0 });
    world.spawn_batch((0..rows).map(row)).map(drop).unwrap();
    world
}

fn integrate() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut p, v)| {
        let dt = job.dt() as f32;
        for row in 0..p.x.len() {
            p.x[row] += v.x[row] * dt;
            p.y[row] += v.y[row] * dt;
            p.z[row] += v.z[row] * dt;
        }
    }));
    schedule
}

#[test]
fn frames_take_no_pages() {
    const ROWS: usize = 2_000_000;
    for named in [false, true] {
        let mut simulation =
            Simulation::builder().workers(Workers::Local).build(world(named, ROWS), integrate()).unwrap();
        let before = faults();
        simulation.run(10, 0.01).unwrap();
        let taken = faults() - before;
        // what else runs in this process takes some
        assert!(taken < 128, "named {named}: frames took {taken} pages; second extents have some thousands");
    }
}
