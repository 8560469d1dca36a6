//! Boxes, drums and hoppers as a run begins: spheres on a lattice, each a little off its place.
#![forbid(unsafe_code)]

use std::error::Error;

use hypostyle::{GlobalId, World};

use super::super::random::Random;
use super::{
    Anchor, Body, Cell, Force, Near, Place, Position, Pushes, Radius, SceneError, SceneOptions, Sides, Slots, Spin,
    Springs, Sum, Torque, Velocity, Vessel, Walls, put, radii_of,
};

/// Distance of centres at the beginning, and how much of it is random, in diameters of the largest sphere.
const SPACING: f64 = 1.3;
const JITTER: f64 = 0.1;

/// Where spheres begin.
pub(super) struct Start {
    walls: Walls,
    vessel: Vessel,
    radii: (f64, f64),
    /// Of the sphere's lattice places.
    places: Vec<[f64; 3]>,
}

impl Start {
    /// What the options choose.
    pub(super) fn new(options: &SceneOptions, n: usize) -> Result<Self, SceneError> {
        let radii = radii_of(options)?;
        let diameter = 2.0 * radii.1;
        match options.text("shape").unwrap_or("box") {
            "box" => Ok(Self::in_box(n, radii)),
            "drum" => {
                let turn = options.number("turn", -10.0, 10.0)?.unwrap_or(0.5);
                Ok(Self::in_drum(n, radii, turn))
            }
            "hopper" => {
                let orifice = options.number("orifice", 2.0 * diameter, 100.0 * diameter)?.unwrap_or(6.0 * diameter);
                let slope = options.number("funnel", 0.0, 4.0)?.unwrap_or(1.0);
                Ok(Self::in_hopper(n, radii, 0.5 * orifice, slope))
            }
            other => Err(SceneError::Option {
                name: "shape".to_owned(),
                value: other.to_owned(),
                want: "box, drum or hopper".to_owned(),
            }),
        }
    }

    fn in_box(n: usize, radii: (f64, f64)) -> Self {
        let side = (1..).find(|side| side * side * side >= n).unwrap_or(1);
        let diameter = 2.0 * radii.1;
        let width = (side as f64 * SPACING * diameter) as f32;
        let walls = Walls { min: [0.0; 3], max: [width, width + 2.0 * diameter as f32, width] };
        let place = |index: usize| {
            let cell = [index % side, index / (side * side), index / side % side];
            let lift = [0.0, 1.0, 0.0];
            std::array::from_fn(|axis| ((cell[axis] as f64 + 0.5) * SPACING + lift[axis]) * diameter)
        };
        Start { walls, vessel: Vessel::NONE, radii, places: (0..n).map(place).collect() }
    }

    /// A drum as long as its radius, as large as its spheres need.
    fn in_drum(n: usize, radii: (f64, f64), turn: f64) -> Self {
        let (diameter, step) = (2.0 * radii.1, 2.0 * radii.1 * SPACING);
        let mut radius = 3.0 * diameter;
        loop {
            let layers = (radius / step) as usize;
            let inside = radius - 0.5 * step;
            let disc = disc(inside, step);
            if layers * disc.len() >= n {
                // its sides are no nearer than the drum
                let (side, length) = (2.0 * (radius + diameter), layers as f64 * step);
                let middle = 0.5 * side;
                let walls = Walls { min: [0.0; 3], max: [side as f32, side as f32, length as f32] };
                let vessel = Vessel { kind: Vessel::DRUM, radius, axis: [middle, middle, 0.0], turn, ..Vessel::NONE };
                let place = |index: usize| {
                    let [x, y] = disc[index / layers];
                    [middle + x, middle + y, ((index % layers) as f64 + 0.5) * step]
                };
                return Start { walls, vessel, radii, places: (0..n).map(place).collect() };
            }
            radius *= 1.02;
        }
    }

    /// A bin as wide as the spheres in it are high, half of its width above the floor.
    fn in_hopper(n: usize, radii: (f64, f64), orifice: f64, slope: f64) -> Self {
        let (diameter, step) = (2.0 * radii.1, 2.0 * radii.1 * SPACING);
        let mut radius = orifice + 2.0 * diameter;
        loop {
            let disc = disc(radius - 0.5 * step, step);
            let layers = n.div_ceil(disc.len());
            let height = layers as f64 * step;
            if height <= 2.0 * radius {
                let (side, low) = (3.0 * radius, radius + diameter);
                let high = low + slope * (radius - orifice);
                let middle = 0.5 * side;
                let walls = Walls { min: [0.0; 3], max: [side as f32, (high + height + step) as f32, side as f32] };
                let axis = [middle, 0.0, middle];
                let vessel = Vessel { kind: Vessel::HOPPER, radius, axis, orifice, low, high, ..Vessel::NONE };
                let place = |index: usize| {
                    let [x, z] = disc[index % disc.len()];
                    [middle + x, high + ((index / disc.len()) as f64 + 0.5) * step, middle + z]
                };
                return Start { walls, vessel, radii, places: (0..n).map(place).collect() };
            }
            radius *= 1.02;
        }
    }

    /// Makes the spheres, with some velocity.
    pub(super) fn fill(&self, world: &mut World, seed: u64) -> Result<(), Box<dyn Error>> {
        let n = self.places.len();
        // before anything is made of that length
        type All = (
            GlobalId,
            Position,
            Velocity,
            Spin,
            Radius,
            Force,
            Torque,
            Cell,
            Anchor,
            Place,
            Body,
            (Near, Slots),
            Sum,
            Pushes,
            Springs,
            Sides,
        );
        world.reserve::<All>(n as u64)?;
        put(world, self.walls)?;
        put(world, self.vessel)?;
        let mut places: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::with_capacity(n));
        let mut velocities: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::with_capacity(n));
        let mut sizes = Vec::with_capacity(n);
        let diameter = 2.0 * self.radii.1;
        for (index, place) in self.places.iter().enumerate() {
            let mut random = Random::new(seed, index as u64, 0);
            for axis in 0..3 {
                places[axis].push(place[axis] + JITTER * (2.0 * random.unit() - 1.0) * diameter);
                velocities[axis].push(4.0 * random.unit() - 2.0);
            }
            sizes.push(self.radii.0 + (self.radii.1 - self.radii.0) * random.unit());
        }
        let ([x, y, z], [vx, vy, vz]) = (&places, &velocities);
        let ids: Vec<u64> = (0..n as u64).map(|number| GlobalId::root(number).value).collect();
        world
            .spawn_columns(n)
            .column("global_id.value", &ids)
            .column("position.x", x)
            .column("position.y", y)
            .column("position.z", z)
            .column("velocity.x", vx)
            .column("velocity.y", vy)
            .column("velocity.z", vz)
            .column("radius.value", &sizes)
            .with::<Spin>()
            .with::<Force>()
            .with::<Torque>()
            .with::<Cell>()
            .with::<Anchor>()
            .with::<Place>()
            .with::<Body>()
            .with::<Near>()
            .with::<Slots>()
            .with::<Sum>()
            .with::<Pushes>()
            .with::<Springs>()
            .with::<Sides>()
            .spawn()?;
        Ok(())
    }
}

/// The places of a square lattice within a circle.
fn disc(radius: f64, step: f64) -> Vec<[f64; 2]> {
    let half = (radius / step) as i32 + 1;
    let lines = -half..=half;
    let places = lines.clone().flat_map(|y| lines.clone().map(move |x| [f64::from(x) * step, f64::from(y) * step]));
    // a place may be a little off
    let most = radius - 0.2 * step;
    places.filter(|[x, y]| x * x + y * y <= most * most).collect()
}
