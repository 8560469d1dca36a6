//! A million entities of three components are spawned, into a new world and into a warm one, and despawned: one by one
//! in order and at random, and all at once.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, ComponentId, QueryAPI};
use hypostyle::{Entity, Read, Schedule, Simulation, System, With, Workers, World};
use shipyard::{IntoIter as _, View};

use crate::checksum::Checksum;
use crate::components::{Health, Position, Velocity};
use crate::measure::{Bench, Field, Mismatch};
use crate::support::{shuffled, simulation, step};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

/// Whom to despawn.
#[derive(Clone, Copy, hypostyle::Component)]
struct Target {
    entity: Entity,
}

fn entity(index: usize) -> (Position, Velocity, Health) {
    let x = index as f32;
    (Position { x, y: 1.0, z: -x }, Velocity { x: 0.5, y: x, z: 0.0 }, Health { points: 100.0 + x })
}

fn add(sum: &mut Checksum, p: &Position, v: &Velocity, h: &Health) {
    sum.add_f32([p.x, p.y, p.z, v.x, v.y, v.z, h.points]);
}

/// All comparisons.
pub fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[1_000_000], &[1_000]) {
        for cold in [true, false] {
            let case = if cold { "spawn, a new world" } else { "spawn, a warm world" };
            if let Some(mut field) = bench.field("spawn and despawn", case, n) {
                spawn(&mut field, n, cold);
                field.measure()?;
            }
        }
        for (name, order) in [("in order", (0..n as u32).collect()), ("at random", shuffled(n))] {
            if let Some(mut field) = bench.field("spawn and despawn", &format!("despawn one by one, {name}"), n) {
                despawn(&mut field, n, order);
                field.measure()?;
            }
        }
        if let Some(mut field) = bench.field("spawn and despawn", "despawn all at once", n) {
            clear(&mut field, n);
            field.measure()?;
        }
    }
    Ok(())
}

// what engines are given: columns where they take columns, an iterator where they take one

type Columns = [Vec<f32>; 7];

fn columns(n: usize) -> Columns {
    let mut columns: Columns = Default::default();
    for index in 0..n {
        let (p, v, h) = entity(index);
        let values = [p.x, p.y, p.z, v.x, v.y, v.z, h.points];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    columns
}

const NAMES: [&str; 7] =
    ["position.x", "position.y", "position.z", "velocity.x", "velocity.y", "velocity.z", "health.points"];

fn empty(n: usize) -> World {
    World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .component::<Health>()
        .component::<Target>()
        .bytes_max((64 << 20) + n as u64 * 384)
        .build()
        .expect("a world can be made")
}

fn fill(world: &mut World, columns: &Columns) -> Vec<Entity> {
    let spawn = world.spawn_columns(columns[0].len());
    let spawn = NAMES.iter().zip(columns).fold(spawn, |spawn, (name, column)| spawn.column(name, column));
    spawn.spawn().expect("there is memory")
}

fn checksum_of_ours(world: &World) -> u64 {
    let mut sum = Checksum::new();
    let query = world.query::<(Read<Position>, Read<Velocity>, Read<Health>)>(|_, (p, v, h)| {
        for row in 0..p.x.len() {
            sum.add_f32([p.x[row], p.y[row], p.z[row], v.x[row], v.y[row], v.z[row], h.points[row]]);
        }
    });
    query.expect("known components");
    sum.get()
}

type Slices = (Vec<Position>, Vec<Velocity>, Vec<Health>);

fn slices(n: usize) -> Slices {
    let mut slices: Slices = Default::default();
    for index in 0..n {
        let (p, v, h) = entity(index);
        slices.0.push(p);
        slices.1.push(v);
        slices.2.push(h);
    }
    slices
}

fn bevy_fill(world: &mut bevy::World, n: usize) -> Vec<bevy::Entity> {
    world.spawn_batch((0..n).map(entity)).collect()
}

fn checksum_of_bevy(world: &mut bevy::World) -> u64 {
    let mut sum = Checksum::new();
    let mut query = world.query::<(&Position, &Velocity, &Health)>();
    query.iter(world).for_each(|(p, v, h)| add(&mut sum, p, v, h));
    sum.get()
}

fn hecs_fill(world: &mut hecs::World, n: usize) -> Vec<hecs::Entity> {
    world.spawn_batch((0..n).map(entity)).collect()
}

fn checksum_of_hecs(world: &mut hecs::World) -> u64 {
    let mut sum = Checksum::new();
    world.query_mut::<(&Position, &Velocity, &Health)>().into_iter().for_each(|(p, v, h)| add(&mut sum, p, v, h));
    sum.get()
}

fn flecs_fill(world: &flecs::World, slices: &Slices) -> Vec<flecs::Entity> {
    world.entity_bulk(slices.0.len() as u32).set(&slices.0).set(&slices.1).set(&slices.2).build()
}

fn flecs_clear(world: &flecs::World) {
    world.delete_entities_with(Position::id());
}

fn checksum_of_flecs(world: &flecs::World) -> u64 {
    let mut sum = Checksum::new();
    world.new_query::<(&Position, &Velocity, &Health)>().each(|(p, v, h)| add(&mut sum, p, v, h));
    sum.get()
}

fn shipyard_fill(world: &mut shipyard::World, n: usize) -> Vec<shipyard::EntityId> {
    world.bulk_add_entity((0..n).map(entity)).collect()
}

fn checksum_of_shipyard(world: &shipyard::World) -> u64 {
    let mut sum = Checksum::new();
    world.run(|p: View<'_, Position>, v: View<'_, Velocity>, h: View<'_, Health>| {
        (&p, &v, &h).iter().for_each(|(p, v, h)| add(&mut sum, p, v, h));
    });
    sum.get()
}

