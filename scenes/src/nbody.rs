//! Gravitating bodies by direct sum: the sun and four outer planets, or a cluster.
//!
//! With 5 bodies: the `nbody` task of the Computer Language Benchmarks Game, with its constants and its step (velocities
//! first, then positions). Energy is -0.169075164 before and -0.169087605 after 1,000 steps of 0.01.
//! With any other number: a Plummer sphere (G = M = scale radius = 1), sampled as Aarseth, Hénon and Wielen do ("A
//! comparison of numerical methods for the study of star cluster dynamics", 1974), softened.
#![forbid(unsafe_code)]

use std::error::Error;
use std::f64::consts::PI;

use hypostyle::{Component, Layout, Read, Resource, Schedule, System, World, WorldBuilder, Write};

use super::random::Random;
use super::{Line, Scene, SceneOptions, bytes_max, put};

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
    x: f64,
    y: f64,
    z: f64,
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
/// Sums are taken in so many lanes and then in one order, whatever the machine's vectors are.
const LANES: usize = 4;
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
        "the sun and four outer planets; with --entities N a Plummer cluster by direct sum"
    }

    fn default_entities(&self) -> u64 {
        PLANETS
    }

    fn dt(&self) -> f64 {
        0.01
    }

    fn default_frames(&self) -> Option<u64> {
        Some(1000)
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let entities = options.entities.unwrap_or(PLANETS);
        let mut world = builder
            .layout(Layout::parse(include_str!("../../layouts/nbody.toml"), "nbody.toml")?)
            .component::<Position>()
            .component::<Velocity>()
            .component::<Mass>()
            .component::<Acceleration>()
            .resource::<Gravitation>()
            .bytes_max_default(bytes_max(entities, 1024))
            .build()?;
        // before anything is made of that length
        world.reserve::<(Position, Velocity, Mass, Acceleration)>(entities)?;
        let (bodies, softening) = match entities {
            PLANETS => (solar_system(), 0.0),
            n => (cluster(usize::try_from(n)?, options.seed), CLUSTER_SOFTENING),
        };
        put(&mut world, Gravitation { constant: 1.0, softening })?;
        world.spawn_batch(bodies)?;
        Ok(world)
    }

    fn schedule(&self, _: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        schedule
            .add(
                System::try_neighbours::<(Read<Position>, Write<Acceleration>), (Read<Position>, Read<Mass>)>(
                    "attract",
                    |job, (own, mut acceleration), others| {
                        let law = job.resource::<Gravitation>()?;
                        let square = law.softening * law.softening;
                        for row in 0..job.len() {
                            let mut sum = [0.0; 3];
                            for table in others.tables() {
                                let (at, mass) = table.columns;
                                let pull = pull([own.x[row], own.y[row], own.z[row]], at, mass.value, square);
                                sum = [sum[0] + pull[0], sum[1] + pull[1], sum[2] + pull[2]];
                            }
                            acceleration.x[row] = law.constant * sum[0];
                            acceleration.y[row] = law.constant * sum[1];
                            acceleration.z[row] = law.constant * sum[2];
                        }
                        Ok(())
                    },
                )
                .reads_resource::<Gravitation>()
                .job_rows(64),
            )
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

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let mut lines = vec![Line::new("bodies", world.entity_count().to_string())];
        match energy(world)? {
            (kinetic, Some(potential)) => lines.push(Line::new("energy", format!("{:.9}", kinetic + potential))),
            (kinetic, None) => lines.push(Line::new("kinetic energy", format!("{kinetic:.9}"))),
        }
        Ok(lines)
    }
}

/// The pull of bodies on one place, per unit of its mass, for G = 1. A body at the very place does not pull.
fn pull(from: [f64; 3], at: PositionColumns<'_>, mass: &[f64], softening_square: f64) -> [f64; 3] {
    let ((x, x_end), (y, y_end), (z, z_end), (mass, mass_end)) =
        (at.x.as_chunks(), at.y.as_chunks(), at.z.as_chunks(), mass.as_chunks());
    let mut sums = [[0.0; LANES]; 3];
    for (((x, y), z), mass) in x.iter().zip(y).zip(z).zip(mass) {
        pull_lanes(&mut sums, from, [x, y, z], mass, softening_square);
    }
    // the rest in lanes of no mass
    let fill = |end: &[f64], with: f64| std::array::from_fn(|lane| end.get(lane).copied().unwrap_or(with));
    let rest = [&fill(x_end, from[0]), &fill(y_end, from[1]), &fill(z_end, from[2])];
    pull_lanes(&mut sums, from, rest, &fill(mass_end, 0.0), softening_square);
    sums.map(|lanes| (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]))
}

