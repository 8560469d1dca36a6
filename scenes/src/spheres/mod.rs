//! Spheres in a box under gravity, with rotation, restitution and friction: a discrete element method.
//!
//! Contacts are springs and dashpots with a history of sliding: Cundall and Strack, "A discrete numerical model for granular
//! assemblies", 1979, in the form of Silbert and others, "Granular flow down an inclined plane: Bagnold scaling and
//! rheology", 2001, which is `gran/hooke/history` of LAMMPS; `law` has the equations. The damping follows from the
//! restitution, which does not depend on the speed nor on the masses.
//!
//! A frame: `measure` (the greatest speed, which bounds whom a sphere can meet), `bin` (cells, by which the table is
//! sorted), `find` (who can be met), `force 0`, and then substeps of velocity Verlet: `drift n` and `force n`; `kick` ends
//! the last one. The number of substeps follows from the stiffness: [`STEPS_PER_CONTACT`] of them in the shortest contact.
//!
//! Every pair is treated from both sides, each sphere changing only itself and reading everything else as it was when
//! the batch began. Both sides compute the force of a pair from the same numbers in the same order, that on the smaller of
//! the two, and the other one takes its opposite: forces are opposites to the last bit, so momentum and angular momentum
//! change by rounding alone. The smaller of two keeps the spring between them (of equals the one with the lower
//! handle): no more than a dozen spheres of its size or more fit around it, so a short list by entity is enough, and
//! stays right when rows are sorted, when a run is resumed, and when a worker dies.
//!
//! Nothing is limited in silence: what the model cannot follow (a sphere that moves too far in a substep, that overlaps
//! too deeply, that is outside, whose numbers are none) fails its frame with an error that names the entity.
#![forbid(unsafe_code)]

mod find;
mod law;
mod observe;
mod step;
mod vector;

use std::error::Error;

use hypostyle::{Component, Layout, Resource, Schedule, World, WorldBuilder};

use super::random::Random;
use super::{Line, Scene, SceneError, SceneOption, SceneOptions, bytes_max, put};

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
    /// Metres per second.
    pub x: f64,
    /// Metres per second, upwards.
    pub y: f64,
    /// Metres per second.
    pub z: f64,
}

/// How fast it turns, radians per second around each axis.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Spin {
    /// Around x.
    pub x: f64,
    /// Around y.
    pub y: f64,
    /// Around z.
    pub z: f64,
}

/// How large.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(track_changes)]
pub struct Radius {
    /// Metres.
    #[component(default = 0.5)]
    pub value: f64,
}

/// What contacts and gravity do to it, newtons.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Force {
    x: f64,
    y: f64,
    z: f64,
}

/// What contacts do to its spin, newton metres.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Torque {
    x: f64,
    y: f64,
    z: f64,
}

/// Its cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Cell {
    key: u32,
}

/// Who can be met in this frame, by rows.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Contact {
    near: [u32; NEAR_MAX],
    count: u32,
}

/// The history of contacts: with whom (the bits of their handles), and the stretch of each spring, metres; the walls'
/// springs, in the order of [`walls_around`].
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Springs {
    with: [u64; OWNED_MAX],
    stretch: [f64; 3 * OWNED_MAX],
    walls: [f64; 18],
    count: u32,
}

/// The box, metres.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Walls {
    /// The corner with the least coordinates; its second is the floor.
    #[resource(default = [0.0, 0.0, 0.0])]
    pub min: [f32; 3],
    /// The opposite one.
    #[resource(default = [100.0, 100.0, 100.0])]
    pub max: [f32; 3],
}

/// What contacts do.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct ContactLaw {
    /// Downwards, metres per second squared.
    #[resource(default = 9.81)]
    pub gravity: f64,
    /// Speed after over speed before a central impact, 0 to 1.
    #[resource(default = 0.5)]
    pub restitution: f64,
    /// Tangential force over normal force, at most.
    #[resource(default = 0.3)]
    pub friction: f64,
    /// Of the normal spring, newtons per metre; the tangential one has 2/7 of it.
    #[resource(default = 20000.0)]
    pub stiffness: f64,
    /// Kilograms per cubic metre; 6 / pi by default, so that a sphere of radius 0.5 m has 1 kg.
    #[resource(default = 1.909859317102744)]
    pub density: f64,
}

