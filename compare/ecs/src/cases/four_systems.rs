//! Four systems over the same entities: v += a dt, p += v dt, v *= d, h -= dt. What matters is how often memory is
//! crossed.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, Builder, QueryAPI, QueryBuilderImpl};
use hypostyle::{Read, Schedule, Simulation, System, Workers, World, Write};
use rayon::prelude::*;
use shipyard::{IntoIter as _, View, ViewMut};

use crate::checksum::Checksum;
use crate::components::{Acceleration, Damping, Health, Position, Velocity};
use crate::measure::{Bench, Field, Mismatch};
use crate::row::LIMIT;
use crate::support::{bevy_pairs, flecs_pairs, hecs_pairs, hecs_single, simulation, step, workers};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

const DT: f32 = 1.0 / 60.0;

type Entity = (Position, Velocity, Acceleration, Damping, Health);

fn entity(index: usize) -> Entity {
    let x = index as f32;
    let small = (index % 1000) as f32 * 1e-3;
    (
        Position { x, y: x * 0.5, z: -x },
        Velocity { x: small, y: small + 1e-3, z: small - 0.5 },
        Acceleration { x: 0.0, y: -9.81, z: small },
        Damping { kept: 1.0 - small * 1e-2 },
        Health { points: 100.0 + small },
    )
}

#[inline(always)]
fn accelerate(v: &mut Velocity, a: &Acceleration) {
    v.x += a.x * DT;
    v.y += a.y * DT;
    v.z += a.z * DT;
}

#[inline(always)]
fn advance(p: &mut Position, v: &Velocity) {
    p.x += v.x * DT;
    p.y += v.y * DT;
    p.z += v.z * DT;
}

#[inline(always)]
fn damp(v: &mut Velocity, d: &Damping) {
    v.x *= d.kept;
    v.y *= d.kept;
    v.z *= d.kept;
}

#[inline(always)]
fn wear(h: &mut Health) {
    h.points -= DT;
}

#[inline(always)]
fn zip<A, B>(one: impl Fn(&mut A, &B)) -> impl Fn(&mut [A], &[B]) {
    move |a, b| a.iter_mut().zip(b).for_each(|(a, b)| one(a, b))
}

fn zip_parallel<A: Send, B: Sync>(one: impl Fn(&mut A, &B) + Sync) -> impl Fn(&mut [A], &[B]) {
    const BLOCK: usize = 8192;
    move |a, b| {
        let blocks = a.par_chunks_mut(BLOCK).zip(b.par_chunks(BLOCK));
        blocks.for_each(|(a, b)| a.iter_mut().zip(b).for_each(|(a, b)| one(a, b)));
    }
}

#[inline]
fn add(sum: &mut Checksum, p: &Position, v: &Velocity, h: &Health) {
    sum.add_f32([p.x, p.y, p.z, v.x, v.y, v.z, h.points]);
}

/// All comparisons.
pub fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    let cores = bench.options.cores;
    for n in bench.sizes(&[1_000_000, 4_000_000], &[1_000]) {
        if let Some(mut field) = bench.field("four systems", "1 thread", n) {
            field.repeats(10).operations(n as u64, "ns/entity and frame");
            limit(&mut field, n);
            ours(&mut field, n, Workers::Local);
            bevy(&mut field, n);
            hecs(&mut field, n);
            flecs(&mut field, n);
            shipyard(&mut field, n);
            field.measure()?;
        }
        if let Some(mut field) = bench.field("four systems", "all cores", n) {
            field.repeats(10).operations(n as u64, "ns/entity and frame");
            ours(&mut field, n, workers(cores));
            bevy_parallel(&mut field, n);
            hecs_parallel(&mut field, n);
            shipyard_parallel(&mut field, n);
            field.measure()?;
        }
    }
    Ok(())
}

// by hand

/// Positions, velocities, accelerations, damping, health.
type Columns = [Vec<f32>; 11];

