//! Rigid spheres of one size in a box, under gravity, with restitution and friction.
//!
//! A frame: `kick` (gravity, and the key of each sphere's cell, by which the table is sorted), `find` (who is near),
//! `solve 1..4` (impulses), `step` (positions, and who has come to rest), `wake`, `measure` and `limit` (the energy).
//! Every pair is treated from both sides, each sphere changing only itself and reading everything else as it was when
//! the batch began; every sum goes by rows. So nothing depends on who runs what.
//!
//! What is promised, and why it holds:
//! - **No overlap.** In `step` a sphere keeps to its side of a plane between itself and each sphere nearby, and both
//!   agree where that plane is: so no two overlap, whether the impulses have converged or not. What planes give
//!   way, so that rounding does not hold a sphere fast, is bounded by [`OVERLAP_MAX`].
//! - **Energy never grows.** An impulse is divided by the contacts of the busier of its two spheres: then
//!   simultaneous impulses never raise the kinetic energy (the sum of the projections is at most 1 + restitution).
//!   Falling in steps loses a little. What is left (bounces where the step's gravity had not been paid for) is taken
//!   out of all velocities by `limit`, up to [`ENERGY_TOLERANCE`].
//! - **Rest stays rest.** A sphere that is held where it is does not move at all, and slow approach is never thrown back.
//!   After [`SLEEP_FRAMES`] frames without movement it falls asleep, and costs nothing until something hits it.
#![forbid(unsafe_code)]

mod find;
mod ledger;
mod observe;
mod solve;
mod step;
mod vector;

use std::error::Error;

use hypostyle::{Component, Layout, Resource, Schedule, World, WorldBuilder};

use super::random::Random;
use super::{Line, Scene, SceneOptions, bytes_max, put};

pub use observe::{Observation, look};

/// Where its centre is, metres.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Position {
    /// Metres.
    pub x: f64,
    /// Metres, upwards.
    pub y: f64,
    /// Metres.
    pub z: f64,
}

/// How fast, metres per second.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Velocity {
    x: f32,
    y: f32,
    z: f32,
}

/// Its cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Cell {
    key: u32,
}

/// Who is near, by rows of this frame: the first `touching` of `count` touch.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Contact {
    near: [u32; NEAR_MAX],
    count: u32,
    touching: u32,
    /// Touching spheres and walls, at least 1.
    pressing: u32,
}

/// Frames without movement, counted up to [`SLEEP_FRAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Rest {
    frames: u32,
}

/// Does not move until something hits it.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "toggle", track_changes)]
pub struct Asleep;

/// The box.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Walls {
    #[resource(default = [0.0, 0.0, 0.0])]
    min: [f32; 3],
    #[resource(default = [100.0, 100.0, 100.0])]
    max: [f32; 3],
}

/// What contacts do.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct ContactLaw {
    /// Downwards, metres per second squared.
    #[resource(default = 9.81)]
    gravity: f32,
    /// Part of the approach that comes back.
    #[resource(default = 0.5)]
    restitution: f32,
    /// Tangential impulse over normal impulse, at most.
    #[resource(default = 0.3)]
    friction: f32,
}

/// The energy of all spheres, J/kg.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Ledger {
    /// The least that was ever measured: what there may be at most from now on.
    pub energy: f64,
    /// As measured in this frame, before the limit.
    pub kinetic: f64,
    /// As measured in this frame.
    pub potential: f64,
    /// What this frame's velocities are scaled by.
    pub scale: f64,
    /// Frames in which that was less than 1.
    pub limited: u64,
}

/// Every sphere's radius, metres.
pub const RADIUS: f64 = 0.5;
/// How deep two spheres may overlap, as a part of the radius.
pub const OVERLAP_MAX: f64 = 1e-4;
/// How much the total energy may grow, as a part of the initial energy: rounding.
pub const ENERGY_TOLERANCE: f64 = 1e-9;
/// Frames without movement after which a sphere falls asleep.
pub const SLEEP_FRAMES: u32 = 60;

/// Spheres nearby that one can have; more than fit around it.
const NEAR_MAX: usize = 20;
/// Gaps up to this make two spheres near, metres; a sphere moves at most half of it in a frame.
const REACH: f64 = 0.25;
/// Gaps up to this are contacts.
const TOUCH: f64 = 0.006;
/// The gap that slow contacts keep, so that what is not solved exactly has room.
const SKIN: f64 = 0.002;
/// Side of a grid cell: whoever is near is in one of the cells around.
const CELL: f64 = 2.0 * RADIUS + REACH;
/// Metres per second below which an approach is not thrown back.
const SLOW: f64 = 0.5;
/// Movement in a frame below which a sphere is at rest, metres.
const STILL: f64 = 2e-4;
/// Metres per second at which a neighbour wakes a sphere.
const WAKING: f64 = 0.15;
/// Batches of impulses in a frame.
const ITERATIONS: usize = 4;
/// Distance of centres at the beginning, and how much of it is random.
const SPACING: f32 = 1.3;
const JITTER: f32 = 0.1;

