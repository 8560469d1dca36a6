//! position += velocity * dt over three f32, dense: alone, with all cores, and with a state that another process can
//! read.
#![forbid(unsafe_code)]

use bevy_ecs::prelude as bevy;
use flecs_ecs::prelude::{self as flecs, Builder, ParSystemAPI, QueryAPI, QueryBuilderImpl};
use hypostyle::{Read, RegionTarget, Schedule, Simulation, System, Workers, World, Write};
use rayon::prelude::*;
use shipyard::IntoIter as _;

use crate::checksum::Checksum;
use crate::components::{Position, Velocity};
use crate::measure::{Bench, Field, Mismatch};
use crate::row::LIMIT;
use crate::sharing::Sharing;
use crate::support::{self, step, workers};
use crate::{BEVY, FLECS, HECS, OURS, SHIPYARD};

const DT: f32 = 1.0 / 60.0;

fn position(index: usize) -> Position {
    let x = index as f32;
    Position { x, y: x * 0.5, z: -x }
}

fn velocity(index: usize) -> Velocity {
    let x = (index % 1000) as f32 * 1e-3;
    Velocity { x, y: x + 1e-3, z: x - 0.5 }
}

/// What all engines do to an entity.
#[inline(always)]
fn advance(p: &mut Position, v: &Velocity) {
    p.x += v.x * DT;
    p.y += v.y * DT;
    p.z += v.z * DT;
}

fn slices(positions: &mut [Position], velocities: &[Velocity]) {
    for (p, v) in positions.iter_mut().zip(velocities) {
        advance(p, v);
    }
}

fn checksum<'a>(entities: impl IntoIterator<Item = (&'a Position, &'a Velocity)>) -> u64 {
    let mut sum = Checksum::new();
    entities.into_iter().for_each(|(p, v)| sum.add_f32([p.x, p.y, p.z, v.x, v.y, v.z]));
    sum.get()
}

fn checksum_of_positions<'a>(positions: impl IntoIterator<Item = &'a Position>) -> u64 {
    let mut sum = Checksum::new();
    positions.into_iter().for_each(|p| sum.add_f32([p.x, p.y, p.z]));
    sum.get()
}

/// All comparisons.
pub fn run(bench: &mut Bench) -> Result<(), Mismatch> {
    let sizes = bench.sizes(&[10_000, 100_000, 1_000_000, 10_000_000], &[1_000]);
    let cores = bench.options.cores;
    for &n in &sizes {
        // a whole number of generations, and long enough for the clock
        let passes = (200_000 / n).clamp(1, 20) as u64;
        if let Some(mut field) = bench.field("integrate", "1 thread", n) {
            field.repeats(10 * passes);
            limit(&mut field, n);
            ours(&mut field, n, Workers::Local, 10 * passes);
            bevy(&mut field, n);
            hecs(&mut field, n);
            flecs(&mut field, n);
            shipyard(&mut field, n);
            field.measure()?;
        }
        if let Some(mut field) = bench.field("integrate", "all cores", n) {
            field.repeats(10 * passes);
            limit_parallel(&mut field, n);
            ours(&mut field, n, workers(cores), 10 * passes);
            bevy_parallel(&mut field, n);
            hecs_parallel(&mut field, n);
            flecs_parallel(&mut field, n, cores);
            shipyard_parallel(&mut field, n);
            field.measure()?;
        }
        for every in [1, 10] {
            let case = match every {
                1 => "1 thread, readable by another process after every frame",
                _ => "1 thread, readable by another process after every 10 frames",
            };
            if let Some(mut field) = bench.field("integrate", case, n) {
                field.repeats(passes).operations(10 * n as u64, "ns/entity");
                service(&mut field, n, every, None);
                field.measure()?;
            }
        }
        let case = "all cores, readable by another process after every frame";
        if let Some(mut field) = bench.field("integrate", case, n) {
            field.repeats(passes).operations(10 * n as u64, "ns/entity");
            service(&mut field, n, 1, Some(cores));
            field.measure()?;
        }
    }
    Ok(())
}

// by hand

type Columns = [Vec<f32>; 6];

fn columns(n: usize) -> Columns {
    let mut columns: Columns = Default::default();
    for index in 0..n {
        let (p, v) = (position(index), velocity(index));
        for (column, value) in columns.iter_mut().zip([p.x, p.y, p.z, v.x, v.y, v.z]) {
            column.push(value);
        }
    }
    columns
}

