//! Carrying out a batch's structural changes: moves, then new entities, then the sweep.
//!
//! Moves are grouped by pair of tables, in the order in which the pairs first appear; new entities append to their
//! tables in canonical order; removed rows are swept last, highest first, each replaced by its table's last row. So
//! all rows stay valid until the sweep, and row order depends on the patches alone.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::layout::Storage;
use crate::region::RegionError;
use crate::table::Location;
use crate::world::store::Store;
use crate::world::store::scatter::Values;

use super::apply::Commit;
use super::pending::{Change, NONE, Node};

/// Lists of a batch's structural changes, kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Rows that were left: table and row.
    removed: Vec<(u32, u32)>,
    /// Handles whose lives end.
    released: Vec<Entity>,
    /// Entries that move, by pair of tables; `pairs_used` of them.
    pairs: Vec<Pair>,
    pairs_used: usize,
    staying: Vec<u32>,
    chain: Vec<Node>,
    /// Where the single values of a run of entries are kept, and the rows they go to.
    kept: Vec<u32>,
    places: Vec<u32>,
    tables: Vec<u32>,
    rows: Vec<u32>,
}

/// Entries that move from one table to another.
#[derive(Debug, Default)]
struct Pair {
    from: u32,
    to: u32,
    rows: Vec<u32>,
    entries: Vec<u32>,
}

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
    store.scatter(table, column, &[row], Values { bytes: value, stride: value.len(), at: 0 }, None);
    Ok(())
}

