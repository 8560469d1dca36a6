//! Rows coming, going and moving: what commits and direct changes are made of.
//!
//! All functions keep the entity map and the handle columns in step, mark what they touch for catch-ups, stamps and
//! changed bits, and leave the store as it was when they fail for want of memory.
#![forbid(unsafe_code)]

use crate::table::{Column, ColumnKind, ENTITIES, Item, LOCATION_FREE, Location, Shape};
use std::sync::Arc;

use crate::Entity;
use crate::limits::ENTITIES_MAX;
use crate::region::RegionError;

use super::Store;

/// Copies rows of `bytes` each from `from` (by index) to consecutive places of `to`.
pub(in crate::world) fn gather(bytes: usize, from: &[u8], rows: &[u32], to: &mut [u8]) {
    fn typed<const N: usize>(from: &[u8], rows: &[u32], to: &mut [u8]) {
        let from: &[[u8; N]] = bytemuck::cast_slice(from);
        let to: &mut [[u8; N]] = bytemuck::cast_slice_mut(to);
        for (to, row) in to.iter_mut().zip(rows) {
            *to = from[*row as usize];
        }
    }
    match bytes {
        1 => typed::<1>(from, rows, to),
        2 => typed::<2>(from, rows, to),
        4 => typed::<4>(from, rows, to),
        8 => typed::<8>(from, rows, to),
        12 => typed::<12>(from, rows, to),
        16 => typed::<16>(from, rows, to),
        _ => {
            for (to, row) in to.chunks_exact_mut(bytes).zip(rows) {
                let at = *row as usize * bytes;
                to.copy_from_slice(&from[at..at + bytes]);
            }
        }
    }
}

/// Copies rows of `bytes` each, in order, from places of a column to other places of it.
fn move_within(bytes: usize, column: &mut [u8], from: &[u32], to: &[u32]) {
    fn typed<const N: usize>(column: &mut [u8], from: &[u32], to: &[u32]) {
        let column: &mut [[u8; N]] = bytemuck::cast_slice_mut(column);
        for (from, to) in from.iter().zip(to) {
            column[*to as usize] = column[*from as usize];
        }
    }
    match bytes {
        1 => typed::<1>(column, from, to),
        2 => typed::<2>(column, from, to),
        4 => typed::<4>(column, from, to),
        8 => typed::<8>(column, from, to),
        12 => typed::<12>(column, from, to),
        16 => typed::<16>(column, from, to),
        _ => {
            for (from, to) in from.iter().zip(to) {
                let from = *from as usize * bytes;
                column.copy_within(from..from + bytes, *to as usize * bytes);
            }
        }
    }
}

/// Which row's content ends up in the place of each removed row, when they are removed one by one, highest first, and
/// each is replaced by the last row of the moment. `removed` descends. A row that was the last one itself is replaced
/// by nothing; what its entry holds means nothing.
fn replacements(rows: u32, removed: &[u32], sources: &mut Vec<u32>) {
    sources.clear();
    let mut last = rows;
    // the next removed row that `last` can come by
    let mut filled = 0;
    for (index, row) in removed.iter().enumerate() {
        last -= 1;
        while filled < index && removed[filled] > last {
            filled += 1;
        }
        let moved_here_before = filled < index && removed[filled] == last;
        sources.push(if *row != last && moved_here_before { sources[filled] } else { last });
    }
}

impl Store {
    /// Offset of a column's first row and bytes of its rows in use (of its room, with `all`).
    pub(super) fn span(&self, table: u32, column: usize, all: bool) -> (u64, u64) {
        let t = &self.tables[table as usize];
        let rows = u64::from(if all { t.capacity } else { t.rows });
        let bytes = match t.columns[column].item {
            Item::Bytes(bytes) => rows * u64::from(bytes),
            Item::Bit => rows.div_ceil(64) * 8,
        };
        (t.columns[column].live.offset, bytes)
    }

