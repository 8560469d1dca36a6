//! A Lennard-Jones melt: the physics of LAMMPS's `bench/in.lj`, in double precision.
//!
//! Reduced units: sigma = epsilon = mass = 1. Atoms on an fcc lattice of density 0.8442 with velocities of temperature
//! 1.44, a potential cut at 2.5 (unshifted), a periodic box, velocity Verlet with a step of 0.005: Swope, Andersen, Berens
//! and Wilson, "A computer simulation method for the calculation of equilibrium constants", 1982.
//!
//! A frame: `drift` (half a kick and the movement; finds out whether an atom has moved so far that the lists must be made anew),
//! `bin` (wraps atoms into the box, gives each the key of its cell, by which the table is sorted), `anchor` (notes the
//! places) and `list` (Verlet lists of the anchors) in such frames alone, `pack`, `force`, `kick` (the other half). Lists and
//! forces are no state: where a state is taken up they are made of the anchors and positions that it has, with the same
//! bits. Every pair is treated from both sides: the two forces are exact opposites, and each atom sums its own in
//! the order of its list, in eight lanes (`hypostyle::space`). So nothing depends on who runs what, nor on the machine's
//! vectors.
#![forbid(unsafe_code)]

mod dump;
mod force;
mod input;
pub mod kernel;
mod lattice;
mod list;
mod motion;
mod thermo;
mod where_due;

use std::error::Error;

use hypostyle::space::{Box3, CellGrid, SpaceError};
use hypostyle::{Component, GlobalId, Layout, List, Reduce, Resource, Schedule, World, WorldBuilder};

use super::{Line, Scene, SceneError, SceneOption, SceneOptions, Space, Watch, bytes_max, put};

pub use thermo::{Thermo, thermo};

/// Where an atom is; near the box.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Position {
    /// Along the first side, sigma.
    pub x: f64,
    /// Along the second.
    pub y: f64,
    /// Along the third.
    pub z: f64,
}

/// How many boxes off an atom is: unwrapped position = position + image * side.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Image {
    /// Along the first side.
    pub x: i16,
    /// Along the second.
    pub y: i16,
    /// Along the third.
    pub z: i16,
}

impl Image {
    /// So many boxes off, and `boxes` more.
    fn of(image: i16, boxes: i32) -> Result<i16, String> {
        i32::from(image).checked_add(boxes).and_then(|all| i16::try_from(all).ok()).ok_or_else(|| {
            let (most, off) = (i16::MAX, i64::from(image) + i64::from(boxes));
            format!("it is {off} boxes off: no atom of a melt goes further than {most}")
        })
    }
}

/// How fast it moves, sigma per unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Velocity {
    /// Along the first side.
    pub x: f64,
    /// Along the second.
    pub y: f64,
    /// Along the third.
    pub z: f64,
}

/// The force on it, epsilon per sigma; the acceleration, too, as the mass is 1.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "scratch")]
pub struct Force {
    x: f64,
    y: f64,
    z: f64,
}

/// Where it was when the lists were made, to the digits of an `f32`. Lists are made of these places and movement counts from
/// them, so that they are rounded loses no pair.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Anchor {
    x: f32,
    y: f32,
    z: f32,
}

/// The position once more, its coordinates side by side: neighbours are read so.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "scratch")]
pub struct Place {
    /// Three coordinates, and nothing.
    at: [f64; 4],
}

/// Its cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Cell {
    key: u32,
}

/// Atoms within cutoff and skin of another one: an element of that one's list.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "scratch_list")]
pub struct Neighbour {
    /// A word of their packed rows ([`hypostyle::space::PackedRows`]).
    packed: u16,
}

/// The box and the potential's range.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Melt {
    /// Sides of the box, sigma.
    pub side: [f64; 3],
    /// No force beyond this distance, sigma.
    #[resource(default = 2.5)]
    pub cutoff: f64,
    /// Lists reach so much further, sigma.
    #[resource(default = 0.4)]
    pub skin: f64,
}

impl Melt {
    /// How far lists reach: cutoff and skin, and what rounding to anchors, between them and across the border can make of a
    /// distance (a unit of the last digit of a side is the most that one of these steps is off).
    #[must_use]
    pub fn reach(&self) -> f64 {
        let reach = self.cutoff + self.skin;
        let longest = self.side.into_iter().fold(reach, f64::max);
        reach + 4.0 * f64::from(f32::EPSILON) * longest
    }

    /// The box.
    ///
    /// # Errors
    /// A side that is not above 0.
    pub fn bounds(&self) -> Result<Box3, SpaceError> {
        Box3::periodic(self.side)
    }

    /// The cells of anchors: half as wide as lists reach, at least.
    ///
    /// # Errors
    /// As [`Melt::bounds`], and a reach that is not above 0.
    pub fn grid(&self) -> Result<CellGrid<f32, 3>, SpaceError> {
        let bounds = Box3::periodic(self.side.map(|side| side as f32))?;
        CellGrid::new(&bounds, 0.5 * self.reach() as f32)
    }
}

