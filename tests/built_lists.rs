//! Lists that jobs build in place, against what each row is to have.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{
    Component, Entity, List, Read, Schedule, Simulation, StepError, System, With, Without, Workers, World, Write,
};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Body {
    key: u32,
    sum: u64,
}
#[derive(Component, Clone, Copy)]
struct Heavy;
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Asleep;
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "scratch_list")]
struct Near {
    row: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "scratch_list")]
struct Pair {
    other: Entity,
    by: [f32; 3],
    on: bool,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "list")]
struct Bond {
    to: u32,
}

/// A world of bodies in two tables, some of which sleep.
fn world(rows: u32) -> (World, Vec<Entity>) {
    let builder = World::builder().component::<Body>().component::<Heavy>().component::<Asleep>();
    let builder = builder.component::<Near>().component::<Pair>().component::<Bond>();
    let mut world = builder.bytes_max(256 << 20).build().unwrap();
    let lists = || (List::<Near>::new(), List::<Pair>::new(), List::<Bond>::new());
    let body = |key| (Body { key, sum: 0 }, lists());
    let mut all = world.spawn_batch((0..rows).map(body)).unwrap();
    all.extend(world.spawn_batch((rows..2 * rows).map(|key| (body(key), Heavy))).unwrap());
    for entity in all.iter().step_by(3) {
        world.add(*entity, Asleep).unwrap();
    }
    (world, all)
}

/// The list of a body in a frame.
fn near(key: u32, frame: u64, growth: u32) -> Vec<Near> {
    let mixed = key.wrapping_mul(2_654_435_761) ^ frame as u32;
    (0..(mixed >> 7) % 12 * growth).map(|row| Near { row: mixed.wrapping_add(row) }).collect()
}

fn pairs(own: Entity, key: u32) -> Vec<Pair> {
    let by = |n: u32| [n as f32, 0.5, -(key as f32)];
    (0..key % 400).map(|n| Pair { other: own, by: by(n), on: n.is_multiple_of(3) }).collect()
}

fn building(growth: impl Fn(u64) -> u32 + Send + Sync + 'static) -> System {
    System::rows::<Read<Body>>("build", move |job, body| {
        for row in (0..job.len()).rev() {
            job.set_list_row(row, &near(body.key[row], job.frame(), growth(job.frame())));
        }
    })
    .builds_lists::<Near>()
    .job_rows(64)
}

fn run(world: World, systems: impl IntoIterator<Item = System>, workers: Workers) -> Simulation {
    let mut schedule = Schedule::new();
    systems.into_iter().for_each(|system| {
        schedule.add(system);
    });
    Simulation::builder().workers(workers).strict(true).build(world, schedule).unwrap()
}

#[test]
fn lists_are_what_was_built_however_they_grow_and_shrink() {
    for workers in [Workers::Local, Workers::Threads(3)] {
        let (world, all) = world(300);
        // frames in which nothing fits, all fits, and much is left over
        let growth = |frame: u64| [1, 1, 9, 2, 0, 3][frame as usize % 6];
        let mut simulation = run(world, [building(growth)], workers);
        for _ in 0..13 {
            simulation.step(1.0).unwrap();
            let world = simulation.world();
            for entity in &all {
                let key = world.get::<Body>(*entity).unwrap().key;
                assert_eq!(
                    world.list::<Near>(*entity).unwrap(),
                    near(key, world.frame(), growth(world.frame())),
                    "{key} in frame {}",
                    world.frame()
                );
            }
        }
    }
}

#[test]
fn rows_that_get_no_list_have_an_empty_one() {
    let (mut world, all) = world(200);
    for entity in &all {
        world.set_list(*entity, &[Near { row: 7 }; 4]).unwrap();
    }
    // awake ones of one table alone, and not all of those; the others had lists before
    let some = System::rows::<(Read<Body>, With<Heavy>, Without<Asleep>)>("some", |job, (body, ..)| {
        for row in (0..job.len()).filter(|row| row % 5 != 0) {
            job.set_list_row(row, &near(body.key[row], 0, 1));
        }
        // the empty one that it has anyway
        job.set_list_row::<Near>(0, &[]);
    });
    let mut simulation = run(world, [some.builds_lists::<Near>().job_rows(64)], Workers::Threads(2));
    simulation.run(3, 1.0).unwrap();
    let (mut full, mut empty) = (0, 0);
    for entity in &all {
        let key = simulation.world().get::<Body>(*entity).unwrap().key;
        let list = simulation.world().list::<Near>(*entity).unwrap();
        match list.is_empty() {
            true => empty += 1,
            false => full += 1,
        }
        let is_out = key < 200 || simulation.world().has::<Asleep>(*entity);
        assert!(list.is_empty() || (!is_out && list == near(key, 0, 1)), "{key}: {list:?}");
    }
    assert!(full > 50 && empty > 250, "{full} lists and {empty} empty ones");
}

#[test]
fn elements_of_several_fields_go_to_their_columns() {
    let (world, all) = world(500);
    let pair = System::rows::<Read<Body>>("pair", |job, body| {
        for row in 0..job.len() {
            job.set_list_row(row, &pairs(job.entities()[row], body.key[row]));
        }
    });
    let add_up = System::try_rows::<Write<Body>>("add up", |job, mut body| {
        let pairs = job.lists::<Pair>()?;
        for row in 0..job.len() {
            let range = pairs.range(row);
            assert!(pairs.columns().other[range.clone()].iter().all(|other| *other == job.entities()[row]));
            body.sum[row] = pairs.columns().by[range].iter().map(|by| by[0] as u64).sum();
        }
        Ok(())
    });
    let systems = [pair.builds_lists::<Pair>().job_rows(64), add_up.reads_lists::<Pair>().job_rows(128)];
    let mut simulation = run(world, systems, Workers::Threads(2));
    simulation.run(2, 1.0).unwrap();
    for entity in &all {
        let body = simulation.world().get::<Body>(*entity).unwrap();
        let n = u64::from(body.key % 400);
        assert_eq!(body.sum, n * n.saturating_sub(1) / 2, "{body:?}");
        assert_eq!(simulation.world().list::<Pair>(*entity).unwrap(), pairs(*entity, body.key));
    }
}

