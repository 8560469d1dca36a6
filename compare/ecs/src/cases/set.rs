//! A component of a million entities is set: recorded first and applied later, and at once; in order and at random.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use bevy_ecs::world::CommandQueue;
use flecs_ecs::prelude::{self as flecs, QueryAPI};
use hypostyle::{Component, Entity, Read, Schedule, Simulation, System, With, Workers, World};
use shipyard::{IntoIter as _, View, ViewMut};

use crate::checksum::Checksum;
use crate::components::A;
use crate::measure::{Bench, Field, Mismatch};
use crate::support::{flecs_bulk, shuffled, simulation, step, workers};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

/// Whom to change.
#[derive(Clone, Copy, Component)]
struct Target {
    entity: Entity,
    value: f32,
}

fn a(index: usize) -> (A,) {
    (A { value: index as f32 },)
}

/// The new value of the entity with this index.
fn value(index: u32) -> f32 {
    index as f32 * 2.0 + 1.0
}

/// All comparisons.
pub fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    let cores = bench.options.cores;
    for n in bench.sizes(&[1_000_000], &[1_000]) {
        for (name, order) in [("in order", (0..n as u32).collect()), ("at random", shuffled(n))] {
            if let Some(mut field) = bench.field("set", &format!("through commands, {name}"), n) {
                if name == "in order" {
                    ours_own_rows(&mut field, n, Workers::Local, "patches on own rows");
                }
                ours_by_handle(&mut field, n, &order, Workers::Local, "patches by handle");
                ours_by_handle(&mut field, n, &order, workers(cores), "patches by handle, recorded on all cores");
                commands_of_peers(&mut field, n, &order);
                field.measure()?;
            }
            if let Some(mut field) = bench.field("set", &format!("at once, {name}"), n) {
                at_once(&mut field, n, &order);
                field.measure()?;
            }
        }
    }
    Ok(())
}

fn checksum(values: impl Iterator<Item = f32>) -> u64 {
    let mut sum = Checksum::new();
    values.for_each(|value| sum.add_f32([value]));
    sum.get()
}

fn world(n: usize) -> (World, Vec<Entity>) {
    let builder = World::builder().component::<A>().component::<Target>();
    let mut world = builder.bytes_max((64 << 20) + n as u64 * 256).build().expect("a world can be made");
    let values: Vec<f32> = (0..n).map(|index| a(index).0.value).collect();
    let entities = world.spawn_columns(n).column("a.value", &values).spawn().expect("there is memory");
    (world, entities)
}

fn checksum_of_ours(world: &World) -> u64 {
    let mut values = Vec::new();
    world.query::<Read<A>>(|_, a| values.extend_from_slice(a.value)).expect("a known component");
    checksum(values.into_iter())
}

fn ours_own_rows(field: &mut Field<'_>, n: usize, workers: Workers, variant: &str) {
    let make = || {
        let mut schedule = Schedule::new();
        let system = System::rows::<With<A>>("set", |job, ()| {
            for row in 0..job.len() {
                let index = job.entities()[row].index();
                job.set_row(row, A { value: value(index) });
            }
        });
        schedule.add(system.sets::<A>());
        simulation(world(n).0, schedule, workers, 1)
    };
    field.add(OURS, variant, make, step, |simulation: &mut Simulation| checksum_of_ours(simulation.world()));
}

fn ours_by_handle(field: &mut Field<'_>, n: usize, order: &[u32], workers: Workers, variant: &str) {
    let make = || {
        let (mut world, entities) = world(n);
        let targets: Vec<Entity> = order.iter().map(|index| entities[*index as usize]).collect();
        let values: Vec<f32> = order.iter().map(|index| value(*index)).collect();
        let spawn = world.spawn_columns(n).column("target.entity", &targets).column("target.value", &values);
        spawn.spawn().expect("there is memory");
        let mut schedule = Schedule::new();
        let system = System::rows::<Read<Target>>("set", |job, target| {
            for (entity, value) in target.entity.iter().zip(target.value) {
                job.set(*entity, A { value: *value });
            }
        });
        schedule.add(system.sets::<A>());
        simulation(world, schedule, workers, 1)
    };
    field.add(OURS, variant, make, step, |simulation: &mut Simulation| checksum_of_ours(simulation.world()));
}

/// A world and whom to give which value.
struct State<W, E> {
    world: W,
    targets: Vec<(E, f32)>,
}

fn state<W, E: Copy>(world: W, entities: &[E], order: &[u32]) -> State<W, E> {
    let targets = order.iter().map(|index| (entities[*index as usize], value(*index))).collect();
    State { world, targets }
}

fn bevy_world(n: usize, order: &[u32]) -> State<bevy::World, bevy::Entity> {
    let mut world = bevy::World::new();
    let entities: Vec<_> = world.spawn_batch((0..n).map(a)).collect();
    state(world, &entities, order)
}

fn checksum_of_bevy(state: &mut State<bevy::World, bevy::Entity>) -> u64 {
    checksum(state.world.query::<&A>().iter(&state.world).map(|a| a.value))
}

fn hecs_world(n: usize, order: &[u32]) -> State<hecs::World, hecs::Entity> {
    let mut world = hecs::World::new();
    let entities: Vec<_> = world.spawn_batch((0..n).map(a)).collect();
    state(world, &entities, order)
}