fn limit(field: &mut Field<'_>, n: usize) {
    let run = |columns: &mut Columns| {
        let (positions, velocities) = columns.split_at_mut(3);
        for (position, velocity) in positions.iter_mut().zip(velocities) {
            for (p, v) in position.iter_mut().zip(velocity.iter()) {
                *p += v * DT;
            }
        }
        std::hint::black_box(columns);
    };
    field.add(LIMIT, "split columns, in place", || columns(n), run, checksum_of_columns);
}

fn limit_parallel(field: &mut Field<'_>, n: usize) {
    const BLOCK: usize = 8192;
    let run = |columns: &mut Columns| {
        let [px, py, pz, vx, vy, vz] = columns;
        let positions = px.par_chunks_mut(BLOCK).zip(py.par_chunks_mut(BLOCK)).zip(pz.par_chunks_mut(BLOCK));
        let velocities = vx.par_chunks(BLOCK).zip(vy.par_chunks(BLOCK)).zip(vz.par_chunks(BLOCK));
        positions.zip(velocities).for_each(|(((px, py), pz), ((vx, vy), vz))| {
            for (position, velocity) in [(px, vx), (py, vy), (pz, vz)] {
                for (p, v) in position.iter_mut().zip(velocity) {
                    *p += v * DT;
                }
            }
        });
    };
    field.add(LIMIT, "split columns, in place, rayon", || columns(n), run, checksum_of_columns);
}

fn checksum_of_columns(columns: &mut Columns) -> u64 {
    let mut sum = Checksum::new();
    (0..columns[0].len()).for_each(|row| sum.add_f32(columns.iter().map(|column| column[row])));
    sum.get()
}

// hypostyle

fn simulation(n: usize, workers: Workers, publish_every: u64, region: RegionTarget) -> Simulation {
    let mut world = World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .table(&["position", "velocity"], n as u64)
        .bytes_max((64 << 20) + n as u64 * 160)
        .region(region)
        .build()
        .expect("a world can be made");
    let [x, y, z, vx, vy, vz] = &columns(n);
    world
        .spawn_columns(n)
        .column("position.x", x)
        .column("position.y", y)
        .column("position.z", z)
        .column("velocity.x", vx)
        .column("velocity.y", vy)
        .column("velocity.z", vz)
        .spawn()
        .expect("there is memory");
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("integrate", |_, (mut position, velocity)| {
        position.x.map_with(velocity.x, |p, v| p + v * DT);
        position.y.map_with(velocity.y, |p, v| p + v * DT);
        position.z.map_with(velocity.z, |p, v| p + v * DT);
    }));
    support::simulation(world, schedule, workers, publish_every)
}