fn spawn(field: &mut Field<'_>, n: usize, cold: bool) {
    // hypostyle
    let prepare = move |state: &mut (World, Columns)| {
        if cold {
            state.0 = empty(1);
        } else {
            state.0.despawn_where::<()>().expect("there is memory");
        }
    };
    let run = move |state: &mut (World, Columns)| {
        if cold {
            state.0 = empty(n);
        }
        fill(&mut state.0, &state.1);
    };
    let make = || (empty(n), columns(n));
    field.add_prepared(OURS, "spawn_columns", make, prepare, run, |state| checksum_of_ours(&state.0));
    let run = move |state: &mut (World, Columns)| {
        if cold {
            state.0 = empty(n);
        }
        state.0.spawn_batch((0..n).map(entity)).expect("there is memory");
    };
    let make = || (empty(n), Columns::default());
    field.add_prepared(OURS, "spawn_batch", make, prepare, run, |state| checksum_of_ours(&state.0));
    // bevy_ecs
    let prepare = move |world: &mut bevy::World| {
        if cold {
            *world = bevy::World::new();
        } else {
            world.clear_entities();
        }
    };
    let run = move |world: &mut bevy::World| drop(bevy_fill(world, n));
    field.add_prepared(BEVY, "spawn_batch", bevy::World::new, prepare, run, checksum_of_bevy);
    // hecs
    let prepare = move |world: &mut hecs::World| {
        if cold {
            *world = hecs::World::new();
        } else {
            world.clear();
        }
    };
    let run = move |world: &mut hecs::World| drop(hecs_fill(world, n));
    field.add_prepared(HECS, "spawn_batch", hecs::World::new, prepare, run, checksum_of_hecs);
    let run = move |world: &mut hecs::World| {
        let mut types = hecs::ColumnBatchType::new();
        types.add_bundle::<(Position, Velocity, Health)>();
        let batch = types.into_batch(n as u32);
        {
            let mut p = batch.writer::<Position>().expect("it is in the batch");
            let mut v = batch.writer::<Velocity>().expect("it is in the batch");
            let mut h = batch.writer::<Health>().expect("it is in the batch");
            for index in 0..n {
                let entity = entity(index);
                p.push(entity.0).expect("there is room");
                v.push(entity.1).expect("there is room");
                h.push(entity.2).expect("there is room");
            }
        }
        world.spawn_column_batch(batch.build().expect("all columns are full")).for_each(drop);
    };
    field.add_prepared(HECS, "spawn_column_batch", hecs::World::new, prepare, run, checksum_of_hecs);
    // flecs
    let prepare = move |state: &mut (flecs::World, Slices)| {
        if cold {
            state.0 = flecs::World::new();
        } else {
            flecs_clear(&state.0);
        }
    };
    let run = |state: &mut (flecs::World, Slices)| drop(flecs_fill(&state.0, &state.1));
    let make = || (flecs::World::new(), slices(n));
    field.add_prepared(FLECS, "bulk", make, prepare, run, |state| checksum_of_flecs(&state.0));
    // shipyard
    let prepare = move |world: &mut shipyard::World| {
        if cold {
            *world = shipyard::World::new();
        } else {
            world.clear();
        }
    };
    let run = move |world: &mut shipyard::World| drop(shipyard_fill(world, n));
    field.add_prepared(SHIPYARD, "bulk_add_entity", shipyard::World::new, prepare, run, |world| {
        checksum_of_shipyard(world)
    });
}

