//! Contacts: each is computed once, by the sphere that keeps it, and its springs are kept there.
#![forbid(unsafe_code)]

use std::ops::Range;

use hypostyle::{Entity, GlobalId, Read, System, Write};

use super::find::named;
use super::law::{Constants, Contacts, TOGETHER, get, put};
use super::mirror::Mirror;
use super::vector::{Vector, add, dot, subtract};
use super::vessel::{Touch, Vessel, WALLS, Walls, touching};
use super::{
    Body, BodyColumns, ContactLaw, Drift, JOB_ROWS, KEPT_MAX, Near, OVERLAP_MAX, OWNED_MAX, Pushes, PushesColumns,
    PushesColumnsMut, Sides, Springs, SpringsColumns, SpringsColumnsMut, Sum,
};

/// A row of the job whose contacts are among those that are computed together.
#[derive(Clone, Copy)]
struct Row {
    row: usize,
    /// Its first contact; those with other spheres, then those with walls.
    from: usize,
    spheres: usize,
    /// Where those with spheres stand among the job's pushes.
    push: usize,
    /// The walls' numbers.
    walls: [u8; WALLS],
    wall_count: usize,
    mass: f64,
}

/// What the contacts of a job are computed from and with.
pub(super) struct Work<'a> {
    pub body: BodyColumns<'a>,
    pub entities: &'a [Entity],
    pub ids: &'a [u64],
    pub constants: Constants,
    gravity: f64,
    walls: Walls,
    vessel: Vessel,
    dt: f64,
    frame: u64,
    /// The place of the job's first push in the table, and that of the next one in the job's.
    pub first_push: usize,
    pub next_push: usize,
    before: Before<'a>,
    pub contacts: Contacts,
    rows: Vec<Row>,
    /// Of contacts that copies of other ranks' spheres keep, where there are copies.
    pub mirror: Option<Mirror<'a>>,
}

/// The columns that a job writes.
pub(super) struct Out<'a> {
    force: &'a mut [[f64; 4]],
    torque: &'a mut [[f64; 4]],
    pub push_rows: &'a mut [u32],
    pub pushes: &'a mut [[f64; 6]],
    push_span: &'a mut [[u32; 4]],
    pub stretch: &'a mut [[f64; 3]],
    walls: &'a mut [[f64; 3 * WALLS]],
    sides: &'a mut [u32],
    pub copies: &'a mut [[u32; 2]],
}

/// Springs as they were.
enum Before<'a> {
    /// As the frame found them, or kept them before the table was sorted.
    ByEntity(SpringsColumns<'a>),
    /// As the last substep left them: a copy of what is about to be written.
    ByRow { rows: Vec<u32>, stretch: Vec<[f64; 3]> },
}

impl<'a> Before<'a> {
    /// Of a job whose pushes begin at `first_push` in the table's.
    fn new(sorted: bool, springs: SpringsColumns<'a>, pushes: &PushesColumnsMut<'_>, first_push: usize) -> Self {
        if sorted {
            return Before::ByEntity(springs);
        }
        let [start, count, ..] = pushes.span.last().copied().unwrap_or_default();
        let used = (start + count) as usize - first_push;
        Before::ByRow {
            rows: pushes.partners.as_flattened()[..used].to_vec(),
            stretch: pushes.stretch.as_flattened().as_chunks().0[..used].to_vec(),
        }
    }
}

/// What the contacts of a job look at of all rows.
pub(super) type All = (Read<Body>, Read<GlobalId>, Read<Springs>);