fn checksum_of_hecs(state: &mut State<hecs::World, hecs::Entity>) -> u64 {
    checksum(state.world.query_mut::<&A>().into_iter().map(|a| a.value))
}

fn flecs_world(n: usize, order: &[u32]) -> State<flecs::World, flecs::Entity> {
    let world = flecs::World::new();
    let entities: Vec<flecs::Entity> = flecs_bulk!(world, n, a, 0);
    state(world, &entities, order)
}

fn checksum_of_flecs(state: &mut State<flecs::World, flecs::Entity>) -> u64 {
    let mut values = Vec::new();
    state.world.new_query::<&A>().each(|a| values.push(a.value));
    checksum(values.into_iter())
}

fn shipyard_world(n: usize, order: &[u32]) -> State<shipyard::World, shipyard::EntityId> {
    let mut world = shipyard::World::new();
    let entities: Vec<_> = world.bulk_add_entity((0..n).map(a)).collect();
    state(world, &entities, order)
}

fn shipyard_set(state: &mut State<shipyard::World, shipyard::EntityId>) {
    state.world.run(|mut a: ViewMut<'_, A>| {
        for (entity, value) in &state.targets {
            a[*entity] = A { value: *value };
        }
    });
}

fn checksum_of_shipyard(state: &mut State<shipyard::World, shipyard::EntityId>) -> u64 {
    state.world.run(|a: View<'_, A>| checksum(a.iter().map(|a| a.value)))
}

fn commands_of_peers(field: &mut Field<'_>, n: usize, order: &[u32]) {
    type Bevy = State<(bevy::World, CommandQueue), bevy::Entity>;
    let make = || {
        let State { world, targets } = bevy_world(n, order);
        State { world: (world, CommandQueue::default()), targets }
    };
    let each = |State { world: (world, queue), targets }: &mut Bevy| {
        let mut commands = bevy::Commands::new(queue, world);
        for (entity, value) in targets.iter() {
            commands.entity(*entity).insert(A { value: *value });
        }
        queue.apply(world);
    };
    let batch = |State { world: (world, queue), targets }: &mut Bevy| {
        let batch: Vec<_> = targets.iter().map(|(entity, value)| (*entity, A { value: *value })).collect();
        bevy::Commands::new(queue, world).insert_batch(batch);
        queue.apply(world);
    };
    let check = |State { world: (world, _), .. }: &mut Bevy| checksum(world.query::<&A>().iter(world).map(|a| a.value));
    field.add(BEVY, "Commands", make, each, check);
    field.add(BEVY, "Commands, insert_batch", make, batch, check);
    let make = || (hecs_world(n, order), hecs::CommandBuffer::new());
    type Hecs = (State<hecs::World, hecs::Entity>, hecs::CommandBuffer);
    let each = |(state, buffer): &mut Hecs| {
        for (entity, value) in &state.targets {
            buffer.insert_one(*entity, A { value: *value });
        }
        buffer.run_on(&mut state.world);
    };
    field.add(HECS, "CommandBuffer", make, each, |(state, _)| checksum_of_hecs(state));
    let each = |state: &mut State<flecs::World, flecs::Entity>| {
        state.world.defer_begin();
        for (entity, value) in &state.targets {
            state.world.entity_from_id(*entity).set(A { value: *value });
        }
        state.world.defer_end();
    };
    field.add(FLECS, "deferred", || flecs_world(n, order), each, checksum_of_flecs);
}

fn at_once(field: &mut Field<'_>, n: usize, order: &[u32]) {
    let make = || {
        let (world, entities) = world(n);
        state(world, &entities, order)
    };
    let run = |state: &mut State<World, Entity>| {
        for (entity, value) in &state.targets {
            state.world.set(*entity, A { value: *value }).expect("it is alive");
        }
    };
    field.add(OURS, "World::set", make, run, |state| checksum_of_ours(&state.world));
    let run = |state: &mut State<World, Entity>| {
        let mut look = state.world.lookup_mut::<A>().expect("it is declared");
        for (entity, value) in &state.targets {
            look.set(*entity, A { value: *value }).expect("it is alive");
        }
    };
    field.add(OURS, "World::lookup_mut", make, run, |state| checksum_of_ours(&state.world));
    let run = |state: &mut State<bevy::World, bevy::Entity>| {
        let mut query = state.world.query::<&mut A>();
        let mut query = query.query_mut(&mut state.world);
        for (entity, value) in &state.targets {
            query.get_mut(*entity).expect("it is alive").value = *value;
        }
    };
    field.add(BEVY, "Query::get_mut", || bevy_world(n, order), run, checksum_of_bevy);
    let run = |state: &mut State<hecs::World, hecs::Entity>| {
        let mut view = state.world.view_mut::<&mut A>();
        for (entity, value) in &state.targets {
            view.get_mut(*entity).expect("it is alive").value = *value;
        }
    };
    field.add(HECS, "View::get_mut", || hecs_world(n, order), run, checksum_of_hecs);
    let run = |state: &mut State<flecs::World, flecs::Entity>| {
        for (entity, value) in &state.targets {
            state.world.entity_from_id(*entity).set(A { value: *value });
        }
    };
    field.add(FLECS, "set", || flecs_world(n, order), run, checksum_of_flecs);
    field.add(SHIPYARD, "a view", || shipyard_world(n, order), shipyard_set, checksum_of_shipyard);
}
