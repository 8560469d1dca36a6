//! add_remove: 10,000 entities with A; add B to all, then remove B from all.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, Builder, ComponentId, QueryAPI, QueryBuilderImpl};
use hypostyle::{Component, Entity, Read, Schedule, Simulation, System, With, Workers, World};
use shipyard::{Delete as _, EntitiesView, IntoIter as _, View, ViewMut};

use crate::checksum::Checksum;
use crate::components::{A, B};
use crate::measure::{Bench, Field, Mismatch};
use crate::support::{flecs_bulk, simulation, step};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

/// As B, but its presence is a bit.
#[derive(Clone, Copy, Component)]
#[component(storage = "toggle")]
struct Toggled {
    value: f32,
}

const VALUE: f32 = 2.0;

fn a(index: usize) -> (A,) {
    (A { value: index as f32 },)
}

pub(super) fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[10_000], &[100]) {
        let Some(mut field) = bench.field("ecs_bench_suite", "add_remove", n) else { continue };
        field.repeats_quick_or(1, 3);
        ours(&mut field, n);
        bevy(&mut field, n);
        hecs(&mut field, n);
        flecs(&mut field, n);
        shipyard(&mut field, n);
        field.measure()?;
    }
    Ok(())
}

/// The values of A, and how many B there are.
fn checksum(a: impl Iterator<Item = f32>, b: usize) -> u64 {
    let mut sum = Checksum::new();
    a.for_each(|a| sum.add_f32([a]));
    sum.add([b as u32]);
    sum.get()
}

fn world(n: usize) -> (World, Vec<Entity>) {
    let builder = World::builder().component::<A>().component::<B>().component::<Toggled>();
    let mut world = builder.build().expect("a world can be made");
    let values: Vec<f32> = (0..n).map(|index| a(index).0.value).collect();
    let entities = world.spawn_columns(n).column("a.value", &values).spawn().expect("there is memory");
    (world, entities)
}

fn checksum_of_ours(world: &World) -> u64 {
    let mut values = Vec::new();
    world.query::<Read<A>>(|_, a| values.extend_from_slice(a.value)).expect("a known component");
    let count = world.count::<With<B>>().and_then(|b| Ok(b + world.count::<With<Toggled>>()?));
    checksum(values.into_iter(), count.expect("known components") as usize)
}

fn ours(field: &mut Field<'_>, n: usize) {
    let make = || world(n);
    let check = |(world, _): &mut (World, Vec<Entity>)| checksum_of_ours(world);
    let query = |(world, _): &mut (World, Vec<Entity>)| {
        world.add_where::<With<A>, _>(B { value: VALUE }).expect("there is memory");
        world.remove_where::<With<A>, B>().expect("there is memory");
    };
    field.add(OURS, "by query: add_where, remove_where", make, query, check);
    let query = |(world, _): &mut (World, Vec<Entity>)| {
        world.add_where::<With<A>, _>(Toggled { value: VALUE }).expect("there is memory");
        world.remove_where::<With<A>, Toggled>().expect("there is memory");
    };
    field.add(OURS, "a toggle, by query", make, query, check);
    let each = |(world, entities): &mut (World, Vec<Entity>)| {
        for entity in entities.iter() {
            world.add(*entity, B { value: VALUE }).expect("it is alive");
        }
        for entity in entities.iter() {
            world.remove::<B>(*entity).expect("it is alive");
        }
    };
    field.add(OURS, "World::add and remove, each entity", make, each, check);
    let each = |(world, entities): &mut (World, Vec<Entity>)| {
        for entity in entities.iter() {
            world.add(*entity, Toggled { value: VALUE }).expect("it is alive");
        }
        for entity in entities.iter() {
            world.remove::<Toggled>(*entity).expect("it is alive");
        }
    };
    field.add(OURS, "a toggle, World::add and remove, each entity", make, each, check);
    let make = || {
        let mut schedule = Schedule::new();
        let add = System::rows::<With<A>>("add", |job, ()| {
            (0..job.len()).for_each(|row| job.add_row(row, B { value: VALUE }));
        });
        let remove = System::rows::<With<B>>("remove", |job, ()| {
            (0..job.len()).for_each(|row| job.remove_row::<B>(row));
        });
        schedule.add(add.adds::<B>()).add(remove.removes::<B>().stage("late"));
        simulation(world(n).0, schedule, Workers::Local, 10)
    };
    let check = |simulation: &mut Simulation| checksum_of_ours(simulation.world());
    field.add(OURS, "patches of each row, two batches of a frame", make, step, check);
    let make = || {
        let mut schedule = Schedule::new();
        let add = System::rows::<With<A>>("add", |job, ()| {
            (0..job.len()).for_each(|row| job.add_row(row, Toggled { value: VALUE }));
        });
        let remove = System::rows::<With<Toggled>>("remove", |job, ()| {
            (0..job.len()).for_each(|row| job.remove_row::<Toggled>(row));
        });
        schedule.add(add.adds::<Toggled>()).add(remove.removes::<Toggled>().stage("late"));
        simulation(world(n).0, schedule, Workers::Local, 10)
    };
    field.add(OURS, "a toggle, patches of each row", make, step, check);
}

