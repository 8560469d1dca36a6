//! heavy_compute: 1,000 entities; invert a matrix 100 times, then position = matrix * position; all cores.
#![forbid(unsafe_code)]

use bevy_ecs::batching::BatchingStrategy;
use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, Builder, ParSystemAPI, QueryAPI, QueryBuilderImpl};
use hypostyle::{Read, Schedule, Simulation, System, With, World, Write};
use rayon::prelude::*;
use shipyard::{IntoIter as _, View, ViewMut};

use super::Entity;
use crate::checksum::Checksum;
use crate::components::{Position, Rotation, Transform, Velocity};
use crate::measure::{Bench, Mismatch};
use crate::support::{flecs_bulk, simulation, step, workers};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

/// Rows of one piece of work.
const BATCH: usize = 64;

fn entity(index: usize) -> Entity {
    let (sin, cos) = (1.2f64.sin() as f32, 1.2f64.cos() as f32);
    let one = Position { x: 1.0, y: index as f32 * 1e-3, z: 0.0 };
    let m = [1.0, 0.0, 0.0, 0.0, 0.0, cos, sin, 0.0, 0.0, -sin, cos, 0.0, 0.0, 0.0, 0.0, 1.0];
    (Transform { m }, one, Rotation { x: 1.0, y: 0.0, z: 0.0 }, Velocity { x: 1.0, y: 0.0, z: 0.0 })
}

/// The inverse of a matrix, by cofactors.
fn invert(m: &[f32; 16]) -> [f32; 16] {
    let s0 = m[0] * m[5] - m[4] * m[1];
    let s1 = m[0] * m[6] - m[4] * m[2];
    let s2 = m[0] * m[7] - m[4] * m[3];
    let s3 = m[1] * m[6] - m[5] * m[2];
    let s4 = m[1] * m[7] - m[5] * m[3];
    let s5 = m[2] * m[7] - m[6] * m[3];
    let c5 = m[10] * m[15] - m[14] * m[11];
    let c4 = m[9] * m[15] - m[13] * m[11];
    let c3 = m[9] * m[14] - m[13] * m[10];
    let c2 = m[8] * m[15] - m[12] * m[11];
    let c1 = m[8] * m[14] - m[12] * m[10];
    let c0 = m[8] * m[13] - m[12] * m[9];
    let scale = 1.0 / (s0 * c5 - s1 * c4 + s2 * c3 + s3 * c2 - s4 * c1 + s5 * c0);
    [
        (m[5] * c5 - m[6] * c4 + m[7] * c3) * scale,
        (-m[1] * c5 + m[2] * c4 - m[3] * c3) * scale,
        (m[13] * s5 - m[14] * s4 + m[15] * s3) * scale,
        (-m[9] * s5 + m[10] * s4 - m[11] * s3) * scale,
        (-m[4] * c5 + m[6] * c2 - m[7] * c1) * scale,
        (m[0] * c5 - m[2] * c2 + m[3] * c1) * scale,
        (-m[12] * s5 + m[14] * s2 - m[15] * s1) * scale,
        (m[8] * s5 - m[10] * s2 + m[11] * s1) * scale,
        (m[4] * c4 - m[5] * c2 + m[7] * c0) * scale,
        (-m[0] * c4 + m[1] * c2 - m[3] * c0) * scale,
        (m[12] * s4 - m[13] * s2 + m[15] * s0) * scale,
        (-m[8] * s4 + m[9] * s2 - m[11] * s0) * scale,
        (-m[4] * c3 + m[5] * c1 - m[6] * c0) * scale,
        (m[0] * c3 - m[1] * c1 + m[2] * c0) * scale,
        (-m[12] * s3 + m[13] * s1 - m[14] * s0) * scale,
        (m[8] * s3 - m[9] * s1 + m[10] * s0) * scale,
    ]
}

/// The work of one entity; not inlined, so that it is the same code everywhere.
#[inline(never)]
fn work(m: &mut [f32; 16], p: [f32; 3]) -> [f32; 3] {
    for _ in 0..100 {
        *m = invert(m);
    }
    std::array::from_fn(|row| m[row] * p[0] + m[4 + row] * p[1] + m[8 + row] * p[2] + m[12 + row])
}

fn one(p: &mut Position, t: &mut Transform) {
    [p.x, p.y, p.z] = work(&mut t.m, [p.x, p.y, p.z]);
}

fn add(sum: &mut Checksum, p: &Position, t: &Transform) {
    sum.add_f32([p.x, p.y, p.z].into_iter().chain(t.m));
}

type Bevy = (bevy::World, bevy::QueryState<(&'static mut Position, &'static mut Transform)>);

