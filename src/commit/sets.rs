//! Runs of patches whose values need no look, sets and deposits: written block by block, column by column.
//!
//! The outcome is that of applying them one by one: entries are written in their order within each column, and what
//! is refused or stale is counted in the order of the entries.
#![forbid(unsafe_code)]

use crate::accumulate::Accumulation;
use crate::layout::Storage;
use crate::patch::{Entries, HANDLE_BYTES, Op, ROW_BYTES};
use crate::region::RegionError;
use crate::table::{LOCATION_FREE, Location};
use crate::world::store::scatter::Values;

use super::apply::{Commit, Current, Target};
use super::report::Refusal;

/// Entries looked up and written at once.
const BLOCK: usize = 128;

/// How values become those of their rows.
#[derive(Clone, Copy)]
pub(super) enum Way<'w> {
    /// They replace what is there.
    Set,
    /// They are joined to what is there.
    Join(&'w Accumulation),
}

impl Way<'_> {
    fn op(self) -> Op {
        match self {
            Way::Set => Op::Set,
            Way::Join(_) => Op::Accumulate,
        }
    }
}

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
    pub(super) fn plain_values(&self, component: u16) -> bool {
        let id = usize::from(component);
        self.store.storage(component) != Storage::Toggle
            && self.registry.bool_offsets[id].is_empty()
            && self.registry.entity_offsets[id].is_empty()
    }

    /// Whether patches of a component on the job's own rows need no look at each row: every row has it, none is pending,
    /// and its values need no check.
    pub(super) fn plain_rows(&self, current: &Current, component: u16) -> bool {
        self.store.tables[current.table as usize].shape.slot(component).is_some()
            && self.plain_values(component)
            && !self.scratch.pending.concerns(current.table)
    }

    /// Changes a component of own rows ([`Self::plain_rows`] holds).
    pub(super) fn change_plain_rows(
        &mut self,
        current: &Current,
        way: Way<'_>,
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
        self.count_changes(current, way, current.table, component, field, &lists.rows);
        let done = self.change_rows_of(current.table, way, (component, field), &lists.rows, values, picks);
        self.scratch.sets = lists;
        done
    }

    /// Changes a component of any entities ([`Self::plain_values`] holds).
    pub(super) fn change_plain_entities(
        &mut self,
        current: &Current,
        way: Way<'_>,
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
            if let Err(error) = self.change_block(current, way, component, field, &block, &mut lists) {
                break Err(error);
            }
            first += BLOCK;
        };
        self.scratch.sets = lists;
        done
    }

    fn change_block(
        &mut self,
        current: &Current,
        way: Way<'_>,
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
            self.count_changes(current, way, table, component, field, rows);
            return self.change_rows_of(table, way, (component, field), rows, values, None);
        }
        // reserved handles and rows with changes to come need a closer look, in the order of the entries
        let mixed = block.iter().zip(locations.iter()).any(|((entity, _), location)| {
            entity.is_reserved()
                || (*location != LOCATION_FREE && self.scratch.pending.concerns((location >> 32) as u32))
        });
        if mixed {
            for (entity, value) in block.iter() {
                if self.send(current, entity, way.op(), (component, field), value) {
                    continue;
                }
                match (self.target(current, entity), way) {
                    (Some(target), Way::Set) => self.apply_one(current, Op::Set, target, component, field, value)?,
                    (Some(target), Way::Join(rules)) => self.accumulate_one(current, rules, target, field, value)?,
                    (None, _) => self.miss(current, entity),
                }
            }
            return Ok(());
        }
        for (location, (entity, value)) in locations.iter_mut().zip(block.iter()) {
            let Some(Location { table, row }) = Location::from_bits(*location) else {
                self.miss(current, entity);
                continue;
            };
            if self.send(current, entity, way.op(), (component, field), value) {
                *location = LOCATION_FREE;
            } else if self.store.tables[table as usize].shape.slot(component).is_none() {
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
            self.count_changes(current, way, table, component, field, rows);
            self.change_rows_of(table, way, (component, field), rows, values, Some(picks))?;
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

    fn count_changes(&mut self, current: &Current, way: Way<'_>, table: u32, component: u16, field: u8, rows: &[u32]) {
        match way {
            Way::Set => self.count_sets(current, table, component, field, rows),
            Way::Join(_) => self.counts[current.system].applied += rows.len() as u64,
        }
    }

    fn may_set(&self, table: u32, component: u16) -> bool {
        self.store.tables[table as usize].shape.slot(component).is_some() && !self.scratch.pending.concerns(table)
    }

    /// Gives rows of a table that has it values of a component, or of one of its fields.
    pub(super) fn change_rows_of(
        &mut self,
        table: u32,
        way: Way<'_>,
        (component, field): (u16, u8),
        rows: &[u32],
        mut values: Values<'_>,
        picks: Option<&[u32]>,
    ) -> Result<(), RegionError> {
        let slot = *self.store.tables[table as usize].shape.slot(component).expect("the caller looked the slot up");
        let fields = if field == 0 { 0..slot.fields } else { u16::from(field) - 1..u16::from(field) };
        for index in fields {
            let column = usize::from(slot.first + index);
            self.store.write_partial(table, column)?;
            match way {
                Way::Set => self.store.scatter(table, column, rows, values, picks),
                Way::Join(rules) => {
                    let rule = rules.rule(usize::from(index)).expect("the caller looked the rules up");
                    self.store.scatter_joined(table, column, rule, rows, values, picks);
                }
            }
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
