//! One row at a time, fast: what direct changes of single entities do to tables whose rows need no more than bytes and
//! bits, and to components that are not tracked.
//!
//! A row that comes, goes or moves is written in every column of its table, a component that is set in every column of
//! its fields. Instead of noting that column by column (for catch-ups and chunk stamps), a table or a component of it
//! is *opened*: its columns are made writable once, and the rows are listed once for all of them, until the table is
//! *closed*, when every column notes them.
//!
//! Invariants: an open table's columns are all building, as are an open component's; bits beyond the rows are zero.
//! Whatever reads what columns have noted, or gives a table other columns, closes it first: publications, frames,
//! catch-ups, resizes, relabels, sorts.
#![forbid(unsafe_code)]

use crate::table::{Column, ColumnKind, ENTITIES, Item, LOCATION_FREE, Location, RowRuns, Shape, Slot, Table};
use std::ops::Range;
use std::sync::Arc;

use crate::layout::Storage;
use crate::limits::ENTITIES_MAX;
use crate::region::RegionError;
use crate::{Component, Entity};

use super::Store;
use super::arena::Arena;
use crate::world::access::bundle::Bundle;

/// How bundles of one type become rows: the column of each field, in the bundle's order.
#[derive(Clone, Debug)]
pub(crate) struct SpawnPlan {
    table: u32,
    shape: Arc<Shape>,
    columns: Box<[u16]>,
    /// Presence bits of the bundle's toggles.
    present: Box<[u16]>,
    /// Fields of toggles that the bundle has not, which are zero.
    zeroed: Box<[u16]>,
}

/// How a row goes from one table to another that has a component more, or less.
#[derive(Clone, Debug)]
pub(crate) struct MovePlan {
    to: u32,
    shapes: (Arc<Shape>, Arc<Shape>),
    /// Columns that both have: there and here.
    shared: Box<[(u16, u16)]>,
    /// Bits that both have: there and here.
    bits: Box<[(u16, u16)]>,
    /// Presence bits here of toggles that have no columns there.
    left: Box<[u16]>,
    /// Fields there of toggles that have no columns here, which are zero.
    zeroed: Box<[u16]>,
    /// Columns there of the component that is added.
    added: Range<u16>,
}

/// What became of a change that takes no more than bytes and a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is done.
    Done,
    /// Nothing was done: the general way knows what to do.
    Not,
}

impl Slot {
    /// The column that stands for all of a component's that are written together; none where there is none.
    fn mark(&self) -> Option<usize> {
        self.presence.or((self.fields > 0).then_some(self.first)).map(usize::from)
    }
}

/// The bit of a row.
#[inline(always)]
fn has_bit(arena: &Arena, column: &Column, row: u64) -> bool {
    arena.item::<u64>(column.live.offset + row / 64 * 8) >> (row % 64) & 1 != 0
}

#[inline(always)]
fn put_bit(arena: &mut Arena, column: &Column, row: u64, on: bool) {
    let offset = column.live.offset + row / 64 * 8;
    let word: u64 = arena.item(offset);
    arena.set_word(offset, word & !(1 << (row % 64)) | u64::from(on) << (row % 64));
}

/// Makes a field of a row zero.
#[inline(always)]
fn put_zero(arena: &mut Arena, column: &Column, row: u64) {
    if let Item::Bytes(bytes) = column.item {
        let bytes = u64::from(bytes);
        arena.bytes_mut(column.live.offset + row * bytes, bytes).fill(0);
    }
}

impl Store {
    /// Opens a table: its columns may be written, and rows need no notes.
    #[inline(always)]
    fn open(&mut self, table: u32) -> Result<(), RegionError> {
        if self.tables[table as usize].dirty.open { Ok(()) } else { self.open_slowly(table) }
    }

