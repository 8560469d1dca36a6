//! Particles in a box: emitted, pulled, slowed, thrown back by the walls, and gone when their time is up.
//!
//! Most of the work is dense and row-local; the rest shows every kind of patch: emitters spawn, name what they spawned,
//! set and despawn by handle; particles die by row, become hot and cool (a tag: they change tables), freeze and thaw (a
//! toggle: one bit). The population stays near its initial size: emission makes up for deaths, and the initial ages are
//! those of a population that has always been there.
#![forbid(unsafe_code)]

mod changes;
mod emission;
mod motion;

use std::error::Error;

use hypostyle::{Component, Entity, GlobalId, Layout, Read, Reduce, Resource, Schedule, With, World, WorldBuilder};

use super::random::Random;
use super::{Line, Scene, SceneOptions, bytes_max};

/// Where, metres.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Position {
    x: f32,
    y: f32,
    z: f32,
}

/// How fast, metres per second.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Velocity {
    x: f32,
    y: f32,
    z: f32,
}

/// How old.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Age {
    seconds: f32,
}

/// How old it gets.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Lifetime {
    #[component(default = 5.0)]
    seconds: f32,
}

/// Spawns particles.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Emitter {
    /// Particles per second.
    #[component(default = 100.0)]
    rate: f32,
    /// The part of a particle that is owed to the next frame.
    carry: f32,
    #[component(default = 1.0)]
    speed: f32,
    seed: u64,
}

/// What an emitter has emitted.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Offspring {
    newest: Entity,
    count: u64,
}

/// Is fast, or was a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Hot;

/// Has come to rest, for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
#[component(storage = "toggle")]
pub struct Frozen;

/// The field.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Gravity {
    #[resource(default = 0.0)]
    x: f32,
    #[resource(default = -9.81)]
    y: f32,
    #[resource(default = 0.0)]
    z: f32,
}

/// Part of the velocity lost per second.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Drag {
    #[resource(default = 0.1)]
    linear: f32,
}

/// The box.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Walls {
    #[resource(default = [0.0, 0.0, 0.0])]
    min: [f32; 3],
    #[resource(default = [100.0, 50.0, 100.0])]
    max: [f32; 3],
    #[resource(default = 0.9)]
    bounce: f32,
}

/// What is there, counted once a frame.
#[derive(Clone, Copy, Debug, PartialEq, Resource, Reduce)]
pub struct Census {
    /// The frame that counted.
    #[reduce(max)]
    pub frame: u64,
    /// Particles.
    #[reduce(sum)]
    pub particles: u64,
    /// Hot ones among them.
    #[reduce(sum)]
    pub hot: u64,
    /// Emitted since the beginning.
    #[reduce(sum)]
    pub emitted: u64,
}

/// Seconds that a particle lives at least and at most.
const LIFETIME: (f32, f32) = (4.0, 6.0);
/// Particles for each emitter, and emitters at most.
const PARTICLES_PER_EMITTER: u64 = 4096;
const EMITTERS_MAX: u64 = 256;

/// The scene.
pub struct Particles;

