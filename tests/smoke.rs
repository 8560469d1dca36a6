//! The first things a user does.
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
                if (p.x[i] as u64 + job.frame()) % 7 == 0 {
                    job.add_row(i, Hot);
                }
                if (p.x[i] as u64 + job.frame()) % 11 == 0 {
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
                    1 => job.destroy_row(i),
                    2 => {
                        let e = job.spawn((Position { x: p.x[i], y: 1.0 }, Velocity { x: 2.0, y: 0.0 }));
                        job.add(e, Frozen { since: 0.0 });
                    }
                    _ => {}
                }
            }
        })
        .removes::<Hot>()
        .destroys()
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
