//! Forces of the neighbours, in lanes.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, WideKernel, Write, wide};

use super::list::nearest;
use super::{Force, LANES, Melt, Neighbours, Position};

/// The force on own rows.
pub(super) fn force(first: bool) -> System {
    let name = if first { "first force" } else { "force" };
    System::try_neighbours::<(Write<Force>, Read<Neighbours>), Read<Position>>(
        name,
        |job, (mut force, neighbours), others| {
            let melt = job.resource::<Melt>()?;
            let Some(own) = others.own() else { return Ok(()) };
            let p = others.table(own).columns;
            wide(Forces {
                melt: &melt,
                at: [p.x, p.y, p.z],
                first_row: job.first_row(),
                lists: neighbours.rows,
                counts: neighbours.count,
                crosses: neighbours.crosses,
                force: [&mut force.x, &mut force.y, &mut force.z],
            });
            Ok(())
        },
    )
    .reads_resource::<Melt>()
    .stage(if first { "startup" } else { "update" })
}

/// The forces on the rows of a job.
pub(super) struct Forces<'a, 'f> {
    pub melt: &'a Melt,
    pub at: [&'a [f64]; 3],
    pub first_row: usize,
    pub lists: &'a [[u32; super::NEIGHBOURS_MAX]],
    pub counts: &'a [u32],
    pub crosses: &'a [u32],
    pub force: [&'f mut [f64]; 3],
}

impl WideKernel for Forces<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [x, y, z] = self.force;
        for row in 0..self.lists.len() {
            let whole = (self.counts[row] as usize).next_multiple_of(LANES);
            let list = &self.lists[row][..whole];
            let own = self.first_row + row;
            let sum = if self.crosses[row] != 0 {
                pull::<true>(self.melt, self.at, own, list)
            } else {
                pull::<false>(self.melt, self.at, own, list)
            };
            (x[row], y[row], z[row]) = (sum[0], sum[1], sum[2]);
        }
    }
}

/// The force of a list of rows on one row.
#[inline(always)]
fn pull<const CROSSES: bool>(melt: &Melt, at: [&[f64]; 3], own: usize, list: &[u32]) -> [f64; 3] {
    let rows = at[0].len();
    // of one length, so that one check is enough for a row's three numbers
    let [x, y, z] = at.map(|at| &at[..rows]);
    let (cx, cy, cz) = (x[own], y[own], z[own]);
    let (side, inverse) = (melt.side, melt.side.map(|side| 1.0 / side));
    let square_max = melt.cutoff * melt.cutoff;
    let mut sums = [[0.0; LANES]; 3];
    for rows in list.as_chunks::<LANES>().0 {
        let rows = rows.map(|row| row as usize);
        let dx = rows.map(|row| x[row]).map(|x| nearest::<CROSSES>(cx - x, side[0], inverse[0]));
        let dy = rows.map(|row| y[row]).map(|y| nearest::<CROSSES>(cy - y, side[1], inverse[1]));
        let dz = rows.map(|row| z[row]).map(|z| nearest::<CROSSES>(cz - z, side[2], inverse[2]));
        let mut factors = [0.0; LANES];
        for lane in 0..LANES {
            let square = dx[lane] * dx[lane] + dy[lane] * dy[lane] + dz[lane] * dz[lane];
            let factor = factor(square);
            // the own row fills the list up: no distance, no force
            factors[lane] = if square < square_max && square > 0.0 { factor } else { 0.0 };
        }
        for lane in 0..LANES {
            sums[0][lane] += dx[lane] * factors[lane];
            sums[1][lane] += dy[lane] * factors[lane];
            sums[2][lane] += dz[lane] * factors[lane];
        }
    }
    sums.map(|lanes| (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]))
}

/// Force over distance, for a square of the distance: 24 (2 r^-12 - r^-6) / r^2.
#[inline(always)]
pub(super) fn factor(square: f64) -> f64 {
    let inverse = 1.0 / square;
    let sixth = inverse * inverse * inverse;
    sixth * (48.0 * sixth - 24.0) * inverse
}
