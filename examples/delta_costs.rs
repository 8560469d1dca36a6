//! What deltas cost: bytes and nanoseconds per changed row, and what clients of a gateway cost the simulation.
//!
//! `cargo run --release --example delta_costs` prints tables; nothing here is a test. One core works for the gateway (its
//! engine and its sockets), so the processor time per update says how many clients a core serves.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example may")]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/gateway/client.rs"]
mod client;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hypostyle::delta::{Selection, Shadow, State};
use hypostyle::gateway::{Gateway, Options};
use hypostyle::{Component, Entity, World};
use serde_json::json;

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
            let mut before = shadow.look(&reader.pin().unwrap()).look;
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
                let look = shadow.look(&snapshot).look;
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

/// Processor time of this process.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<u64> = text.rsplit(')').next().unwrap().split(' ').filter_map(|f| f.parse().ok()).collect();
    // user and system time, in hundredths of a second: places 14 and 15, of which ")" and "S" are gone
    Duration::from_millis(10 * (fields.get(10).unwrap_or(&0) + fields.get(11).unwrap_or(&0)))
}

/// Frames of 10,000 changed rows at 60 a second for some seconds, with so many clients at 20 Hz.
fn clients(count: usize) {
    let (mut world, entities) = world(200_000);
    let reader = world.reader().unwrap();
    let options = Options::new("127.0.0.1:0".parse().unwrap(), "costs");
    let gateway = Gateway::bind(Box::new(move || reader.another()), options).unwrap();
    let (address, stopper) = (gateway.address(), gateway.stopper());
    let serving = std::thread::spawn(move || gateway.run().unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let (updates, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..count)
        .map(|_| {
            let (stop, updates, bytes) = (Arc::clone(&stop), Arc::clone(&updates), Arc::clone(&bytes));
            std::thread::spawn(move || {
                let mut socket = client::Socket::open(address, "/live", "").unwrap();
                socket.send(0x81, json!({"rate_hz": 20}).to_string().as_bytes());
                while !stop.load(Ordering::Relaxed) {
                    // what a client does with an update is not the gateway's cost: it is only acknowledged
                    let message = socket.expect(3);
                    bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
                    if message[2] & 2 != 0 {
                        updates.fetch_add(1, Ordering::Relaxed);
                        let body = [&message[8..12], &[0; 4], &message[24..32]].concat();
                        socket.send(0x82, &body);
                    }
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    let (mut frames, mut spent) = (0u32, Duration::ZERO);
    let (begun, used) = (Instant::now(), processor());
    let before = (updates.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
    while begun.elapsed() < Duration::from_secs(5) {
        let frame = Instant::now();
        change(&mut world, &entities, 10_000, true, frames as usize);
        frames += 1;
        spent += frame.elapsed();
        std::thread::sleep(Duration::from_micros(16_667).saturating_sub(frame.elapsed()));
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let used = (processor() - used).saturating_sub(spent).as_secs_f64();
    let updates = updates.load(Ordering::Relaxed) - before.0;
    let megabytes = (bytes.load(Ordering::Relaxed) - before.1) as f64 / 1e6;
    let frame_us = spent.as_secs_f64() * 1e6 / f64::from(frames);
    let per_update_us = used * 1e6 / updates.max(1) as f64;
    println!(
        "{count:>8} {frame_us:>12.0} {:>10.1} {:>8.1} {:>14.0}",
        updates as f64 / elapsed,
        megabytes / elapsed,
        per_update_us
    );
    stop.store(true, Ordering::Relaxed);
    // clients wait for an update: there is one
    change(&mut world, &entities, 10, true, 0);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    stopper.stop();
    serving.join().unwrap();
}

fn main() {
    deltas();
    println!("\n10,000 of 200,000 rows change in each of 60 frames a second; clients take 20 updates a second");
    println!("{:>8} {:>12} {:>10} {:>8} {:>14}", "clients", "frame us", "updates/s", "MB/s", "CPU us/update");
    for count in [0, 1, 8, 32] {
        clients(count);
    }
}
