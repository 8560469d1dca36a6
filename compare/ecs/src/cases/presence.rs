//! A component is added to a million entities, or removed from them: by query, and entity by entity through what each
//! engine has for changes that are recorded first and applied later.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use bevy_ecs::world::CommandQueue;
use flecs_ecs::prelude::{self as flecs, ComponentId, QueryAPI};
use hypostyle::{Component, Entity, Read, Schedule, Simulation, System, With, Workers, World};
use shipyard::{Delete as _, EntitiesView, IntoIter as _, View, ViewMut};

use crate::checksum::Checksum;
use crate::components::{A, B};
use crate::measure::{Bench, Field, Mismatch};
use crate::support::{flecs_bulk, shuffled, simulation, step};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

/// As B, but its presence is a bit.
#[derive(Clone, Copy, Component)]
#[component(storage = "toggle")]
struct Toggled {
    value: f32,
}

/// Whom to change.
#[derive(Clone, Copy, Component)]
struct Target {
    entity: Entity,
}

const VALUE: f32 = 2.0;

fn a(index: usize) -> (A,) {
    (A { value: index as f32 },)
}

/// What is timed.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Add,
    Remove,
}

/// All comparisons.
pub fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[1_000_000], &[1_000]) {
        for (case, change) in [("add to all by query", Change::Add), ("remove from all by query", Change::Remove)] {
            let Some(mut field) = bench.field("structural change", case, n) else { continue };
            ours_by_query::<B>(&mut field, n, change, "add_where, remove_where");
            ours_by_query::<Toggled>(&mut field, n, change, "a toggle");
            bevy_batch(&mut field, n, change);
            each_of_peers(&mut field, n, change, &in_order(n));
            if change == Change::Remove {
                remove_all(&mut field, n);
            }
            field.measure()?;
        }
        // commands and single calls
        let orders = [("in order", in_order(n)), ("at random", shuffled(n))];
        for (name, order) in &orders {
            for change in [Change::Add, Change::Remove] {
                let what = if change == Change::Add { "add to" } else { "remove from" };
                let case = format!("{what} each through commands, {name}");
                let Some(mut field) = bench.field("structural change", &case, n) else { continue };
                let own = *name == "in order";
                ours_by_patches::<B>(&mut field, n, change, own.then_some(()).ok_or(order), "patches");
                ours_by_patches::<Toggled>(&mut field, n, change, own.then_some(()).ok_or(order), "patches, a toggle");
                commands_of_peers(&mut field, n, change, order);
                field.measure()?;
            }
            for change in [Change::Add, Change::Remove] {
                let what = if change == Change::Add { "add to" } else { "remove from" };
                let case = format!("{what} each at once, {name}");
                let Some(mut field) = bench.field("structural change", &case, n) else { continue };
                ours_at_once::<B>(&mut field, n, change, order, "World::add, World::remove");
                ours_at_once::<Toggled>(&mut field, n, change, order, "World::add, World::remove, a toggle");
                each_of_peers(&mut field, n, change, order);
                field.measure()?;
            }
        }
    }
    Ok(())
}

fn in_order(n: usize) -> Vec<u32> {
    (0..n as u32).collect()
}

/// The values of A, and those of B.
fn checksum(a: impl Iterator<Item = f32>, b: impl Iterator<Item = f32>) -> u64 {
    let mut sum = Checksum::new();
    a.for_each(|a| sum.add_f32([a]));
    b.for_each(|b| sum.add_f32([b, -1.0]));
    sum.get()
}

// hypostyle

trait Presence: Component {
    fn new() -> Self;
}

impl Presence for B {
    fn new() -> Self {
        B { value: VALUE }
    }
}

impl Presence for Toggled {
    fn new() -> Self {
        Toggled { value: VALUE }
    }
}

fn world(n: usize) -> (World, Vec<Entity>) {
    let builder = World::builder().component::<A>().component::<B>().component::<Toggled>().component::<Target>();
    let mut world = builder.bytes_max((64 << 20) + n as u64 * 256).build().expect("a world can be made");
    let values: Vec<f32> = (0..n).map(|index| a(index).0.value).collect();
    let entities = world.spawn_columns(n).column("a.value", &values).spawn().expect("there is memory");
    (world, entities)
}

fn checksum_of_ours(world: &World) -> u64 {
    let (mut a_values, mut b_values) = (Vec::new(), Vec::new());
    world.query::<Read<A>>(|_, a| a_values.extend_from_slice(a.value)).expect("a known component");
    world.query::<Read<B>>(|_, b| b_values.extend_from_slice(b.value)).expect("a known component");
    world.query::<Read<Toggled>>(|_, b| b_values.extend_from_slice(b.value)).expect("a known component");
    checksum(a_values.into_iter(), b_values.into_iter())
}

