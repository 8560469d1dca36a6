//! What a publication and the first look at it cost beside the rows that changed: a named region, one row or one in a
//! hundred set before each publication. Rounds are interleaved over worlds; medians of single calls, less what the clock
//! takes. `cargo bench --bench publish`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints")]

use std::hint::black_box;
use std::time::Instant;

use hypostyle::{Component, Entity, Reader, RegionTarget, World};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
    z: f32,
}
#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f32,
    y: f32,
    z: f32,
}

const ROUNDS: usize = 15;
const PUBLICATIONS: usize = 1_000;

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// A world of so many rows, of which the first `dirty` are set before each publication.
struct Case {
    rows: usize,
    dirty: Vec<Entity>,
    world: World,
    reader: Reader,
    times: [Vec<u64>; 5],
}

impl Case {
    fn new((rows, dirty): (usize, usize)) -> Case {
        let region = RegionTarget::Named(format!("bench-publish-{}-{rows}-{dirty}", std::process::id()));
        let mut world =
            World::builder().component::<Position>().component::<Velocity>().region(region).build().unwrap();
        let row = |i: usize| (Position { x: i as f32, y: 0.0, z: 0.0 }, Velocity { x: 1.0, y: 1.0, z: 1.0 });
        let dirty = world.spawn_batch((0..rows).map(row)).unwrap()[..dirty].to_vec();
        world.publish().unwrap();
        let reader = world.reader().unwrap();
        Case { rows, dirty, world, reader, times: Default::default() }
    }

    fn round(&mut self) {
        for i in 0..PUBLICATIONS {
            let value = Position { x: i as f32, y: 0.0, z: 0.0 };
            let begun = Instant::now();
            self.world.set_batch(self.dirty.iter().map(|entity| (*entity, value))).unwrap();
            let set = Instant::now();
            self.world.publish().unwrap();
            let published = Instant::now();
            drop(black_box(self.reader.pin().unwrap()));
            let pinned = Instant::now();
            drop(black_box(self.reader.pin().unwrap()));
            let again = Instant::now();
            let clock = Instant::now();
            let moments = [begun, set, published, pinned, again, clock];
            for (times, pair) in self.times.iter_mut().zip(moments.windows(2)) {
                times.push((pair[1] - pair[0]).as_nanos() as u64);
            }
        }
    }
}

fn main() {
    let mut cases: Vec<Case> =
        [(1_000, 1), (1_000, 10), (100_000, 1_000), (1_000_000, 1), (1_000_000, 10_000)].map(Case::new).into();
    for _ in 0..ROUNDS {
        cases.iter_mut().for_each(Case::round);
    }
    println!(
        "{:>10} {:>8} {:>10} {:>10} {:>12} {:>12}  ns",
        "rows", "set", "setting", "publish", "first look", "look again"
    );
    for case in &mut cases {
        let [set, publish, first, again, clock] = case.times.each_mut().map(|times| median(times));
        let [set, publish, first, again] = [set, publish, first, again].map(|time| time.saturating_sub(clock));
        println!("{:>10} {:>8} {set:>10} {publish:>10} {first:>12} {again:>12}", case.rows, case.dirty.len());
    }
}