/// What bounds a frame; measured when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Pace {
    /// No sphere may become faster before the frame ends, metres per second.
    pub speed_max: f64,
    /// The smallest sphere, metres.
    pub radius_min: f64,
    /// The largest one.
    pub radius_max: f64,
}

/// Substeps in the shortest contact that there can be: between two of the smallest spheres. A contact begins and ends
/// somewhere within a substep; with so many the restitution is met within 0.03.
pub const STEPS_PER_CONTACT: f64 = 25.0;
/// The largest radius over the smallest one, at most.
pub const RATIO_MAX: f64 = 4.0;
/// An overlap of so much of the smaller radius is an error: springs are for small ones.
pub const OVERLAP_MAX: f64 = 0.5;

/// Spheres that one can meet in a frame.
const NEAR_MAX: usize = 96;
/// Spheres that are not smaller and touch one: a dozen fit, and a few more where they overlap.
const OWNED_MAX: usize = 16;
/// The largest radius where the options do not say.
const RADIUS: f64 = 0.5;
/// Distance of centres at the beginning, and how much of it is random, in diameters of the largest sphere.
const SPACING: f64 = 1.3;
const JITTER: f64 = 0.1;
/// Of a frame.
const DT: f64 = 1.0 / 240.0;

/// The scene.
pub struct Spheres;

impl Scene for Spheres {
    fn name(&self) -> &'static str {
        "spheres"
    }

    fn about(&self) -> &'static str {
        "spheres fall into a box, collide, slide, roll and come to rest"
    }

    fn default_entities(&self) -> u64 {
        20_000
    }

    fn options(&self) -> &'static [SceneOption] {
        const OPTIONS: &[SceneOption] = &[
            SceneOption {
                name: "radii",
                value: "MIN,MAX",
                about: "radii, metres, within a factor of 4 (default 0.4,0.5)",
            },
            SceneOption { name: "gravity", value: "G", about: "downwards, m/s^2 (default 9.81)" },
            SceneOption {
                name: "restitution",
                value: "E",
                about: "speed after over before an impact, 0 to 1 (default 0.5)",
            },
            SceneOption { name: "friction", value: "MU", about: "tangential over normal force, at most (default 0.3)" },
            SceneOption {
                name: "stiffness",
                value: "K",
                about: "of contacts, N/m (default 20000); substeps follow from it and the smallest radius",
            },
        ];
        OPTIONS
    }

    fn dt(&self) -> f64 {
        DT
    }

    fn default_frames(&self) -> Option<u64> {
        None
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let entities = options.entities.unwrap_or(self.default_entities());
        let (law, radii) = (law_of(options)?, radii_of(options)?);
        let mut world = builder
            .layout(Layout::parse(include_str!("../../../layouts/spheres.toml"), "spheres.toml")?)
            .component::<Position>()
            .component::<Velocity>()
            .component::<Spin>()
            .component::<Radius>()
            .component::<Force>()
            .component::<Torque>()
            .component::<Cell>()
            .component::<Contact>()
            .component::<Springs>()
            .resource::<Walls>()
            .resource::<ContactLaw>()
            .resource::<Pace>()
            .bytes_max_default(bytes_max(entities, 8192))
            .build()?;
        put(&mut world, law)?;
        put(&mut world, Pace { speed_max: 0.0, radius_min: radii.0, radius_max: radii.1 })?;
        spawn_lattice(&mut world, usize::try_from(entities)?, options.seed, radii)?;
        Ok(world)
    }

    fn schedule(&self, options: &SceneOptions) -> Schedule {
        // options that are not valid make no world: nothing will run with this number
        let law = law_of(options).unwrap_or(LAW);
        let substeps = law::substeps(&law, radii_of(options).unwrap_or((0.4, RADIUS)).0, DT);
        let mut schedule = Schedule::new();
        schedule.add(find::measure(substeps)).add(find::bin()).add(find::find()).add(step::force(0, substeps));
        for substep in 1..=substeps {
            schedule.add(step::drift(substep, substeps)).add(step::force(substep, substeps));
        }
        schedule.add(step::kick(substeps));
        schedule
    }

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let seen = look(world)?;
        let each = seen.spheres.max(1) as f64;
        Ok(vec![
            Line::count("spheres", seen.spheres),
            Line::count("contacts", seen.contacts),
            Line::number("total energy", seen.energy() / each, |x| format!("{x:.6} J each")),
            Line::number("kinetic energy", seen.kinetic / each, |x| format!("{x:.6} J each")),
            Line::number("deepest overlap", seen.overlap, |x| format!("{x:.2e} of the smaller radius")),
        ])
    }
}