/// A world, and whom to despawn in which order.
struct Doomed<W, E> {
    world: W,
    order: Vec<u32>,
    entities: Vec<E>,
}

impl<W, E: Copy> Doomed<W, E> {
    fn new(world: W, order: &[u32]) -> Self {
        Doomed { world, order: order.to_vec(), entities: Vec::new() }
    }

    /// New entities, in the order of their end.
    fn doom(&mut self, entities: &[E]) {
        self.entities = self.order.iter().map(|index| entities[*index as usize]).collect();
    }
}

fn despawn(field: &mut Field<'_>, n: usize, order: Vec<u32>) {
    let order = &order[..];
    // hypostyle: by patches, from a job over the entities that name them
    let make = || {
        let mut schedule = Schedule::new();
        let system = System::rows::<Read<Target>>("despawn", |job, target| {
            target.entity.iter().for_each(|entity| job.despawn(*entity));
        });
        schedule.add(system.despawns());
        (Doomed::new(simulation(empty(n), schedule, Workers::Local, 1), order), columns(n))
    };
    let prepare = |(doomed, columns): &mut (Doomed<Simulation, Entity>, Columns)| {
        let world = doomed.world.world_mut();
        world.despawn_where::<()>().expect("there is memory");
        let entities = fill(world, columns);
        let targets: Vec<Entity> = doomed.order.iter().map(|index| entities[*index as usize]).collect();
        world.spawn_columns(targets.len()).column("target.entity", &targets).spawn().expect("there is memory");
        world.publish().expect("there is memory");
    };
    let run = |(doomed, _): &mut (Doomed<Simulation, Entity>, Columns)| step(&mut doomed.world);
    let check = |(doomed, _): &mut (Doomed<Simulation, Entity>, Columns)| {
        let world = doomed.world.world_mut();
        world.despawn_where::<With<Target>>().expect("there is memory");
        world.entity_count()
    };
    field.add_prepared(OURS, "patches by handle", make, prepare, run, check);
    if order.is_sorted() {
        let make = || {
            let mut schedule = Schedule::new();
            let system = System::rows::<With<Position>>("despawn", |job, ()| {
                (0..job.len()).for_each(|row| job.despawn_row(row));
            });
            schedule.add(system.despawns());
            (simulation(empty(n), schedule, Workers::Local, 1), columns(n))
        };
        let prepare = |(simulation, columns): &mut (Simulation, Columns)| {
            fill(simulation.world_mut(), columns);
            simulation.world_mut().publish().expect("there is memory");
        };
        let run = |(simulation, _): &mut (Simulation, Columns)| step(simulation);
        field.add_prepared(OURS, "patches on own rows", make, prepare, run, |state| state.0.world().entity_count());
    }
    let make = || (Doomed::new(empty(n), order), columns(n));
    let prepare = |(doomed, columns): &mut (Doomed<World, Entity>, Columns)| {
        let entities = fill(&mut doomed.world, columns);
        doomed.doom(&entities);
    };
    let run = |(doomed, _): &mut (Doomed<World, Entity>, Columns)| {
        for entity in &doomed.entities {
            doomed.world.despawn(*entity).expect("it is alive");
        }
    };
    field.add_prepared(OURS, "World::despawn", make, prepare, run, |state| state.0.world.entity_count());
    // bevy_ecs
    type Bevy = Doomed<bevy::World, bevy::Entity>;
    let prepare = move |doomed: &mut Bevy| {
        let entities = bevy_fill(&mut doomed.world, n);
        doomed.doom(&entities);
    };
    let run = |doomed: &mut Bevy| {
        for entity in &doomed.entities {
            doomed.world.despawn(*entity);
        }
    };
    let check = |doomed: &mut Bevy| doomed.world.query::<&Position>().iter(&doomed.world).count() as u64;
    field.add_prepared(BEVY, "despawn", || Doomed::new(bevy::World::new(), order), prepare, run, check);
    // hecs
    type Hecs = Doomed<hecs::World, hecs::Entity>;
    let prepare = move |doomed: &mut Hecs| {
        let entities = hecs_fill(&mut doomed.world, n);
        doomed.doom(&entities);
    };
    let run = |doomed: &mut Hecs| {
        for entity in &doomed.entities {
            doomed.world.despawn(*entity).expect("it is alive");
        }
    };
    let check = |doomed: &mut Hecs| u64::from(doomed.world.len());
    field.add_prepared(HECS, "despawn", || Doomed::new(hecs::World::new(), order), prepare, run, check);
    // flecs
    type Flecs = (Doomed<flecs::World, flecs::Entity>, Slices);
    let make = || (Doomed::new(flecs::World::new(), order), slices(n));
    let prepare = |(doomed, slices): &mut Flecs| {
        let entities = flecs_fill(&doomed.world, slices);
        doomed.doom(&entities);
    };
    let run = |(doomed, _): &mut Flecs| {
        for entity in &doomed.entities {
            doomed.world.entity_from_id(*entity).destruct();
        }
    };
    let check = |(doomed, _): &mut Flecs| {
        let mut count = 0;
        doomed.world.new_query::<&Position>().each(|_| count += 1);
        count
    };
    field.add_prepared(FLECS, "destruct", make, prepare, run, check);
    // shipyard
    type Shipyard = Doomed<shipyard::World, shipyard::EntityId>;
    let prepare = move |doomed: &mut Shipyard| {
        let entities = shipyard_fill(&mut doomed.world, n);
        doomed.doom(&entities);
    };
    let run = |doomed: &mut Shipyard| {
        for entity in &doomed.entities {
            doomed.world.delete_entity(*entity);
        }
    };
    let known = |doomed: &mut Shipyard| {
        use shipyard::{Delete as _, EntitiesViewMut, ViewMut};
        doomed.world.run(
            |mut all: EntitiesViewMut<'_>,
             mut p: ViewMut<'_, Position>,
             mut v: ViewMut<'_, Velocity>,
             mut h: ViewMut<'_, Health>| {
                for entity in &doomed.entities {
                    (&mut p, &mut v, &mut h).delete(*entity);
                    all.delete_unchecked(*entity);
                }
            },
        );
    };
    let check = |doomed: &mut Shipyard| doomed.world.run(|p: View<'_, Position>| p.len() as u64);
    let make = || Doomed::new(shipyard::World::new(), order);
    field.add_prepared(SHIPYARD, "delete_entity", make, prepare, run, check);
    field.add_prepared(SHIPYARD, "delete from known storages, delete_unchecked", make, prepare, known, check);
}