fn add_where<C: Presence>(world: &mut World) {
    world.add_where::<With<A>, C>(C::new()).expect("there is memory");
}

fn remove_where<C: Presence>(world: &mut World) {
    world.remove_where::<With<A>, C>().expect("there is memory");
}

fn ours_by_query<C: Presence>(field: &mut Field<'_>, n: usize, change: Change, variant: &str) {
    let make = || world(n).0;
    let check = |world: &mut World| checksum_of_ours(world);
    match change {
        Change::Add => field.add_prepared(OURS, variant, make, remove_where::<C>, add_where::<C>, check),
        Change::Remove => field.add_prepared(OURS, variant, make, add_where::<C>, remove_where::<C>, check),
    };
}

fn ours_at_once<C: Presence>(field: &mut Field<'_>, n: usize, change: Change, order: &[u32], variant: &str) {
    let make = || {
        let (world, entities) = world(n);
        (world, order.iter().map(|index| entities[*index as usize]).collect())
    };
    let add = |(world, entities): &mut (World, Vec<Entity>)| {
        entities.iter().for_each(|entity| world.add(*entity, C::new()).expect("it is alive"));
    };
    let remove = |(world, entities): &mut (World, Vec<Entity>)| {
        for entity in entities.iter() {
            world.remove::<C>(*entity).expect("it is alive");
        }
    };
    let check = |(world, _): &mut (World, Vec<Entity>)| checksum_of_ours(world);
    match change {
        Change::Add => field.add_prepared(OURS, variant, make, |state| remove_where::<C>(&mut state.0), add, check),
        Change::Remove => field.add_prepared(OURS, variant, make, |state| add_where::<C>(&mut state.0), remove, check),
    };
}

/// Own rows, or entities in a given order.
fn ours_by_patches<C: Presence>(
    field: &mut Field<'_>,
    n: usize,
    change: Change,
    order: Result<(), &Vec<u32>>,
    variant: &str,
) {
    let make = || {
        let (mut world, entities) = world(n);
        if let Err(order) = order {
            let targets: Vec<Entity> = order.iter().map(|index| entities[*index as usize]).collect();
            world.spawn_columns(n).column("target.entity", &targets).spawn().expect("there is memory");
        }
        let mut schedule = Schedule::new();
        schedule.add(match (change, order) {
            (Change::Add, Ok(())) => System::rows::<With<A>>("add", |job, ()| {
                (0..job.len()).for_each(|row| job.add_row(row, C::new()));
            })
            .adds::<C>(),
            (Change::Remove, Ok(())) => System::rows::<With<A>>("remove", |job, ()| {
                (0..job.len()).for_each(|row| job.remove_row::<C>(row));
            })
            .removes::<C>(),
            (Change::Add, Err(_)) => System::rows::<Read<Target>>("add", |job, target| {
                target.entity.iter().for_each(|entity| job.add(*entity, C::new()));
            })
            .adds::<C>(),
            (Change::Remove, Err(_)) => System::rows::<Read<Target>>("remove", |job, target| {
                target.entity.iter().for_each(|entity| job.remove::<C>(*entity));
            })
            .removes::<C>(),
        });
        simulation(world, schedule, Workers::Local, 1)
    };
    let prepare = move |simulation: &mut Simulation| {
        let world = simulation.world_mut();
        match change {
            Change::Add => remove_where::<C>(world),
            Change::Remove => add_where::<C>(world),
        }
        world.publish().expect("there is memory");
    };
    let check = |simulation: &mut Simulation| checksum_of_ours(simulation.world());
    field.add_prepared(OURS, variant, make, prepare, step, check);
}

// bevy_ecs

type Bevy = (bevy::World, Vec<bevy::Entity>, CommandQueue);

fn bevy_world(n: usize, order: &[u32]) -> Bevy {
    let mut world = bevy::World::new();
    let entities: Vec<bevy::Entity> = world.spawn_batch((0..n).map(a)).collect();
    (world, order.iter().map(|index| entities[*index as usize]).collect(), CommandQueue::default())
}

fn bevy_add((world, entities, _): &mut Bevy) {
    world.insert_batch(entities.iter().map(|entity| (*entity, B { value: VALUE })));
}

fn bevy_remove((world, entities, _): &mut Bevy) {
    for entity in entities.iter() {
        world.entity_mut(*entity).remove::<B>();
    }
}

