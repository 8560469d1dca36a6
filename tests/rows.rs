//! Rows one by one, and what queries may ask for: guards, single entities, optional columns to write, many terms.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{
    Bundle, Changed, Component, Entities, Entity, Field, Query, Read, Schedule, Simulation, System, With, Without,
    Workers, World, WorldError, Write,
};

#[derive(Clone, Copy, Debug, PartialEq, Component)]
struct Position {
    x: f64,
    y: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(track_changes)]
struct Health(i32);

#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "toggle", track_changes)]
struct Poisoned {
    by: Entity,
}

#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "toggle")]
struct Hidden;

#[derive(Clone, Copy, Debug, PartialEq, Field)]
struct Spin {
    axis: [f32; 3],
    rate: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Component)]
struct Rotor {
    spin: Spin,
    broken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Bundle)]
struct Helicopter {
    rotor: Rotor,
    body: (Position, Health),
}

trait HashNow {
    fn hash_now(&self) -> u64;
}

impl HashNow for World {
    /// Of the newest generation.
    fn hash_now(&self) -> u64 {
        let mut reader = self.reader().unwrap();
        reader.pin().unwrap().hash()
    }
}

fn world() -> World {
    World::builder()
        .component::<Position>()
        .component::<Health>()
        .component::<Poisoned>()
        .component::<Hidden>()
        .component::<Rotor>()
        .build()
        .unwrap()
}

fn rotor(rate: f32) -> Rotor {
    Rotor { spin: Spin { axis: [0.0, 0.0, 1.0], rate }, broken: false }
}

#[test]
fn a_guard_writes_back_what_was_borrowed_to_be_changed() {
    let mut world = world();
    let entity = world.spawn((Position { x: 1.0, y: 2.0 }, Health(10))).unwrap();
    let others = world.spawn_batch((0..3000).map(|i| (Position { x: f64::from(i), y: 0.0 }, Health(i)))).unwrap();
    world.publish().unwrap();
    let before = world.hash_now();
    assert_eq!(*world.get_mut::<Position>(entity).unwrap(), Position { x: 1.0, y: 2.0 });
    assert_eq!(world.hash_now(), before, "a look changes nothing");
    {
        let mut position = world.get_mut::<Position>(entity).unwrap();
        position.x = 5.0;
        assert_eq!(position.x, 5.0);
        position.y *= 2.0;
    }
    world.get_mut::<Health>(others[2000]).unwrap().0 += 1;
    assert_eq!(world.get::<Position>(entity).unwrap(), Position { x: 5.0, y: 4.0 });
    assert_eq!(world.get::<Health>(others[2000]).unwrap(), Health(2001));
    let mut changed = Vec::new();
    world.for_each::<(Changed<Health>, Entities)>(|entity, ((), same)| changed.push((entity, same))).unwrap();
    assert!(changed.contains(&(others[2000], others[2000])));
    // what a toggle's component holds, and what is not there
    world.add(entity, Poisoned { by: others[0] }).unwrap();
    world.get_mut::<Poisoned>(entity).unwrap().by = others[1];
    assert_eq!(world.get::<Poisoned>(entity).unwrap().by, others[1]);
    world.add(entity, Hidden).unwrap();
    *world.get_mut::<Hidden>(entity).unwrap() = Hidden;
    assert!(world.has::<Hidden>(entity));
    assert!(matches!(world.get_mut::<Rotor>(entity), Err(WorldError::Absent { .. })));
    assert!(matches!(world.get_mut::<Poisoned>(others[0]), Err(WorldError::Absent { .. })));
    world.despawn(entity).unwrap();
    assert!(matches!(world.get_mut::<Position>(entity), Err(WorldError::Stale { .. })));
}

#[test]
fn a_guard_writes_what_a_set_would() {
    let (mut a, mut b) = (world(), world());
    let handles = |world: &mut World| {
        let handles = world.spawn_batch((0..2000).map(|i| (Position { x: f64::from(i), y: 0.0 }, Health(i)))).unwrap();
        world.publish().unwrap();
        handles
    };
    let (of_a, of_b) = (handles(&mut a), handles(&mut b));
    for (i, (in_a, in_b)) in of_a.iter().zip(&of_b).enumerate().step_by(7) {
        a.get_mut::<Health>(*in_a).unwrap().0 -= 3;
        b.set(*in_b, Health(i as i32 - 3)).unwrap();
        a.get_mut::<Position>(*in_a).unwrap().y = 1.0;
        b.set(*in_b, Position { x: i as f64, y: 1.0 }).unwrap();
    }
    a.publish().unwrap();
    b.publish().unwrap();
    assert_eq!(a.hash_now(), b.hash_now());
}

