//! Gravitating bodies: the sun and four outer planets, or a cluster, by direct sum or by a tree.
//!
//! With 5 bodies: the `nbody` task of the Computer Language Benchmarks Game, with its constants and its step (velocities
//! first, then positions). Energy is -0.169075164 before and -0.169087605 after 1,000 steps of 0.01.
//! With any other number: a Plummer sphere (G = M = scale radius = 1), sampled as Aarseth, Hénon and Wielen do ("A
//! comparison of numerical methods for the study of star cluster dynamics", 1974), softened.
//! With `--theta T` forces are summed over a tree ([`tree`]), so that a million bodies are no longer 10^12 pairs.
#![forbid(unsafe_code)]

mod direct;
mod start;
pub mod tree;
mod walk;

use std::error::Error;

use hypostyle::{Component, GlobalId, Layout, Read, Resource, Schedule, System, With, World, WorldBuilder, Write};

use super::{Line, Scene, SceneError, SceneOption, SceneOptions, bytes_max, put};
use tree::{Bounds, Moments, Node, Order, Shape};

/// Where a body is.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Position {
    x: f64,
    y: f64,
    z: f64,
}

/// How fast it moves.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Velocity {
    x: f64,
    y: f64,
    z: f64,
}

/// How heavy it is.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Mass {
    #[component(default = 1.0)]
    value: f64,
}

/// What all others do to its velocity.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Acceleration {
    /// Along the first axis.
    pub x: f64,
    /// Along the second.
    pub y: f64,
    /// Along the third.
    pub z: f64,
}

/// The law: G, and the length below which it weakens.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Gravitation {
    #[resource(default = 1.0)]
    constant: f64,
    #[resource(default = 0.01)]
    softening: f64,
}

/// Bodies of the solar system; any other number is a cluster.
const PLANETS: u64 = 5;
/// Softening of the cluster, in scale radii.
const CLUSTER_SOFTENING: f64 = 0.02;
/// Above this the pairs are too many for a look at the potential energy.
const PAIRS_OBSERVED_MAX: usize = 1 << 28;

/// The scene.
pub struct NBody;

