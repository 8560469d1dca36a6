//! What a spatial sort costs, on one core and on two, and after how many frames it has paid for itself. 1 M bodies of
//! twelve columns drift through a box and are sorted by their cells, with and without their ids; what gains is a
//! kernel that looks at a few bodies around each. Times are those of main's lane (phase `sort`), in rounds that are
//! interleaved: medians. They are times of the clock: beside other programs they say nothing. `cargo bench --bench sort`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints")]

use hypostyle::space::{Box3, CellGrid};
use hypostyle::trace::{Event, EventKind, Phase};
use hypostyle::{Component, GlobalId, Read, Schedule, Simulation, System, Timeline, Workers, World, Write};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f64,
    y: f64,
    z: f64,
}
#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f64,
    y: f64,
    z: f64,
}
#[derive(Component, Clone, Copy)]
struct Force {
    x: f64,
    y: f64,
    z: f64,
}
#[derive(Component, Clone, Copy)]
struct Cell {
    key: u32,
}
/// Bodies around this one: places in a table that is in the order of the cells.
#[derive(Component, Clone, Copy)]
struct Near {
    rows: [u32; 8],
}
#[derive(Component, Clone, Copy)]
struct Sum {
    of: f64,
}

const SIDE: usize = 100;
const BODIES: usize = SIDE * SIDE * SIDE;
const ROUNDS: usize = 15;
/// How far bodies drift between two sorts, in cells: as far as the lists of a melt allow.
const DRIFT: f64 = 0.3;