fn checksum_of_bevy((world, ..): &mut Bevy) -> u64 {
    let b: Vec<f32> = world.query::<&B>().iter(world).map(|b| b.value).collect();
    checksum(world.query::<&A>().iter(world).map(|a| a.value), b.into_iter())
}

fn bevy_batch(field: &mut Field<'_>, n: usize, change: Change) {
    if change == Change::Add {
        let make = || bevy_world(n, &in_order(n));
        field.add_prepared(BEVY, "insert_batch", make, bevy_remove, bevy_add, checksum_of_bevy);
    }
}

// hecs

type Hecs = (hecs::World, Vec<hecs::Entity>, hecs::CommandBuffer);

fn hecs_world(n: usize, order: &[u32]) -> Hecs {
    let mut world = hecs::World::new();
    let entities: Vec<hecs::Entity> = world.spawn_batch((0..n).map(a)).collect();
    (world, order.iter().map(|index| entities[*index as usize]).collect(), hecs::CommandBuffer::new())
}

fn hecs_add((world, entities, _): &mut Hecs) {
    for entity in entities.iter() {
        world.insert_one(*entity, B { value: VALUE }).expect("it is alive");
    }
}

fn hecs_remove((world, entities, _): &mut Hecs) {
    for entity in entities.iter() {
        // before the first round there is none
        let _ = world.remove_one::<B>(*entity);
    }
}

fn checksum_of_hecs((world, ..): &mut Hecs) -> u64 {
    let b: Vec<f32> = world.query_mut::<&B>().into_iter().map(|b| b.value).collect();
    checksum(world.query_mut::<&A>().into_iter().map(|a| a.value), b.into_iter())
}

// flecs

type Flecs = (flecs::World, Vec<flecs::Entity>);

fn flecs_world(n: usize, order: &[u32]) -> Flecs {
    let world = flecs::World::new();
    let entities: Vec<flecs::Entity> = flecs_bulk!(world, n, a, 0);
    (world, order.iter().map(|index| entities[*index as usize]).collect())
}

fn flecs_add((world, entities): &mut Flecs) {
    for entity in entities.iter() {
        world.entity_from_id(*entity).set(B { value: VALUE });
    }
}

fn flecs_remove((world, entities): &mut Flecs) {
    for entity in entities.iter() {
        world.entity_from_id(*entity).remove(B::id());
    }
}

fn flecs_remove_all((world, _): &mut Flecs) {
    world.remove_all(B::id());
}

fn checksum_of_flecs((world, _): &mut Flecs) -> u64 {
    let (mut a_values, mut b_values) = (Vec::new(), Vec::new());
    world.new_query::<&A>().each(|a| a_values.push(a.value));
    world.new_query::<&B>().each(|b| b_values.push(b.value));
    checksum(a_values.into_iter(), b_values.into_iter())
}

// shipyard

type Shipyard = (shipyard::World, Vec<shipyard::EntityId>);

fn shipyard_world(n: usize, order: &[u32]) -> Shipyard {
    let mut world = shipyard::World::new();
    let entities: Vec<shipyard::EntityId> = world.bulk_add_entity((0..n).map(a)).collect();
    (world, order.iter().map(|index| entities[*index as usize]).collect())
}

fn shipyard_add((world, entities): &mut Shipyard) {
    world.run(|alive: EntitiesView<'_>, mut b: ViewMut<'_, B>| {
        for entity in entities.iter() {
            alive.add_component(*entity, &mut b, B { value: VALUE });
        }
    });
}

fn shipyard_remove((world, entities): &mut Shipyard) {
    world.run(|mut b: ViewMut<'_, B>| {
        for entity in entities.iter() {
            b.delete(*entity);
        }
    });
}