pub(super) fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    let cores = bench.options.cores;
    for n in bench.sizes(&[1_000], &[130]) {
        let Some(mut field) = bench.field("ecs_bench_suite", "heavy_compute, all cores", n) else { continue };
        field.repeats(2);
        let make = |neighbours| move || simulation(ours(n), schedule(neighbours), workers(cores), 1);
        field.add(OURS, "rows, jobs of 64", make(false), step, checksum_of_ours);
        field.add(OURS, "neighbours, jobs of 64", make(true), step, checksum_of_ours);
        field.note(OURS, "declared as a system that looks at neighbours, as only those count as costly");
        let make = || {
            let mut world = bevy::World::new();
            world.spawn_batch((0..n).map(entity));
            let query = world.query();
            (world, query)
        };
        let run = |(world, query): &mut Bevy| {
            let rows = query.par_iter_mut(world).batching_strategy(BatchingStrategy::fixed(BATCH));
            rows.for_each(|(mut p, mut t)| one(&mut p, &mut t));
        };
        let check = |(world, query): &mut Bevy| {
            let mut sum = Checksum::new();
            query.iter(world).for_each(|(p, t)| add(&mut sum, p, t));
            sum.get()
        };
        field.add(BEVY, "par_iter_mut, batches of 64", make, run, check);
        let make = || {
            let mut world = hecs::World::new();
            world.spawn_batch((0..n).map(entity));
            world
        };
        let run = |world: &mut hecs::World| {
            let batches = world.query_mut::<(&mut Position, &mut Transform)>().into_iter_batched(BATCH as u32);
            batches.par_bridge().for_each(|batch| batch.for_each(|(p, t)| one(p, t)));
        };
        let check = |world: &mut hecs::World| {
            let mut sum = Checksum::new();
            world.query_mut::<(&Position, &Transform)>().into_iter().for_each(|(p, t)| add(&mut sum, p, t));
            sum.get()
        };
        field.add(HECS, "iter_batched of 64, rayon's par_bridge", make, run, check);
        let make = || {
            let world = flecs::World::new();
            flecs_bulk!(world, n, entity, 0, 1, 2, 3);
            world.set_threads(cores as i32);
            world.system::<(&mut Position, &mut Transform)>().par_each(|(p, t)| one(p, t));
            world
        };
        let progress = |world: &mut flecs::World| {
            world.progress();
        };
        let check = |world: &mut flecs::World| {
            let mut sum = Checksum::new();
            let query = world.query::<(&Position, &Transform)>().set_cached().build();
            query.each(|(p, t)| add(&mut sum, p, t));
            sum.get()
        };
        field.add(FLECS, "a multi-threaded system", make, progress, check);
        let make = || {
            let mut world = shipyard::World::new();
            world.bulk_add_entity((0..n).map(entity));
            world
        };
        let run = |world: &mut shipyard::World| {
            world.run(|mut p: ViewMut<'_, Position>, mut t: ViewMut<'_, Transform>| {
                (&mut p, &mut t).par_iter().for_each(|(p, t)| one(p, t));
            });
        };
        let check = |world: &mut shipyard::World| {
            let mut sum = Checksum::new();
            world.run(|p: View<'_, Position>, t: View<'_, Transform>| {
                (&p, &t).iter().for_each(|(p, t)| add(&mut sum, p, t));
            });
            sum.get()
        };
        field.add(SHIPYARD, "par_iter", make, run, check);
        field.measure()?;
    }
    Ok(())
}

fn ours(n: usize) -> World {
    let builder = World::builder().component::<Transform>().component::<Position>().component::<Rotation>();
    let mut world = builder.component::<Velocity>().build().expect("a world can be made");
    world.spawn_batch((0..n).map(entity)).expect("there is memory");
    world
}

fn schedule(neighbours: bool) -> Schedule {
    type Own = (Write<Position>, Write<Transform>);
    let kernel = |(mut p, mut t): <Own as hypostyle::Query>::Item<'_>| {
        let rows = p.x.iter_mut().zip(p.y.iter_mut()).zip(p.z.iter_mut()).zip(t.m.iter_mut());
        for (((x, y), z), m) in rows {
            [*x, *y, *z] = work(m, [*x, *y, *z]);
        }
    };
    let mut schedule = Schedule::new();
    schedule.add(if neighbours {
        System::neighbours::<Own, With<Rotation>>("heavy", move |_, own, _| kernel(own)).job_rows(BATCH as u32)
    } else {
        System::rows::<Own>("heavy", move |_, own| kernel(own)).job_rows(BATCH as u32)
    });
    schedule
}

fn checksum_of_ours(simulation: &mut Simulation) -> u64 {
    let mut sum = Checksum::new();
    let query = simulation.world().query::<(Read<Position>, Read<Transform>)>(|_, (p, t)| {
        (0..p.x.len()).for_each(|row| {
            sum.add_f32([p.x[row], p.y[row], p.z[row]].into_iter().chain(t.m[row]));
        });
    });
    query.expect("known components");
    sum.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_of_an_inverse_is_the_matrix() {
        let m = entity(3).0.m;
        let back = invert(&invert(&m));
        assert!(m.iter().zip(back).all(|(a, b)| (a - b).abs() < 1e-5), "{m:?} {back:?}");
        let moved = [1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 3.0, 4.0, 5.0, 1.0];
        assert_eq!(invert(&moved)[12..15], [-3.0, -2.0, -1.25]);
    }
}
