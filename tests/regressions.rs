//! Faults that were there once, each as the smallest program that shows it.

use hypostyle::{
    Bool, Changed, Component, Entities, Entity, Publication, Read, Resource, Schedule, Simulation, System, With,
    Without, Workers, World, WorldError, Write, dynamic,
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
    assert!(simulation.world().contains(best.who));
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
            if world.set(owned[0], owner).is_err() || !world.publish().is_ok_and(Publication::is_published) {
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
                                world.contains(*entity),
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

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Links {
    to: [Entity; 2],
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Lead {
    by: Entity,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(track_changes)]
struct Heat {
    kelvin: u32,
    above: u16,
}

fn linked_world() -> World {
    let builder = World::builder().component::<Key>().component::<Links>().component::<Lead>().component::<Heat>();
    builder.resource::<Best>().bytes_max(1 << 24).build().expect("the layout is valid")
}

/// The keys of all entities, sorted.
fn keys(world: &World) -> Vec<u32> {
    let mut keys = Vec::new();
    world.query::<Read<Key>>(|_, key| keys.extend_from_slice(key.value)).expect("it is known");
    keys.sort_unstable();
    keys
}

#[test]
fn a_handle_of_a_spawn_that_is_written_densely_is_the_real_one() {
    for publish_every in [1, 3] {
        for workers in [Workers::Local, Workers::Threads(2)] {
            let mut world = linked_world();
            let mut parents: Vec<Entity> = Vec::new();
            for index in 0..200u32 {
                let links = Links { to: [Entity::NULL; 2] };
                let parent = world.spawn((links, Heat { kelvin: index, above: 0 })).expect("there is room");
                // every other row, so that rows are gathered
                if index % 2 == 0 {
                    world.add(parent, Lead { by: Entity::NULL }).expect("it lives");
                }
                parents.push(parent);
            }
            let mut schedule = Schedule::new();
            schedule.add(
                System::rows::<(Write<Links>, Read<Heat>)>("array", |job, (mut links, heat)| {
                    for row in 0..job.len() {
                        if job.frame() % 2 == 1 {
                            links.to[row][1] = job.spawn(Key { value: heat.kelvin[row] });
                        }
                    }
                })
                .spawns::<Key>()
                .job_rows(64),
            );
            schedule.add(
                System::rows::<(Write<Lead>, Read<Heat>)>("toggle", |job, (mut lead, heat)| {
                    for row in 0..job.len() {
                        if job.frame() % 2 == 1 {
                            lead.by[row] = job.spawn(Key { value: 1000 + heat.kelvin[row] });
                        }
                    }
                })
                .spawns::<Key>()
                .job_rows(64),
            );
            schedule.add(
                System::rows::<Read<Links>>("end", |job, links| {
                    let ends = job.frame().is_multiple_of(2);
                    for to in links.to.iter().filter(|_| ends) {
                        job.spawn(Key { value: 5000 });
                        job.despawn(to[1]);
                    }
                })
                .spawns::<Key>()
                .despawns()
                .stage("late"),
            );
            let builder = Simulation::builder().workers(workers).publish_every(publish_every);
            let mut simulation = builder.build(world, schedule).expect("the schedule is sound");
            simulation.step(0.1).expect("nothing fails");
            let world = simulation.world();
            for (index, parent) in (0u32..).zip(&parents) {
                let to = world.get::<Links>(*parent).expect("it has links").to;
                assert_eq!(world.get::<Key>(to[1]).expect("it is the child"), Key { value: index });
                assert_eq!(to[0], Entity::NULL);
                if let Ok(lead) = world.get::<Lead>(*parent) {
                    assert_eq!(world.get::<Key>(lead.by).expect("it is the child"), Key { value: 1000 + index });
                }
            }
            let report = simulation.step(0.1).expect("nothing fails").clone();
            assert_eq!((report.total().despawned, report.total().stale), (200, 0));
            let left: Vec<u32> = keys(simulation.world()).into_iter().filter(|key| *key < 1000).collect();
            assert_eq!(left, [0; 0], "the children ended, and no one else");
            assert_eq!(keys(simulation.world()).len(), 100 + 200);
        }
    }
}

#[test]
fn a_handle_written_densely_by_name_is_the_real_one() {
    let mut world = linked_world();
    let parents = world.spawn_batch((0..300).map(|_| Links { to: [Entity::NULL; 2] })).expect("there is room");
    let mut schedule = Schedule::new();
    let query = dynamic::Query::new().write("links").write("heat");
    schedule.add(dynamic::system("idle", query, |_| Ok(())).job_rows(64));
    let query = dynamic::Query::new().write("links");
    let kernel = |job: &mut dynamic::Job<'_, '_, '_>| {
        for row in 0..job.len() {
            let handle = job.reserved(0);
            let made = job.spawn_named(&["key"], 1, &(row as u32).to_le_bytes())?;
            assert_eq!(made, [handle]);
            let dynamic::ColumnBytes::Write(bytes) = &mut job.columns()[0].bytes else {
                return Err("it is written".into());
            };
            bytes[16 * row..16 * row + 8].copy_from_slice(&handle.to_bits().to_le_bytes());
        }
        Ok(())
    };
    schedule.add(dynamic::system("spawn", query, kernel).spawns_named("key").job_rows(64));
    let mut simulation = simulation(world, schedule);
    let report = simulation.step(0.1).expect("nothing fails");
    assert_eq!((report.patches[0].dense_rows, report.patches[1].dense_rows), (0, 300));
    for (index, parent) in (0u32..).zip(parents) {
        let to = simulation.world().get::<Links>(parent).expect("it has links").to;
        assert_eq!(simulation.world().get::<Key>(to[0]).expect("it is the child"), Key { value: index % 64 });
        assert_eq!(to[1], Entity::NULL);
    }
}

#[test]
fn a_reserved_handle_of_another_job_or_frame_is_stale() {
    static KEPT: std::sync::Mutex<Option<Entity>> = std::sync::Mutex::new(None);
    let mut world = linked_world();
    let own = world.spawn(Links { to: [Entity::NULL; 2] }).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<Write<Links>>("keep", |job, mut links| {
            let own = job.entities()[0];
            let fresh = job.spawn(Key { value: job.frame() as u32 });
            let kept = *KEPT.lock().expect("no kernel panics").get_or_insert(fresh);
            match job.frame() {
                1 => {}
                2 => job.despawn(kept),
                3 => job.set(kept, Key { value: 77 }),
                4 => job.add(kept, Key { value: 78 }),
                5 => job.set(own, Links { to: [kept, fresh] }),
                6 => drop(job.spawn(Links { to: [kept; 2] })),
                7 => job.set_resource(Best { who: kept }),
                _ => links.to[0] = [kept; 2],
            }
        })
        .spawns::<(Key, Links)>()
        .sets::<(Key, Links)>()
        .adds::<Key>()
        .despawns()
        .sets_resource::<Best>(),
    );
    schedule.add(System::rows::<Read<Links>>("use", |job, links| job.despawn(links.to[0][0])).despawns().stage("late"));
    let mut simulation = simulation(world, schedule);
    for frame in 1..=5u32 {
        let report = simulation.step(0.1).expect("nothing fails");
        assert_eq!(report.patches[0].stale, u64::from(frame > 1), "frame {frame}");
        assert_eq!(report.patches[0].despawned, 0);
        assert_eq!(keys(simulation.world()), (1..=frame).collect::<Vec<_>>(), "nobody else is meant");
    }
    let to = simulation.world().get::<Links>(own).expect("it has links").to;
    assert_eq!(to[0], Entity::NULL);
    assert_eq!(simulation.world().get::<Key>(to[1]).expect("it is the child"), Key { value: 5 });
    assert_eq!(simulation.step(0.1).expect("nothing fails").patches[0].stale, 2, "two handles of one value");
    // the new one has links too, from now on
    let report = simulation.step(0.1).expect("nothing fails");
    assert_eq!((report.patches[0].stale, report.patches[0].despawned), (1, 0));
    assert_eq!(simulation.world().resource::<Best>().expect("it was set").who, Entity::NULL);
    // written densely it names nobody, whoever uses it
    let report = simulation.step(0.1).expect("nothing fails");
    assert!(report.patches[1].stale > 0 && report.patches[1].despawned == 0);
}

#[test]
fn a_refused_spawn_leaves_a_dead_handle() {
    let mut world = linked_world();
    let own = world.spawn(Links { to: [Entity::NULL; 2] }).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Links>>("spawn", |job, mut links| {
        links.to[0][0] = job.spawn(Key { value: 1 });
    }));
    let mut simulation = simulation(world, schedule);
    assert_eq!(simulation.step(0.1).expect("nothing fails").patches[0].refused, 1);
    let to = simulation.world().get::<Links>(own).expect("it has links").to[0];
    assert!(!to.is_reserved() && to != Entity::NULL && !simulation.world().contains(to));
    assert!(matches!(simulation.world_mut().despawn(to), Err(WorldError::Stale { .. })));
}

