//! The elements of lists: one pool for each component that is a list, a table of its own whose rows are the elements.
//!
//! A row of an entity's table has a *span*: the place of its first element in the pool, and how many there are. Where rows
//! move, only spans do. New elements are *staged* first, as if they stood behind those of the pool; then the lists are
//! *settled*: either what is staged is appended, or the pool is made anew with all elements in the order of tables and rows.
//!
//! Invariants: a span lies within the pool (within pool and staged elements, until they are settled); an empty list of a row
//! that was never written is at 0. What is appended or made anew follows from rows and elements alone, never from which worker
//! computed them or from where there is room.
#![forbid(unsafe_code)]

use crate::layout::Layout;
use crate::region::RegionError;
use crate::table::{FIRST_POOL, Item};

use super::Store;
use super::arena::Arena;

/// Bytes of a staging list that are kept for the next elements.
const STAGED_BYTES_KEPT: usize = 4 << 20;
/// Elements from which on direct changes look for garbage, each time their number has doubled.
const ELEMENTS_MIN: u32 = 1024;

/// A component that is a list, and elements of it that are on their way into its pool.
#[derive(Debug)]
pub(in crate::world) struct StagedList {
    pub component: u16,
    /// Bytes of an element in each column, and the elements' bytes.
    columns: Vec<(usize, Vec<u8>)>,
    elements: u32,
    /// Whether the list of any row was set.
    touched: bool,
}

/// What the spans of all rows come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Census {
    /// Elements of all rows.
    live: u64,
    /// Those of them that are not staged.
    kept: u64,
    /// Whether what is staged stands in the order of the rows, without gaps.
    in_order: bool,
}

impl StagedList {
    pub(super) fn new(layout: &Layout, component: u16) -> Self {
        let fields = &layout.components()[usize::from(component)].fields;
        let columns = fields.iter().map(|field| (field.ty.bytes(), Vec::new())).collect();
        StagedList { component, columns, elements: 0, touched: false }
    }

    /// Forgets what is staged.
    pub(super) fn clear(&mut self) {
        for (_, bytes) in &mut self.columns {
            bytes.clear();
            bytes.shrink_to(STAGED_BYTES_KEPT);
        }
        (self.elements, self.touched) = (0, false);
    }

    fn push(&mut self, packed: &[u8]) {
        let element: usize = self.columns.iter().map(|(bytes, _)| bytes).sum();
        self.elements += (packed.len() / element) as u32;
        if let [(_, column)] = &mut self.columns[..] {
            return column.extend_from_slice(packed);
        }
        let mut at = 0;
        for (bytes, column) in &mut self.columns {
            column.reserve(packed.len() / element * *bytes);
            packed.chunks_exact(element).for_each(|packed| column.extend_from_slice(&packed[at..at + *bytes]));
            at += *bytes;
        }
    }
}

impl Store {
    /// Which of the lists a component is.
    fn list_of(&self, component: u16) -> usize {
        let found = self.lists.binary_search_by_key(&component, |list| list.component);
        found.expect("the caller knows that it is a list")
    }

    /// The place of the table with the elements of a component that is a list.
    pub(crate) fn pool(&self, component: u16) -> u32 {
        FIRST_POOL + self.list_of(component) as u32
    }

    /// The lists, and how many elements each one's pool has.
    pub(in crate::world) fn pools(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        let rows = self.tables.iter().skip(FIRST_POOL as usize).map(|table| table.rows);
        self.lists.iter().map(|list| list.component).zip(rows)
    }

    /// Stages the packed elements of a list that is set, or more of them; the place that the next ones get.
    ///
    /// # Errors
    /// More elements than can be counted; nothing is staged then.
    pub(crate) fn stage(&mut self, component: u16, packed: &[u8]) -> Result<u32, RegionError> {
        let index = self.list_of(component);
        let rows = self.tables[FIRST_POOL as usize + index].rows;
        let list = &mut self.lists[index];
        let element: usize = list.columns.iter().map(|(bytes, _)| bytes).sum();
        let asked = u64::from(rows) + u64::from(list.elements) + (packed.len() / element) as u64;
        if asked > u64::from(u32::MAX) {
            let limit = u64::from(u32::MAX);
            let error = RegionError::TooLarge { what: "elements of one list component", asked, limit };
            return Err(self.in_list(component, asked, error));
        }
        list.touched = true;
        list.push(packed);
        Ok(rows + list.elements)
    }

