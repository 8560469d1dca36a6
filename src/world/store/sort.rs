//! A table's rows come to stand in the order of a key, and of a second column among rows of equal keys.
//!
//! That takes some steps. [`Store::find_order`] says where each row goes, or [`keys`] do, in parts, and
//! [`Store::take_order`] takes what they found. [`Store::begin_order`] gives what the writer trusts (handles, the entity map,
//! bits) other extents, [`Store::order_rest`] moves it, range by range. Columns of values are moved by anybody, range by range
//! ([`MovedColumn`]), one group of columns after the other ([`Store::order_groups`]): [`Store::begin_group`] gives them
//! other extents, [`Store::end_group`] makes these the content. [`Store::end_order`] is the end.
//!
//! **Memory.** A column that was written since the last generation has two extents, of which that generation names one. To be
//! moved it needs a third one; the second is free then. So groups take turns with the memory that they need.
#![forbid(unsafe_code)]

pub(crate) mod keys;
mod ties;

use std::ops::Range;

use crate::Entity;
use crate::layout::ScalarType;
use crate::limits::CHUNK_ROWS;
use crate::region::{Extent, ExtentPool, RegionError};
use crate::table::{Column, ColumnKind, ENTITIES, Item, Location};

use self::keys::{Look, SortScratch, find, look};
use super::Store;
use super::arena::Arena;
use super::rows::gather;

/// Rows ahead of which the entity map is asked for.
const AHEAD: usize = 16;
/// Parts in which third extents are given, where columns are not larger.
const THIRDS: u64 = 8;

/// A column of values whose rows are to stand in another order: where they are and where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MovedColumn {
    pub from: u64,
    pub to: u64,
    /// Bytes of a row.
    pub bytes: u32,
}

/// A column that is moved, and whether its extent before is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupColumn {
    column: usize,
    /// Bytes of a row.
    bytes: u32,
    gives_back: bool,
}

/// Columns that are moved one group after the other.
#[derive(Debug, Default)]
pub(crate) struct OrderGroups {
    columns: Vec<GroupColumn>,
    /// Where each group ends, and bytes of a row that it and those before it move.
    ends: Vec<(usize, u64)>,
}

impl OrderGroups {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The columns of a group.
    pub(crate) fn columns(&self, group: usize) -> &[GroupColumn] {
        let from = group.checked_sub(1).map_or(0, |before| self.ends[before].0);
        &self.columns[from..self.ends[group].0]
    }

    /// The rows that the rest may be moved in meanwhile: as large a part of all as the group is.
    pub(crate) fn rest(&self, group: usize, rows: u32) -> Range<u32> {
        let total = self.ends.last().map_or(1, |(_, bytes)| (*bytes).max(1));
        let upto = |bytes: u64| (u64::from(rows) * bytes / total) as u32;
        let from = group.checked_sub(1).map_or(0, |before| upto(self.ends[before].1));
        from..if group + 1 == self.ends.len() { rows } else { upto(self.ends[group].1) }
    }
}

