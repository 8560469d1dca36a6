//! The columns as they stand at the beginning.
#![forbid(unsafe_code)]

use std::error::Error;

use hypostyle::{GlobalId, World};

use super::super::random::Random;
use super::super::{SceneError, SceneOptions, put};
use super::law::Law;
use super::{COLUMN, Cell, Density, Fluid, GRAVITY, MACH_INVERSE, Position, Tank, Velocity, WIDTH, choices};

/// Random part of the distance of particles at the beginning: a lattice that is too even falls too evenly.
const JITTER: f64 = 0.02;

/// What to place, and where.
pub(super) struct Start {
    tank: Tank,
    particles: usize,
    columns: usize,
}

impl Start {
    pub(super) fn new(options: &SceneOptions, particles: u64) -> Result<Start, SceneError> {
        let (length, oil, viscosity) = choices(options)?;
        let columns = if oil { 2 } else { 1 };
        let each = (particles as f64 / columns as f64).max(1.0);
        // so many cells across a column that there are places enough
        let across = (1..).map(f64::from).find(|across| {
            let along = (across * COLUMN / WIDTH).floor();
            along * along * across >= each
        });
        let spacing = WIDTH / across.unwrap_or(1.0);
        if spacing < 1.0 / 64.0 {
            return Err(SceneError::Entities {
                asked: particles,
                want: "at most 131072 in each column: finer ones need shorter steps than this scene has".to_owned(),
            });
        }
        let fall = (2.0 * GRAVITY * COLUMN).sqrt();
        let tank = Tank {
            side: [length, 2.0 * COLUMN, WIDTH],
            spacing,
            gravity: GRAVITY,
            sound: MACH_INVERSE * fall,
            viscosity,
            rest: [1000.0, 800.0],
        };
        let particles = usize::try_from(particles).map_err(|_| SceneError::Entities {
            asked: particles,
            want: "as many as this machine can count".to_owned(),
        })?;
        Ok(Start { tank, particles, columns })
    }

    pub(super) fn fill(&self, world: &mut World, seed: u64) -> Result<(), Box<dyn Error>> {
        let tank = &self.tank;
        put(world, *tank)?;
        // before anything is made of that length
        world.reserve::<(GlobalId, Position, Velocity, Fluid, Density, Cell)>(self.particles as u64)?;
        let law = Law::new(tank);
        world.spawn_batch((0..self.particles).map(|index| self.particle(index, seed, &law)))?;
        Ok(())
    }

    fn particle(&self, index: usize, seed: u64, law: &Law) -> (GlobalId, Position, Velocity, Fluid, Density, Cell) {
        let tank = &self.tank;
        // one after the other for each column, layer by layer from the floor up
        let (kind, place) = (index % self.columns, index / self.columns);
        let (across, along) = ((WIDTH / tank.spacing).round() as usize, (COLUMN / tank.spacing).floor() as usize);
        let cell = [place / across % along, place / (across * along), place % across];
        let mut random = Random::new(seed, index as u64, 0);
        let mut at = cell.map(|cell| (cell as f64 + 0.5 + JITTER * (2.0 * random.unit() - 1.0)) * tank.spacing);
        if kind == 1 {
            at[0] = tank.side[0] - at[0];
        }
        let layers = (self.particles / self.columns).div_ceil(across * along) as f64;
        let depth = (layers * tank.spacing - at[1]).max(0.0);
        let pressure = tank.rest[kind] * tank.gravity * depth;
        (
            GlobalId::root(index as u64),
            Position { x: at[0], y: at[1], z: at[2] },
            Velocity::default(),
            Fluid { kind: kind as u32 },
            Density { value: law.density(kind as u32, pressure) },
            Cell::default(),
        )
    }
}