fn mixed(i: usize) -> usize {
    let x = (i as u64 ^ 0x5DEE_CE66).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((x ^ x >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20) as usize
}

fn grid() -> CellGrid<f64, 3> {
    CellGrid::new(&Box3::periodic([SIDE as f64; 3]).unwrap(), 1.0).unwrap()
}

/// Bodies at random places. `drift`: how far they go in a frame.
fn world() -> World {
    let builder = World::builder().component::<Position>().component::<Velocity>().component::<Force>();
    let mut world = builder.component::<Cell>().component::<GlobalId>().build().unwrap();
    let part = |i: usize, axis: usize| (mixed(3 * i + axis) % (1 << 20)) as f64 / f64::from(1 << 20);
    let row = |i: usize| {
        let [x, y, z] = std::array::from_fn(|axis| part(i, axis) * SIDE as f64);
        let [vx, vy, vz] = std::array::from_fn(|axis| 2.0 * part(i + BODIES, axis) - 1.0);
        let velocity = Velocity { x: vx, y: vy, z: vz };
        (Position { x, y, z }, velocity, Force { x, y, z }, Cell { key: 0 }, GlobalId::root(i as u64))
    };
    world.spawn_batch((0..BODIES).map(row)).unwrap();
    world
}

/// By cell, and within each by id with `by_id`.
fn sorting(workers: Workers, by_id: bool) -> Simulation {
    let mut schedule = Schedule::new();
    let bin = System::rows::<(Write<Position>, Read<Velocity>, Write<Cell>)>("bin", |job, (mut at, v, mut cell)| {
        let (bounds, grid) = (Box3::periodic([SIDE as f64; 3]).unwrap(), grid());
        for row in 0..job.len() {
            let next = [at.x[row] + DRIFT * v.x[row], at.y[row] + DRIFT * v.y[row], at.z[row] + DRIFT * v.z[row]];
            let (inside, _) = bounds.wrap(next);
            [at.x[row], at.y[row], at.z[row]] = inside;
            cell.key[row] = grid.key(inside);
        }
    });
    let bin = bin.sort_by("cell.key");
    schedule.add(if by_id { bin.sort_then_by("global_id.value") } else { bin });
    Simulation::builder().workers(workers).publish_every(1 << 20).build(world(), schedule).unwrap()
}

/// Nanoseconds of each sort in the newest events of main.
fn sorts(timeline: &Timeline) -> impl Iterator<Item = u64> + '_ {
    let is_sort = |event: &&Event| matches!(event.kind, EventKind::Phase { phase: Phase::Sort, .. });
    timeline.lanes[0].events.iter().filter(is_sort).map(|event| event.duration_ns)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds of a frame that looks at eight bodies around each one, where rows are in the order of places or in none.
fn look(ordered: bool) -> Simulation {
    let builder = World::builder().component::<Position>().component::<Near>().component::<Sum>();
    let mut world = builder.build().unwrap();
    // places along the axes are rows in order; in no order they are anywhere
    let mut rows: Vec<usize> = (0..BODIES).collect();
    if !ordered {
        rows.sort_by_key(|i| mixed(*i));
    }
    let mut place = vec![0u32; BODIES];
    rows.iter().zip(0u32..).for_each(|(body, row)| place[*body] = row);
    let around = [1, BODIES - 1, SIDE, BODIES - SIDE, SIDE * SIDE, BODIES - SIDE * SIDE, SIDE + 1, SIDE * SIDE + 1];
    let row = |body: &usize| {
        let [x, y, z] = [body % SIDE, body / SIDE % SIDE, body / SIDE / SIDE].map(|at| at as f64);
        let near = Near { rows: around.map(|step| place[(body + step) % BODIES]) };
        (Position { x, y, z }, near, Sum { of: 0.0 })
    };
    world.spawn_batch(rows.iter().map(row)).unwrap();
    let mut schedule = Schedule::new();
    schedule.add(System::neighbours::<(Write<Sum>, Read<Near>, Read<Position>), Read<Position>>(
        "look",
        |job, (mut sum, near, own), others| {
            let at = others.table(0).columns;
            for row in 0..job.len() {
                sum.of[row] = near.rows[row]
                    .iter()
                    .map(|other| *other as usize)
                    .map(|other| {
                        let [x, y, z] = [at.x[other] - own.x[row], at.y[other] - own.y[row], at.z[other] - own.z[row]];
                        x * x + y * y + z * z
                    })
                    .sum();
            }
        },
    ));
    Simulation::builder().workers(Workers::Local).publish_every(1 << 20).build(world, schedule).unwrap()
}

fn main() {
    let counts = [
        (Workers::Local, false),
        (Workers::Local, true),
        (Workers::Threads(1), false),
        (Workers::Threads(2), false),
        (Workers::Threads(2), true),
    ];
    let mut all = counts.map(|(workers, by_id)| (sorting(workers, by_id), Vec::new()));
    for (simulation, _) in &mut all {
        simulation.run(3, 1.0).unwrap();
    }
    for _ in 0..ROUNDS {
        for (simulation, times) in &mut all {
            let before = sorts(&simulation.timeline()).count();
            simulation.run(1, 1.0).unwrap();
            times.extend(sorts(&simulation.timeline()).skip(before).map(|ns| ns as f64));
        }
    }
    let times = all.map(|(_, times)| median(times));
    println!(
        "{BODIES} bodies, 12 columns, sorted by cell after a drift of up to {DRIFT} of a cell; medians of {ROUNDS}"
    );
    for ((workers, by_id), time) in counts.iter().zip(times) {
        let per_row = time / BODIES as f64;
        let by = if *by_id { "by cell and id" } else { "by cell" };
        println!("{workers:<10} {by:<15} {:6.2} ms, {per_row:.1} ns a row, {:.2} x local", time / 1e6, times[0] / time);
    }
    let mut looks = [look(false), look(true)].map(|simulation| (simulation, Vec::new()));
    for _ in 0..ROUNDS {
        for (simulation, times) in &mut looks {
            times.push(simulation.run(1, 1.0).unwrap().elapsed.as_nanos() as f64);
        }
    }
    let [without, with] = looks.map(|(_, times)| median(times));
    println!(
        "a look at 8 bodies around each: {:.2} ms where rows lie anywhere, {:.2} ms in order; on one core a sort is paid for \
         after {:.1} frames",
        without / 1e6,
        with / 1e6,
        times[0] / (without - with)
    );
}
