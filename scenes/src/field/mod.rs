//! Electrons that make a field and move in it: a plasma in one dimension, by particles and a mesh.
//!
//! Birdsall and Langdon, "Plasma Physics via Computer Simulation", 1985: linear weighting to a periodic mesh, Gauss's law summed
//! along it, linear weighting back, leapfrog. Units in which the plasma frequency, the charge over the mass of an electron and the
//! permittivity are 1. Ions are a uniform background that does not move.
//!
//! A frame: `deposit` (each electron's charge on the two nearest nodes), `solve` (the field of all charges), `push`. Charges are
//! whole numbers, of which each electron has [`CHARGE`]: their sum is the same to the bit in every frame, in whatever order
//! they are added.
//!
//! By default two beams run through each other, which is unstable: a disturbance grows by exp(t / sqrt 8) until the beams are
//! mixed. With `--speed 0` the electrons are at rest, and a disturbance swings with the plasma frequency.
#![forbid(unsafe_code)]

use std::error::Error;

use hypostyle::{Component, GlobalId, Layout, Read, Reduce, Resource, Schedule, System, World, WorldBuilder, Write};

use super::random::Random;
use super::{Line, Scene, SceneError, SceneOption, SceneOptions, bytes_max, put};

/// Where an electron is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Component)]
pub struct Position {
    /// 0 to [`LENGTH`]; the two ends are the same place.
    pub x: f64,
}

/// How fast it moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Component)]
pub struct Velocity {
    /// Lengths per unit of time.
    pub x: f64,
}

/// The charges on the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Resource, Reduce)]
pub struct Mesh {
    /// In parts of an electron's charge: [`CHARGE`] of them each.
    #[reduce(sum)]
    pub charge: [i64; NODES],
}

/// The field on the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Field {
    /// Force on a positive charge.
    pub strength: [f64; NODES],
    /// Half of the square of the field, summed over the mesh.
    pub energy: f64,
    /// The sum of all charges, in parts of an electron's: electrons times [`CHARGE`].
    pub charge: i64,
}

/// Nodes of the mesh.
pub const NODES: usize = 128;
/// Parts of an electron's charge.
pub const CHARGE: i64 = 1 << 32;
/// The length of the periodic space: one wave of the fastest growth between beams of speed 1, 2 pi / sqrt(3/8).
pub const LENGTH: f64 = 10.260_398_641_294_913;
/// Distance of two nodes.
const WIDTH: f64 = LENGTH / NODES as f64;
const DT: f64 = 0.05;

/// The scene.
pub struct Plasma;

impl Scene for Plasma {
    fn name(&self) -> &'static str {
        "field"
    }

    fn about(&self) -> &'static str {
        "two beams of electrons in the field that they make, by particles and a mesh"
    }

    fn default_entities(&self) -> u64 {
        100_000
    }

    fn options(&self) -> &'static [SceneOption] {
        const OPTIONS: &[SceneOption] = &[
            SceneOption { name: "speed", value: "V", about: "of the two beams, one each way, 0 to 2 (default 1)" },
            SceneOption {
                name: "amplitude",
                value: "A",
                about: "of the first disturbance, in lengths, 0 to 0.5 (default 0.001)",
            },
        ];
        OPTIONS
    }

    fn dt(&self) -> f64 {
        DT
    }

    fn default_frames(&self) -> Option<u64> {
        Some(1000)
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let entities = options.entities.unwrap_or(self.default_entities());
        if entities >= 1 << 30 {
            return Err(SceneError::Entities {
                asked: entities,
                want: "fewer than 2^30: charges are counted in 64 bits".to_owned(),
            }
            .into());
        }
        let speed = options.number("speed", 0.0, 2.0)?.unwrap_or(1.0);
        let amplitude = options.number("amplitude", 0.0, 0.5)?.unwrap_or(0.001);
        let mut world = builder
            .layout(Layout::parse(include_str!("../../../layouts/field.toml"), "field.toml")?)
            .component::<GlobalId>()
            .component::<Position>()
            .component::<Velocity>()
            .resource::<Mesh>()
            .resource::<Field>()
            .bytes_max_default(bytes_max(entities, 128))
            .build()?;
        // before anything is made of that length
        world.reserve::<(GlobalId, Position, Velocity)>(entities)?;
        put(&mut world, Mesh { charge: [0; NODES] })?;
        put(&mut world, Field { strength: [0.0; NODES], energy: 0.0, charge: 0 })?;
        let seed = options.seed;
        world.spawn_batch((0..entities).map(|index| {
            // evenly along the way, pairs of both beams at one place; the seed shifts the whole
            let shift = Random::new(seed, 0, 0).unit();
            let place = ((index / 2) as f64 + shift) / entities.div_ceil(2) as f64;
            // a wave of polynomials, nearly a sine: 12 sqrt 3 u (1/2 - u) (1 - u)
            let wave = 12.0 * 3.0_f64.sqrt() * place * (0.5 - place) * (1.0 - place);
            let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
            let at = Position { x: wrapped(place * LENGTH + amplitude * wave) };
            (GlobalId::root(index), at, Velocity { x: sign * speed })
        }))?;
        Ok(world)
    }

    fn schedule(&self, _: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        schedule.add(deposit()).add(solve()).add(push());
        schedule
    }

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let (field, kinetic) = energies(world)?;
        let charge = world.resource::<Field>()?.charge;
        Ok(vec![
            Line::count("electrons", world.entity_count()),
            Line::number("charge", charge as f64 / CHARGE as f64, |x| format!("{x} electrons")),
            Line::number("field energy", field, |x| format!("{x:.9}")),
            Line::number("total energy", field + kinetic, |x| format!("{x:.9}")),
        ])
    }
}