impl Commit<'_> {
    /// Carries out everything that is pending.
    pub(super) fn finish(&mut self) -> Result<(), RegionError> {
        let mut lists = std::mem::take(&mut self.scratch.structural);
        let done = self.finish_with(&mut lists);
        self.scratch.structural = lists;
        done
    }

    fn finish_with(&mut self, lists: &mut Lists) -> Result<(), RegionError> {
        lists.removed.clear();
        lists.released.clear();
        if !self.scratch.pending.entries.is_empty() {
            self.move_pending(lists)?;
            self.place_spawns(lists)?;
        }
        // refused spawns took a handle each
        for (spawn, entry) in self.scratch.pending.of_spawn.iter().enumerate() {
            if *entry == NONE {
                lists.released.push(self.scratch.spawned[spawn]);
            }
        }
        self.sweep(lists)?;
        self.store.release_handles(&lists.released)
    }

    fn move_pending(&mut self, lists: &mut Lists) -> Result<(), RegionError> {
        lists.pairs_used = 0;
        lists.staying.clear();
        let mut last = 0;
        for (index, entry) in self.scratch.pending.entries.iter().enumerate() {
            if entry.table == NONE || self.scratch.pending.is_despawned(entry.table, entry.row) {
                continue;
            }
            if entry.table == entry.target {
                lists.staying.push(index as u32);
                continue;
            }
            let is_it = |pair: &Pair| (pair.from, pair.to) == (entry.table, entry.target);
            let used = &lists.pairs[..lists.pairs_used];
            if !used.get(last).is_some_and(is_it) {
                last = used.iter().position(is_it).unwrap_or(lists.pairs_used);
                if last == lists.pairs_used {
                    if last == lists.pairs.len() {
                        lists.pairs.push(Pair::default());
                    }
                    let pair = &mut lists.pairs[last];
                    (pair.from, pair.to) = (entry.table, entry.target);
                    pair.rows.clear();
                    pair.entries.clear();
                    lists.pairs_used += 1;
                }
            }
            lists.pairs[last].rows.push(entry.row);
            lists.pairs[last].entries.push(index as u32);
        }
        for entry in &lists.staying {
            let pending = self.scratch.pending.entries[*entry as usize];
            self.write_chain(*entry, pending.table, pending.row, &mut lists.chain)?;
        }
        for pair in &lists.pairs[..lists.pairs_used] {
            let first = self.store.move_rows(pair.from, &pair.rows, pair.to)?;
            self.write_chains(&pair.entries, pair.to, first, (&mut lists.kept, &mut lists.places), &mut lists.chain)?;
            lists.removed.extend(pair.rows.iter().map(|row| (pair.from, *row)));
        }
        Ok(())
    }

    /// The component of which all entries have one value and nothing else; where the values are kept.
    fn single_component(&self, entries: &[u32], kept: &mut Vec<u32>) -> Option<u16> {
        kept.clear();
        let mut component = None;
        for entry in entries {
            let mut chain = self.scratch.pending.chain(*entry);
            let (node, None) = (chain.next()?, chain.next()) else { return None };
            let Change::Value(at) = node.change else { return None };
            if component.is_some_and(|component| component != node.component) {
                return None;
            }
            component = Some(node.component);
            kept.push(u32::try_from(at).ok()?);
        }
        component.filter(|component| self.store.storage(*component) != Storage::Toggle)
    }

    /// Writes the chains of entries that stand in consecutive rows: where all are one value of one component, column
    /// by column.
    fn write_chains(
        &mut self,
        entries: &[u32],
        table: u32,
        first: u32,
        (kept, places): (&mut Vec<u32>, &mut Vec<u32>),
        chain: &mut Vec<Node>,
    ) -> Result<(), RegionError> {
        if let Some(component) = self.single_component(entries, kept) {
            if self.store.tables[table as usize].shape.slot(component).is_none() {
                return Ok(());
            }
            places.clear();
            places.extend(first..first + entries.len() as u32);
            return self.set_kept(table, component, places, kept);
        }
        for (index, entry) in entries.iter().enumerate() {
            self.write_chain(*entry, table, first + index as u32, chain)?;
        }
        Ok(())
    }

    /// Writes an entry's chain to its row.
    fn write_chain(&mut self, entry: u32, table: u32, row: u32, chain: &mut Vec<Node>) -> Result<(), RegionError> {
        chain.clear();
        chain.extend(self.scratch.pending.chain(entry));
        for node in chain.iter() {
            let component = node.component;
            let toggle = self.store.storage(component) == Storage::Toggle;
            if toggle && !matches!(node.change, Change::Field(..) | Change::Joined(..)) {
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
                Change::Joined(field, at, system) => {
                    self.join_kept(system, (table, row), component, field, at)?;
                    continue;
                }
                Change::Removed => continue,
            };
            let bytes = self.sizes.value(component, field).expect("records were checked against the sizes");
            let value = self.scratch.pending.value(at..at + bytes);
            write_value(self.store, table, row, component, field, value)?;
            self.store.mark_changed(table, component, self.parity, row, 1)?;
        }
        Ok(())
    }

    fn place_spawns(&mut self, lists: &mut Lists) -> Result<(), RegionError> {
        // consecutive new entities of one table are placed together
        let spawns = self.scratch.pending.of_spawn.len();
        let mut next = 0;
        while next < spawns {
            let entry = self.scratch.pending.of_spawn[next];
            if entry == NONE {
                next += 1;
                continue;
            }
            if self.scratch.pending.is_spawn_despawned(next as u32) {
                lists.released.push(self.scratch.spawned[next]);
                next += 1;
                continue;
            }
            let table = self.scratch.pending.entries[entry as usize].target;
            let mut end = next + 1;
            while end < spawns {
                let entry = self.scratch.pending.of_spawn[end];
                if entry == NONE
                    || self.scratch.pending.is_spawn_despawned(end as u32)
                    || self.scratch.pending.entries[entry as usize].target != table
                {
                    break;
                }
                end += 1;
            }
            self.place_run(table, next..end, (&mut lists.kept, &mut lists.places), &mut lists.chain)?;
            next = end;
        }
        Ok(())
    }

    /// Whether new entities have values of the same table components in the same order and nothing else. Then `chain`
    /// is that of the first, and `kept` says where the values are, component by component.
    fn same_components(&self, spawns: std::ops::Range<usize>, chain: &mut Vec<Node>, kept: &mut Vec<u32>) -> bool {
        let pending = &self.scratch.pending;
        let n = spawns.len();
        chain.clear();
        chain.extend(pending.chain(pending.of_spawn[spawns.start]));
        if chain.iter().any(|node| self.store.storage(node.component) == Storage::Toggle) {
            return false;
        }
        kept.clear();
        kept.resize(chain.len() * n, 0);
        for (index, spawn) in spawns.enumerate() {
            let mut others = pending.chain(pending.of_spawn[spawn]);
            for (place, node) in chain.iter().enumerate() {
                match others.next() {
                    Some(Node { component, change: Change::Value(at), .. }) if component == node.component => {
                        let Ok(at) = u32::try_from(at) else { return false };
                        kept[place * n + index] = at;
                    }
                    _ => return false,
                }
            }
            if others.next().is_some() {
                return false;
            }
        }
        true
    }

    fn place_run(
        &mut self,
        table: u32,
        spawns: std::ops::Range<usize>,
        (kept, places): (&mut Vec<u32>, &mut Vec<u32>),
        chain: &mut Vec<Node>,
    ) -> Result<(), RegionError> {
        let n = spawns.len() as u32;
        self.store.write_partial(crate::table::ENTITIES, 0)?;
        let first = self.store.append(table, n)?;
        let handles = &self.scratch.spawned[spawns.clone()];
        let offset = self.store.tables[table as usize].columns[0].live.offset + 8 * u64::from(first);
        self.store.arena.items_mut::<Entity>(offset, n as usize).copy_from_slice(handles);
        self.store.place(handles, table, first);
        self.store.zero_rows(table, first, n);
        if self.same_components(spawns.clone(), chain, kept) {
            places.clear();
            places.extend(first..first + n);
            for (node, kept) in chain.iter().zip(kept.chunks_exact(n as usize)) {
                self.set_kept(table, node.component, places, kept)?;
            }
        } else {
            for (index, spawn) in spawns.enumerate() {
                let entry = self.scratch.pending.of_spawn[spawn];
                self.write_chain(entry, table, first + index as u32, chain)?;
            }
        }
        self.store.mark_all_changed(table, self.parity, first, n)
    }

    fn sweep(&mut self, lists: &mut Lists) -> Result<(), RegionError> {
        let Lists { removed, released, tables, rows, .. } = lists;
        self.scratch.pending.despawned_tables(tables);
        tables.extend(removed.iter().map(|(table, _)| *table));
        tables.sort_unstable();
        tables.dedup();
        for table in tables.iter().copied() {
            self.scratch.pending.despawned_rows(table, rows);
            released.extend(rows.iter().map(|row| self.store.handle(table, *row)));
            if self.scratch.abroad.open {
                for row in rows.iter() {
                    let id = self.id_at(Location { table, row: *row });
                    id.into_iter().for_each(|id| self.scratch.abroad.died(id));
                }
            }
            rows.extend(removed.iter().filter(|(other, _)| *other == table).map(|(_, row)| *row));
            rows.sort_unstable_by(|a, b| b.cmp(a));
            rows.dedup();
            self.store.sweep(table, rows)?;
        }
        Ok(())
    }
}
