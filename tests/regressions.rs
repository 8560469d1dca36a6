//! Faults that were there once, each as the smallest program that shows it.

use hypostyle::{
    Bool, Changed, Component, Entities, Entity, Publication, Read, Resource, Schedule, Simulation, System, With,
    Without, Workers, World, WorldError, Write,
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
        if job.frame() % 2 == 0 && job.payload() == [1] { Err("told so".into()) } else { Ok(()) }
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
}

/// Published worlds without spare extents that have more and more memory for the next change.
fn worlds_with_a_little_memory(mut f: impl FnMut(World, &[Entity])) {
    for (pages, held) in (0..45).step_by(3).flat_map(|pages| (1..6).map(move |held| (pages, held))) {
        let builder = World::builder().component::<Key>().component::<Owner>().component::<Lit>();
        let mut world = builder.bytes_max((1 << 20) + pages * 4096).build().expect("the layout is valid");
        world.set_publish_wait(std::time::Duration::ZERO);
        let entities = world.spawn_batch((0..4000u32).map(|value| Key { value })).expect("there is room");
        let lit = world.spawn_batch((0..700u32).map(|value| (Key { value }, Lit))).expect("there is room");
        world.despawn(lit[0]).expect("it lives");
        let owner = Owner { who: Entity::NULL, since: 0, sure: Bool::FALSE };
        let owned = world.spawn_batch((0..10_000).map(|_| owner)).expect("there is room");
        world.publish().expect("there is room");
        // readers hold what was, and one table takes the memory that the next changes need
        let mut readers: Vec<_> = (0..held).map(|_| world.reader().expect("there are leases")).collect();
        let mut pins = Vec::new();
        for reader in &mut readers {
            pins.push(reader.pin().expect("something is published"));
            if world.set(owned[0], owner).is_err() || world.publish().expect("it is skipped") == Publication::Skipped {
                break;
            }
        }
        f(world, &entities);
    }
}

#[test]
fn a_change_without_memory_changes_nothing() {
    type Change = fn(&mut World, &[Entity]) -> Result<(), WorldError>;
    let changes: [(&str, Change); 7] = [
        ("despawn", |world, entities| world.despawn(entities[7])),
        ("despawn the lit", |world, _| world.despawn_where::<With<Lit>>().map(drop)),
        ("set", |world, entities| world.set(entities[7], Key { value: 1 })),
        ("add", |world, entities| world.add(entities[7], Owner { who: entities[8], since: 0, sure: Bool::TRUE })),
        ("add a toggle", |world, entities| world.add(entities[7], Lit)),
        ("remove", |world, entities| world.remove::<Key>(entities[7]).map(drop)),
        ("remove a toggle", |world, _| world.remove_where::<(), Lit>().map(drop)),
    ];
    let (mut refused, mut done) = (0, 0);
    for (name, change) in changes {
        worlds_with_a_little_memory(|mut world, entities| {
            let state = |world: &World| {
                let mut state = Vec::new();
                world
                    .query::<(Entities, Option<Read<Key>>, Option<Read<Owner>>)>(|entities, (_, key, owner)| {
                        let key = |row: usize| key.map(|key| key.value[row]);
                        let owner = |row: usize| owner.map(|owner| owner.who[row]);
                        for (row, entity) in entities.iter().enumerate() {
                            state.push((
                                *entity,
                                world.is_alive(*entity),
                                world.has::<Lit>(*entity),
                                key(row),
                                owner(row),
                            ));
                        }
                    })
                    .expect("all are known");
                (state, world.count::<Changed<Lit>>().expect("it is tracked"), world.entity_count())
            };
            let before = state(&world);
            if change(&mut world, entities).is_err() {
                refused += 1;
                assert!(state(&world) == before, "{name}");
            } else {
                done += 1;
                assert!(state(&world) != before, "{name}");
            }
        });
    }
    assert!(refused > 50 && done > 50, "{refused} without and {done} with memory");
}
