#![forbid(unsafe_code)]
//! One row at a time, fast: what direct changes of single entities do to tables that have nothing but field columns.
//!
//! A row that comes, goes or moves is written in every column of its table. Instead of noting that column by column
//! (for catch-ups and chunk stamps), a table is *opened*: all its columns are made writable once, and the rows are
//! listed once for all of them, until the table is *closed*, when every column notes them.
//!
//! Invariants: an open table's columns are all building, and none of them is bits. Whatever reads what columns have
//! noted, or gives a table other columns, closes it first: publications, frames, catch-ups, resizes, relabels, sorts.

use std::sync::Arc;

use crate::Entity;
use crate::limits::ENTITIES_MAX;
use crate::region::RegionError;

use super::column::Item;
use super::store::{ENTITIES, LOCATION_FREE, Location, Store};
use super::table::{Shape, Table};

/// Rows that were written in every column of a table, and that its columns have not noted yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unnoted {
    /// Whether the table is open; nothing is listed where it is not.
    open: bool,
    /// Rows from here on.
    appended: u32,
    /// Rows below.
    rows: Vec<u32>,
    /// So many rows that listing them does not pay: all.
    all: bool,
}

impl Unnoted {
    #[inline]
    fn append(&mut self, row: u32) {
        self.appended = self.appended.min(row);
    }

    #[inline]
    fn write(&mut self, row: u32, total: u32) {
        if row < self.appended && !self.all {
            if self.rows.len() as u64 > u64::from(total) / 16 + 64 {
                self.all = true;
                self.rows.clear();
            } else {
                self.rows.push(row);
            }
        }
    }
}

/// Where a value of a packed bundle goes.
#[derive(Clone, Copy, Debug)]
struct Piece {
    column: u16,
    at: u16,
    bytes: u32,
}

/// How packed bundles of one type become rows.
#[derive(Clone, Debug)]
pub(crate) struct SpawnPlan {
    table: u32,
    shape: Arc<Shape>,
    pieces: Box<[Piece]>,
}

/// How a row goes from one table to another: for each column there the one here, or none for zeros.
#[derive(Clone, Debug)]
pub(crate) struct MovePlan {
    to: u32,
    shapes: (Arc<Shape>, Arc<Shape>),
    sources: Box<[Option<u16>]>,
}

/// Whether a table has nothing but columns of bytes.
fn is_plain(shape: &Shape) -> bool {
    shape.columns.iter().all(|(_, item)| matches!(item, Item::Bytes(_)))
}

fn bytes_of(item: Item) -> u64 {
    match item {
        Item::Bytes(bytes) => u64::from(bytes),
        Item::Bit => unreachable!("an open table has no columns of bits"),
    }
}

impl Store {
    /// Opens a table of byte columns: its columns may be written, and rows need no notes.
    #[inline]
    fn open(&mut self, table: u32) -> Result<(), RegionError> {
        if self.tables[table as usize].unnoted.open { Ok(()) } else { self.open_slowly(table) }
    }

    #[cold]
    fn open_slowly(&mut self, table: u32) -> Result<(), RegionError> {
        debug_assert!(is_plain(&self.tables[table as usize].shape));
        for column in 0..self.tables[table as usize].columns.len() {
            self.write_partial(table, column)?;
        }
        let table_ = &mut self.tables[table as usize];
        table_.unnoted.open = true;
        table_.unnoted.appended = table_.rows;
        self.opened.push(table);
        self.dirty = true;
        Ok(())
    }

    /// Closes a table, if it is open: its columns note what was written.
    pub(crate) fn close(&mut self, table: u32) {
        if !self.tables[table as usize].unnoted.open {
            return;
        }
        self.opened.retain(|open| *open != table);
        let unnoted = &mut self.tables[table as usize].unnoted;
        let (appended, all) = (unnoted.appended, unnoted.all);
        let mut list = std::mem::take(&mut unnoted.rows);
        (unnoted.open, unnoted.all) = (false, false);
        let (rows, columns) = (self.tables[table as usize].rows, self.tables[table as usize].columns.len());
        // rows may have gone since
        list.retain(|row| *row < rows);
        for column in 0..columns {
            if all {
                self.touched(table, column, 0, rows);
                continue;
            }
            self.touched_rows(table, column, &list);
            self.touched(table, column, appended, rows.saturating_sub(appended));
        }
        list.clear();
        self.tables[table as usize].unnoted.rows = list;
    }