fn bevy(field: &mut Field<'_>, n: usize) {
    type State = (bevy::World, Vec<bevy::Entity>);
    let make = || {
        let mut world = bevy::World::new();
        let entities = world.spawn_batch((0..n).map(a)).collect();
        (world, entities)
    };
    let each = |(world, entities): &mut State| {
        for entity in entities.iter() {
            world.entity_mut(*entity).insert(B { value: VALUE });
        }
        for entity in entities.iter() {
            world.entity_mut(*entity).remove::<B>();
        }
    };
    let batch = |(world, entities): &mut State| {
        world.insert_batch(entities.iter().map(|entity| (*entity, B { value: VALUE })));
        for entity in entities.iter() {
            world.entity_mut(*entity).remove::<B>();
        }
    };
    let check = |(world, _): &mut State| {
        let b = world.query::<&B>().iter(world).count();
        checksum(world.query::<&A>().iter(world).map(|a| a.value), b)
    };
    field.add(BEVY, "insert and remove", make, each, check);
    field.add(BEVY, "insert_batch and remove", make, batch, check);
}

fn hecs(field: &mut Field<'_>, n: usize) {
    type State = (hecs::World, Vec<hecs::Entity>);
    let make = || {
        let mut world = hecs::World::new();
        let entities = world.spawn_batch((0..n).map(a)).collect();
        (world, entities)
    };
    let each = |(world, entities): &mut State| {
        for entity in entities.iter() {
            world.insert_one(*entity, B { value: VALUE }).expect("it is alive");
        }
        for entity in entities.iter() {
            world.remove_one::<B>(*entity).expect("it has one");
        }
    };
    let check = |(world, _): &mut State| {
        let b = world.query_mut::<&B>().into_iter().count();
        checksum(world.query_mut::<&A>().into_iter().map(|a| a.value), b)
    };
    field.add(HECS, "insert_one and remove_one", make, each, check);
}

fn flecs(field: &mut Field<'_>, n: usize) {
    type State = (flecs::World, Vec<flecs::Entity>);
    let make = || {
        let world = flecs::World::new();
        let entities = flecs_bulk!(world, n, a, 0);
        (world, entities)
    };
    let each = |(world, entities): &mut State| {
        for entity in entities.iter() {
            world.entity_from_id(*entity).set(B { value: VALUE });
        }
        for entity in entities.iter() {
            world.entity_from_id(*entity).remove(B::id());
        }
    };
    let all = |(world, entities): &mut State| {
        for entity in entities.iter() {
            world.entity_from_id(*entity).set(B { value: VALUE });
        }
        world.remove_all(B::id());
    };
    let check = |(world, _): &mut State| {
        let (mut values, mut b) = (Vec::new(), 0);
        world.new_query::<&A>().each(|a| values.push(a.value));
        world.query::<&B>().set_cached().build().each(|_| b += 1);
        checksum(values.into_iter(), b)
    };
    field.add(FLECS, "set and remove", make, each, check);
    field.add(FLECS, "set and remove_all", make, all, check);
}

fn shipyard(field: &mut Field<'_>, n: usize) {
    type State = (shipyard::World, Vec<shipyard::EntityId>);
    let make = || {
        let mut world = shipyard::World::new();
        let entities = world.bulk_add_entity((0..n).map(a)).collect();
        (world, entities)
    };
    let each = |(world, entities): &mut State| {
        world.run(|alive: EntitiesView<'_>, mut b: ViewMut<'_, B>| {
            for entity in entities.iter() {
                alive.add_component(*entity, &mut b, B { value: VALUE });
            }
        });
        world.run(|mut b: ViewMut<'_, B>| {
            for entity in entities.iter() {
                b.delete(*entity);
            }
        });
    };
    let clear = |(world, entities): &mut State| {
        world.run(|alive: EntitiesView<'_>, mut b: ViewMut<'_, B>| {
            for entity in entities.iter() {
                alive.add_component(*entity, &mut b, B { value: VALUE });
            }
        });
        world.run(|mut b: ViewMut<'_, B>| b.clear());
    };
    let check = |(world, _): &mut State| {
        world.run(|a: View<'_, A>, b: View<'_, B>| checksum(a.iter().map(|a| a.value), b.len()))
    };
    field.add(SHIPYARD, "add_component and delete", make, each, check);
    field.add(SHIPYARD, "add_component and clear", make, clear, check);
}
