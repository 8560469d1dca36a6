//! Room: what a world may hold, and how memory is found for it.
//!
//! The rule of admission: every column is held once; a column that is *expected* to be written (the entity map, the
//! resources, what the schedule of a simulation writes) is held twice, so that it can be written after any publication.
//! Whatever takes memory makes a *plan* on a copy of the allocator first: which extents it needs now, and whether every
//! expected column can have its other extent once the next generation is out. Only a plan that works out is put into
//! force; else nothing has changed, and the error has the numbers.
//!
//! A plan that finds memory in pieces heals it: spares that no generation names are dropped and made again, extents that
//! no generation names (building ones) slide towards the beginning, tables that are larger than their rows get exact
//! sizes. What a generation names is never moved.
#![forbid(unsafe_code)]

use crate::limits::{CHUNK_ROWS, PAGE_BYTES};
use crate::region::{Extent, ExtentPool, RegionError};
use crate::table::{Column, ColumnKind, ENTITIES, FIRST_POOL, Item, Spare, Table};

use super::Store;
use super::plan::{Ask, Cell, Effort, Other, Plan, Step, Wanted, What};

/// Bytes beside what columns need.
const SLACK_BYTES: u64 = 32 << 10;

impl Store {
    /// An extent for something that is not a column's yet.
    ///
    /// # Errors
    /// There is no such room that leaves the world able to go on; nothing has changed then.
    pub(crate) fn allocate(&mut self, bytes: u64) -> Result<Extent, RegionError> {
        self.allocate_for(Ask { extents: &[bytes], ..Ask::default() }, bytes)
    }

    /// An extent for a generation's directory. Each plan before has counted it, so it leaves less to others than they do.
    ///
    /// # Errors
    /// As for [`Store::allocate`].
    pub(in crate::world) fn allocate_directory(&mut self, bytes: u64) -> Result<Extent, RegionError> {
        self.allocate_for(Ask { extents: &[bytes], directory: true, ..Ask::default() }, bytes)
    }

    fn allocate_for(&mut self, ask: Ask<'_>, bytes: u64) -> Result<Extent, RegionError> {
        if self.is_roomy(bytes) {
            match self.region.allocate(bytes) {
                // the machine may have less room than the region
                Err(_) => self.refresh_living_pins(),
                done => return done,
            }
            while self.free_deferred() || self.give_up_oldest(1) {
                if let Ok(extent) = self.region.allocate(bytes) {
                    return Ok(extent);
                }
            }
            return self.region.allocate(bytes);
        }
        let found = self.find(ask)?;
        Ok(found[0])
    }

    /// Whether there is so much room at the end of the data that whatever is asked for now and for the next generation
    /// fits there.
    pub(crate) fn is_roomy(&self, bytes: u64) -> bool {
        let pool = self.region.pool();
        let most = pool.allocated().saturating_add(ExtentPool::rounded(bytes));
        pool.end_room() / 2 > most.saturating_add(SLACK_BYTES)
    }

    /// Moves a table to another capacity (at least its rows). Rows up to `kept` keep their bytes, in use or not.
    ///
    /// # Errors
    /// As for [`Store::allocate`].
    pub(in crate::world) fn resize_keeping(&mut self, table: u32, capacity: u32, kept: u32) -> Result<(), RegionError> {
        self.close(table);
        let shape = &self.tables[table as usize].shape;
        let bytes = shape.columns.iter().map(|(_, item)| item.extent_bytes(capacity).1);
        let bytes = bytes.fold(0, u64::saturating_add);
        let bytes_max = self.region.usage().bytes_max;
        if bytes > bytes_max {
            return Err(self.full(bytes));
        }
        self.find(Ask { grow: Some((table, capacity, kept)), narrow: self.is_roomy(bytes), ..Ask::default() }).map(drop)
    }

    /// Makes sure that expected columns have their other extents, where memory is so short that somebody could take
    /// them otherwise.
    ///
    /// # Errors
    /// There is no room for them.
    pub(crate) fn take_expected(&mut self) -> Result<(), RegionError> {
        let lacks =
            |column: &Column| column.expected && !column.spare.as_ref().is_some_and(|spare| self.reusable(spare.named));
        if self.is_roomy(0) || !self.tables.iter().flat_map(|table| &table.columns).any(lacks) {
            return Ok(());
        }
        self.find(Ask::default()).map(drop)
    }