impl Scene for Particles {
    fn name(&self) -> &'static str {
        "particles"
    }

    fn about(&self) -> &'static str {
        "emitted particles under gravity and drag between walls; uses every kind of patch"
    }

    fn default_entities(&self) -> u64 {
        1_000_000
    }

    fn dt(&self) -> f64 {
        1.0 / 60.0
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let entities = options.entities.unwrap_or(self.default_entities());
        let mut world = builder
            .layout(Layout::parse(include_str!("../../../layouts/particles.toml"), "particles.toml")?)
            .component::<GlobalId>()
            .component::<Position>()
            .component::<Velocity>()
            .component::<Age>()
            .component::<Lifetime>()
            .component::<Emitter>()
            .component::<Offspring>()
            .component::<Hot>()
            .component::<Frozen>()
            .resource::<Gravity>()
            .resource::<Drag>()
            .resource::<Walls>()
            .resource::<Census>()
            .bytes_max_default(bytes_max(entities, 1024))
            .build()?;
        let emitters = (entities / PARTICLES_PER_EMITTER).clamp(1, EMITTERS_MAX).min(entities);
        let particles = entities - emitters;
        spawn_emitters(&mut world, emitters, particles, options.seed)?;
        spawn_particles(&mut world, usize::try_from(particles)?, emitters, options.seed)?;
        Ok(world)
    }

    fn schedule(&self, options: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        motion::motion(&mut schedule);
        changes::changes(&mut schedule, options.seed);
        emission::emission(&mut schedule);
        schedule
    }

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let particles = world.count::<With<Age>>()?;
        let census = world.resource::<Census>()?;
        let mut kinetic = 0.0;
        let mut height = 0.0;
        world.query::<(Read<Position>, Read<Velocity>)>(|entities, (p, v)| {
            for row in 0..entities.len() {
                let [x, y, z] = [v.x[row], v.y[row], v.z[row]].map(f64::from);
                kinetic += 0.5 * (x * x + y * y + z * z);
                height += f64::from(p.y[row]);
            }
        })?;
        let each = particles.max(1) as f64;
        Ok(vec![
            Line::count("particles", particles),
            Line::count("hot", world.count::<With<Hot>>()?),
            Line::count("frozen", world.count::<With<Frozen>>()?),
            Line::count("emitters", world.count::<With<Emitter>>()?),
            Line::count("emitted so far", census.emitted),
            Line::number("kinetic energy", kinetic / each, |x| format!("{x:.3} J/kg")),
            Line::number("mean height", height / each, |x| format!("{x:.3} m")),
        ])
    }
}

/// Emitters on the floor, which together make up for the particles' deaths.
fn spawn_emitters(world: &mut World, emitters: u64, particles: u64, seed: u64) -> Result<(), Box<dyn Error>> {
    let walls = world.resource::<Walls>()?;
    let lifetime_mean = 0.5 * (LIFETIME.0 + LIFETIME.1);
    let rate = (particles as f64 / emitters.max(1) as f64) as f32 / lifetime_mean;
    world.spawn_batch((0..emitters).map(|index| {
        let mut random = Random::new(seed, index, u64::MAX);
        let position = Position {
            x: random.range_f32(walls.min[0], walls.max[0]),
            y: walls.min[1],
            z: random.range_f32(walls.min[2], walls.max[2]),
        };
        let (carry, speed) = (random.unit_f32(), random.range_f32(12.0, 24.0));
        let emitter = Emitter { rate, carry, speed, seed: random.bits() };
        (GlobalId::root(index), position, emitter, Offspring { newest: Entity::NULL, count: 0 })
    }))?;
    Ok(())
}

/// A population that has always been there: whoever lives longer is met more often, at any age of its life.
fn spawn_particles(world: &mut World, n: usize, first_id: u64, seed: u64) -> Result<(), Box<dyn Error>> {
    // before anything is made of that length
    world.reserve::<(GlobalId, Position, Velocity, Age, Lifetime)>(n as u64)?;
    let walls = world.resource::<Walls>()?;
    let mut columns: [Vec<f32>; 8] = std::array::from_fn(|_| Vec::with_capacity(n));
    for index in 0..n as u64 {
        let mut random = Random::new(seed, index, 0);
        for axis in 0..3 {
            columns[axis].push(random.range_f32(walls.min[axis], walls.max[axis]));
            columns[3 + axis].push(random.range_f32(-10.0, 10.0));
        }
        let lifetime = loop {
            let lifetime = random.range_f32(LIFETIME.0, LIFETIME.1);
            if random.unit_f32() * LIFETIME.1 < lifetime {
                break lifetime;
            }
        };
        columns[6].push(lifetime * random.unit_f32());
        columns[7].push(lifetime);
    }
    let [x, y, z, vx, vy, vz, age, lifetime] = &columns;
    let ids: Vec<u64> = (first_id..).take(n).map(|number| GlobalId::root(number).value).collect();
    world
        .spawn_columns(n)
        .column("global_id.value", &ids)
        .column("position.x", x)
        .column("position.y", y)
        .column("position.z", z)
        .column("velocity.x", vx)
        .column("velocity.y", vy)
        .column("velocity.z", vz)
        .column("age.seconds", age)
        .column("lifetime.seconds", lifetime)
        .spawn()?;
    Ok(())
}