    /// Closes every open table.
    #[inline]
    pub(crate) fn close_all(&mut self) {
        while let Some(table) = self.opened.last() {
            self.close(*table);
        }
    }

    /// How bundles of these components (in this order, packed) become rows of a table; none where rows need more than
    /// their bytes.
    pub(crate) fn spawn_plan(&self, table: u32, components: &[u16]) -> Option<SpawnPlan> {
        let shape = Arc::clone(&self.tables[table as usize].shape);
        // a toggle's columns would be the bundle's, too
        if !is_plain(&shape) || shape.components.len() != components.len() {
            return None;
        }
        let mut pieces = Vec::new();
        let mut at = 0;
        for component in components {
            let slot = *shape.slot(*component)?;
            for column in slot.first..slot.first + slot.fields {
                let Item::Bytes(bytes) = shape.columns[usize::from(column)].1 else { return None };
                pieces.push(Piece { column, at: u16::try_from(at).ok()?, bytes });
                at += bytes as usize;
            }
        }
        Some(SpawnPlan { table, shape, pieces: pieces.into() })
    }

    /// Spawns one entity of this plan. None where it takes more than that: room, or another table by now.
    pub(crate) fn spawn_single(&mut self, plan: &SpawnPlan, packed: &[u8]) -> Option<Entity> {
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
        let map = &mut tables[ENTITIES as usize];
        let generations = map.columns[1].live.offset;
        let entity = if reused {
            let slot = free_slots.take_one()?;
            map.unnoted.write(slot, map.rows);
            Entity::from_parts(slot, arena.item::<u32>(generations + 4 * u64::from(slot)))
        } else {
            let slot = map.rows;
            map.rows += 1;
            map.unnoted.append(slot);
            arena.set_item(generations + 4 * u64::from(slot), 0u32);
            Entity::from_parts(slot, 0)
        };
        let locations = map.columns[0].live.offset;
        let table = &mut tables[plan.table as usize];
        let row = table.rows;
        table.rows += 1;
        table.unnoted.append(row);
        arena.set_word(locations + 8 * u64::from(entity.index()), Location { table: plan.table, row }.to_bits());
        arena.set_item(table.columns[0].live.offset + 8 * u64::from(row), entity);
        for piece in &plan.pieces {
            let bytes = u64::from(piece.bytes);
            let to = table.columns[usize::from(piece.column)].live.offset + u64::from(row) * bytes;
            arena.write_value(to, &packed[usize::from(piece.at)..], bytes);
        }
        Some(entity)
    }

    /// Ends one entity's life; false where its table needs more than a row moved.
    pub(crate) fn despawn_single(&mut self, entity: Entity, at: Location) -> Result<bool, RegionError> {
        if !is_plain(&self.tables[at.table as usize].shape) {
            return Ok(false);
        }
        self.open(at.table)?;
        self.open(ENTITIES)?;
        self.close_gap(at);
        let slot = entity.index();
        let Store { tables, arena, free_slots, .. } = self;
        let map = &mut tables[ENTITIES as usize];
        map.unnoted.write(slot, map.rows);
        arena.set_word(map.columns[0].live.offset + 8 * u64::from(slot), LOCATION_FREE);
        let next = entity.generation().saturating_add(1);
        arena.set_item(map.columns[1].live.offset + 4 * u64::from(slot), next);
        // a slot whose generations are used up is retired
        if next != Entity::RESERVED_GENERATION {
            free_slots.insert(slot);
        }
        Ok(true)
    }

    /// The last row of an open table takes this row's place.
    #[inline]
    fn close_gap(&mut self, at: Location) {
        let Store { tables, arena, .. } = self;
        let [map, rest @ ..] = &mut tables[..] else { unreachable!("the entity map is the first table") };
        let table = &mut rest[at.table as usize - 1];
        let (row, last) = (u64::from(at.row), u64::from(table.rows - 1));
        if row != last {
            for column in &table.columns {
                let bytes = bytes_of(column.item);
                arena.copy_value(column.live.offset + last * bytes, column.live.offset + row * bytes, bytes);
            }
            table.unnoted.write(at.row, table.rows);
            let moved = arena.item::<Entity>(table.columns[0].live.offset + 8 * row).index();
            arena.set_word(map.columns[0].live.offset + 8 * u64::from(moved), at.to_bits());
            map.unnoted.write(moved, map.rows);
        }
        table.rows = last as u32;
    }

