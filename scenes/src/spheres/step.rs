//! Substeps: movement, forces, and the springs of contacts.
#![forbid(unsafe_code)]

use hypostyle::{Entity, Read, System, Write};

use super::law::{Constants, Push, Side, push};
use super::vector::{Vector, add, at, dot, scale, subtract};
use super::{
    Contact, ContactLaw, Force, OVERLAP_MAX, OWNED_MAX, Pace, Position, Radius, Spin, Springs, SpringsColumns, Torque,
    Velocity, Walls, walls_around,
};

/// A sphere moves no more than this part of its radius in a substep: else it could pass through another one.
const MOVEMENT_MAX: f64 = 0.25;
/// Of a solid sphere, over mass and radius squared.
const INERTIA: f64 = 0.4;

/// A kick and the movement. The first substep of a frame begins with half a kick, others take the two halves between them.
pub(super) fn drift(substep: usize, substeps: usize) -> System {
    System::try_rows::<(Write<Position>, Write<Velocity>, Write<Spin>, Read<Force>, Read<Torque>, Read<Radius>)>(
        format!("drift {substep}"),
        move |job, (mut position, mut velocity, mut spin, force, torque, radius)| {
            let dt = job.dt() / substeps as f64;
            let kick = if substep == 1 { 0.5 * dt } else { dt };
            let (constants, pace) = (Constants::new(&job.resource::<ContactLaw>()?), job.resource::<Pace>()?);
            for row in 0..job.len() {
                let r = radius.value[row];
                let mass = constants.mass(r);
                let (light, easy) = (kick / mass, kick / (INERTIA * mass * r * r));
                let v = add(
                    at(&velocity.x, &velocity.y, &velocity.z, row),
                    scale(at(force.x, force.y, force.z, row), light),
                );
                let w = add(at(&spin.x, &spin.y, &spin.z, row), scale(at(torque.x, torque.y, torque.z, row), easy));
                let fastest = pace.speed_max.min(MOVEMENT_MAX * r / dt);
                // a comparison with no number is false
                let fine = dot(v, v) <= fastest * fastest && dot(w, w).is_finite();
                if !fine {
                    return Err(too_fast(job.entities()[row], v, w, fastest, job.frame()).into());
                }
                let p = add(at(&position.x, &position.y, &position.z, row), scale(v, dt));
                if !p.iter().all(|x| x.is_finite()) {
                    return Err(format!("entity {} is at {p:?} (frame {})", job.entities()[row], job.frame()).into());
                }
                (position.x[row], position.y[row], position.z[row]) = (p[0], p[1], p[2]);
                (velocity.x[row], velocity.y[row], velocity.z[row]) = (v[0], v[1], v[2]);
                (spin.x[row], spin.y[row], spin.z[row]) = (w[0], w[1], w[2]);
            }
            Ok(())
        },
    )
    .reads_resource::<ContactLaw>()
    .reads_resource::<Pace>()
}

fn too_fast(entity: Entity, v: Vector, w: Vector, fastest: f64, frame: u64) -> String {
    if v.iter().chain(&w).all(|number| number.is_finite()) {
        let speed = dot(v, v).sqrt();
        format!(
            "entity {entity} moves at {speed} m/s, this frame allows {fastest} m/s: it was pushed too hard, or frames and \
             substeps are too long for it (frame {frame})"
        )
    } else {
        format!("entity {entity} has velocity {v:?} and spin {w:?}: these must be numbers (frame {frame})")
    }
}

/// The other half of the last kick.
pub(super) fn kick(substeps: usize) -> System {
    System::try_rows::<(Write<Velocity>, Write<Spin>, Read<Force>, Read<Torque>, Read<Radius>)>(
        "kick",
        move |job, (mut velocity, mut spin, force, torque, radius)| {
            let half = 0.5 * job.dt() / substeps as f64;
            let constants = Constants::new(&job.resource::<ContactLaw>()?);
            for row in 0..job.len() {
                let r = radius.value[row];
                let mass = constants.mass(r);
                let (light, easy) = (half / mass, half / (INERTIA * mass * r * r));
                let v = add(
                    at(&velocity.x, &velocity.y, &velocity.z, row),
                    scale(at(force.x, force.y, force.z, row), light),
                );
                let w = add(at(&spin.x, &spin.y, &spin.z, row), scale(at(torque.x, torque.y, torque.z, row), easy));
                (velocity.x[row], velocity.y[row], velocity.z[row]) = (v[0], v[1], v[2]);
                (spin.x[row], spin.y[row], spin.z[row]) = (w[0], w[1], w[2]);
            }
            Ok(())
        },
    )
    .reads_resource::<ContactLaw>()
}

/// What all spheres are, as the batch began.
type Others =
    (Read<Position>, Read<Velocity>, Read<Spin>, Read<Force>, Read<Torque>, Read<Radius>, Read<Contact>, Read<Springs>);

