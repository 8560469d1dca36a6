//! Whole read-only columns of other rows, for kernels with neighbours.
#![expect(unsafe_code, reason = "frozen columns of other rows become shared slices here")]

use crate::table::Location;
use std::marker::PhantomData;
use std::ops::Range;

use crate::Entity;
use crate::column::{ColumnCursor, RawColumn};
use crate::lists::Spans;
use crate::world::access::query::{Fetch, Query};

/// The entity map as it was when the batch began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntityMap<'a> {
    pub locations: &'a [u64],
    pub generations: &'a [u32],
}

impl EntityMap<'_> {
    /// Whether an entity lives.
    pub(super) fn has(&self, entity: Entity) -> bool {
        self.locate(entity).is_some()
    }

    fn locate(&self, entity: Entity) -> Option<Location> {
        let slot = entity.index() as usize;
        if *self.generations.get(slot)? != entity.generation() {
            return None;
        }
        Location::from_bits(*self.locations.get(slot)?)
    }
}

/// A condition on rows: whether the bits must be clear, and which of the set's words decide it.
#[derive(Clone, Debug)]
pub(crate) struct NeighbourMask {
    pub negated: bool,
    pub words: Range<u32>,
}

/// A table: ranges of the set's lists.
#[derive(Clone, Debug)]
pub(crate) struct NeighbourRows {
    /// Which of its system's views it is of.
    pub view: u32,
    pub table: u32,
    /// Those that are shown: the table's own ones, then its ghosts.
    pub rows: u32,
    pub own_rows: u32,
    /// The table of what stands for its ghosts, and the first of these rows.
    pub elsewhere: (u32, u32),
    pub handles: *const Entity,
    pub columns: Range<u32>,
    pub present: Range<u32>,
    pub masks: Range<u32>,
}

/// The tables of [`Neighbours`] and their columns.
///
/// Tables stand in the order of their views.
///
/// Invariant: every address of a table names `rows` rows (bits) that stay mapped and frozen for `'a`; `new` is null in
/// every column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeighbourSet<'a> {
    pub tables: &'a [NeighbourRows],
    pub columns: &'a [RawColumn],
    pub present: &'a [bool],
    pub masks: &'a [NeighbourMask],
    pub words: &'a [*const u64],
}

impl<'a> NeighbourSet<'a> {
    /// The tables of one view.
    pub(crate) fn of_view(self, view: u32) -> Self {
        let from = self.tables.partition_point(|table| table.view < view);
        let to = self.tables.partition_point(|table| table.view <= view);
        NeighbourSet { tables: &self.tables[from..to], ..self }
    }

    /// One of the tables: what it is made of, the handles of its rows, its columns.
    pub(crate) fn table(&self, index: usize) -> (&'a NeighbourRows, &'a [Entity], ColumnCursor<'a>) {
        let table = &self.tables[index];
        // SAFETY: the set's invariant.
        let entities = unsafe { std::slice::from_raw_parts(table.handles, table.rows as usize) };
        // SAFETY: frozen columns that are only read (the set's invariant).
        let columns = unsafe { ColumnCursor::new(&self.columns[places(&table.columns)], &[]) };
        (table, entities, columns)
    }

    /// Whether a row in use of one of the tables matches.
    pub(crate) fn matches(&self, table: &NeighbourRows, row: usize) -> bool {
        self.masks[places(&table.masks)].iter().all(|term| {
            let any = self.words[places(&term.words)].iter().any(|words| {
                // SAFETY: the row is one of the table's, and the bits are mapped and frozen (NeighbourSet's invariant).
                unsafe { *words.add(row / 64) >> (row % 64) & 1 != 0 }
            });
            any != term.negated
        })
    }
}

/// The elements of a list that a system looks at: a range of the set's columns.
#[derive(Clone, Debug)]
pub(crate) struct ListElements {
    pub component: u32,
    pub elements: u32,
    pub columns: Range<u32>,
}

/// The lists of a job's rows.
///
/// Invariant: every address names `elements` elements, or one word for each of the job's rows in the call, that stay mapped
/// and frozen for `'a`; `new` is null in every column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListSet<'a> {
    pub lists: &'a [ListElements],
    pub columns: &'a [RawColumn],
    /// Two columns for each list: places and lengths.
    pub spans: &'a [RawColumn],
}

impl<'a> ListSet<'a> {
    /// The elements of a component's lists, how many there are, and the places and lengths of the rows' lists; none where the
    /// system does not look at it.
    pub(crate) fn get(&self, component: u16) -> Option<(ColumnCursor<'a>, usize, Spans<'a>)> {
        let index = self.lists.iter().position(|list| list.component == u32::from(component))?;
        let list = &self.lists[index];
        // SAFETY: frozen columns that are only read (the set's invariant).
        let elements = unsafe { ColumnCursor::new(&self.columns[places(&list.columns)], &[]) };
        // SAFETY: as above.
        let mut spans = unsafe { ColumnCursor::new(&self.spans[2 * index..2 * index + 2], &[]) };
        Some((elements, list.elements as usize, (spans.read(), spans.read())))
    }
}

/// A range of places as places.
fn places(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// All tables that a query matches, with their values at the beginning of the batch: what a kernel of
/// [`System::neighbours`](crate::System::neighbours) reads beside its own rows.
///
/// Where the world is one part of a spread world, a table shows its own rows and, behind them, its ghosts: copies of rows of
/// other parts ([`World::set_ghosts`](crate::World::set_ghosts)).
pub struct Neighbours<'a, Q> {
    set: NeighbourSet<'a>,
    own: Option<usize>,
    map: EntityMap<'a>,
    query: PhantomData<fn() -> Q>,
}

