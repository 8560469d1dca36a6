//! What becomes of patches and steps that are not as they should be: overwritten sets, strict simulations, contradictions,
//! time, order by systems that may be missing, kernels' errors.

#![allow(clippy::unwrap_used, reason = "tests")]
use hypostyle::{
    AnyOf, Bool, Changed, Component, Entity, JobError, Read, Resource, Schedule, ScheduleError, Simulation, StepError,
    System, With, Without, Workers, World, WorldError, Write, dynamic,
};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Cell {
    count: u32,
    level: f32,
}
#[derive(Component, Clone, Copy)]
#[component(track_changes)]
struct From {
    cell: Entity,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Lit {
    by: Bool,
}
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
struct Last {
    row: u32,
}

fn world(cells: usize, others: usize) -> (World, Vec<Entity>) {
    let builder = World::builder().component::<Cell>().component::<From>().component::<Lit>();
    let mut world = builder.resource::<Last>().build().unwrap();
    let all = world.spawn_batch((0..cells).map(|_| Cell { count: 0, level: 0.0 })).unwrap();
    world.spawn_batch((0..others).map(|i| From { cell: all[i % cells] })).unwrap();
    (world, all)
}

fn run_once(world: World, system: System) -> (Simulation, hypostyle::PatchCounts) {
    let mut schedule = Schedule::new();
    schedule.add(system);
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    let counts = simulation.step(1.0).unwrap().total();
    (simulation, counts)
}

#[test]
fn of_many_deposits_in_few_cells_the_last_one_counts() {
    let (world, cells) = world(10, 9_611);
    let deposit = System::rows::<Read<From>>("deposit", |job, from| {
        for row in 0..job.len() {
            job.set(from.cell[row], Cell { count: job.table_row(row) as u32, level: 1.0 });
            job.set_resource(Last { row: job.table_row(row) as u32 });
        }
    });
    let (simulation, counts) = run_once(world, deposit.sets::<Cell>().sets_resource::<Last>());
    assert_eq!((counts.applied, counts.overwritten, counts.total()), (10 + 1, 9_601 + 9_610, 2 * 9_611));
    let last = |cell: &Entity| simulation.world().get::<Cell>(*cell).unwrap().count;
    assert_eq!(cells.iter().map(last).max(), Some(9_610));
    assert_eq!(simulation.world().resource::<Last>().unwrap().row, 9_610);
}

#[test]
fn a_set_is_overwritten_where_all_of_it_is() {
    for (commands, applied, overwritten) in [
        // c: the cell, n: its count, l: its level, a: add what is there, r: remove, d: despawn
        ("c", 1, 0),
        ("cc", 1, 1),
        ("cac", 1, 2),
        ("nn", 1, 1),
        ("nl", 2, 0),
        ("nlc", 1, 2),
        // nothing replaced the whole of it
        ("cnl", 3, 0),
        ("cnnc", 1, 3),
        ("crac", 4, 0),
        ("cracc", 4, 1),
        ("cd", 2, 0),
        ("dcc", 2, 1),
    ] {
        let (world, _) = world(1, 1);
        let query = dynamic::Query::new().read("from");
        let system = dynamic::system("obey", query, move |job| {
            use hypostyle::dynamic::Targets::Entities;
            let cell = match &job.columns()[0].bytes {
                hypostyle::dynamic::ColumnBytes::Read(bytes) => u64::from_le_bytes(bytes[..8].try_into()?),
                hypostyle::dynamic::ColumnBytes::Write(_) => return Err("it is read".into()),
            };
            let cell = [Entity::from_bits(cell)];
            let (one, both) = ([7u8; 4], [7u8; 8]);
            for command in commands.chars() {
                match command {
                    'c' => job.set_named("cell", Entities(&cell), &both)?,
                    'n' => job.set_named("cell.count", Entities(&cell), &one)?,
                    'l' => job.set_named("cell.level", Entities(&cell), &one)?,
                    'a' => job.add_named("cell", Entities(&cell), &both)?,
                    'r' => job.remove_named("cell", Entities(&cell))?,
                    _ => job.despawn_all(Entities(&cell))?,
                }
            }
            Ok(())
        });
        let system = system.sets_named("cell").adds_named("cell").removes_named("cell").despawns();
        let (_, counts) = run_once(world, system);
        assert_eq!((counts.applied, counts.overwritten), (applied, overwritten), "{commands}: {counts:?}");
    }
}

#[test]
fn what_is_overwritten_is_counted_from_frame_to_frame_anew() {
    let (world, _) = world(3, 6);
    let mut schedule = Schedule::new();
    let deposit = System::rows::<Read<From>>("deposit", |job, from| {
        for row in 0..job.len() {
            job.set(from.cell[row], Cell { count: 1, level: 1.0 });
        }
    });
    schedule.add(deposit.sets::<Cell>());
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    for _ in 0..3 {
        let counts = simulation.step(1.0).unwrap().total();
        assert_eq!((counts.applied, counts.overwritten), (3, 3));
    }
}

fn wrong() -> System {
    System::rows::<Read<From>>("wrong", |job, from| {
        for row in 0..job.len() {
            job.set(from.cell[row], From { cell: Entity::NULL });
        }
    })
    .sets::<From>()
}

#[test]
fn a_strict_simulation_fails_frames_with_refused_patches() {
    let (plain, _) = world(2, 5);
    let (_, counts) = run_once(plain, wrong());
    assert_eq!((counts.refused, counts.applied), (5, 0));
    let (world, _) = world(2, 5);
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Cell>>("count", |_, mut cell| cell.count.map(|count| count + 1)).before("wrong"));
    schedule.add(wrong());
    let mut simulation = Simulation::builder().strict(true).build(world, schedule).unwrap();
    for _ in 0..2 {
        let error = simulation.step(1.0).unwrap_err();
        let StepError::Refused { system, refused: 5, undone: 1, frame: 0, reason } = &error else { panic!("{error}") };
        assert_eq!(system, "wrong");
        assert!(reason.to_string().contains("set of absent component `from`"), "{reason}");
        assert!(error.to_string().starts_with("5 patch(es) of system `wrong` were refused"), "{error}");
        let mut counts = Vec::new();
        simulation.world_mut().query::<Read<Cell>>(|_, cell| counts.extend_from_slice(cell.count)).unwrap();
        assert_eq!(counts, [0, 0], "the frame is undone");
    }
    // patches on what is gone are no fault of the system's
    let (mut world, cells) = self::world(2, 5);
    world.despawn(cells[0]).unwrap();
    let mut schedule = Schedule::new();
    let deposit = System::rows::<Read<From>>("deposit", |job, from| {
        for row in 0..job.len() {
            job.set(from.cell[row], Cell { count: 1, level: 1.0 });
        }
    });
    schedule.add(deposit.sets::<Cell>());
    let mut simulation = Simulation::builder().strict(true).build(world, schedule).unwrap();
    assert_eq!(simulation.step(1.0).unwrap().total().stale, 3);
}