/// Kernels on tracked rows, alone or one after the other, in place or not.
fn heated(fuse: bool, publish_every: u64, workers: Workers) -> Simulation {
    let mut world = linked_world();
    world.spawn_batch((0..1000).map(|kelvin| Heat { kelvin, above: 3 })).expect("there is room");
    let toggled = world.spawn_batch((0..1000).map(|kelvin| (Heat { kelvin, above: 3 }, Key { value: kelvin })));
    for entity in toggled.expect("there is room").into_iter().step_by(3) {
        world.add(entity, Lead { by: entity }).expect("it lives");
    }
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Heat>>("idle", |_, _| {}).job_rows(64));
    schedule.add(System::rows::<Write<Heat>>("reads", |_, heat| assert_eq!(heat.above[0], 3)).job_rows(64));
    schedule.add(
        System::rows::<Write<Heat>>("one row", |job, mut heat| {
            for row in 0..job.len() {
                // there and back again: changed by both of two systems, whether they run together or not
                if heat.kelvin[row] == 10 || (heat.kelvin[row] == 500 && job.frame() == 2) {
                    heat.kelvin[row] += 5000;
                }
            }
        })
        .job_rows(64),
    );
    schedule.add(
        System::rows::<Write<Heat>>("back", |job, mut heat| {
            for row in 0..job.len() {
                if heat.kelvin[row] == 5010 {
                    heat.kelvin[row] -= 5000;
                }
            }
        })
        .job_rows(64),
    );
    schedule.add(
        System::rows::<(Write<Heat>, Without<Lead>)>("equal", |_, (mut heat, ())| {
            heat.above.iter_mut().for_each(|above| *above = 3);
        })
        .job_rows(64),
    );
    schedule.add(
        System::rows::<(Write<Heat>, With<Lead>)>("gathered", |job, (mut heat, ())| {
            for row in 0..job.len() {
                if heat.kelvin[row] == 999 {
                    heat.kelvin[row] = 12345;
                }
            }
        })
        .job_rows(64),
    );
    let builder = Simulation::builder().workers(workers).publish_every(publish_every).fuse(fuse);
    builder.build(world, schedule).expect("the schedule is sound")
}