fn clear(field: &mut Field<'_>, n: usize) {
    let make = || (empty(n), columns(n));
    let prepare = |(world, columns): &mut (World, Columns)| drop(fill(world, columns));
    let run = |(world, _): &mut (World, Columns)| {
        world.despawn_where::<With<Position>>().expect("there is memory");
    };
    field.add_prepared(OURS, "despawn_where", make, prepare, run, |(world, _)| world.entity_count());
    let prepare = move |world: &mut bevy::World| drop(bevy_fill(world, n));
    let check = |world: &mut bevy::World| world.query::<&Position>().iter(world).count() as u64;
    field.add_prepared(BEVY, "clear_entities", bevy::World::new, prepare, bevy::World::clear_entities, check);
    let prepare = move |world: &mut hecs::World| drop(hecs_fill(world, n));
    field.add_prepared(HECS, "clear", hecs::World::new, prepare, hecs::World::clear, |world| u64::from(world.len()));
    let prepare = |(world, slices): &mut (flecs::World, Slices)| drop(flecs_fill(world, slices));
    let check = |(world, _): &mut (flecs::World, Slices)| {
        let mut count = 0;
        world.new_query::<&Position>().each(|_| count += 1);
        count
    };
    let run = |(world, _): &mut (flecs::World, Slices)| flecs_clear(world);
    field.add_prepared(FLECS, "delete_entities_with", || (flecs::World::new(), slices(n)), prepare, run, check);
    let prepare = move |world: &mut shipyard::World| drop(shipyard_fill(world, n));
    let check = |world: &mut shipyard::World| world.run(|p: View<'_, Position>| p.len() as u64);
    field.add_prepared(SHIPYARD, "clear", shipyard::World::new, prepare, shipyard::World::clear, check);
}
