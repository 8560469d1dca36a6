//! schedule: 10,000 entities each of AB, ABC, ABCD, ABCE; three systems swap A and B, C and D, C and E.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use bevy_ecs::schedule::SingleThreadedExecutor;
use flecs_ecs::prelude::{self as flecs, ParSystemAPI, QueryAPI, SystemAPI};
use hypostyle::{Read, Schedule, Simulation, System, World, Write};
use shipyard::{IntoIter as _, IntoWorkload, View, ViewMut};

use crate::checksum::Checksum;
use crate::components::{A, B, C, D, E};
use crate::measure::{Bench, Mismatch};
use crate::support::{hecs_world_of, simulation, step, workers};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

fn value(index: usize, letter: usize) -> f32 {
    (index * 8 + letter) as f32
}

fn a(i: usize) -> A {
    A { value: value(i, 0) }
}
fn b(i: usize) -> B {
    B { value: value(i, 1) }
}
fn c(i: usize) -> C {
    C { value: value(i, 2) }
}
fn d(i: usize) -> D {
    D { value: value(i, 3) }
}
fn e(i: usize) -> E {
    E { value: value(i, 4) }
}

pub(super) fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    let cores = bench.options.cores;
    for n in bench.sizes(&[10_000], &[100]) {
        let Some(mut field) = bench.field("ecs_bench_suite", "schedule, so many of each of 4 tables", n) else {
            continue;
        };
        field.operations(4 * n as u64, "ns/entity").repeats_quick_or(10, 20);
        let make = |workers, every| move || simulation(ours(n), systems(), workers, every);
        let local = hypostyle::Workers::Local;
        field.add(OURS, "1 thread, a generation every frame", make(local, 1), step, checksum_of_ours);
        field.add(OURS, "1 thread, a generation every 10 frames", make(local, 10), step, checksum_of_ours);
        field.add(OURS, "all cores, a generation every frame", make(workers(cores), 1), step, checksum_of_ours);
        field.add(OURS, "all cores, a generation every 10 frames", make(workers(cores), 10), step, checksum_of_ours);
        let run = |(world, schedule): &mut (bevy::World, bevy::Schedule)| schedule.run(world);
        let check = |(world, _): &mut (bevy::World, bevy::Schedule)| {
            let mut sum = Checksum::new();
            let mut query = world.query::<(&A, &B, Option<&C>, Option<&D>, Option<&E>)>();
            query.iter(world).for_each(|row| add(&mut sum, row));
            sum.get()
        };
        field.add(BEVY, "1 thread, for_each", || bevy_world(n, true, false), run, check);
        field.add(BEVY, "1 thread, contiguous, change detection bypassed", || bevy_world(n, true, true), run, check);
        field.add(BEVY, "all cores, for_each", || bevy_world(n, false, false), run, check);
        field.add(BEVY, "all cores, contiguous, change detection bypassed", || bevy_world(n, false, true), run, check);
        let make = || {
            hecs_world_of(
                n,
                |i| (a(i), b(i)),
                |i| (a(i), b(i), c(i)),
                |i| (a(i), b(i), c(i), d(i)),
                |i| (a(i), b(i), c(i), e(i)),
            )
        };
        let run = |world: &mut hecs::World| {
            let swap = std::mem::swap::<f32>;
            world.query_mut::<(&mut A, &mut B)>().into_iter().for_each(|(a, b)| swap(&mut a.value, &mut b.value));
            world.query_mut::<(&mut C, &mut D)>().into_iter().for_each(|(c, d)| swap(&mut c.value, &mut d.value));
            world.query_mut::<(&mut C, &mut E)>().into_iter().for_each(|(c, e)| swap(&mut c.value, &mut e.value));
        };
        let check = |world: &mut hecs::World| {
            let mut sum = Checksum::new();
            let query = world.query_mut::<(&A, &B, Option<&C>, Option<&D>, Option<&E>)>();
            query.into_iter().for_each(|row| add(&mut sum, row));
            sum.get()
        };
        field.add(HECS, "1 thread, query_mut", make, run, check);
        let progress = |world: &mut flecs::World| {
            world.progress();
        };
        let check = |world: &mut flecs::World| {
            let mut sum = Checksum::new();
            let query = world.new_query::<(&A, &B, Option<&C>, Option<&D>, Option<&E>)>();
            query.each(|row| add(&mut sum, row));
            sum.get()
        };
        field.add(FLECS, "1 thread, systems with slices", || flecs_world(n, 1), progress, check);
        field.add(FLECS, "all cores, systems with slices", || flecs_world(n, cores), progress, check);
        let run = |world: &mut shipyard::World| world.run_workload(swaps).expect("it is there");
        let check = |world: &mut shipyard::World| {
            let mut sum = Checksum::new();
            world.run(|a: View<'_, A>, b: View<'_, B>, c: View<'_, C>, d: View<'_, D>, e: View<'_, E>| {
                use shipyard::Get;
                (&a, &b).iter().with_id().for_each(|(id, (a, b))| {
                    add(&mut sum, (a, b, (&c).get(id).ok(), (&d).get(id).ok(), (&e).get(id).ok()));
                });
            });
            sum.get()
        };
        field.add(SHIPYARD, "all cores, a workload", || shipyard_world(n), run, check);
        field.measure()?;
    }
    Ok(())
}

