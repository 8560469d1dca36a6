//! What is to be seen: energies, the front, compression.
#![forbid(unsafe_code)]

use std::error::Error;

use hypostyle::{Read, World};

use super::{Density, Fluid, Position, Tank, Velocity};

/// Sums over all particles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observation {
    /// How many.
    pub particles: u64,
    /// Kinetic energy, joules.
    pub kinetic: f64,
    /// Potential energy, joules; 0 on the floor.
    pub potential: f64,
    /// The farthest that water has come along the tank, metres.
    pub front: f64,
    /// The greatest difference of a density from that at rest, over that.
    pub compression: f64,
    /// Momentum, kilogram metres per second.
    pub momentum: [f64; 3],
    /// Mean height of water and of oil, metres.
    pub heights: [f64; 2],
}

impl Observation {
    /// Kinetic and potential energy, joules.
    #[must_use]
    pub fn energy(&self) -> f64 {
        self.kinetic + self.potential
    }
}

/// Looks at a world of this scene.
///
/// # Errors
/// A world of another scene.
pub fn look(world: &World) -> Result<Observation, Box<dyn Error>> {
    let tank = world.resource::<Tank>()?;
    let mut seen = Observation::default();
    let mut counts = [0.0; 2];
    world.query::<(Read<Position>, Read<Velocity>, Read<Fluid>, Read<Density>)>(
        |entities, (at, v, fluid, density)| {
            for row in 0..entities.len() {
                let kind = usize::from(fluid.kind[row] != 0);
                let mass = tank.mass(fluid.kind[row]);
                let velocity = [v.x[row], v.y[row], v.z[row]];
                seen.kinetic += 0.5 * mass * velocity.iter().map(|v| v * v).sum::<f64>();
                seen.potential += mass * tank.gravity * at.y[row];
                for (sum, v) in seen.momentum.iter_mut().zip(velocity) {
                    *sum += mass * v;
                }
                if kind == 0 {
                    seen.front = seen.front.max(at.x[row]);
                }
                seen.compression = seen.compression.max((density.value[row] / tank.rest[kind] - 1.0).abs());
                seen.heights[kind] += at.y[row];
                counts[kind] += 1.0;
            }
            seen.particles += entities.len() as u64;
        },
    )?;
    for (height, count) in seen.heights.iter_mut().zip(counts) {
        *height /= f64::max(count, 1.0);
    }
    Ok(seen)
}