    /// How rows go from one table to another; none where rows need more than their bytes.
    pub(crate) fn move_plan(&self, from: u32, to: u32) -> Option<MovePlan> {
        let shape = |table: u32| Arc::clone(&self.tables[table as usize].shape);
        let shapes = (shape(from), shape(to));
        if !is_plain(&shapes.0) || !is_plain(&shapes.1) {
            return None;
        }
        let source = |kind| shapes.0.columns.iter().position(|(other, _)| *other == kind).map(|column| column as u16);
        let sources = shapes.1.columns.iter().map(|(kind, _)| source(*kind)).collect();
        Some(MovePlan { to, shapes, sources })
    }

    /// Moves one row; none where it takes more than that: room, or other tables by now.
    pub(crate) fn move_single(&mut self, plan: &MovePlan, at: Location) -> Result<Option<Location>, RegionError> {
        let same = |table: u32, shape: &Arc<Shape>| {
            self.tables.get(table as usize).is_some_and(|table| Arc::ptr_eq(&table.shape, shape))
        };
        if !same(at.table, &plan.shapes.0) || !same(plan.to, &plan.shapes.1) || at.table == plan.to {
            return Ok(None);
        }
        if self.tables[plan.to as usize].rows == self.tables[plan.to as usize].capacity {
            return Ok(None);
        }
        self.open(at.table)?;
        self.open(plan.to)?;
        self.open(ENTITIES)?;
        let Store { tables, arena, .. } = self;
        let (from, to): (&Table, &Table) = (&tables[at.table as usize], &tables[plan.to as usize]);
        let (row, end) = (u64::from(at.row), u64::from(to.rows));
        for (column, source) in to.columns.iter().zip(&plan.sources) {
            let bytes = bytes_of(column.item);
            let target = column.live.offset + end * bytes;
            match source {
                Some(source) => {
                    arena.copy_value(from.columns[usize::from(*source)].live.offset + row * bytes, target, bytes);
                }
                None => arena.bytes_mut(target, bytes).fill(0),
            }
        }
        let slot = arena.item::<Entity>(to.columns[0].live.offset + 8 * end).index();
        let moved = Location { table: plan.to, row: to.rows };
        let to = &mut tables[plan.to as usize];
        to.unnoted.append(to.rows);
        to.rows += 1;
        let map = &mut tables[ENTITIES as usize];
        arena.set_word(map.columns[0].live.offset + 8 * u64::from(slot), moved.to_bits());
        map.unnoted.write(slot, map.rows);
        self.close_gap(at);
        Ok(Some(moved))
    }

    /// Reads a component's packed value; false where the entity in this row lacks it.
    #[inline]
    pub(crate) fn read_present(&self, at: Location, component: u16, out: &mut [u8]) -> bool {
        let table = &self.tables[at.table as usize];
        let Some(slot) = table.shape.slot(component) else { return false };
        if slot.presence.is_some_and(|column| !self.bit(at.table, usize::from(column), at.row)) {
            return false;
        }
        let mut out = out;
        for column in &table.columns[usize::from(slot.first)..usize::from(slot.first + slot.fields)] {
            let bytes = bytes_of(column.item);
            let (value, rest) = out.split_at_mut(bytes as usize);
            self.arena.read_value(column.live.offset + u64::from(at.row) * bytes, value);
            out = rest;
        }
        true
    }

    /// Writes a component's packed value to a row of a table that has its columns; false where more is to be written
    /// than bytes.
    pub(crate) fn write_single(&mut self, at: Location, component: u16, packed: &[u8]) -> Result<bool, RegionError> {
        let table = &self.tables[at.table as usize];
        let slot = *table.shape.slot(component).expect("the caller looked the component up");
        if slot.changed.is_some() {
            return Ok(false);
        }
        let columns = usize::from(slot.first)..usize::from(slot.first + slot.fields);
        if !table.unnoted.open {
            for column in columns.clone() {
                self.write_partial(at.table, column)?;
            }
        }
        let unnoted = &self.tables[at.table as usize].unnoted;
        let covered = unnoted.open && at.row >= unnoted.appended;
        let mut from = 0;
        for column in columns {
            let Item::Bytes(bytes) = self.tables[at.table as usize].columns[column].item else {
                unreachable!("fields are stored in bytes")
            };
            let bytes = u64::from(bytes);
            let to = self.tables[at.table as usize].columns[column].live.offset + u64::from(at.row) * bytes;
            self.arena.write_value(to, &packed[from..], bytes);
            from += bytes as usize;
            if !covered {
                self.touched(at.table, column, at.row, 1);
            }
        }
        Ok(true)
    }
}
