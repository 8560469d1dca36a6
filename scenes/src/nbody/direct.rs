//! The forces by direct sum: every body by every other, in the order of their ids. Where the world is spread over ranks,
//! bodies of others stand behind the own ones, and are taken up where they belong.
#![forbid(unsafe_code)]

use std::ops::Range;

use hypostyle::simd::{WideKernel, wide};
use hypostyle::{GlobalId, Read, System, Write};

use super::{Acceleration, Gravitation, Mass, Position, PositionColumns};

/// Sums are taken in so many lanes and then in one order, whatever the machine's vectors are.
const LANES: usize = 4;

/// What all others do to each body.
pub(super) fn attract() -> System {
    System::try_neighbours::<(Read<Position>, Write<Acceleration>), (Read<Position>, Read<Mass>, Read<GlobalId>)>(
        "attract",
        |job, (own, mut acceleration), others| {
            let law = job.resource::<Gravitation>()?;
            let square = law.softening * law.softening;
            let tables: Vec<_> = others
                .tables()
                .map(|table| (table.columns.0, table.columns.1, table.ordered(table.columns.2.value)))
                .collect();
            for row in 0..job.len() {
                let mut sum = [0.0; 3];
                for (at, mass, order) in &tables {
                    let from = [own.x[row], own.y[row], own.z[row]];
                    let all = Pull { from, at: *at, mass: mass.value, softening_square: square };
                    let pull = match order.as_slice() {
                        [_] => wide(all),
                        parts => wide(PartedPull { of: all, parts }),
                    };
                    sum = [sum[0] + pull[0], sum[1] + pull[1], sum[2] + pull[2]];
                }
                acceleration.x[row] = law.constant * sum[0];
                acceleration.y[row] = law.constant * sum[1];
                acceleration.z[row] = law.constant * sum[2];
            }
            Ok(())
        },
    )
    .reads_resource::<Gravitation>()
    .job_rows(64)
}

/// The pull of bodies on one place, per unit of its mass, for G = 1. A body at the very place does not pull.
struct Pull<'a> {
    from: [f64; 3],
    at: PositionColumns<'a>,
    mass: &'a [f64],
    softening_square: f64,
}

impl WideKernel for Pull<'_> {
    type Output = [f64; 3];

    #[inline(always)]
    fn run(self) -> [f64; 3] {
        let Pull { from, at, mass, softening_square } = self;
        pull(from, at, mass, softening_square)
    }
}

#[inline(always)]
fn pull(from: [f64; 3], at: PositionColumns<'_>, mass: &[f64], softening_square: f64) -> [f64; 3] {
    let ((x, x_end), (y, y_end), (z, z_end), (mass, mass_end)) =
        (at.x.as_chunks(), at.y.as_chunks(), at.z.as_chunks(), mass.as_chunks());
    let mut sums = [[0.0; LANES]; 3];
    for (((x, y), z), mass) in x.iter().zip(y).zip(z).zip(mass) {
        pull_lanes(&mut sums, from, [x, y, z], mass, softening_square);
    }
    // the rest in lanes of no mass
    let fill = |end: &[f64], with: f64| std::array::from_fn(|lane| end.get(lane).copied().unwrap_or(with));
    let rest = [&fill(x_end, from[0]), &fill(y_end, from[1]), &fill(z_end, from[2])];
    pull_lanes(&mut sums, from, rest, &fill(mass_end, 0.0), softening_square);
    sums.map(|lanes| (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]))
}

/// The same of bodies that stand in several ranges of rows, one after the other.
struct PartedPull<'a> {
    of: Pull<'a>,
    parts: &'a [Range<usize>],
}

impl WideKernel for PartedPull<'_> {
    type Output = [f64; 3];

    #[inline(always)]
    fn run(self) -> [f64; 3] {
        let mut sums = [[0.0; LANES]; 3];
        pull_parts(&mut sums, &self.of, self.parts);
        sums.map(|lanes| (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]))
    }
}

/// Sums over ranges of rows: each body is in the lane that it has where all rows are one range.
#[inline(always)]
fn pull_parts(sums: &mut [[f64; LANES]; 3], of: &Pull<'_>, parts: &[Range<usize>]) {
    // lanes of no mass at the end
    let (nowhere, nothing) = (of.from.map(|x| [x; LANES]), [0.0; LANES]);
    let (mut at, mut mass, mut filled) = (nowhere, nothing, 0);
    for part in parts {
        let mut rows = part.clone();
        while filled > 0 && !rows.is_empty() {
            let row = rows.start;
            (at[0][filled], at[1][filled], at[2][filled]) = (of.at.x[row], of.at.y[row], of.at.z[row]);
            mass[filled] = of.mass[row];
            (filled, rows.start) = (filled + 1, row + 1);
            if filled == LANES {
                pull_lanes(sums, of.from, [&at[0], &at[1], &at[2]], &mass, of.softening_square);
                (at, mass, filled) = (nowhere, nothing, 0);
            }
        }
        let (ends, mass_end) = whole_lanes(sums, of, rows);
        for (lane, value) in mass_end.iter().enumerate() {
            (at[0][lane], at[1][lane], at[2][lane]) = (ends[0][lane], ends[1][lane], ends[2][lane]);
            (mass[lane], filled) = (*value, lane + 1);
        }
    }
    pull_lanes(sums, of.from, [&at[0], &at[1], &at[2]], &mass, of.softening_square);
}

/// Adds what fills all lanes, and gives places and masses that are left over.
#[inline(always)]
fn whole_lanes<'a>(sums: &mut [[f64; LANES]; 3], of: &Pull<'a>, rows: Range<usize>) -> ([&'a [f64]; 3], &'a [f64]) {
    let ((x, x_end), (y, y_end), (z, z_end), (mass, mass_end)) = (
        of.at.x[rows.clone()].as_chunks(),
        of.at.y[rows.clone()].as_chunks(),
        of.at.z[rows.clone()].as_chunks(),
        of.mass[rows].as_chunks(),
    );
    for (((x, y), z), mass) in x.iter().zip(y).zip(z).zip(mass) {
        pull_lanes(sums, of.from, [x, y, z], mass, of.softening_square);
    }
    ([x_end, y_end, z_end], mass_end)
}

/// Adds the pull of one body per lane.
#[inline(always)]
fn pull_lanes(
    sums: &mut [[f64; LANES]; 3],
    from: [f64; 3],
    at: [&[f64; LANES]; 3],
    mass: &[f64; LANES],
    softening_square: f64,
) {
    let d: [[f64; LANES]; 3] = std::array::from_fn(|axis| at[axis].map(|x| x - from[axis]));
    let square: [f64; LANES] = std::array::from_fn(|lane| {
        d[0][lane] * d[0][lane] + d[1][lane] * d[1][lane] + d[2][lane] * d[2][lane] + softening_square
    });
    let weight: [f64; LANES] = std::array::from_fn(|lane| {
        let weight = mass[lane] / (square[lane] * square[lane].sqrt());
        if square[lane] > 0.0 { weight } else { 0.0 }
    });
    for (sum, d) in sums.iter_mut().zip(d) {
        for lane in 0..LANES {
            sum[lane] += d[lane] * weight[lane];
        }
    }
}