    /// A byte column's rows in use.
    pub(crate) fn column_bytes(&self, table: u32, column: usize) -> &[u8] {
        let (offset, bytes) = self.span(table, column, false);
        self.arena.bytes(offset, bytes)
    }

    /// A (building) byte column's rows in use.
    pub(crate) fn column_bytes_mut(&mut self, table: u32, column: usize) -> &mut [u8] {
        let (offset, bytes) = self.span(table, column, false);
        self.arena.bytes_mut(offset, bytes)
    }

    /// Appends `n` rows to a table; their bytes are whatever was there, their bits zero. Returns the first.
    pub(crate) fn append(&mut self, table: u32, n: u32) -> Result<u32, RegionError> {
        let t = table as usize;
        let first = self.tables[t].rows;
        self.reserve(table, u64::from(first) + u64::from(n))?;
        for c in 0..self.tables[t].columns.len() {
            self.write_partial(table, c)?;
        }
        self.tables[t].rows = first + n;
        for c in 0..self.tables[t].columns.len() {
            self.mark_dirty(table, c, first, n);
        }
        Ok(first)
    }

    /// Zeroes the values of all toggles but those that new rows were `given`: the others may never get one, and what stood
    /// in that memory before goes to no reader and into no file.
    pub(crate) fn zero_toggles(&mut self, table: u32, start: u32, len: u32, given: &[u16]) {
        if self.tables[table as usize].shape.is_plain() {
            return;
        }
        let shape = Arc::clone(&self.tables[table as usize].shape);
        for slot in shape.slots.iter().filter(|slot| slot.presence.is_some() && !given.contains(&slot.component)) {
            for c in slot.first..slot.first + slot.fields {
                self.zero_column(table, usize::from(c), start, len);
            }
        }
    }

    fn zero_column(&mut self, table: u32, column: usize, start: u32, len: u32) {
        if let Item::Bytes(bytes) = self.tables[table as usize].columns[column].item {
            let bytes = u64::from(bytes);
            let (offset, _) = self.span(table, column, false);
            self.arena.bytes_mut(offset + u64::from(start) * bytes, u64::from(len) * bytes).fill(0);
        }
    }

    /// Fills rows of every field column with zeros.
    pub(crate) fn zero_rows(&mut self, table: u32, start: u32, len: u32) {
        for c in 1..self.tables[table as usize].columns.len() {
            self.zero_column(table, c, start, len);
        }
    }

    /// Makes every column of a table and of the entity map writable: what follows cannot fail for want of memory.
    pub(crate) fn secure_table(&mut self, table: u32) -> Result<(), RegionError> {
        for (table, columns) in [(ENTITIES, 2), (table, self.tables[table as usize].columns.len())] {
            for c in 0..columns {
                self.write_partial(table, c)?;
            }
        }
        Ok(())
    }

    /// The same for the columns of one component of a table that has them.
    pub(crate) fn secure_component(&mut self, table: u32, component: u16) -> Result<(), RegionError> {
        let slot = *self.tables[table as usize].shape.slot(component).expect("the caller looked the component up");
        let fields = slot.first..slot.first + slot.fields;
        let changed = slot.changed.into_iter().flat_map(|first| [first, first + 1]);
        for c in fields.chain(slot.presence).chain(changed) {
            self.write_partial(table, usize::from(c))?;
        }
        Ok(())
    }

    /// Marks rows of a tracked component as written in the current frame (`parity`), and makes room for the bits.
    pub(crate) fn mark_changed(
        &mut self,
        table: u32,
        component: u16,
        parity: u8,
        start: u32,
        len: u32,
    ) -> Result<(), RegionError> {
        let Some(changed) = self.tables[table as usize].shape.slot(component).and_then(|slot| slot.changed) else {
            return Ok(());
        };
        let column = usize::from(changed) + usize::from(parity);
        self.write_partial(table, column)?;
        self.set_bits(table, column, start, len, true);
        self.mark_dirty(table, column, start, len);
        Ok(())
    }

