//! Deposits on components, joined to the values that are there in canonical order.
//!
//! What needs no look at each value goes the way of sets, block by block; all else comes here one by one. How values are
//! joined is the system's declaration, which a record cannot change.
#![forbid(unsafe_code)]

use crate::accumulate::Accumulation;
use crate::layout::Storage;
use crate::patch::{Entries, HANDLE_BYTES, Op, ROW_BYTES};
use crate::region::RegionError;
use crate::table::Location;
use crate::world::store::scatter::Values;

use super::apply::{Commit, Current, Target};
use super::pending::Change;
use super::report::Refusal;
use super::sets::Way;

impl<'a> Commit<'a> {
    /// What the system declares of a component, if it has rules for the field, or for all of them. If not, `count` patches
    /// are refused.
    fn accumulation(&mut self, current: &Current, component: u16, field: u8, count: usize) -> Option<&'a Accumulation> {
        let access = self.access;
        let declared = access[current.system].accumulates.iter().find(|other| other.component == component);
        let found = declared.filter(|accumulation| accumulation.rules(field).is_some());
        if found.is_none() {
            let component = self.name(component);
            let why = || Refusal::Undeclared { what: "accumulates on", component };
            self.counts[current.system].refuse(count as u64, why);
        }
        found
    }

    /// Joins values to those of own rows.
    pub(super) fn accumulate_rows(
        &mut self,
        current: &Current,
        component: u16,
        field: u8,
        entries: &Entries<'_, ROW_BYTES>,
    ) -> Result<(), RegionError> {
        let Some(rules) = self.accumulation(current, component, field, entries.len()) else { return Ok(()) };
        if self.plain_rows(current, component) {
            return self.change_plain_rows(current, Way::Join(rules), component, field, entries);
        }
        for (row, value) in entries.iter() {
            if !self.refuse_foreign(current, row) {
                let target = Target::Row(Location { table: current.table, row });
                self.accumulate_one(current, rules, target, field, value)?;
            }
        }
        Ok(())
    }

    /// Joins values to those of any entities.
    pub(super) fn accumulate_entities(
        &mut self,
        current: &Current,
        component: u16,
        field: u8,
        entries: &Entries<'_, HANDLE_BYTES>,
    ) -> Result<(), RegionError> {
        let Some(rules) = self.accumulation(current, component, field, entries.len()) else { return Ok(()) };
        if self.plain_values(component) {
            return self.change_plain_entities(current, Way::Join(rules), component, field, entries);
        }
        for (entity, value) in entries.iter() {
            if self.send(current, entity, Op::Accumulate, (component, field), value) {
                continue;
            }
            match self.target(current, entity) {
                Some(target) => self.accumulate_one(current, rules, target, field, value)?,
                None => self.miss(current, entity),
            }
        }
        Ok(())
    }

    /// Joins a value to that of one entity: at once where its row stays, else when it has its new one.
    pub(super) fn accumulate_one(
        &mut self,
        current: &Current,
        rules: &Accumulation,
        target: Target,
        field: u8,
        value: &[u8],
    ) -> Result<(), RegionError> {
        let component = rules.component;
        let entry = match target {
            Target::Row(Location { table, row }) => self.scratch.pending.find(table, row),
            Target::Spawn(spawn) => Some(self.scratch.pending.of_spawn[spawn as usize]),
        };
        let toggle = self.store.storage(component) == Storage::Toggle;
        if !self.is_present(target, entry, component, toggle) {
            self.refuse_absent(current, target, component);
            return Ok(());
        }
        if self.checked_value(current, component, field, value).is_none() {
            return Ok(());
        }
        self.counts[current.system].applied += 1;
        match (target, entry) {
            (Target::Row(Location { table, row }), entry) if entry.is_none() || toggle => {
                let values = Values { bytes: value, stride: value.len(), at: 0 };
                self.change_rows_of(table, Way::Join(rules), (component, field), &[row], values, None)
            }
            (_, Some(entry)) => {
                let at = self.scratch.pending.keep(value);
                self.scratch.pending.push(entry, component, Change::Joined(field, at, current.system));
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }

    /// Joins a kept value to that of a row which has the component, as a system declares.
    pub(super) fn join_kept(
        &mut self,
        system: usize,
        (table, row): (u32, u32),
        component: u16,
        field: u8,
        at: usize,
    ) -> Result<(), RegionError> {
        let access = self.access;
        let rules = access[system].accumulates.iter().find(|other| other.component == component);
        let rules = rules.expect("the value was kept for a declaration");
        let bytes = self.sizes.value(component, field).expect("records were checked against the sizes");
        let mut value = std::mem::take(&mut self.scratch.value);
        value.clear();
        value.extend_from_slice(self.scratch.pending.value(at..at + bytes));
        let values = Values { bytes: &value, stride: bytes, at: 0 };
        let done = self.change_rows_of(table, Way::Join(rules), (component, field), &[row], values, None);
        self.scratch.value = value;
        done
    }
}