#[test]
fn one_entity_is_asked_for() {
    let mut world = world();
    let plain = world.spawn(Position { x: 1.0, y: 2.0 }).unwrap();
    let ship = world.spawn((Position { x: 3.0, y: 4.0 }, Health(7))).unwrap();
    type Asked = (Entities, Read<Position>, Option<Read<Health>>);
    assert_eq!(world.query_one::<Asked>(plain).unwrap(), (plain, Position { x: 1.0, y: 2.0 }, None));
    assert_eq!(world.query_one::<Asked>(ship).unwrap(), (ship, Position { x: 3.0, y: 4.0 }, Some(Health(7))));
    world
        .query_one_mut::<(Write<Position>, Option<Write<Health>>)>(ship, |(position, health)| {
            position.x = 0.5;
            health.unwrap().0 = 8;
        })
        .unwrap();
    world
        .query_one_mut::<(Write<Position>, Option<Write<Health>>)>(plain, |(position, health)| {
            position.y = 9.0;
            assert_eq!(health, None);
        })
        .unwrap();
    assert_eq!(world.get::<(Position, Health)>(ship).unwrap(), (Position { x: 0.5, y: 4.0 }, Health(8)));
    assert_eq!(world.get::<Position>(plain).unwrap(), Position { x: 1.0, y: 9.0 });
    // toggles decide by row
    let others = world.spawn_batch((0..200).map(|i| Position { x: f64::from(i), y: 0.0 })).unwrap();
    world.add(others[70], Hidden).unwrap();
    assert_eq!(world.query_one::<(Read<Position>, With<Hidden>)>(others[70]).unwrap().0.x, 70.0);
    let error = world.query_one::<(Read<Position>, With<Hidden>)>(others[71]).unwrap_err();
    assert!(error.to_string().contains("does not match the query: it lacks a component"), "{error}");
    let done = world.query_one_mut::<(Write<Position>, Without<Hidden>)>(others[70], |_| panic!("it does not match"));
    assert!(matches!(done, Err(WorldError::NoMatch { entity }) if entity == others[70]));
    assert!(matches!(world.query_one::<Write<Position>>(ship), Err(WorldError::QueryWrites)));
    world.despawn(ship).unwrap();
    assert!(matches!(world.query_one::<Read<Position>>(ship), Err(WorldError::Stale { .. })));
    assert!(matches!(world.query_one_mut::<Write<Position>>(ship, |_| ()), Err(WorldError::Stale { .. })));
}

#[test]
fn rows_come_one_by_one_with_and_without_gaps() {
    let mut world = world();
    let all = world.spawn_batch((0..500).map(|i| (Position { x: f64::from(i), y: 0.0 }, Health(i)))).unwrap();
    for entity in all.iter().step_by(3) {
        world.add(*entity, Hidden).unwrap();
    }
    let mut seen = Vec::new();
    world.for_each::<(Read<Health>, Without<Hidden>)>(|entity, (health, ())| seen.push((entity, health.0))).unwrap();
    let want: Vec<_> = all.iter().copied().zip(0..).filter(|(_, i)| i % 3 != 0).collect();
    assert_eq!(seen, want);
    world
        .for_each_mut::<(Write<Position>, Read<Health>, With<Hidden>)>(|_, (position, health, ())| {
            position.y = f64::from(health.0);
        })
        .unwrap();
    for (entity, i) in all.iter().zip(0..) {
        let want = if i % 3 == 0 { f64::from(i) } else { 0.0 };
        assert_eq!(world.get::<Position>(*entity).unwrap(), Position { x: f64::from(i), y: want });
    }
    assert!(matches!(world.for_each::<Write<Position>>(|_, _| ()), Err(WorldError::QueryWrites)));
}