/// Forces on own rows, and the springs that these own. Number 0 is for the state as the frame finds it: whatever was
/// changed between frames counts at once, and no spring grows.
pub(super) fn force(substep: usize, substeps: usize) -> System {
    System::try_neighbours::<(Write<Force>, Write<Torque>, Write<Springs>), Others>(
        format!("force {substep}"),
        move |job, (mut force, mut torque, mut springs), others| {
            let dt = if substep == 0 { 0.0 } else { job.dt() / substeps as f64 };
            let (law, walls) = (job.resource::<ContactLaw>()?, job.resource::<Walls>()?);
            let constants = Constants::new(&law);
            let Some(table) = others.own() else { return Ok(()) };
            let table = others.table(table);
            let (p, v, w, f, t, radius, contact, before) = table.columns;
            // velocities are half a substep behind places: the last force brings them up, for the dashpots
            let side = |row: usize| {
                let (r, v, w) = (radius.value[row], at(v.x, v.y, v.z, row), at(w.x, w.y, w.z, row));
                let mass = constants.mass(r);
                let (light, easy) = (0.5 * dt / mass, 0.5 * dt / (INERTIA * mass * r * r));
                let now = [
                    add(v, scale(at(f.x, f.y, f.z, row), light)),
                    add(w, scale(at(t.x, t.y, t.z, row), easy)),
                ];
                Side { now, moved: [v, w], radius: r, mass }
            };
            for row in 0..job.len() {
                let i = job.first_row() + row;
                let (place, own, handle) = (at(p.x, p.y, p.z, i), side(i), table.entities[i]);
                let mut sum = Sum { force: [0.0, -law.gravity * own.mass, 0.0], torque: [0.0; 3] };
                let mut kept = Kept { with: [0; OWNED_MAX], stretch: [0.0; 3 * OWNED_MAX], count: 0 };
                for j in &contact.near[i][..contact.count[i] as usize] {
                    let j = *j as usize;
                    let away = subtract(at(p.x, p.y, p.z, j), place);
                    let square = dot(away, away);
                    let touching = own.radius + radius.value[j];
                    if square >= touching * touching {
                        continue;
                    }
                    let (other, theirs) = (side(j), table.entities[j]);
                    if square == 0.0 {
                        return Err(format!("entities {handle} and {theirs} are at one place: no direction to push").into());
                    }
                    let distance = square.sqrt();
                    let deep = |overlap: f64| {
                        format!(
                            "entities {handle} and {theirs} overlap by {overlap} m, a contact holds for {OVERLAP_MAX} of the \
                             smaller radius: place them apart, or choose a greater --stiffness (frame {})",
                            job.frame()
                        )
                    };
                    if (own.radius, handle) < (other.radius, theirs) {
                        let stretch = stretch(before, i, theirs);
                        let normal = scale(away, 1.0 / distance);
                        let done = push([&own, &other], normal, distance, stretch, &constants, dt).map_err(deep)?;
                        sum.add(done.force, done.torques[0]);
                        if !kept.keep(theirs, done.stretch) {
                            return Err(format!("entity {handle} touches more than {OWNED_MAX} that are not smaller").into());
                        }
                    } else {
                        // as the other one computes it
                        let normal = scale(subtract(place, at(p.x, p.y, p.z, j)), 1.0 / distance);
                        let stretch = stretch(before, j, handle);
                        let done = push([&other, &own], normal, distance, stretch, &constants, dt).map_err(deep)?;
                        sum.add(scale(done.force, -1.0), done.torques[1]);
                    }
                }
                let still = [[0.0; 3]; 2];
                let wall = Side { now: still, moved: still, radius: 0.0, mass: f64::INFINITY };
                let mut stretches = [0.0; 18];
                for (index, (normal, distance)) in walls_around(place, &walls).into_iter().enumerate() {
                    if distance >= own.radius {
                        continue;
                    }
                    let old = &before.walls[i][3 * index..];
                    let done: Push = push([&own, &wall], normal, distance, [old[0], old[1], old[2]], &constants, dt)
                        .map_err(|_| {
                            format!(
                                "entity {handle} of radius {} m is at {place:?}, {distance} m from a wall: place it inside, \
                                 or choose a greater --stiffness (frame {})",
                                own.radius,
                                job.frame()
                            )
                        })?;
                    sum.add(done.force, done.torques[0]);
                    stretches[3 * index..3 * index + 3].copy_from_slice(&done.stretch);
                }
                (force.x[row], force.y[row], force.z[row]) = (sum.force[0], sum.force[1], sum.force[2]);
                (torque.x[row], torque.y[row], torque.z[row]) = (sum.torque[0], sum.torque[1], sum.torque[2]);
                springs.with[row] = kept.with;
                springs.stretch[row] = kept.stretch;
                springs.walls[row] = stretches;
                springs.count[row] = kept.count as u32;
            }
            Ok(())
        },
    )
    .reads_resource::<ContactLaw>()
    .reads_resource::<Walls>()
}

/// The spring that a row owns with another entity; a new one is not stretched.
fn stretch(springs: SpringsColumns<'_>, row: usize, with: Entity) -> Vector {
    let count = (springs.count[row] as usize).min(OWNED_MAX);
    match springs.with[row][..count].iter().position(|other| *other == with.to_bits()) {
        Some(place) => {
            let stretch = &springs.stretch[row][3 * place..];
            [stretch[0], stretch[1], stretch[2]]
        }
        None => [0.0; 3],
    }
}

/// What acts on a row.
struct Sum {
    force: Vector,
    torque: Vector,
}

impl Sum {
    fn add(&mut self, force: Vector, torque: Vector) {
        self.force = add(self.force, force);
        self.torque = add(self.torque, torque);
    }
}

/// The springs that a row owns from now on.
struct Kept {
    with: [u64; OWNED_MAX],
    stretch: [f64; 3 * OWNED_MAX],
    count: usize,
}

impl Kept {
    /// Keeps one; false where there is no place.
    fn keep(&mut self, with: Entity, stretch: Vector) -> bool {
        if self.count == OWNED_MAX {
            return false;
        }
        self.with[self.count] = with.to_bits();
        self.stretch[3 * self.count..3 * self.count + 3].copy_from_slice(&stretch);
        self.count += 1;
        true
    }
}