#[test]
fn changed_rows_are_those_that_a_kernel_changed() {
    for (fuse, publish_every, workers) in [
        (true, 1, Workers::Local),
        (false, 1, Workers::Threads(2)),
        (true, 5, Workers::Threads(2)),
        (false, 4, Workers::Local),
    ] {
        let mut simulation = heated(fuse, publish_every, workers);
        let mut counts = Vec::new();
        for _ in 0..5 {
            simulation.step(0.1).expect("nothing fails");
            counts.push(simulation.world().count::<Changed<Heat>>().expect("it is tracked"));
        }
        // all are new, before the first frame; rows 10 in every frame; 999 once, of the toggled ones; 500 in frame 2
        assert_eq!(counts, [2000, 5, 4, 2, 2], "{fuse} {publish_every} {workers:?}");
    }
}

#[test]
fn a_declared_write_that_nothing_touched_leaves_the_column_alone() {
    for workers in [Workers::Local, Workers::Threads(2)] {
        let mut world = linked_world();
        world.spawn_batch((0..5000).map(|value| Key { value })).expect("there is room");
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<Write<Key>>("idle", |_, _| {}).job_rows(64));
        schedule.add(
            System::rows::<Write<Key>>("some", |job, mut key| {
                if job.frame().is_multiple_of(4) && job.first_row() == 1024 {
                    key.value[0] += 1;
                }
            })
            .job_rows(64)
            .after("idle"),
        );
        let builder = Simulation::builder().workers(workers).fuse(false);
        let mut simulation = builder.build(world, schedule).expect("the schedule is sound");
        let mut reader = simulation.world().reader().expect("there are leases");
        let mut before: Option<u64> = None;
        for frame in 1..=9u64 {
            let report = simulation.step(0.1).expect("nothing fails");
            assert_eq!(report.patches[1].dense_rows, if frame % 4 == 0 { 64 } else { 0 });
            assert_eq!(report.patches[0].dense_rows, 0);
            let snapshot = reader.pin().expect("it is published");
            let table = snapshot.tables().next().expect("there is one");
            if let Some(before) = before {
                let changed = table.changed_since("key.value", before).expect("it is known").expect("it is there");
                let changed: Vec<usize> = changed.iter().collect();
                let expected: &[usize] = if frame % 4 == 0 { &[1] } else { &[] };
                assert_eq!(changed, expected, "chunks that frame {frame} wrote");
            }
            before = Some(snapshot.generation());
            let mut sum = 0u64;
            simulation
                .world()
                .query::<Read<Key>>(|_, key| sum += key.value.iter().map(|value| u64::from(*value)).sum::<u64>())
                .expect("it is known");
            assert_eq!(sum, 5000 * 4999 / 2 + frame / 4, "rows of idle jobs keep their values");
        }
    }
}