fn columns(n: usize) -> Columns {
    let mut columns: Columns = Default::default();
    for index in 0..n {
        let (p, v, a, d, h) = entity(index);
        let values = [p.x, p.y, p.z, v.x, v.y, v.z, a.x, a.y, a.z, d.kept, h.points];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    columns
}

fn limit(field: &mut Field<'_>, n: usize) {
    const BLOCK: usize = 8192;
    let run = move |columns: &mut Columns| {
        for from in (0..n).step_by(BLOCK) {
            let rows = from..(from + BLOCK).min(n);
            let [px, py, pz, vx, vy, vz, ax, ay, az, d, h] = columns.each_mut().map(|column| &mut column[rows.clone()]);
            for (p, v, a) in [(px, vx, ax), (py, vy, ay), (pz, vz, az)] {
                for (v, a) in v.iter_mut().zip(a.iter()) {
                    *v += a * DT;
                }
                for (p, v) in p.iter_mut().zip(v.iter()) {
                    *p += v * DT;
                }
                for (v, d) in v.iter_mut().zip(d.iter()) {
                    *v *= d;
                }
            }
            h.iter_mut().for_each(|h| *h -= DT);
        }
    };
    let check = |columns: &mut Columns| {
        let mut sum = Checksum::new();
        (0..columns[0].len()).for_each(|row| sum.add_f32([0, 1, 2, 3, 4, 5, 10].map(|column| columns[column][row])));
        sum.get()
    };
    field.add(LIMIT, "split columns in place, fused in blocks of 8,192 rows", || columns(n), run, check);
}

// hypostyle

fn world(n: usize) -> World {
    let mut world = World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .component::<Acceleration>()
        .component::<Damping>()
        .component::<Health>()
        .bytes_max((64 << 20) + n as u64 * 256)
        .table(&["position", "velocity", "acceleration", "damping", "health"], n as u64)
        .build()
        .expect("a world can be made");
    let columns = columns(n);
    const NAMES: [&str; 11] = [
        "position.x",
        "position.y",
        "position.z",
        "velocity.x",
        "velocity.y",
        "velocity.z",
        "acceleration.x",
        "acceleration.y",
        "acceleration.z",
        "damping.kept",
        "health.points",
    ];
    let spawn =
        NAMES.iter().zip(&columns).fold(world.spawn_columns(n), |spawn, (name, values)| spawn.column(name, values));
    spawn.spawn().expect("there is memory");
    world
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule
        .add(System::rows::<(Write<Velocity>, Read<Acceleration>)>("accelerate", |_, (mut v, a)| {
            v.x.map_with(a.x, |v, a| v + a * DT);
            v.y.map_with(a.y, |v, a| v + a * DT);
            v.z.map_with(a.z, |v, a| v + a * DT);
        }))
        .add(System::rows::<(Write<Position>, Read<Velocity>)>("advance", |_, (mut p, v)| {
            p.x.map_with(v.x, |p, v| p + v * DT);
            p.y.map_with(v.y, |p, v| p + v * DT);
            p.z.map_with(v.z, |p, v| p + v * DT);
        }))
        .add(System::rows::<(Write<Velocity>, Read<Damping>)>("damp", |_, (mut v, d)| {
            v.x.map_with(d.kept, |v, d| v * d);
            v.y.map_with(d.kept, |v, d| v * d);
            v.z.map_with(d.kept, |v, d| v * d);
        }))
        .add(System::rows::<Write<Health>>("wear", |_, mut h| h.points.map(|points| points - DT)));
    schedule
}

fn checksum_of_simulation(simulation: &mut Simulation) -> u64 {
    let mut sum = Checksum::new();
    let query = simulation.world().query::<(Read<Position>, Read<Velocity>, Read<Health>)>(|_, (p, v, h)| {
        for row in 0..p.x.len() {
            sum.add_f32([p.x[row], p.y[row], p.z[row], v.x[row], v.y[row], v.z[row], h.points[row]]);
        }
    });
    query.expect("known components");
    sum.get()
}

fn ours(field: &mut Field<'_>, n: usize, workers: Workers) {
    let make = |every| move || simulation(world(n), schedule(), workers, every);
    // every tenth call does ten frames in one pass
    let passes = |state: &mut (Simulation, u64)| {
        if state.1.is_multiple_of(10) {
            state.0.run(10, f64::from(DT)).expect("a frame does not fail");
        }
        state.1 += 1;
    };
    field.add(OURS, "a generation every frame", make(1), step, checksum_of_simulation);
    field.add(OURS, "a generation every 10 frames", make(10), step, checksum_of_simulation);
    field.add(
        OURS,
        "run(10): 10 frames per pass",
        || (make(10)(), 0),
        passes,
        |state| checksum_of_simulation(&mut state.0),
    );
}

// bevy_ecs

struct Bevy {
    world: bevy::World,
    accelerate: bevy::QueryState<(&'static mut Velocity, &'static Acceleration)>,
    advance: bevy::QueryState<(&'static mut Position, &'static Velocity)>,
    damp: bevy::QueryState<(&'static mut Velocity, &'static Damping)>,
    wear: bevy::QueryState<&'static mut Health>,
}

fn bevy_world(n: usize) -> Bevy {
    let mut world = bevy::World::new();
    world.spawn_batch((0..n).map(entity));
    let (accelerate, advance, damp, wear) = (world.query(), world.query(), world.query(), world.query());
    Bevy { world, accelerate, advance, damp, wear }
}

fn checksum_of_bevy(state: &mut Bevy) -> u64 {
    let mut sum = Checksum::new();
    let mut query = state.world.query::<(&Position, &Velocity, &Health)>();
    query.iter(&state.world).for_each(|(p, v, h)| add(&mut sum, p, v, h));
    sum.get()
}

fn bevy(field: &mut Field<'_>, n: usize) {
    let make = || bevy_world(n);
    let for_each = |state: &mut Bevy| {
        let Bevy { world, accelerate: first, advance: second, damp: third, wear: fourth } = state;
        first.iter_mut(world).for_each(|(mut v, a)| accelerate(&mut v, a));
        second.iter_mut(world).for_each(|(mut p, v)| advance(&mut p, v));
        third.iter_mut(world).for_each(|(mut v, d)| damp(&mut v, d));
        fourth.iter_mut(world).for_each(|mut h| wear(&mut h));
    };
    let contiguous = |state: &mut Bevy| {
        let Bevy { world, accelerate: first, advance: second, damp: third, wear: fourth } = state;
        bevy_pairs!(first, world, zip(accelerate));
        bevy_pairs!(second, world, zip(advance));
        bevy_pairs!(third, world, zip(damp));
        for mut h in fourth.contiguous_iter_mut(world).expect("tables are dense") {
            h.bypass_change_detection().iter_mut().for_each(wear);
        }
    };
    field.add(BEVY, "for_each", make, for_each, checksum_of_bevy);
    field.add(BEVY, "contiguous_iter_mut, change detection bypassed", make, contiguous, checksum_of_bevy);
}

fn bevy_parallel(field: &mut Field<'_>, n: usize) {
    let make = || bevy_world(n);
    let for_each = |state: &mut Bevy| {
        let Bevy { world, accelerate: first, advance: second, damp: third, wear: fourth } = state;
        first.par_iter_mut(world).for_each(|(mut v, a)| accelerate(&mut v, a));
        second.par_iter_mut(world).for_each(|(mut p, v)| advance(&mut p, v));
        third.par_iter_mut(world).for_each(|(mut v, d)| damp(&mut v, d));
        fourth.par_iter_mut(world).for_each(|mut h| wear(&mut h));
    };
    let contiguous = |state: &mut Bevy| {
        const DENSE: &str = "tables are dense";
        let Bevy { world, accelerate: first, advance: second, damp: third, wear: fourth } = state;
        let chunks = first.contiguous_par_iter_mut(world).expect(DENSE);
        chunks.for_each(|(mut v, a)| zip(accelerate)(v.bypass_change_detection(), a));
        let chunks = second.contiguous_par_iter_mut(world).expect(DENSE);
        chunks.for_each(|(mut p, v)| zip(advance)(p.bypass_change_detection(), v));
        let chunks = third.contiguous_par_iter_mut(world).expect(DENSE);
        chunks.for_each(|(mut v, d)| zip(damp)(v.bypass_change_detection(), d));
        let chunks = fourth.contiguous_par_iter_mut(world).expect(DENSE);
        chunks.for_each(|mut h| h.bypass_change_detection().iter_mut().for_each(wear));
    };
    field.add(BEVY, "par_iter_mut", make, for_each, checksum_of_bevy);
    field.add(BEVY, "contiguous_par_iter_mut, change detection bypassed", make, contiguous, checksum_of_bevy);
}

// hecs

fn hecs_world(n: usize) -> hecs::World {
    let mut world = hecs::World::new();
    world.spawn_batch((0..n).map(entity));
    world
}

fn checksum_of_hecs(world: &mut hecs::World) -> u64 {
    let mut sum = Checksum::new();
    world.query_mut::<(&Position, &Velocity, &Health)>().into_iter().for_each(|(p, v, h)| add(&mut sum, p, v, h));
    sum.get()
}

fn hecs(field: &mut Field<'_>, n: usize) {
    let make = || hecs_world(n);
    let query_mut = |world: &mut hecs::World| {
        world.query_mut::<(&mut Velocity, &Acceleration)>().into_iter().for_each(|(v, a)| accelerate(v, a));
        world.query_mut::<(&mut Position, &Velocity)>().into_iter().for_each(|(p, v)| advance(p, v));
        world.query_mut::<(&mut Velocity, &Damping)>().into_iter().for_each(|(v, d)| damp(v, d));
        world.query_mut::<&mut Health>().into_iter().for_each(wear);
    };
    let columns = |world: &mut hecs::World| {
        hecs_pairs(world, zip(accelerate));
        hecs_pairs(world, zip(advance));
        hecs_pairs(world, zip(damp));
        hecs_single(world, |h| h.iter_mut().for_each(wear));
    };
    field.add(HECS, "query_mut", make, query_mut, checksum_of_hecs);
    field.add(HECS, "columns of archetypes", make, columns, checksum_of_hecs);
}

fn hecs_parallel(field: &mut Field<'_>, n: usize) {
    let columns = |world: &mut hecs::World| {
        hecs_pairs(world, zip_parallel(accelerate));
        hecs_pairs(world, zip_parallel(advance));
        hecs_pairs(world, zip_parallel(damp));
        hecs_single(world, |h: &mut [Health]| h.par_iter_mut().with_min_len(8192).for_each(wear));
    };
    field.add(HECS, "columns of archetypes, rayon", || hecs_world(n), columns, checksum_of_hecs);
}

// flecs

struct Flecs {
    accelerate: flecs::Query<(&'static mut Velocity, &'static Acceleration)>,
    advance: flecs::Query<(&'static mut Position, &'static Velocity)>,
    damp: flecs::Query<(&'static mut Velocity, &'static Damping)>,
    wear: flecs::Query<(&'static mut Health,)>,
    world: flecs::World,
}

fn flecs_world(n: usize) -> Flecs {
    let world = flecs::World::new();
    let entities: Vec<Entity> = (0..n).map(entity).collect();
    let (p, v): (Vec<_>, Vec<_>) = entities.iter().map(|entity| (entity.0, entity.1)).unzip();
    let (a, d): (Vec<_>, Vec<_>) = entities.iter().map(|entity| (entity.2, entity.3)).unzip();
    let h: Vec<_> = entities.iter().map(|entity| entity.4).collect();
    world.entity_bulk(n as u32).set(&p).set(&v).set(&a).set(&d).set(&h).build();
    Flecs {
        accelerate: world.query().set_cached().build(),
        advance: world.query().set_cached().build(),
        damp: world.query().set_cached().build(),
        wear: world.query().set_cached().build(),
        world,
    }
}

fn checksum_of_flecs(state: &mut Flecs) -> u64 {
    let mut sum = Checksum::new();
    let query = state.world.new_query::<(&Position, &Velocity, &Health)>();
    query.each(|(p, v, h)| add(&mut sum, p, v, h));
    sum.get()
}

fn flecs(field: &mut Field<'_>, n: usize) {
    let make = || flecs_world(n);
    let each = |state: &mut Flecs| {
        state.accelerate.each(|(v, a)| accelerate(v, a));
        state.advance.each(|(p, v)| advance(p, v));
        state.damp.each(|(v, d)| damp(v, d));
        state.wear.each(|(h,)| wear(h));
    };
    let slices = |state: &mut Flecs| {
        flecs_pairs!(state.accelerate, Velocity, Acceleration, zip(accelerate));
        flecs_pairs!(state.advance, Position, Velocity, zip(advance));
        flecs_pairs!(state.damp, Velocity, Damping, zip(damp));
        state.wear.run(|mut it| {
            while it.next() {
                it.field_mut::<Health>(0).as_mut_slice().iter_mut().for_each(wear);
            }
        });
    };
    field.add(FLECS, "each", make, each, checksum_of_flecs);
    field.add(FLECS, "run with slices", make, slices, checksum_of_flecs);
}

// shipyard

fn shipyard_world(n: usize) -> shipyard::World {
    let mut world = shipyard::World::new();
    world.bulk_add_entity((0..n).map(entity));
    world
}

fn checksum_of_shipyard(world: &mut shipyard::World) -> u64 {
    let mut sum = Checksum::new();
    world.run(|p: View<'_, Position>, v: View<'_, Velocity>, h: View<'_, Health>| {
        (&p, &v, &h).iter().for_each(|(p, v, h)| add(&mut sum, p, v, h));
    });
    sum.get()
}

fn shipyard(field: &mut Field<'_>, n: usize) {
    let iter = |world: &mut shipyard::World| {
        world.run(|mut v: ViewMut<'_, Velocity>, a: View<'_, Acceleration>| {
            (&mut v, &a).iter().for_each(|(v, a)| accelerate(v, a));
        });
        world.run(|mut p: ViewMut<'_, Position>, v: View<'_, Velocity>| {
            (&mut p, &v).iter().for_each(|(p, v)| advance(p, v));
        });
        world.run(|mut v: ViewMut<'_, Velocity>, d: View<'_, Damping>| {
            (&mut v, &d).iter().for_each(|(v, d)| damp(v, d));
        });
        world.run(|mut h: ViewMut<'_, Health>| (&mut h).iter().for_each(wear));
    };
    field.add(SHIPYARD, "iter", || shipyard_world(n), iter, checksum_of_shipyard);
}

fn shipyard_parallel(field: &mut Field<'_>, n: usize) {
    let iter = |world: &mut shipyard::World| {
        world.run(|mut v: ViewMut<'_, Velocity>, a: View<'_, Acceleration>| {
            (&mut v, &a).par_iter().for_each(|(v, a)| accelerate(v, a));
        });
        world.run(|mut p: ViewMut<'_, Position>, v: View<'_, Velocity>| {
            (&mut p, &v).par_iter().for_each(|(p, v)| advance(p, v));
        });
        world.run(|mut v: ViewMut<'_, Velocity>, d: View<'_, Damping>| {
            (&mut v, &d).par_iter().for_each(|(v, d)| damp(v, d));
        });
        world.run(|mut h: ViewMut<'_, Health>| (&mut h).par_iter().for_each(wear));
    };
    field.add(SHIPYARD, "par_iter", || shipyard_world(n), iter, checksum_of_shipyard);
}
