//! What a frame costs beside its work: 20 systems over 1,000 rows, one thread.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use bevy_ecs::schedule::SingleThreadedExecutor;
use flecs_ecs::prelude::{self as flecs, QueryAPI, SystemAPI};
use hypostyle::{Read, Schedule, Simulation, System, World, Write};
use shipyard::{IntoIter as _, IntoWorkload, View, ViewMut};

use crate::checksum::Checksum;
use crate::components::A;
use crate::measure::{Bench, Mismatch};
use crate::support::{flecs_bulk, step};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

const SYSTEMS: usize = 20;

fn a(index: usize) -> (A,) {
    (A { value: index as f32 },)
}

/// All comparisons.
pub fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    for n in bench.sizes(&[1_000], &[100]) {
        let Some(mut field) = bench.field("frame overhead", "20 systems, 1 thread", n) else { continue };
        field.operations(1, "ns/frame").repeats_quick_or(10, 100);
        let check = |simulation: &mut Simulation| {
            let mut sum = Checksum::new();
            let query = simulation.world().query::<Read<A>>(|_, a| a.value.iter().for_each(|a| sum.add_f32([*a])));
            query.expect("a known component");
            sum.get()
        };
        field.add(OURS, "a generation every frame", || ours(n, 1, true), step, check);
        field.add(OURS, "a generation every 10 frames", || ours(n, 10, true), step, check);
        field.add(OURS, "a generation every 10 frames, not fused", || ours(n, 10, false), step, check);
        let run = |(world, schedule): &mut (bevy::World, bevy::Schedule)| schedule.run(world);
        let check = |(world, _): &mut (bevy::World, bevy::Schedule)| {
            let mut sum = Checksum::new();
            world.query::<&A>().iter(world).for_each(|a| sum.add_f32([a.value]));
            sum.get()
        };
        field.add(BEVY, "single-threaded executor", || bevy_world(n, true), run, check);
        field.add(BEVY, "multi-threaded executor", || bevy_world(n, false), run, check);
        let make = || {
            let mut world = hecs::World::new();
            world.spawn_batch((0..n).map(a));
            world
        };
        let run = |world: &mut hecs::World| {
            for system in 0..SYSTEMS {
                world.query_mut::<&mut A>().into_iter().for_each(|a| a.value += system as f32);
            }
        };
        let check = |world: &mut hecs::World| {
            let mut sum = Checksum::new();
            world.query_mut::<&A>().into_iter().for_each(|a| sum.add_f32([a.value]));
            sum.get()
        };
        field.add(HECS, "20 calls of query_mut", make, run, check);
        field.note(HECS, "it has no schedule");
        let make = || {
            let world = flecs::World::new();
            flecs_bulk!(world, n, a, 0);
            for system in 0..SYSTEMS {
                world.system::<(&mut A,)>().run(move |mut it| {
                    while it.next() {
                        let mut a = it.field_mut::<A>(0);
                        a.as_mut_slice().iter_mut().for_each(|a| a.value += system as f32);
                    }
                });
            }
            world
        };
        let progress = |world: &mut flecs::World| {
            world.progress();
        };
        let check = |world: &mut flecs::World| {
            let mut sum = Checksum::new();
            world.new_query::<&A>().each(|a| sum.add_f32([a.value]));
            sum.get()
        };
        field.add(FLECS, "systems with slices", make, progress, check);
        let make = || {
            let mut world = shipyard::World::new();
            world.bulk_add_entity((0..n).map(a));
            world.add_workload(workload);
            world
        };
        let run = |world: &mut shipyard::World| world.run_workload(workload).expect("it is there");
        let check = |world: &mut shipyard::World| {
            let mut sum = Checksum::new();
            world.run(|a: View<'_, A>| a.iter().for_each(|a| sum.add_f32([a.value])));
            sum.get()
        };
        field.add(SHIPYARD, "a workload", make, run, check);
        field.measure()?;
    }
    Ok(())
}

fn ours(n: usize, every: u64, fuse: bool) -> Simulation {
    let mut world = World::builder().component::<A>().build().expect("a world can be made");
    world.spawn_batch((0..n).map(a)).expect("there is memory");
    let mut schedule = Schedule::new();
    for system in 0..SYSTEMS {
        let add = System::rows::<Write<A>>(format!("add {system}"), move |_, mut a| {
            a.value.map(|a| a + system as f32);
        });
        schedule.add(add);
    }
    let builder = Simulation::builder().workers(hypostyle::Workers::Local).publish_every(every).fuse(fuse);
    builder.build(world, schedule).expect("a simulation can be made")
}

/// One of 20 systems of the same kind.
fn bevy_system<const N: usize>(mut query: bevy::Query<'_, '_, &mut A>) {
    for mut a in query.contiguous_iter_mut().expect("tables are dense") {
        a.bypass_change_detection().iter_mut().for_each(|a| a.value += N as f32);
    }
}

fn shipyard_system<const N: usize>(mut a: ViewMut<'_, A>) {
    (&mut a).iter().for_each(|a| a.value += N as f32);
}

fn bevy_world(n: usize, serial: bool) -> (bevy::World, bevy::Schedule) {
    use bevy::IntoScheduleConfigs as _;
    let mut world = bevy::World::new();
    world.spawn_batch((0..n).map(a));
    let mut schedule = bevy::Schedule::default();
    if serial {
        schedule.set_executor(SingleThreadedExecutor::new());
    }
    use bevy_system as s;
    schedule.add_systems(
        (
            (s::<0>, s::<1>, s::<2>, s::<3>, s::<4>, s::<5>, s::<6>, s::<7>, s::<8>, s::<9>).chain(),
            (s::<10>, s::<11>, s::<12>, s::<13>, s::<14>, s::<15>, s::<16>, s::<17>, s::<18>, s::<19>).chain(),
        )
            .chain(),
    );
    (world, schedule)
}

fn workload() -> shipyard::Workload {
    use shipyard_system as s;
    let first = (s::<0>, s::<1>, s::<2>, s::<3>, s::<4>, s::<5>, s::<6>, s::<7>, s::<8>, s::<9>).into_workload();
    let second =
        (s::<10>, s::<11>, s::<12>, s::<13>, s::<14>, s::<15>, s::<16>, s::<17>, s::<18>, s::<19>).into_workload();
    first.merge(second)
}
