//! Frames: the same bytes for any workers, any grouping of frames into calls, any grouping of systems into passes.
#![allow(clippy::unwrap_used, reason = "tests")]
use hypostyle::*;

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Position {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Velocity {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Hot;
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Frozen {
    since: f32,
}

fn world(n: usize) -> World {
    let mut world = World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .component::<Hot>()
        .component::<Frozen>()
        .build()
        .unwrap();
    world.spawn_batch((0..n).map(|i| (Position { x: i as f32, y: 0.0 }, Velocity { x: 1.0, y: 0.5 }))).unwrap();
    world
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |job, (mut p, v)| {
        let dt = job.dt() as f32;
        p.x.map_with(v.x, |x, v| x + v * dt);
        p.y.map_with(v.y, |y, v| y + v * dt);
    }));
    schedule.add(
        System::rows::<(Read<Position>, Without<Hot>)>("heat", |job, (p, ())| {
            for i in 0..job.len() {
                if (p.x[i] as u64 + job.frame()).is_multiple_of(7) {
                    job.add_row(i, Hot);
                }
                if (p.x[i] as u64 + job.frame()).is_multiple_of(11) {
                    job.add_row(i, Frozen { since: p.x[i] });
                }
            }
        })
        .adds::<(Hot, Frozen)>(),
    );
    schedule.add(
        System::rows::<(Read<Position>, With<Hot>)>("cool", |job, (p, ())| {
            for i in 0..job.len() {
                match (p.x[i] as u64 + job.frame()) % 5 {
                    0 => job.remove_row::<Hot>(i),
                    1 => job.despawn_row(i),
                    2 => {
                        let e = job.spawn((Position { x: p.x[i], y: 1.0 }, Velocity { x: 2.0, y: 0.0 }));
                        job.add(e, Frozen { since: 0.0 });
                    }
                    _ => {}
                }
            }
        })
        .removes::<Hot>()
        .despawns()
        .spawns::<(Position, Velocity)>()
        .adds::<Frozen>(),
    );
    schedule
}

fn hashes(workers: Workers, ring: usize) -> Vec<u64> {
    let mut simulation =
        Simulation::builder().workers(workers).ring_bytes(ring).build(world(20_000), schedule()).unwrap();
    let mut reader = simulation.world().reader().unwrap();
    (0..20)
        .map(|_| {
            simulation.step(0.01).unwrap();
            reader.pin().unwrap().hash()
        })
        .collect()
}

/// Three row-local systems without patches: they fuse, and whole runs of frames can pass over one range of rows.
fn row_local() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Velocity>, Read<Position>)>("pull", |job, (mut v, p)| {
        let dt = job.dt() as f32;
        v.x.map_with(p.x, |v, x| v - x * dt * 0.125);
        v.y[0] += job.time() as f32 + job.frame() as f32;
    }));
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>, Without<Frozen>)>(
        "integrate",
        |job, (mut p, v, ())| {
            let dt = job.dt() as f32;
            p.x.map_with(v.x, |x, v| x + v * dt);
            p.y.map_with2(v.y, v.x, |y, v, w| y + (v - w) * dt);
        },
    ));
    schedule.add(System::rows::<Write<Position>>("wrap", |_, mut p| {
        for x in p.x.iter_mut().filter(|x| **x > 1000.0) {
            *x -= 1000.0;
        }
    }));
    schedule
}

fn hash_after(frames_per_call: u64, publish_every: u64, fuse: bool, workers: Workers) -> (u64, u64) {
    let mut world = world(20_000);
    world.spawn_batch((0..5000).map(|i| (Position { x: i as f32, y: 1.0 }, Velocity { x: 0.5, y: 0.0 }, Hot))).unwrap();
    world.add_where::<With<Hot>, _>(Frozen { since: 1.0 }).unwrap();
    let mut simulation = Simulation::builder()
        .workers(workers)
        .publish_every(publish_every)
        .fuse(fuse)
        .build(world, row_local())
        .unwrap();
    let mut left = 24;
    while left > 0 {
        let frames = frames_per_call.min(left);
        simulation.run(frames, 0.0625).unwrap();
        left -= frames;
    }
    assert_eq!((simulation.world().frame(), simulation.world().time()), (24, 1.5));
    simulation.world_mut().publish().unwrap();
    let generation = simulation.world().generation();
    let mut reader = simulation.world().reader().unwrap();
    let hash = reader.pin().unwrap().hash();
    (hash, generation)
}

