//! The box, its cells, and the order of the table.
#![forbid(unsafe_code)]

use hypostyle::{System, Write};

use super::{Anchor, Cell, Image, Melt, Position, Rebuild};

/// Cells of one size, at least half as wide as lists reach, with the box wrapped around.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Cells along each side.
    pub cells: [i32; 3],
    /// The width of one, sigma.
    pub width: [f64; 3],
}

impl Grid {
    /// The cells of a box.
    pub fn new(melt: &Melt) -> Grid {
        const CELLS_MAX: f64 = 1024.0;
        let cells = melt.side.map(|side| (side / (0.5 * melt.reach())).clamp(1.0, CELLS_MAX) as i32);
        Grid { cells, width: std::array::from_fn(|axis| melt.side[axis] / f64::from(cells[axis])) }
    }

    /// The cell of a place in the box, along one axis.
    pub fn cell(&self, axis: usize, at: f64) -> i32 {
        ((at / self.width[axis]) as i32).clamp(0, self.cells[axis] - 1)
    }

    /// The number of a line of cells along x.
    pub fn line(&self, y: i32, z: i32) -> u32 {
        (z * self.cells[1] + y) as u32
    }

    /// The key of a cell: cells of a line have consecutive keys, lines follow each other.
    pub fn key(&self, at: [f64; 3]) -> u32 {
        let line = self.line(self.cell(1, at[1]), self.cell(2, at[2]));
        line * self.cells[0] as u32 + self.cell(0, at[0]) as u32
    }
}

/// A coordinate brought into the box, and by how many boxes it was outside.
pub fn wrapped(at: f64, side: f64) -> (f64, i32) {
    let boxes = (at / side).floor();
    (at - boxes * side, boxes as i32)
}

/// Brings atoms into the box and gives each its cell; then the table is sorted by them. Only where the lists are due.
pub(super) fn bin(first: bool) -> System {
    let name = if first { "first bin" } else { "bin" };
    System::try_rows::<(Write<Position>, Write<Image>, Write<Anchor>, Write<Cell>)>(
        name,
        move |job, (mut position, mut image, mut anchor, mut cell)| {
            if !first && job.resource::<Rebuild>()?.frame != job.frame() {
                return Ok(());
            }
            let melt = job.resource::<Melt>()?;
            let grid = Grid::new(&melt);
            let columns = [
                (&mut position.x, &mut image.x, &mut anchor.x),
                (&mut position.y, &mut image.y, &mut anchor.y),
                (&mut position.z, &mut image.z, &mut anchor.z),
            ];
            for ((at, image, anchor), side) in columns.into_iter().zip(melt.side) {
                for ((at, image), anchor) in at.iter_mut().zip(image.iter_mut()).zip(anchor.iter_mut()) {
                    let (inside, boxes) = wrapped(*at, side);
                    (*at, *image, *anchor) = (inside, *image + boxes, inside);
                }
            }
            for (row, key) in cell.key.iter_mut().enumerate() {
                *key = grid.key([position.x[row], position.y[row], position.z[row]]);
            }
            Ok(())
        },
    )
    .reads_resource::<Melt>()
    .reads_resource::<Rebuild>()
    .stage(if first { "startup" } else { "update" })
    .sort_by("cell.key")
}
