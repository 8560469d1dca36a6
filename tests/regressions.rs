<<<<<<< HEAD
//! Bugs that were, each as a scenario of its own.
#![forbid(unsafe_code)]

use hypostyle::{Component, Read, Schedule, Simulation, StepError, System, With, Workers, World};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Number {
    value: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Other {
    value: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Tag;
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Toggle {
    value: u32,
}

/// Two worlds on one thread, whose components have other ids: ids looked up for the first were used for the second.
#[test]
fn worlds_of_one_thread_do_not_share_component_ids() {
    let schedule = || {
        let mut schedule = Schedule::new();
        let kernel = |job: &mut hypostyle::Job<'_, '_>, number: <Read<Number> as hypostyle::Query>::Item<'_>| {
            for row in 0..job.len() {
                job.set_row(row, Number { value: number.value[row] + 1 });
                job.add_row(row, Tag);
                job.spawn(Other { value: 5 });
            }
        };
        schedule.add(System::rows::<Read<Number>>("patch", kernel).sets::<Number>().adds::<Tag>().spawns::<Other>());
        schedule
    };
    let first = World::builder().component::<Number>().component::<Other>().component::<Tag>();
    let second = World::builder().component::<Tag>().component::<Other>().component::<Number>();
    for builder in [first, second] {
        let mut world = builder.build().unwrap();
        let entity = world.spawn(Number { value: 1 }).unwrap();
        let mut simulation = Simulation::new(world, schedule(), Workers::Local).unwrap();
        let total = simulation.step(1.0).unwrap().total();
        assert_eq!((total.applied, total.refused, total.spawned), (3, 0, 1), "{total:?}");
        assert_eq!(simulation.world().get::<Number>(entity).unwrap(), Number { value: 2 });
        assert!(simulation.world().has::<Tag>(entity));
    }
}

/// A world that went back to its last generation no longer found its tables that have toggles, and made new ones
/// beside them: rows of the same entities then stood in another order than without the failure.
#[test]
fn a_world_that_went_back_finds_its_tables_with_toggles() {
    let mut schedule = Schedule::new();
    schedule.add(System::try_rows::<With<Number>>("fail", |job, ()| match job.payload() {
        [1] => Err("asked to".to_owned()),
        _ => Ok(()),
    }));
    let world = World::builder().component::<Number>().component::<Tag>().component::<Toggle>().build();
    let mut simulation = Simulation::new(world.unwrap(), schedule, Workers::Local).unwrap();
    let first = simulation.world_mut().spawn((Number { value: 1 }, Toggle { value: 1 })).unwrap();
    simulation.step(1.0).unwrap();
    simulation.set_payload("fail", [1]).unwrap();
    assert!(matches!(simulation.step(1.0), Err(StepError::Job { undone: 1, .. })));
    let second = simulation.world_mut().spawn(Number { value: 2 }).unwrap();
    simulation.world_mut().add(first, Tag).unwrap();
    simulation.world_mut().remove::<Tag>(first).unwrap();
    simulation.world_mut().publish().unwrap();
    let mut reader = simulation.world().reader().unwrap();
    let snapshot = reader.pin().unwrap();
    let rows: Vec<Vec<_>> =
        snapshot.tables().map(|table| table.entities().to_vec()).filter(|e| !e.is_empty()).collect();
    assert_eq!(rows, [vec![second, first]], "one table holds both");
=======
//! Faults that were there once, each as the smallest program that shows it.

use hypostyle::{
    Bool, Changed, Component, Entities, Entity, Read, Resource, Schedule, Simulation, System, With, Without, Workers,
    World, Write,
};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Key {
    value: u32,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Owner {
    who: Entity,
    #[component(default = 7)]
    since: u32,
    sure: Bool,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle", track_changes)]
struct Lit;

#[derive(Resource, Clone, Copy, Debug, PartialEq)]
struct Best {
    who: Entity,
}

fn world() -> World {
    let builder = World::builder().component::<Key>().component::<Owner>().component::<Lit>().resource::<Best>();
    builder.bytes_max(1 << 24).build().expect("the layout is valid")
}

fn simulation(world: World, schedule: Schedule) -> Simulation {
    Simulation::new(world, schedule, Workers::Local).expect("the schedule is sound")
}

#[test]
fn fields_without_a_value_have_their_defaults() {
    let mut world = world();
    let entity = world.spawn_columns(1).with::<Owner>().spawn().expect("there is room")[0];
    let owner = world.get::<Owner>(entity).expect("it was spawned with one");
    assert_eq!((owner.who, owner.since), (Entity::NULL, 7));
}

#[test]
fn a_spawn_with_a_refused_value_has_the_defaults() {
    let mut world = world();
    world.spawn(Key { value: 0 }).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<With<Key>>("spawn", |job, ()| {
            job.spawn(Owner { who: job.entities()[0], since: 1, sure: bytemuck::cast(2u8) });
        })
        .spawns::<Owner>(),
    );
    let mut simulation = simulation(world, schedule);
    assert_eq!(simulation.step(1.0).expect("nothing fails").total().refused, 1);
    let mut owners = Vec::new();
    simulation
        .world()
        .query::<Read<Owner>>(|_, owner| owners.push((owner.who[0], owner.since[0])))
        .expect("it is known");
    assert_eq!(owners, [(Entity::NULL, 7)]);
}

#[test]
fn a_resource_can_name_an_entity_of_the_same_job() {
    let mut world = world();
    world.spawn(Key { value: 0 }).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<With<Key>>("spawn", |job, ()| {
            let who = job.spawn(());
            job.set_resource(Best { who });
        })
        .sets_resource::<Best>(),
    );
    let mut simulation = simulation(world, schedule);
    simulation.step(1.0).expect("nothing fails");
    let best = simulation.world().resource::<Best>().expect("it was set");
    assert_eq!(best.who, Entity::from_parts(1, 0));
    assert!(simulation.world().is_alive(best.who));
}

#[test]
fn an_absent_toggle_is_not_a_changed_one() {
    let mut world = world();
    let lit = world.spawn((Key { value: 1 }, Lit)).expect("there is room");
    let dark = world.spawn(Key { value: 2 }).expect("there is room");
    assert_eq!(world.count::<Changed<Lit>>().expect("it is tracked"), 1, "a new entity without it");
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<(Entities, Read<Key>)>("switch", |job, (_, key)| {
            for (row, value) in key.value.iter().enumerate() {
                match value {
                    1 => job.remove_row::<Lit>(row),
                    _ => drop(job.spawn(Key { value: 3 })),
                }
            }
        })
        .removes::<Lit>()
        .spawns::<Key>(),
    );
    let mut simulation = simulation(world, schedule);
    simulation.step(1.0).expect("nothing fails");
    assert_eq!(simulation.world().count::<Changed<Lit>>().expect("it is tracked"), 0, "removed and spawned by patches");
    let world = simulation.world_mut();
    world.add(dark, Lit).expect("it lives");
    world.add(lit, Lit).expect("it lives");
    assert_eq!(world.count::<Changed<Lit>>().expect("it is tracked"), 2);
    world.remove::<Lit>(dark).expect("it lives");
    assert_eq!(world.count::<Changed<Lit>>().expect("it is tracked"), 1, "removed directly");
    world.remove_where::<(), Lit>().expect("there is room");
    assert_eq!(world.count::<Changed<Lit>>().expect("it is tracked"), 0, "removed by query");
}

#[test]
fn a_view_locates_only_what_matches() {
    let mut world = world();
    let target = world.spawn(Key { value: 5 }).expect("there is room");
    world.spawn((Key { value: 6 }, Lit)).expect("there is room");
    world.spawn(Owner { who: target, since: 0, sure: Bool::FALSE }).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(System::neighbours::<Write<Owner>, (Read<Key>, Without<Lit>)>("look", |_, mut owner, view| {
        for row in 0..owner.who.len() {
            owner.since[row] = 1 + u32::from(view.locate(owner.who[row]).is_some());
        }
    }));
    let mut simulation = simulation(world, schedule);
    let seen = |simulation: &mut Simulation| {
        simulation.step(1.0).expect("nothing fails");
        let mut seen = 0;
        simulation.world().query::<Read<Owner>>(|_, owner| seen = owner.since[0]).expect("it is known");
        seen
    };
    assert_eq!(seen(&mut simulation), 2);
    simulation.world_mut().add(target, Lit).expect("it lives");
    assert_eq!(seen(&mut simulation), 1);
}

#[test]
fn rows_appended_to_a_sorted_table_have_no_toggles() {
    let mut world = world();
    // the presence bits of many rows are on, in both extents of their column
    let many = world.spawn_batch((0..300u32).map(|i| (Key { value: 1000 - i }, Lit))).expect("there is room");
    world.publish().expect("there is room");
    world.spawn((Key { value: 1 }, Lit)).expect("there is room");
    world.publish().expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<With<Key>>("sort", |_, ()| {}).sort_by("key.value"));
    let mut simulation = simulation(world, schedule);
    for entity in &many[10..] {
        simulation.world_mut().despawn(*entity).expect("it lives");
    }
    simulation.step(1.0).expect("nothing fails");
    let world = simulation.world_mut();
    let dark = world.spawn_batch((0..280u32).map(|value| Key { value })).expect("there is room");
    assert!(dark.iter().all(|entity| !world.has::<Lit>(*entity)));
    assert_eq!(world.count::<Without<Lit>>().expect("it is known"), 280);
}