    #[cold]
    #[inline(never)]
    fn open_slowly(&mut self, table: u32) -> Result<(), RegionError> {
        for column in 0..self.tables[table as usize].columns.len() {
            self.write_partial(table, column)?;
        }
        let table_ = &mut self.tables[table as usize];
        table_.dirty.open = true;
        (table_.dirty.appended, table_.dirty.gone) = (table_.rows, 0);
        self.list_open(table);
        Ok(())
    }

    /// Opens a component of a table that has it, if it is one whose rows may be noted later: it is not tracked.
    pub(crate) fn open_component(&mut self, table: u32, component: u16) -> Result<(), RegionError> {
        let Table { shape, dirty, .. } = &self.tables[table as usize];
        let slot = shape.slot(component).filter(|slot| slot.changed.is_none());
        let Some(mark) = slot.and_then(Slot::mark) else { return Ok(()) };
        if matches!(dirty.components.get(mark), Some(Some(_))) {
            return Ok(());
        }
        self.open_closed(table, component, mark)
    }

    #[inline(never)]
    fn open_closed(&mut self, table: u32, component: u16, mark: usize) -> Result<(), RegionError> {
        self.secure_component(table, component)?;
        let Table { columns, dirty, .. } = &mut self.tables[table as usize];
        dirty.components.resize(columns.len(), None);
        if dirty.components[mark].is_none() {
            dirty.components[mark] = Some(dirty.spare.pop().unwrap_or_default());
        }
        self.list_open(table);
        Ok(())
    }

    fn list_open(&mut self, table: u32) {
        let dirty = &mut self.tables[table as usize].dirty;
        if !dirty.listed {
            dirty.listed = true;
            self.opened.push(table);
        }
        self.dirty = true;
    }

    /// Closes a table, if anything of it is open: its columns note what was written.
    #[inline]
    pub(crate) fn close(&mut self, table: u32) {
        if self.tables[table as usize].dirty.listed {
            self.close_listed(table);
        }
    }

    #[inline(never)]
    fn close_listed(&mut self, table: u32) {
        self.opened.retain(|open| *open != table);
        let mut dirty = std::mem::take(&mut self.tables[table as usize].dirty);
        let shape = Arc::clone(&self.tables[table as usize].shape);
        if dirty.open {
            let rows = self.tables[table as usize].rows;
            for column in 0..shape.columns.len() {
                self.note(table, column, &dirty.rows);
                self.mark_dirty(table, column, dirty.appended, rows.saturating_sub(dirty.appended));
                if shape.columns[column].1 == Item::Bit {
                    self.mark_dirty(table, column, rows, dirty.gone.saturating_sub(rows));
                }
            }
        }
        dirty.rows.clear();
        for slot in &shape.slots {
            let notes = slot.mark().and_then(|mark| dirty.components.get_mut(mark)?.take());
            let Some(mut notes) = notes else { continue };
            for column in (slot.first..slot.first + slot.fields).chain(slot.presence) {
                self.note(table, usize::from(column), &notes);
            }
            notes.clear();
            dirty.spare.push(notes);
        }
        dirty.components.clear();
        (dirty.listed, dirty.open) = (false, false);
        self.tables[table as usize].dirty = dirty;
    }

    /// A building column notes rows that were written.
    fn note(&mut self, table: u32, column: usize, notes: &RowRuns) {
        let rows = self.tables[table as usize].rows;
        if notes.in_runs() {
            notes.each_run(rows, |start, len| self.mark_dirty(table, column, start, len));
        } else {
            self.mark_dirty_chunks(table, column, |chunk| notes.has_chunk(chunk));
        }
    }

    /// Closes every open table.
    #[inline]
    pub(crate) fn close_all(&mut self) {
        while let Some(table) = self.opened.last() {
            self.close(*table);
        }
    }