/// The distance that an atom moved since the lists were made.
#[derive(Clone, Copy, Debug, PartialEq, Resource, Reduce)]
pub struct Drift {
    /// 1 where one has moved more than half of the skin in this frame.
    #[reduce(max)]
    pub moved: u32,
}

/// When the lists were made.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Rebuild {
    /// In this frame, last.
    pub frame: u64,
    /// So often, after the first time.
    pub count: u64,
}

const CUTOFF: f64 = 2.5;
const SKIN: f64 = 0.4;
/// Longer lists hold for more frames than they are worth.
const SKIN_MAX: f64 = 2.0;
const DT: f64 = 0.005;
/// Frames between two lines of the thermo file, and between two dumps, where the options do not say.
const EVERY: u64 = 100;

/// The scene.
pub struct LennardJones;

impl Scene for LennardJones {
    fn name(&self) -> &'static str {
        "lj"
    }

    fn about(&self) -> &'static str {
        "a Lennard-Jones melt in a periodic box (LAMMPS bench/in.lj), in double precision"
    }

    fn default_entities(&self) -> u64 {
        32_000
    }

    fn options(&self) -> &'static [SceneOption] {
        const OPTIONS: &[SceneOption] = &[
            SceneOption {
                name: "input",
                value: "FILE.csv",
                about: "begin with these atoms (id,x,y,z,vx,vy,vz) instead of a lattice; needs --box",
            },
            SceneOption { name: "box", value: "SIDE|X,Y,Z", about: "sides of the periodic box of --input, sigma" },
            SceneOption {
                name: "thermo",
                value: "FILE.csv",
                about: "write temperature, energies and pressure as a time series",
            },
            SceneOption { name: "thermo-every", value: "K", about: "a line every K frames (default 100)" },
            SceneOption {
                name: "dump",
                value: "FILE",
                about: "write the atoms as a LAMMPS text dump; as extended XYZ where FILE ends in .xyz",
            },
            SceneOption { name: "dump-every", value: "K", about: "a snapshot every K frames (default 100)" },
            SceneOption {
                name: "skin",
                value: "S",
                about: "lists reach so much further than the cutoff, sigma (0.05 to 2, default 0.4); no result but rounding depends on it",
            },
        ];
        OPTIONS
    }

    fn dt(&self) -> f64 {
        DT
    }

    fn default_frames(&self) -> Option<u64> {
        Some(100)
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let skin = options.number("skin", 0.05, SKIN_MAX)?.unwrap_or(SKIN);
        let (side, atoms) = match options.text("input") {
            Some(path) => {
                if let Some(asked) = options.entities {
                    let want = "with --input the file says how many: leave it out".to_owned();
                    return Err(SceneError::Entities { asked, want }.into());
                }
                let side = input::sides(options)?;
                (side, input::atoms(path)?)
            }
            None => lattice::melt(options.entities.unwrap_or(self.default_entities()), options.seed)?,
        };
        let melt = Melt { side, cutoff: CUTOFF, skin };
        let least = 2.0 * (melt.cutoff + melt.skin);
        if side.iter().any(|side| *side < least) {
            return Err(SceneError::Option {
                name: "box".to_owned(),
                value: format!("{},{},{}", side[0], side[1], side[2]),
                want: format!(
                    "at least {least} sigma on each side, twice the cutoff and the skin: else an atom meets an image of itself",
                ),
            }
            .into());
        }
        let mut world = builder
            .layout(Layout::parse(include_str!("../../../layouts/lj.toml"), "lj.toml")?)
            .component::<GlobalId>()
            .component::<Position>()
            .component::<Image>()
            .component::<Velocity>()
            .component::<Force>()
            .component::<Anchor>()
            .component::<Place>()
            .component::<Cell>()
            .component::<Neighbour>()
            .resource::<Melt>()
            .resource::<Rebuild>()
            .resource::<Drift>()
            .bytes_max_default(bytes_max(atoms.len() as u64, 8192))
            .build()?;
        put(&mut world, melt)?;
        put(&mut world, Rebuild { frame: 0, count: 0 })?;
        put(&mut world, Drift { moved: 0 })?;
        spawn(&mut world, &melt, &atoms)?;
        Ok(world)
    }

    fn schedule(&self, _: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        schedule.add(list::bin(true)).add(list::anchor(true));
        schedule.add(list::list(true)).add(force::pack(true)).add(force::force(true));
        schedule.add(motion::drift());
        schedule.add(list::bin(false)).add(list::anchor(false)).add(list::list(false));
        schedule.add(force::pack(false)).add(force::force(false));
        schedule.add(motion::kick());
        schedule
    }

    fn space(&self, world: &World) -> Result<Option<Space>, Box<dyn Error>> {
        let melt = world.resource::<Melt>()?;
        Ok(Some(Space::of(&melt.grid()?, melt.reach() as f32, "cell.key")))
    }

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let seen = thermo(world)?;
        Ok(vec![
            Line::count("atoms", seen.atoms),
            Line::number("temperature", seen.temperature, |x| format!("{x:.9}")),
            Line::number("potential energy", seen.potential, |x| format!("{x:.9} per atom")),
            Line::number("total energy", seen.total, |x| format!("{x:.9} per atom")),
            Line::number("pressure", seen.pressure, |x| format!("{x:.9}")),
            Line::count("lists made", world.resource::<Rebuild>()?.count),
        ])
    }

    fn watches(&self, options: &SceneOptions) -> Result<Vec<Box<dyn Watch>>, Box<dyn Error>> {
        let mut watches: Vec<Box<dyn Watch>> = Vec::new();
        let every = |name| Ok::<_, SceneError>(options.number(name, 1, u64::MAX)?.unwrap_or(EVERY));
        if let Some(path) = options.text("thermo") {
            watches.push(Box::new(thermo::ThermoFile::create(path, every("thermo-every")?)?));
        }
        if let Some(path) = options.text("dump") {
            watches.push(Box::new(dump::Dump::create(path, every("dump-every")?)?));
        }
        Ok(watches)
    }
}

