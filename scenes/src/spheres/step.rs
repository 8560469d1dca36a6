//! Movement: the numbers of a sphere side by side, kicks, and the end of a frame.
#![forbid(unsafe_code)]

use hypostyle::{Entity, GlobalId, Read, System, Write};

use super::contact::keep_springs;
use super::find::enough;
use super::law::Constants;
use super::vector::{Vector, add, at, dot, scale};
use super::{
    Anchor, Body, Cell, ContactLaw, Drift, Force, JOB_ROWS, Listed, Near, NearColumns, Pace, Place, Position, Pushes,
    PushesColumns, Radius, Slots, SlotsColumns, Spin, Springs, Sum, SumColumns, Torque, Velocity,
};

/// A sphere moves no more than this part of its radius in a substep: else it could pass through another one.
const MOVEMENT_MAX: f64 = 0.25;
/// Of a solid sphere, over mass and radius squared.
const INERTIA: f64 = 0.4;

/// The state as the frame finds it, checked, side by side.
pub(super) fn begin(first: bool, substeps: u32) -> System {
    let name = if first { "first begin" } else { "begin" };
    System::try_rows::<(Write<Body>, Read<Position>, Read<Velocity>, Read<Spin>, Read<Radius>)>(
        name,
        move |job, (mut body, position, velocity, spin, radius)| {
            let law = job.resource::<ContactLaw>()?;
            let constants = Constants::new(&law);
            let (places, velocities, spins) = (&mut body.at[..], &mut body.velocity[..], &mut body.spin[..]);
            let (mut square, mut min, mut max) = (0.0, f64::MAX, 0.0);
            for row in 0..job.len() {
                let (p, v, w, r) = (
                    at(position.x, position.y, position.z, row),
                    at(velocity.x, velocity.y, velocity.z, row),
                    at(spin.x, spin.y, spin.z, row),
                    radius.value[row],
                );
                let speed = dot(v, v);
                if !(p.iter().all(|x| x.is_finite()) && speed.is_finite() && dot(w, w).is_finite() && r > 0.0 && r < 1e6)
                {
                    return Err(format!(
                        "entity {} has position {p:?}, velocity {v:?}, spin {w:?} and radius {r}: these must be numbers \
                         (frame {})",
                        job.entities()[row],
                        job.frame()
                    )
                    .into());
                }
                (square, min, max) = (f64::max(square, speed), f64::min(min, r), f64::max(max, r));
                places[row] = [p[0], p[1], p[2], r];
                velocities[row] = [v[0], v[1], v[2], 1.0 / constants.mass(r)];
                spins[row] = [w[0], w[1], w[2], 0.0];
            }
            enough(&law, min, job.dt(), substeps)?;
            job.reduce(Pace {
                speed_max: square.sqrt(),
                radius_min: min,
                radius_max: max,
                spheres: job.len() as u64,
            });
            Ok(())
        },
    )
    .reads_resource::<ContactLaw>()
    .reduces::<Pace>()
    .stage(if first { "startup" } else { "update" })
}

/// Rows of a list that are looked at together.
const AT_ONCE: usize = 32;

/// What acts on a row: its own contacts, and those that others keep with it.
struct Total<'a> {
    own: SumColumns<'a>,
    near: NearColumns<'a>,
    slots: SlotsColumns<'a>,
    /// Of all own rows.
    pushes: PushesColumns<'a>,
    first_row: usize,
}