    /// How bundles of these components (in this order) become rows of a table; none where one of them is tracked.
    pub(crate) fn spawn_plan(&self, table: u32, components: &[u16]) -> Option<SpawnPlan> {
        let shape = Arc::clone(&self.tables[table as usize].shape);
        let (mut columns, mut present) = (Vec::new(), Vec::new());
        for component in components {
            let slot = shape.slot(*component).filter(|slot| slot.changed.is_none())?;
            columns.extend(slot.first..slot.first + slot.fields);
            present.extend(slot.presence);
        }
        let mut zeroed = Vec::new();
        for slot in shape.slots.iter().filter(|slot| !components.contains(&slot.component)) {
            slot.presence?;
            zeroed.extend(slot.first..slot.first + slot.fields);
        }
        let (columns, present, zeroed) = (columns.into(), present.into(), zeroed.into());
        Some(SpawnPlan { table, shape, columns, present, zeroed })
    }

    /// Spawns one entity of this plan, which is the bundle's. None where it takes more than that: room, or another table
    /// by now.
    #[inline]
    pub(crate) fn spawn_single<B: Bundle>(&mut self, plan: &SpawnPlan, bundle: &B) -> Option<Entity> {
        let table = self.tables.get(plan.table as usize)?;
        let map = &self.tables[ENTITIES as usize];
        let reused = self.free_slots.len() > 0;
        if !Arc::ptr_eq(&table.shape, &plan.shape)
            || table.rows == table.capacity
            || !reused && (map.rows == map.capacity || map.rows == ENTITIES_MAX)
        {
            return None;
        }
        // where there is no memory the general way says so
        self.open(plan.table).ok()?;
        self.open(ENTITIES).ok()?;
        let Store { tables, arena, free_slots, .. } = self;
        let [map, rest @ ..] = &mut tables[..] else { unreachable!("the entity map is the first table") };
        let table = &mut rest[plan.table as usize - 1];
        let [locations, generations] = &map.columns[..] else { unreachable!("the entity map has two columns") };
        let generations = generations.live.offset;
        let entity = if reused {
            let slot = free_slots.take_one()?;
            map.dirty.write(slot, map.rows);
            Entity::from_parts(slot, arena.item::<u32>(generations + 4 * u64::from(slot)))
        } else {
            let slot = map.rows;
            map.rows += 1;
            map.dirty.append(slot);
            arena.set_item(generations + 4 * u64::from(slot), 0u32);
            Entity::from_parts(slot, 0)
        };
        let row = table.rows;
        table.rows += 1;
        table.dirty.append(row);
        let at = Location { table: plan.table, row };
        arena.set_word(locations.live.offset + 8 * u64::from(entity.index()), at.to_bits());
        arena.set_item(table.columns[0].live.offset + 8 * u64::from(row), entity);
        let mut columns = plan.columns.iter();
        bundle.each_field(&mut |value| {
            let Some(column) = columns.next() else { lacks_columns() };
            put(arena, &table.columns[usize::from(*column)], row, value);
        });
        plan.present.iter().for_each(|c| put_bit(arena, &table.columns[usize::from(*c)], u64::from(row), true));
        plan.zeroed.iter().for_each(|c| put_zero(arena, &table.columns[usize::from(*c)], u64::from(row)));
        Some(entity)
    }

    /// Ends one entity's life.
    #[inline]
    pub(crate) fn despawn_single(&mut self, entity: Entity, at: Location) -> Result<(), RegionError> {
        self.open(at.table)?;
        self.open(ENTITIES)?;
        self.close_gap(at);
        let slot = entity.index();
        let Store { tables, arena, free_slots, .. } = self;
        let map = &mut tables[ENTITIES as usize];
        map.dirty.write(slot, map.rows);
        arena.set_word(map.columns[0].live.offset + 8 * u64::from(slot), LOCATION_FREE);
        let next = entity.generation().saturating_add(1);
        arena.set_item(map.columns[1].live.offset + 4 * u64::from(slot), next);
        // a slot whose generations are used up is retired
        if next < Entity::GENERATIONS_END {
            free_slots.insert(slot);
        }
        Ok(())
    }

