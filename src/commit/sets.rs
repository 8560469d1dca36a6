#![forbid(unsafe_code)]
//! Runs of set patches whose values need no look: written block by block, column by column.
//!
//! The outcome is that of applying them one by one: entries are written in their order within each column, and what
//! is refused or stale is counted in the order of the entries.

use crate::layout::Storage;
use crate::patch::{Entries, HANDLE_BYTES, Op, ROW_BYTES};
use crate::region::RegionError;
use crate::table::{LOCATION_FREE, Location};
use crate::world::store::scatter::Values;

use super::apply::{Commit, Current, Target};
use super::report::Refusal;

/// Entries looked up and written at once.
const BLOCK: usize = 128;

/// Lists kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct SetLists {
    rows: Vec<u32>,
    /// Of each entry of a block: the entity map's word.
    locations: Vec<u64>,
    /// The entries of the block that stand in one table.
    picks: Vec<u32>,
}

impl Commit<'_> {
    /// Whether values of a component are written as they come: no bools, no handles, no bit that says it is there.
    fn plain_values(&self, component: u16) -> bool {
        let id = usize::from(component);
        self.store.storage(component) == Storage::Table
            && self.registry.bool_offsets[id].is_empty()
            && self.registry.entity_offsets[id].is_empty()
    }

    /// Whether sets of a component on the job's own rows need no look at each row: every row has it, none is pending,
    /// and its values need no check.
    pub(super) fn plain_rows(&self, current: &Current, component: u16) -> bool {
        self.store.tables[current.table as usize].shape.slot(component).is_some()
            && self.plain_values(component)
            && !self.scratch.pending.concerns(current.table)
    }

    /// Sets a component of own rows ([`Self::plain_rows`] holds).
    pub(super) fn set_plain_rows(
        &mut self,
        current: &Current,
        component: u16,
        field: u8,
        entries: &Entries<'_, ROW_BYTES>,
    ) -> Result<(), RegionError> {
        let own = &current.rows;
        let mut lists = std::mem::take(&mut self.scratch.sets);
        lists.rows.clear();
        lists.rows.extend(entries.iter().map(|(row, _)| row));
        let len = own.end - own.start;
        let foreign = lists.rows.iter().filter(|row| row.wrapping_sub(own.start) >= len).count();
        let values = Values { bytes: entries.bytes(), stride: entries.stride(), at: ROW_BYTES };
        let picks = if foreign == 0 {
            None
        } else {
            let row = lists.rows.iter().copied().find(|row| !own.contains(row)).unwrap_or(own.end);
            let why = || Refusal::ForeignRow { row, start: own.start, end: own.end };
            self.counts[current.system].refuse(foreign as u64, why);
            lists.picks.clear();
            let kept = lists.rows.iter().zip(0u32..).filter(|(row, _)| own.contains(row)).map(|(_, index)| index);
            lists.picks.extend(kept);
            lists.rows.retain(|row| own.contains(row));
            Some(&lists.picks[..])
        };
        self.count_sets(current, current.table, component, field, &lists.rows);
        let done = self.set_rows_of(current.table, component, field, &lists.rows, values, picks);
        self.scratch.sets = lists;
        done
    }

    /// Whether sets of a component by handle can be written in bulk, pending rows aside.
    pub(super) fn plain_entities(&self, component: u16) -> bool {
        self.plain_values(component)
    }

    /// Sets a component of any entities ([`Self::plain_entities`] holds).
    pub(super) fn set_plain_entities(
        &mut self,
        current: &Current,
        component: u16,
        field: u8,
        entries: &Entries<'_, HANDLE_BYTES>,
    ) -> Result<(), RegionError> {
        let mut lists = std::mem::take(&mut self.scratch.sets);
        let mut first = 0;
        let done = loop {
            if first >= entries.len() {
                break Ok(());
            }
            let block = entries.slice(first, BLOCK);
            if let Err(error) = self.set_block(current, component, field, &block, &mut lists) {
                break Err(error);
            }
            first += BLOCK;
        };
        self.scratch.sets = lists;
        done
    }

    fn set_block(
        &mut self,
        current: &Current,
        component: u16,
        field: u8,
        block: &Entries<'_, HANDLE_BYTES>,
        lists: &mut SetLists,
    ) -> Result<(), RegionError> {
        let SetLists { rows, locations, picks } = lists;
        self.store.locate_all(block.iter().map(|(entity, _)| entity), locations);
        let values = Values { bytes: block.bytes(), stride: block.stride(), at: HANDLE_BYTES };
        let table = (locations[0] >> 32) as u32;
        let same = locations.iter().all(|location| (location >> 32) as u32 == table);
        if same && locations[0] != LOCATION_FREE && self.may_set(table, component) {
            rows.clear();
            rows.extend(locations.iter().map(|location| *location as u32));
            self.count_sets(current, table, component, field, rows);
            return self.set_rows_of(table, component, field, rows, values, None);
        }
        // reserved handles and rows with changes to come need a closer look, in the order of the entries
        let mixed = block.iter().zip(locations.iter()).any(|((entity, _), location)| {
            entity.is_reserved()
                || (*location != LOCATION_FREE && self.scratch.pending.concerns((location >> 32) as u32))
        });
        if mixed {
            for (entity, value) in block.iter() {
                match self.target(current, entity) {
                    Some(target) => self.apply_one(current, Op::Set, target, component, field, value)?,
                    None => self.counts[current.system].stale += 1,
                }
            }
            return Ok(());
        }
        for location in locations.iter_mut() {
            let Some(Location { table, row }) = Location::from_bits(*location) else {
                self.counts[current.system].stale += 1;
                continue;
            };
            if self.store.tables[table as usize].shape.slot(component).is_none() {
                self.refuse_absent(current, Target::Row(Location { table, row }), component);
                *location = LOCATION_FREE;
            }
        }
        while let Some(location) = locations.iter().copied().find(|location| *location != LOCATION_FREE) {
            let table = (location >> 32) as u32;
            rows.clear();
            picks.clear();
            for (index, location) in locations.iter_mut().enumerate() {
                if *location != LOCATION_FREE && (*location >> 32) as u32 == table {
                    rows.push(*location as u32);
                    picks.push(index as u32);
                    *location = LOCATION_FREE;
                }
            }
            self.count_sets(current, table, component, field, rows);
            self.set_rows_of(table, component, field, rows, values, Some(picks))?;
        }
        Ok(())
    }

    /// Writes packed values of a component that are kept at these places of the pending values to as many rows.
    pub(super) fn set_kept(
        &mut self,
        table: u32,
        component: u16,
        rows: &[u32],
        kept: &[u32],
    ) -> Result<(), RegionError> {
        let slot = *self.store.tables[table as usize].shape.slot(component).expect("the caller looked the slot up");
        let mut values = Values { bytes: &self.scratch.pending.values, stride: 1, at: 0 };
        for index in 0..slot.fields {
            let column = usize::from(slot.first + index);
            self.store.write_partial(table, column)?;
            self.store.scatter(table, column, rows, values, Some(kept));
            values.at += self.sizes.value(component, index as u8 + 1).expect("the shape has only declared fields");
        }
        let first = rows.first().copied().unwrap_or(0);
        self.store.mark_changed(table, component, self.parity, first, rows.len() as u32)
    }

    fn may_set(&self, table: u32, component: u16) -> bool {
        self.store.tables[table as usize].shape.slot(component).is_some() && !self.scratch.pending.concerns(table)
    }

    /// Writes values of a component, or of one of its fields, to rows of a table that has it.
    pub(super) fn set_rows_of(
        &mut self,
        table: u32,
        component: u16,
        field: u8,
        rows: &[u32],
        mut values: Values<'_>,
        picks: Option<&[u32]>,
    ) -> Result<(), RegionError> {
        let slot = *self.store.tables[table as usize].shape.slot(component).expect("the caller looked the slot up");
        let fields = if field == 0 { 0..slot.fields } else { u16::from(field) - 1..u16::from(field) };
        for index in fields {
            let column = usize::from(slot.first + index);
            self.store.write_partial(table, column)?;
            self.store.scatter(table, column, rows, values, picks);
            values.at += self.sizes.value(component, index as u8 + 1).expect("the shape has only declared fields");
        }
        if slot.changed.is_some() {
            for row in rows {
                self.store.mark_changed(table, component, self.parity, *row, 1)?;
            }
        }
        Ok(())
    }
}
