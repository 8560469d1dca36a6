//! How the bodies begin: the solar system of the benchmark, or a Plummer sphere.
#![forbid(unsafe_code)]

use std::f64::consts::PI;

use super::super::random::Random;
use super::{Acceleration, Mass, Position, Velocity};

/// A body as it is spawned.
pub(super) type Body = (Position, Velocity, Mass, Acceleration);

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
pub(super) fn solar_system() -> Vec<Body> {
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
pub(super) fn cluster(n: usize, seed: u64) -> Vec<Body> {
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