/// Adds the pull of one body per lane.
#[inline]
fn pull_lanes(
    sums: &mut [[f64; LANES]; 3],
    from: [f64; 3],
    at: [&[f64; LANES]; 3],
    mass: &[f64; LANES],
    softening_square: f64,
) {
    let d: [[f64; LANES]; 3] = std::array::from_fn(|axis| at[axis].map(|x| x - from[axis]));
    let square: [f64; LANES] = std::array::from_fn(|lane| {
        d[0][lane] * d[0][lane] + d[1][lane] * d[1][lane] + d[2][lane] * d[2][lane] + softening_square
    });
    let weight: [f64; LANES] = std::array::from_fn(|lane| {
        let weight = mass[lane] / (square[lane] * square[lane].sqrt());
        if square[lane] > 0.0 { weight } else { 0.0 }
    });
    for (sum, d) in sums.iter_mut().zip(d) {
        for lane in 0..LANES {
            sum[lane] += d[lane] * weight[lane];
        }
    }
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

/// A body as it is spawned.
type Body = (Position, Velocity, Mass, Acceleration);

fn body(at: [f64; 3], velocity: [f64; 3], mass: f64) -> Body {
    (
        Position { x: at[0], y: at[1], z: at[2] },
        Velocity { x: velocity[0], y: velocity[1], z: velocity[2] },
        Mass { value: mass },
        Acceleration { x: 0.0, y: 0.0, z: 0.0 },
    )
}

/// Takes the momentum of all out of each velocity.
fn at_rest_as_a_whole(mut bodies: Vec<Body>) -> Vec<Body> {
    let mut momentum = [0.0; 3];
    let mut mass = 0.0;
    for (_, v, m, _) in &bodies {
        momentum = [momentum[0] + v.x * m.value, momentum[1] + v.y * m.value, momentum[2] + v.z * m.value];
        mass += m.value;
    }
    for (_, v, ..) in &mut bodies {
        *v = Velocity { x: v.x - momentum[0] / mass, y: v.y - momentum[1] / mass, z: v.z - momentum[2] / mass };
    }
    bodies
}

/// Jupiter, Saturn, Uranus and Neptune: place, velocity per day, mass in suns.
#[expect(clippy::excessive_precision, reason = "the task's digits, as they are published")]
const OUTER_PLANETS: [([f64; 3], [f64; 3], f64); 4] = [
    (
        [4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01],
        [1.66007664274403694e-03, 7.69901118419740425e-03, -6.90460016972063023e-05],
        9.54791938424326609e-04,
    ),
    (
        [8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01],
        [-2.76742510726411104e-03, 4.99852801234917238e-03, 2.30417297573763929e-05],
        2.85885980666130812e-04,
    ),
    (
        [1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01],
        [2.96460137564761618e-03, 2.37847173959480950e-03, -2.96589568540237556e-05],
        4.36624404335156298e-05,
    ),
    (
        [1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01],
        [2.68067772490389322e-03, 1.62824170038242295e-03, -9.51592254519715870e-05],
        5.15138902046611451e-05,
    ),
];

/// The task's initial state: the sun takes up the planets' momentum.
fn solar_system() -> Vec<Body> {
    const SOLAR_MASS: f64 = 4.0 * PI * PI;
    const DAYS_PER_YEAR: f64 = 365.24;
    let mut bodies = vec![body([0.0; 3], [0.0; 3], SOLAR_MASS)];
    let mut momentum = [0.0; 3];
    for (at, velocity, mass) in OUTER_PLANETS {
        let velocity = velocity.map(|v| v * DAYS_PER_YEAR);
        let mass = mass * SOLAR_MASS;
        for (sum, v) in momentum.iter_mut().zip(velocity) {
            *sum += v * mass;
        }
        bodies.push(body(at, velocity, mass));
    }
    let [x, y, z] = momentum.map(|p| -p / SOLAR_MASS);
    bodies[0].1 = Velocity { x, y, z };
    bodies
}

/// A Plummer sphere of total mass 1, at rest as a whole.
fn cluster(n: usize, seed: u64) -> Vec<Body> {
    let bodies = (0..n as u64).map(|index| {
        let mut random = Random::new(seed, index, 0);
        let radius = radius_of_mass(random.unit() * 0.99);
        let at = random.direction().map(|x| x * radius);
        // the distribution of speeds over the speed of escape, by rejection: q^2 (1 - q^2)^(7/2) is below 0.1
        let part = loop {
            let (q, chance) = (random.unit(), random.unit() * 0.1);
            let rest = 1.0 - q * q;
            if chance < q * q * rest * rest * rest * rest.sqrt() {
                break q;
            }
        };
        let escape = (2.0 / (1.0 + radius * radius).sqrt()).sqrt();
        body(at, random.direction().map(|x| x * part * escape), 1.0 / n as f64)
    });
    at_rest_as_a_whole(bodies.collect())
}

/// The radius that holds this part of the mass, r^3 (1 + r^2)^(-3/2), by bisection: square roots alone are rounded
/// equally everywhere.
fn radius_of_mass(part: f64) -> f64 {
    let (mut low, mut high) = (0.0, 16.0);
    for _ in 0..60 {
        let r: f64 = 0.5 * (low + high);
        let s = 1.0 + r * r;
        if r * r * r < part * s * s.sqrt() { low = r } else { high = r }
    }
    0.5 * (low + high)
}
