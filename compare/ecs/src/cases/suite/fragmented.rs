//! fragmented_iter: many tables of 20 entities each; data *= 2. The suite has 26 tables; here also 260 and 2,600, whose
//! entities have two and three of the 26 components.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, Builder, QueryAPI, QueryBuilderImpl};
use hypostyle::{Read, Schedule, Simulation, System, Workers, World, Write};
use shipyard::{IntoIter as _, View, ViewMut};

use crate::checksum::Checksum;
use crate::components::Data;
use crate::letters::{BEVY_INSERT, FLECS_SET, HECS_ADD, NAMES, REGISTER, SHIPYARD_ADD};
use crate::measure::{Bench, Mismatch};
use crate::support::{hecs_single, simulation, step};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

const ROWS: usize = 20;

/// The components of the first so many tables: single ones, pairs, or triples.
fn tables(count: usize) -> Vec<Vec<usize>> {
    let letters = NAMES.len();
    let mut sets: Vec<Vec<usize>> = Vec::new();
    for a in 0..letters {
        match count {
            0..=26 => sets.push(vec![a]),
            27..=325 => (a + 1..letters).for_each(|b| sets.push(vec![a, b])),
            _ => (a + 1..letters).for_each(|b| (b + 1..letters).for_each(|c| sets.push(vec![a, b, c]))),
        }
    }
    sets.truncate(count);
    sets
}

fn value(index: usize) -> f32 {
    1.0 + index as f32
}

fn add(sum: &mut Checksum, data: &Data) {
    sum.add_f32([data.value]);
}

fn double(data: &mut [Data]) {
    data.iter_mut().for_each(|data| data.value *= 2.0);
}

