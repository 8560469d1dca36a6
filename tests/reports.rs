//! What a frame's report says of systems that run back to back on one range of rows.
#![expect(clippy::unwrap_used, reason = "a test may")]

use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
}

#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f32,
}

fn world() -> World {
    let mut world = World::builder().component::<Position>().component::<Velocity>().build().unwrap();
    world.spawn_batch((0..20_000).map(|_| (Position { x: 0.0 }, Velocity { x: 1.0 }))).unwrap();
    world
}

fn schedule(last_kernel: fn(u64)) -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Velocity>>("fall", |_, mut v| v.x.map(|x| x - 0.5)));
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("move", move |job, (mut p, v)| {
        last_kernel(job.frame());
        p.x.map_with(v.x, |x, v| x + v);
    }));
    schedule
}

#[test]
fn every_fused_system_has_its_rows_in_every_frame() {
    for (workers, publish_every) in [(Workers::Local, 1), (Workers::Local, 4), (Workers::Threads(2), 4)] {
        let builder = Simulation::builder().workers(workers).publish_every(publish_every);
        let mut simulation = builder.build(world(), schedule(|_| {})).unwrap();
        let report = simulation.run(8, 1.0).unwrap();
        let rows: Vec<u64> = report.patches.iter().map(|counts| counts.dense_rows).collect();
        assert_eq!(rows, [8 * 20_000; 2], "{workers}, published every {publish_every}");
        assert_eq!(simulation.system_names().collect::<Vec<_>>(), ["fall", "move"]);
    }
}

#[test]
fn a_failed_job_names_all_systems_that_ran_in_it() {
    let mut simulation =
        Simulation::new(world(), schedule(|frame| assert!(frame != 2, "the second frame")), Workers::Local).unwrap();
    simulation.step(1.0).unwrap();
    let error = simulation.step(1.0).unwrap_err().to_string();
    assert!(error.contains("`fall`, `move`") && error.contains("the second frame"), "{error}");
    assert!(simulation.step(1.0).unwrap_err().to_string().contains("stands at frame 1"));
}