#[test]
fn going_back_under_readers_leaks_nothing() {
    let mut world = World::builder().component::<Key>().bytes_max(4 << 20).build().expect("the layout is valid");
    world.spawn_batch((0..20_000u32).map(|value| Key { value })).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(System::try_rows::<Write<Key>>("fail", |job, mut key| {
        key.value.map(|value| value ^ 1);
        if job.frame() % 2 == 0 && job.payload() == [1] { Err("told so".to_owned()) } else { Ok(()) }
    }));
    let mut simulation = simulation(world, schedule);
    let mut reader = simulation.world().reader().expect("there are leases");
    for round in 0..60u64 {
        simulation.set_payload("fail", [0]).expect("the system is there");
        simulation.step(1.0).expect("nothing fails");
        let snapshot = reader.pin().expect("something is published");
        let hash = snapshot.hash();
        simulation.step(1.0).expect("nothing fails");
        simulation.set_payload("fail", [1]).expect("the system is there");
        if simulation.world().frame() % 2 == 1 {
            assert!(simulation.step(1.0).is_err(), "round {round}");
        } else {
            simulation.step(1.0).expect("nothing fails");
            assert!(simulation.step(1.0).is_err(), "round {round}");
        }
        assert_eq!(snapshot.hash(), hash);
    }
    assert_eq!(simulation.world().skipped_publications(), 0);
>>>>>>> model
}
