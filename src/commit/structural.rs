#![forbid(unsafe_code)]
//! Carrying out a batch's structural changes: moves, then new entities, then the sweep.
//!
//! Moves are grouped by pair of tables, in the order in which the pairs first appear; new entities append to their
//! tables in canonical order; removed rows are swept last, highest first, each replaced by its table's last row. So
//! all rows stay valid until the sweep, and row order depends on the patches alone.

use crate::Entity;
use crate::layout::Storage;
use crate::region::RegionError;
use crate::world::column::Item;
use crate::world::store::Store;

use super::apply::Commit;
use super::pending::{Change, NONE};

/// Writes a packed value, or one field's, to a row whose table has the component.
pub(crate) fn write_value(
    store: &mut Store,
    table: u32,
    row: u32,
    component: u16,
    field: u8,
    value: &[u8],
) -> Result<(), RegionError> {
    if field == 0 {
        return store.write_packed(table, row, component, value);
    }
    let slot = *store.tables[table as usize].shape.slot(component).expect("the caller looked the component up");
    let column = usize::from(slot.first) + usize::from(field) - 1;
    store.write_partial(table, column)?;
    store.scatter(table, column, 0, std::iter::once((row, value)));
    Ok(())
}

/// The table that has one table component more, or less.
pub(crate) fn neighbour(store: &mut Store, table: u32, component: u16, add: bool) -> Result<u32, RegionError> {
    let shape = std::sync::Arc::clone(&store.tables[table as usize].shape);
    let mut components: Vec<u16> =
        shape.components.iter().copied().filter(|c| store.storage(*c) == Storage::Table && *c != component).collect();
    if add {
        components.insert(components.partition_point(|c| *c < component), component);
    }
    store.table_for(&components)
}