    /// The last row of an open table takes this row's place.
    #[inline]
    fn close_gap(&mut self, at: Location) {
        let Store { tables, arena, .. } = self;
        let [map, rest @ ..] = &mut tables[..] else { unreachable!("the entity map is the first table") };
        let table = &mut rest[at.table as usize - 1];
        let (row, last) = (u64::from(at.row), u64::from(table.rows - 1));
        if row != last {
            let moved = arena.item::<Entity>(table.columns[0].live.offset + 8 * last).index();
            arena.set_word(map.columns[0].live.offset + 8 * u64::from(moved), at.to_bits());
            map.dirty.write(moved, map.rows);
            for column in &table.columns {
                if let Item::Bytes(bytes) = column.item {
                    let bytes = u64::from(bytes);
                    arena.copy_value(column.live.offset + last * bytes, column.live.offset + row * bytes, bytes);
                }
            }
            table.dirty.write(at.row, table.rows);
        }
        if !table.shape.is_plain() {
            table.dirty.gone = table.dirty.gone.max(table.rows);
            for column in table.columns.iter().filter(|column| column.item == Item::Bit) {
                let on = has_bit(arena, column, last);
                put_bit(arena, column, last, false);
                if row != last {
                    put_bit(arena, column, row, on);
                }
            }
        }
        table.rows = last as u32;
    }

    /// How rows go from one table to another that has a component more, or less; none where that one comes and is tracked.
    pub(crate) fn move_plan(&self, from: u32, to: u32, component: u16) -> Option<MovePlan> {
        let shape = |table: u32| Arc::clone(&self.tables[table as usize].shape);
        let shapes = (shape(from), shape(to));
        if from == to {
            return None;
        }
        let source = |kind| shapes.0.columns.iter().position(|(other, _)| *other == kind).map(|column| column as u16);
        let added = match shapes.1.slot(component) {
            // its value has changed
            Some(slot) if slot.changed.is_some() => return None,
            slot => slot.map_or(0..0, |slot| slot.first..slot.first + slot.fields),
        };
        let toggles = |shape: &Shape| shape.slots.iter().filter(|slot| slot.presence.is_some()).copied().collect();
        let (here, there): (Vec<Slot>, Vec<Slot>) = (toggles(&shapes.0), toggles(&shapes.1));
        let is_toggles = |column| {
            let of = |slot: &Slot| (slot.first..slot.first + slot.fields).contains(&column);
            there.iter().any(of)
        };
        let (mut shared, mut bits, mut zeroed) = (Vec::new(), Vec::new(), Vec::new());
        for (there, (kind, item)) in (0u16..).zip(&shapes.1.columns) {
            match (source(*kind), item) {
                (Some(here), Item::Bytes(_)) => shared.push((there, here)),
                (Some(here), Item::Bit) => bits.push((there, here)),
                (None, Item::Bytes(_)) if added.contains(&there) => {}
                (None, Item::Bytes(_)) if is_toggles(there) => zeroed.push(there),
                (None, Item::Bytes(_)) => return None,
                // zero, as is every bit beyond the rows
                (None, Item::Bit) => {}
            }
        }
        let left = here.iter().filter(|slot| shapes.1.slot(slot.component).is_none()).filter_map(|slot| slot.presence);
        let left = left.collect();
        Some(MovePlan { to, added, shapes, shared: shared.into(), bits: bits.into(), left, zeroed: zeroed.into() })
    }

