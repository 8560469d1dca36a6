//! What a row costs as worlds grow, and what more processors would make of it.
//!
//! Two worlds at each size: one that moves rows (`position += velocity * dt`, 36 bytes a row and frame), and one in which
//! rows also come and go, flags turn and patches are set. Of each: nanoseconds a row and frame, the longest of the first 100
//! frames over the median, and memory of the process a row. Beside them a loop by hand over such columns, on one thread
//! and on all, whose bytes a second are the model's: frames are bytes over bandwidth, and a wake for each worker
//! (docs/SCALING.md). The model is printed beside what was measured, and for as many cores as are asked for.
//!
//! `cargo bench --bench scale` up to the memory that is free, or `-- --rows N`; `-- --cores 64 --gb 400` asks for the
//! model's time on a machine of so many cores that moves so many gigabytes a second.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints")]

use std::time::Instant;

use hypostyle::{
    Bool, Component, GlobalId, Read, Schedule, Simulation, System, With, Workers, World, WorldBuilder, Write,
};

const DT: f32 = 1e-3;
/// Bytes that a frame moves for each row: three numbers of two components are read, three are written.
const BYTES_MOVED: f64 = 36.0;
/// In the frame after a generation columns are written anew, which reads their memory once more.
const BYTES_ANEW: f64 = 12.0;
const PUBLISH_EVERY: u64 = 10;
/// Frames whose longest one is told.
const FIRST: usize = 100;
/// Rows that frames move in all, at least, and at most this often.
const ROWS_MOVED: usize = 100_000_000;
const FRAMES_MAX: usize = 2000;
/// Bytes a row that is reckoned with before any was measured.
const ROW_BYTES: u64 = 90;
/// Rows of the frame that tells what waking workers costs: enough for jobs on all cores.
const WAKE_ROWS: usize = 100_000;
/// What of the memory that is free may be taken.
const MEMORY_SHARE: f64 = 0.7;

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

#[derive(Component, Clone, Copy)]
struct Charge {
    of: u32,
}

#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Hot {
    since: u32,
    is: Bool,
}

fn value(row: usize) -> f32 {
    (row % 1000) as f32 * 1e-3 - 0.5
}

fn at(row: usize) -> (Position, Velocity) {
    let value = value(row);
    (Position { x: value, y: value, z: value }, Velocity { x: -value, y: -value, z: -value })
}

fn move_rows() -> System {
    System::rows::<(Write<Position>, Read<Velocity>)>("move", |job, (mut at, speed)| {
        let dt = job.dt() as f32;
        at.x.map_with(speed.x, |x, v| x + v * dt);
        at.y.map_with(speed.y, |y, v| y + v * dt);
        at.z.map_with(speed.z, |z, v| z + v * dt);
    })
}

/// A builder whose regions may take all memory.
fn builder() -> WorldBuilder {
    World::builder().bytes_max(1 << 40).component::<Position>().component::<Velocity>()
}

fn moving(rows: usize) -> (World, Schedule) {
    let mut world = builder().build().unwrap();
    world.spawn_batch((0..rows).map(at)).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(move_rows());
    (world, schedule)
}

/// One row of a thousand goes in a frame and another one comes, one of a hundred turns a flag, one of a hundred is patched.
fn living(rows: usize) -> (World, Schedule) {
    let mut world = builder().component::<GlobalId>().component::<Charge>().component::<Hot>().build().unwrap();
    let row = |row: usize| (at(row).0, at(row).1, GlobalId::root(row as u64), Charge { of: row as u32 });
    world.spawn_batch((0..rows).map(row)).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(move_rows());
    let live = System::rows::<(Read<Position>, Read<Velocity>, Read<GlobalId>)>("live", |job, (at, speed, id)| {
        let frame = job.frame();
        for row in 0..job.len() {
            // few numbers, of which each frame meets others
            match (id.value[row].wrapping_add(frame.wrapping_mul(97))) % 1000 {
                0 => {
                    let child = id.value[row].wrapping_add(frame << 40);
                    job.spawn((
                        Position { x: at.x[row], y: at.y[row], z: at.z[row] },
                        Velocity { x: speed.x[row], y: speed.y[row], z: speed.z[row] },
                        GlobalId::root(child),
                        Charge { of: 1 },
                    ));
                    job.despawn_row(row);
                }
                1..=10 => job.add_row(row, Hot { since: frame as u32, is: Bool::TRUE }),
                11..=20 => job.remove_row::<Hot>(row),
                21..=30 => job.set_row(row, Charge { of: frame as u32 }),
                _ => {}
            }
        }
    });
    let live = live.spawns::<(Position, Velocity, GlobalId, Charge)>().despawns();
    schedule.add(live.adds::<Hot>().removes::<Hot>().sets::<Charge>());
    schedule.add(System::rows::<(Write<Charge>, With<Hot>)>("cool", |_, (mut charge, ())| charge.of.map(|of| of / 2)));
    (world, schedule)
}