#[test]
fn lists_are_built_by_tables_that_grow_and_are_sorted_and_can_be_set_later() {
    let (world, _) = world(100);
    let born = System::once("born", |job| {
        for key in 0..40 {
            job.spawn((Body { key: key * 7, sum: 0 }, List::<Near>::new()));
        }
    });
    let sort = System::rows::<Write<Body>>("sort", |job, mut body| {
        let frame = job.frame() as u32;
        body.key.iter_mut().for_each(|key| *key = key.wrapping_mul(5).wrapping_add(frame) % 1009);
    });
    let one = System::rows::<Read<Body>>("one", |job, body| {
        for row in (0..job.len()).filter(|row| body.key[*row] % 50 == 0) {
            job.set_list_row(row, &[Near { row: 1 }, Near { row: 2 }]);
        }
    });
    let systems = [
        born.spawns::<(Body, List<Near>)>(),
        sort.after("born").sort_by("body.key").job_rows(64),
        building(|frame| 1 + frame as u32 % 2).after("sort"),
        one.sets_lists::<Near>().after("build").job_rows(64),
    ];
    let mut simulation = run(world, systems, Workers::Threads(2));
    for _ in 0..8 {
        simulation.step(1.0).unwrap();
        let (world, frame) = (simulation.world(), simulation.world().frame());
        let mut bodies = Vec::new();
        world
            .query::<Read<Body>>(|entities, body| {
                bodies.extend(entities.iter().copied().zip(body.key.iter().copied()));
            })
            .unwrap();
        assert_eq!(bodies.len() as u64, 200 + 40 * frame);
        for (entity, key) in bodies {
            let want = match key % 50 {
                0 => vec![Near { row: 1 }, Near { row: 2 }],
                _ => near(key, frame, 1 + frame as u32 % 2),
            };
            assert_eq!(world.list::<Near>(entity).unwrap(), want, "{key} in frame {frame}");
        }
    }
}

/// What a system says that cannot be.
fn refused(system: System) -> String {
    let mut schedule = Schedule::new();
    schedule.add(system);
    Simulation::new(world(10).0, schedule, Workers::Local).err().unwrap().to_string()
}

#[test]
fn a_system_that_builds_lists_does_that_alone() {
    let empty = || System::rows::<Read<Body>>("build", |_, _| {});
    assert!(refused(empty().builds_lists::<Bond>()).contains("`bond` are state, which is not built in place"));
    assert!(refused(empty().builds_lists::<Near>().builds_lists::<Pair>()).contains("near and pair"));
    assert!(refused(empty().builds_lists::<Body>()).contains("body"));
    assert!(refused(empty().builds_lists::<Near>().reads_lists::<Near>()).contains("declare `sets_lists`"));
    let alone = "belongs into a system of its own";
    assert!(refused(empty().builds_lists::<Near>().sets::<Body>()).contains(alone));
    assert!(refused(empty().builds_lists::<Near>().sets_lists::<Pair>()).contains(alone));
    assert!(refused(empty().builds_lists::<Near>().despawns()).contains(alone));
    assert!(refused(empty().builds_lists::<Near>().sort_by("body.key")).contains(alone));
    let writes = System::rows::<Write<Body>>("build", |_, _| {});
    assert!(refused(writes.builds_lists::<Near>()).contains(alone));
}

#[test]
fn a_list_is_set_once_and_by_row() {
    let failure = |kernel: fn(&mut hypostyle::Job<'_, '_>)| {
        let system = System::rows::<Read<Body>>("build", move |job, _| kernel(job)).builds_lists::<Near>();
        let mut simulation = run(world(10).0, [system], Workers::Local);
        match simulation.step(1.0) {
            Err(StepError::Job { failure, .. }) => failure.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let twice = failure(|job| {
        job.set_list_row(3, &[Near { row: 1 }]);
        job.set_list_row(3, &[Near { row: 1 }]);
    });
    assert!(twice.contains("set twice"), "{twice}");
    let other = failure(|job| job.set_list(job.entities()[0], &[Near { row: 1 }]));
    assert!(other.contains("set by row"), "{other}");
}

#[test]
fn lists_beyond_the_memory_are_an_error_that_names_them() {
    let (world, all) = world(1000);
    let too_many = System::rows::<Read<Body>>("build", |job, _| {
        for row in 0..job.len() {
            let length = if job.frame() == 2 { 60_000 } else { 3 };
            job.set_list_row(row, &vec![Near { row: 1 }; length]);
        }
    });
    let mut simulation = run(world, [too_many.builds_lists::<Near>()], Workers::Local);
    simulation.step(1.0).unwrap();
    let error = simulation.step(1.0).unwrap_err().to_string();
    assert!(error.contains("near") && error.contains("120000000"), "{error}");
    assert_eq!(simulation.world().frame(), 1);
    assert_eq!(simulation.world().list::<Near>(all[5]).unwrap(), [], "scratch is as new after a frame that failed");
}
