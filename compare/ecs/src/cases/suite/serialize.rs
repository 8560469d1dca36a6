//! serialize: 1,000 entities of four components into bytes, and back into a new world.
//!
//! hecs has a serializer of its own (columns, here with bincode). For the others, and for hecs once more, the columns'
//! bytes are copied as they are, and spawned in bulk: no engine could be faster.
#![forbid(unsafe_code)]

use std::any::TypeId;

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, Builder, QueryAPI};
use hecs::serialize::column;
use hypostyle::World;
use shipyard::{IntoIter as _, View};

use super::insert::{self, All};
use super::{Entity, add, entity};
use crate::checksum::Checksum;
use crate::components::{Position, Rotation, Transform, Velocity};
use crate::measure::{Bench, Mismatch};
use crate::support::flecs_bulk;
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

const COLUMNS: [&str; 9] = [
    "position.x",
    "position.y",
    "position.z",
    "rotation.x",
    "rotation.y",
    "rotation.z",
    "velocity.x",
    "velocity.y",
    "velocity.z",
];

/// A world and its copy.
struct Pair<W> {
    world: W,
    copy: W,
    bytes: Vec<u8>,
}

impl<W> Pair<W> {
    fn new(world: W, copy: W) -> Self {
        Pair { world, copy, bytes: Vec::new() }
    }
}

pub(super) fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[1_000], &[100]) {
        let Some(mut field) = bench.field("ecs_bench_suite", "serialize, encode and decode", n) else { continue };
        field.repeats_for(50.0);
        let make = || Pair::new(insert::world(n), insert::world(0));
        let run = |pair: &mut Pair<World>| {
            encode(&pair.world, &mut pair.bytes);
            pair.copy = decode(&pair.bytes);
        };
        field.add(OURS, "columns as they are", make, run, |pair| checksum(&pair.copy));
        let make = || {
            let mut world = bevy::World::new();
            world.spawn_batch((0..n).map(entity));
            Pair::new(world, bevy::World::new())
        };
        let run = |pair: &mut Pair<bevy::World>| {
            pair.bytes.clear();
            let mut query = pair.world.query::<(&Transform, &Position, &Rotation, &Velocity)>();
            for (t, p, r, v) in query.contiguous_iter(&pair.world).expect("tables are dense") {
                table(&mut pair.bytes, t, p, r, v);
            }
            pair.copy = bevy::World::new();
            each_table(&pair.bytes, |n, columns| {
                pair.copy.spawn_batch((0..n).map(|row| row_of(columns, row)));
            });
        };
        let check = |pair: &mut Pair<bevy::World>| {
            let mut sum = Checksum::new();
            let mut query = pair.copy.query::<(&Transform, &Position, &Rotation, &Velocity)>();
            query.iter(&pair.copy).for_each(|(t, p, r, v)| add(&mut sum, t, p, r, v));
            sum.get()
        };
        field.add(BEVY, "columns as they are", make, run, check);
        let make = || {
            let mut world = hecs::World::new();
            world.spawn_batch((0..n).map(entity));
            Pair::new(world, hecs::World::new())
        };
        let run = |pair: &mut Pair<hecs::World>| {
            pair.bytes.clear();
            for archetype in pair.world.archetypes() {
                let columns = (archetype.get::<&Transform>(), archetype.get::<&Position>());
                let (Some(t), Some(p)) = columns else { continue };
                let columns = (archetype.get::<&Rotation>(), archetype.get::<&Velocity>());
                let (Some(r), Some(v)) = columns else { continue };
                table(&mut pair.bytes, &t, &p, &r, &v);
            }
            pair.copy = hecs::World::new();
            each_table(&pair.bytes, |n, columns| {
                pair.copy.spawn_batch((0..n).map(|row| row_of(columns, row)));
            });
        };
        let check = |pair: &mut Pair<hecs::World>| {
            let mut sum = Checksum::new();
            let query = pair.copy.query_mut::<(&Transform, &Position, &Rotation, &Velocity)>();
            query.into_iter().for_each(|(t, p, r, v)| add(&mut sum, t, p, r, v));
            sum.get()
        };
        field.add(HECS, "columns as they are", make, run, check);
        let run = |pair: &mut Pair<hecs::World>| {
            pair.bytes.clear();
            let mut encoder = bincode::Serializer::new(&mut pair.bytes, bincode::options());
            column::serialize(&pair.world, &mut Columns::default(), &mut encoder).expect("plain data");
            let mut decoder = bincode::Deserializer::from_slice(&pair.bytes, bincode::options());
            pair.copy = column::deserialize(&mut Columns::default(), &mut decoder).expect("what was encoded");
        };
        field.add(HECS, "column serialization, bincode", make, run, check);
        let make = || {
            let world = flecs::World::new();
            flecs_bulk!(world, n, entity, 0, 1, 2, 3);
            Pair::new(world, flecs::World::new())
        };
        let run = |pair: &mut Pair<flecs::World>| {
            pair.bytes.clear();
            let query = pair.world.query::<(&Transform, &Position, &Rotation, &Velocity)>().build();
            query.run(|mut it| {
                while it.next() {
                    let (t, p) = (it.field::<Transform>(0), it.field::<Position>(1));
                    let (r, v) = (it.field::<Rotation>(2), it.field::<Velocity>(3));
                    table(&mut pair.bytes, t.as_slice(), p.as_slice(), r.as_slice(), v.as_slice());
                }
            });
            pair.copy = flecs::World::new();
            each_table(&pair.bytes, |n, (t, p, r, v)| {
                pair.copy.entity_bulk(n as u32).set(t).set(p).set(r).set(v).build();
            });
        };
        let check = |pair: &mut Pair<flecs::World>| {
            let mut sum = Checksum::new();
            let query = pair.copy.new_query::<(&Transform, &Position, &Rotation, &Velocity)>();
            query.each(|(t, p, r, v)| add(&mut sum, t, p, r, v));
            sum.get()
        };
        field.add(FLECS, "columns as they are", make, run, check);
        let make = || {
            let mut world = shipyard::World::new();
            world.bulk_add_entity((0..n).map(entity));
            Pair::new(world, shipyard::World::new())
        };
        let run = |pair: &mut Pair<shipyard::World>| {
            pair.bytes.clear();
            let bytes = &mut pair.bytes;
            pair.world.run(
                |t: View<'_, Transform>, p: View<'_, Position>, r: View<'_, Rotation>, v: View<'_, Velocity>| {
                    table(bytes, t.as_slice(), p.as_slice(), r.as_slice(), v.as_slice());
                },
            );
            pair.copy = shipyard::World::new();
            each_table(&pair.bytes, |n, columns| {
                pair.copy.bulk_add_entity((0..n).map(|row| row_of(columns, row)));
            });
        };
        let check = |pair: &mut Pair<shipyard::World>| {
            let mut sum = Checksum::new();
            pair.copy.run(
                |t: View<'_, Transform>, p: View<'_, Position>, r: View<'_, Rotation>, v: View<'_, Velocity>| {
                    (&t, &p, &r, &v).iter().for_each(|(t, p, r, v)| add(&mut sum, t, p, r, v));
                },
            );
            sum.get()
        };
        field.add(SHIPYARD, "columns as they are", make, run, check);
        field.note(SHIPYARD, "every storage holds the same entities in the same order here, which it need not");
        field.measure()?;
    }
    Ok(())
}

