//! What a reduction costs beside a loop written by hand: 1 M rows of one `f64`, summed. The loop that gives the same bits adds
//! up the same ranges and joins them by the same tree; the plain loop adds row after row. Rounds are interleaved; the thread's
//! own time, medians of ratios. `cargo bench --bench reduce`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints")]

use std::hint::black_box;

use hypostyle::{Component, Read, Reduce, Resource, Schedule, Simulation, System, Workers, World};

#[derive(Component, Clone, Copy)]
struct Mass {
    kg: f64,
}
#[derive(Resource, Reduce, Clone, Copy)]
struct Total {
    #[reduce(sum)]
    kg: f64,
}

const ROWS: usize = 1 << 20;
/// Rows of a job, and of a range of `World::reduce`.
const RANGE: usize = 8192;
const ROUNDS: usize = 31;
const FRAMES: usize = 10;

/// Nanoseconds that this thread has run.
fn own_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn plain(values: &[f64]) -> f64 {
    values.iter().sum()
}

/// As the engine sums: range by range, joined by a tree.
fn by_ranges(values: &[f64], sums: &mut Vec<f64>) -> f64 {
    sums.clear();
    sums.extend(values.chunks(RANGE).map(plain));
    let mut apart = 1;
    while apart < sums.len() {
        for earlier in (0..sums.len() - apart).step_by(2 * apart) {
            sums[earlier] += sums[earlier + apart];
        }
        apart *= 2;
    }
    sums[0]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let value = |i: usize| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 * 1e-3;
    let values: Vec<f64> = (0..ROWS).map(value).collect();
    let mut world = World::builder().component::<Mass>().resource::<Total>().build().unwrap();
    world.spawn_batch((0..ROWS).map(|i| Mass { kg: value(i) })).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(
        System::rows::<Read<Mass>>("weigh", |job, mass| job.reduce(Total { kg: plain(mass.kg) })).reduces::<Total>(),
    );
    let mut simulation =
        Simulation::builder().workers(Workers::Local).publish_every(1 << 30).build(world, schedule).unwrap();
    simulation.run(3, 1.0).unwrap();
    let mut sums = Vec::new();
    let (mut engine, mut between, mut loops) = (Vec::new(), Vec::new(), Vec::new());
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let time = |run: &mut dyn FnMut()| {
            let before = own_ns();
            (0..FRAMES).for_each(|_| run());
            (own_ns() - before) as f64
        };
        let own = time(&mut || {
            black_box(by_ranges(black_box(&values), &mut sums));
        });
        let first = time(&mut || {
            black_box(plain(black_box(&values)));
        });
        let frames = time(&mut || {
            simulation.step(1.0).unwrap();
        });
        // in pieces that one thread takes: with others the thread's own time is not all
        let looked = time(&mut || {
            let mut sums = Vec::new();
            simulation.world().query::<Read<Mass>>(|_, mass| sums.push(by_ranges(mass.kg, &mut Vec::new()))).unwrap();
            black_box(sums);
        });
        engine.push(frames / own);
        between.push(looked / own);
        loops.push(first / own);
        best = best.min(own);
    }
    let total = simulation.world().resource::<Total>().unwrap().kg;
    assert_eq!(total.to_bits(), by_ranges(&values, &mut sums).to_bits(), "the same bits");
    let all: Total = simulation.world().reduce::<Read<Mass>, _>(|_, mass| Total { kg: plain(mass.kg) }).unwrap();
    assert_eq!(all.kg.to_bits(), total.to_bits(), "between frames, too");
    println!(
        "{ROWS} rows of one f64; time over that of a loop by the same ranges ({:.2} ns a row)",
        best / (ROWS * FRAMES) as f64
    );
    println!("a frame that reduces   {:.3}", median(engine));
    println!("a query between frames {:.3}", median(between));
    println!("a plain loop           {:.3}", median(loops));
}