#[test]
fn an_edit_is_published_with_the_frame_that_follows() {
    let mut world = linked_world();
    let entity = world.spawn(Key { value: 0 }).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(System::try_rows::<Read<Key>>("fail", |job, _| match job.frame() {
        101 => Err("told to".into()),
        _ => Ok(()),
    }));
    let builder = Simulation::builder().workers(Workers::Local).publish_every(10);
    let mut simulation = builder.build(world, schedule).expect("the schedule is sound");
    for value in 1..=100 {
        let world = simulation.world_mut();
        if value % 3 == 0 {
            world.set(entity, Key { value }).expect("it lives");
        }
        simulation.step(0.1).expect("nothing fails");
    }
    assert_eq!(simulation.world().generation(), 1 + 10, "one to go back to, and every tenth");
    simulation.world_mut().set(entity, Key { value: 1000 }).expect("it lives");
    simulation.step(0.1).expect_err("it was told to fail");
    assert_eq!(simulation.world().get::<Key>(entity).expect("it lives"), Key { value: 99 }, "undone with its frame");
}

#[test]
fn an_empty_world_starts() {
    for workers in [Workers::Local, Workers::Threads(2)] {
        for fuse in [true, false] {
            let mut schedule = Schedule::new();
            schedule.add(
                System::once("start", |job| {
                    job.spawn(Key { value: 1 });
                })
                .spawns::<Key>()
                .stage("startup"),
            );
            schedule.add(
                System::rows::<()>("rows", |job, ()| {
                    if job.is_empty() {
                        job.spawn(Key { value: 2 });
                    }
                })
                .spawns::<Key>()
                .stage("startup"),
            );
            schedule.add(System::rows::<Write<Key>>("none", |_, _| unreachable!("no row matches")).stage("startup"));
            schedule.add(
                System::once("each frame", |job| {
                    assert!(job.is_empty() && job.entities().is_empty());
                    job.spawn(Key { value: 10 });
                    if job.frame() == 2 {
                        job.set_resource(Best { who: Entity::NULL });
                    }
                })
                .spawns::<Key>()
                .sets_resource::<Best>(),
            );
            let builder = Simulation::builder().workers(workers).fuse(fuse);
            let mut simulation = builder.build(linked_world(), schedule).expect("the schedule is sound");
            simulation.step(0.0).expect("nothing fails");
            assert_eq!(keys(simulation.world()), [1, 2, 10]);
            simulation.step(0.1).expect("nothing fails");
            assert_eq!(keys(simulation.world()), [1, 2, 10, 10], "startup is over");
            assert!(simulation.world().resource::<Best>().is_ok());
            // another simulation of the same world has no other start
            let mut schedule = Schedule::new();
            schedule.add(System::once("start", |_| unreachable!("it has begun")).stage("startup"));
            let mut simulation =
                Simulation::new(simulation.into_world(), schedule, workers).expect("the schedule is sound");
            simulation.step(0.1).expect("nothing fails");
            assert_eq!((simulation.world().frame(), keys(simulation.world()).len()), (3, 4));
        }
    }
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Secret {
    text: u64,
}

#[test]
fn rows_without_a_toggle_hold_nothing_of_rows_or_worlds_that_are_gone() {
    let make = || World::builder().component::<Key>().component::<Secret>().bytes_max(1 << 24).build();
    for _ in 0..2 {
        // the second world's memory was the first one's
        let mut world = make().expect("the layout is valid");
        let secret = |value| (Key { value }, Secret { text: u64::MAX });
        let old = world.spawn_batch((0..500).map(secret)).expect("there is room");
        world.publish().expect("there is room");
        for entity in &old[3..] {
            world.despawn(*entity).expect("it lives");
        }
        world.publish().expect("there is room");
        let new = world.spawn_batch((0..200).map(|value| Key { value })).expect("there is room");
        world.spawn(Key { value: 1 }).expect("there is room");
        let mut schedule = Schedule::new();
        schedule.add(System::rows::<With<Secret>>("spawn", |job, ()| {
            for value in 0..50 {
                job.spawn((Key { value },));
            }
        }));
        let mut simulation = simulation(world, schedule);
        simulation.step(1.0).expect("nothing fails");
        let world = simulation.world();
        assert!(!world.has::<Secret>(new[0]));
        for table in 0..world.table_count() {
            let Ok(Some((_, bytes))) = world.table_column(table, "secret.text") else { continue };
            let kept = bytes.chunks(8).filter(|value| **value != [0; 8]).count();
            assert_eq!(kept, 3, "in table {table} of {} rows", world.table_rows(table));
        }
    }
}
