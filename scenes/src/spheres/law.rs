//! The force of a contact, for many contacts side by side.
//!
//! With the overlap d, the unit vector n to the other one, and the relative velocity u of the two surfaces where they meet:
//! - normal force: k d + c u_n, with c = 2 b sqrt(k m), m the effective mass, and b = -ln e / sqrt(pi^2 + ln^2 e), so that
//!   a central impact ends with e times its speed, whatever that was;
//! - tangential force: 2/7 k s + c/2 u_t, where s, the stretch of a spring in the plane of the contact, grows by u_t dt.
//!   Beyond friction times normal force the contact slides: the force is cut to that, and the spring to what gives it.
//!
//! The arms of the two tangential forces end in one point, half-way in the overlap, so the angular momentum of the two
//! stays. LAMMPS's `gran/hooke/history` takes the radii for arms: `arm_share` 0, with which all numbers are its own.
#![forbid(unsafe_code)]

use std::f64::consts::PI;

use hypostyle::simd::{WideKernel, wide};

use super::{ContactLaw, STEPS_PER_CONTACT};

/// What follows from the law, for all contacts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constants {
    pub stiffness: f64,
    pub friction: f64,
    /// Part of the critical damping.
    pub damping: f64,
    pub density: f64,
    /// Of the overlap, what an arm lacks of the radius.
    pub arm_share: f64,
}

impl Constants {
    pub(super) fn new(law: &ContactLaw) -> Self {
        let ContactLaw { stiffness, friction, density, arm_share, .. } = *law;
        Constants { stiffness, friction, density, arm_share, damping: damping(law.restitution) }
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
    // damping makes it longer; of a contact without end the undamped time counts
    PI * (0.5 * constants.mass(radius) / law.stiffness).sqrt()
}

/// Steps in which a frame must be computed.
pub(super) fn substeps(law: &ContactLaw, radius: f64, dt: f64) -> u32 {
    ((dt * STEPS_PER_CONTACT / shortest(law, radius)).ceil() as u32).max(1)
}

/// Contacts that are computed together.
pub(super) const TOGETHER: usize = 128;
/// They are computed in so many at least.
const LANES: usize = 8;

/// A number for each of some contacts.
pub(super) type Numbers = [f64; TOGETHER];
/// A vector for each of some contacts.
pub(super) type Vectors = [Numbers; 3];

/// Contacts: what they are, and what comes of them. Each is of a sphere, the first, and another one or a wall.
pub(super) struct Contacts {
    /// How many.
    pub count: usize,
    /// From the first centre to the second, or to the nearest point of the wall.
    pub away: Vectors,
    /// Velocity of the first relative to the second.
    pub velocity: Vectors,
    pub spins: [Vectors; 2],
    /// The second is 0 for a wall.
    pub radii: [Numbers; 2],
    /// Of the first radius the arm lacks so much of the overlap: half of it, all of it at a wall.
    pub share: Numbers,
    /// Tangential force over normal force, at most.
    pub friction: Numbers,
    /// The inverse of the effective mass.
    pub inverse_mass: Numbers,
    /// The spring: as it was, and as it is from now on.
    pub stretch: Vectors,
    /// On the first; the second takes the opposite.
    pub force: Vectors,
    /// On the first and on the second.
    pub torques: [Vectors; 2],
}

impl Contacts {
    pub(super) fn new() -> Self {
        let vectors = [[0.0; TOGETHER]; 3];
        Contacts {
            count: 0,
            away: vectors,
            velocity: vectors,
            spins: [vectors; 2],
            radii: [[0.0; TOGETHER]; 2],
            share: [0.0; TOGETHER],
            friction: [0.0; TOGETHER],
            inverse_mass: [0.0; TOGETHER],
            stretch: vectors,
            force: vectors,
            torques: [vectors; 2],
        }
    }

    /// Computes all forces, torques and springs.
    pub(super) fn push(&mut self, constants: &Constants, dt: f64) {
        wide(PushAll { contacts: self, constants, dt });
    }
}

/// A vector of one contact.
#[inline(always)]
pub(super) fn get(from: &Vectors, index: usize) -> [f64; 3] {
    [from[0][index], from[1][index], from[2][index]]
}

/// As [`get`], the other way.
#[inline(always)]
pub(super) fn put(to: &mut Vectors, index: usize, value: [f64; 3]) {
    (to[0][index], to[1][index], to[2][index]) = (value[0], value[1], value[2]);
}

struct PushAll<'a> {
    contacts: &'a mut Contacts,
    constants: &'a Constants,
    dt: f64,
}

impl WideKernel for PushAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let count = self.contacts.count.next_multiple_of(LANES).min(TOGETHER);
        for first in (0..count).step_by(LANES) {
            push_eight(self.contacts, first, self.constants, self.dt);
        }
    }
}

type Eight = [f64; LANES];

