//! Spheres in a box under gravity, with rotation, restitution and friction: a discrete element method.
//!
//! Contacts are springs and dashpots with a history of sliding: Cundall and Strack, "A discrete numerical model for
//! granular assemblies", 1979, in the form of Silbert and others, "Granular flow down an inclined plane: Bagnold
//! scaling and rheology", 2001, which is `gran/hooke/history` of LAMMPS; `law` has the equations. The damping follows
//! from the restitution, which does not depend on the speed nor on the masses.
//!
//! A frame: `begin` (packs the state, numbers that belong together side by side), and then a loop of substeps of
//! velocity Verlet: `move` (a kick and the movement), `keep`, `bin` and `find` where a sphere has moved too far
//! (springs by entity, cells, by which the table is sorted, and lists of who may be touched), and `contacts`; `end`
//! makes the last half of a kick. The number of substeps follows from the stiffness: [`STEPS_PER_CONTACT`] of them in
//! the shortest contact. What is between substeps alone is scratch.
//!
//! Every contact is computed once, with others side by side in vectors, by the smaller of the two (of equals, by that
//! with the lower id), which keeps its spring: no more than a dozen spheres of its size or more fit around it, so a
//! short list by entity is enough, and stays right when rows are sorted, when a run is resumed, and when a worker
//! dies. The other one finds the force there in the next batch, and takes its opposite: momentum and angular momentum
//! change by rounding alone.
//!
//! Where the world is spread over ranks, the sphere that keeps a contact may be a copy of another rank's. What it does to an
//! own one is computed here once more, from the same numbers (`mirror`), so that every sphere has the bytes of one process.
//!
//! Nothing is limited in silence: what the model cannot follow (a sphere that moves too far in a substep, that overlaps
//! too deeply, that is outside, whose numbers are none) fails its frame with an error that names the entity.
#![forbid(unsafe_code)]

mod contact;
mod find;
mod law;
mod mirror;
mod observe;
mod start;
mod step;
mod vector;
mod vessel;

use std::error::Error;

use hypostyle::{Component, GlobalId, Layout, Loop, Reduce, Resource, Schedule, World, WorldBuilder};

use super::{Line, Scene, SceneError, SceneOption, SceneOptions, Space, bytes_max, put};

pub use observe::{Observation, look};
pub use vessel::{Vessel, Walls};

use vessel::WALLS;

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

/// Its cell of the grid, when the lists were made.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Cell {
    key: u32,
}

/// Where and how large it was when the lists were made.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Anchor {
    x: f64,
    y: f64,
    z: f64,
    radius: f64,
}

/// Its row when the lists were made; none before, nor where a state was taken up.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "scratch")]
pub struct Place {
    #[component(default = 4294967295)]
    row: u32,
}

impl Place {
    /// That of no row.
    const NONE: u32 = u32::MAX;
}

/// What a substep works on, numbers that belong together side by side.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "scratch")]
pub struct Body {
    /// The centre, and the radius.
    at: [f64; 4],
    /// And the inverse of the mass.
    velocity: [f64; 4],
    /// And nothing.
    spin: [f64; 4],
}

/// Who may be touched until lists are made anew, by rows. The lists of a job's rows stand one after the other at the
/// begin of the job's part of `rows`, so that they are read as one piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "scratch")]
pub struct Near {
    partners: [u32; NEAR_MAX],
    /// Where in it the list of a row begins; where those end whose contacts this row keeps; where those end that keep
    /// theirs with it; and the first row of the job.
    span: [u32; 4],
}

/// Of each in [`Near`] that keeps its contact with a row: which place the row has in that one's list.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "scratch")]
pub struct Slots {
    slots: [u8; NEAR_MAX],
}

/// What gravity, walls and the contacts that a row keeps do to it.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "scratch")]
pub struct Sum {
    force: [f64; 4],
    torque: [f64; 4],
}

/// The contacts that rows keep, those of a job one after the other: the others' rows, and with each the force on the
/// one that keeps it and the torque on the other; and how far its spring is stretched, metres. Behind them those that copies
/// of other ranks' spheres keep with the job's rows.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "scratch")]
pub struct Pushes {
    push: [f64; 6 * OWNED_MAX],
    stretch: [f64; 3 * OWNED_MAX],
    partners: [u32; OWNED_MAX],
    /// Where those of a row begin in the whole table's, how many they are, and a bit for each place of the row's list that
    /// is touched, the low half first.
    span: [u32; 4],
    /// Where those that copies keep with a row begin in the whole table's, and how many they are.
    copies: [u32; 2],
}

/// The history of contacts, as frames end: with whom (their global ids), and the stretch of each spring, metres.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Springs {
    partner: [u64; OWNED_MAX],
    stretch: [f64; 3 * OWNED_MAX],
    count: u32,
}

/// The springs of walls, metres, and a bit for each wall that is touched.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Sides {
    stretch: [f64; 3 * WALLS],
    touched: u32,
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
    /// Of the overlap, what the arm of a tangential force lacks of the radius: 0.5, so that both end in one point; 0
    /// in LAMMPS.
    #[resource(default = 0.5)]
    pub arm_share: f64,
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Resource, Reduce)]
pub struct Pace {
    /// The greatest speed, metres per second.
    #[reduce(max)]
    pub speed_max: f64,
    /// The smallest sphere, metres.
    #[reduce(min)]
    pub radius_min: f64,
    /// The largest one.
    #[reduce(max)]
    pub radius_max: f64,
    /// Spheres.
    #[reduce(sum)]
    pub spheres: u64,
}