/// An atom as it begins: its number in files, from 1, which is its global id; unwrapped position and velocity.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Start {
    id: u32,
    at: [f64; 3],
    velocity: [f64; 3],
}

fn spawn(world: &mut World, melt: &Melt, atoms: &[Start]) -> Result<(), Box<dyn Error>> {
    let (n, bounds) = (atoms.len(), melt.bounds()?);
    world.reserve::<(GlobalId, Position, Image, Velocity, Force, Anchor, Place, Cell, List<Neighbour>)>(n as u64)?;
    let id: Vec<u64> = atoms.iter().map(|atom| GlobalId::root(u64::from(atom.id)).value).collect();
    let mut image: [Vec<i16>; 3] = std::array::from_fn(|_| Vec::with_capacity(n));
    let mut at: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::with_capacity(n));
    for atom in atoms {
        for axis in 0..3 {
            let (inside, boxes) = bounds.wrap_axis(axis, atom.at[axis]);
            at[axis].push(inside);
            image[axis].push(Image::of(0, boxes).map_err(|why| format!("atom {}: {why}", atom.id))?);
        }
    }
    let velocity: [Vec<f64>; 3] = std::array::from_fn(|axis| atoms.iter().map(|atom| atom.velocity[axis]).collect());
    world
        .spawn_columns(n)
        .column("global_id.value", &id)
        .column("position.x", &at[0])
        .column("position.y", &at[1])
        .column("position.z", &at[2])
        .column("image.x", &image[0])
        .column("image.y", &image[1])
        .column("image.z", &image[2])
        .column("velocity.x", &velocity[0])
        .column("velocity.y", &velocity[1])
        .column("velocity.z", &velocity[2])
        .with::<Force>()
        .with::<Anchor>()
        .with::<Place>()
        .with::<Cell>()
        .with::<Neighbour>()
        .spawn()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atom_that_leaves_all_boxes_is_an_error() {
        assert_eq!((Image::of(-3, 5), Image::of(32_766, 1)), (Ok(2), Ok(i16::MAX)));
        let refused = Image::of(32_767, 1).expect_err("one box more than there are");
        assert_eq!(refused, "it is 32768 boxes off: no atom of a melt goes further than 32767");
        assert!(Image::of(-1, i32::MIN).is_err());
    }

    /// What rounding makes of a distance is within what lists reach further, also across the border of a large box.
    #[test]
    fn no_pair_within_the_skin_is_lost_to_rounding() {
        let side = [16.795_961_9, 167.959_619_1, 419.899_047];
        let melt = Melt { side, cutoff: CUTOFF, skin: SKIN };
        let (exact, rounded) = (melt.bounds().expect("a box"), *melt.grid().expect("cells").bounds());
        let mut random = crate::random::Random::new(7, 0, 0);
        let mut worst = 0.0f64;
        for _ in 0..200_000 {
            let a: [f32; 3] = std::array::from_fn(|axis| (random.unit() * side[axis]) as f32);
            let off: [f64; 3] = std::array::from_fn(|_| 4.0 * random.unit() - 2.0);
            let b: [f32; 3] =
                std::array::from_fn(|axis| exact.wrap_axis(axis, f64::from(a[axis]) + off[axis]).0 as f32);
            let want = exact.distance_square(a.map(f64::from), b.map(f64::from)).sqrt();
            worst = worst.max(f64::from(rounded.distance_square(a, b)).sqrt() - want);
        }
        let more = melt.reach() - CUTOFF - SKIN;
        assert!(worst > 0.01 * more && worst < more, "{worst}, and lists reach {more} further");
    }
}
