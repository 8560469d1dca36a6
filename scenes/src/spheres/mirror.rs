//! Contacts across the borders of ranks: what a copy of another rank's sphere that keeps a contact does to an own row is
//! computed here once more, from the same numbers: both bodies, which the copy has of its own rank, and the spring. So it has
//! the same bits, and so has its spring from substep to substep, which is taken from the copy's [`Springs`] where its own rank
//! takes it from there, too: as a frame begins, and where lists are new.
#![forbid(unsafe_code)]

use hypostyle::NeighbourTable;

use super::contact::{All, One, Out, Work};
use super::law::{Contacts, TOGETHER, get};
use super::vector::{Vector, dot, subtract};
use super::{NearColumns, OWNED_MAX, PushesColumnsMut, SpringsColumns};

/// The contacts that copies keep with a job's rows.
pub(super) struct Mirror<'a> {
    /// Rows from here on are copies.
    first_copy: usize,
    springs: SpringsColumns<'a>,
    /// As the last substep left them: a copy of what is about to be written. `None`: springs are those of the copies' ranks.
    before: Option<Before>,
    /// Those that are computed together: which contact, and its place among the job's pushes.
    waiting: Vec<(usize, usize)>,
}

/// Springs of the last substep.
struct Before {
    /// Where they began in the table's.
    start: usize,
    /// The copies' rows.
    rows: Vec<u32>,
    stretch: Vec<[f64; 3]>,
}

impl<'a> Mirror<'a> {
    /// Of what a job with these pushes, which begin at `first_push` in the table's, looks at; `None`: there are no copies.
    /// `sorted`: the lists are others than those of the last substep, or its frame is over.
    pub(super) fn new(
        table: &NeighbourTable<'a, All>,
        sorted: bool,
        pushes: &mut PushesColumnsMut<'_>,
        first_push: usize,
    ) -> Option<Self> {
        let first_copy = table.own_rows();
        if first_copy == table.entities.len() {
            // there may have been some before rows were sorted
            if sorted && pushes.copies.iter().any(|copies| copies[1] > 0) {
                pushes.copies.fill([0; 2]);
            }
            return None;
        }
        let before = (!sorted).then(|| {
            let place = |[start, _]: [u32; 2]| start as usize;
            let start = pushes.copies.first().copied().map_or(first_push, place);
            let end = pushes.copies.last().map_or(first_push, |copies| place(*copies) + copies[1] as usize);
            let used = start - first_push..end - first_push;
            let stretch: &[[f64; 3]] = pushes.stretch.as_flattened().as_chunks().0;
            let rows = pushes.partners.as_flattened()[used.clone()].to_vec();
            Before { start, rows, stretch: stretch[used].to_vec() }
        });
        let springs = table.columns.2;
        Some(Mirror { first_copy, springs, before, waiting: Vec::with_capacity(TOGETHER) })
    }

    /// How far the spring that a copy keeps with a row was stretched; a new one is not. `old` are those of the row.
    fn stretch(&self, copy: usize, id: u64, old: [u32; 2]) -> Vector {
        match &self.before {
            Some(Before { start, rows, stretch }) => {
                let from = old[0] as usize - start;
                let place = rows[from..from + old[1] as usize].iter().position(|row| *row as usize == copy);
                place.map_or([0.0; 3], |place| stretch[from + place])
            }
            None => {
                let kept = (self.springs.count[copy] as usize).min(OWNED_MAX);
                let place = self.springs.partner[copy][..kept].iter().position(|other| *other == id);
                place.map_or([0.0; 3], |place| self.springs.stretch[copy].as_chunks().0[place])
            }
        }
    }

    /// Takes what was computed.
    pub(super) fn give(&mut self, contacts: &Contacts, out: &mut Out<'_>) {
        for (index, place) in self.waiting.drain(..) {
            let ([fx, fy, fz], [tx, ty, tz]) = (get(&contacts.force, index), get(&contacts.torques[1], index));
            out.pushes[place] = [fx, fy, fz, tx, ty, tz];
            out.stretch[place] = get(&contacts.stretch, index);
        }
    }
}

impl Work<'_> {
    /// Collects the contacts that copies keep with the rows of a job, of which `first_row` is the first.
    #[cold]
    pub(super) fn mirror_all(
        &mut self,
        first_row: usize,
        near: &NearColumns<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), String> {
        let lists = near.partners.as_flattened();
        for (row, [_, from, to, _]) in near.span.iter().enumerate() {
            let theirs = lists.get(*from as usize..*to as usize).unwrap_or_default();
            self.mirror(row, first_row + row, theirs, out)?;
        }
        Ok(())
    }

    /// Collects the contacts that copies among `theirs` keep with a row; it is row `i` of the table.
    fn mirror(&mut self, row: usize, i: usize, theirs: &[u32], out: &mut Out<'_>) -> Result<(), String> {
        let ([x, y, z, radius], [vx, vy, vz, inverse]) = (self.body.at[i], self.body.velocity[i]);
        let [wx, wy, wz, _] = self.body.spin[i];
        let Some(first_copy) = self.mirror.as_ref().map(|mirror| mirror.first_copy) else { return Ok(()) };
        let (from, old) = (self.next_push, out.copies[row]);
        for j in theirs.iter().map(|j| *j as usize).filter(|j| *j >= first_copy) {
            let Some([xj, yj, zj, other]) = self.body.at.get(j).copied() else { continue };
            // all of it as the copy's own rank has it
            let (away, touch) = ([x - xj, y - yj, z - zj], other + radius);
            let touches = dot(away, away) < touch * touch;
            if !touches {
                continue;
            }
            if self.contacts.count == TOGETHER {
                self.push(out);
            }
            let ([ux, uy, uz, inverse_other], [a, b, c, _]) = (self.body.velocity[j], self.body.spin[j]);
            let Some(mirror) = &mut self.mirror else { return Ok(()) };
            let place = self.next_push;
            let Some(partner) = out.push_rows.get_mut(place) else {
                return Err(format!(
                    "entity {} and those around it touch more than {OWNED_MAX} others each, on the average of a few beside the \
                     border of a rank: choose radii that differ less, or another number of ranks",
                    self.entities[i]
                ));
            };
            *partner = j as u32;
            self.next_push += 1;
            mirror.waiting.push((self.contacts.count, place));
            let one = One {
                away,
                velocity: subtract([ux, uy, uz], [vx, vy, vz]),
                spins: [[a, b, c], [wx, wy, wz]],
                radii: [other, radius],
                share: self.constants.arm_share,
                friction: self.constants.friction,
                inverse_mass: inverse_other + inverse,
                stretch: mirror.stretch(j, self.ids[i], old),
            };
            self.add(&one);
        }
        out.copies[row] = [(self.first_push + from) as u32, (self.next_push - from) as u32];
        Ok(())
    }
}