/// What a world of some rows cost.
struct Cost {
    ns_per_row: f64,
    longest: f64,
    memory_per_row: f64,
}

/// Bytes of memory that this process has.
fn resident() -> u64 {
    proc_line("/proc/self/status", "VmRSS:").unwrap_or(0)
}

/// Kilobytes of a line, as bytes.
fn proc_line(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn cost(make: fn(usize) -> (World, Schedule), rows: usize, workers: Workers) -> Cost {
    let before = resident();
    let (world, schedule) = make(rows);
    let builder = Simulation::builder().workers(workers).publish_every(PUBLISH_EVERY);
    let mut simulation = builder.build(world, schedule).unwrap();
    let frames = (ROWS_MOVED / rows).clamp(FIRST, FRAMES_MAX);
    let mut times: Vec<f64> = (0..frames)
        .map(|_| {
            let begun = Instant::now();
            simulation.step(f64::from(DT)).unwrap();
            begun.elapsed().as_nanos() as f64
        })
        .collect();
    let memory_per_row = resident().saturating_sub(before) as f64 / rows as f64;
    let longest = times[..FIRST].iter().copied().fold(0.0, f64::max);
    let middle = median(&mut times);
    Cost { ns_per_row: middle / rows as f64, longest: longest / middle, memory_per_row }
}

/// Bytes a second of a loop by hand over the columns of worlds, on so many threads, each with a world and its share of the rows:
/// no schedule, no generations, no workers.
fn bandwidth(rows: usize, threads: usize) -> f64 {
    let each = rows.div_ceil(threads);
    let rounds = (ROWS_MOVED / rows).clamp(9, 200);
    let barrier = std::sync::Barrier::new(threads);
    let run = || {
        let (mut world, _) = moving(each);
        let mut times = Vec::new();
        for _ in 0..rounds {
            barrier.wait();
            let begun = Instant::now();
            let moved = world.query_mut::<(Write<Position>, Read<Velocity>)>(|_, (mut at, speed)| {
                at.x.map_with(speed.x, |x, v| x + v * DT);
                at.y.map_with(speed.y, |y, v| y + v * DT);
                at.z.map_with(speed.z, |z, v| z + v * DT);
            });
            moved.unwrap();
            times.push(begun.elapsed().as_secs_f64());
        }
        median(&mut times)
    };
    let slowest = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        all.into_iter().map(|one| one.join().unwrap()).fold(0.0, f64::max)
    });
    BYTES_MOVED * (each * threads) as f64 / slowest
}

/// The model: what a frame is on `cores` of a machine.
#[derive(Clone, Copy, Debug)]
struct Model {
    /// Bytes a second of one core.
    of_one: f64,
    /// Bytes a second of all cores together, at most.
    of_all: f64,
    /// Nanoseconds of a frame with hardly any rows, on main alone.
    frame: f64,
    /// Nanoseconds that each worker more adds to it.
    wake: f64,
}

impl Model {
    /// Nanoseconds of a frame.
    fn frame_ns(&self, rows: f64, cores: f64) -> f64 {
        let bytes = BYTES_MOVED + BYTES_ANEW / PUBLISH_EVERY as f64;
        self.frame + self.wake * (cores - 1.0) + 1e9 * rows * bytes / (self.of_one * cores).min(self.of_all)
    }

    /// The number of cores from which on more of them do not help so many rows.
    fn cores_max(&self, rows: f64) -> f64 {
        let by_bandwidth = self.of_all / self.of_one;
        // where the next one's wake costs what its share of the bytes saves
        let bytes = BYTES_MOVED + BYTES_ANEW / PUBLISH_EVERY as f64;
        let by_wakes = (1e9 * rows * bytes / self.of_one / self.wake.max(1.0)).sqrt();
        by_bandwidth.min(by_wakes).max(1.0)
    }
}

/// Arguments: the most rows, and the machine that is asked for.
struct Ask {
    rows: Option<usize>,
    cores: f64,
    gigabytes: Option<f64>,
}