#[test]
fn a_cleared_world_is_empty_and_keeps_the_rest() {
    let mut world = world();
    let first = world.spawn_batch((0..100).map(Health)).unwrap();
    world.spawn(Position { x: 0.0, y: 0.0 }).unwrap();
    assert_eq!(world.clear().unwrap(), 101);
    assert_eq!((world.entity_count(), world.clear().unwrap()), (0, 0));
    assert!(!world.contains(first[5]) && !world.contains(Entity::NULL));
    let again = world.spawn(Health(1)).unwrap();
    assert!(world.contains(again) && again != first[0]);
}

#[test]
fn bundles_are_structs_too() {
    let mut world = world();
    let helicopter = Helicopter { rotor: rotor(3.0), body: (Position { x: 1.0, y: 2.0 }, Health(5)) };
    let entity = world.spawn(helicopter).unwrap();
    assert_eq!(world.get::<Helicopter>(entity).unwrap(), helicopter);
    assert_eq!(world.get::<(Health, Rotor)>(entity).unwrap(), (Health(5), rotor(3.0)));
    assert_eq!(world.lookup::<Helicopter>().unwrap().get(entity).unwrap(), helicopter);
    #[derive(Clone, Copy, Bundle)]
    struct Twice(Health, Position, Health);
    let error = world.spawn(Twice(Health(1), Position { x: 0.0, y: 0.0 }, Health(2))).unwrap_err();
    assert_eq!(error.to_string(), "component `health` is given twice");
}

#[test]
fn sixteen_terms_and_tuples_in_tuples() {
    type Many = (
        Read<Position>,
        Read<Health>,
        Read<Rotor>,
        With<Position>,
        With<Health>,
        With<Rotor>,
        Without<Hidden>,
        Without<Poisoned>,
        Entities,
        (),
        (With<Position>, (With<Health>, Entities)),
        With<Position>,
        With<Health>,
        With<Rotor>,
        Without<Hidden>,
        Without<Poisoned>,
    );
    let mut world = world();
    let entity = world.spawn((Position { x: 1.0, y: 1.0 }, Health(2), rotor(1.0))).unwrap();
    world.spawn((Position { x: 1.0, y: 1.0 }, Health(2))).unwrap();
    assert_eq!(world.count::<Many>().unwrap(), 1);
    let values = world.query_one::<Many>(entity).unwrap();
    assert_eq!((values.0.x, values.1.0, values.2, values.8, values.10.1.1), (1.0, 2, rotor(1.0), entity, entity));
}

/// A system by rows, one by chunks that writes what only some tables have, and one that changes what it visits.
fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    let spin = System::for_each::<(Write<Rotor>, Option<Write<Health>>, Entities)>(
        "spin",
        |job, row, (rotor, health, entity)| {
            assert_eq!(job.entities()[row], entity);
            rotor.spin.rate *= 1.5;
            if let Some(health) = health {
                health.0 -= 1;
                if health.0 == 0 {
                    job.remove_row::<Health>(row);
                }
            }
        },
    );
    schedule.add(spin.removes::<Health>());
    schedule.add(System::rows::<(Write<Position>, Option<Write<Rotor>>)>("drift", |job, (mut position, rotor)| {
        let dt = job.dt();
        match rotor {
            None => position.x.map(|x| x - dt),
            Some(mut rotor) => {
                let rates: Vec<f32> = rotor.spin.rate.to_vec();
                position.x.map_with(&rates, |x, rate| x + f64::from(rate) * dt);
                rotor.broken.iter_mut().zip(&rates).for_each(|(broken, rate)| *broken = (*rate > 100.0).into());
            }
        }
    }));
    schedule.add(System::rows::<(Write<Health>, Changed<Health>)>("heal", |job, mut chunk| {
        let rows = job.len();
        <(Write<Health>, Changed<Health>)>::for_each(&mut chunk, rows, |row, (health, ())| {
            if row % 2 == 0 {
                health.0 += 2;
            }
        });
    }));
    schedule
}

fn crowd() -> World {
    let mut world = world();
    let position = |i: i32| Position { x: f64::from(i) * 0.25, y: 0.0 };
    world.spawn_batch((0..9000).map(|i| (position(i), rotor(i as f32 * 0.001), Health(i % 40 + 1)))).unwrap();
    world.spawn_batch((0..5000).map(|i| (position(i), rotor(0.5)))).unwrap();
    let rest = world.spawn_batch((0..5000).map(|i| (position(i), Health(i)))).unwrap();
    rest.iter().step_by(5).for_each(|entity| world.add(*entity, Hidden).unwrap());
    world.spawn_batch((0..300).map(position)).unwrap();
    world
}