/// Forces and torques of the contacts that each row keeps, and their springs. In stage `startup` for the state as the first
/// frame finds it: no spring grows.
pub(super) fn contacts(first: bool) -> System {
    let name = if first { "first contacts" } else { "contacts" };
    type Own = (Write<Sum>, Write<Pushes>, Write<Sides>, Read<Springs>, Read<Near>);
    let system = System::try_neighbours::<Own, All>(
        name,
        move |job, (mut sum, mut pushes, mut sides, springs, near), others| {
            let Some(table) = others.own() else { return Ok(()) };
            let table = others.table(table);
            let law = job.resource::<ContactLaw>()?;
            let sorted = first || job.iteration() == 0 || job.resource::<Drift>()?.moved > 0;
            let first_push = job.first_row() * OWNED_MAX;
            let mut work = Work {
                body: table.columns.0,
                entities: table.entities,
                ids: table.columns.1.value,
                constants: Constants::new(&law),
                gravity: law.gravity,
                walls: job.resource::<Walls>()?,
                vessel: job.resource::<Vessel>()?,
                dt: if first { 0.0 } else { job.dt() },
                frame: job.frame(),
                first_push,
                next_push: 0,
                before: Before::new(sorted, springs, &pushes, first_push),
                contacts: Contacts::new(),
                rows: Vec::with_capacity(TOGETHER),
                mirror: Mirror::new(&table, sorted, &mut pushes, first_push),
            };
            let mut out = Out {
                force: &mut sum.force,
                torque: &mut sum.torque,
                push_rows: pushes.partners.as_flattened_mut(),
                pushes: pushes.push.as_flattened_mut().as_chunks_mut().0,
                push_span: &mut pushes.span,
                stretch: pushes.stretch.as_flattened_mut().as_chunks_mut().0,
                walls: &mut sides.stretch,
                sides: &mut sides.touched,
                copies: &mut pushes.copies,
            };
            let lists = near.partners.as_flattened();
            for row in 0..job.len() {
                if work.contacts.count > TOGETHER - (OWNED_MAX + WALLS) || work.rows.len() == TOGETHER {
                    work.push(&mut out);
                }
                let [from, to, ..] = near.span[row];
                let list = lists.get(from as usize..to as usize).unwrap_or_default();
                work.gather(row, job.first_row() + row, list, &mut out)?;
            }
            if work.mirror.is_some() {
                work.mirror_all(job.first_row(), &near, &mut out)?;
            }
            work.push(&mut out);
            Ok(())
        },
    )
    .reads_resource::<ContactLaw>()
    .reads_resource::<Walls>()
    .reads_resource::<Vessel>()
    .reads_resource::<Drift>();
    let system = system.job_rows(JOB_ROWS);
    if first { system.stage("startup") } else { system.in_loop("substeps") }
}

