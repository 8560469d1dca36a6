//! Verlet lists: who is within cutoff and skin.
//!
//! The table is sorted by cells, so the atoms of consecutive cells of a line are consecutive rows. For each atom the lines
//! around are cut to the part that its sphere reaches.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use hypostyle::{Read, System, WideKernel, Write, wide};

use super::cells::Grid;
use super::{Cell, LANES, Melt, NEIGHBOURS_MAX, Neighbours, Position, Rebuild};

thread_local! {
    /// Kept for its memory.
    static STARTS: RefCell<Starts> = RefCell::default();
}

/// First rows of the cells of the lines that one job has looked at.
#[derive(Default)]
pub(super) struct Starts {
    /// Of which job a line's rows are.
    job: u64,
    lines: Vec<u64>,
    /// For each line the first row of each of its cells, and where the last one ends.
    rows: Vec<u32>,
}

impl Starts {
    pub(super) fn begin(&mut self, grid: &Grid) {
        let [x, y, z] = grid.cells.map(|cells| cells as usize);
        self.job += 1;
        self.lines.resize(y * z, 0);
        self.rows.resize((x + 1) * y * z, 0);
    }

    /// The rows of the cells `from..=to` of a line.
    fn rows(&mut self, grid: &Grid, keys: &[u32], line: u32, from: i32, to: i32) -> (usize, usize) {
        let cells = grid.cells[0] as u32;
        let at = line as usize * (cells as usize + 1);
        if self.lines[line as usize] != self.job {
            self.lines[line as usize] = self.job;
            let mut row = keys.partition_point(|key| *key < line * cells);
            for cell in 0..=cells {
                while row < keys.len() && keys[row] < line * cells + cell {
                    row += 1;
                }
                self.rows[at + cell as usize] = row as u32;
            }
        }
        (self.rows[at + from as usize] as usize, self.rows[at + to as usize + 1] as usize)
    }
}

/// Makes the lists, where they are due.
pub(super) fn list(first: bool) -> System {
    let name = if first { "first list" } else { "list" };
    System::try_neighbours::<Write<Neighbours>, (Read<Position>, Read<Cell>)>(name, move |job, mut own, others| {
        if !first && job.resource::<Rebuild>()?.frame != job.frame() {
            return Ok(());
        }
        let melt = job.resource::<Melt>()?;
        let Some(table) = others.own() else { return Ok(()) };
        let table = others.table(table);
        let (p, cells) = table.columns;
        let grid = Grid::new(&melt);
        STARTS.with_borrow_mut(|starts| {
            starts.begin(&grid);
            for row in 0..job.len() {
                let search = Search {
                    melt: &melt,
                    grid: &grid,
                    keys: cells.key,
                    at: [p.x, p.y, p.z],
                    row: job.first_row() + row,
                    starts,
                    list: &mut own.rows[row],
                };
                let found = wide(search);
                if found.count > NEIGHBOURS_MAX {
                    return Err(format!(
                        "entity {} has {} atoms within {} sigma, a list holds {NEIGHBOURS_MAX}: the melt is too dense here",
                        job.entities()[row],
                        found.count,
                        melt.reach()
                    )
                    .into());
                }
                if let Some(same) = found.same {
                    let (one, other) = (job.entities()[row], table.entities[same]);
                    return Err(format!("entities {one} and {other} are at the same place: their force has no direction")
                        .into());
                }
                let whole = found.count.next_multiple_of(LANES);
                own.rows[row][found.count..whole].fill((job.first_row() + row) as u32);
                own.count[row] = found.count as u32;
                own.crosses[row] = u32::from(found.crosses);
            }
            Ok(())
        })
    })
    .reads_resource::<Melt>()
    .reads_resource::<Rebuild>()
    .stage(if first { "startup" } else { "update" })
}

/// The search for one atom's neighbours.
pub(super) struct Search<'a, 's> {
    pub melt: &'a Melt,
    pub grid: &'a Grid,
    pub keys: &'a [u32],
    pub at: [&'a [f64]; 3],
    pub row: usize,
    pub starts: &'s mut Starts,
    pub list: &'s mut [u32; NEIGHBOURS_MAX],
}

pub(super) struct Found {
    pub count: usize,
    /// One at the very same place.
    pub same: Option<usize>,
    /// Whether one is across the border.
    pub crosses: bool,
}

/// Cells `from..=to` around one, unwrapped; all of the side where it has too few for the sphere not to meet itself.
#[inline(always)]
fn around(cells: i32, from: i32, to: i32) -> (i32, i32) {
    if to - from >= cells { (0, cells - 1) } else { (from, to) }
}

/// A cell's number in the box, and by how many boxes it is off.
#[inline(always)]
fn in_box(cell: i32, cells: i32) -> i32 {
    if cell < 0 {
        cell + cells
    } else if cell >= cells {
        cell - cells
    } else {
        cell
    }
}

impl WideKernel for Search<'_, '_> {
    type Output = Found;

