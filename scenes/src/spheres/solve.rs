//! Impulses: every sphere meets all it touches at once.
#![forbid(unsafe_code)]

use hypostyle::{Read, System, Without, Write};

use super::vector::{Vector, add, at, dot, scale, subtract};
use super::{
    Asleep, Contact, ContactLaw, Position, RADIUS, Rest, SKIN, SLEEP_FRAMES, SLOW, TOUCH, Velocity, Walls, walls_around,
};

/// One round of impulses on own rows.
///
/// A pair's impulse is divided by the contacts of the busier of the two, and both take half of it; what does not move
/// (walls, spheres asleep) takes nothing, and the other one takes it all.
pub(super) fn solve(iteration: usize) -> System {
    System::try_neighbours::<
        (Write<Velocity>, Without<Asleep>),
        (Read<Position>, Read<Velocity>, Read<Contact>, Read<Rest>),
    >(format!("solve {iteration}"), |job, (mut own_velocity, ()), others| {
        let (law, walls) = (job.resource::<ContactLaw>()?, job.resource::<Walls>()?);
        let dt = job.dt();
        let Some(own) = others.own() else { return Ok(()) };
        let (p, v, contact, rest) = others.table(own).columns;
        for row in 0..job.len() {
            let i = job.first_row() + row;
            let (place, velocity) = (at(p.x, p.y, p.z, i), at(v.x, v.y, v.z, i));
            let mut change = [0.0; 3];
            for j in &contact.near[i][..contact.touching[i] as usize] {
                let j = *j as usize;
                let away = subtract(at(p.x, p.y, p.z, j), place);
                let distance = dot(away, away).sqrt();
                if distance == 0.0 {
                    continue;
                }
                let moves = rest.frames[j] < SLEEP_FRAMES;
                let busier = if moves { contact.pressing[i].max(contact.pressing[j]) } else { contact.pressing[i] };
                let share = if moves { 0.5 } else { 1.0 } / f64::from(busier);
                let relative = subtract(velocity, at(v.x, v.y, v.z, j));
                let gap = distance - 2.0 * RADIUS;
                change = add(change, impulse(scale(away, 1.0 / distance), gap, relative, share, &law, dt));
            }
            for (normal, gap) in walls_around(place, &walls) {
                if gap < TOUCH {
                    let share = 1.0 / f64::from(contact.pressing[i]);
                    change = add(change, impulse(normal, gap, velocity, share, &law, dt));
                }
            }
            let [x, y, z] = add(velocity, change).map(|v| v as f32);
            own_velocity.x[row] = x;
            own_velocity.y[row] = y;
            own_velocity.z[row] = z;
        }
        Ok(())
    })
    .reads_resource::<ContactLaw>()
    .reads_resource::<Walls>()
}

/// What one contact does to the velocity of the sphere whose contact lies along `normal`.
fn impulse(normal: Vector, gap: f64, relative: Vector, share: f64, law: &ContactLaw, dt: f64) -> Vector {
    let approach = dot(normal, relative);
    let allowed = (gap - SKIN).max(0.0) / dt;
    if approach <= allowed {
        return [0.0; 3];
    }
    let after = if approach > SLOW { -f64::from(law.restitution) * approach } else { allowed };
    let push = approach - after;
    let sliding = subtract(relative, scale(normal, approach));
    let speed = dot(sliding, sliding).sqrt();
    let grip = if speed > 0.0 { (f64::from(law.friction) * push).min(speed) / speed } else { 0.0 };
    subtract(scale(normal, -push * share), scale(sliding, grip * share))
}