type Bevy = (bevy::World, bevy::QueryState<&'static mut Data>);
type Flecs = (flecs::Query<(&'static mut Data,)>, flecs::World);

pub(super) fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[26 * ROWS, 260 * ROWS, 2600 * ROWS], &[26 * ROWS, 30 * ROWS]) {
        let sets = tables((n / ROWS).clamp(1, 2600));
        let Some(mut field) = bench.field("ecs_bench_suite", "fragmented_iter, 20 entities a table", n) else {
            continue;
        };
        field.repeats_quick_or(10, (400_000 / n).clamp(10, 200).next_multiple_of(10) as u64);
        // hypostyle
        let world_of = || ours(&sets);
        let make = |every| move || simulation(world_of(), schedule(), Workers::Local, every);
        let query = |simulation: &mut Simulation| {
            let query =
                simulation.world_mut().query_mut::<Write<Data>>(|_, mut data| data.value.map(|data| data * 2.0));
            query.expect("a known component");
        };
        let passes = |state: &mut (Simulation, u64)| {
            if state.1.is_multiple_of(10) {
                state.0.run(10, 1.0).expect("a frame does not fail");
            }
            state.1 += 1;
        };
        field.add(OURS, "query_mut, no generations", make(1), query, checksum_of_ours);
        field.add(OURS, "a generation every frame", make(1), step, checksum_of_ours);
        field.add(OURS, "a generation every 10 frames", make(10), step, checksum_of_ours);
        field.add(
            OURS,
            "run(10): 10 frames per pass",
            || (make(10)(), 0),
            passes,
            |state| checksum_of_ours(&mut state.0),
        );
        // bevy_ecs
        let make = || bevy_world(&sets);
        let for_each = |(world, query): &mut Bevy| query.iter_mut(world).for_each(|mut data| data.value *= 2.0);
        let contiguous = |(world, query): &mut Bevy| {
            for mut data in query.contiguous_iter_mut(world).expect("tables are dense") {
                double(data.bypass_change_detection());
            }
        };
        let check = |(world, query): &mut Bevy| {
            let mut sum = Checksum::new();
            query.iter(world).for_each(|data| add(&mut sum, data));
            sum.get()
        };
        field.add(BEVY, "for_each", make, for_each, check);
        field.add(BEVY, "contiguous_iter_mut, change detection bypassed", make, contiguous, check);
        // hecs
        let make = || hecs_world(&sets);
        let query = |world: &mut hecs::World| {
            world.query_mut::<&mut Data>().into_iter().for_each(|data| data.value *= 2.0);
        };
        let prepared = |(query, world): &mut (hecs::PreparedQuery<&mut Data>, hecs::World)| {
            query.query_mut(world).for_each(|data| data.value *= 2.0);
        };
        let check = |world: &mut hecs::World| {
            let mut sum = Checksum::new();
            world.query_mut::<&Data>().into_iter().for_each(|data| add(&mut sum, data));
            sum.get()
        };
        field.add(HECS, "query_mut", make, query, check);
        field.add(
            HECS,
            "PreparedQuery",
            || (hecs::PreparedQuery::new(), make()),
            prepared,
            move |(_, world)| check(world),
        );
        field.add(HECS, "columns of archetypes", make, |world| hecs_single(world, double), check);
        // flecs
        let make = || flecs_world(&sets);
        let slices = |(query, _): &mut Flecs| {
            query.run(|mut it| {
                while it.next() {
                    double(it.field_mut::<Data>(0).as_mut_slice());
                }
            });
        };
        let check = |(query, _): &mut Flecs| {
            let mut sum = Checksum::new();
            query.each(|(data,)| add(&mut sum, data));
            sum.get()
        };
        field.add(FLECS, "each", make, |(query, _): &mut Flecs| query.each(|(data,)| data.value *= 2.0), check);
        field.add(FLECS, "run with slices", make, slices, check);
        // shipyard
        let iter = |world: &mut shipyard::World| {
            world.run(|mut data: ViewMut<'_, Data>| (&mut data).iter().for_each(|data| data.value *= 2.0));
        };
        let check = |world: &mut shipyard::World| {
            let mut sum = Checksum::new();
            world.run(|data: View<'_, Data>| data.iter().for_each(|data| add(&mut sum, data)));
            sum.get()
        };
        field.add(SHIPYARD, "iter", || shipyard_world(&sets), iter, check);
        field.measure()?;
    }
    Ok(())
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Data>>("double", |_, mut data| data.value.map(|data| data * 2.0)));
    schedule
}

fn ours(sets: &[Vec<usize>]) -> World {
    let builder = REGISTER.iter().fold(World::builder().component::<Data>(), |builder, register| register(builder));
    let mut world = builder.build().expect("a world can be made");
    for (place, set) in sets.iter().enumerate() {
        let values: Vec<f32> = (0..ROWS).map(|row| value(place * ROWS + row)).collect();
        let spawn = world.spawn_columns(ROWS).column("data.value", &values);
        let spawn = set.iter().fold(spawn, |spawn, letter| spawn.with_named(NAMES[*letter]));
        spawn.spawn().expect("there is memory");
    }
    world
}

fn checksum_of_ours(simulation: &mut Simulation) -> u64 {
    let mut sum = Checksum::new();
    let query = simulation.world().query::<Read<Data>>(|_, data| {
        data.value.iter().for_each(|value| add(&mut sum, &Data { value: *value }));
    });
    query.expect("a known component");
    sum.get()
}

fn bevy_world(sets: &[Vec<usize>]) -> Bevy {
    let mut world = bevy::World::new();
    for (place, set) in sets.iter().enumerate() {
        for row in 0..ROWS {
            // data comes last, so that no table on the way has it
            let mut entity = world.spawn_empty();
            set.iter().for_each(|letter| BEVY_INSERT[*letter](&mut entity, 1.0));
            entity.insert(Data { value: value(place * ROWS + row) });
        }
    }
    let query = world.query();
    (world, query)
}

fn hecs_world(sets: &[Vec<usize>]) -> hecs::World {
    let mut world = hecs::World::new();
    let mut builder = hecs::EntityBuilder::new();
    for (place, set) in sets.iter().enumerate() {
        for row in 0..ROWS {
            set.iter().for_each(|letter| HECS_ADD[*letter](&mut builder, 1.0));
            builder.add(Data { value: value(place * ROWS + row) });
            world.spawn(builder.build());
        }
    }
    world
}

fn flecs_world(sets: &[Vec<usize>]) -> Flecs {
    let world = flecs::World::new();
    for (place, set) in sets.iter().enumerate() {
        for row in 0..ROWS {
            let entity = world.entity();
            set.iter().for_each(|letter| FLECS_SET[*letter](entity, 1.0));
            entity.set(Data { value: value(place * ROWS + row) });
        }
    }
    (world.query().set_cached().build(), world)
}

fn shipyard_world(sets: &[Vec<usize>]) -> shipyard::World {
    let mut world = shipyard::World::new();
    for (place, set) in sets.iter().enumerate() {
        for row in 0..ROWS {
            let entity = world.add_entity((Data { value: value(place * ROWS + row) },));
            set.iter().for_each(|letter| SHIPYARD_ADD[*letter](&mut world, entity, 1.0));
        }
    }
    world
}

#[cfg(test)]
mod tests {
    use super::tables;

    #[test]
    fn tables_are_different() {
        for count in [1, 26, 260, 2600] {
            let mut sets = tables(count);
            sets.sort();
            sets.dedup();
            assert_eq!(sets.len(), count);
        }
    }
}
