//! Row-local schedules run several frames on one range of rows before the next; the result is that of single steps.

use hypostyle::{Changed, Component, Read, Schedule, Simulation, System, Without, Workers, World, Write};
use proptest::prelude::*;

#[derive(Component, Clone, Copy, Debug)]
struct Angle {
    turn: f64,
    at: f64,
}

#[derive(Component, Clone, Copy, Debug)]
struct Steps {
    count: u32,
}

#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
struct Still {
    since: u64,
}

/// The same once more, with changed rows kept: then nothing runs in one pass.
#[derive(Component, Clone, Copy, Debug)]
#[component(track_changes)]
struct Watched {
    count: u32,
}

#[derive(Clone, Debug)]
pub struct Plan {
    entities: Vec<(u8, u16)>,
    /// Frames of each call.
    calls: Vec<u64>,
    publish_every: u64,
    threads: bool,
    tracked: bool,
    startup: bool,
}

pub fn plans() -> impl Strategy<Value = Plan> {
    (
        prop::collection::vec((any::<u8>(), 1u16..300), 1..5),
        prop::collection::vec(1u64..9, 1..5),
        1u64..7,
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(entities, calls, publish_every, threads, tracked, startup)| Plan {
            entities,
            calls,
            publish_every,
            threads,
            tracked,
            startup,
        })
}

fn simulation(plan: &Plan, workers: Workers, publish_every: u64) -> Simulation {
    let builder = World::builder().component::<Angle>().component::<Steps>().component::<Still>().bytes_max(1 << 26);
    let builder = if plan.tracked { builder.component::<Watched>() } else { builder };
    let mut world = builder.build().expect("the layout is valid");
    for (kind, count) in &plan.entities {
        let angle = |i: u16| Angle { turn: f64::from(i) * 0.25, at: 0.0 };
        let spawned = match kind % 4 {
            0 => world.spawn_batch((0..*count).map(angle)),
            1 => world.spawn_batch((0..*count).map(|i| (angle(i), Steps { count: u32::from(i) }))),
            2 => world.spawn_batch((0..*count).map(|i| (Steps { count: 7 }, Still { since: u64::from(i) }))),
            _ => world.spawn_batch((0..*count).map(|i| (angle(i), Steps { count: 1 }, Still { since: 0 }))),
        };
        for entity in spawned.expect("there is room").into_iter().step_by(5) {
            if plan.tracked {
                world.add(entity, Watched { count: 0 }).expect("it lives");
            }
            world.remove::<Still>(entity).expect("it lives");
        }
    }
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<(Write<Angle>, Read<Steps>)>("turn", |job, (mut angle, steps)| {
            let (dt, time) = (job.dt(), job.time());
            angle.at.map_with2(&angle.turn, steps.count, |at, turn, count| at + turn * dt + f64::from(count) * time);
        })
        .job_rows(64),
    );
    schedule.add(
        System::rows::<(Write<Steps>, Without<Still>)>("walk", |job, (mut steps, ())| {
            let frame = job.frame() as u32;
            steps.count.map(|count| count.wrapping_mul(3) ^ frame);
        })
        .job_rows(128),
    );
    schedule.add(System::rows::<(Write<Still>, Read<Angle>)>("rest", |job, (mut still, angle)| {
        for row in 0..job.len() {
            if angle.at[row] > 3.0 {
                still.since[row] += job.frame();
            }
        }
    }));
    if plan.tracked {
        schedule.add(System::rows::<(Write<Watched>, Changed<Watched>)>("watch", |_, (mut watched, ())| {
            watched.count.map(|count| count + 1);
        }));
    }
    if plan.startup {
        schedule.add(
            System::rows::<Write<Steps>>("wind up", |_, mut steps| steps.count.map(|count| count + 1000))
                .stage("startup"),
        );
    }
    let builder = Simulation::builder().workers(workers).publish_every(publish_every);
    builder.fuse(publish_every > 1).build(world, schedule).expect("the schedule is sound")
}

fn hash(simulation: &mut Simulation) -> u64 {
    simulation.world_mut().publish().expect("there is room");
    let mut reader = simulation.world().reader().expect("there are leases");
    let snapshot = reader.pin().expect("something is published");
    snapshot.hash()
}

pub fn run(plan: &Plan) {
    let workers = if plan.threads { Workers::Threads(2) } else { Workers::Local };
    let mut many = simulation(plan, workers, plan.publish_every);
    let mut single = simulation(plan, Workers::Local, 1);
    for frames in &plan.calls {
        many.run(*frames, 0.1).expect("nothing fails");
        for _ in 0..*frames {
            single.step(0.1).expect("nothing fails");
        }
        assert_eq!((many.world().frame(), many.world().time()), (single.world().frame(), single.world().time()));
        assert_eq!(hash(&mut many), hash(&mut single), "after {} frames", many.world().frame());
    }
}