fn shipyard_clear((world, _): &mut Shipyard) {
    world.run(|mut b: ViewMut<'_, B>| b.clear());
}

fn checksum_of_shipyard((world, _): &mut Shipyard) -> u64 {
    world.run(|a: View<'_, A>, b: View<'_, B>| checksum(a.iter().map(|a| a.value), b.iter().map(|b| b.value)))
}

// all peers

/// Each entity at once.
fn each_of_peers(field: &mut Field<'_>, n: usize, change: Change, order: &[u32]) {
    let add = change == Change::Add;
    if add {
        let each = |(world, entities, _): &mut Bevy| {
            for entity in entities.iter() {
                world.entity_mut(*entity).insert(B { value: VALUE });
            }
        };
        field.add_prepared(BEVY, "insert, each", || bevy_world(n, order), bevy_remove, each, checksum_of_bevy);
    } else {
        let make = || bevy_world(n, order);
        field.add_prepared(BEVY, "remove, each", make, bevy_add, bevy_remove, checksum_of_bevy);
    }
    let (prepare, run): (fn(&mut Hecs), fn(&mut Hecs)) =
        if add { (hecs_remove, hecs_add) } else { (hecs_add, hecs_remove) };
    let variant = if add { "insert_one, each" } else { "remove_one, each" };
    field.add_prepared(HECS, variant, || hecs_world(n, order), prepare, run, checksum_of_hecs);
    let (prepare, run): (fn(&mut Flecs), fn(&mut Flecs)) =
        if add { (flecs_remove_all, flecs_add) } else { (flecs_add, flecs_remove) };
    let variant = if add { "set, each" } else { "remove, each" };
    field.add_prepared(FLECS, variant, || flecs_world(n, order), prepare, run, checksum_of_flecs);
    let (prepare, run): (fn(&mut Shipyard), fn(&mut Shipyard)) =
        if add { (shipyard_clear, shipyard_add) } else { (shipyard_add, shipyard_remove) };
    let variant = if add { "add_component, each" } else { "delete, each" };
    field.add_prepared(SHIPYARD, variant, || shipyard_world(n, order), prepare, run, checksum_of_shipyard);
}

/// Calls that remove a component from all entities.
fn remove_all(field: &mut Field<'_>, n: usize) {
    let order = in_order(n);
    let make = || flecs_world(n, &order);
    field.add_prepared(FLECS, "remove_all", make, flecs_add, flecs_remove_all, checksum_of_flecs);
    let make = || shipyard_world(n, &order);
    field.add_prepared(SHIPYARD, "clear", make, shipyard_add, shipyard_clear, checksum_of_shipyard);
}

/// Recorded first, applied later.
fn commands_of_peers(field: &mut Field<'_>, n: usize, change: Change, order: &[u32]) {
    let bevy_add_each = |(world, entities, queue): &mut Bevy| {
        let mut commands = bevy::Commands::new(queue, world);
        for entity in entities.iter() {
            commands.entity(*entity).insert(B { value: VALUE });
        }
        queue.apply(world);
    };
    let bevy_add_batch = |(world, entities, queue): &mut Bevy| {
        let batch: Vec<_> = entities.iter().map(|entity| (*entity, B { value: VALUE })).collect();
        bevy::Commands::new(queue, world).insert_batch(batch);
        queue.apply(world);
    };
    let bevy_remove_each = |(world, entities, queue): &mut Bevy| {
        let mut commands = bevy::Commands::new(queue, world);
        for entity in entities.iter() {
            commands.entity(*entity).remove::<B>();
        }
        queue.apply(world);
    };
    let hecs_add_each = |(world, entities, buffer): &mut Hecs| {
        for entity in entities.iter() {
            buffer.insert_one(*entity, B { value: VALUE });
        }
        buffer.run_on(world);
    };
    let hecs_remove_each = |(world, entities, buffer): &mut Hecs| {
        for entity in entities.iter() {
            buffer.remove_one::<B>(*entity);
        }
        buffer.run_on(world);
    };
    let flecs_add_each = |(world, entities): &mut Flecs| {
        world.defer_begin();
        for entity in entities.iter() {
            world.entity_from_id(*entity).set(B { value: VALUE });
        }
        world.defer_end();
    };
    let flecs_remove_each = |(world, entities): &mut Flecs| {
        world.defer_begin();
        for entity in entities.iter() {
            world.entity_from_id(*entity).remove(B::id());
        }
        world.defer_end();
    };
    let bevy = || bevy_world(n, order);
    let hecs = || hecs_world(n, order);
    let flecs = || flecs_world(n, order);
    match change {
        Change::Add => {
            field.add_prepared(BEVY, "Commands", bevy, bevy_remove, bevy_add_each, checksum_of_bevy);
            field.add_prepared(BEVY, "Commands, insert_batch", bevy, bevy_remove, bevy_add_batch, checksum_of_bevy);
            field.add_prepared(HECS, "CommandBuffer", hecs, hecs_remove, hecs_add_each, checksum_of_hecs);
            field.add_prepared(FLECS, "deferred", flecs, flecs_remove_all, flecs_add_each, checksum_of_flecs);
        }
        Change::Remove => {
            field.add_prepared(BEVY, "Commands", bevy, bevy_add, bevy_remove_each, checksum_of_bevy);
            field.add_prepared(HECS, "CommandBuffer", hecs, hecs_add, hecs_remove_each, checksum_of_hecs);
            field.add_prepared(FLECS, "deferred", flecs, flecs_add, flecs_remove_each, checksum_of_flecs);
        }
    }
}