impl Scene for NBody {
    fn name(&self) -> &'static str {
        "nbody"
    }

    fn about(&self) -> &'static str {
        "the sun and four outer planets; with --entities N a Plummer cluster, by direct sum or a tree"
    }

    fn default_entities(&self) -> u64 {
        PLANETS
    }

    fn options(&self) -> &'static [SceneOption] {
        const OPTIONS: &[SceneOption] = &[SceneOption {
            name: "theta",
            value: "T",
            about: "sum forces over a tree: a node counts as a whole below this ratio of radius to distance, 0.05 to 0.95 \
                    (default: every pair)",
        }];
        OPTIONS
    }

    fn dt(&self) -> f64 {
        0.01
    }

    fn default_frames(&self) -> Option<u64> {
        Some(1000)
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let entities = options.entities.unwrap_or(PLANETS);
        let theta = theta_of(options)?;
        let (text, file) = match theta {
            None => (include_str!("../../../layouts/nbody.toml"), "nbody.toml"),
            Some(_) => (include_str!("../../../layouts/nbody-tree.toml"), "nbody-tree.toml"),
        };
        let mut builder = builder
            .layout(Layout::parse(text, file)?)
            .component::<Position>()
            .component::<Velocity>()
            .component::<Mass>()
            .component::<Acceleration>()
            .resource::<Gravitation>()
            .bytes_max_default(bytes_max(entities, 1024));
        if theta.is_some() {
            builder = builder.component::<Order>().component::<Node>().component::<Moments>().resource::<Bounds>();
        } else {
            builder = builder.component::<GlobalId>();
        }
        let mut world = builder.build()?;
        // before anything is made of that length
        match theta {
            None => world.reserve::<(GlobalId, Position, Velocity, Mass, Acceleration)>(entities)?,
            Some(_) => world.reserve::<(Position, Velocity, Mass, Acceleration, Order)>(entities)?,
        }
        let bodies = usize::try_from(entities)?;
        let (all, softening) = match entities {
            PLANETS => (start::solar_system(), 0.0),
            _ => (start::cluster(bodies, options.seed), CLUSTER_SOFTENING),
        };
        put(&mut world, Gravitation { constant: 1.0, softening })?;
        if theta.is_none() {
            // bodies are summed in the order of their ids
            let ids = (0..).map(GlobalId::root);
            let with = all.into_iter().zip(ids);
            world.spawn_batch(with.map(|((at, velocity, mass, pull), id)| (id, at, velocity, mass, pull)))?;
        } else {
            world.spawn_batch(
                all.into_iter().map(|(at, velocity, mass, pull)| (at, velocity, mass, pull, Order::default())),
            )?;
            world.spawn_batch(Shape::new(bodies).nodes())?;
        }
        Ok(world)
    }

    fn schedule(&self, options: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        // options that are not valid make no world: nothing will run with this schedule
        match theta_of(options).unwrap_or(None) {
            None => {
                schedule.add(direct::attract());
            }
            Some(theta) => {
                let shape = Shape::new(usize::try_from(options.entities.unwrap_or(PLANETS)).unwrap_or(0));
                let (passes, systems) = tree::systems(&shape);
                schedule.add_loop(passes);
                for system in systems {
                    schedule.add(system);
                }
                schedule.add(tree::attract(shape, theta));
            }
        }
        schedule
            .add(System::rows::<(Write<Velocity>, Read<Acceleration>)>("kick", |job, (mut velocity, acceleration)| {
                let dt = job.dt();
                velocity.x.map_with(acceleration.x, |v, a| v + dt * a);
                velocity.y.map_with(acceleration.y, |v, a| v + dt * a);
                velocity.z.map_with(acceleration.z, |v, a| v + dt * a);
            }))
            .add(System::rows::<(Write<Position>, Read<Velocity>)>("drift", |job, (mut position, velocity)| {
                let dt = job.dt();
                position.x.map_with(velocity.x, |x, v| x + dt * v);
                position.y.map_with(velocity.y, |y, v| y + dt * v);
                position.z.map_with(velocity.z, |z, v| z + dt * v);
            }));
        schedule
    }

    fn looks_at_all(&self, options: &SceneOptions) -> bool {
        // a tree's nodes have no ids
        matches!(theta_of(options), Ok(None))
    }

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let mut lines = vec![Line::count("bodies", world.count::<With<Mass>>()?)];
        match energy(world)? {
            (kinetic, Some(potential)) => {
                lines.push(Line::number("energy", kinetic + potential, |x| format!("{x:.9}")))
            }
            (kinetic, None) => lines.push(Line::number("kinetic energy", kinetic, |x| format!("{x:.9}"))),
        }
        Ok(lines)
    }
}

/// The ratio below which a node counts as a whole, where a tree was asked for.
fn theta_of(options: &SceneOptions) -> Result<Option<f64>, SceneError> {
    options.number("theta", 0.05, 0.95)
}

/// Kinetic and potential energy; no potential where the pairs are too many.
///
/// # Errors
/// A world of another scene.
pub fn energy(world: &World) -> Result<(f64, Option<f64>), Box<dyn Error>> {
    let mut bodies: Vec<([f64; 3], f64)> = Vec::new();
    let mut kinetic = 0.0;
    world.query::<(Read<Position>, Read<Velocity>, Read<Mass>)>(|entities, (p, v, mass)| {
        for row in 0..entities.len() {
            let m = mass.value[row];
            bodies.push(([p.x[row], p.y[row], p.z[row]], m));
            kinetic += 0.5 * m * (v.x[row] * v.x[row] + v.y[row] * v.y[row] + v.z[row] * v.z[row]);
        }
    })?;
    if bodies.len() * bodies.len() > 2 * PAIRS_OBSERVED_MAX {
        return Ok((kinetic, None));
    }
    let law = world.resource::<Gravitation>()?;
    let mut potential = 0.0;
    for (i, (a, mass)) in bodies.iter().enumerate() {
        for (b, other) in &bodies[i + 1..] {
            let d = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
            let square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + law.softening * law.softening;
            potential -= law.constant * mass * other / square.sqrt();
        }
    }
    Ok((kinetic, Some(potential)))
}