#[test]
fn systems_by_rows_are_the_same_with_any_workers() {
    let run = |workers: Workers| {
        let mut simulation = Simulation::new(crowd(), schedule(), workers).unwrap();
        simulation.run(30, 0.25).unwrap();
        simulation.world().hash_now()
    };
    let alone = run(Workers::Local);
    assert_eq!(run(Workers::Threads(1)), alone);
    assert_eq!(run(Workers::Threads(3)), alone);
}

/// What by-row systems leave alone is not touched: its columns keep the stamps of the generation that wrote them.
#[test]
fn values_that_do_not_change_touch_no_column() {
    let mut schedule = Schedule::new();
    schedule.add(System::for_each::<Write<Position>>("x", |_, _, position| position.x += 1.0));
    let mut simulation = Simulation::new(crowd(), schedule, Workers::Local).unwrap();
    simulation.step(0.5).unwrap();
    let generation = simulation.world().generation();
    simulation.step(0.5).unwrap();
    let mut reader = simulation.world().reader().unwrap();
    let snapshot = reader.pin().unwrap();
    let mut named: Vec<String> = snapshot.changed_since(generation).map(|column| column.name.to_string()).collect();
    named.sort();
    named.dedup();
    assert_eq!(named, ["position.x"]);
}

/// A declared write is no change: rows of tracked components have changed where their bytes differ, whichever door wrote
/// them, and also where the visitor panics half-way.
#[test]
fn rows_that_a_query_does_not_write_have_not_changed() {
    #[derive(Component, Clone, Copy)]
    #[component(track_changes)]
    struct Heat {
        degrees: f64,
        limit: [i32; 3],
    }
    #[derive(Component, Clone, Copy)]
    #[component(storage = "toggle", track_changes)]
    struct Lit {
        colour: u8,
    }
    let mut world = World::builder().component::<Heat>().component::<Lit>().build().unwrap();
    let all = world.spawn_batch((0..3000).map(|i| Heat { degrees: f64::from(i), limit: [0; 3] })).unwrap();
    for entity in all.iter().step_by(3) {
        world.add(*entity, Lit { colour: 1 }).unwrap();
    }
    world.publish().unwrap();
    let settle = |world: &mut World| {
        for _ in 0..2 {
            world.begin_frame().unwrap();
            world.end_frame(0.5);
        }
        world.publish().unwrap();
        assert_eq!(world.count::<Changed<Heat>>().unwrap() + world.count::<Changed<Lit>>().unwrap(), 0);
    };
    let changed = |world: &World| {
        let mut rows = Vec::new();
        world.query::<(Entities, Changed<Heat>)>(|entities, _| rows.extend_from_slice(entities)).unwrap();
        rows
    };
    settle(&mut world);
    world.query_mut::<(Write<Heat>, Write<Lit>)>(|_, _| {}).unwrap();
    world.query_mut::<Write<Heat>>(|_, mut heat| heat.degrees.map(|degrees| degrees)).unwrap();
    world.for_each_mut::<Write<Heat>>(|_, _| {}).unwrap();
    world.query_one_mut::<Write<Heat>>(all[5], |_| {}).unwrap();
    assert_eq!(
        world.count::<Changed<Heat>>().unwrap() + world.count::<Changed<Lit>>().unwrap(),
        0,
        "nothing was written"
    );

    world
        .query_mut::<Write<Heat>>(|entities, mut heat| {
            let of = |wanted: Entity| entities.iter().position(|entity| *entity == wanted);
            heat.degrees[of(all[70]).unwrap()] = -1.0;
            heat.limit[of(all[2999]).unwrap()][2] = 7;
        })
        .unwrap();
    world.query_one_mut::<Write<Heat>>(all[130], |heat| heat.limit[0] = 9).unwrap();
    assert_eq!(changed(&world), [all[70], all[130], all[2999]]);

    settle(&mut world);
    // short pieces, which are gathered, and a panic in the midst of them
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.query_mut::<(Write<Heat>, Write<Lit>)>(|entities, (mut heat, mut lit)| {
            let place = entities.iter().position(|entity| *entity == all[9]).unwrap();
            heat.degrees[place] = 0.5;
            lit.colour[place + 1] = 2;
            panic!("as it should");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(changed(&world), [all[9]]);
    let mut lit = Vec::new();
    world.query::<(Entities, Changed<Lit>)>(|entities, _| lit.extend_from_slice(entities)).unwrap();
    assert_eq!(lit, [all[12]]);
}

/// Each row takes the sum of its neighbours' places, of those who are poisoned (any table), and of all health: three views, one
/// of the very column that is written.
fn look_around() -> System {
    System::try_rows::<Write<Position>>("look around", |job, mut own| {
        let all = job.view::<Read<Position>>()?;
        let poisoned = job.view::<(Read<Position>, With<Poisoned>)>()?;
        let health = job.view::<Read<Health>>()?;
        let health: i32 = health.tables().flat_map(|table| table.columns.0).sum();
        let Some(own_table) = all.own() else { return Ok(()) };
        let (at, first) = (all.table(own_table).columns.x, job.first_row());
        let sick: f64 = poisoned
            .tables()
            .map(|table| {
                let rows = (0..table.entities.len()).filter(|row| table.matches(*row));
                rows.map(|row| table.columns.0.x[row]).sum::<f64>()
            })
            .sum();
        own.x.iter_mut().enumerate().for_each(|(row, x)| *x = 0.5 * at[(first + row + 1) % at.len()]);
        own.y.iter_mut().for_each(|y| *y += sick + f64::from(health));
        Ok(())
    })
    .reads_view::<Read<Position>>()
    .reads_view::<(Read<Position>, With<Poisoned>)>()
    .reads_view::<Read<Health>>()
}

#[test]
fn a_system_may_have_several_views_and_sees_what_was_there_before() {
    let run = |workers: Workers, publish_every: u64| {
        let builder = World::builder().component::<Position>().component::<Health>().component::<Poisoned>();
        let mut world = builder.component::<Hidden>().build().unwrap();
        let place = |i: i32| Position { x: f64::from(i), y: 0.0 };
        let all = world.spawn_batch((0..5000).map(place)).unwrap();
        world.spawn_batch((0..1000).map(|i| (place(i), Health(i % 3)))).unwrap();
        world.spawn_batch((0..10).map(Health)).unwrap();
        for entity in all.iter().step_by(3) {
            world.add(*entity, Poisoned { by: Entity::NULL }).unwrap();
        }
        let mut schedule = Schedule::new();
        schedule.add(look_around().job_rows(256));
        let builder = Simulation::builder().workers(workers).publish_every(publish_every);
        let mut simulation = builder.build(world, schedule).unwrap();
        simulation.run(4, 1.0).unwrap();
        let mut found = Vec::new();
        simulation.world().query::<Read<Position>>(|_, at| found.extend(at.x.iter().chain(at.y).copied())).unwrap();
        found
    };
    // by hand: two tables, and health that stands still
    let mut tables = [(0..5000).map(f64::from).collect::<Vec<f64>>(), (0..1000).map(f64::from).collect()];
    let health = f64::from((0..1000).map(|i| i % 3).sum::<i32>() + (0..10).sum::<i32>());
    let mut y = 0.0;
    for _ in 0..4 {
        y += tables[0].iter().step_by(3).sum::<f64>() + health;
        tables = tables.map(|x| (0..x.len()).map(|row| 0.5 * x[(row + 1) % x.len()]).collect());
    }
    let want: Vec<f64> = tables.iter().flat_map(|x| x.iter().copied().chain(vec![y; x.len()])).collect();
    for (workers, publish_every) in [(Workers::Local, 1), (Workers::Local, 4), (Workers::Threads(2), 3)] {
        assert!(run(workers, publish_every) == want, "{workers:?}, published every {publish_every}");
    }
}

#[test]
fn a_view_that_is_not_declared_is_an_error_of_its_job() {
    let mut world = World::builder().component::<Position>().component::<Health>().build().unwrap();
    world.spawn(Position { x: 0.0, y: 0.0 }).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(
        System::try_rows::<Read<Position>>("look", |job, _| Ok(job.view::<Read<Health>>().map(drop)?))
            .reads_view::<Read<Position>>(),
    );
    let error = Simulation::new(world, schedule, Workers::Local).unwrap().step(1.0).unwrap_err().to_string();
    assert!(error.contains("does not declare that it looks at") && error.contains("Health"), "{error}");
}
