//! simple_iter: position += velocity, 10,000 entities of four components, one thread.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, Builder, QueryAPI, QueryBuilderImpl};
use hypostyle::{Read, Schedule, Simulation, System, Workers, Write};
use shipyard::{IntoIter as _, View, ViewMut};

use super::{entity, insert};
use crate::checksum::Checksum;
use crate::components::{Position, Velocity};
use crate::measure::{Bench, Mismatch};
use crate::support::{bevy_pairs, flecs_bulk, flecs_pairs, hecs_pairs, simulation, step};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

#[inline(always)]
fn advance(p: &mut Position, v: &Velocity) {
    p.x += v.x;
    p.y += v.y;
    p.z += v.z;
}

fn slices(p: &mut [Position], v: &[Velocity]) {
    p.iter_mut().zip(v).for_each(|(p, v)| advance(p, v));
}

fn add(sum: &mut Checksum, p: &Position) {
    sum.add_f32([p.x, p.y, p.z]);
}

type Bevy = (bevy::World, bevy::QueryState<(&'static mut Position, &'static Velocity)>);
type Flecs = (flecs::Query<(&'static mut Position, &'static Velocity)>, flecs::World);

pub(super) fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[10_000], &[100]) {
        let Some(mut field) = bench.field("ecs_bench_suite", "simple_iter", n) else { continue };
        field.repeats_quick_or(10, 200);
        // hypostyle
        let make = |every| move || simulation(insert::world(n), schedule(), Workers::Local, every);
        let query = |simulation: &mut Simulation| {
            let query = simulation.world_mut().query_mut::<(Write<Position>, Read<Velocity>)>(|_, (mut p, v)| {
                p.x.map_with(v.x, |p, v| p + v);
                p.y.map_with(v.y, |p, v| p + v);
                p.z.map_with(v.z, |p, v| p + v);
            });
            query.expect("known components");
        };
        let passes = |state: &mut (Simulation, u64)| {
            if state.1.is_multiple_of(10) {
                state.0.run(10, 1.0).expect("a frame does not fail");
            }
            state.1 += 1;
        };
        field.add(OURS, "query_mut, no generations", make(1), query, ours);
        field.add(OURS, "a generation every frame", make(1), step, ours);
        field.add(OURS, "a generation every 10 frames", make(10), step, ours);
        field.add(OURS, "run(10): 10 frames per pass", || (make(10)(), 0), passes, |state| ours(&mut state.0));
        // bevy_ecs
        let make = || {
            let mut world = bevy::World::new();
            world.spawn_batch((0..n).map(entity));
            let query = world.query();
            (world, query)
        };
        let for_each = |(world, query): &mut Bevy| query.iter_mut(world).for_each(|(mut p, v)| advance(&mut p, v));
        let contiguous = |(world, query): &mut Bevy| bevy_pairs!(query, world, slices);
        let check = |(world, query): &mut Bevy| {
            let mut sum = Checksum::new();
            query.iter(world).for_each(|(p, _)| add(&mut sum, p));
            sum.get()
        };
        field.add(BEVY, "for_each", make, for_each, check);
        field.add(BEVY, "contiguous_iter_mut, change detection bypassed", make, contiguous, check);
        // hecs
        let make = || {
            let mut world = hecs::World::new();
            world.spawn_batch((0..n).map(entity));
            world
        };
        let query = |world: &mut hecs::World| {
            world.query_mut::<(&mut Position, &Velocity)>().into_iter().for_each(|(p, v)| advance(p, v));
        };
        let check = |world: &mut hecs::World| {
            let mut sum = Checksum::new();
            world.query_mut::<&Position>().into_iter().for_each(|p| add(&mut sum, p));
            sum.get()
        };
        field.add(HECS, "query_mut", make, query, check);
        field.add(HECS, "columns of archetypes", make, |world| hecs_pairs(world, slices), check);
        // flecs
        let make = || {
            let world = flecs::World::new();
            flecs_bulk!(world, n, entity, 0, 1, 2, 3);
            (world.query().set_cached().build(), world)
        };
        let check = |(query, _): &mut Flecs| {
            let mut sum = Checksum::new();
            query.each(|(p, _)| add(&mut sum, p));
            sum.get()
        };
        field.add(FLECS, "each", make, |(query, _): &mut Flecs| query.each(|(p, v)| advance(p, v)), check);
        let run = |(query, _): &mut Flecs| flecs_pairs!(query, Position, Velocity, slices);
        field.add(FLECS, "run with slices", make, run, check);
        // shipyard
        let make = || {
            let mut world = shipyard::World::new();
            world.bulk_add_entity((0..n).map(entity));
            world
        };
        let iter = |world: &mut shipyard::World| {
            world.run(|mut p: ViewMut<'_, Position>, v: View<'_, Velocity>| {
                (&mut p, &v).iter().for_each(|(p, v)| advance(p, v));
            });
        };
        let check = |world: &mut shipyard::World| {
            let mut sum = Checksum::new();
            world.run(|p: View<'_, Position>| p.iter().for_each(|p| add(&mut sum, p)));
            sum.get()
        };
        field.add(SHIPYARD, "iter", make, iter, check);
        field.measure()?;
    }
    Ok(())
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("advance", |_, (mut p, v)| {
        p.x.map_with(v.x, |p, v| p + v);
        p.y.map_with(v.y, |p, v| p + v);
        p.z.map_with(v.z, |p, v| p + v);
    }));
    schedule
}

fn ours(simulation: &mut Simulation) -> u64 {
    let mut sum = Checksum::new();
    let query = simulation.world().query::<Read<Position>>(|_, p| {
        (0..p.x.len()).for_each(|row| sum.add_f32([p.x[row], p.y[row], p.z[row]]));
    });
    query.expect("a known component");
    sum.get()
}