#[test]
fn a_query_that_nothing_can_match_names_the_contradiction() {
    let (mut world, _) = world(1, 1);
    let said = |error: WorldError| {
        assert!(matches!(&error, WorldError::Contradiction { component } if component == "cell"), "{error}");
        assert!(error.to_string().contains("with `cell` and without it"), "{error}");
    };
    said(world.query::<(With<Cell>, Without<Cell>)>(|_, _| ()).unwrap_err());
    said(world.query::<(Read<Cell>, Without<Cell>)>(|_, _| ()).unwrap_err());
    said(world.query_mut::<(Without<Cell>, Write<Cell>)>(|_, _| ()).unwrap_err());
    said(world.query::<(AnyOf<(Cell,)>, Without<Cell>)>(|_, _| ()).unwrap_err());
    said(world.remove_where::<(With<Cell>, Without<Cell>), Cell>().unwrap_err());
    world.query::<(AnyOf<(Cell, From)>, Without<Cell>)>(|_, _| ()).unwrap();
    world.query::<(Option<Read<Cell>>, Without<Cell>)>(|_, _| ()).unwrap();
    let error = world.query::<(Changed<From>, Without<From>)>(|_, _| ()).unwrap_err();
    assert!(matches!(error, WorldError::Contradiction { component } if component == "from"));
    let typed = System::rows::<(With<Cell>, Without<Cell>)>("s", |_, _| ());
    let named = dynamic::system("s", dynamic::Query::new().with("cell").without("cell"), |_| Ok(()));
    for system in [typed, named] {
        let (world, _) = self::world(1, 1);
        let mut schedule = Schedule::new();
        schedule.add(system);
        let error = Simulation::new(world, schedule, Workers::Local).err().unwrap().to_string();
        assert!(error.contains("with `cell` and without it"), "{error}");
    }
}

#[test]
fn time_stays_a_number() {
    let (world, _) = world(1, 1);
    let mut simulation = Simulation::new(world, Schedule::new(), Workers::Local).unwrap();
    simulation.step(8e307).unwrap();
    for (frames, dt) in [(1, 8e307), (2, 8e307), (1, f64::MAX), (u64::MAX, 1e300), (1, -f64::MAX)] {
        let error = simulation.run(frames, dt).unwrap_err();
        assert!(matches!(error, StepError::TimeRange { time: 8e307, .. }), "{error}");
    }
    assert!(matches!(simulation.step(f64::NAN), Err(StepError::TimeStep { .. })));
    assert_eq!((simulation.world().time(), simulation.world().frame()), (8e307, 1), "nothing ran");
    simulation.run(2, -4e307).unwrap();
    assert_eq!(simulation.world().time(), 0.0, "time may run backwards");
    simulation.step(0.0).unwrap();
    assert_eq!((simulation.world().time(), simulation.world().frame()), (0.0, 4));
}