    /// Makes a plan for `ask` and puts it into force; the extents that were asked for.
    fn find(&mut self, ask: Ask<'_>) -> Result<Vec<Extent>, RegionError> {
        let mut looked = false;
        loop {
            if let Some(plan) = self.plan(ask, Effort::PLAIN, false) {
                return self.carry_out(plan);
            }
            if !looked {
                looked = true;
                self.refresh_living_pins();
                if self.free_deferred() {
                    continue;
                }
            }
            for effort in Effort::MORE {
                if self.fixed {
                    break;
                }
                if let Some(plan) = self.plan(ask, effort, false) {
                    tracing::debug!(?effort, "memory in pieces is put together");
                    self.arrangements += 1;
                    return self.carry_out(plan);
                }
            }
            // frames to come are worth more than frames to go back to
            if !self.give_up_oldest(1) {
                break;
            }
            self.free_deferred();
        }
        let asked: u64 = match ask.grow {
            Some((table, capacity, _)) => {
                let columns = &self.tables[table as usize].columns;
                columns.iter().map(|column| ExtentPool::rounded(column.item.extent_bytes(capacity).1)).sum()
            }
            None if ask.extents.is_empty() => self.lacking_bytes(),
            None => ask.extents.iter().map(|bytes| ExtentPool::rounded(*bytes)).sum(),
        };
        Err(self.full(asked))
    }

    /// Bytes of the extents that columns which are expected to be written lack.
    pub(in crate::world) fn lacking_bytes(&self) -> u64 {
        let lacks = |column: &&Column| {
            column.expected && !column.spare.as_ref().is_some_and(|spare| self.is_free_later(spare.named))
        };
        let bytes = |table: &Table, column: &Column| ExtentPool::rounded(column.item.extent_bytes(table.capacity).1);
        let of_table =
            |table: &Table| -> u64 { table.columns.iter().filter(lacks).map(|column| bytes(table, column)).sum() };
        self.tables.iter().map(of_table).sum()
    }

    /// What is said where there is no room for so many bytes more.
    pub(crate) fn full(&self, asked: u64) -> RegionError {
        let usage = self.region.usage();
        let available = usage.bytes_max.saturating_sub(usage.allocated + PAGE_BYTES);
        if let Some((process, generation)) = self.region.oldest_reader().filter(|_| self.is_held_by_readers()) {
            let bytes_max = usage.bytes_max;
            return RegionError::Held { requested: asked, available, bytes_max, process, generation };
        }
        let columns = self.tables.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
        let held: u64 = columns
            .map(|(table, column)| {
                let bytes = ExtentPool::rounded(column.item.extent_bytes(table.capacity).1);
                if column.expected || column.spare.is_some() { 2 * bytes } else { bytes }
            })
            .sum();
        // a growing table holds its old extents until the next generation, and an expected one grows twice
        let needed = held.saturating_add(asked.saturating_mul(2)).saturating_add(self.directory_bytes() + (1 << 16));
        let needed = needed.max(usage.bytes_max + PAGE_BYTES).checked_next_multiple_of(1 << 16).unwrap_or(u64::MAX);
        RegionError::Full { requested: asked, available, bytes_max: usage.bytes_max, needed }
    }

    /// Whether a reader holds something that would be free without it.
    pub(in crate::world) fn is_held_by_readers(&self) -> bool {
        let pinned = |(first, last): (u64, u64)| self.pins().iter().any(|pin| (first..=last).contains(pin));
        let spares = self.tables.iter().flat_map(|table| &table.columns).filter_map(|column| column.spare.as_ref());
        self.deferred_free().iter().any(|(_, named)| pinned(*named)) || spares.map(|spare| spare.named).any(pinned)
    }

    /// Directories that there is room for before the next publication: two of them take turns.
    pub(in crate::world) fn directories_wanted(&self) -> usize {
        if self.published == 0 { 2 } else { 1 }
    }

    /// Bytes of a generation's directory at most.
    pub(in crate::world) fn directory_bytes(&self) -> u64 {
        let words: usize = self.tables.iter().map(|table| 2 + table.shape.components.len() + table.columns.len()).sum();
        (64 * (words as u64 + 2)).next_multiple_of(PAGE_BYTES)
    }