fn add(sum: &mut Checksum, (a, b, c, d, e): (&A, &B, Option<&C>, Option<&D>, Option<&E>)) {
    let missing = f32::NEG_INFINITY;
    sum.add_f32([
        a.value,
        b.value,
        c.map_or(missing, |c| c.value),
        d.map_or(missing, |d| d.value),
        e.map_or(missing, |e| e.value),
    ]);
}

fn ours(n: usize) -> World {
    let builder = World::builder().component::<A>().component::<B>().component::<C>().component::<D>();
    let mut world = builder.component::<E>().build().expect("a world can be made");
    world.spawn_batch((0..n).map(|i| (a(i), b(i)))).expect("there is memory");
    world.spawn_batch((0..n).map(|i| (a(i), b(i), c(i)))).expect("there is memory");
    world.spawn_batch((0..n).map(|i| (a(i), b(i), c(i), d(i)))).expect("there is memory");
    world.spawn_batch((0..n).map(|i| (a(i), b(i), c(i), e(i)))).expect("there is memory");
    world
}

fn systems() -> Schedule {
    let mut schedule = Schedule::new();
    schedule
        .add(System::rows::<(Write<A>, Write<B>)>("swap a b", |_, (mut a, mut b)| {
            a.value.swap_with_slice(&mut b.value);
        }))
        .add(System::rows::<(Write<C>, Write<D>)>("swap c d", |_, (mut c, mut d)| {
            c.value.swap_with_slice(&mut d.value);
        }))
        .add(System::rows::<(Write<C>, Write<E>)>("swap c e", |_, (mut c, mut e)| {
            c.value.swap_with_slice(&mut e.value);
        }));
    schedule
}

fn checksum_of_ours(simulation: &mut Simulation) -> u64 {
    let mut sum = Checksum::new();
    type All = (Read<A>, Read<B>, Option<Read<C>>, Option<Read<D>>, Option<Read<E>>);
    let query = simulation.world().query::<All>(|_, (a, b, c, d, e)| {
        for row in 0..a.value.len() {
            let c = c.map(|c| C { value: c.value[row] });
            let d = d.map(|d| D { value: d.value[row] });
            let e = e.map(|e| E { value: e.value[row] });
            let (a, b) = (A { value: a.value[row] }, B { value: b.value[row] });
            add(&mut sum, (&a, &b, c.as_ref(), d.as_ref(), e.as_ref()));
        }
    });
    query.expect("known components");
    sum.get()
}