impl<Q> Clone for Neighbours<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q> Copy for Neighbours<'_, Q> {}

/// One table of [`Neighbours`].
pub struct NeighbourTable<'a, Q: Query> {
    /// The handles of its rows; [`Entity::GHOST`] for ghosts without handles.
    pub entities: &'a [Entity],
    /// Its columns.
    pub columns: Q::Item<'a>,
    table: &'a NeighbourRows,
    set: NeighbourSet<'a>,
}

impl<Q: Query> NeighbourTable<'_, Q> {
    /// The table's own rows, the first ones; all others are ghosts.
    #[must_use]
    pub fn own_rows(&self) -> usize {
        self.table.own_rows as usize
    }

    /// All rows in the order of some ids, of which `ids` is the column that this view shows: ranges, one after the other. Own
    /// rows and ghosts must each stand in that order; then a kernel that adds up all rows range by range has the bits that it
    /// has where all rows are own ones. Without ghosts it is one range, whatever the order.
    ///
    /// # Panics
    /// If there are not as many ids as rows.
    #[must_use]
    pub fn ordered(&self, ids: &[u64]) -> Vec<Range<usize>> {
        let (own, all) = (self.own_rows(), self.entities.len());
        assert_eq!(ids.len(), all, "ids of a table of {all} rows");
        merged(ids, own)
    }

    /// Whether a row matches the query: in tables with toggles some rows may not.
    #[must_use]
    pub fn matches(&self, row: usize) -> bool {
        assert!(row < self.entities.len(), "row {row} of a table of {} rows", self.entities.len());
        self.set.matches(self.table, row)
    }
}

impl<'a, Q: Query> Neighbours<'a, Q> {
    pub(crate) fn new(set: NeighbourSet<'a>, own_table: u32, map: EntityMap<'a>) -> Self {
        Neighbours { set, own: set.tables.iter().position(|table| table.table == own_table), map, query: PhantomData }
    }

    /// Number of tables.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set.tables.len()
    }

    /// Whether no table matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.tables.is_empty()
    }

    /// The index of the table that holds the job's own rows, if it is among them.
    #[must_use]
    pub fn own(&self) -> Option<usize> {
        self.own
    }

    /// One of the tables.
    ///
    /// # Panics
    /// If the index is out of range.
    #[must_use]
    pub fn table(&self, index: usize) -> NeighbourTable<'a, Q> {
        let (table, entities, columns) = self.set.table(index);
        let mut fetch =
            Fetch { columns, entities, present: &self.set.present[places(&table.present)], next_optional: 0 };
        NeighbourTable { entities, columns: Q::fetch(&mut fetch), table, set: self.set }
    }

    /// All tables, in the order of their components (as the layout numbers them), whichever was there first.
    pub fn tables(&self) -> impl Iterator<Item = NeighbourTable<'a, Q>> + use<'a, Q> {
        let view = *self;
        (0..view.len()).map(move |index| view.table(index))
    }

    /// Table and row of an entity; `None` if it is dead or does not match. Ghosts that have handles are found, too
    /// ([`World::name_ghosts`](crate::World::name_ghosts)).
    #[must_use]
    pub fn locate(&self, entity: Entity) -> Option<(usize, usize)> {
        let at = self.map.locate(entity)?;
        let Some(index) = self.set.tables.iter().position(|table| table.table == at.table) else {
            return self.locate_ghost(at);
        };
        let (table, row) = (&self.set.tables[index], at.row as usize);
        (at.row < table.own_rows && self.set.matches(table, row)).then_some((index, row))
    }

    /// Table and row of the ghost that a row stands for.
    #[cold]
    fn locate_ghost(&self, at: Location) -> Option<(usize, usize)> {
        self.set.tables.iter().enumerate().find_map(|(index, table)| {
            let (elsewhere, first) = table.elsewhere;
            let ghost = at.row.checked_sub(first).filter(|_| elsewhere == at.table)?;
            // ghosts have no bits that could decide
            (ghost < table.rows - table.own_rows).then_some((index, (table.own_rows + ghost) as usize))
        })
    }
}

/// The ranges of two ascending sequences, of which the second begins at `second`, in the order of both together.
fn merged(ids: &[u64], second: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::with_capacity(3);
    let (mut a, mut b) = (0..second, second..ids.len());
    while !a.is_empty() && !b.is_empty() {
        // the one that begins lower, up to where the other one begins
        let (from, other) = if ids[a.start] < ids[b.start] { (&mut a, &b) } else { (&mut b, &a) };
        let rows = ids[from.clone()].partition_point(|id| *id < ids[other.start]).max(1);
        ranges.push(from.start..from.start + rows);
        from.start += rows;
    }
    ranges.extend([a, b].into_iter().filter(|rest| !rest.is_empty()));
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn merged_sequences_are_in_order(ids in prop::collection::btree_map(0u64..60, any::<bool>(), 0..40)) {
            let part = |which: bool| ids.iter().filter(move |(_, is)| **is == which).map(|(id, _)| *id);
            let both: Vec<u64> = part(true).chain(part(false)).collect();
            let ranges = merged(&both, part(true).count());
            let found: Vec<u64> = ranges.iter().flat_map(|range| both[range.clone()].to_vec()).collect();
            prop_assert_eq!(found, ids.keys().copied().collect::<Vec<_>>());
            // as few as there can be: neighbours are of different sequences
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end != pair[1].start || pair[1].start == part(true).count()));
        }
    }

    #[test]
    fn sequences_that_are_in_no_order_end() {
        let ranges = merged(&[5, 1, 4, 3, 3], 2);
        assert_eq!(ranges.iter().map(ExactSizeIterator::len).sum::<usize>(), 5);
    }
}
