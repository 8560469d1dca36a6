//! The force of a contact.
//!
//! With the overlap d, the unit vector n to the other one, and the relative velocity u of the two surfaces where they meet:
//! - normal force: k d + c u_n, with c = 2 b sqrt(k m), m the effective mass, and b = -ln e / sqrt(pi^2 + ln^2 e), so that
//!   a central impact ends with e times its speed, whatever that was;
//! - tangential force: 2/7 k s + c/2 u_t, where s, the stretch of a spring that turns with the contact, grows by u_t dt.
//!   Beyond friction times normal force the contact slides: the force is cut to that, and the spring to what gives it.
//!
//! The arms of the two tangential forces end in one point, half-way in the overlap, so the angular momentum of the two
//! stays.
#![forbid(unsafe_code)]

use std::f64::consts::PI;

use super::vector::{Vector, add, cross, dot, scale, subtract};
use super::{ContactLaw, OVERLAP_MAX, STEPS_PER_CONTACT};

/// What follows from the law, for all contacts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constants {
    pub stiffness: f64,
    pub friction: f64,
    /// Part of the critical damping.
    pub damping: f64,
    pub density: f64,
}

impl Constants {
    pub(super) fn new(law: &ContactLaw) -> Self {
        let ContactLaw { stiffness, friction, density, .. } = *law;
        Constants { stiffness, friction, density, damping: damping(law.restitution) }
    }

    pub(super) fn mass(&self, radius: f64) -> f64 {
        4.0 / 3.0 * PI * radius * radius * radius * self.density
    }
}

/// Part of the critical damping that leaves this part of the speed.
pub(super) fn damping(restitution: f64) -> f64 {
    if restitution <= 0.0 {
        return 1.0;
    }
    let ln = ln(restitution);
    -ln / (PI * PI + ln * ln).sqrt()
}

/// The natural logarithm of a number from 0 to 1, of correctly rounded operations alone: the libraries' differ between machines.
fn ln(mut x: f64) -> f64 {
    // roots bring it near 1, where the series of atanh is short
    let mut factor = 2.0;
    while x < 0.9 {
        x = x.sqrt();
        factor *= 2.0;
    }
    let y = (x - 1.0) / (x + 1.0);
    let mut sum = 0.0;
    for power in (1..=15).rev().step_by(2) {
        sum = sum * y * y + 1.0 / f64::from(power);
    }
    factor * y * sum
}

/// How long the shortest contact lasts, seconds: that of two spheres of this radius.
pub(super) fn shortest(law: &ContactLaw, radius: f64) -> f64 {
    let constants = Constants::new(law);
    let undamped = PI * (0.5 * constants.mass(radius) / law.stiffness).sqrt();
    // damping makes it longer; of a contact without end the undamped time counts
    undamped
}

/// Steps in which a frame must be computed.
pub(super) fn substeps(law: &ContactLaw, radius: f64, dt: f64) -> usize {
    ((dt * STEPS_PER_CONTACT / shortest(law, radius)).ceil() as usize).max(1)
}

/// One of two that touch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// Velocity and spin now, for the dashpots.
    pub now: [Vector; 2],
    /// Those of the movement that has just been made, for the springs: half a substep earlier.
    pub moved: [Vector; 2],
    pub radius: f64,
    /// Infinite for a wall.
    pub mass: f64,
}

/// What a contact does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Push {
    /// On the first; the second takes the opposite.
    pub force: Vector,
    /// On the first and on the second.
    pub torques: [Vector; 2],
    /// The spring, from now on.
    pub stretch: Vector,
}

/// The contact of two whose centres are `distance` apart, the second one in direction `normal`. A wall is a sphere of radius
/// nothing at its nearest point. `Err` is the overlap, where it is too deep.
pub(super) fn push(
    sides: [&Side; 2],
    normal: Vector,
    distance: f64,
    stretch: Vector,
    constants: &Constants,
    dt: f64,
) -> Result<Push, f64> {
    let [one, other] = sides;
    let overlap = one.radius + other.radius - distance;
    let wall = other.radius == 0.0;
    let smaller = if wall { one.radius } else { one.radius.min(other.radius) };
    if overlap > OVERLAP_MAX * smaller {
        return Err(overlap);
    }
    let arms = if wall { [distance, 0.0] } else { [one.radius - 0.5 * overlap, other.radius - 0.5 * overlap] };
    let mass = if wall { one.mass } else { one.mass * other.mass / (one.mass + other.mass) };
    let c = 2.0 * constants.damping * (constants.stiffness * mass).sqrt();
    let (approach, sliding) = relative(one.now, other.now, arms, normal);
    let (_, slid) = relative(one.moved, other.moved, arms, normal);
    let press = constants.stiffness * overlap + c * approach;
    // the spring turns with the contact, and keeps its length
    let length = dot(stretch, stretch);
    let mut stretch = subtract(stretch, scale(normal, dot(stretch, normal)));
    let turned = dot(stretch, stretch);
    if turned > 0.0 {
        stretch = scale(stretch, (length / turned).sqrt());
    }
    stretch = add(stretch, scale(slid, dt));
    let (k, c) = (2.0 / 7.0 * constants.stiffness, 0.5 * c);
    let mut drag = add(scale(stretch, -k), scale(sliding, -c));
    let (size, limit) = (dot(drag, drag).sqrt(), constants.friction * press.max(0.0));
    if size > limit {
        drag = scale(drag, limit / size);
        stretch = scale(add(drag, scale(sliding, c)), -1.0 / k);
    }
    let turn = cross(normal, drag);
    Ok(Push { force: add(scale(normal, -press), drag), torques: [scale(turn, arms[0]), scale(turn, arms[1])], stretch })
}

/// How fast two surfaces come nearer, and how they slide over each other, where they meet.
fn relative(one: [Vector; 2], other: [Vector; 2], arms: [f64; 2], normal: Vector) -> (f64, Vector) {
    let turning = add(scale(one[1], arms[0]), scale(other[1], arms[1]));
    let u = add(subtract(one[0], other[0]), cross(turning, normal));
    let approach = dot(u, normal);
    (approach, subtract(u, scale(normal, approach)))
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "targets without a test harness have no tests")]
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        for x in [1.0, 0.999, 0.9, 0.5, 0.1, 1e-3, 1e-9] {
            assert!((ln(x) - f64::ln(x)).abs() <= 1e-13 * f64::ln(x).abs().max(1e-3), "{x}: {}", ln(x));
        }
        assert_eq!((damping(1.0), damping(0.0)), (0.0, 1.0));
    }
}