    /// Whether the next generation can be published such that every expected column can be written after it, with all
    /// that readers and kept generations hold; memory in pieces is put together for it.
    pub(in crate::world) fn secure_next(&mut self) -> Result<bool, RegionError> {
        if self.is_roomy(0) || !self.lacks_after() {
            return Ok(true);
        }
        if self.plan(Ask::default(), Effort::PLAIN, true).is_some() {
            return Ok(true);
        }
        for effort in Effort::MORE {
            if let Some(plan) = self.plan(Ask::default(), effort, true) {
                self.arrangements += 1;
                return self.carry_out(plan).map(|_| true);
            }
        }
        Ok(false)
    }

    /// Whether an expected column that is being written has no extent to be written after the next publication.
    fn lacks_after(&self) -> bool {
        let lacks = |column: &Column| {
            column.expected
                && column.building
                && column.spare.as_ref().is_none_or(|spare| !self.is_free_later(spare.named))
        };
        self.tables.iter().flat_map(|table| &table.columns).any(lacks)
    }

    /// A plan, if there is one with this effort. `strict`: what readers and kept generations hold stays held.
    fn plan(&self, ask: Ask<'_>, effort: Effort, strict: bool) -> Option<Plan> {
        let later = |named: (u64, u64)| !strict || self.is_free_later(named);
        let mut cells = Vec::new();
        for (t, table) in self.tables.iter().enumerate() {
            if ask.narrow && ask.grow.is_some_and(|(growing, ..)| growing != t as u32) {
                continue;
            }
            for (c, column) in table.columns.iter().enumerate() {
                let other = match &column.spare {
                    None => Other::None,
                    Some(spare) if self.reusable(spare.named) => Other::Free(spare.extent),
                    Some(spare) if later(spare.named) => Other::Later(spare.extent),
                    Some(spare) => Other::Held(spare.extent),
                };
                cells.push(Cell {
                    table: t as u32,
                    column: c,
                    item: column.item,
                    bytes: column.item.extent_bytes(table.capacity).1,
                    live: column.live,
                    building: column.building,
                    expected: column.expected,
                    other,
                    dropped: false,
                });
            }
        }
        let mut plan = Plan {
            pool: self.region.pool().clone(),
            cells,
            steps: Vec::new(),
            extents: Vec::new(),
            spares: Vec::new(),
            later: self.deferred_free().iter().filter(|(_, named)| later(*named)).map(|(extent, _)| *extent).collect(),
            fresh: Vec::new(),
            kept: ask.grow.map(|(table, _, kept)| (table, kept)),
        };
        let growing = ask.grow.map(|(table, ..)| table);
        if effort.drop_spares {
            plan.drop_spares();
        }
        if effort.slide {
            plan.slide(growing)?;
        }
        if effort.exact {
            for (table, capacity) in self.oversized(growing) {
                let wanted = plan.resize(table, capacity);
                plan.place(wanted, true)?;
            }
        }
        let mut wanted = ask.grow.map_or_else(Vec::new, |(table, capacity, _)| plan.resize(table, capacity));
        if effort.low {
            plan.place(std::mem::take(&mut wanted), true)?;
            // what grew has left gaps
            plan.slide(None)?;
        }
        plan.extents = vec![Extent { offset: 0, bytes: 0 }; ask.extents.len()];
        let asked =
            ask.extents.iter().enumerate().map(|(index, bytes)| Wanted { bytes: *bytes, what: What::Asked(index) });
        wanted.extend(asked);
        if !ask.narrow {
            wanted.extend(plan.spares_now(growing));
        }
        plan.place(wanted, false)?;
        if ask.narrow {
            return Some(plan);
        }
        let ready = self.directories_ready + usize::from(ask.directory);
        let directories = self.directories_wanted().saturating_sub(ready);
        // a little stays for tables that become small; those may take it
        let shrinks = ask.grow.is_some_and(|(table, capacity, _)| capacity < self.tables[table as usize].capacity);
        let slack = !shrinks && !ask.directory && (ask.grow.is_some() || !ask.extents.is_empty());
        plan.lasts(directories, self.directory_bytes(), if slack { SLACK_BYTES } else { 0 }).then_some(plan)
    }

    /// The least capacity for its rows, its ghosts, those that it is expected to get, and those that were promised.
    fn exact_capacity(table: &Table) -> u32 {
        let margin = if table.gains_rows { super::expected::margin_rows(table.rows) } else { 0 };
        let shown = table.rows.saturating_add(table.ghosts.rows);
        table.rows.saturating_add(margin).max(shown).max(table.promised).max(1).next_multiple_of(64)
    }