    #[inline(always)]
    fn run(self) -> Found {
        let Search { melt, grid, keys, at, row, starts, list } = self;
        let centre = [at[0][row], at[1][row], at[2][row]];
        // a little more, for what rounding cuts off
        let reach = melt.reach() * (1.0 + 1e-9);
        let crosses = (0..3).any(|axis| centre[axis] < reach || centre[axis] > melt.side[axis] - reach);
        let mut found = Found { count: 0, same: None, crosses };
        let range = |axis: usize, reach: f64| {
            let width = grid.width[axis];
            let (low, high) = ((centre[axis] - reach) / width, (centre[axis] + reach) / width);
            around(grid.cells[axis], low.floor() as i32, high.floor() as i32)
        };
        // how far a line of cells is away, along one axis; nothing where the whole side is looked at
        let gap = |axis: usize, cell: i32, (from, to): (i32, i32)| {
            let width = grid.width[axis];
            let (low, high) = (f64::from(cell) * width - centre[axis], centre[axis] - f64::from(cell + 1) * width);
            if to - from + 1 >= grid.cells[axis] { 0.0 } else { low.max(high).max(0.0) }
        };
        let (ys, zs) = (range(1, reach), range(2, reach));
        for z in zs.0..=zs.1 {
            let far_z = gap(2, z, zs);
            for y in ys.0..=ys.1 {
                let far_y = gap(1, y, ys);
                let left = reach * reach - far_y * far_y - far_z * far_z;
                if left < 0.0 {
                    continue;
                }
                let line = grid.line(in_box(y, grid.cells[1]), in_box(z, grid.cells[2]));
                let (from, to) = range(0, left.sqrt());
                let last = grid.cells[0] - 1;
                // the part in the box, and the parts across its borders
                let parts = [(from.max(0), to.min(last)), (from + last + 1, last), (0, to - last - 1)];
                let asked = [true, from < 0, to > last];
                for ((from, to), asked) in parts.into_iter().zip(asked) {
                    if asked && from <= to {
                        let rows = starts.rows(grid, keys, line, from, to);
                        if crosses {
                            near::<true>(melt, at, centre, row, rows, list, &mut found);
                        } else {
                            near::<false>(melt, at, centre, row, rows, list, &mut found);
                        }
                    }
                }
            }
        }
        found
    }
}

/// The distance along one axis to the nearest image, for places that are less than a box apart.
#[inline(always)]
pub(super) fn nearest<const CROSSES: bool>(d: f64, side: f64, inverse: f64) -> f64 {
    /// Adding and taking it away rounds to a whole number.
    const ROUND: f64 = 1.5 * (1u64 << 52) as f64;
    if CROSSES { d - side * ((d * inverse + ROUND) - ROUND) } else { d }
}

/// Adds those of some rows that are near.
#[inline(always)]
fn near<const CROSSES: bool>(
    melt: &Melt,
    at: [&[f64]; 3],
    centre: [f64; 3],
    own: usize,
    (from, to): (usize, usize),
    list: &mut [u32; NEIGHBOURS_MAX],
    found: &mut Found,
) {
    const WIDTH: usize = 8;
    let square = melt.reach() * melt.reach();
    let inverse = melt.side.map(|side| 1.0 / side);
    let [x, y, z] = at.map(|at| &at[from..to]);
    let mut first = 0;
    while first < x.len() {
        let len = (x.len() - first).min(WIDTH);
        let mut squares = [f64::MAX; WIDTH];
        let mut put = |lanes: usize| {
            for lane in 0..lanes {
                let place = first + lane;
                let dx = nearest::<CROSSES>(x[place] - centre[0], melt.side[0], inverse[0]);
                let dy = nearest::<CROSSES>(y[place] - centre[1], melt.side[1], inverse[1]);
                let dz = nearest::<CROSSES>(z[place] - centre[2], melt.side[2], inverse[2]);
                squares[lane] = dx * dx + dy * dy + dz * dz;
            }
        };
        if len == WIDTH {
            put(WIDTH)
        } else {
            put(len)
        }
        for (lane, d) in squares.iter().enumerate().take(len) {
            let other = from + first + lane;
            list[found.count.min(NEIGHBOURS_MAX - 1)] = other as u32;
            found.count += usize::from(*d < square && other != own);
            if *d == 0.0 && other != own {
                found.same = Some(other);
            }
        }
        first += WIDTH;
    }
}
