//! Movement that cannot overlap, rest and waking.
//!
//! Each pair has a plane between it, square to the line of centres. In its own frame of reference it lies half-way; it
//! goes along with the mean movement that the two intend, but never further than half of the gap. Both sides compute
//! the same plane, and each keeps to its side: whatever else a sphere does, it does not overlap the other one. Not to
//! move at all is always allowed.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, With, Without, Write};

use super::vector::{Vector, add, at, dot, scale, subtract};
use super::{
    Asleep, Contact, ContactLaw, NEAR_MAX, Position, RADIUS, REACH, Rest, SKIN, SLEEP_FRAMES, SLOW, STILL, TOUCH,
    Velocity, WAKING, Walls, walls_around,
};

/// What a plane gives way in one frame where rounding alone would hold a sphere fast, and the overlap from which on it
/// nearly does not, metres.
const GIVE: f64 = 1e-6;
const GIVE_DEPTH_MAX: f64 = 1e-5;
const GIVE_DEEP: f64 = 1e-15;
/// How much a contact must point downwards to carry.
const CARRYING: f64 = 0.1;
/// Rounds over all planes.
const SWEEPS: usize = 6;
/// Rounds for a sphere that is jammed.
const SWEEPS_JAMMED: usize = 32;
/// Part of its movement that is left to a sphere that is not jammed.
const JAMMED: f64 = 0.9;
/// Part of the speed that a jammed sphere keeps in a frame.
const JAMMED_KEEPS: f64 = 0.9;
/// Part of an overlap (there is none but by rounding) that is undone in a frame.
const UNDO: f64 = 0.2;

/// A bound on a movement: not further than `hard` along `normal`, and rather not further than `soft`.
#[derive(Clone, Copy, Default)]
struct Plane {
    normal: Vector,
    soft: f64,
    hard: f64,
    /// How fast the other side moves away.
    retreat: f64,
}

/// Half of a gap, moved by what the two intend; negative where they overlap.
fn side(gap: f64, together: f64) -> f64 {
    let half = 0.5 * gap;
    if gap <= 0.0 { 0.0 } else { half + together.clamp(-half, half) }
}

fn give(gap: f64) -> f64 {
    if gap > -GIVE_DEPTH_MAX { GIVE } else { GIVE_DEEP }
}

fn undo(gap: f64) -> f64 {
    if gap < 0.0 { UNDO * gap } else { 0.0 }
}

/// What a velocity intends for this frame; not further than a sphere may go.
fn intended(velocity: Vector, dt: f64) -> Vector {
    shortened(scale(velocity, dt))
}

fn shortened(d: Vector) -> Vector {
    let length = dot(d, d).sqrt();
    if length > 0.5 * REACH { scale(d, 0.5 * REACH / length) } else { d }
}

/// All bounds on one sphere's movement.
struct Planes {
    list: [Plane; NEAR_MAX + 6],
    len: usize,
}

impl Planes {
    fn push(&mut self, plane: Plane) {
        self.list[self.len] = plane;
        self.len += 1;
    }

    fn list(&self) -> &[Plane] {
        &self.list[..self.len]
    }

    /// The movement nearest to the intended one that all planes allow, which planes were in its way, and the part that
    /// was left of it where it had to be shortened in the end.
    fn movement(&self, intended: Vector) -> (Vector, u32, f64) {
        let (d, met) = self.swept(intended, SWEEPS, |plane| plane.soft);
        let part = self.allowed(d);
        if part > JAMMED {
            return (scale(d, part), met, part);
        }
        // spheres that press from all sides cannot all be kept off: enough not to come nearer
        let (d, met_again) = self.swept(intended, SWEEPS_JAMMED, |plane| plane.soft.max(0.0));
        let part = self.allowed(d);
        (scale(d, part), met | met_again, part)
    }

    /// Takes away what goes beyond planes, one after the other, round after round.
    fn swept(&self, mut d: Vector, sweeps: usize, bound: impl Fn(&Plane) -> f64) -> (Vector, u32) {
        let mut met = 0;
        for _ in 0..sweeps {
            let mut clear = true;
            for (index, plane) in self.list().iter().enumerate() {
                let beyond = dot(plane.normal, d) - bound(plane);
                if beyond > 1e-12 {
                    d = subtract(d, scale(plane.normal, beyond));
                    met |= 1 << index;
                    clear = false;
                }
            }
            if clear {
                break;
            }
        }
        (shortened(d), met)
    }

    /// The part of a movement that all planes allow.
    fn allowed(&self, d: Vector) -> f64 {
        self.list().iter().fold(1.0, |part: f64, plane| {
            let along = dot(plane.normal, d);
            if along > plane.hard { part.min(plane.hard / along) } else { part }
        })
    }

