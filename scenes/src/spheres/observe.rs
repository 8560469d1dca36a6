//! A look from outside, between frames.
#![forbid(unsafe_code)]

use std::error::Error;

use hypostyle::space::{Box3, CellGrid, CellStarts, NeighbourSearch};
use hypostyle::{Entity, Read, World};

use super::law::Constants;
use super::vector::{Vector, add, at, cross, dot, scale, subtract};
use super::vessel::touching;
use super::{ContactLaw, Position, Radius, Sides, Spin, Springs, Velocity, Vessel, Walls};

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
    /// The centre of mass, metres.
    pub centre: [f64; 3],
    /// In a drum: from its axis to the centre of mass, metres.
    pub below_axis: [f64; 3],
    /// In a hopper: spheres below the orifice.
    pub passed: u64,
}

impl Observation {
    /// All energy, J.
    pub fn energy(&self) -> f64 {
        self.kinetic + self.potential + self.elastic
    }

    /// In a drum: the slope of the surface of a bed that is a segment of the drum, rise over run. The centre of mass of a
    /// segment is below the axis at a right angle to its chord.
    pub fn slope(&self) -> f64 {
        let [across, up, _] = self.below_axis;
        if up < 0.0 { across / -up } else { 0.0 }
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
/// A world of another scene; two spheres at one place.
pub fn look(world: &World) -> Result<Observation, Box<dyn Error>> {
    let (walls, vessel, law) =
        (world.resource::<Walls>()?, world.resource::<Vessel>()?, world.resource::<ContactLaw>()?);
    let constants = Constants::new(&law);
    let mut seen = Observation::default();
    let (mut all, mut mass_of_all): (Vec<Seen>, f64) = (Vec::new(), 0.0);
    // stretched springs hold 2/7 of what a normal one would
    let tangential = 0.5 * 2.0 / 7.0 * law.stiffness;
    type Columns = (Read<Position>, Read<Velocity>, Read<Spin>, Read<Radius>, Read<Springs>, Read<Sides>);
    world.query::<Columns>(|entities, (p, v, w, radius, springs, sides)| {
        for row in 0..entities.len() {
            let (place, velocity, spin) = (at(p.x, p.y, p.z, row), at(v.x, v.y, v.z, row), at(w.x, w.y, w.z, row));
            let radius = radius.value[row];
            let mass = constants.mass(radius);
            let inertia = 0.4 * mass * radius * radius;
            mass_of_all += mass;
            seen.centre = add(seen.centre, scale(place, mass));
            seen.kinetic += 0.5 * mass * dot(velocity, velocity) + 0.5 * inertia * dot(spin, spin);
            seen.potential += law.gravity * mass * (place[1] - f64::from(walls.min[1]) - radius);
            let momentum = scale(velocity, mass);
            seen.momentum = add(seen.momentum, momentum);
            let angular = add(cross(place, momentum), scale(spin, inertia));
            seen.angular_momentum = add(seen.angular_momentum, angular);
            let owned = 3 * (springs.count[row] as usize).min(super::OWNED_MAX);
            let stretch = springs.stretch[row][..owned].iter().chain(&sides.stretch[row]);
            seen.elastic += tangential * stretch.map(|s| s * s).sum::<f64>();
            touching(place, radius, &walls, &vessel, |touch| {
                seen.touch(radius - touch.distance, radius, law.stiffness);
            });
            seen.passed += u64::from(vessel.kind == Vessel::HOPPER && place[1] < vessel.low);
            all.push(Seen { key: 0, entity: entities[row], place, radius });
        }
    })?;
    seen.spheres = all.len() as u64;
    seen.centre = scale(seen.centre, 1.0 / mass_of_all.max(f64::MIN_POSITIVE));
    if vessel.kind == Vessel::DRUM {
        seen.below_axis = subtract(seen.centre, vessel.axis);
    }
    pairs(&mut seen, all, &walls, law.stiffness)?;
    Ok(seen)
}

/// Adds the pairs that touch.
fn pairs(seen: &mut Observation, mut all: Vec<Seen>, walls: &Walls, stiffness: f64) -> Result<(), Box<dyn Error>> {
    let largest = all.iter().fold(0.0, |largest: f64, seen| largest.max(seen.radius));
    if largest == 0.0 {
        return Ok(());
    }
    let low = walls.min.map(f64::from);
    let side = std::array::from_fn(|axis| f64::from(walls.max[axis]) - low[axis]);
    let grid = CellGrid::new(&Box3::open(low, side)?, 2.0 * largest)?;
    all.iter_mut().for_each(|seen| seen.key = grid.key(seen.place));
    all.sort_by_key(|seen| (seen.key, seen.entity));
    let keys: Vec<u32> = all.iter().map(|seen| seen.key).collect();
    let starts = CellStarts::of_sorted(&keys, grid.count())?;
    let column = |axis: usize| all.iter().map(|seen| seen.place[axis]).collect::<Vec<f64>>();
    let (x, y, z) = (column(0), column(1), column(2));
    let mut search = NeighbourSearch::new(&grid, &starts, [&x, &y, &z], 2.0 * largest);
    for (i, one) in all.iter().enumerate() {
        for j in search.of(i)?.iter().filter(|j| **j as usize > i) {
            let other = &all[*j as usize];
            let d = subtract(other.place, one.place);
            let overlap = one.radius + other.radius - dot(d, d).sqrt();
            seen.touch(overlap, one.radius.min(other.radius), stiffness);
        }
    }
    Ok(())
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