    /// Tables of rows with the least capacities that they need, where they have another one.
    pub(in crate::world) fn exact_capacities(&self) -> Vec<(u32, u32)> {
        let tables = self.tables.iter().enumerate().map(|(index, table)| (index as u32, table));
        let rows = tables.filter(|(index, _)| *index == ENTITIES || *index >= FIRST_POOL);
        let exact = rows.map(|(index, table)| (index, table.capacity, Self::exact_capacity(table)));
        exact.filter(|(_, old, exact)| old != exact).map(|(index, _, exact)| (index, exact)).collect()
    }

    /// Tables that have room for more rows than they have and than were promised, and whose memory would be free at once.
    fn oversized(&self, growing: Option<u32>) -> Vec<(u32, u32)> {
        let tables = self.tables.iter().enumerate().filter_map(|(index, table)| {
            let exact = Self::exact_capacity(table);
            let movable = table.columns.iter().all(|column| column.building) && !table.dirty.is_listed();
            let is_rows = index as u32 == ENTITIES || index as u32 >= FIRST_POOL;
            (Some(index as u32) != growing && is_rows && movable && exact + exact / 64 < table.capacity)
                .then_some((index as u32, exact))
        });
        tables.collect()
    }

    /// Puts a plan into force.
    fn carry_out(&mut self, plan: Plan) -> Result<Vec<Extent>, RegionError> {
        let Plan { pool, cells, steps, extents, spares, fresh, kept, .. } = plan;
        self.region.adopt(pool, &fresh)?;
        // the plan has freed the spares that it dropped
        for cell in cells.iter().filter(|cell| cell.dropped) {
            let column = &mut self.tables[cell.table as usize].columns[cell.column];
            if let Some(spare) = column.spare.take() {
                column.stale.set_all();
                let named = spare.named;
                if !self.reusable(named) {
                    self.hold_one(spare.extent, named);
                }
            }
        }
        for step in &steps {
            let kept = kept.filter(|(table, _)| *table == step.table).map_or(0, |(_, kept)| kept);
            self.carry_out_step(step, kept);
        }
        for step in steps {
            if let Some(capacity) = step.capacity {
                self.tables[step.table as usize].capacity = capacity;
                self.dirty = true;
            }
        }
        for (cell, extent) in spares {
            let column = &mut self.tables[cells[cell].table as usize].columns[cells[cell].column];
            let old = column.spare.replace(Spare { extent, named: (0, 0) });
            column.stale.set_all();
            if let Some(old) = old {
                self.hold_one(old.extent, old.named);
            }
        }
        Ok(extents)
    }

    /// The table's capacity stays until all its columns have their new extents.
    fn carry_out_step(&mut self, &Step { table, column, to, capacity }: &Step, kept: u32) {
        let t = table as usize;
        let (old_capacity, rows) =
            (self.tables[t].capacity, self.tables[t].rows.max(kept).max(self.tables[t].promised));
        let named = self.named_of(&self.tables[t].columns[column]);
        let Column { kind, item, live: from, building, .. } = self.tables[t].columns[column];
        let Some(capacity) = capacity else {
            self.arena.copy(from.offset, to.offset, from.bytes.min(to.bytes));
            self.tables[t].columns[column].live = to;
            return;
        };
        let rows = rows.min(old_capacity).min(capacity);
        let used = match item {
            Item::Bytes(bytes) => u64::from(rows) * u64::from(bytes),
            Item::Bit => u64::from(rows).div_ceil(64) * 8,
        };
        // source and target may overlap: stamps first, as rows may be moved over them
        let (stamps_from, (stamps_to, total)) = (item.stamps_offset(old_capacity), item.extent_bytes(capacity));
        let chunks = (old_capacity.min(capacity) as usize).div_ceil(CHUNK_ROWS);
        let stamps: Vec<u64> = self.arena.items(from.offset + stamps_from, chunks).to_vec();
        self.arena.copy(from.offset, to.offset, used);
        let clear_from = if item == Item::Bit || kind == ColumnKind::Resources { used } else { stamps_to };
        self.arena.bytes_mut(to.offset + clear_from, total - clear_from).fill(0);
        self.arena.items_mut::<u64>(to.offset + stamps_to, chunks).copy_from_slice(&stamps);
        let column = &mut self.tables[t].columns[column];
        column.live = to;
        column.building = true;
        column.stale.set_all();
        if !building {
            self.hold_one(from, named);
        }
    }
}