impl Total<'_> {
    /// Force and torque on a row of the job.
    #[inline]
    fn on(&self, row: usize) -> [Vector; 2] {
        let ([fx, fy, fz, _], [tx, ty, tz, _]) = (self.own.force[row], self.own.torque[row]);
        let (mut force, mut torque) = ([fx, fy, fz], [tx, ty, tz]);
        let [_, from, to, _] = self.near.span[row];
        let theirs = from as usize..to as usize;
        let slots = self.slots.slots.as_flattened().get(theirs.clone()).unwrap_or_default();
        let theirs = self.near.partners.as_flattened().get(theirs).unwrap_or_default();
        if self.pushes.copies[self.first_row + row][1] > 0 {
            return self.at_border(row, theirs, slots, [force, torque]);
        }
        let pushes = self.pushes.push.as_flattened().as_chunks::<6>().0;
        // first which ones touch it, without branches, whose outcome no processor foresees
        for (theirs, slots) in theirs.chunks(AT_ONCE).zip(slots.chunks(AT_ONCE)) {
            let (mut found, mut count) = ([0; AT_ONCE], 0);
            for (j, slot) in theirs.iter().zip(slots) {
                // one that was despawned is in lists until they are made anew
                let Some([start, _, low, high]) = self.pushes.span.get(*j as usize) else { continue };
                let (touched, slot) = (u64::from(*low) | u64::from(*high) << 32, u32::from(*slot) % u64::BITS);
                found[count] = *start + (touched & !(u64::MAX << slot)).count_ones();
                count += (touched >> slot & 1) as usize;
            }
            for index in &found[..count] {
                let [fx, fy, fz, tx, ty, tz] = pushes[*index as usize];
                force = [force[0] - fx, force[1] - fy, force[2] - fz];
                torque = [torque[0] + tx, torque[1] + ty, torque[2] + tz];
            }
        }
        [force, torque]
    }

    /// The same for a row with which copies of other ranks' spheres keep contacts: of all others in the order of the list, as
    /// where all are own rows.
    #[cold]
    fn at_border(&self, row: usize, theirs: &[u32], slots: &[u8], [mut force, mut torque]: [Vector; 2]) -> [Vector; 2] {
        let pushes = self.pushes.push.as_flattened().as_chunks::<6>().0;
        let [from, count] = self.pushes.copies[self.first_row + row].map(|number| number as usize);
        let copies = &self.pushes.partners.as_flattened()[from..from + count];
        let mut mirrored = copies.iter().zip(&pushes[from..from + count]).peekable();
        for (j, slot) in theirs.iter().zip(slots) {
            let push = match self.pushes.span.get(*j as usize) {
                Some([start, _, low, high]) => {
                    let (touched, slot) = (u64::from(*low) | u64::from(*high) << 32, u32::from(*slot) % u64::BITS);
                    let index = *start + (touched & !(u64::MAX << slot)).count_ones();
                    (touched >> slot & 1 != 0).then(|| &pushes[index as usize])
                }
                // those that touch stand there in the order of the list
                None => mirrored.next_if(|(copy, _)| **copy == *j).map(|(_, push)| push),
            };
            let Some([fx, fy, fz, tx, ty, tz]) = push else { continue };
            force = [force[0] - fx, force[1] - fy, force[2] - fz];
            torque = [torque[0] + tx, torque[1] + ty, torque[2] + tz];
        }
        [force, torque]
    }
}

type Moves = (Write<Body>, Read<Sum>, (Read<Near>, Read<Slots>), Read<Anchor>, Read<Place>, Read<Force>, Read<Torque>);

/// Whether the rows of a job stand in the order in which lists were made, of which nothing but the state is left.
#[cold]
fn in_order(rows: std::ops::Range<usize>, keys: &[u32], ids: &[u64]) -> bool {
    let at = |row: usize| (keys[row], ids[row]);
    (rows.start.max(1)..rows.end).all(|row| at(row - 1) < at(row))
}

/// A kick and the movement; and whether lists must be made anew. The first substep of a frame begins with half a kick, of
/// the forces that the last frame ended with; others take the two halves between them.
pub(super) fn movement() -> System {
    System::try_neighbours::<Moves, (Read<Pushes>, Read<Cell>, Read<GlobalId>)>(
        "move",
        |job, (mut body, own, (near, slots), anchor, place, force, torque), others| {
            let Some(table) = others.own() else { return Ok(()) };
            let (pushes, cells, ids) = others.table(table).columns;
            let total = Total { own, near, slots, pushes, first_row: job.first_row() };
            let (dt, begins) = (job.dt(), job.iteration() == 0);
            let kick = if begins { 0.5 * dt } else { dt };
            let Listed { skin, spheres, .. } = job.resource::<Listed>()?;
            let mut stays = spheres == job.resource::<Pace>()?.spheres;
            // where a state was taken up lists are made anew from it, if it is as it was when they were made
            if begins && place.row.first() == Some(&Place::NONE) {
                stays &= in_order(job.first_row()..job.first_row() + job.len(), cells.key, ids.value);
            }
            let (places, velocities, spins) = (&mut body.at[..], &mut body.velocity[..], &mut body.spin[..]);
            let listed = near.partners.as_flattened().len();
            for row in 0..job.len() {
                let i = job.first_row() + row;
                let [force, torque] = if begins {
                    [at(force.x, force.y, force.z, row), at(torque.x, torque.y, torque.z, row)]
                } else {
                    total.on(row)
                };
                let ([x, y, z, r], [vx, vy, vz, inverse], [wx, wy, wz, _]) = (places[row], velocities[row], spins[row]);
                let light = kick * inverse;
                let v = add([vx, vy, vz], scale(force, light));
                let w = add([wx, wy, wz], scale(torque, light / (INERTIA * r * r)));
                let fastest = MOVEMENT_MAX * r / dt;
                // a comparison with no number is false
                let fine = dot(v, v) <= fastest * fastest && dot(w, w).is_finite();
                if !fine {
                    return Err(too_fast(job.entities()[row], v, w, fastest, job.frame()).into());
                }
                let p = add([x, y, z], scale(v, dt));
                places[row] = [p[0], p[1], p[2], r];
                velocities[row] = [v[0], v[1], v[2], inverse];
                spins[row] = [w[0], w[1], w[2], 0.0];
                let off = [p[0] - anchor.x[row], p[1] - anchor.y[row], p[2] - anchor.z[row]];
                stays &= dot(off, off) <= 0.25 * skin * skin
                    && (place.row[row] as usize == i || place.row[row] == Place::NONE)
                    && near.span[row][2] as usize <= listed
                    && r.to_bits() == anchor.radius[row].to_bits();
            }
            job.reduce(Drift { moved: u32::from(!stays) });
            Ok(())
        },
    )
    .without_ghosts()
    .reads_resource::<Listed>()
    .reads_resource::<Pace>()
    .reduces::<Drift>()
    .in_loop("substeps")
    .job_rows(JOB_ROWS)
}