/// Systems that swap two components, for bevy: one that looks at entities, one that looks at columns.
macro_rules! bevy_swap {
    ($each:ident, $columns:ident, $A:ty, $B:ty) => {
        fn $each(mut query: bevy::Query<'_, '_, (&mut $A, &mut $B)>) {
            query.iter_mut().for_each(|(mut a, mut b)| std::mem::swap(&mut a.value, &mut b.value));
        }
        fn $columns(mut query: bevy::Query<'_, '_, (&mut $A, &mut $B)>) {
            for (mut a, mut b) in query.contiguous_iter_mut().expect("tables are dense") {
                let (a, b) = (a.bypass_change_detection(), b.bypass_change_detection());
                a.iter_mut().zip(b).for_each(|(a, b)| std::mem::swap(&mut a.value, &mut b.value));
            }
        }
    };
}
bevy_swap!(swap_ab, swap_ab_columns, A, B);
bevy_swap!(swap_cd, swap_cd_columns, C, D);
bevy_swap!(swap_ce, swap_ce_columns, C, E);

fn bevy_world(n: usize, serial: bool, columns: bool) -> (bevy::World, bevy::Schedule) {
    use bevy::IntoScheduleConfigs as _;
    let mut world = bevy::World::new();
    world.spawn_batch((0..n).map(|i| (a(i), b(i))));
    world.spawn_batch((0..n).map(|i| (a(i), b(i), c(i))));
    world.spawn_batch((0..n).map(|i| (a(i), b(i), c(i), d(i))));
    world.spawn_batch((0..n).map(|i| (a(i), b(i), c(i), e(i))));
    let mut schedule = bevy::Schedule::default();
    if serial {
        schedule.set_executor(SingleThreadedExecutor::new());
    }
    if columns {
        schedule.add_systems((swap_ab_columns, (swap_cd_columns, swap_ce_columns).chain()));
    } else {
        schedule.add_systems((swap_ab, (swap_cd, swap_ce).chain()));
    }
    (world, schedule)
}

fn flecs_world(n: usize, cores: usize) -> flecs::World {
    let world = flecs::World::new();
    for i in 0..n {
        world.entity().set(a(i)).set(b(i));
        world.entity().set(a(i)).set(b(i)).set(c(i));
        world.entity().set(a(i)).set(b(i)).set(c(i)).set(d(i));
        world.entity().set(a(i)).set(b(i)).set(c(i)).set(e(i));
    }
    macro_rules! swap {
        ($A:ty, $B:ty) => {{
            let kernel = |mut it: flecs::TableIter<'_, true, ()>| {
                while it.next() {
                    let (mut a, mut b) = (it.field_mut::<$A>(0), it.field_mut::<$B>(1));
                    let rows = a.as_mut_slice().iter_mut().zip(b.as_mut_slice());
                    rows.for_each(|(a, b)| std::mem::swap(&mut a.value, &mut b.value));
                }
            };
            if cores > 1 {
                world.system::<(&mut $A, &mut $B)>().par_run(kernel);
            } else {
                world.system::<(&mut $A, &mut $B)>().run(kernel);
            }
        }};
    }
    swap!(A, B);
    swap!(C, D);
    swap!(C, E);
    if cores > 1 {
        world.set_threads(cores as i32);
    }
    world
}

fn shipyard_world(n: usize) -> shipyard::World {
    let mut world = shipyard::World::new();
    world.bulk_add_entity((0..n).map(|i| (a(i), b(i))));
    world.bulk_add_entity((0..n).map(|i| (a(i), b(i), c(i))));
    world.bulk_add_entity((0..n).map(|i| (a(i), b(i), c(i), d(i))));
    world.bulk_add_entity((0..n).map(|i| (a(i), b(i), c(i), e(i))));
    world.add_workload(swaps);
    world
}

fn swaps() -> shipyard::Workload {
    fn ab(mut a: ViewMut<'_, A>, mut b: ViewMut<'_, B>) {
        (&mut a, &mut b).iter().for_each(|(a, b)| std::mem::swap(&mut a.value, &mut b.value));
    }
    fn cd(mut c: ViewMut<'_, C>, mut d: ViewMut<'_, D>) {
        (&mut c, &mut d).iter().for_each(|(c, d)| std::mem::swap(&mut c.value, &mut d.value));
    }
    fn ce(mut c: ViewMut<'_, C>, mut e: ViewMut<'_, E>) {
        (&mut c, &mut e).iter().for_each(|(c, e)| std::mem::swap(&mut c.value, &mut e.value));
    }
    (ab, cd, ce).into_workload()
}
