//! Sets, adds and removes of rows that are here, of all parts of a spread world: each entity gets one value of a component.
//!
//! In one process the last patch in canonical order wins. Which one that is follows from where rows stand, of which other
//! parts have others: so two patches that differ are an error, and those that agree have no order.
#![forbid(unsafe_code)]

use crate::patch::Op;

use super::abroad::{AbroadError, Aimed};
use super::apply::{Commit, Target};

/// What patches of one component of one entity agree on, byte by byte.
type Agreed = Vec<Option<u8>>;

impl Commit<'_> {
    /// Applies patches, if those of one component of one entity agree with each other, and with what jobs did to rows of
    /// their own.
    pub(super) fn apply_alike(&mut self, patches: &mut [Aimed<'_>]) -> Result<(), AbroadError> {
        patches.sort_by_key(|patch| (patch.at.table, patch.at.row, patch.component));
        let mut agreed = Agreed::new();
        for of_one in patches.chunk_by(|a, b| a.at == b.at && a.component == b.component) {
            self.check_alike(of_one, &mut agreed)?;
        }
        for Aimed { at, system, op, component, field, value } in patches.iter().copied() {
            let current = self.of_others(system, at.table);
            self.apply_one(&current, op, Target::Row(at), component, field, value)?;
        }
        Ok(())
    }

    /// Whether patches of one component of one entity agree.
    fn check_alike(&self, patches: &[Aimed<'_>], agreed: &mut Agreed) -> Result<(), AbroadError> {
        let [first, rest @ ..] = patches else { return Ok(()) };
        let differ = |what| AbroadError::Differ {
            system: first.system,
            component: self.name(first.component),
            id: self.id_at(first.at).unwrap_or_default(),
            what,
        };
        if rest.iter().any(|other| other.op != first.op) {
            return Err(differ("once set, once added or removed"));
        }
        if self.scratch.abroad.is_changed_by_row(first.at, first.component) {
            return Err(differ("once by its row"));
        }
        if first.op == Op::Remove {
            return Ok(());
        }
        agreed.clear();
        agreed.resize(self.sizes.value(first.component, 0).unwrap_or_default(), None);
        for patch in patches {
            let from = self.field_offset(patch.component, patch.field);
            for (byte, place) in patch.value.iter().zip(&mut agreed[from..]) {
                if *place.get_or_insert(*byte) != *byte {
                    return Err(differ("to values that differ"));
                }
            }
        }
        if self.differs_from_row(first, agreed) { Err(differ("once by its row")) } else { Ok(()) }
    }

    /// Whether a job has given a row of its own another value.
    fn differs_from_row(&self, patch: &Aimed<'_>, agreed: &Agreed) -> bool {
        let Aimed { at, component, .. } = *patch;
        let Some(slot) = self.store.tables[at.table as usize].shape.slot(component) else { return false };
        let columns = (slot.first..slot.first + slot.fields).map(usize::from);
        (1_u8..).zip(columns).any(|(field, column)| {
            if !self.scratch.marks.is_set(at.table, component, field, at.row) {
                return false;
            }
            let bytes = self.sizes.value(component, field).unwrap_or_default();
            let from = self.field_offset(component, field);
            let own = &self.store.column_bytes(at.table, column)[at.row as usize * bytes..][..bytes];
            let other =
                agreed[from..from + bytes].iter().zip(own).any(|(agreed, own)| agreed.is_some_and(|a| a != *own));
            // what is pending of a row is written later
            let pending = self.scratch.pending.find(at.table, at.row).is_some();
            agreed[from].is_some() && (other || pending)
        })
    }
}