// bytes: the rows' number, then the columns

fn table(out: &mut Vec<u8>, t: &[Transform], p: &[Position], r: &[Rotation], v: &[Velocity]) {
    out.extend_from_slice(&(t.len() as u64).to_le_bytes());
    for column in [bytemuck::cast_slice(t), bytemuck::cast_slice(p), bytemuck::cast_slice(r), bytemuck::cast_slice(v)] {
        out.extend_from_slice(column);
    }
}

type Slices<'a> = (&'a [Transform], &'a [Position], &'a [Rotation], &'a [Velocity]);

fn each_table(mut bytes: &[u8], mut each: impl FnMut(usize, Slices<'_>)) {
    fn take<'a, T: bytemuck::Pod>(bytes: &mut &'a [u8], n: usize) -> &'a [T] {
        let (column, rest) = bytes.split_at(n * size_of::<T>());
        *bytes = rest;
        bytemuck::cast_slice(column)
    }
    while !bytes.is_empty() {
        let (count, rest) = bytes.split_at(8);
        let n = u64::from_le_bytes(count.try_into().expect("eight bytes")) as usize;
        bytes = rest;
        let columns = (take(&mut bytes, n), take(&mut bytes, n), take(&mut bytes, n), take(&mut bytes, n));
        each(n, columns);
    }
}

fn row_of(columns: Slices<'_>, row: usize) -> Entity {
    (columns.0[row], columns.1[row], columns.2[row], columns.3[row])
}

// hypostyle

fn encode(world: &World, out: &mut Vec<u8>) {
    out.clear();
    let query = world.query::<All>(|entities, (t, p, r, v)| {
        out.extend_from_slice(&(entities.len() as u64).to_le_bytes());
        out.extend_from_slice(bytemuck::cast_slice(t.m));
        for column in [p.x, p.y, p.z, r.x, r.y, r.z, v.x, v.y, v.z] {
            out.extend_from_slice(bytemuck::cast_slice(column));
        }
    });
    query.expect("known components");
}