fn ask() -> Ask {
    let arguments: Vec<String> = std::env::args().collect();
    let of = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        let text = arguments.get(place + 1).map(|text| text.replace('_', "")).unwrap_or_default();
        Some(text.parse::<f64>().unwrap_or_else(|_| panic!("{name} wants a number, and not `{text}`")))
    };
    Ask { rows: of("--rows").map(|rows| rows as usize), cores: of("--cores").unwrap_or(64.0), gigabytes: of("--gb") }
}

/// Sizes by tens from 10,000 rows to the most.
fn sizes(most: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> =
        std::iter::successors(Some(10_000), |rows| Some(rows * 10)).take_while(|rows| *rows <= most).collect();
    if sizes.last().is_some_and(|last| 2 * last <= most) {
        sizes.push(most);
    }
    sizes
}

fn main() {
    let ask = ask();
    let free = proc_line("/proc/meminfo", "MemAvailable:").unwrap_or(4 << 30) as f64 * MEMORY_SHARE;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let all = if cores > 1 { Workers::Threads(cores - 1) } else { Workers::Local };
    let most = ask.rows.unwrap_or((free / ROW_BYTES as f64) as usize);
    println!(
        "{:<7} {:>12} {:>6} {:>10} {:>10} {:>12}",
        "world", "rows", "cores", "ns a row", "longest/p50", "bytes a row"
    );
    let mut moved = Vec::new();
    for (name, make) in [("moving", moving as fn(usize) -> (World, Schedule)), ("living", living)] {
        for rows in sizes(if name == "moving" { most } else { most / 2 }) {
            for (cores, workers) in [(1, Workers::Local), (cores, all)].into_iter().take(cores.min(2)) {
                let Cost { ns_per_row, longest, memory_per_row } = cost(make, rows, workers);
                println!("{name:<7} {rows:>12} {cores:>6} {ns_per_row:>10.3} {longest:>10.1} {memory_per_row:>12.1}");
                if name == "moving" {
                    moved.push((rows, cores, ns_per_row));
                }
            }
        }
    }
    predict(&ask, cores, &moved);
}

/// Prints the model beside what was measured, and for the machine that is asked for.
fn predict(ask: &Ask, cores: usize, moved: &[(usize, usize, f64)]) {
    // past all caches, or as far as there are rows
    let most = moved.iter().map(|(rows, ..)| *rows).max().unwrap_or(10_000).min(20_000_000);
    let (of_one, of_all) = (bandwidth(most, 1), bandwidth(most, cores));
    let frame = 1_000.0 * cost(moving, 1_000, Workers::Local).ns_per_row;
    // what rows take on all cores beyond their share of one: few, as waking counts for little among many
    let of = |cores: usize| moved.iter().find(|(rows, of, _)| (*rows, *of) == (WAKE_ROWS, cores));
    let wake = match (of(1), of(cores)) {
        (Some((.., one)), Some((.., all))) if cores > 1 => {
            let (one, all) = (one * WAKE_ROWS as f64, all * WAKE_ROWS as f64);
            (all - frame - (one - frame) / cores as f64).max(0.0) / (cores - 1) as f64
        }
        _ => 0.0,
    };
    let here = Model { of_one, of_all, frame, wake };
    println!(
        "\none core moves {:.1} GB/s, {cores} move {:.1}; a frame of hardly any rows takes {:.1} us, and {:.2} us more for each worker",
        of_one / 1e9,
        of_all / 1e9,
        frame / 1e3,
        wake / 1e3
    );
    println!("{:>12} {:>6} {:>12} {:>12} {:>8}", "rows", "cores", "ns a row", "model", "of it");
    for (rows, cores, measured) in moved {
        let model = here.frame_ns(*rows as f64, *cores as f64) / *rows as f64;
        println!("{rows:>12} {cores:>6} {measured:>12.3} {model:>12.3} {:>8.2}", measured / model);
    }
    let there = Model { of_all: ask.gigabytes.map_or(of_all, |gb| gb * 1e9), ..here };
    println!("\n{} cores that move {:.0} GB/s together:", ask.cores, there.of_all / 1e9);
    println!("{:>14} {:>14} {:>12} {:>16}", "rows", "us a frame", "times one", "cores that help");
    for rows in [1e5, 1e6, 1e7, 1e8, 1e9] {
        let helps = there.cores_max(rows).min(ask.cores);
        let (one, many) = (there.frame_ns(rows, 1.0), there.frame_ns(rows, helps));
        println!("{rows:>14} {:>14.1} {:>12.1} {helps:>16.0}", many / 1e3, one / many);
    }
}