/// The scene.
pub struct Spheres;

impl Scene for Spheres {
    fn name(&self) -> &'static str {
        "spheres"
    }

    fn about(&self) -> &'static str {
        "rigid spheres fall into a box, collide and come to rest"
    }

    fn default_entities(&self) -> u64 {
        20_000
    }

    fn dt(&self) -> f64 {
        1.0 / 240.0
    }

    fn default_frames(&self) -> Option<u64> {
        None
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let entities = options.entities.unwrap_or(self.default_entities());
        let mut world = builder
            .layout(Layout::parse(include_str!("../../../layouts/spheres.toml"), "spheres.toml")?)
            .component::<Position>()
            .component::<Velocity>()
            .component::<Cell>()
            .component::<Contact>()
            .component::<Rest>()
            .component::<Asleep>()
            .resource::<Walls>()
            .resource::<ContactLaw>()
            .resource::<Ledger>()
            .bytes_max_default(bytes_max(entities, 2048))
            .build()?;
        spawn_lattice(&mut world, usize::try_from(entities)?, options.seed)?;
        let seen = look(&world)?;
        let Observation { kinetic, potential, .. } = seen;
        put(&mut world, Ledger { energy: kinetic + potential, kinetic, potential, scale: 1.0, limited: 0 })?;
        Ok(world)
    }

    fn schedule(&self, _: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        schedule.add(find::kick()).add(find::find());
        for iteration in 1..=ITERATIONS {
            schedule.add(solve::solve(iteration));
        }
        schedule.add(step::step()).add(step::wake()).add(ledger::measure()).add(ledger::limit());
        schedule
    }

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let seen = look(world)?;
        let each = seen.spheres.max(1) as f64;
        Ok(vec![
            Line::new("spheres", seen.spheres.to_string()),
            Line::new("asleep", seen.asleep.to_string()),
            Line::new("total energy", format!("{:.6} J/kg each", (seen.kinetic + seen.potential) / each)),
            Line::new("kinetic energy", format!("{:.6} J/kg each", seen.kinetic / each)),
            Line::new(
                "deepest overlap",
                format!("{:.2e} of the radius (at most {OVERLAP_MAX:.0e})", seen.overlap / RADIUS),
            ),
        ])
    }
}

/// Spheres on a cubic lattice, each a little off its place, in a box that fits, with some velocity.
fn spawn_lattice(world: &mut World, n: usize, seed: u64) -> Result<(), Box<dyn Error>> {
    // before anything is made of that length
    world.reserve::<(Position, Velocity, Cell, Contact, Rest)>(n as u64)?;
    let side = (1..).find(|side| side * side * side >= n).unwrap_or(1);
    let width = side as f32 * SPACING;
    put(world, Walls { min: [0.0; 3], max: [width, width + 2.0, width] })?;
    let mut places: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::with_capacity(n));
    let mut velocities: [Vec<f32>; 3] = std::array::from_fn(|_| Vec::with_capacity(n));
    for index in 0..n {
        let mut random = Random::new(seed, index as u64, 0);
        let place = [index % side, index / (side * side), index / side % side];
        for axis in 0..3 {
            let lift = if axis == 1 { 1.0 } else { 0.0 };
            let centre = (place[axis] as f32 + 0.5) * SPACING + lift;
            places[axis].push(f64::from(centre + random.range_f32(-JITTER, JITTER)));
            velocities[axis].push(random.range_f32(-2.0, 2.0));
        }
    }
    let ([x, y, z], [vx, vy, vz]) = (&places, &velocities);
    world
        .spawn_columns(n)
        .column("position.x", x)
        .column("position.y", y)
        .column("position.z", z)
        .column("velocity.x", vx)
        .column("velocity.y", vy)
        .column("velocity.z", vz)
        .with::<Cell>()
        .with::<Contact>()
        .with::<Rest>()
        .spawn()?;
    Ok(())
}

/// The six walls as a centre sees them: the outward normal and the gap.
fn walls_around(at: vector::Vector, walls: &Walls) -> [(vector::Vector, f64); 6] {
    std::array::from_fn(|index| {
        let (axis, high) = (index / 2, index % 2 == 1);
        let mut normal = [0.0; 3];
        normal[axis] = if high { 1.0 } else { -1.0 };
        let room = if high { f64::from(walls.max[axis]) - at[axis] } else { at[axis] - f64::from(walls.min[axis]) };
        (normal, room - RADIUS)
    })
}