    /// An error about the elements of a list, with the list's name.
    fn in_list(&self, component: u16, elements: u64, error: RegionError) -> RegionError {
        let component = self.layout.components()[usize::from(component)].name.clone();
        RegionError::List { component, elements, source: Box::new(error) }
    }

    /// Puts what is staged into the pools, at the end of a batch. On an error nothing can be said about the lists: the frame is
    /// abandoned.
    ///
    /// # Errors
    /// No room for the elements.
    pub(crate) fn settle_lists(&mut self) -> Result<(), RegionError> {
        for index in 0..self.lists.len() {
            if self.lists[index].touched {
                let component = self.lists[index].component;
                let elements =
                    u64::from(self.tables[FIRST_POOL as usize + index].rows) + u64::from(self.lists[index].elements);
                let done = self.settle(component);
                self.lists[index].clear();
                done.map_err(|error| self.in_list(component, elements, error))?;
            }
        }
        Ok(())
    }

    /// Gives up what is staged.
    pub(crate) fn unstage(&mut self) {
        self.lists.iter_mut().for_each(StagedList::clear);
    }

    fn settle(&mut self, component: u16) -> Result<(), RegionError> {
        let index = self.list_of(component);
        let (rows, staged) = (self.tables[FIRST_POOL as usize + index].rows, self.lists[index].elements);
        let census = self.census(component, rows);
        let garbage = (u64::from(rows) + u64::from(staged)).saturating_sub(census.live);
        if census.kept > 0 && garbage <= census.live {
            return self.append_staged(index);
        }
        self.gather(index, census)
    }

    /// Looks at the spans of all rows.
    fn census(&self, component: u16, pool_rows: u32) -> Census {
        let mut census = Census { in_order: true, ..Census::default() };
        for (table, _) in self.data_tables() {
            let Some((starts, lengths)) = self.spans(table, component) else { continue };
            for (start, length) in starts.iter().zip(lengths) {
                if *start < pool_rows {
                    census.kept += u64::from(*length);
                }
                census.in_order &= *length == 0 || u64::from(*start) == u64::from(pool_rows) + census.live;
                census.live += u64::from(*length);
            }
        }
        census
    }

    /// The spans of a table's rows; none where it lacks the component.
    pub(crate) fn spans(&self, table: u32, component: u16) -> Option<(&[u32], &[u32])> {
        let entry = &self.tables[table as usize];
        let slot = entry.shape.slot(component)?;
        let part = |part: u16| {
            let column = &entry.columns[usize::from(slot.first + part)];
            self.arena.items::<u32>(column.live.offset, entry.rows as usize)
        };
        Some((part(0), part(1)))
    }

    fn append_staged(&mut self, index: usize) -> Result<(), RegionError> {
        let (component, elements) = (self.lists[index].component, self.lists[index].elements);
        if elements == 0 {
            return Ok(());
        }
        let columns = std::mem::take(&mut self.lists[index].columns);
        let done = self.append_elements(component, elements, columns.iter().map(|(_, bytes)| &bytes[..]));
        self.lists[index].columns = columns;
        done.map(|_| ())
    }

