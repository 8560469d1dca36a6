//! Groups that main runs alone, without a program, do what workers do with one: the same bytes, changed chunks, reports
//! and errors.

#![allow(clippy::unwrap_used, reason = "tests")]
use hypostyle::{
    Component, Entity, Read, Schedule, Simulation, StepError, System, With, Without, Workers, World, Write,
};
use proptest::prelude::*;

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f32,
}
#[derive(Component, Clone, Copy)]
struct Friend {
    of: Entity,
    count: u32,
}
#[derive(Component, Clone, Copy)]
struct A {
    a: u64,
}
#[derive(Component, Clone, Copy)]
struct B {
    b: u8,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Hot;

/// Systems that look at nothing but their own rows, and write all, some or none of them.
fn schedule(separate: bool) -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("move", |job, (mut position, velocity)| {
        let dt = job.dt() as f32;
        position.x.map_with(velocity.x, |x, v| x + v * dt);
        if job.frame() % 3 == 0 && job.index() % 2 == 0 {
            position.y[0] += f32::from(job.payload().first().copied().unwrap_or(7));
        }
    }));
    schedule.add(System::rows::<(Write<Velocity>, Option<Read<A>>)>("turn", |job, (mut velocity, a)| {
        let sum = a.map_or(1, |a| a.a.iter().fold(0u64, |sum, a| sum.wrapping_add(*a)));
        let (rows, frame) = (job.len(), job.frame() as usize);
        for row in (0..rows).filter(|row| (row + frame) % 5 == 0) {
            velocity.x[row] += (sum % 11) as f32 + job.random(row).f32();
        }
    }));
    schedule.add(System::rows::<(Write<Friend>, Without<B>)>("greet", |job, (mut friend, ())| {
        let entities = job.entities();
        if job.first_row() == 0 {
            friend.of[0] = entities[entities.len() - 1];
        }
        friend.count.map(|count| count + 1);
    }));
    schedule.add(System::rows::<(Write<A>, With<B>)>("idle", |job, (mut a, ())| {
        if job.frame() % 4 == 1 {
            a.a[job.len() - 1] ^= job.frame();
        }
    }));
    if separate {
        // a batch of its own, as the numbers of its entities depend on the ones before
        schedule.add(
            System::rows::<Read<A>>("sow", |job, a| {
                if a.a[0] % 2 == 0 {
                    job.spawn((Position { x: 1.0, y: a.a[0] as f32 }, B { b: 1 }));
                }
            })
            .spawns::<(Position, B)>(),
        );
    }
    schedule
}

fn world() -> World {
    let builder = World::builder().component::<Position>().component::<Velocity>().component::<Friend>();
    builder.component::<A>().component::<B>().component::<Hot>().keep_generations(2).build().unwrap()
}

/// Changes a world between frames: many small tables, a large one, rows that come and go, tables of other shapes.
fn change(world: &mut World, entities: &mut Vec<Entity>, what: u8, number: usize) {
    let position = Position { x: number as f32, y: 0.5 };
    match what {
        0 => entities.extend(world.spawn_batch((0..number % 50).map(|_| (position, Velocity { x: 1.0 }))).unwrap()),
        1 => {
            let friend = Friend { of: entities.first().copied().unwrap_or(Entity::NULL), count: 0 };
            entities.push(world.spawn((friend, A { a: number as u64 })).unwrap());
        }
        2 if !entities.is_empty() => world.despawn(entities.swap_remove(number % entities.len())).unwrap(),
        3 if !entities.is_empty() => world.add(entities[number % entities.len()], A { a: 3 }).unwrap(),
        4 if !entities.is_empty() => world.add(entities[number % entities.len()], B { b: 9 }).unwrap(),
        5 if !entities.is_empty() => world.add(entities[number % entities.len()], Hot).unwrap(),
        6 => {
            let many = (0..9000).map(|row| (position, Velocity { x: row as f32 }, A { a: row }));
            entities.extend(world.spawn_batch(many).unwrap());
        }
        7 => drop(world.remove_where::<With<B>, B>().unwrap()),
        _ => {}
    }
}