#[test]
fn frames_per_pass_and_fused_systems_change_nothing_but_time() {
    let (hash, generations) = hash_after(1, 1, false, Workers::Local);
    assert_eq!(generations, 26, "one before the first frame, one for each, one asked for");
    for (frames, every, fuse, workers) in [
        (1, 1, true, Workers::Local),
        (24, 1, true, Workers::Local),
        (24, 6, true, Workers::Local),
        (24, 24, true, Workers::Threads(2)),
        (7, 5, true, Workers::Threads(1)),
        (5, 7, false, Workers::Local),
    ] {
        assert_eq!(hash, hash_after(frames, every, fuse, workers).0, "{frames} {every} {fuse} {workers}");
    }
    assert_eq!(hash_after(24, 24, true, Workers::Local).1, 3);
}

#[test]
fn the_same_bytes_for_threads() {
    let local = hashes(Workers::Local, 1 << 20);
    let mut unique = local.clone();
    unique.dedup();
    assert_eq!(unique.len(), local.len());
    for workers in [Workers::Threads(1), Workers::Threads(3)] {
        assert_eq!(local, hashes(workers, 1 << 20), "{workers}");
        assert_eq!(local, hashes(workers, 256), "{workers}");
    }
}

/// Where toggles leave every other row, a kernel gets those side by side, and what it does lands where they are.
#[test]
fn rows_between_toggles_are_found_again() {
    for workers in [Workers::Local, Workers::Threads(2)] {
        let mut world = world(40_000);
        let mut entities = Vec::new();
        world.query::<Entities>(|those, _| entities.extend_from_slice(those)).unwrap();
        for entity in entities.iter().step_by(2) {
            world.add(*entity, Frozen { since: 0.0 }).unwrap();
        }
        let mut schedule = Schedule::new();
        let go = System::rows::<(Write<Position>, Without<Frozen>)>("go", |job, (mut p, ())| {
            assert_eq!(p.x.len(), job.len());
            p.x.map(|x| x + 0.25);
            for row in (0..job.len()).step_by(3) {
                let velocity = Velocity { x: job.table_row(row) as f32, y: job.entities()[row].index() as f32 };
                job.set_row(row, velocity);
            }
        });
        schedule.add(go.sets::<Velocity>());
        let mut simulation = Simulation::new(world, schedule, workers).unwrap();
        for frame in 1..=2 {
            simulation.step(0.1).unwrap();
            let world = simulation.world();
            let mut set = 0;
            for (row, entity) in entities.iter().enumerate() {
                let moved = if row % 2 == 0 { 0.0 } else { 0.25 * frame as f32 };
                assert_eq!(world.get::<Position>(*entity).unwrap().x, row as f32 + moved, "row {row}");
                let velocity = world.get::<Velocity>(*entity).unwrap();
                if velocity.y == 0.5 {
                    continue;
                }
                set += 1;
                assert_eq!((velocity.x as usize, velocity.y as u32, row % 2), (row, entity.index(), 1));
            }
            assert!((40_000 / 6..40_000 / 6 + 9).contains(&set), "{set}: a third of each job's rows");
        }
        // between frames, too
        let mut seen = 0;
        let world = simulation.world_mut();
        world
            .query_mut::<(Write<Position>, Without<Frozen>)>(|those, (mut p, ())| {
                seen += those.len();
                for (y, entity) in p.y.iter_mut().zip(those) {
                    *y = entity.index() as f32;
                }
            })
            .unwrap();
        assert_eq!(seen, 20_000);
        for (row, entity) in entities.iter().enumerate() {
            let y = if row % 2 == 0 { 0.0 } else { entity.index() as f32 };
            assert_eq!(world.get::<Position>(*entity).unwrap().y, y, "row {row}");
        }
    }
}

/// Columns that no cache holds are written past the caches; every row arrives.
#[test]
fn large_columns_arrive_whole() {
    const ROWS: usize = 5_100_000;
    for workers in [Workers::Local, Workers::Threads(2)] {
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |_, (mut p, v)| {
            p.x.map_with(v.x, |x, v| x + v * 0.5);
            p.y.map(|y| y + 1.0);
        }));
        let mut simulation = Simulation::new(world(ROWS), schedule, workers).unwrap();
        for _ in 0..3 {
            simulation.step(0.1).unwrap();
        }
        let mut row = 0;
        simulation
            .world()
            .query::<Read<Position>>(|_, p| {
                for (x, y) in p.x.iter().zip(p.y) {
                    assert_eq!((*x, *y), (row as f32 + 1.5, 3.0), "row {row}");
                    row += 1;
                }
            })
            .unwrap();
        assert_eq!(row, ROWS);
    }
}