impl Store {
    /// Finds how the rows of a table stand in the order of a column, and of a second one among rows of equal keys, stably;
    /// false: they do already.
    pub(crate) fn find_order(&mut self, table: u32, key: usize, then: Option<usize>) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch.sort);
        let of = |column| (self.scalar_of(table, column), self.column_bytes(table, column));
        let (scalar, keys) = of(key);
        let mut moves = find(scalar, keys, &mut scratch);
        if let Some((second, values)) = then.map(of) {
            moves = ties::order(scalar, keys, (second, values), moves, &mut scratch);
        }
        self.scratch.sort = scratch;
        moves
    }

    /// A first look at a column as keys.
    pub(crate) fn look_at_keys(&self, table: u32, key: usize) -> Look {
        look(self.scalar_of(table, key), self.column_bytes(table, key))
    }

    /// Where a column's values are, and their type.
    pub(crate) fn key_column(&self, table: u32, column: usize) -> (ScalarType, u64) {
        (self.scalar_of(table, column), self.tables[table as usize].columns[column].live.offset)
    }

    /// The order that was found last: row `i` becomes what row `order[i]` was.
    pub(crate) fn order(&self) -> &[u32] {
        &self.scratch.sort.order
    }

    /// Takes an order that others have found. False: it has not every row once.
    pub(crate) fn take_order(&mut self, found: Extent, rows: u32) -> bool {
        let SortScratch { order, seen, .. } = &mut self.scratch.sort;
        order.clear();
        order.extend_from_slice(self.arena.items(found.offset, rows as usize));
        seen.clear();
        seen.resize((rows as usize).div_ceil(64), 0);
        // as many as there are rows: each once, where none is twice
        order.iter().all(|row| {
            let Some(word) = seen.get_mut(*row as usize / 64).filter(|_| *row < rows) else { return false };
            let (bit, before) = (1 << (row % 64), *word);
            *word |= bit;
            before & bit == 0
        })
    }

    /// The type of a field's column.
    fn scalar_of(&self, table: u32, column: usize) -> ScalarType {
        match self.tables[table as usize].columns[column].kind {
            ColumnKind::Field { component, field } => {
                self.layout.components()[usize::from(component)].fields[usize::from(field)].ty.scalar
            }
            kind => unreachable!("a schedule sorts by fields, not by {kind:?}"),
        }
    }

    /// How a column takes part in an order that leaves the values of some components (sorted) where they are.
    fn part(&self, table: u32, column: usize, leaves: &[u16]) -> Part {
        let t = &self.tables[table as usize];
        match (t.columns[column].kind, t.columns[column].item) {
            (ColumnKind::Field { component, .. } | ColumnKind::Span { component, .. }, _)
                if leaves.binary_search(&component).is_ok() =>
            {
                Part::Stays
            }
            (_, Item::Bytes(bytes)) if t.is_scratch(column) => Part::OneExtent(bytes),
            (ColumnKind::Handle, Item::Bytes(_)) => Part::Handles,
            (_, Item::Bytes(bytes)) => Part::Values(bytes),
            (_, Item::Bit) => Part::Bits,
        }
    }

    /// Columns of values by the groups in which they are moved.
    pub(crate) fn order_groups(&mut self, table: u32, leaves: &[u16], groups: &mut OrderGroups) {
        groups.columns.clear();
        groups.ends.clear();
        let capacity = self.tables[table as usize].capacity;
        let extent = |column: &Column| ExtentPool::rounded(column.item.extent_bytes(capacity).1);
        let (mut thirds, mut largest, mut all) = (0, 0, 0);
        for column in 0..self.tables[table as usize].columns.len() {
            if let Part::Values(bytes) = self.part(table, column, leaves) {
                let of = &self.tables[table as usize].columns[column];
                let has_another = of.spare.as_ref().is_some_and(|spare| self.reusable(spare.named));
                let gives_back = of.building && !has_another;
                groups.columns.push(GroupColumn { column, bytes, gives_back });
                all += extent(of);
                if gives_back {
                    thirds += extent(of);
                    largest = extent(of).max(largest);
                }
            }
        }
        // where a plan may move columns, none is between two extents while others are given theirs
        let at_once = !self.is_roomy(2 * all);
        let most = if at_once { u64::MAX } else { largest.max(thirds / THIRDS) };
        let (mut taken, mut bytes) = (0u64, 0);
        for (index, GroupColumn { column, gives_back, bytes: row }) in groups.columns.iter_mut().enumerate() {
            let of = &self.tables[table as usize].columns[*column];
            let more = if *gives_back { extent(of) } else { 0 };
            if taken > 0 && taken.saturating_add(more) > most {
                groups.ends.push((index, bytes));
                taken = 0;
            }
            taken = taken.saturating_add(more);
            bytes += u64::from(*row);
            *gives_back &= !at_once;
        }
        groups.ends.push((groups.columns.len(), bytes));
    }

    /// Makes what the writer moves himself ready to be moved, and gives the columns of the first group other extents; where
    /// they are. Both at once: room for the ones may be made by taking it from the others.
    pub(crate) fn begin_order(
        &mut self,
        table: u32,
        leaves: &[u16],
        columns: &[GroupColumn],
        moved: &mut Vec<MovedColumn>,
    ) -> Result<(), RegionError> {
        self.steadily(|store| {
            store.write_partial(ENTITIES, 0)?;
            for column in 0..store.tables[table as usize].columns.len() {
                if let Part::Handles | Part::Bits = store.part(table, column, leaves) {
                    store.write_whole(table, column, false)?;
                }
            }
            store.begin_columns(table, columns, moved)
        })
    }

    /// Gives the columns of a later group other extents, and says where they are. False: columns were moved to make room, and
    /// what the writer has moved by now may be lost. That takes memory that is short, where there is one group only.
    pub(crate) fn begin_group(
        &mut self,
        table: u32,
        columns: &[GroupColumn],
        moved: &mut Vec<MovedColumn>,
    ) -> Result<bool, RegionError> {
        let arrangements = self.arrangements;
        self.begin_columns(table, columns, moved)?;
        Ok(arrangements == self.arrangements)
    }

    fn begin_columns(
        &mut self,
        table: u32,
        columns: &[GroupColumn],
        moved: &mut Vec<MovedColumn>,
    ) -> Result<(), RegionError> {
        moved.clear();
        for GroupColumn { column, bytes, .. } in columns {
            let (from, to) = self.write_whole(table, *column, false)?;
            moved.push(MovedColumn { from, to, bytes: *bytes });
        }
        Ok(())
    }

    /// The rows of a group's columns are where they go: that is their content now.
    pub(crate) fn end_group(&mut self, table: u32, columns: &[GroupColumn]) {
        let rows = self.tables[table as usize].rows;
        for GroupColumn { column, gives_back, .. } in columns {
            self.flip(table, *column);
            self.mark_dirty(table, *column, 0, rows);
            let of = &mut self.tables[table as usize].columns[*column];
            if let Some(spare) = of.spare.take_if(|spare| *gives_back && spare.named == (0, 0)) {
                self.region.free(spare.extent);
            }
        }
    }

    /// Moves all rows but those of [`MovedColumn`]s: range after range of the new order, from the first to the last one. It looks at
    /// none of these columns.
    pub(crate) fn order_rest(&mut self, table: u32, leaves: &[u16], range: Range<u32>) {
        let mut scratch = std::mem::take(&mut self.scratch.sort);
        let rows = self.tables[table as usize].rows;
        for c in 0..self.tables[table as usize].columns.len() {
            let column = &self.tables[table as usize].columns[c];
            let live = column.live.offset;
            let to = column.spare.as_ref().map_or(live, |spare| spare.extent.offset);
            match self.part(table, c, leaves) {
                Part::Handles => self.order_handles(table, (live, to), &scratch.order, range.clone()),
                Part::Bits if range.end == rows => self.order_bits(table, c, to, &scratch.order),
                Part::OneExtent(bytes) if range.end == rows => {
                    let data = self.arena.bytes_mut(live, u64::from(rows) * u64::from(bytes));
                    scratch.column.clear();
                    scratch.column.extend_from_slice(data);
                    gather(bytes as usize, &scratch.column, &scratch.order, data);
                }
                Part::Stays | Part::Values(_) | Part::Bits | Part::OneExtent(_) => {}
            }
        }
        self.scratch.sort = scratch;
    }

    fn order_bits(&mut self, table: u32, column: usize, to: u64, order: &[u32]) {
        // bits beyond the rows are zero, here as in every bit column
        let words = self.tables[table as usize].capacity.div_ceil(64) as usize;
        let mut bits = std::mem::take(&mut self.scratch.words);
        bits.clear();
        bits.extend(order.chunks(64).map(|rows| {
            let bit = |(index, row): (usize, &u32)| u64::from(self.bit(table, column, *row)) << index;
            rows.iter().enumerate().map(bit).fold(0, |word, bit| word | bit)
        }));
        bits.resize(words, 0);
        self.arena.items_mut::<u64>(to, words).copy_from_slice(&bits);
        self.scratch.words = bits;
    }

    /// Moves handles, and points the entity map to their new rows.
    fn order_handles(&mut self, table: u32, (from, to): (u64, u64), order: &[u32], range: Range<u32>) {
        let stamp = self.published + 1;
        let Store { tables, arena, .. } = self;
        let bytes = 8 * order.len() as u64;
        let (first, order) = (range.start, &order[range.start as usize..range.end as usize]);
        let (source, target) = arena.disjoint(from, bytes, to, bytes);
        let target = &mut target[8 * range.start as usize..8 * range.end as usize];
        gather(8, source, order, target);
        let at = to + 8 * u64::from(first);
        let entities = &mut tables[ENTITIES as usize];
        let (slots, capacity) = (entities.rows, entities.capacity);
        let map = &mut entities.columns[0];
        debug_assert!(map.building, "the map was made writable");
        let (stamps_at, total) = map.item.extent_bytes(capacity);
        let (handles, map_bytes) = arena.disjoint(at, 8 * order.len() as u64, map.live.offset, total);
        let handles: &[Entity] = bytemuck::cast_slice(handles);
        let (locations, stamps) = map_bytes.split_at_mut(stamps_at as usize);
        let locations: &mut [u64] = bytemuck::cast_slice_mut(&mut locations[..8 * slots as usize]);
        let stamps: &mut [u64] = bytemuck::cast_slice_mut(stamps);
        for (row, handle) in (first..).zip(handles) {
            if let Some(later) = handles.get((row - first) as usize + AHEAD) {
                Arena::prefetch(locations, later.index() as usize);
            }
            let slot = handle.index() as usize;
            locations[slot] = Location { table, row }.to_bits();
            stamps[slot / CHUNK_ROWS] = stamp;
        }
        if handles.len() as u64 * 16 > u64::from(slots) {
            map.stale.set_all();
        } else {
            handles.iter().for_each(|handle| map.stale.add(handle.index(), 1, slots));
        }
    }

    /// All is where it goes: what the writer moved himself is the table's content now, too.
    pub(crate) fn end_order(&mut self, table: u32, leaves: &[u16]) {
        let rows = self.tables[table as usize].rows;
        for column in 0..self.tables[table as usize].columns.len() {
            match self.part(table, column, leaves) {
                Part::Stays | Part::Values(_) => continue,
                Part::OneExtent(_) => {}
                Part::Handles | Part::Bits => self.flip(table, column),
            }
            self.mark_dirty(table, column, 0, rows);
        }
    }
}

/// How a column's rows are put in another order.
enum Part {
    /// They are not.
    Stays,
    /// Values of so many bytes, into another extent.
    Values(u32),
    /// Values of so many bytes, in the only extent that there is.
    OneExtent(u32),
    Handles,
    Bits,
}