fn ours(field: &mut Field<'_>, n: usize, workers: Workers, frames: u64) {
    let make = |every| move || simulation(n, workers, every, RegionTarget::Heap);
    // one call of `run` does what the others do in a sample's ten calls: every tenth call works
    let passes = move |state: &mut (Simulation, u64)| {
        if state.1.is_multiple_of(10) {
            state.0.run(10, f64::from(DT)).expect("a frame does not fail");
        }
        state.1 += 1;
    };
    debug_assert!(frames.is_multiple_of(10));
    if workers == Workers::Local {
        let query = |simulation: &mut Simulation| {
            let query = simulation.world_mut().query_mut::<(Write<Position>, Read<Velocity>)>(|_, (mut p, v)| {
                p.x.map_with(v.x, |p, v| p + v * DT);
                p.y.map_with(v.y, |p, v| p + v * DT);
                p.z.map_with(v.z, |p, v| p + v * DT);
            });
            query.expect("known components");
        };
        field.add(OURS, "query_mut, no generations", make(1), query, checksum_of_simulation);
    }
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

fn checksum_of_simulation(simulation: &mut Simulation) -> u64 {
    let mut sum = Checksum::new();
    let add = |p: PositionRead<'_>, v: VelocityRead<'_>, sum: &mut Checksum| {
        for row in 0..p.x.len() {
            sum.add_f32([p.x[row], p.y[row], p.z[row], v.x[row], v.y[row], v.z[row]]);
        }
    };
    let world = simulation.world();
    world.query::<(Read<Position>, Read<Velocity>)>(|_, (p, v)| add(p, v, &mut sum)).expect("known components");
    sum.get()
}

type PositionRead<'a> = <Position as hypostyle::Component>::Columns<'a>;
type VelocityRead<'a> = <Velocity as hypostyle::Component>::Columns<'a>;

// bevy_ecs

struct Bevy {
    world: bevy::World,
    query: bevy::QueryState<(&'static mut Position, &'static Velocity)>,
}

fn bevy_world(n: usize) -> Bevy {
    let mut world = bevy::World::new();
    world.spawn_batch((0..n).map(|index| (position(index), velocity(index))));
    let query = world.query();
    Bevy { world, query }
}

fn checksum_of_bevy(state: &mut Bevy) -> u64 {
    checksum(state.world.query::<(&Position, &Velocity)>().iter(&state.world))
}

fn bevy_contiguous(state: &mut Bevy) {
    let chunks = state.query.contiguous_iter_mut(&mut state.world).expect("tables are dense");
    for (mut positions, velocities) in chunks {
        slices(positions.bypass_change_detection(), velocities);
    }
}

fn bevy(field: &mut Field<'_>, n: usize) {
    let make = || bevy_world(n);
    let for_each = |state: &mut Bevy| {
        state.query.iter_mut(&mut state.world).for_each(|(mut p, v)| advance(&mut p, v));
    };
    let bypass = |state: &mut Bevy| {
        use bevy_ecs::change_detection::DetectChangesMut;
        state.query.iter_mut(&mut state.world).for_each(|(mut p, v)| advance(p.bypass_change_detection(), v));
    };
    let contiguous = |state: &mut Bevy| {
        let chunks = state.query.contiguous_iter_mut(&mut state.world).expect("tables are dense");
        for (mut positions, velocities) in chunks {
            slices(&mut positions, velocities);
        }
    };
    field.add(BEVY, "for_each", make, for_each, checksum_of_bevy);
    field.add(BEVY, "for_each, change detection bypassed", make, bypass, checksum_of_bevy);
    field.add(BEVY, "contiguous_iter_mut", make, contiguous, checksum_of_bevy);
    field.add(BEVY, "contiguous_iter_mut, change detection bypassed", make, bevy_contiguous, checksum_of_bevy);
}

fn bevy_contiguous_parallel(state: &mut Bevy) {
    let chunks = state.query.contiguous_par_iter_mut(&mut state.world).expect("tables are dense");
    chunks.for_each(|(mut positions, velocities)| slices(positions.bypass_change_detection(), velocities));
}

fn bevy_parallel(field: &mut Field<'_>, n: usize) {
    let make = || bevy_world(n);
    let for_each = |state: &mut Bevy| {
        state.query.par_iter_mut(&mut state.world).for_each(|(mut p, v)| advance(&mut p, v));
    };
    field.add(BEVY, "par_iter_mut", make, for_each, checksum_of_bevy);
    let variant = "contiguous_par_iter_mut, change detection bypassed";
    field.add(BEVY, variant, make, bevy_contiguous_parallel, checksum_of_bevy);
}

// hecs

fn hecs_world(n: usize) -> hecs::World {
    let mut world = hecs::World::new();
    world.spawn_batch((0..n).map(|index| (position(index), velocity(index))));
    world
}

fn checksum_of_hecs(world: &mut hecs::World) -> u64 {
    checksum(world.query_mut::<(&Position, &Velocity)>())
}

fn hecs_columns(world: &mut hecs::World, mut each: impl FnMut(&mut [Position], &[Velocity])) {
    for archetype in world.archetypes() {
        let columns = (archetype.get::<&mut Position>(), archetype.get::<&Velocity>());
        let (Some(mut positions), Some(velocities)) = columns else { continue };
        each(&mut positions, &velocities);
    }
}

fn hecs(field: &mut Field<'_>, n: usize) {
    let make = || hecs_world(n);
    let query_mut = |world: &mut hecs::World| {
        world.query_mut::<(&mut Position, &Velocity)>().into_iter().for_each(|(p, v)| advance(p, v));
    };
    field.add(HECS, "query_mut", make, query_mut, checksum_of_hecs);
    field.add(HECS, "columns of archetypes", make, |world| hecs_columns(world, slices), checksum_of_hecs);
}

fn parallel_slices(positions: &mut [Position], velocities: &[Velocity]) {
    const BLOCK: usize = 8192;
    let blocks = positions.par_chunks_mut(BLOCK).zip(velocities.par_chunks(BLOCK));
    blocks.for_each(|(positions, velocities)| slices(positions, velocities));
}

fn hecs_parallel(field: &mut Field<'_>, n: usize) {
    let make = || hecs_world(n);
    let batches = |world: &mut hecs::World| {
        let batches = world.query_mut::<(&mut Position, &Velocity)>().into_iter_batched(8192);
        batches.par_bridge().for_each(|batch| batch.for_each(|(p, v)| advance(p, v)));
    };
    field.add(HECS, "iter_batched, rayon's par_bridge", make, batches, checksum_of_hecs);
    let columns = |world: &mut hecs::World| hecs_columns(world, parallel_slices);
    field.add(HECS, "columns of archetypes, rayon", make, columns, checksum_of_hecs);
}

// flecs

struct Flecs {
    // before the world, which it borrows from
    query: flecs::Query<(&'static mut Position, &'static Velocity)>,
    world: flecs::World,
}

fn flecs_world(n: usize) -> Flecs {
    let world = flecs::World::new();
    let positions: Vec<_> = (0..n).map(position).collect();
    let velocities: Vec<_> = (0..n).map(velocity).collect();
    world.entity_bulk(n as u32).set(&positions).set(&velocities).build();
    let query = world.query::<(&'static mut Position, &'static Velocity)>().set_cached().build();
    Flecs { query, world }
}

fn checksum_of_flecs(state: &mut Flecs) -> u64 {
    let mut sum = Checksum::new();
    state.world.new_query::<(&Position, &Velocity)>().each(|(p, v)| sum.add_f32([p.x, p.y, p.z, v.x, v.y, v.z]));
    sum.get()
}

fn flecs_slices(state: &mut Flecs, mut each: impl FnMut(&mut [Position], &[Velocity])) {
    state.query.run(|mut it| {
        while it.next() {
            each(it.field_mut::<Position>(0).as_mut_slice(), it.field::<Velocity>(1).as_slice());
        }
    });
}

fn flecs(field: &mut Field<'_>, n: usize) {
    let make = || flecs_world(n);
    let each = |state: &mut Flecs| state.query.each(|(p, v)| advance(p, v));
    field.add(FLECS, "each", make, each, checksum_of_flecs);
    field.add(FLECS, "run with slices", make, |state| flecs_slices(state, slices), checksum_of_flecs);
}

fn flecs_parallel(field: &mut Field<'_>, n: usize, cores: usize) {
    let make = || {
        let state = flecs_world(n);
        state.world.set_threads(cores as i32);
        state.world.system::<(&mut Position, &Velocity)>().par_run(|mut it| {
            while it.next() {
                slices(it.field_mut::<Position>(0).as_mut_slice(), it.field::<Velocity>(1).as_slice());
            }
        });
        state
    };
    let progress = |state: &mut Flecs| {
        state.world.progress();
    };
    field.add(FLECS, "a multi-threaded system with slices", make, progress, checksum_of_flecs);
}

// shipyard

fn shipyard_world(n: usize) -> shipyard::World {
    let mut world = shipyard::World::new();
    world.bulk_add_entity((0..n).map(|index| (position(index), velocity(index))));
    world
}

fn checksum_of_shipyard(world: &mut shipyard::World) -> u64 {
    world.run(|p: shipyard::View<'_, Position>, v: shipyard::View<'_, Velocity>| checksum((&p, &v).iter()))
}

fn shipyard_iter(world: &mut shipyard::World) {
    world.run(|mut p: shipyard::ViewMut<'_, Position>, v: shipyard::View<'_, Velocity>| {
        (&mut p, &v).iter().for_each(|(p, v)| advance(p, v));
    });
}

fn shipyard(field: &mut Field<'_>, n: usize) {
    field.add(SHIPYARD, "iter", || shipyard_world(n), shipyard_iter, checksum_of_shipyard);
}

fn shipyard_parallel_iter(world: &mut shipyard::World) {
    world.run(|mut p: shipyard::ViewMut<'_, Position>, v: shipyard::View<'_, Velocity>| {
        (&mut p, &v).par_iter().for_each(|(p, v)| advance(p, v));
    });
}

fn shipyard_parallel(field: &mut Field<'_>, n: usize) {
    field.add(SHIPYARD, "par_iter", || shipyard_world(n), shipyard_parallel_iter, checksum_of_shipyard);
}

// a state that another process can read: ten frames a run

/// Copies the positions after every so many frames.
struct Shared<S> {
    state: S,
    sharing: Sharing,
}

fn shared<S>(n: usize, make: impl FnOnce() -> S) -> Shared<S> {
    Shared { state: make(), sharing: Sharing::new(n * size_of::<Position>()) }
}

fn checksum_of_sharing<S>(n: usize) -> impl FnMut(&mut Shared<S>) -> u64 + 'static {
    move |shared| {
        let bytes = &shared.sharing.current()[..n * size_of::<Position>()];
        checksum_of_positions(bytemuck::cast_slice::<u8, Position>(bytes))
    }
}

