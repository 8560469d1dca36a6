//! simple_insert: a new world, 10,000 entities of four components, and the world's end.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, QueryAPI};
use hypostyle::{Read, World};
use shipyard::{IntoIter as _, View};

use super::{Entity, IDENTITY, add, entity};
use crate::checksum::Checksum;
use crate::components::{Position, Rotation, Transform, Velocity};
use crate::measure::{Bench, Mismatch};
use crate::support::flecs_bulk;
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

pub(super) fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[10_000], &[100]) {
        let Some(mut field) = bench.field("ecs_bench_suite", "simple_insert", n) else { continue };
        field.repeats_for(100.0);
        let batch = move || -> World {
            let mut world = empty();
            world.spawn_batch((0..n).map(entity)).expect("there is memory");
            world
        };
        field.add(OURS, "spawn_batch", || (), move |()| drop(batch()), move |()| ours(batch()));
        field.add(
            OURS,
            "spawn_columns, columns made for it",
            || (),
            move |()| drop(columns(n)),
            move |()| ours(columns(n)),
        );
        field.add(
            BEVY,
            "spawn_batch",
            || (),
            move |()| drop(bevy(n)),
            move |()| {
                let mut world = bevy(n);
                let mut sum = Checksum::new();
                let mut query = world.query::<(&Transform, &Position, &Rotation, &Velocity)>();
                query.iter(&world).for_each(|(t, p, r, v)| add(&mut sum, t, p, r, v));
                sum.get()
            },
        );
        field.add(HECS, "spawn_batch", || (), move |()| drop(hecs(n)), move |()| checksum_of_hecs(hecs(n)));
        field.add(
            HECS,
            "spawn_column_batch",
            || (),
            move |()| drop(hecs_columns(n)),
            move |()| checksum_of_hecs(hecs_columns(n)),
        );
        field.add(
            FLECS,
            "bulk, columns made for it",
            || (),
            move |()| drop(flecs(n)),
            move |()| {
                let mut sum = Checksum::new();
                let world = flecs(n);
                let query = world.new_query::<(&Transform, &Position, &Rotation, &Velocity)>();
                query.each(|(t, p, r, v)| add(&mut sum, t, p, r, v));
                drop(query);
                sum.get()
            },
        );
        field.add(
            SHIPYARD,
            "bulk_add_entity",
            || (),
            move |()| drop(shipyard(n)),
            move |()| {
                let mut sum = Checksum::new();
                shipyard(n).run(
                    |t: View<'_, Transform>, p: View<'_, Position>, r: View<'_, Rotation>, v: View<'_, Velocity>| {
                        (&t, &p, &r, &v).iter().for_each(|(t, p, r, v)| add(&mut sum, t, p, r, v));
                    },
                );
                sum.get()
            },
        );
        field.measure()?;
    }
    Ok(())
}

fn empty() -> World {
    World::builder()
        .component::<Transform>()
        .component::<Position>()
        .component::<Rotation>()
        .component::<Velocity>()
        .build()
        .expect("a world can be made")
}

fn columns(n: usize) -> World {
    let mut world = empty();
    let (m, one, zero) = (vec![IDENTITY; n], vec![1.0f32; n], vec![0.0f32; n]);
    world
        .spawn_columns(n)
        .column("transform.m", &m)
        .column("position.x", &one)
        .column("position.y", &zero)
        .column("position.z", &zero)
        .column("rotation.x", &one)
        .column("rotation.y", &zero)
        .column("rotation.z", &zero)
        .column("velocity.x", &one)
        .column("velocity.y", &zero)
        .column("velocity.z", &zero)
        .spawn()
        .expect("there is memory");
    world
}

fn ours(world: World) -> u64 {
    super::serialize::checksum(&world)
}

fn bevy(n: usize) -> bevy::World {
    let mut world = bevy::World::new();
    world.spawn_batch((0..n).map(entity));
    world
}

fn hecs(n: usize) -> hecs::World {
    let mut world = hecs::World::new();
    world.spawn_batch((0..n).map(entity));
    world
}

fn hecs_columns(n: usize) -> hecs::World {
    let mut types = hecs::ColumnBatchType::new();
    types.add_bundle::<Entity>();
    let batch = types.into_batch(n as u32);
    {
        let mut t = batch.writer::<Transform>().expect("it is in the batch");
        let mut p = batch.writer::<Position>().expect("it is in the batch");
        let mut r = batch.writer::<Rotation>().expect("it is in the batch");
        let mut v = batch.writer::<Velocity>().expect("it is in the batch");
        for index in 0..n {
            let entity = entity(index);
            t.push(entity.0).expect("there is room");
            p.push(entity.1).expect("there is room");
            r.push(entity.2).expect("there is room");
            v.push(entity.3).expect("there is room");
        }
    }
    let mut world = hecs::World::new();
    world.spawn_column_batch(batch.build().expect("all columns are full"));
    world
}

fn checksum_of_hecs(mut world: hecs::World) -> u64 {
    let mut sum = Checksum::new();
    let query = world.query_mut::<(&Transform, &Position, &Rotation, &Velocity)>();
    query.into_iter().for_each(|(t, p, r, v)| add(&mut sum, t, p, r, v));
    sum.get()
}

fn flecs(n: usize) -> flecs::World {
    let world = flecs::World::new();
    flecs_bulk!(world, n, entity, 0, 1, 2, 3);
    world
}

fn shipyard(n: usize) -> shipyard::World {
    let mut world = shipyard::World::new();
    world.bulk_add_entity((0..n).map(entity));
    world
}

/// A world of ours with the suite's entities.
pub(super) fn world(n: usize) -> World {
    columns(n)
}

/// The values of an entity of ours.
pub(super) type All = (Read<Transform>, Read<Position>, Read<Rotation>, Read<Velocity>);