fn decode(mut bytes: &[u8]) -> World {
    let mut world = insert::world(0);
    while !bytes.is_empty() {
        let (count, rest) = bytes.split_at(8);
        let n = u64::from_le_bytes(count.try_into().expect("eight bytes")) as usize;
        let (m, rest) = rest.split_at(n * size_of::<Transform>());
        let mut spawn = world.spawn_columns(n).column::<[f32; 16]>("transform.m", bytemuck::cast_slice(m));
        let (columns, rest) = rest.split_at(4 * n * COLUMNS.len());
        for (name, column) in COLUMNS.iter().zip(columns.chunks_exact(4 * n)) {
            spawn = spawn.column::<f32>(name, bytemuck::cast_slice(column));
        }
        spawn.spawn().expect("there is memory");
        bytes = rest;
    }
    world
}

/// Of a world of ours with the suite's entities.
pub(super) fn checksum(world: &World) -> u64 {
    let mut sum = Checksum::new();
    let query = world.query::<All>(|_, (t, p, r, v)| {
        for row in 0..t.m.len() {
            let vectors = [p.x, p.y, p.z, r.x, r.y, r.z, v.x, v.y, v.z].map(|column| column[row]);
            sum.add_f32(t.m[row].into_iter().chain(vectors));
        }
    });
    query.expect("known components");
    sum.get()
}

// hecs's own

/// The ids of the archetype that is being read.
#[derive(Default)]
struct Columns(Vec<Id>);

#[derive(serde::Serialize, serde::Deserialize)]
enum Id {
    Transform,
    Position,
    Rotation,
    Velocity,
}

impl column::SerializeContext for Columns {
    fn component_count(&self, archetype: &hecs::Archetype) -> usize {
        let known =
            [TypeId::of::<Transform>(), TypeId::of::<Position>(), TypeId::of::<Rotation>(), TypeId::of::<Velocity>()];
        archetype.component_types().filter(|ty| known.contains(ty)).count()
    }

    fn serialize_component_ids<S: serde::ser::SerializeTuple>(
        &mut self,
        archetype: &hecs::Archetype,
        mut out: S,
    ) -> Result<S::Ok, S::Error> {
        column::try_serialize_id::<Transform, _, _>(archetype, &Id::Transform, &mut out)?;
        column::try_serialize_id::<Position, _, _>(archetype, &Id::Position, &mut out)?;
        column::try_serialize_id::<Rotation, _, _>(archetype, &Id::Rotation, &mut out)?;
        column::try_serialize_id::<Velocity, _, _>(archetype, &Id::Velocity, &mut out)?;
        out.end()
    }

    fn serialize_components<S: serde::ser::SerializeTuple>(
        &mut self,
        archetype: &hecs::Archetype,
        mut out: S,
    ) -> Result<S::Ok, S::Error> {
        column::try_serialize::<Transform, _>(archetype, &mut out)?;
        column::try_serialize::<Position, _>(archetype, &mut out)?;
        column::try_serialize::<Rotation, _>(archetype, &mut out)?;
        column::try_serialize::<Velocity, _>(archetype, &mut out)?;
        out.end()
    }
}

impl column::DeserializeContext for Columns {
    fn deserialize_component_ids<'de, A: serde::de::SeqAccess<'de>>(
        &mut self,
        mut seq: A,
    ) -> Result<hecs::ColumnBatchType, A::Error> {
        let mut batch = hecs::ColumnBatchType::new();
        self.0.clear();
        while let Some(id) = seq.next_element()? {
            match id {
                Id::Transform => batch.add::<Transform>(),
                Id::Position => batch.add::<Position>(),
                Id::Rotation => batch.add::<Rotation>(),
                Id::Velocity => batch.add::<Velocity>(),
            };
            self.0.push(id);
        }
        Ok(batch)
    }

    fn deserialize_components<'de, A: serde::de::SeqAccess<'de>>(
        &mut self,
        entity_count: u32,
        mut seq: A,
        batch: &mut hecs::ColumnBatchBuilder,
    ) -> Result<(), A::Error> {
        for id in &self.0 {
            match id {
                Id::Transform => column::deserialize_column::<Transform, _>(entity_count, &mut seq, batch)?,
                Id::Position => column::deserialize_column::<Position, _>(entity_count, &mut seq, batch)?,
                Id::Rotation => column::deserialize_column::<Rotation, _>(entity_count, &mut seq, batch)?,
                Id::Velocity => column::deserialize_column::<Velocity, _>(entity_count, &mut seq, batch)?,
            }
        }
        Ok(())
    }
}
