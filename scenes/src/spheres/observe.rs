//! A look from outside, between frames.
#![forbid(unsafe_code)]

use std::error::Error;

use hypostyle::{Read, With, World};

use super::find::Grid;
use super::vector::{Vector, at, dot, subtract};
use super::{Asleep, ContactLaw, Position, RADIUS, Velocity, Walls};

/// What is to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observation {
    /// Spheres.
    pub spheres: u64,
    /// Asleep.
    pub asleep: u64,
    /// Of all spheres, J/kg.
    pub kinetic: f64,
    /// Of all spheres, J/kg, over all lying on the floor.
    pub potential: f64,
    /// The deepest overlap of two spheres, or of one and a wall, metres.
    pub overlap: f64,
}

/// Looks.
///
/// # Errors
/// A world of another scene.
pub fn look(world: &World) -> Result<Observation, Box<dyn Error>> {
    let walls = world.resource::<Walls>()?;
    let gravity = f64::from(world.resource::<ContactLaw>()?.gravity);
    let floor = f64::from(walls.min[1]) + RADIUS;
    let grid = Grid::new(&walls);
    let mut seen = Observation { asleep: world.count::<With<Asleep>>()?, ..Observation::default() };
    let mut places: Vec<(u32, Vector)> = Vec::new();
    world.query::<(Read<Position>, Read<Velocity>)>(|entities, (p, v)| {
        for row in 0..entities.len() {
            let (place, velocity) = (at(p.x, p.y, p.z, row), at(v.x, v.y, v.z, row));
            places.push((grid.key(place), place));
            seen.kinetic += 0.5 * dot(velocity, velocity);
            seen.potential += gravity * (place[1] - floor);
            for (_, gap) in super::walls_around(place, &walls) {
                seen.overlap = seen.overlap.max(-gap);
            }
        }
    })?;
    seen.spheres = places.len() as u64;
    places.sort_by_key(|(key, _)| *key);
    for (i, (key, place)) in places.iter().enumerate() {
        for first in grid.around(*key) {
            let start = places.partition_point(|(key, _)| *key < first).max(i + 1);
            for (_, other) in places[start.min(places.len())..].iter().take_while(|(key, _)| *key <= first + 2) {
                let d = subtract(*other, *place);
                seen.overlap = seen.overlap.max(2.0 * RADIUS - dot(d, d).sqrt());
            }
        }
    }
    Ok(seen)
}
