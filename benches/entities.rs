//! What an entity costs that is reached by its handle: one call for each beside one for all (or a look-up made once for
//! all), 100,000 entities in the order of their rows and in no order. Rounds are interleaved; the thread's own time, medians. `cargo bench --bench entities`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints")]

use std::hint::black_box;

use hypostyle::{Component, Entity, World};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
    z: f32,
}
#[derive(Component, Clone, Copy)]
struct Mass {
    kg: f32,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Lit;

const ENTITIES: usize = 100_000;
const ROUNDS: usize = 15;

/// Nanoseconds that this thread has run.
fn own_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

type Call = fn(&mut World, &[Entity]);
type Case = (&'static str, Call, Call);

/// What is done, one by one and for all at once. Each leaves the world as it was, or as good as.
const CASES: &[Case] = &[
    (
        "get",
        |world, all| {
            let sum: f32 = all.iter().map(|entity| world.get::<Position>(*entity).unwrap().y).sum();
            black_box(sum);
        },
        |world, all| {
            let sum: f32 = world.get_batch::<Position>(all).unwrap().iter().map(|position| position.y).sum();
            black_box(sum);
        },
    ),
    (
        "get two components",
        |world, all| {
            let each = all.iter().map(|entity| world.get::<(Position, Mass)>(*entity).unwrap());
            black_box(each.map(|(position, mass)| position.y * mass.kg).sum::<f32>());
        },
        |world, all| {
            let each = world.get_batch::<(Position, Mass)>(all).unwrap();
            black_box(each.iter().map(|(position, mass)| position.y * mass.kg).sum::<f32>());
        },
    ),
    (
        "set",
        |world, all| all.iter().for_each(|entity| world.set(*entity, Mass { kg: 2.0 }).unwrap()),
        |world, all| world.set_batch(all.iter().map(|entity| (*entity, Mass { kg: 2.0 }))).unwrap(),
    ),
    (
        "set 3 fields",
        |world, all| all.iter().for_each(|entity| world.set(*entity, Position { x: 1.0, y: 2.0, z: 3.0 }).unwrap()),
        |world, all| {
            world.set_batch(all.iter().map(|entity| (*entity, Position { x: 1.0, y: 2.0, z: 3.0 }))).unwrap();
        },
    ),
    (
        "add and remove a toggle",
        |world, all| {
            all.iter().for_each(|entity| world.add(*entity, Lit).unwrap());
            all.iter().for_each(|entity| _ = world.remove::<Lit>(*entity).unwrap());
        },
        |world, all| {
            world.add_batch(all.iter().map(|entity| (*entity, Lit))).unwrap();
            world.remove_batch::<Lit>(all).unwrap();
        },
    ),
    (
        "remove and add a table component",
        |world, all| {
            all.iter().for_each(|entity| _ = world.remove::<Mass>(*entity).unwrap());
            all.iter().for_each(|entity| world.add(*entity, Mass { kg: 1.0 }).unwrap());
        },
        |world, all| {
            world.remove_batch::<Mass>(all).unwrap();
            world.add_batch(all.iter().map(|entity| (*entity, Mass { kg: 1.0 }))).unwrap();
        },
    ),
];

/// One call for each beside a look-up that is made once and asked for each.
const LOOKED_UP: &[Case] = &[
    (
        "get, looked up",
        |world, all| {
            let sum: f32 = all.iter().map(|entity| world.get::<Position>(*entity).unwrap().y).sum();
            black_box(sum);
        },
        |world, all| {
            let look = world.lookup::<Position>().unwrap();
            let sum: f32 = all.iter().map(|entity| look.get(*entity).unwrap().y).sum();
            black_box(sum);
        },
    ),
    (
        "set, looked up",
        |world, all| all.iter().for_each(|entity| world.set(*entity, Mass { kg: 2.0 }).unwrap()),
        |world, all| {
            let mut look = world.lookup_mut::<Mass>().unwrap();
            all.iter().for_each(|entity| look.set(*entity, Mass { kg: 2.0 }).unwrap());
        },
    ),
    (
        "change, looked up",
        |world, all| all.iter().for_each(|entity| world.get_mut::<Mass>(*entity).unwrap().kg *= 1.5),
        |world, all| {
            let mut look = world.lookup_mut::<Mass>().unwrap();
            all.iter().for_each(|entity| look.update(*entity, |mass| mass.kg *= 1.5).unwrap());
        },
    ),
];

fn main() {
    let mut world = World::builder().component::<Position>().component::<Mass>().component::<Lit>().build().unwrap();
    let row = |i: usize| (Position { x: i as f32, y: 1.0, z: 0.0 }, Mass { kg: 1.0 });
    let in_order = world.spawn_batch((0..ENTITIES).map(row)).unwrap();
    let mut in_none = in_order.clone();
    in_none.sort_by_key(|entity| (u64::from(entity.index()) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    println!("{ENTITIES} entities, ns each: one call for each; one for all, or through one look-up");
    for (order, entities) in [("in order", &in_order), ("in no order", &in_none)] {
        for (name, single, batch) in CASES.iter().chain(LOOKED_UP) {
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (call, times) in [single, batch].into_iter().zip(&mut times) {
                    let before = own_ns();
                    call(&mut world, entities);
                    times.push((own_ns() - before) as f64 / ENTITIES as f64);
                }
            }
            let [single, batch] = times.each_mut().map(|times| median(times));
            println!("  {name:34} {order:12} {single:6.1} {batch:6.1}  {:.2} x", single / batch);
        }
    }
}