fn too_fast(entity: Entity, v: Vector, w: Vector, fastest: f64, frame: u64) -> String {
    if v.iter().chain(&w).all(|number| number.is_finite()) {
        let speed = dot(v, v).sqrt();
        format!(
            "entity {entity} moves at {speed} m/s, a substep allows {fastest} m/s: it was pushed too hard, or frames and \
             substeps are too long for it (frame {frame})"
        )
    } else {
        format!("entity {entity} has velocity {v:?} and spin {w:?}: these must be numbers (frame {frame})")
    }
}

/// The other half of the last kick, and the state as others see it.
pub(super) fn end(substeps: u32) -> System {
    type Ends = (
        Write<Position>,
        Write<Velocity>,
        Write<Spin>,
        Write<Force>,
        Write<Torque>,
        Write<Springs>,
        Read<Body>,
        Read<Sum>,
        (Read<Near>, Read<Slots>),
    );
    System::try_neighbours::<Ends, Read<Pushes>>(
        "end",
        move |job,
              (mut position, mut velocity, mut spin, mut force, mut torque, mut springs, body, own, (near, slots)),
              others| {
            let all = job.view::<Read<GlobalId>>()?;
            let (Some(table), Some(of_ids)) = (others.own(), all.own()) else { return Ok(()) };
            let (pushes, ids) = (others.table(table).columns, all.table(of_ids).columns);
            keep_springs(&mut springs, job.first_row(), &pushes, ids.value);
            let total = Total { own, near, slots, pushes, first_row: job.first_row() };
            let half = 0.5 * (job.dt() / f64::from(substeps));
            let (px, py, pz) = (&mut position.x[..], &mut position.y[..], &mut position.z[..]);
            let (vx, vy, vz) = (&mut velocity.x[..], &mut velocity.y[..], &mut velocity.z[..]);
            let (wx, wy, wz) = (&mut spin.x[..], &mut spin.y[..], &mut spin.z[..]);
            let (fx, fy, fz) = (&mut force.x[..], &mut force.y[..], &mut force.z[..]);
            let (tx, ty, tz) = (&mut torque.x[..], &mut torque.y[..], &mut torque.z[..]);
            for row in 0..job.len() {
                let [f, t] = total.on(row);
                let ([x, y, z, r], [u, v, w, inverse], [a, b, c, _]) =
                    (body.at[row], body.velocity[row], body.spin[row]);
                let light = half * inverse;
                let v = add([u, v, w], scale(f, light));
                let w = add([a, b, c], scale(t, light / (INERTIA * r * r)));
                (px[row], py[row], pz[row]) = (x, y, z);
                (vx[row], vy[row], vz[row]) = (v[0], v[1], v[2]);
                (wx[row], wy[row], wz[row]) = (w[0], w[1], w[2]);
                (fx[row], fy[row], fz[row]) = (f[0], f[1], f[2]);
                (tx[row], ty[row], tz[row]) = (t[0], t[1], t[2]);
            }
            Ok(())
        },
    )
    .without_ghosts()
    .reads_view::<Read<GlobalId>>()
    .job_rows(JOB_ROWS)
}

/// The forces that the first frame begins with.
pub(super) fn first_end() -> System {
    type Ends = (Write<Force>, Write<Torque>, Read<Sum>, Read<Near>, Read<Slots>);
    System::neighbours::<Ends, Read<Pushes>>("first end", |job, (mut force, mut torque, own, near, slots), others| {
        let Some(table) = others.own() else { return };
        let pushes = others.table(table).columns;
        let total = Total { own, near, slots, pushes, first_row: job.first_row() };
        for row in 0..job.len() {
            let [f, t] = total.on(row);
            (force.x[row], force.y[row], force.z[row]) = (f[0], f[1], f[2]);
            (torque.x[row], torque.y[row], torque.z[row]) = (t[0], t[1], t[2]);
        }
    })
    .without_ghosts()
    .stage("startup")
    .job_rows(JOB_ROWS)
}