    /// Puts elements, field by field, behind those of a list's pool; the place of the first one.
    pub(in crate::world) fn append_elements<'c>(
        &mut self,
        component: u16,
        elements: u32,
        columns: impl Iterator<Item = &'c [u8]>,
    ) -> Result<u32, RegionError> {
        let pool = self.pool(component);
        let first = self.append(pool, elements)?;
        let Store { tables, arena, .. } = self;
        for (column, bytes) in tables[pool as usize].columns.iter().zip(columns) {
            arena.write_value(column.live.offset + u64::from(first) * u64::from(column.item.row_bytes()), bytes);
        }
        Ok(first)
    }

    /// Makes the pool anew: all elements in the order of tables and rows, nothing else.
    fn gather(&mut self, index: usize, census: Census) -> Result<(), RegionError> {
        let (pool, component) = (FIRST_POOL + index as u32, self.lists[index].component);
        let p = pool as usize;
        let rows = self.tables[p].rows;
        let limit = u64::from(u32::MAX);
        let live = u32::try_from(census.live).map_err(|_| RegionError::TooLarge {
            what: "elements of one list component",
            asked: census.live,
            limit,
        })?;
        if census.kept == 0 {
            // nothing of what is there is worth a copy
            self.tables[p].rows = 0;
        }
        let mut extents = std::mem::take(&mut self.scratch.extents);
        // all that can fail comes before the first element moves
        let ready =
            self.steadily(|store| store.ready_to_gather((pool, component), live, census.kept == 0, &mut extents));
        if ready.is_err() {
            // places of empty lists are among them still
            self.tables[p].rows = rows;
        }
        ready?;
        for (column, (from, to)) in extents.iter().enumerate() {
            let Item::Bytes(bytes) = self.tables[p].columns[column].item else { unreachable!("elements are bytes") };
            let bytes = bytes as usize;
            let total = u64::from(live) * bytes as u64;
            if census.kept == 0 && census.in_order {
                let Store { arena, lists, .. } = self;
                arena.write_value(*to, &lists[index].columns[column].1[..total as usize]);
                continue;
            }
            let mut at = 0;
            for table in self.first_data..self.tables.len() as u32 {
                at = self.gather_table(index, column, (table, rows), (*from, *to, bytes), at);
            }
            debug_assert_eq!(at, total);
        }
        self.tables[p].rows = live;
        for (column, (from, to)) in extents.iter().enumerate() {
            if from != to {
                self.flip(pool, column);
            }
            self.mark_dirty(pool, column, 0, live);
        }
        self.scratch.extents = extents;
        self.dirty = true;
        self.number(component);
        Ok(())
    }

    /// Gets a pool extents for so many elements (`in_place`: those that it has will do), and the rows' places writable.
    fn ready_to_gather(
        &mut self,
        (pool, component): (u32, u16),
        elements: u32,
        in_place: bool,
        extents: &mut Vec<(u64, u64)>,
    ) -> Result<(), RegionError> {
        for table in self.first_data..self.tables.len() as u32 {
            if let Some(slot) = self.tables[table as usize].shape.slot(component) {
                self.write_partial(table, usize::from(slot.first))?;
            }
        }
        self.reserve(pool, u64::from(elements))?;
        extents.clear();
        for column in 0..self.tables[pool as usize].columns.len() {
            let ready = self.write_whole(pool, column, in_place)?;
            extents.push(ready);
        }
        Ok(())
    }

    /// Copies one column of the elements of a table's rows behind those of the tables before it; where the next ones go.
    fn gather_table(
        &mut self,
        index: usize,
        column: usize,
        (table, pool_rows): (u32, u32),
        (from, to, bytes): (u64, u64, usize),
        mut at: u64,
    ) -> u64 {
        let Store { tables, arena, lists, .. } = self;
        let (entry, list) = (&tables[table as usize], &lists[index]);
        let Some(slot) = entry.shape.slot(list.component) else { return at };
        let offsets = [0, 1].map(|part| entry.columns[usize::from(slot.first + part)].live.offset);
        for row in 0..u64::from(entry.rows) {
            let [start, length] = offsets.map(|offset| arena.item::<u32>(offset + 4 * row));
            if length == 0 {
                continue;
            }
            let total = u64::from(length) * bytes as u64;
            match start.checked_sub(pool_rows) {
                Some(start) => {
                    let start = start as usize * bytes;
                    arena.write_value(to + at, &list.columns[column].1[start..start + total as usize]);
                }
                None => arena.copy(from + u64::from(start) * bytes as u64, to + at, total),
            }
            at += total;
        }
        at
    }

    /// Gives the rows' lists the places that they have in a pool that was made anew. Places are writable.
    fn number(&mut self, component: u16) {
        let mut next = 0;
        for table in self.first_data..self.tables.len() as u32 {
            let entry = &self.tables[table as usize];
            let Some(slot) = entry.shape.slot(component) else { continue };
            let (first, rows) = (usize::from(slot.first), entry.rows);
            let columns = &self.tables[table as usize].columns;
            let (starts, lengths) = (columns[first].live.offset, columns[first + 1].live.offset);
            number_rows(&mut self.arena, starts, lengths, rows, &mut next);
            self.mark_dirty(table, first, 0, rows);
        }
    }

    /// Makes sure that a row's list can be set to so many elements without a failure, by a direct change.
    ///
    /// # Errors
    /// No room for the elements; nothing has changed.
    pub(in crate::world) fn make_room_for_list(&mut self, component: u16, elements: usize) -> Result<(), RegionError> {
        let pool = self.pool(component);
        let rows = self.tables[pool as usize].rows;
        let asked = u64::from(rows) + elements as u64;
        let doubles = asked >= u64::from(ELEMENTS_MIN) && rows.checked_ilog2() != asked.checked_ilog2();
        let census = doubles.then(|| self.census(component, rows));
        if let Some(census) = census.filter(|census| u64::from(rows) > 2 * census.live) {
            // what nobody has any more goes first
            let index = self.list_of(component);
            self.gather(index, census).map_err(|error| self.in_list(component, asked, error))?;
        }
        let rows = self.tables[pool as usize].rows;
        let asked = u64::from(rows) + elements as u64;
        self.reserve(pool, asked).map_err(|error| self.in_list(component, asked, error))?;
        for column in 0..self.tables[pool as usize].columns.len() {
            self.write_partial(pool, column).map_err(|error| self.in_list(component, asked, error))?;
        }
        Ok(())
    }

    /// Sets the list of a row, for which there is room: [`Store::make_room_for_list`], and the row's columns are writable.
    pub(in crate::world) fn put_list(
        &mut self,
        (table, row): (u32, u32),
        component: u16,
        packed: &[u8],
    ) -> Result<(), RegionError> {
        let index = self.list_of(component);
        let end = self.stage(component, packed)?;
        let length = self.lists[index].elements;
        let start = if length == 0 { 0 } else { end - length };
        let done = self.append_staged(index);
        self.lists[index].clear();
        done?;
        self.write_packed(table, row, component, &span_bytes(start, length))
    }

    /// Makes the lists of new rows empty.
    pub(in crate::world) fn fill_rows(&mut self, table: u32, component: u16, first: u32, n: u32) {
        let slot = *self.tables[table as usize].shape.slot(component).expect("the caller made it");
        for column in usize::from(slot.first)..usize::from(slot.first + slot.fields) {
            let bytes = u64::from(self.tables[table as usize].columns[column].item.row_bytes());
            let offset = self.tables[table as usize].columns[column].live.offset;
            self.arena.bytes_mut(offset + u64::from(first) * bytes, u64::from(n) * bytes).fill(0);
        }
    }

    /// Appends the packed elements of a row's list to `out`; false where the row lacks the component.
    pub(in crate::world) fn read_list(&self, (table, row): (u32, u32), component: u16, out: &mut Vec<u8>) -> bool {
        let Some((starts, lengths)) = self.spans(table, component) else { return false };
        let (start, length) = (u64::from(starts[row as usize]), u64::from(lengths[row as usize]));
        let pool = &self.tables[self.pool(component) as usize];
        for element in start..start + length {
            for column in &pool.columns {
                let bytes = u64::from(column.item.row_bytes());
                out.extend_from_slice(self.arena.bytes(column.live.offset + element * bytes, bytes));
            }
        }
        true
    }
}

/// What a row holds of a list.
pub(crate) fn span_bytes(start: u32, length: u32) -> [u8; crate::layout::SPAN_BYTES] {
    (u64::from(start) | u64::from(length) << 32).to_le_bytes()
}

fn number_rows(arena: &mut Arena, starts: u64, lengths: u64, rows: u32, next: &mut u32) {
    let bytes = 4 * u64::from(rows);
    let (lengths, starts) = arena.disjoint(lengths, bytes, starts, bytes);
    let lengths: &[u32] = bytemuck::cast_slice(lengths);
    let starts: &mut [u32] = bytemuck::cast_slice_mut(starts);
    for (start, length) in starts.iter_mut().zip(lengths) {
        *start = *next;
        *next += length;
    }
}