#[inline(always)]
fn load(from: &Numbers, first: usize) -> Eight {
    let mut eight = [0.0; LANES];
    eight.copy_from_slice(&from[first..first + LANES]);
    eight
}

#[inline(always)]
fn load3(from: &Vectors, first: usize) -> [Eight; 3] {
    [load(&from[0], first), load(&from[1], first), load(&from[2], first)]
}

#[inline(always)]
fn store3(to: &mut Vectors, first: usize, value: &[Eight; 3]) {
    for axis in 0..3 {
        to[axis][first..first + LANES].copy_from_slice(&value[axis]);
    }
}

/// Eight contacts: a plain loop over lanes without branches, which the compiler turns into vectors.
#[inline(always)]
fn push_eight(contacts: &mut Contacts, first: usize, constants: &Constants, dt: f64) {
    let (away, velocity) = (load3(&contacts.away, first), load3(&contacts.velocity, first));
    let spins = [load3(&contacts.spins[0], first), load3(&contacts.spins[1], first)];
    let radii = [load(&contacts.radii[0], first), load(&contacts.radii[1], first)];
    let (share, inverse_mass) = (load(&contacts.share, first), load(&contacts.inverse_mass, first));
    let friction = load(&contacts.friction, first);
    let mut stretch = load3(&contacts.stretch, first);
    let (mut force, mut torques) = ([[0.0; LANES]; 3], [[[0.0; LANES]; 3]; 2]);
    let (k, damping) = (constants.stiffness, constants.damping);
    for lane in 0..LANES {
        let d = [away[0][lane], away[1][lane], away[2][lane]];
        let distance = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt();
        let inverse = 1.0 / distance;
        let n = [d[0] * inverse, d[1] * inverse, d[2] * inverse];
        let overlap = radii[0][lane] + radii[1][lane] - distance;
        let arms = [radii[0][lane] - share[lane] * overlap, radii[1][lane] - constants.arm_share * overlap];
        let mut turning = [0.0; 3];
        for axis in 0..3 {
            turning[axis] = spins[0][axis][lane] * arms[0] + spins[1][axis][lane] * arms[1];
        }
        let u = [
            velocity[0][lane] + (turning[1] * n[2] - turning[2] * n[1]),
            velocity[1][lane] + (turning[2] * n[0] - turning[0] * n[2]),
            velocity[2][lane] + (turning[0] * n[1] - turning[1] * n[0]),
        ];
        let approach = u[0] * n[0] + u[1] * n[1] + u[2] * n[2];
        let c = 2.0 * damping * (k / inverse_mass[lane]).sqrt();
        let press = k * overlap + c * approach;
        let old = [stretch[0][lane], stretch[1][lane], stretch[2][lane]];
        let out = old[0] * n[0] + old[1] * n[1] + old[2] * n[2];
        let (mut slide, mut s) = ([0.0; 3], [0.0; 3]);
        for axis in 0..3 {
            slide[axis] = u[axis] - n[axis] * approach;
            s[axis] = (old[axis] - n[axis] * out) + slide[axis] * dt;
        }
        let (drag, s) = drag(slide, s, [2.0 / 7.0 * k, 0.5 * c], friction[lane] * press.abs());
        for axis in 0..3 {
            stretch[axis][lane] = s[axis];
            force[axis][lane] = drag[axis] - n[axis] * press;
        }
        let turn = [n[1] * drag[2] - n[2] * drag[1], n[2] * drag[0] - n[0] * drag[2], n[0] * drag[1] - n[1] * drag[0]];
        for side in 0..2 {
            for axis in 0..3 {
                torques[side][axis][lane] = turn[axis] * arms[side];
            }
        }
    }
    store3(&mut contacts.stretch, first, &stretch);
    store3(&mut contacts.force, first, &force);
    store3(&mut contacts.torques[0], first, &torques[0]);
    store3(&mut contacts.torques[1], first, &torques[1]);
}

/// The tangential force, no greater than `limit`, and the spring that gives it: of how fast surfaces slide, how far the spring
/// is stretched, and the stiffness of spring and dashpot.
#[inline(always)]
fn drag(slide: [f64; 3], stretch: [f64; 3], [k, c]: [f64; 2], limit: f64) -> ([f64; 3], [f64; 3]) {
    let (mut drag, mut square) = ([0.0; 3], 0.0);
    for axis in 0..3 {
        drag[axis] = -(k * stretch[axis] + c * slide[axis]);
        square += drag[axis] * drag[axis];
    }
    let size = square.sqrt();
    let slides = size > limit;
    let (part, inverse) = (if slides { limit / size } else { 1.0 }, 1.0 / k);
    let mut kept = stretch;
    for axis in 0..3 {
        drag[axis] *= part;
        let cut = -((drag[axis] + c * slide[axis]) * inverse);
        kept[axis] = if slides { cut } else { stretch[axis] };
    }
    (drag, kept)
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
