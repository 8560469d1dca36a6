//! The forces by direct sum: every body by every other.
#![forbid(unsafe_code)]

use hypostyle::simd::{WideKernel, wide};
use hypostyle::{Read, System, Write};

use super::{Acceleration, Gravitation, Mass, Position, PositionColumns};

/// Sums are taken in so many lanes and then in one order, whatever the machine's vectors are.
const LANES: usize = 4;

/// What all others do to each body.
pub(super) fn attract() -> System {
    System::try_neighbours::<(Read<Position>, Write<Acceleration>), (Read<Position>, Read<Mass>)>(
        "attract",
        |job, (own, mut acceleration), others| {
            let law = job.resource::<Gravitation>()?;
            let square = law.softening * law.softening;
            for row in 0..job.len() {
                let mut sum = [0.0; 3];
                for table in others.tables() {
                    let (at, mass) = table.columns;
                    let from = [own.x[row], own.y[row], own.z[row]];
                    let pull = wide(Pull { from, at, mass: mass.value, softening_square: square });
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