/// The place in the periodic space.
fn wrapped(x: f64) -> f64 {
    let inside = x - LENGTH * (x / LENGTH).floor();
    // rounding may end at the very end, which is the beginning
    if inside < LENGTH { inside } else { 0.0 }
}

/// The node before a place, and how far behind it the place is, in widths of the mesh.
fn node(x: f64) -> (usize, f64) {
    let at = x / WIDTH;
    let node = (at as usize).min(NODES - 1);
    (node, (at - node as f64).clamp(0.0, 1.0))
}

/// The charge of each electron, on the two nodes around it.
fn deposit() -> System {
    System::try_rows::<Read<Position>>("deposit", |job, at| {
        let entities = job.entities();
        let frame = job.frame();
        let charge = job.elements::<Mesh, i64>("charge")?;
        for (row, &x) in at.x.iter().enumerate() {
            if !(0.0..LENGTH).contains(&x) {
                return Err(format!(
                    "entity {} is at {x}: places are from 0 to {LENGTH} (frame {frame})",
                    entities[row]
                )
                .into());
            }
            let (node, behind) = node(x);
            let second = (behind * CHARGE as f64) as i64;
            charge[node] += CHARGE - second;
            charge[(node + 1) % NODES] += second;
        }
        Ok(())
    })
    .reduces::<Mesh>()
}

/// The field of all charges by Gauss's law: its mean is 0.
fn solve() -> System {
    System::try_once("solve", |job| {
        let mesh: Mesh = job.resource()?;
        let all: i64 = mesh.charge.iter().sum();
        let mean = all as f64 / NODES as f64;
        // between nodes, from the first on
        let (mut between, mut sum, mut mean_field) = ([0.0; NODES], 0.0, 0.0);
        for (between, charge) in between.iter_mut().zip(mesh.charge) {
            // electrons are negative, ions are their mean
            sum += if mean > 0.0 { WIDTH * (1.0 - charge as f64 / mean) } else { 0.0 };
            *between = sum;
            mean_field += sum / NODES as f64;
        }
        let mut field = Field { strength: [0.0; NODES], energy: 0.0, charge: all };
        for node in 0..NODES {
            let before = between[(node + NODES - 1) % NODES] - mean_field;
            let strength = 0.5 * (before + between[node] - mean_field);
            field.strength[node] = strength;
            field.energy += 0.5 * strength * strength * WIDTH;
        }
        job.set_resource(field);
        Ok(())
    })
    .reads_resource::<Mesh>()
    .sets_resource::<Field>()
    .after("deposit")
}

/// Leapfrog: velocities are those of half a step later than places.
fn push() -> System {
    System::try_rows::<(Write<Position>, Write<Velocity>)>("push", |job, (mut at, mut velocity)| {
        let dt = job.dt();
        let field: Field = job.resource()?;
        let strength = |x: f64| {
            let (node, behind) = node(x);
            field.strength[node] * (1.0 - behind) + field.strength[(node + 1) % NODES] * behind
        };
        velocity.x.map_with(&at.x, |v, x| v - dt * strength(x));
        at.x.map_with(&velocity.x, |x, v| wrapped(x + dt * v));
        Ok(())
    })
    .reads_resource::<Field>()
    .after("solve")
}

/// Energy of the field and of the electrons; the plasma has the mass [`LENGTH`].
///
/// # Errors
/// A world of another scene.
pub fn energies(world: &World) -> Result<(f64, f64), Box<dyn Error>> {
    let field = world.resource::<Field>()?.energy;
    let mut kinetic = 0.0;
    world.query::<Read<Velocity>>(|_, velocity| kinetic += velocity.x.iter().map(|v| 0.5 * v * v).sum::<f64>())?;
    Ok((field, kinetic * LENGTH / world.entity_count().max(1) as f64))
}