#[test]
fn order_may_be_by_systems_that_are_missing() {
    let system = |name: &str| System::rows::<Read<Cell>>(name, |_, _| ());
    let order = |systems: Vec<System>| {
        let (world, _) = world(1, 1);
        let mut schedule = Schedule::new();
        for system in systems {
            schedule.add(system);
        }
        Simulation::new(world, schedule, Workers::Local).map(|simulation| {
            let update = simulation.plan().stages.iter().find(|stage| stage.name == "update").unwrap();
            let names = |batch: &hypostyle::plan::BatchPlan| {
                batch.systems.iter().map(|system| system.name.clone()).collect::<Vec<_>>()
            };
            update.batches.iter().map(names).collect::<Vec<_>>()
        })
    };
    let lone = || system("b").after_if_present("a").before_if_present("c");
    assert_eq!(order(vec![lone()]).unwrap(), [["b"]]);
    assert_eq!(order(vec![system("c"), lone(), system("a")]).unwrap(), [["a"], ["b"], ["c"]]);
    assert_eq!(order(vec![lone(), system("a").stage("late")]).unwrap(), [["b"]], "another stage has its own order");
    let error = order(vec![system("b").after("a")]).err().unwrap();
    assert!(matches!(error, StepError::Schedule(ScheduleError::UnknownName { .. })), "{error}");
}

#[test]
fn a_resource_is_inserted_or_set() {
    let (mut world, _) = world(1, 1);
    assert!(matches!(world.set_resource(Last { row: 1 }), Err(WorldError::MissingResource { .. })));
    world.insert_or_set_resource(Last { row: 1 }).unwrap();
    world.insert_or_set_resource(Last { row: 2 }).unwrap();
    assert_eq!(world.resource::<Last>().unwrap().row, 2);
    assert!(matches!(world.insert_resource(Last { row: 3 }), Err(WorldError::DuplicateResource { .. })));
}

#[test]
fn bools_are_compared_and_negated() {
    let (yes, no, t, f) = (Bool::from(true), Bool::FALSE, true, false);
    assert_eq!([yes == t, no == f, t == yes, f == no], [true; 4]);
    assert_eq!([yes == f, no == t, f == yes, t == no], [false; 4]);
    assert_eq!((!yes, !no, !!yes), (no, yes, yes));
}

#[test]
fn kernels_take_typed_errors_and_texts() {
    let failure = |system: System| {
        let (world, _) = world(1, 1);
        let mut schedule = Schedule::new();
        schedule.add(system);
        Simulation::new(world, schedule, Workers::Local).unwrap().step(1.0).unwrap_err().to_string()
    };
    let said = failure(System::try_rows::<With<Cell>>("s", |job, ()| {
        assert!(matches!(job.resource::<Last>(), Err(JobError::Undeclared { resource }) if resource == "last"));
        job.resource::<Last>()?;
        Ok(())
    }));
    assert!(said.contains("does not declare that it reads resource `last`"), "{said}");
    let said = failure(
        System::try_rows::<With<Cell>>("s", |job, ()| Ok(job.resource::<Last>().map(|_| ())?)).reads_resource::<Last>(),
    );
    assert!(said.contains("resource `last` has no value yet"), "{said}");
    assert!(failure(System::try_rows::<With<Cell>>("s", |_, ()| Err("out of fuel".into()))).contains("out of fuel"));
    let said = failure(System::try_rows::<With<Cell>>("s", |_, ()| Err(format!("row {}", 3).into())));
    assert!(said.contains("row 3"), "{said}");
    let said = failure(System::try_rows::<With<Cell>>("s", |_, ()| {
        let _: u32 = "x".parse()?;
        Ok(())
    }));
    assert!(said.contains("invalid digit"), "{said}");
    let said = failure(dynamic::system("s", dynamic::Query::new().read("cell"), |job| {
        let rows = hypostyle::dynamic::Targets::Rows(&[9]);
        assert!(matches!(job.set_named("cell", rows, &[0; 8]), Err(JobError::NoRow { row: 9, rows: 1 })));
        assert!(matches!(job.set_named("cell", rows, &[0; 3]), Err(JobError::Values { each: 8, got: 3, .. })));
        assert!(matches!(
            job.set_named("ball", rows, &[0; 8]),
            Err(JobError::World(WorldError::UnknownComponent { .. }))
        ));
        assert!(matches!(
            job.set_resource_named("last", &[0; 3]),
            Err(JobError::ResourceBytes { bytes: 4, got: 3, .. })
        ));
        job.add_named("ball", rows, &[])?;
        Ok(())
    }));
    assert!(said.contains("no component `ball`"), "{said}");
}