fn service(field: &mut Field<'_>, n: usize, every: u64, cores: Option<usize>) {
    const NOTE: &str = "copies the positions alone; readers that are slow would see them change";
    ours_shared(field, n, every, cores);
    let publish = match cores {
        None => |sharing: &mut Sharing, p: &[Position]| sharing.publish([bytemuck::cast_slice(p)]),
        Some(_) => |sharing: &mut Sharing, p: &[Position]| sharing.publish_parallel([bytemuck::cast_slice(p)]),
    };
    let due = move |frame: u64| frame % every == every - 1;

    let step: fn(&mut Bevy) = if cores.is_some() { bevy_contiguous_parallel } else { bevy_contiguous };
    let run = move |shared: &mut Shared<Bevy>| {
        for frame in 0..10 {
            step(&mut shared.state);
            if due(frame) {
                let Bevy { world, query } = &mut shared.state;
                let chunks = query.contiguous_iter(world).expect("tables are dense");
                chunks.for_each(|(positions, _)| publish(&mut shared.sharing, positions));
            }
        }
    };
    let variant = "contiguous, change detection bypassed, then a copy";
    field.add(BEVY, variant, || shared(n, || bevy_world(n)), run, checksum_of_sharing(n)).note(BEVY, NOTE);

    let each: fn(&mut [Position], &[Velocity]) = if cores.is_some() { parallel_slices } else { slices };
    let run = move |shared: &mut Shared<hecs::World>| {
        for frame in 0..10 {
            hecs_columns(&mut shared.state, |positions, velocities| {
                each(positions, velocities);
                if due(frame) {
                    publish(&mut shared.sharing, positions);
                }
            });
        }
    };
    let variant = "columns of archetypes, then a copy";
    field.add(HECS, variant, || shared(n, || hecs_world(n)), run, checksum_of_sharing(n)).note(HECS, NOTE);

    let run = move |shared: &mut Shared<Flecs>| {
        for frame in 0..10 {
            flecs_slices(&mut shared.state, |positions, velocities| {
                each(positions, velocities);
                if due(frame) {
                    publish(&mut shared.sharing, positions);
                }
            });
        }
    };
    let variant = "run with slices, then a copy";
    field.add(FLECS, variant, || shared(n, || flecs_world(n)), run, checksum_of_sharing(n)).note(FLECS, NOTE);

    let step: fn(&mut shipyard::World) = if cores.is_some() { shipyard_parallel_iter } else { shipyard_iter };
    let run = move |shared: &mut Shared<shipyard::World>| {
        for frame in 0..10 {
            step(&mut shared.state);
            if due(frame) {
                let sharing = &mut shared.sharing;
                shared.state.run(|p: shipyard::View<'_, Position>| publish(sharing, p.as_slice()));
            }
        }
    };
    let variant = "iter, then a copy";
    field.add(SHIPYARD, variant, || shared(n, || shipyard_world(n)), run, checksum_of_sharing(n)).note(SHIPYARD, NOTE);
}

fn ours_shared(field: &mut Field<'_>, n: usize, every: u64, cores: Option<usize>) {
    let workers = cores.map_or(Workers::Local, workers);
    let make = || {
        let name = format!("compare-{}-{n}-{every}-{}", std::process::id(), cores.unwrap_or(0));
        simulation(n, workers, every, RegionTarget::Named(name))
    };
    let seen = |simulation: &mut Simulation| {
        let mut reader = simulation.world().reader().expect("a lease is free");
        let snapshot = reader.pin().expect("a generation is published");
        let mut sum = Checksum::new();
        for table in snapshot.tables() {
            let column = |name| table.column::<f32>(name).expect("a column of f32").unwrap_or_default();
            let (x, y, z) = (column("position.x"), column("position.y"), column("position.z"));
            (0..x.len()).for_each(|row| sum.add_f32([x[row], y[row], z[row]]));
        }
        sum.get()
    };
    let steps = |simulation: &mut Simulation| {
        for _ in 0..10 {
            simulation.step(f64::from(DT)).expect("a frame does not fail");
        }
    };
    let run = |simulation: &mut Simulation| {
        simulation.run(10, f64::from(DT)).expect("a frame does not fail");
    };
    field.add(OURS, "step: pinned and read in place", make, steps, seen);
    if every > 1 {
        let make = || {
            let name = format!("compare-{}-{n}-{every}-{}-passes", std::process::id(), cores.unwrap_or(0));
            simulation(n, workers, every, RegionTarget::Named(name))
        };
        field.add(OURS, "run(10): pinned and read in place", make, run, seen);
    }
}
