//! What halves of bytes are worth: `position += velocity * dt` on three fields of 10 M rows, as `f32`, as `F16` and as
//! `Snorm16`, where memory is the limit. Rounds are interleaved; processor time of the process; medians of ratios with
//! their quartiles. `cargo bench --bench small`, or with another number of rows: `-- ROWS`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints")]

use hypostyle::small::{AsF32, F16, Snorm16};
use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};

const ROWS: usize = 10_000_000;
const ROUNDS: usize = 21;
const FRAMES: usize = 3;

/// Nanoseconds that this process has run.
fn own_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

macro_rules! case {
    ($name:ident, $number:ty) => {
        mod $name {
            use super::*;

            #[derive(Component, Clone, Copy)]
            struct Position {
                x: $number,
                y: $number,
                z: $number,
            }
            #[derive(Component, Clone, Copy)]
            struct Velocity {
                x: $number,
                y: $number,
                z: $number,
            }

            /// A world of so many rows, whose frames move them.
            pub fn simulation(rows: usize, publish_every: u64) -> Simulation {
                let of = <$number>::from_f32;
                let mut world = World::builder().component::<Position>().component::<Velocity>().build().unwrap();
                let value = |i: usize| (i % 1000) as f32 * 1e-3 - 0.5;
                world
                    .spawn_batch((0..rows).map(|i| {
                        let (at, speed) = (of(value(i)), of(-value(i)));
                        (Position { x: at, y: at, z: at }, Velocity { x: speed, y: speed, z: speed })
                    }))
                    .unwrap();
                let mut schedule = Schedule::new();
                schedule.add(System::rows::<(Write<Position>, Read<Velocity>)>("move", |job, (mut at, speed)| {
                    let dt = job.dt() as f32;
                    at.x.map_f32_with(speed.x, |x, v| x + v * dt);
                    at.y.map_f32_with(speed.y, |y, v| y + v * dt);
                    at.z.map_f32_with(speed.z, |z, v| z + v * dt);
                }));
                let builder = Simulation::builder().workers(Workers::Local).publish_every(publish_every);
                let mut simulation = builder.build(world, schedule).unwrap();
                simulation.run(3, 1e-3).unwrap();
                simulation
            }
        }
    };
}
case!(single, f32);
case!(half, F16);
case!(fraction, Snorm16);

/// Nanoseconds a row and frame.
fn time(simulation: &mut Simulation, rows: usize) -> f64 {
    let before = own_ns();
    for _ in 0..FRAMES {
        simulation.step(1e-3).unwrap();
    }
    (own_ns() - before) as f64 / (rows * FRAMES) as f64
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

fn main() {
    let rows = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(ROWS);
    for (frames, publish_every) in [("in place", 1 << 30), ("a generation each frame", 1)] {
        let mut all = [
            single::simulation(rows, publish_every),
            half::simulation(rows, publish_every),
            fraction::simulation(rows, publish_every),
        ];
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (simulation, times) in all.iter_mut().zip(&mut times) {
                times.push(time(simulation, rows));
            }
        }
        let [single, ..] = &times;
        println!("{rows} rows, {frames}: f32 {:.2} ns a row", quartiles(single.clone())[1]);
        for (name, of) in [("f16", &times[1]), ("snorm16", &times[2])] {
            let ratios = single.iter().zip(of).map(|(single, other)| single / other).collect();
            let [low, middle, high] = quartiles(ratios);
            println!(
                "  {name:8} {middle:.2} times as fast ({low:.2} to {high:.2}), {:.2} ns",
                quartiles(of.clone())[1]
            );
        }
    }
}
