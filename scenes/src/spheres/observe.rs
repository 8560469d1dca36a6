//! A look from outside, between frames.
#![forbid(unsafe_code)]

use std::error::Error;

use hypostyle::{Entity, Read, World};

use super::find::Grid;
use super::law::Constants;
use super::vector::{Vector, add, at, cross, dot, scale, subtract};
use super::{ContactLaw, Position, Radius, Spin, Springs, Velocity, Walls, walls_around};

/// What is to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observation {
    /// Spheres.
    pub spheres: u64,
    /// Pairs that touch, and spheres that touch walls.
    pub contacts: u64,
    /// Of movement and rotation, J.
    pub kinetic: f64,
    /// Of all spheres above the floor, J.
    pub potential: f64,
    /// Of the springs, J.
    pub elastic: f64,
    /// Of all spheres, kg m/s.
    pub momentum: [f64; 3],
    /// Of all spheres, around the origin, kg m^2/s.
    pub angular_momentum: [f64; 3],
    /// The deepest overlap, as a part of the smaller radius.
    pub overlap: f64,
}

impl Observation {
    /// All energy, J.
    pub fn energy(&self) -> f64 {
        self.kinetic + self.potential + self.elastic
    }
}

/// A sphere.
struct Seen {
    key: u32,
    entity: Entity,
    place: Vector,
    radius: f64,
}

/// Looks. Sums go by rows.
///
/// # Errors
/// A world of another scene.
pub fn look(world: &World) -> Result<Observation, Box<dyn Error>> {
    let (walls, law) = (world.resource::<Walls>()?, world.resource::<ContactLaw>()?);
    let constants = Constants::new(&law);
    let mut seen = Observation::default();
    let mut all: Vec<Seen> = Vec::new();
    // stretched springs hold 2/7 of what a normal one would
    let tangential = 0.5 * 2.0 / 7.0 * law.stiffness;
    type Columns = (Read<Position>, Read<Velocity>, Read<Spin>, Read<Radius>, Read<Springs>);
    world.query::<Columns>(|entities, (p, v, w, radius, springs)| {
        for row in 0..entities.len() {
            let (place, velocity, spin) = (at(p.x, p.y, p.z, row), at(v.x, v.y, v.z, row), at(w.x, w.y, w.z, row));
            let radius = radius.value[row];
            let mass = constants.mass(radius);
            let inertia = 0.4 * mass * radius * radius;
            seen.kinetic += 0.5 * mass * dot(velocity, velocity) + 0.5 * inertia * dot(spin, spin);
            seen.potential += law.gravity * mass * (place[1] - f64::from(walls.min[1]) - radius);
            let momentum = scale(velocity, mass);
            seen.momentum = add(seen.momentum, momentum);
            let angular = add(cross(place, momentum), scale(spin, inertia));
            seen.angular_momentum = add(seen.angular_momentum, angular);
            let owned = 3 * (springs.count[row] as usize).min(super::OWNED_MAX);
            let stretch = springs.stretch[row][..owned].iter().chain(&springs.walls[row]);
            seen.elastic += tangential * stretch.map(|s| s * s).sum::<f64>();
            for (_, distance) in walls_around(place, &walls) {
                seen.touch(radius - distance, radius, law.stiffness);
            }
            all.push(Seen { key: 0, entity: entities[row], place, radius });
        }
    })?;
    seen.spheres = all.len() as u64;
    let largest = all.iter().fold(0.0, |largest: f64, seen| largest.max(seen.radius));
    if largest == 0.0 {
        return Ok(seen);
    }
    let grid = Grid::new(&walls, 2.0 * largest);
    all.iter_mut().for_each(|seen| seen.key = grid.key(seen.place));
    all.sort_by_key(|seen| (seen.key, seen.entity));
    for (i, one) in all.iter().enumerate() {
        for first in grid.around(one.key) {
            let start = all.partition_point(|other| other.key < first).max(i + 1);
            for other in all[start.min(all.len())..].iter().take_while(|other| other.key <= first + 2) {
                let d = subtract(other.place, one.place);
                let overlap = one.radius + other.radius - dot(d, d).sqrt();
                seen.touch(overlap, one.radius.min(other.radius), law.stiffness);
            }
        }
    }
    Ok(seen)
}

impl Observation {
    fn touch(&mut self, overlap: f64, radius: f64, stiffness: f64) {
        if overlap > 0.0 {
            self.contacts += 1;
            self.elastic += 0.5 * stiffness * overlap * overlap;
        }
        self.overlap = self.overlap.max(overlap / radius);
    }
}
