//! Broad phase: how far a frame can reach, cells, and who can be met.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, Write};

use super::vector::{Vector, at, dot, subtract};
use super::{
    Cell, Contact, ContactLaw, Force, NEAR_MAX, Pace, Position, RATIO_MAX, Radius, STEPS_PER_CONTACT, Velocity, Walls,
    law,
};

/// A sphere that is hit by a much heavier one leaves with twice the speed of that.
const SPEED_FACTOR: f64 = 2.0;
/// What a sphere may gain beside that in a frame, metres per second.
const SPEED_GAIN: f64 = 2.0;

impl Pace {
    /// How far a sphere can move in a frame, metres.
    fn movement(&self, dt: f64) -> f64 {
        self.speed_max * dt
    }
}

/// The grid: cells of one size, with an empty layer all around, so that no neighbour wraps to another row.
pub(super) struct Grid {
    min: [f32; 3],
    width: f64,
    cells: [u32; 3],
}

impl Grid {
    /// Cells as wide as two spheres reach; wider, where there would be too many.
    pub(super) fn new(walls: &Walls, reach: f64) -> Self {
        const CELLS_MAX: f64 = 1000.0;
        let sides: [f64; 3] = std::array::from_fn(|axis| f64::from(walls.max[axis] - walls.min[axis]));
        let width = sides.iter().fold(reach, |width, side| width.max(side / CELLS_MAX));
        Grid { min: walls.min, width, cells: sides.map(|side| (side / width) as u32 + 3) }
    }

    /// The cell's key: cells along x have consecutive keys.
    pub(super) fn key(&self, at: Vector) -> u32 {
        // a place outside counts to the border: casts saturate
        let [x, y, z]: [u32; 3] = std::array::from_fn(|axis| {
            let cell = ((at[axis] - f64::from(self.min[axis])) / self.width) as u32;
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

/// Measures speeds and sizes, and sees that the schedule's substeps are enough for the stiffness.
pub(super) fn measure(substeps: usize) -> System {
    System::try_neighbours::<Read<Position>, (Read<Velocity>, Read<Force>, Read<Radius>)>("measure", move |job, _, all| {
        // one job does it for all
        if job.first_row() > 0 {
            return Ok(());
        }
        let (law, dt) = (job.resource::<ContactLaw>()?, job.dt());
        let constants = law::Constants::new(&law);
        let (mut square, mut min, mut max) = (0.0, f64::MAX, 0.0);
        for table in all.tables() {
            let (v, force, radius) = table.columns;
            for (row, radius) in radius.value.iter().enumerate() {
                let speed = at(v.x, v.y, v.z, row);
                let speed = dot(speed, speed);
                if !(speed.is_finite() && *radius > 0.0 && radius.is_finite()) {
                    let (entity, frame) = (table.entities[row], job.frame());
                    return Err(format!(
                        "entity {entity} has velocity {:?} and radius {radius}: these must be numbers (frame {frame})",
                        at(v.x, v.y, v.z, row)
                    ).into());
                }
                // what a compressed contact gives back: of a spring, force over the root of stiffness times mass
                let push = at(force.x, force.y, force.z, row);
                let reach = speed + dot(push, push) / (law.stiffness * constants.mass(*radius));
                square = if reach > square { reach } else { square };
                (min, max) = (f64::min(min, *radius), f64::max(max, *radius));
            }
        }
        if max > RATIO_MAX * min {
            return Err(format!("radii are from {min} to {max} m: they must be within a factor of {RATIO_MAX}").into());
        }
        let needed = law::substeps(&law, min, dt);
        // rounding may ask for one more
        if needed > substeps + 1 {
            return Err(format!(
                "a stiffness of {} N/m and a radius of {min} m need {needed} substeps of a frame of {dt} s \
                 ({STEPS_PER_CONTACT} in a contact), the schedule has {substeps}: make it with these --stiffness and --radii",
                law.stiffness
            ).into());
        }
        let speed_max = SPEED_FACTOR * f64::sqrt(square) + law.gravity * dt + SPEED_GAIN;
        job.set_resource(Pace { speed_max, radius_min: min, radius_max: max });
        Ok(())
    })
    .reads_resource::<ContactLaw>()
    .sets_resource::<Pace>()
    .job_rows(1 << 20)
}

/// The cells; then the table is sorted by them.
pub(super) fn bin() -> System {
    System::try_rows::<(Write<Cell>, Read<Position>)>("bin", |job, (mut cell, position)| {
        let pace = job.resource::<Pace>()?;
        let grid = grid(&pace, &job.resource::<Walls>()?, job.dt());
        for (row, key) in cell.key.iter_mut().enumerate() {
            *key = grid.key(at(position.x, position.y, position.z, row));
        }
        Ok(())
    })
    .reads_resource::<Pace>()
    .reads_resource::<Walls>()
    .sort_by("cell.key")
}

fn grid(pace: &Pace, walls: &Walls, dt: f64) -> Grid {
    Grid::new(walls, 2.0 * (pace.radius_max + pace.movement(dt)))
}

/// Lists who can be met in this frame: spheres in the 27 cells around, which are nine ranges of the sorted table.
pub(super) fn find() -> System {
    System::try_neighbours::<(Read<Cell>, Write<Contact>), (Read<Position>, Read<Cell>, Read<Radius>)>(
        "find",
        |job, (cell, mut contact), others| {
            let (pace, dt) = (job.resource::<Pace>()?, job.dt());
            let grid = grid(&pace, &job.resource::<Walls>()?, dt);
            let Some(own) = others.own() else { return Ok(()) };
            let (p, cells, radius) = others.table(own).columns;
            let keys = cells.key;
            // own rows are sorted, too: each range only ever moves on
            let mut starts = grid.around(cell.key[0]).map(|first| keys.partition_point(|key| *key < first));
            for row in 0..job.len() {
                let own = job.first_row() + row;
                let centre = at(p.x, p.y, p.z, own);
                let mut near = [0; NEAR_MAX];
                let mut count = 0;
                for (start, first) in starts.iter_mut().zip(grid.around(cell.key[row])) {
                    while keys.get(*start).is_some_and(|key| *key < first) {
                        *start += 1;
                    }
                    let mut other = *start;
                    while other < keys.len() && keys[other] <= first + 2 {
                        let d = subtract(at(p.x, p.y, p.z, other), centre);
                        let reach = radius.value[own] + radius.value[other] + 2.0 * pace.movement(dt);
                        if other != own && dot(d, d) < reach * reach {
                            if count < NEAR_MAX {
                                near[count] = other as u32;
                            }
                            count += 1;
                        }
                        other += 1;
                    }
                }
                if count > NEAR_MAX {
                    return Err(format!(
                        "entity {} can meet {count} others in a frame, its list holds {NEAR_MAX}: speeds of up to {} m/s \
                         are too fast for frames of {dt} s",
                        job.entities()[row],
                        pace.speed_max
                    ).into());
                }
                contact.near[row] = near;
                contact.count[row] = count as u32;
            }
            Ok(())
        },
    )
    .reads_resource::<Pace>()
    .reads_resource::<Walls>()
}