    /// Moves one row, with the value of the component that is added, if one is; none where it takes more than that: room,
    /// or other tables by now.
    #[inline]
    pub(crate) fn move_single<C: Component>(
        &mut self,
        plan: &MovePlan,
        at: Location,
        value: Option<&C>,
    ) -> Result<Written, RegionError> {
        let same = |table: u32, shape: &Arc<Shape>| {
            self.tables.get(table as usize).is_some_and(|table| Arc::ptr_eq(&table.shape, shape))
        };
        if !same(at.table, &plan.shapes.0) || !same(plan.to, &plan.shapes.1) {
            return Ok(Written::Not);
        }
        if self.tables[plan.to as usize].rows == self.tables[plan.to as usize].capacity {
            return Ok(Written::Not);
        }
        // it takes a toggle along that has no columns there yet
        if plan.left.iter().any(|column| self.is_present(&self.tables[at.table as usize], at.row, *column)) {
            return Ok(Written::Not);
        }
        self.open(at.table)?;
        self.open(plan.to)?;
        self.open(ENTITIES)?;
        let Store { tables, arena, .. } = self;
        let (from, to): (&Table, &Table) = (&tables[at.table as usize], &tables[plan.to as usize]);
        let (row, end) = (u64::from(at.row), u64::from(to.rows));
        let slot = arena.item::<Entity>(from.columns[0].live.offset + 8 * row).index();
        for (there, here) in &plan.shared {
            let (there, here) = (&to.columns[usize::from(*there)], &from.columns[usize::from(*here)]);
            if let Item::Bytes(bytes) = there.item {
                let bytes = u64::from(bytes);
                arena.copy_value(here.live.offset + row * bytes, there.live.offset + end * bytes, bytes);
            }
        }
        for (there, here) in &plan.bits {
            let on = has_bit(arena, &from.columns[usize::from(*here)], row);
            put_bit(arena, &to.columns[usize::from(*there)], end, on);
        }
        plan.zeroed.iter().for_each(|column| put_zero(arena, &to.columns[usize::from(*column)], end));
        if let Some(value) = value {
            let mut columns = to.columns[usize::from(plan.added.start)..usize::from(plan.added.end)].iter();
            value.each_field(&mut |value| {
                let Some(column) = columns.next() else { lacks_columns() };
                put(arena, column, to.rows, value);
            });
        }
        let moved = Location { table: plan.to, row: to.rows };
        let to = &mut tables[plan.to as usize];
        to.dirty.append(to.rows);
        to.rows += 1;
        let map = &mut tables[ENTITIES as usize];
        arena.set_word(map.columns[0].live.offset + 8 * u64::from(slot), moved.to_bits());
        map.dirty.write(slot, map.rows);
        self.close_gap(at);
        Ok(Written::Done)
    }

    /// A component's value in a row; none where the entity in this row lacks it.
    #[inline(always)]
    pub(crate) fn read_single<C: Component>(&self, table: &Table, row: u32, component: u16) -> Option<C> {
        let first = if C::STORAGE == Storage::Toggle {
            let slot = table.shape.slot(component)?;
            if !slot.presence.is_none_or(|column| self.is_present(table, row, column)) {
                return None;
            }
            usize::from(slot.first)
        } else {
            table.shape.first(component)?
        };
        let own = |column: &&Column| matches!(column.kind, ColumnKind::Field { component: of, .. } if of == component);
        let mut columns = table.columns[first..].iter();
        Some(C::from_fields(&mut |value| {
            let Some(column) = columns.next().filter(own) else { lacks_columns() };
            if column.item != Item::Bytes(value.len() as u32) {
                lacks_columns();
            }
            self.arena.read_value(column.live.offset + u64::from(row) * value.len() as u64, value);
        }))
    }

    #[inline(always)]
    fn is_present(&self, table: &Table, row: u32, presence: u16) -> bool {
        has_bit(&self.arena, &table.columns[usize::from(presence)], u64::from(row))
    }