    /// The velocity without slow approach to planes that were met; fast approach is for the next frame's impulses.
    fn velocity(&self, mut velocity: Vector, met: u32) -> Vector {
        for _ in 0..2 {
            for (index, plane) in self.list().iter().enumerate() {
                let approach = dot(plane.normal, velocity) - plane.retreat;
                if met >> index & 1 == 1 && approach > 0.0 && approach < SLOW {
                    velocity = subtract(velocity, scale(plane.normal, approach));
                }
            }
        }
        velocity
    }
}

/// Moves own rows.
pub(super) fn step() -> System {
    System::try_neighbours::<
        (Write<Position>, Write<Velocity>, Write<Rest>, Without<Asleep>),
        (Read<Position>, Read<Velocity>, Read<Contact>),
    >("step", |job, (mut position, mut velocity, mut rest, ()), others| {
        let (law, walls) = (job.resource::<ContactLaw>()?, job.resource::<Walls>()?);
        let (gravity, dt) = (f64::from(law.gravity), job.dt());
        let Some(own) = others.own() else { return Ok(()) };
        let (p, v, contact) = others.table(own).columns;
        for row in 0..job.len() {
            let i = job.first_row() + row;
            let (place, before) = (at(p.x, p.y, p.z, i), at(v.x, v.y, v.z, i));
            let plan = intended(before, dt);
            let mut planes = Planes { list: [Plane::default(); NEAR_MAX + 6], len: 0 };
            let mut carried = false;
            let crowded = contact.count[i] as usize > NEAR_MAX;
            for j in &contact.near[i][..(contact.count[i] as usize).min(NEAR_MAX)] {
                let j = *j as usize;
                let away = subtract(at(p.x, p.y, p.z, j), place);
                let distance = dot(away, away).sqrt();
                if distance == 0.0 {
                    continue;
                }
                let (normal, gap) = (scale(away, 1.0 / distance), distance - 2.0 * RADIUS);
                carried |= gap < TOUCH && normal[1] < -CARRYING;
                let theirs = at(v.x, v.y, v.z, j);
                let together = 0.5 * dot(normal, add(plan, intended(theirs, dt)));
                planes.push(Plane {
                    normal,
                    soft: side(gap - SKIN, together) + 0.5 * undo(gap),
                    hard: side(gap, together) + give(gap),
                    retreat: dot(normal, theirs).max(0.0),
                });
            }
            for (normal, gap) in walls_around(place, &walls) {
                if gap < REACH {
                    carried |= gap < TOUCH && normal[1] < -CARRYING;
                    let (soft, hard) = ((gap - SKIN).max(0.0) + undo(gap), gap.max(0.0) + give(gap));
                    planes.push(Plane { normal, soft, hard, retreat: 0.0 });
                }
            }
            let (mut d, met, part) = planes.movement(plan);
            if crowded {
                d = [0.0; 3];
            }
            let keeps = if part > JAMMED { 1.0 } else { JAMMED_KEEPS };
            let mut after = scale(planes.velocity(before, met), keeps);
            // nobody rises higher than its speed carries it, and whoever falls less than intended has not become faster
            let kinetic = 0.5 * dot(before, before);
            if gravity * d[1] > kinetic {
                d = scale(d, kinetic / (gravity * d[1]));
            }
            let square = dot(after, after);
            let left = square - 2.0 * gravity * (d[1] - plan[1]).max(0.0);
            after = if left > 0.0 { scale(after, (left / square).sqrt()) } else { [0.0; 3] };
            let still = dot(d, d) < STILL * STILL;
            let frames = if still && carried { rest.frames[row] + 1 } else { 0 };
            rest.frames[row] = frames;
            if frames == SLEEP_FRAMES {
                after = [0.0; 3];
                job.add_row(row, Asleep);
            }
            let [x, y, z] = add(place, d);
            (position.x[row], position.y[row], position.z[row]) = (x, y, z);
            let [x, y, z] = after.map(|v| v as f32);
            (velocity.x[row], velocity.y[row], velocity.z[row]) = (x, y, z);
        }
        Ok(())
    })
    .adds::<Asleep>()
    .reads_resource::<ContactLaw>()
    .reads_resource::<Walls>()
}

/// Whoever sleeps beside something that moves wakes up.
pub(super) fn wake() -> System {
    System::neighbours::<(Write<Rest>, Read<Contact>, With<Asleep>), Read<Velocity>>(
        "wake",
        |job, (mut rest, contact, ()), others| {
            let Some(own) = others.own() else { return };
            let v = others.table(own).columns;
            for row in 0..job.len() {
                let near = &contact.near[row][..contact.touching[row] as usize];
                let hit = near.iter().any(|j| {
                    let velocity = at(v.x, v.y, v.z, *j as usize);
                    dot(velocity, velocity) > WAKING * WAKING
                });
                if hit {
                    rest.frames[row] = 0;
                    job.remove_row::<Asleep>(row);
                }
            }
        },
    )
    .removes::<Asleep>()
}