    /// Marks rows of every tracked component that they have.
    pub(crate) fn mark_all_changed(&mut self, table: u32, parity: u8, start: u32, len: u32) -> Result<(), RegionError> {
        let shape = Arc::clone(&self.tables[table as usize].shape);
        for slot in shape.slots.iter().filter(|slot| slot.changed.is_some()) {
            match slot.presence {
                None => self.mark_changed(table, slot.component, parity, start, len)?,
                Some(presence) => {
                    for row in start..start + len {
                        if self.bit(table, usize::from(presence), row) {
                            self.mark_changed(table, slot.component, parity, row, 1)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Switches a toggle off in consecutive rows of a table that has its columns: an absent component is unchanged,
    /// too.
    pub(crate) fn clear_toggle(&mut self, table: u32, component: u16, start: u32, len: u32) -> Result<(), RegionError> {
        let slot = *self.tables[table as usize].shape.slot(component).expect("the caller looked the component up");
        let presence = slot.presence.expect("a toggle has a presence column");
        self.secure_component(table, component)?;
        for column in [Some(presence), slot.changed, slot.changed.map(|first| first + 1)].into_iter().flatten() {
            let column = usize::from(column);
            self.set_bits(table, column, start, len, false);
            self.mark_dirty(table, column, start, len);
        }
        Ok(())
    }

    /// Takes `n` handles, lowest free slots first.
    pub(crate) fn take_handles(&mut self, n: u32, out: &mut Vec<Entity>) -> Result<(), RegionError> {
        let reused = (self.free_slots.len() as u64).min(u64::from(n)) as u32;
        let fresh = n - reused;
        let slots = self.tables[ENTITIES as usize].rows;
        if u64::from(slots) + u64::from(fresh) > u64::from(ENTITIES_MAX) {
            return Err(RegionError::TooLarge {
                what: "entities",
                asked: u64::from(slots) + u64::from(fresh),
                limit: u64::from(ENTITIES_MAX),
            });
        }
        if fresh > 0 {
            let first = self.append(ENTITIES, fresh)?;
            let (offset, _) = self.span(ENTITIES, 1, false);
            self.arena.items_mut::<u32>(offset + 4 * u64::from(first), fresh as usize).fill(0);
            let (offset, _) = self.span(ENTITIES, 0, false);
            self.arena.items_mut::<u64>(offset + 8 * u64::from(first), fresh as usize).fill(LOCATION_FREE);
        }
        if reused > 0 {
            self.write_partial(ENTITIES, 0)?;
        }
        let (offset, _) = self.span(ENTITIES, 1, false);
        let generations = self.arena.items::<u32>(offset, slots as usize);
        let take = |slot: u32| out.push(Entity::from_parts(slot, generations[slot as usize]));
        self.free_slots.take_lowest(reused as usize, take);
        // fresh slots come after every reused one, so this is the order "lowest free index first"
        out.extend((slots..slots + fresh).map(|slot| Entity::from_parts(slot, 0)));
        Ok(())
    }

    /// Says where entities are. The map is building.
    pub(crate) fn place(&mut self, handles: &[Entity], table: u32, first: u32) {
        let slots = self.tables[ENTITIES as usize].rows as usize;
        let (offset, _) = self.span(ENTITIES, 0, false);
        let map = self.arena.items_mut::<u64>(offset, slots);
        for (index, handle) in handles.iter().enumerate() {
            map[handle.index() as usize] = Location { table, row: first + index as u32 }.to_bits();
        }
        let mut run: Option<(u32, u32)> = None;
        for slot in handles.iter().map(|handle| handle.index()) {
            match &mut run {
                Some((start, len)) if *start + *len == slot => *len += 1,
                _ => {
                    if let Some((start, len)) = run.replace((slot, 1)) {
                        self.mark_dirty(ENTITIES, 0, start, len);
                    }
                }
            }
        }
        if let Some((start, len)) = run {
            self.mark_dirty(ENTITIES, 0, start, len);
        }
    }

    /// Points the entity map to rows whose handles stand in their table. The map is building.
    pub(in crate::world) fn place_rows(&mut self, table: u32, first: u32, n: u32) {
        let mut handles = std::mem::take(&mut self.scratch.handles);
        handles.clear();
        let (offset, _) = self.span(table, 0, false);
        handles.extend_from_slice(self.arena.items::<Entity>(offset + 8 * u64::from(first), n as usize));
        self.place(&handles, table, first);
        self.scratch.handles = handles;
    }

    /// The same for rows here and there.
    fn place_scattered(&mut self, table: u32, rows: &[u32]) {
        let mut slots = std::mem::take(&mut self.scratch.slots);
        slots.clear();
        let total = self.tables[table as usize].rows as usize;
        let (handles, _) = self.span(table, 0, false);
        slots.extend({
            let handles = self.arena.items::<Entity>(handles, total);
            rows.iter().map(|row| handles[*row as usize].index())
        });
        let (offset, _) = self.span(ENTITIES, 0, false);
        let map = self.arena.items_mut::<u64>(offset, self.tables[ENTITIES as usize].rows as usize);
        for (slot, row) in slots.iter().zip(rows) {
            map[*slot as usize] = Location { table, row: *row }.to_bits();
        }
        self.mark_dirty_rows(ENTITIES, 0, &slots);
        self.scratch.slots = slots;
    }

    /// Gives a table the columns of a toggle component, absent in every row.
    pub(crate) fn attach_toggle(&mut self, table: u32, component: u16) -> Result<(), RegionError> {
        let t = table as usize;
        if self.tables[t].shape.slot(component).is_some() {
            return Ok(());
        }
        self.close(table);
        let mut components = self.tables[t].shape.components.to_vec();
        components.insert(components.partition_point(|c| *c < component), component);
        let shape = Shape::new(&self.layout, &components);
        let capacity = self.tables[t].capacity;
        let mut fresh = Vec::new();
        for &(kind, item) in &shape.columns {
            if self.tables[t].columns.iter().any(|column| column.kind == kind) {
                continue;
            }
            let (_, total) = item.extent_bytes(capacity);
            match self.allocate(total) {
                Ok(extent) => {
                    self.arena.bytes_mut(extent.offset, total).fill(0);
                    fresh.push(Column::new(kind, item, extent));
                }
                Err(error) => {
                    fresh.iter().for_each(|column: &Column| self.region.free(column.live));
                    return Err(error);
                }
            }
        }
        let table = &mut self.tables[t];
        let mut columns: Vec<Column> = table.columns.drain(..).chain(fresh).collect();
        columns.sort_by_key(|column| shape.columns.iter().position(|(kind, _)| *kind == column.kind));
        table.columns = columns;
        table.shape = Arc::new(shape);
        self.shapes = crate::table::next_shapes();
        self.mark_expected_table(t as u32);
        let table = &self.tables[t];
        let rows = table.rows;
        for c in 0..self.tables[t].columns.len() {
            if self.tables[t].columns[c].building {
                self.mark_dirty(t as u32, c, 0, rows);
            }
        }
        self.dirty = true;
        Ok(())
    }

    /// Appends copies of rows of `from` to `to`, with every value and bit that both tables have, and points the
    /// entity map there. The rows left behind are the caller's to sweep. Returns the first new row.
    pub(crate) fn move_rows(&mut self, from: u32, rows: &[u32], to: u32) -> Result<u32, RegionError> {
        self.attach_toggles_in_use(from, rows, to)?;
        let from_shape = Arc::clone(&self.tables[from as usize].shape);
        self.write_partial(ENTITIES, 0)?;
        let n = rows.len() as u32;
        let first = self.append(to, n)?;
        let contiguous = rows.windows(2).all(|pair| pair[1] == pair[0] + 1);
        for c in 0..self.tables[to as usize].columns.len() {
            let (kind, item) = self.tables[to as usize].shape.columns[c];
            let source = from_shape.columns.iter().position(|(other, _)| *other == kind);
            match (source, item) {
                (Some(source), Item::Bytes(bytes)) => {
                    let (from_offset, from_bytes) = self.span(from, source, false);
                    let (to_offset, _) = self.span(to, c, false);
                    let at = to_offset + u64::from(first) * u64::from(bytes);
                    let total = u64::from(n) * u64::from(bytes);
                    if let [row] = rows {
                        self.arena.copy_value(from_offset + u64::from(*row) * u64::from(bytes), at, total);
                    } else if contiguous {
                        let start = rows.first().map_or(0, |row| u64::from(*row) * u64::from(bytes));
                        self.arena.copy(from_offset + start, at, total);
                    } else {
                        let (source, target) = self.arena.disjoint(from_offset, from_bytes, at, total);
                        gather(bytes as usize, source, rows, target);
                    }
                }
                (Some(source), Item::Bit) => {
                    for (index, row) in rows.iter().enumerate() {
                        let bit = self.bit(from, source, *row);
                        self.set_bit(to, c, first + index as u32, bit);
                    }
                }
                (None, Item::Bytes(bytes)) => {
                    let (offset, _) = self.span(to, c, false);
                    let at = offset + u64::from(first) * u64::from(bytes);
                    self.arena.bytes_mut(at, u64::from(n) * u64::from(bytes)).fill(0);
                }
                (None, Item::Bit) => self.set_bits(to, c, first, n, false),
            }
        }
        self.place_rows(to, first, n);
        Ok(first)
    }

    /// Gives a table the columns of all toggles that another one has columns for.
    pub(crate) fn attach_toggles_of(&mut self, from: u32, to: u32) -> Result<(), RegionError> {
        let shape = Arc::clone(&self.tables[from as usize].shape);
        let mut toggles = shape.slots.iter().filter(|slot| slot.presence.is_some());
        toggles.try_for_each(|slot| self.attach_toggle(to, slot.component))
    }

    /// The same for those that are on for some of these rows: others need not come along.
    pub(crate) fn attach_toggles_in_use(&mut self, from: u32, rows: &[u32], to: u32) -> Result<(), RegionError> {
        let shape = Arc::clone(&self.tables[from as usize].shape);
        for slot in &shape.slots {
            if let Some(presence) = slot.presence
                && self.tables[to as usize].shape.slot(slot.component).is_none()
                && rows.iter().any(|row| self.bit(from, usize::from(presence), *row))
            {
                self.attach_toggle(to, slot.component)?;
            }
        }
        Ok(())
    }

    /// The new columns that two tables need when `to`, which is empty, takes all rows of `from`. They are the caller's
    /// until [`Self::relabel`].
    pub(crate) fn columns_to_relabel(&mut self, from: u32, to: u32) -> Result<Vec<Column>, RegionError> {
        let (f, t) = (from as usize, to as usize);
        let (capacity, small) = (self.tables[f].capacity, self.tables[t].capacity);
        // they keep their room until it is done
        (self.tables[f].promised, self.tables[t].promised) = (capacity, small);
        self.promises.extend([from, to]);
        let (here, there) = (Arc::clone(&self.tables[f].shape), Arc::clone(&self.tables[t].shape));
        let lacks = |shape: &Shape, kind| !shape.columns.iter().any(|(other, _)| *other == kind);
        let added = there.columns.iter().filter(|(kind, _)| lacks(&here, *kind)).map(|column| (column, capacity));
        let left = here.columns.iter().filter(|(kind, _)| lacks(&there, *kind)).map(|column| (column, small));
        let mut fresh: Vec<Column> = Vec::new();
        for (&(kind, item), capacity) in added.chain(left) {
            let (_, total) = item.extent_bytes(capacity);
            match self.allocate(total) {
                Ok(extent) => {
                    self.arena.bytes_mut(extent.offset, total).fill(0);
                    fresh.push(Column::new(kind, item, extent));
                }
                Err(error) => {
                    fresh.iter().for_each(|column| self.region.free(column.live));
                    return Err(error);
                }
            }
        }
        Ok(fresh)
    }

    /// Makes all rows of `from` rows of the empty table `to`: columns that both have change hands, no row is copied.
    /// Columns that only `to` has are new and zero. `fresh` is what [`Self::columns_to_relabel`] made, and `to` has the
    /// columns of all toggles of `from`.
    pub(crate) fn relabel(&mut self, from: u32, to: u32, mut fresh: Vec<Column>) -> Result<(), RegionError> {
        self.close(from);
        self.close(to);
        let (f, t) = (from as usize, to as usize);
        debug_assert_eq!(self.tables[t].rows, 0);
        self.write_partial(ENTITIES, 0)?;
        let (rows, capacity, small) = (self.tables[f].rows, self.tables[f].capacity, self.tables[t].capacity);
        let mut take = |kind: ColumnKind| {
            let index = fresh.iter().position(|column| column.kind == kind);
            fresh.swap_remove(index.expect("allocated above"))
        };
        for c in 0..self.tables[t].columns.len() {
            let kind = self.tables[t].columns[c].kind;
            match self.tables[f].columns.iter().position(|column| column.kind == kind) {
                Some(source) => {
                    let (a, b) = (self.tables[f].columns[source].clone(), self.tables[t].columns[c].clone());
                    self.tables[f].columns[source] = b;
                    self.tables[t].columns[c] = a;
                    // frozen columns keep their stamps: this tells that their rows are others
                    for table in [f, t] {
                        let column = if table == f { source } else { c };
                        self.tables[table].columns[column].moved = self.published + 1;
                    }
                }
                None => {
                    let old = std::mem::replace(&mut self.tables[t].columns[c], take(kind));
                    self.retire_column(old);
                }
            }
        }
        for c in 0..self.tables[f].columns.len() {
            let kind = self.tables[f].columns[c].kind;
            if !self.tables[t].columns.iter().any(|column| column.kind == kind) {
                let old = std::mem::replace(&mut self.tables[f].columns[c], take(kind));
                self.retire_column(old);
            }
        }
        (self.tables[t].rows, self.tables[t].capacity) = (rows, capacity);
        self.mark_expected_table(from);
        self.mark_expected_table(to);
        (self.tables[f].rows, self.tables[f].capacity) = (0, small);
        for c in 0..self.tables[t].columns.len() {
            if self.tables[t].columns[c].building {
                self.mark_dirty(to, c, 0, rows);
            }
        }
        self.dirty = true;
        self.place_rows(to, 0, rows);
        Ok(())
    }

    /// Takes rows out of a table: highest first, each replaced by the table's last row. `removed` is sorted from
    /// highest to lowest, without repeats.
    pub(crate) fn sweep(&mut self, table: u32, removed: &[u32]) -> Result<(), RegionError> {
        if removed.is_empty() {
            return Ok(());
        }
        let t = table as usize;
        let rows = self.tables[t].rows;
        let left = rows - removed.len() as u32;
        if left == 0 {
            return self.sweep_all(table);
        }
        if let [row] = removed {
            return self.sweep_one(table, *row, left);
        }
        let mut sources = std::mem::take(&mut self.scratch.sources);
        replacements(rows, removed, &mut sources);
        // holes below the new end; the rest is cut off
        let first_hole = removed.partition_point(|row| *row >= left);
        let (holes, survivors) = (&removed[first_hole..], &sources[first_hole..]);
        self.write_partial(ENTITIES, 0)?;
        for c in 0..self.tables[t].columns.len() {
            self.write_partial(table, c)?;
        }
        for c in 0..self.tables[t].columns.len() {
            match self.tables[t].columns[c].item {
                Item::Bytes(bytes) => move_within(bytes as usize, self.column_bytes_mut(table, c), survivors, holes),
                Item::Bit => {
                    for (hole, survivor) in holes.iter().zip(survivors) {
                        let bit = self.bit(table, c, *survivor);
                        self.set_bit(table, c, *hole, bit);
                    }
                    self.set_bits(table, c, left, rows - left, false);
                    self.mark_dirty(table, c, left, rows - left);
                }
            }
            self.mark_dirty_rows(table, c, holes);
        }
        self.place_scattered(table, holes);
        self.scratch.sources = sources;
        self.tables[t].rows = left;
        Ok(())
    }

    /// Takes one row out of a table that keeps others: the last one takes its place.
    fn sweep_one(&mut self, table: u32, row: u32, last: u32) -> Result<(), RegionError> {
        let t = table as usize;
        self.write_partial(ENTITIES, 0)?;
        for c in 0..self.tables[t].columns.len() {
            self.write_partial(table, c)?;
        }
        for c in 0..self.tables[t].columns.len() {
            match self.tables[t].columns[c].item {
                Item::Bytes(bytes) if row != last => {
                    let (offset, bytes) = (self.tables[t].columns[c].live.offset, u64::from(bytes));
                    let (from, to) = (offset + u64::from(last) * bytes, offset + u64::from(row) * bytes);
                    self.arena.copy_value(from, to, bytes);
                    self.mark_dirty(table, c, row, 1);
                }
                Item::Bytes(_) => {}
                Item::Bit => {
                    let bit = self.bit(table, c, last);
                    self.set_bit(table, c, last, false);
                    self.mark_dirty(table, c, last, 1);
                    if row != last {
                        self.set_bit(table, c, row, bit);
                        self.mark_dirty(table, c, row, 1);
                    }
                }
            }
        }
        if row != last {
            let handle = self.handle(table, row);
            self.place(&[handle], table, row);
        }
        self.tables[t].rows = last;
        self.dirty = true;
        Ok(())
    }

    /// Writes a component's packed value to a row of a table that has its columns (made building here).
    pub(crate) fn write_packed(
        &mut self,
        table: u32,
        row: u32,
        component: u16,
        value: &[u8],
    ) -> Result<(), RegionError> {
        let slot = *self.tables[table as usize].shape.slot(component).expect("the caller looked the component up");
        let mut at = 0;
        for c in usize::from(slot.first)..usize::from(slot.first + slot.fields) {
            self.write_partial(table, c)?;
            let Item::Bytes(bytes) = self.tables[table as usize].columns[c].item else {
                unreachable!("fields are stored in bytes")
            };
            let bytes = bytes as usize;
            let start = row as usize * bytes;
            self.column_bytes_mut(table, c)[start..start + bytes].copy_from_slice(&value[at..at + bytes]);
            self.mark_dirty(table, c, row, 1);
            at += bytes;
        }
        Ok(())
    }

    /// Switches a toggle of a row of a table that has its columns.
    pub(crate) fn write_presence(
        &mut self,
        table: u32,
        row: u32,
        component: u16,
        present: bool,
    ) -> Result<(), RegionError> {
        if !present {
            return self.clear_toggle(table, component, row, 1);
        }
        let slot = *self.tables[table as usize].shape.slot(component).expect("the caller looked the component up");
        let column = usize::from(slot.presence.expect("a toggle has a presence column"));
        self.write_partial(table, column)?;
        self.set_bit(table, column, row, true);
        self.mark_dirty(table, column, row, 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn replacements_are_what_one_by_one_removal_gives(
            rows in 1u32..200, picks in prop::collection::btree_set(0u32..200, 0..100)
        ) {
            let removed: Vec<u32> = picks.into_iter().rev().filter(|row| *row < rows).collect();
            let mut naive: Vec<u32> = (0..rows).collect();
            for row in &removed {
                naive.swap_remove(*row as usize);
            }
            let left = rows - removed.len() as u32;
            let mut sources = Vec::new();
            replacements(rows, &removed, &mut sources);
            let first_hole = removed.partition_point(|row| *row >= left);
            let mut bulk: Vec<u32> = (0..left).collect();
            for (hole, source) in removed[first_hole..].iter().zip(&sources[first_hole..]) {
                bulk[*hole as usize] = *source;
            }
            prop_assert_eq!(bulk, naive);
        }
    }
}
