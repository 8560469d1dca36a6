//! What deposits cost beside sets: 1 M patches on 1 M cells, on 1,000 and on one, and 1 M deposits on the same. Frames are
//! interleaved; ratios of the thread's own time, medians of rounds. `cargo bench --bench accumulate`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints")]

use hypostyle::{Component, Entity, FieldJoin, Read, Schedule, Simulation, System, Workers, World};

#[derive(Component, Clone, Copy)]
struct Source {
    to: Entity,
    value: f64,
}
#[derive(Component, Clone, Copy)]
struct Cell {
    value: f64,
}

const ROWS: usize = 1 << 20;
const ROUNDS: usize = 15;
const FRAMES: u64 = 6;

/// Nanoseconds that this thread has run.
fn own_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn simulation(cells: usize, scattered: bool, system: System) -> Simulation {
    let mut world = World::builder().component::<Source>().component::<Cell>().build().unwrap();
    let targets = world.spawn_batch((0..cells).map(|_| Cell { value: 0.0 })).unwrap();
    let place = |i: usize| if scattered { i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20 } else { i };
    world.spawn_batch((0..ROWS).map(|i| Source { to: targets[place(i) % cells], value: i as f64 })).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(system);
    let mut simulation =
        Simulation::builder().workers(Workers::Local).publish_every(1 << 20).build(world, schedule).unwrap();
    simulation.run(2, 1.0).unwrap();
    simulation
}

fn main() {
    let set = || {
        System::rows::<Read<Source>>("set", |job, source| {
            source.to.iter().zip(source.value).for_each(|(to, value)| job.set(*to, Cell { value: *value }));
        })
        .sets::<Cell>()
    };
    let accumulate = || {
        System::rows::<Read<Source>>("accumulate", |job, source| {
            source.to.iter().zip(source.value).for_each(|(to, value)| job.accumulate(*to, Cell { value: *value }));
        })
        .accumulates::<Cell>(FieldJoin::Sum)
    };
    println!("{ROWS} patches; time of deposits over that of sets, median of {ROUNDS} (least, greatest)");
    for (cells, scattered) in [(ROWS, false), (ROWS, true), (1000, false), (1000, true), (1, false)] {
        let mut both = [simulation(cells, scattered, set()), simulation(cells, scattered, accumulate())];
        let mut ratios = Vec::new();
        let mut best = [u64::MAX; 2];
        for _ in 0..ROUNDS {
            let times = both.each_mut().map(|simulation| {
                let before = own_ns();
                simulation.run(FRAMES, 1.0).unwrap();
                own_ns() - before
            });
            best = [best[0].min(times[0]), best[1].min(times[1])];
            ratios.push(times[1] as f64 / times[0].max(1) as f64);
        }
        ratios.sort_by(f64::total_cmp);
        let per_patch = best.map(|ns| ns as f64 / (ROWS as u64 * FRAMES) as f64);
        let order = if scattered { "scattered" } else { "in order" };
        println!(
            "{cells:>8} cells, {order:<9}  {:.2} ({:.2}, {:.2})   set {:.1} ns, deposit {:.1} ns a patch",
            ratios[ROUNDS / 2],
            ratios[0],
            ratios[ROUNDS - 1],
            per_patch[0],
            per_patch[1]
        );
    }
}