impl Commit<'_> {
    /// Carries out everything that is pending.
    pub(super) fn finish(&mut self) -> Result<(), RegionError> {
        let mut removed: Vec<(u32, u32)> = Vec::new();
        let mut released: Vec<Entity> = Vec::new();
        if !self.scratch.pending.entries.is_empty() {
            self.move_pending(&mut removed)?;
            self.place_spawns(&mut released)?;
        }
        // refused spawns took a handle each
        for (spawn, entry) in self.scratch.pending.of_spawn.iter().enumerate() {
            if *entry == NONE {
                released.push(self.scratch.spawned[spawn]);
            }
        }
        self.sweep(removed, &mut released)?;
        self.store.release_handles(&released)
    }

    fn move_pending(&mut self, removed: &mut Vec<(u32, u32)>) -> Result<(), RegionError> {
        let mut pairs: Vec<((u32, u32), Vec<u32>, Vec<u32>)> = Vec::new();
        let mut last = 0;
        let mut staying = Vec::new();
        for (index, entry) in self.scratch.pending.entries.iter().enumerate() {
            if entry.table == NONE || self.scratch.pending.is_destroyed(entry.table, entry.row) {
                continue;
            }
            if entry.table == entry.target {
                staying.push(index as u32);
                continue;
            }
            let pair = (entry.table, entry.target);
            if pairs.get(last).is_none_or(|(other, ..)| *other != pair) {
                last = pairs.iter().position(|(other, ..)| *other == pair).unwrap_or(pairs.len());
                if last == pairs.len() {
                    pairs.push((pair, Vec::new(), Vec::new()));
                }
            }
            pairs[last].1.push(entry.row);
            pairs[last].2.push(index as u32);
        }
        for entry in staying {
            let pending = self.scratch.pending.entries[entry as usize];
            self.write_chain(entry, pending.table, pending.row)?;
        }
        for ((from, to), rows, entries) in pairs {
            let first = self.store.move_rows(from, &rows, to)?;
            self.write_chains(&entries, to, first)?;
            removed.extend(rows.iter().map(|row| (from, *row)));
        }
        Ok(())
    }

    /// Writes the chains of entries that stand in consecutive rows: where all are one value of one component, column
    /// by column.
    fn write_chains(&mut self, entries: &[u32], table: u32, first: u32) -> Result<(), RegionError> {
        let single = |entry: &u32| {
            let mut chain = self.scratch.pending.chain(*entry);
            match (chain.next(), chain.next()) {
                (Some(node), None) => match node.change {
                    Change::Value(at) => Some((node.component, at)),
                    _ => None,
                },
                _ => None,
            }
        };
        let components: Option<Vec<(u16, usize)>> = entries.iter().map(single).collect();
        if let Some(values) = components
            && let Some(&(component, _)) = values.first()
            && values.iter().all(|(other, _)| *other == component)
            && self.store.storage(component) == Storage::Table
        {
            let shape = std::sync::Arc::clone(&self.store.tables[table as usize].shape);
            let Some(slot) = shape.slot(component) else { return Ok(()) };
            let mut at = 0;
            for column in usize::from(slot.first)..usize::from(slot.first + slot.fields) {
                let Item::Bytes(bytes) = shape.columns[column].1 else { unreachable!("fields are stored in bytes") };
                let bytes = bytes as usize;
                let pending = &self.scratch.pending;
                let rows = values.iter().enumerate().map(|(index, (_, kept))| {
                    (first + index as u32, pending.value(kept + at..kept + at + bytes))
                });
                self.store.write_partial(table, column)?;
                self.store.scatter(table, column, 0, rows);
                at += bytes;
            }
            return self.store.mark_changed(table, component, self.parity, first, entries.len() as u32);
        }
        for (index, entry) in entries.iter().enumerate() {
            self.write_chain(*entry, table, first + index as u32)?;
        }
        Ok(())
    }

    /// Writes an entry's chain to its row.
    fn write_chain(&mut self, entry: u32, table: u32, row: u32) -> Result<(), RegionError> {
        let chain: Vec<_> = self.scratch.pending.chain(entry).collect();
        for node in chain {
            let component = node.component;
            let toggle = self.store.storage(component) == Storage::Toggle;
            if toggle && !matches!(node.change, Change::Field(..)) {
                let present = matches!(node.change, Change::Value(_));
                if present {
                    self.store.attach_toggle(table, component)?;
                }
                if self.store.tables[table as usize].shape.slot(component).is_some() {
                    self.store.write_presence(table, row, component, present)?;
                }
            }
            if self.store.tables[table as usize].shape.slot(component).is_none() {
                continue;
            }
            let (field, at) = match node.change {
                Change::Value(at) => (0, at),
                Change::Field(field, at) => (field, at),
                Change::Removed => continue,
            };
            let bytes = self.sizes.value(component, field).expect("records were checked against the sizes");
            let value = self.scratch.pending.value(at..at + bytes);
            write_value(self.store, table, row, component, field, value)?;
            self.store.mark_changed(table, component, self.parity, row, 1)?;
        }
        Ok(())
    }

    fn place_spawns(&mut self, released: &mut Vec<Entity>) -> Result<(), RegionError> {
        // consecutive new entities of one table are placed together
        let spawns = self.scratch.pending.of_spawn.len();
        let mut next = 0;
        while next < spawns {
            let entry = self.scratch.pending.of_spawn[next];
            if entry == NONE {
                next += 1;
                continue;
            }
            if self.scratch.pending.is_spawn_destroyed(next as u32) {
                released.push(self.scratch.spawned[next]);
                next += 1;
                continue;
            }
            let table = self.scratch.pending.entries[entry as usize].target;
            let mut end = next + 1;
            while end < spawns {
                let entry = self.scratch.pending.of_spawn[end];
                if entry == NONE
                    || self.scratch.pending.is_spawn_destroyed(end as u32)
                    || self.scratch.pending.entries[entry as usize].target != table
                {
                    break;
                }
                end += 1;
            }
            self.place_run(table, next..end)?;
            next = end;
        }
        Ok(())
    }

    fn place_run(&mut self, table: u32, spawns: std::ops::Range<usize>) -> Result<(), RegionError> {
        let n = spawns.len() as u32;
        self.store.write_partial(crate::world::store::ENTITIES, 0)?;
        let first = self.store.append(table, n)?;
        let handles = &self.scratch.spawned[spawns.clone()];
        let offset = self.store.tables[table as usize].columns[0].live.offset + 8 * u64::from(first);
        self.store.arena.items_mut::<Entity>(offset, n as usize).copy_from_slice(handles);
        self.store.place(handles, table, first);
        self.store.zero_rows(table, first, n);
        for (index, spawn) in spawns.enumerate() {
            let entry = self.scratch.pending.of_spawn[spawn];
            self.write_chain(entry, table, first + index as u32)?;
        }
        self.store.mark_all_changed(table, self.parity, first, n)
    }

    fn sweep(&mut self, removed: Vec<(u32, u32)>, released: &mut Vec<Entity>) -> Result<(), RegionError> {
        let mut tables = Vec::new();
        self.scratch.pending.destroyed_tables(&mut tables);
        tables.extend(removed.iter().map(|(table, _)| *table));
        tables.sort_unstable();
        tables.dedup();
        let mut rows = Vec::new();
        for table in tables {
            self.scratch.pending.destroyed_rows(table, &mut rows);
            released.extend(rows.iter().map(|row| self.store.handle(table, *row)));
            rows.extend(removed.iter().filter(|(other, _)| *other == table).map(|(_, row)| *row));
            rows.sort_unstable_by(|a, b| b.cmp(a));
            rows.dedup();
            self.store.sweep(table, &rows)?;
        }
        Ok(())
    }
}