const LAW: ContactLaw =
    ContactLaw { gravity: 9.81, restitution: 0.5, friction: 0.3, stiffness: 20_000.0, density: 1.909859317102744 };

/// The law that the options choose.
fn law_of(options: &SceneOptions) -> Result<ContactLaw, SceneError> {
    Ok(ContactLaw {
        gravity: options.number("gravity", 0.0, 1000.0)?.unwrap_or(LAW.gravity),
        restitution: options.number("restitution", 0.0, 1.0)?.unwrap_or(LAW.restitution),
        friction: options.number("friction", 0.0, 10.0)?.unwrap_or(LAW.friction),
        stiffness: options.number("stiffness", 1e3, 1e7)?.unwrap_or(LAW.stiffness),
        ..LAW
    })
}

/// The least and the greatest radius that the options choose.
fn radii_of(options: &SceneOptions) -> Result<(f64, f64), SceneError> {
    let Some(text) = options.text("radii") else { return Ok((0.4, RADIUS)) };
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([min, max]) if *min >= 0.05 && min <= max && *max <= 10.0 && *max <= RATIO_MAX * min => Ok((*min, *max)),
        _ => Err(SceneError::Option {
            name: "radii".to_owned(),
            value: text.to_owned(),
            want: format!("MIN,MAX in metres, from 0.05 to 10, MAX at most {RATIO_MAX} times MIN"),
        }),
    }
}

/// Spheres on a cubic lattice, each a little off its place, in a box that fits, with some velocity.
fn spawn_lattice(world: &mut World, n: usize, seed: u64, radii: (f64, f64)) -> Result<(), Box<dyn Error>> {
    // before anything is made of that length
    world.reserve::<(Position, Velocity, Spin, Radius, Force, Torque, Cell, Contact, Springs)>(n as u64)?;
    let side = (1..).find(|side| side * side * side >= n).unwrap_or(1);
    let diameter = 2.0 * radii.1;
    let width = (side as f64 * SPACING * diameter) as f32;
    put(world, Walls { min: [0.0; 3], max: [width, width + 2.0 * diameter as f32, width] })?;
    let mut places: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::with_capacity(n));
    let mut velocities: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::with_capacity(n));
    let mut sizes = Vec::with_capacity(n);
    for index in 0..n {
        let mut random = Random::new(seed, index as u64, 0);
        let place = [index % side, index / (side * side), index / side % side];
        for axis in 0..3 {
            let lift = if axis == 1 { 1.0 } else { 0.0 };
            let centre = (place[axis] as f64 + 0.5) * SPACING + lift + JITTER * (2.0 * random.unit() - 1.0);
            places[axis].push(centre * diameter);
            velocities[axis].push(4.0 * random.unit() - 2.0);
        }
        sizes.push(radii.0 + (radii.1 - radii.0) * random.unit());
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
        .column("radius.value", &sizes)
        .with::<Spin>()
        .with::<Force>()
        .with::<Torque>()
        .with::<Cell>()
        .with::<Contact>()
        .with::<Springs>()
        .spawn()?;
    Ok(())
}

/// The six walls as a centre sees them: the outward normal and the distance.
fn walls_around(at: vector::Vector, walls: &Walls) -> [(vector::Vector, f64); 6] {
    std::array::from_fn(|index| {
        let (axis, high) = (index / 2, index % 2 == 1);
        let mut normal = [0.0; 3];
        normal[axis] = if high { 1.0 } else { -1.0 };
        let room = if high { f64::from(walls.max[axis]) - at[axis] } else { at[axis] - f64::from(walls.min[axis]) };
        (normal, room)
    })
}