impl Work<'_> {
    /// Collects the contacts that a row keeps; it is row `i` of the table.
    #[inline]
    fn gather(&mut self, row: usize, i: usize, list: &[u32], out: &mut Out<'_>) -> Result<(), String> {
        let ([x, y, z, radius], [vx, vy, vz, inverse]) = (self.body.at[i], self.body.velocity[i]);
        let [wx, wy, wz, _] = self.body.spin[i];
        let (velocity, spin) = ([vx, vy, vz], [wx, wy, wz]);
        let old = self.old(row, out.push_span[row]);
        let from = self.contacts.count;
        // first who is touched, without branches, whose outcome no processor foresees
        let (mut found, mut count, mut touched) = ([0; KEPT_MAX], 0, 0_u64);
        for (place, j) in list.iter().take(KEPT_MAX).enumerate() {
            // one that was despawned is in lists until they are made anew
            let Some([xj, yj, zj, other]) = self.body.at.get(*j as usize) else { continue };
            let (away, touch) = ([xj - x, yj - y, zj - z], radius + other);
            // a comparison with no number is false: such ones are found by who moved them
            let touches = dot(away, away) < touch * touch;
            found[count] = *j;
            count += usize::from(touches);
            touched |= u64::from(touches) << place;
        }
        if count > OWNED_MAX {
            let entity = self.entities[i];
            return Err(format!("entity {entity} touches more than {OWNED_MAX} that are not smaller"));
        }
        let mut next = 0;
        for (index, j) in found[..count].iter().enumerate() {
            let j = *j as usize;
            let [xj, yj, zj, other] = &self.body.at[j];
            let away = [xj - x, yj - y, zj - z];
            let (square, touch) = (dot(away, away), radius + other);
            let least = touch - OVERLAP_MAX * radius;
            if square < least * least {
                return Err(self.too_near(i, j, touch - square.sqrt()));
            }
            let stretch = self.stretch(row, &old, j, &mut next);
            let ([ux, uy, uz, inverse_other], [a, b, c, _]) = (self.body.velocity[j], self.body.spin[j]);
            let one = One {
                away,
                velocity: subtract(velocity, [ux, uy, uz]),
                spins: [spin, [a, b, c]],
                radii: [radius, *other],
                share: self.constants.arm_share,
                friction: self.constants.friction,
                inverse_mass: inverse + inverse_other,
                stretch,
            };
            self.add(&one);
            out.push_rows[self.next_push + index] = j as u32;
        }
        let push = self.next_push;
        self.next_push += count;
        let span = [(self.first_push + push) as u32, count as u32, touched as u32, (touched >> 32) as u32];
        out.push_span[row] = span;
        let (walls, wall_count) = self.gather_walls(row, i, out)?;
        self.rows.push(Row { row, from, spheres: count, push, walls, wall_count, mass: 1.0 / inverse });
        Ok(())
    }

    /// Collects the walls that a row touches, and gives their numbers.
    #[inline]
    fn gather_walls(&mut self, row: usize, i: usize, out: &mut Out<'_>) -> Result<([u8; WALLS], usize), String> {
        let ([x, y, z, radius], [vx, vy, vz, inverse]) = (self.body.at[i], self.body.velocity[i]);
        let ([wx, wy, wz, _], place) = (self.body.spin[i], [x, y, z]);
        let (mut walls, mut count, mut sides, mut within) = ([0; WALLS], 0, 0, None);
        let (box_walls, vessel) = (self.walls, self.vessel);
        touching(place, radius, &box_walls, &vessel, |touch| {
            let Touch { wall, normal, distance, velocity, smooth } = touch;
            if distance < (1.0 - OVERLAP_MAX) * radius {
                within = Some(distance);
                return;
            }
            let stretch = &out.walls[row][3 * wall..];
            let one = One {
                away: normal.map(|n| n * distance),
                velocity: subtract([vx, vy, vz], velocity),
                spins: [[wx, wy, wz], [0.0; 3]],
                radii: [radius, 0.0],
                share: 2.0 * self.constants.arm_share,
                friction: if smooth { 0.0 } else { self.constants.friction },
                inverse_mass: inverse,
                stretch: [stretch[0], stretch[1], stretch[2]],
            };
            self.add(&one);
            walls[count] = wall as u8;
            count += 1;
            sides |= 1 << wall;
        });
        if let Some(distance) = within {
            return Err(format!(
                "entity {} of radius {radius} m is at {place:?}, {distance} m from a wall: place it inside, or choose a \
                 greater --stiffness (frame {})",
                self.entities[i], self.frame
            ));
        }
        // the springs of the others are forgotten
        if out.sides[row] != 0 || sides != 0 {
            for wall in (0..WALLS).filter(|wall| sides >> wall & 1 == 0) {
                out.walls[row][3 * wall..3 * wall + 3].fill(0.0);
            }
            out.sides[row] = sides;
        }
        Ok((walls, count))
    }

    /// The places of a row's springs in [`Before`].
    #[inline]
    fn old(&self, row: usize, span: [u32; 4]) -> Range<usize> {
        match &self.before {
            Before::ByEntity(springs) => 0..(springs.count[row] as usize).min(OWNED_MAX),
            Before::ByRow { .. } => {
                let start = span[0] as usize - self.first_push;
                start..start + span[1] as usize
            }
        }
    }

    /// How far the spring with row `j` was stretched; a new one is not. Lists keep their order, so it is mostly the next one.
    #[inline]
    fn stretch(&self, row: usize, old: &Range<usize>, j: usize, next: &mut usize) -> Vector {
        match &self.before {
            Before::ByEntity(springs) => {
                let id = self.ids[j];
                match springs.partner[row][old.clone()].iter().position(|other| *other == id) {
                    Some(place) => {
                        let stretch = &springs.stretch[row][3 * place..];
                        [stretch[0], stretch[1], stretch[2]]
                    }
                    None => [0.0; 3],
                }
            }
            Before::ByRow { rows, stretch } => {
                let rows = &rows[old.clone()];
                let place = match rows.get(*next) {
                    Some(other) if *other as usize == j => Some(*next),
                    _ => rows.iter().position(|other| *other as usize == j),
                };
                let Some(place) = place else { return [0.0; 3] };
                *next = place + 1;
                stretch[old.start + place]
            }
        }
    }

    fn too_near(&self, i: usize, j: usize, overlap: f64) -> String {
        let (one, other, frame) = (self.entities[i], named(self.entities, self.ids, j), self.frame);
        if self.body.at[i][..3] == self.body.at[j][..3] {
            return format!("entities {one} and {other} are at one place: no direction to push");
        }
        format!(
            "entities {one} and {other} overlap by {overlap} m, a contact holds for {OVERLAP_MAX} of the smaller radius: \
             place them apart, or choose a greater --stiffness (frame {frame})"
        )
    }

    #[inline]
    pub(super) fn add(&mut self, one: &One) {
        let to = &mut self.contacts;
        let index = to.count;
        put(&mut to.away, index, one.away);
        put(&mut to.velocity, index, one.velocity);
        put(&mut to.spins[0], index, one.spins[0]);
        put(&mut to.spins[1], index, one.spins[1]);
        put(&mut to.stretch, index, one.stretch);
        (to.radii[0][index], to.radii[1][index]) = (one.radii[0], one.radii[1]);
        (to.share[index], to.friction[index], to.inverse_mass[index]) = (one.share, one.friction, one.inverse_mass);
        to.count += 1;
    }

    /// Computes what was collected, and gives it to its rows.
    pub(super) fn push(&mut self, out: &mut Out<'_>) {
        self.contacts.push(&self.constants, self.dt);
        let contacts = &self.contacts;
        for Row { row, from, spheres, push, walls, wall_count, mass } in self.rows.drain(..) {
            let mut force = [0.0, -self.gravity * mass, 0.0];
            let mut torque = [0.0; 3];
            for index in 0..spheres {
                let at = from + index;
                let (f, t) = (get(&contacts.force, at), get(&contacts.torques[0], at));
                (force, torque) = (add(force, f), add(torque, t));
                let theirs = get(&contacts.torques[1], at);
                out.pushes[push + index] = [f[0], f[1], f[2], theirs[0], theirs[1], theirs[2]];
                out.stretch[push + index] = get(&contacts.stretch, at);
            }
            for index in 0..wall_count {
                let (at, wall) = (from + spheres + index, usize::from(walls[index]));
                force = add(force, get(&contacts.force, at));
                torque = add(torque, get(&contacts.torques[0], at));
                out.walls[row][3 * wall..3 * wall + 3].copy_from_slice(&get(&contacts.stretch, at));
            }
            out.force[row] = [force[0], force[1], force[2], 0.0];
            out.torque[row] = [torque[0], torque[1], torque[2], 0.0];
        }
        if let Some(mirror) = &mut self.mirror {
            mirror.give(&self.contacts, out);
        }
        self.contacts.count = 0;
    }
}

