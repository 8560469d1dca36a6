//! Broad phase: cells, and who is near whom.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, Without, Write};

use super::{
    Asleep, CELL, Cell, Contact, ContactLaw, NEAR_MAX, Position, RADIUS, REACH, TOUCH, Velocity, Walls, vector,
    walls_around,
};

/// The grid: cells of one size, with an empty layer all around, so that no neighbour wraps to another row.
pub(super) struct Grid {
    min: [f32; 3],
    cells: [u32; 3],
}

impl Grid {
    pub(super) fn new(walls: &Walls) -> Self {
        let cells = std::array::from_fn(|axis| (f64::from(walls.max[axis] - walls.min[axis]) / CELL) as u32 + 3);
        Grid { min: walls.min, cells }
    }

    /// The cell's key: cells along x have consecutive keys.
    pub(super) fn key(&self, at: vector::Vector) -> u32 {
        // a place outside (by rounding) counts to the border: casts saturate
        let [x, y, z]: [u32; 3] = std::array::from_fn(|axis| {
            let cell = ((at[axis] - f64::from(self.min[axis])) / CELL) as u32;
            cell.min(self.cells[axis] - 3) + 1
        });
        (z * self.cells[1] + y) * self.cells[0] + x
    }

    /// First keys of the nine rows of three cells around a cell, ascending.
    pub(super) fn around(&self, key: u32) -> [u32; 9] {
        let layer = self.cells[0] * self.cells[1];
        std::array::from_fn(|index| {
            let (z, y) = (index as u32 / 3, index as u32 % 3);
            key + z * layer + y * self.cells[0] - layer - self.cells[0] - 1
        })
    }
}

/// Gravity, and the cells; then the table is sorted by them.
pub(super) fn kick() -> System {
    System::try_rows::<(Write<Velocity>, Write<Cell>, Read<Position>, Without<Asleep>)>(
        "kick",
        |job, (mut velocity, mut cell, position, ())| {
            let fall = job.resource::<ContactLaw>()?.gravity * job.dt() as f32;
            let grid = Grid::new(&job.resource::<Walls>()?);
            velocity.y.map(|v| v - fall);
            for (row, key) in cell.key.iter_mut().enumerate() {
                *key = grid.key(vector::at(position.x, position.y, position.z, row));
            }
            Ok(())
        },
    )
    .reads_resource::<ContactLaw>()
    .reads_resource::<Walls>()
    .sort_by("cell.key")
}

/// Lists who is near: the spheres in the 27 cells around, which are nine ranges of the sorted table.
pub(super) fn find() -> System {
    System::try_neighbours::<(Read<Cell>, Write<Contact>), (Read<Position>, Read<Cell>)>(
        "find",
        |job, (cell, mut contact), others| {
            let walls = job.resource::<Walls>()?;
            let grid = Grid::new(&walls);
            let Some(own) = others.own() else { return Ok(()) };
            let (p, cells) = others.table(own).columns;
            let keys = cells.key;
            // own rows are sorted, too: each range only ever moves on
            let mut starts = grid.around(cell.key[0]).map(|first| keys.partition_point(|key| *key < first));
            for row in 0..job.len() {
                let at = job.first_row() + row;
                let centre = vector::at(p.x, p.y, p.z, at);
                let mut list = List::default();
                for (start, first) in starts.iter_mut().zip(grid.around(cell.key[row])) {
                    while keys.get(*start).is_some_and(|key| *key < first) {
                        *start += 1;
                    }
                    let mut other = *start;
                    while other < keys.len() && keys[other] <= first + 2 {
                        if other != at {
                            let d = vector::subtract(vector::at(p.x, p.y, p.z, other), centre);
                            list.meet(other as u32, vector::dot(d, d));
                        }
                        other += 1;
                    }
                }
                let walls = walls_around(centre, &walls);
                let walls = walls.iter().filter(|(_, gap)| *gap < TOUCH).count() as u32;
                contact.near[row] = list.near;
                contact.count[row] = list.count;
                contact.touching[row] = list.touching;
                contact.pressing[row] = (list.touching + walls).max(1);
            }
            Ok(())
        },
    )
    .reads_resource::<Walls>()
}

/// Who is near, those who touch first.
#[derive(Default)]
struct List {
    near: [u32; NEAR_MAX],
    count: u32,
    touching: u32,
}

impl List {
    fn meet(&mut self, other: u32, square: f64) {
        const NEAR: f64 = (2.0 * RADIUS + REACH) * (2.0 * RADIUS + REACH);
        const TOUCHING: f64 = (2.0 * RADIUS + TOUCH) * (2.0 * RADIUS + TOUCH);
        if square >= NEAR {
            return;
        }
        let place = self.count as usize;
        // one too many shows in the count alone: such a sphere does not move in this frame
        self.count += 1;
        if place >= NEAR_MAX {
            return;
        }
        self.near[place] = other;
        if square < TOUCHING {
            self.near.swap(place, self.touching as usize);
            self.touching += 1;
        }
    }
}
