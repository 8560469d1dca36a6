//! Two fluids that do not mix, by smoothed particles: columns of water and oil fall, meet, and lie down in layers.
//!
//! Weakly compressible smoothed particle hydrodynamics: Monaghan, "Simulating free surface flows with SPH", 1994, with the forms
//! of Colagrossi and Landrini, "Numerical simulation of interfacial flows by smoothed particle hydrodynamics", 2003, for fluids of
//! different densities, and the kernel of Wendland, "Piecewise polynomial, positive definite and compactly supported radial
//! functions of minimal degree", 1995; [`law`] has the equations. Walls are springs, as stiff as the fluid.
//!
//! A frame is a step: `bin` (cells, by which the table is sorted), `compress` (densities), `push` (velocities, by the new densities)
//! and `drift` (places, by the new velocities): semi-implicit, so that waves of sound do not grow. All pairs within two smoothing
//! lengths count, each from both sides. Sums go in the order in which the search finds the neighbours, so nothing depends on who
//! computes what.
#![forbid(unsafe_code)]

pub mod law;
mod observe;
mod start;
mod step;

use std::error::Error;

use hypostyle::{Component, GlobalId, Layout, Resource, Schedule, World, WorldBuilder};

use super::{Line, Scene, SceneError, SceneOption, SceneOptions, Space, bytes_max};

pub use observe::{Observation, look};

/// Where a particle is, metres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Component)]
pub struct Position {
    /// Metres, along the tank.
    pub x: f64,
    /// Metres, upwards.
    pub y: f64,
    /// Metres, across the tank.
    pub z: f64,
}

/// How fast it moves, metres per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Component)]
pub struct Velocity {
    /// Along the tank.
    pub x: f64,
    /// Upwards.
    pub y: f64,
    /// Across the tank.
    pub z: f64,
}

/// Which fluid it is of: 0 is water, 1 is oil.
#[derive(Clone, Copy, Debug, Default, PartialEq, Component)]
pub struct Fluid {
    /// 0 or 1.
    pub kind: u32,
}

/// How dense it is, kilograms per cubic metre.
#[derive(Clone, Copy, Debug, Default, PartialEq, Component)]
pub struct Density {
    /// Kilograms per cubic metre.
    pub value: f64,
}

/// Its cell of the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Component)]
pub struct Cell {
    key: u32,
}

/// The tank, and what fills it.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Tank {
    /// Its sides, metres: length, height, width. Its corner is the origin.
    pub side: [f64; 3],
    /// Distance of the particles at the beginning, metres.
    pub spacing: f64,
    /// Downwards, metres per second squared.
    #[resource(default = 9.81)]
    pub gravity: f64,
    /// Of sound in water, metres per second: ten times the greatest speed, so that densities differ by 1 % at most.
    pub sound: f64,
    /// Of artificial viscosity: Monaghan's alpha.
    #[resource(default = 0.05)]
    pub viscosity: f64,
    /// Densities at rest, water and oil, kilograms per cubic metre.
    #[resource(default = [1000.0, 800.0])]
    pub rest: [f64; 2],
}

impl Tank {
    /// The smoothing length, metres.
    #[must_use]
    pub fn smoothing(&self) -> f64 {
        SMOOTHING * self.spacing
    }

    /// How far a particle sees, metres.
    #[must_use]
    pub fn reach(&self) -> f64 {
        2.0 * self.smoothing()
    }

    /// The mass of a particle of a fluid, kilograms.
    #[must_use]
    pub fn mass(&self, kind: u32) -> f64 {
        self.rest[usize::from(kind != 0)] * self.spacing * self.spacing * self.spacing
    }
}

/// Smoothing length over distance at the beginning.
const SMOOTHING: f64 = 1.3;
/// Height and length of a column at the beginning, metres.
const COLUMN: f64 = 1.0;
/// Width of the tank, metres.
const WIDTH: f64 = 0.5;
/// Of sound, over the speed of a free fall from the columns' height.
const MACH_INVERSE: f64 = 10.0;
/// Of gravity, metres per second squared.
const GRAVITY: f64 = 9.81;
/// A step, seconds: fits a spacing of 1 / 60 m and more; finer ones need shorter steps.
const DT: f64 = 1.0 / 10_000.0;

/// The scene.
pub struct Fluids;

impl Scene for Fluids {
    fn name(&self) -> &'static str {
        "fluids"
    }

    fn about(&self) -> &'static str {
        "columns of water and oil fall into each other, by smoothed particles"
    }

    fn default_entities(&self) -> u64 {
        20_000
    }

    fn options(&self) -> &'static [SceneOption] {
        const OPTIONS: &[SceneOption] = &[
            SceneOption { name: "tank", value: "LENGTH", about: "of the tank, metres, 1 to 10 (default 3)" },
            SceneOption { name: "oil", value: "0|1", about: "whether there is a column of oil, too (default 1)" },
            SceneOption { name: "viscosity", value: "ALPHA", about: "artificial, 0 to 1 (default 0.05)" },
        ];
        OPTIONS
    }

    fn dt(&self) -> f64 {
        DT
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let entities = options.entities.unwrap_or(self.default_entities());
        let start = start::Start::new(options, entities)?;
        let mut world = builder
            .layout(Layout::parse(include_str!("../../../layouts/fluids.toml"), "fluids.toml")?)
            .component::<GlobalId>()
            .component::<Position>()
            .component::<Velocity>()
            .component::<Fluid>()
            .component::<Density>()
            .component::<Cell>()
            .resource::<Tank>()
            .bytes_max_default(bytes_max(entities, 1024))
            .build()?;
        start.fill(&mut world, options.seed)?;
        Ok(world)
    }

    fn schedule(&self, _: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        schedule.add(step::bin()).add(step::compress()).add(step::push()).add(step::drift());
        schedule
    }

    fn space(&self, world: &World) -> Result<Option<Space>, Box<dyn Error>> {
        let tank = world.resource::<Tank>()?;
        Ok(Some(Space::of(&step::grid(&tank)?, tank.reach(), "cell.key")))
    }

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let seen = look(world)?;
        Ok(vec![
            Line::count("particles", seen.particles),
            Line::number("kinetic energy", seen.kinetic, |x| format!("{x:.6} J")),
            Line::number("total energy", seen.energy(), |x| format!("{x:.6} J")),
            Line::number("front of the water", seen.front, |x| format!("{x:.4} m")),
            Line::number("compression", seen.compression, |x| format!("{:.3} % at most", 100.0 * x)),
        ])
    }
}

/// What `--tank`, `--oil` and `--viscosity` choose.
fn choices(options: &SceneOptions) -> Result<(f64, bool, f64), SceneError> {
    let tank = options.number("tank", 1.0, 10.0)?.unwrap_or(3.0);
    let oil = options.number::<u32>("oil", 0, 1)?.unwrap_or(1) == 1;
    if oil && tank < 2.0 * COLUMN {
        return Err(SceneError::Option {
            name: "tank".to_owned(),
            value: tank.to_string(),
            want: format!("{} at least where two columns stand in it (or --oil 0)", 2.0 * COLUMN),
        });
    }
    Ok((tank, oil, options.number("viscosity", 0.0, 1.0)?.unwrap_or(0.05)))
}