/// What can be seen of a frame.
fn frame(simulation: &mut Simulation, frames: u64, seen: u64) -> (String, u64) {
    let report = simulation.run(frames, 0.125).unwrap();
    let counts = format!("{} {} {:?} {:?}", report.jobs, report.rows, report.publication, report.patches);
    let mut reader = simulation.world().reader().unwrap();
    let Ok(snapshot) = reader.pin() else { return (counts, seen) };
    let changed: Vec<_> =
        snapshot.changed_since(seen).map(|c| (c.table, c.name, c.chunks.iter().collect::<Vec<_>>())).collect();
    (format!("{counts} {} {changed:?}", snapshot.hash()), snapshot.generation())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn as_with_a_program(
        changes in prop::collection::vec((0u8..9, 0usize..1000), 8..40),
        every in 1u64..4, fuse: bool, separate: bool, frames in 1u64..4,
    ) {
        let make = |workers| {
            // workers that main does not help have programs alone
            let builder = Simulation::builder().workers(workers).main_helps(false).publish_every(every).fuse(fuse);
            builder.build(world(), schedule(separate)).unwrap()
        };
        let mut pair = [(make(Workers::Local), Vec::new(), 0), (make(Workers::Threads(1)), Vec::new(), 0)];
        for (step, (what, number)) in changes.iter().enumerate() {
            let mut told = Vec::new();
            for (simulation, entities, seen) in &mut pair {
                change(simulation.world_mut(), entities, *what, *number);
                if step == 5 {
                    simulation.set_payload("move", [2]).unwrap();
                }
                let (what, generation) = frame(simulation, frames, *seen);
                *seen = generation;
                told.push(what);
            }
            prop_assert_eq!(&told[0], &told[1], "step {}", step);
        }
    }
}

fn many_tables() -> World {
    let mut world = world();
    world.spawn_batch((0..100).map(|_| Position { x: 0.0, y: 0.0 })).unwrap();
    world.spawn_batch((0..9000).map(|row| (Position { x: row as f32, y: 0.0 }, Velocity { x: 1.0 }))).unwrap();
    world.spawn_batch((0..70).map(|row| (Position { x: row as f32, y: 1.0 }, A { a: 1 }))).unwrap();
    world
}

/// The world, stepped once: where it stands afterwards, and its error.
fn failing(system: fn() -> System, workers: Workers, strict: bool) -> (u64, Result<String, StepError>) {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Position>>("before", |_, mut position| position.y.map(|y| y + 1.0)));
    schedule.add(system());
    let builder = Simulation::builder().workers(workers).main_helps(false).strict(strict);
    let mut simulation = builder.build(many_tables(), schedule).unwrap();
    let done = simulation.step(1.0).map(|report| format!("{:?}", report.patches));
    let hash = simulation.world().reader().unwrap().pin().unwrap().hash();
    (hash, done)
}

#[test]
fn kernels_that_fail_and_patches_that_were_not_declared_are_told_of_in_the_same_words() {
    let error: fn() -> System = || {
        System::try_rows::<Write<Position>>("fails", |job, mut position| {
            position.x.map(|x| x + 1.0);
            if job.first_row() > 0 { Err(format!("job {}", job.index()).into()) } else { Ok(()) }
        })
    };
    let panics: fn() -> System = || {
        System::rows::<(Write<Position>, Read<A>)>("panics", |job, (mut position, _)| {
            position.y.map(|y| y * 2.0);
            assert_eq!(job.len(), 1, "rows of table");
        })
    };
    let patches: fn() -> System = || {
        System::rows::<Write<Position>>("patches", |job, mut position| {
            position.x.map(|x| x + 3.0);
            if job.first_row() > 0 || job.len() == 70 {
                job.set_row(1, Velocity { x: 5.0 });
                let new = job.spawn(A { a: 1 });
                job.set(new, A { a: 2 });
                job.despawn_row(0);
            }
        })
    };
    for (name, system, strict) in
        [("error", error, false), ("panic", panics, false), ("patches", patches, false), ("strict", patches, true)]
    {
        let (hash, told) = failing(system, Workers::Local, strict);
        let (expected_hash, expected) = failing(system, Workers::Threads(1), strict);
        let words = |told: &Result<String, StepError>| match told {
            Ok(told) => told.clone(),
            // who ran it is another
            Err(error) => format!("{error}").replace("on main", "on worker thread 0"),
        };
        assert_eq!(words(&told), words(&expected), "{name}");
        assert_eq!(hash, expected_hash, "{name}");
        assert_eq!(told.is_ok(), name == "patches", "{name}: {told:?}");
        if let Ok(told) = told {
            assert!(told.contains("refused: 8"), "two jobs, each with four: {told}");
        }
    }
}