    /// Writes a component that the entity in this row has, if it is open.
    #[inline(always)]
    pub(crate) fn write_single<C: Component>(&mut self, at: Location, component: u16, value: &C) -> Written {
        let table = &self.tables[at.table as usize];
        let (mark, first) = if C::STORAGE == Storage::Toggle {
            let Some(slot) = table.shape.slot(component) else { return Written::Not };
            match slot.presence {
                Some(presence) if self.is_present(table, at.row, presence) => {
                    (usize::from(presence), usize::from(slot.first))
                }
                _ => return Written::Not,
            }
        } else {
            match table.shape.first(component) {
                Some(first) => (first, first),
                None => return Written::Not,
            }
        };
        let Store { tables, arena, .. } = self;
        let table = &mut tables[at.table as usize];
        let Some(Some(notes)) = table.dirty.components.get_mut(mark) else { return Written::Not };
        notes.write(at.row, table.rows);
        let own = |column: &&Column| matches!(column.kind, ColumnKind::Field { component: of, .. } if of == component);
        let mut columns = table.columns[first..].iter();
        value.each_field(&mut |value| {
            let Some(column) = columns.next().filter(own) else { lacks_columns() };
            put(arena, column, at.row, value);
        });
        Written::Done
    }

    /// Takes the notes of an open component, with their place, for somebody who gives them back. Should he not, every row
    /// counts as written. None where there is nothing to note.
    pub(crate) fn lend_notes(&mut self, table: u32, component: u16) -> Option<(u16, RowRuns)> {
        let table = &mut self.tables[table as usize];
        let mark = table.shape.slot(component)?.mark()?;
        let notes = table.dirty.components.get_mut(mark)?.as_mut()?;
        Some((u16::try_from(mark).ok()?, std::mem::replace(notes, RowRuns::all())))
    }

    /// Takes lent notes back. Where the table was closed since, every row counts as written already.
    pub(crate) fn return_notes(&mut self, table: u32, mark: u16, notes: RowRuns) {
        if let Some(Some(lent)) = self.tables[table as usize].dirty.components.get_mut(usize::from(mark)) {
            *lent = notes;
        }
    }

    /// Switches an open toggle on, with a value, or off.
    #[inline(always)]
    pub(crate) fn toggle_single<C: Component>(&mut self, at: Location, component: u16, value: Option<&C>) -> Written {
        let Store { tables, arena, .. } = self;
        let table = &mut tables[at.table as usize];
        let Some(slot) = table.shape.slot(component) else { return Written::Not };
        let Some(presence) = slot.presence.map(usize::from) else { return Written::Not };
        let Some(Some(notes)) = table.dirty.components.get_mut(presence) else { return Written::Not };
        notes.write(at.row, table.rows);
        put_bit(arena, &table.columns[presence], u64::from(at.row), value.is_some());
        if let Some(value) = value {
            let mut columns = table.columns[usize::from(slot.first)..usize::from(slot.first + slot.fields)].iter();
            value.each_field(&mut |value| {
                let Some(column) = columns.next() else { lacks_columns() };
                put(arena, column, at.row, value);
            });
        }
        Written::Done
    }
}

/// Writes a field of a row. Who implements components without the derive may give more bytes than are the row's, which
/// must not reach what lies behind them.
#[inline(always)]
fn put(arena: &mut Arena, column: &Column, row: u32, value: &[u8]) {
    if column.item != Item::Bytes(value.len() as u32) {
        lacks_columns();
    }
    arena.write_value(column.live.offset + u64::from(row) * value.len() as u64, value);
}

#[cold]
#[inline(never)]
pub(in crate::world) fn lacks_columns() -> ! {
    panic!("a component reads and writes its fields in their order, each with its bytes, and no more");
}

#[cfg(test)]
impl Store {
    /// As if a free slot had been used so often.
    pub(crate) fn age_free_slot(&mut self, slot: u32, generation: u32) {
        assert_eq!(self.location_bits(slot), LOCATION_FREE, "the slot is free");
        let offset = self.tables[ENTITIES as usize].columns[1].live.offset;
        self.arena.set_item(offset + 4 * u64::from(slot), generation);
    }
}