/// What lists were made for.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Listed {
    /// They reach so much further than touch, metres.
    pub skin: f64,
    /// The largest sphere, metres.
    pub radius_max: f64,
    /// Spheres.
    pub spheres: u64,
}

/// Whether lists hold.
#[derive(Clone, Copy, Debug, PartialEq, Resource, Reduce)]
pub struct Drift {
    /// 1 where a sphere has moved more than half of the skin, or is another one than when they were made.
    #[reduce(max)]
    pub moved: u32,
}

/// Substeps in the shortest contact that there can be: between two of the smallest spheres. A contact begins and ends
/// somewhere within a substep; with so many the restitution is met within 0.03.
pub const STEPS_PER_CONTACT: f64 = 25.0;
/// The largest radius over the smallest one, at most.
pub const RATIO_MAX: f64 = 4.0;
/// An overlap of so much of the smaller radius is an error: springs are for small ones.
pub const OVERLAP_MAX: f64 = 0.5;

/// Spheres in a list, on the average of a job's rows.
const NEAR_MAX: usize = 128;
/// Spheres whose contacts a row keeps if they come to touch it: a bit of [`Pushes`] each.
const KEPT_MAX: usize = 64;
/// Rows of a job, of all systems that share lists.
const JOB_ROWS: u32 = 512;
/// Spheres that are not smaller and touch one: a dozen fit, and a few more where they overlap.
const OWNED_MAX: usize = 16;
/// The least and the greatest radius where the options do not say.
const RADII: (f64, f64) = (0.4, 0.5);
/// Of a frame.
const DT: f64 = 1.0 / 240.0;

/// The scene.
pub struct Spheres;

impl Scene for Spheres {
    fn name(&self) -> &'static str {
        "spheres"
    }

    fn about(&self) -> &'static str {
        "spheres fall into a box, a turning drum or a hopper, collide, slide, roll and come to rest"
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
            SceneOption {
                name: "shape",
                value: "box|drum|hopper",
                about: "what they fall into: a box (default), a drum that turns, a bin with an orifice above a floor",
            },
            SceneOption { name: "turn", value: "RAD/S", about: "of the drum (default 0.5)" },
            SceneOption {
                name: "orifice",
                value: "D",
                about: "diameter of the hopper's orifice, metres (default 6 of the largest sphere)",
            },
            SceneOption {
                name: "funnel",
                value: "SLOPE",
                about: "of the hopper's bottom, rise over run, 0 to 4 (default 1; 0 is flat)",
            },
        ];
        OPTIONS
    }

    fn dt(&self) -> f64 {
        DT
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let entities = options.entities.unwrap_or(self.default_entities());
        let law = law_of(options)?;
        let start = start::Start::new(options, usize::try_from(entities)?)?;
        let mut world = builder
            .layout(Layout::parse(include_str!("../../../layouts/spheres.toml"), "spheres.toml")?)
            .component::<GlobalId>()
            .component::<Position>()
            .component::<Velocity>()
            .component::<Spin>()
            .component::<Radius>()
            .component::<Force>()
            .component::<Torque>()
            .component::<Cell>()
            .component::<Anchor>()
            .component::<Place>()
            .component::<Body>()
            .component::<Near>()
            .component::<Slots>()
            .component::<Sum>()
            .component::<Pushes>()
            .component::<Springs>()
            .component::<Sides>()
            .resource::<Walls>()
            .resource::<Vessel>()
            .resource::<ContactLaw>()
            .resource::<Pace>()
            .resource::<Listed>()
            .resource::<Drift>()
            .bytes_max_default(bytes_max(entities, 8192))
            .build()?;
        put(&mut world, law)?;
        let (radius_min, radius_max) = radii_of(options)?;
        put(&mut world, Pace { speed_max: 0.0, radius_min, radius_max, spheres: 0 })?;
        put(&mut world, Listed { skin: 0.0, radius_max, spheres: 0 })?;
        put(&mut world, Drift { moved: 1 })?;
        start.fill(&mut world, options.seed)?;
        Ok(world)
    }

    fn schedule(&self, options: &SceneOptions) -> Schedule {
        // options that are not valid make no world: nothing will run with this number
        let law = law_of(options).unwrap_or(LAW);
        let substeps = law::substeps(&law, radii_of(options).unwrap_or(RADII).0, DT);
        let mut schedule = Schedule::new();
        for first in [true, false] {
            schedule.add(step::begin(first, substeps));
            if !first {
                schedule.add_loop(Loop::new("substeps").times(substeps).divides_step());
                schedule.add(step::movement());
            }
            if !first {
                schedule.add(contact::keep());
            }
            schedule.add(find::bin(first, substeps)).add(find::find(first)).add(find::link(first));
            schedule.add(contact::contacts(first));
        }
        schedule.add(step::first_end()).add(step::end(substeps));
        schedule
    }

    fn space(&self, world: &World) -> Result<Option<Space>, Box<dyn Error>> {
        let (listed, walls) = (world.resource::<Listed>()?, world.resource::<Walls>()?);
        let space = Space::of(&listed.grid(&walls)?, listed.reach(), "cell.key");
        Ok(Some(Space { changes: true, ..space }))
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
            Line::number("slope of the bed", seen.slope(), |x| format!("{x:.4}, rise over run")),
            Line::count("through the orifice", seen.passed),
        ])
    }
}

const LAW: ContactLaw = ContactLaw {
    gravity: 9.81,
    restitution: 0.5,
    friction: 0.3,
    stiffness: 20_000.0,
    density: 1.909859317102744,
    arm_share: 0.5,
};

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
    let Some(text) = options.text("radii") else { return Ok(RADII) };
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