/// A contact as it is collected.
pub(super) struct One {
    pub away: Vector,
    pub velocity: Vector,
    pub spins: [Vector; 2],
    pub radii: [f64; 2],
    pub share: f64,
    pub friction: f64,
    pub inverse_mass: f64,
    pub stretch: Vector,
}

/// Keeps the springs of the substep before by the others' ids: rows are about to be sorted.
pub(super) fn keep() -> System {
    System::try_neighbours::<Write<Springs>, Read<Pushes>>("keep", |job, mut springs, others| {
        let all = job.view::<Read<GlobalId>>()?;
        // as a frame begins they are
        if job.iteration() > 0
            && let (Some(table), Some(of_ids)) = (others.own(), all.own())
        {
            let (pushes, ids) = (others.table(table).columns, all.table(of_ids).columns);
            keep_springs(&mut springs, job.first_row(), &pushes, ids.value);
        }
        Ok(())
    })
    .without_ghosts()
    .reads_view::<Read<GlobalId>>()
    .run_if::<Drift>(|drift| drift.moved > 0)
    .in_loop("substeps")
    .job_rows(JOB_ROWS)
}

/// Keeps the springs of a job's rows by the others' ids.
pub(super) fn keep_springs(
    springs: &mut SpringsColumnsMut<'_>,
    first_row: usize,
    pushes: &PushesColumns<'_>,
    ids: &[u64],
) {
    let (partners, stretches, counts) = (&mut springs.partner[..], &mut springs.stretch[..], &mut springs.count[..]);
    let (rows, all) = (pushes.partners.as_flattened(), pushes.stretch.as_flattened().as_chunks::<3>().0);
    for row in 0..counts.len() {
        let [start, count, ..] = pushes.span[first_row + row].map(|number| number as usize);
        let (partner, stretch) = (&mut partners[row], &mut stretches[row]);
        let kept = rows[start..start + count].iter().zip(&all[start..start + count]);
        for ((partner, to), (j, from)) in partner.iter_mut().zip(stretch.as_chunks_mut().0).zip(kept) {
            (*partner, *to) = (ids[*j as usize], *from);
        }
        let old = (counts[row] as usize).min(OWNED_MAX);
        if old > count {
            partner[count..old].fill(0);
            stretch[3 * count..3 * old].fill(0.0);
        }
        if old != count {
            counts[row] = count as u32;
        }
    }
}
