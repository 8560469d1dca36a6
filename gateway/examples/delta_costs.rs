//! What deltas cost: bytes and nanoseconds per changed row.
//!
//! `cargo run --release --example delta_costs` prints a table; nothing here is a test. What a gateway costs is told by
//! the example `gateway_load`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example may")]

use std::time::Instant;

use hypostyle::{Component, Entity, World};
use hypostyle_gateway::delta::{Selection, Shadow, State};

const ROWS: usize = 1_000_000;
const MESSAGE: usize = 1 << 20;
const ROUNDS: usize = 5;

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
    z: f32,
}

fn world(rows: usize) -> (World, Vec<Entity>) {
    let mut world = World::builder().component::<Position>().bytes_max(4 << 30).build().unwrap();
    let x: Vec<f32> = (0..rows).map(|i| (i as f32).sin()).collect();
    let spawn = world.spawn_columns(rows).column("position.x", &x).column("position.y", &x);
    let entities = spawn.column("position.z", &x).spawn().unwrap();
    world.publish().unwrap();
    (world, entities)
}

/// Changes so many rows: one run of them, or spread evenly.
fn change(world: &mut World, entities: &[Entity], count: usize, spread: bool, round: usize) {
    let step = if spread { entities.len() / count } else { 1 };
    for index in 0..count {
        let value = (index + round) as f32 * 0.001;
        let place = Position { x: value, y: value + 1.0, z: value + 2.0 };
        world.set(entities[index * step + round % step], place).unwrap();
    }
    world.publish().unwrap();
}

fn deltas() {
    println!("1,000,000 rows of three f32; per changed row, the best of {ROUNDS}");
    println!("{:>8} {:>10} {:>9} {:>9} {:>9} {:>9}", "changed", "rows", "look ns", "encode ns", "apply ns", "bytes");
    let (mut world, entities) = world(ROWS);
    let mut reader = world.reader().unwrap();
    for (share, count) in [("0.1 %", 1_000), ("1 %", 10_000), ("10 %", 100_000), ("50 %", 500_000), ("100 %", ROWS)] {
        for spread in [false, true] {
            if count == ROWS && spread {
                continue;
            }
            let mut shadow = Shadow::new(Selection::view());
            let mut before = shadow.update(&reader.pin().unwrap()).revision;
            let mut state = State::new();
            let full = shadow.delta(None, &Selection::view(), (None, None), MESSAGE).into_messages(0);
            state.apply(&full, None, 1 << 30).unwrap();
            let mut best = [f64::INFINITY; 3];
            let mut bytes = 0;
            for round in 0..ROUNDS {
                change(&mut world, &entities, count, spread, round);
                let mut laps = [0.0; 3];
                let snapshot = reader.pin().unwrap();
                let begun = Instant::now();
                let look = shadow.update(&snapshot).revision;
                laps[0] = begun.elapsed().as_secs_f64();
                drop(snapshot);
                let begun = Instant::now();
                let delta = shadow.delta(Some(before), &Selection::view(), (None, None), MESSAGE);
                let messages = delta.into_messages(0);
                laps[1] = begun.elapsed().as_secs_f64();
                bytes = messages.iter().map(Vec::len).sum();
                let begun = Instant::now();
                state.apply(&messages, None, 1 << 30).unwrap();
                laps[2] = begun.elapsed().as_secs_f64();
                before = look;
                best.iter_mut().zip(laps).for_each(|(best, lap)| *best = best.min(lap));
            }
            let [look, encode, apply] = best.map(|seconds| seconds * 1e9 / count as f64);
            let pattern = if spread { "spread" } else { "run" };
            let per_row = bytes as f64 / count as f64;
            println!("{share:>8} {pattern:>10} {look:>9.1} {encode:>9.1} {apply:>9.1} {per_row:>9.1}");
        }
    }
}

fn main() {
    deltas();
}
