//! Lists that jobs build in place: room in the pool for the lists of each job's rows, and what the jobs left there.
//!
//! A job has a part of the pool for itself, and writes the elements of its rows one list after the other. Nothing of it is
//! believed: the spans come from workers, and one that leaves its job's part is no span.
//!
//! Invariant: a list component that is built this way is scratch: its pool is one extent, which no generation names.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::region::RegionError;

use super::Store;

/// In place of the place of a list: the row has none yet. With a length above 0: there was no room for it.
pub(crate) const NOT_PLACED: u32 = u32::MAX;

/// The part of a pool that a job has for its rows' lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListRoom {
    /// Its first element.
    pub first: u32,
    /// How many elements there is room for.
    pub room: u32,
}

/// What a job left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuiltLists {
    /// So many elements, all of them in its room.
    Whole(u64),
    /// So many, for which its room was too small.
    Lacking(u64),
    /// The span of this row is none of the job's room.
    Outside(u32),
}

impl Store {
    /// Makes the lists of all rows empty, and the pool one of so many elements, whose values are whatever was there.
    ///
    /// # Errors
    /// No room for them, or more than can be counted.
    pub(crate) fn begin_lists(&mut self, component: u16, elements: u64) -> Result<(), RegionError> {
        let limit = u64::from(NOT_PLACED - 1);
        let Some(rows) = u32::try_from(elements).ok().filter(|rows| u64::from(*rows) <= limit) else {
            let error = RegionError::TooLarge { what: "elements of one list component", asked: elements, limit };
            return Err(self.in_list(component, elements, error));
        };
        for table in self.first_data..self.tables.len() as u32 {
            let Some(slot) = self.tables[table as usize].shape.slot(component).copied() else { continue };
            for column in usize::from(slot.first)..usize::from(slot.first) + 2 {
                self.write_partial(table, column)?;
                self.column_bytes_mut(table, column).fill(0);
            }
        }
        let pool = self.pool(component);
        // nothing of what is there is worth a copy
        self.tables[pool as usize].rows = 0;
        if rows > self.tables[pool as usize].capacity {
            let exact = rows.checked_next_multiple_of(64).unwrap_or(rows);
            // lists that grow a little do not leave a hole behind; a tight world gets exactly what it asks for
            let more = exact.saturating_add(exact / 16) & !63;
            if self.resize_keeping(pool, more.max(exact), 0).is_err() {
                self.resize_keeping(pool, exact, 0).map_err(|error| self.in_list(component, elements, error))?;
            }
        }
        for column in 0..self.tables[pool as usize].columns.len() {
            self.write_partial(pool, column).map_err(|error| self.in_list(component, elements, error))?;
        }
        self.tables[pool as usize].rows = rows;
        self.dirty = true;
        Ok(())
    }

    /// Looks at what a job left in the spans of its rows. Rows of which it set no list have an empty one.
    pub(crate) fn built_lists(
        &mut self,
        component: u16,
        (table, rows): (u32, &Range<u32>),
        room: ListRoom,
    ) -> BuiltLists {
        let entry = &self.tables[table as usize];
        let Some(slot) = entry.shape.slot(component).copied() else { return BuiltLists::Whole(0) };
        let at = |part: u16| entry.columns[usize::from(slot.first + part)].live.offset + 4 * u64::from(rows.start);
        let (starts, lengths, bytes) = (at(0), at(1), 4 * u64::from(rows.end - rows.start));
        let (lengths, starts) = self.arena.disjoint(lengths, bytes, starts, bytes);
        let lengths: &[u32] = bytemuck::cast_slice(lengths);
        let starts: &mut [u32] = bytemuck::cast_slice_mut(starts);
        let (first, end) = (u64::from(room.first), u64::from(room.first) + u64::from(room.room));
        let (mut total, mut lacks) = (0, false);
        for (row, (start, length)) in rows.clone().zip(starts.iter_mut().zip(lengths)) {
            total += u64::from(*length);
            if *start == NOT_PLACED {
                lacks |= *length > 0;
                *start = 0;
            } else if u64::from(*start) < first || u64::from(*start) + u64::from(*length) > end {
                return BuiltLists::Outside(row);
            }
        }
        if lacks { BuiltLists::Lacking(total) } else { BuiltLists::Whole(total) }
    }

    /// Makes the lists of some rows empty.
    pub(crate) fn empty_lists(&mut self, component: u16, table: u32, rows: &Range<u32>) {
        let entry = &self.tables[table as usize];
        let Some(slot) = entry.shape.slot(component).copied() else { return };
        for column in usize::from(slot.first)..usize::from(slot.first) + 2 {
            let rows = rows.start as usize..rows.end as usize;
            self.column_bytes_mut(table, column)[4 * rows.start..4 * rows.end].fill(0);
        }
    }

    /// Where the spans of a table's rows are.
    pub(crate) fn span_offsets(&self, table: u32, component: u16) -> Option<(u64, u64)> {
        let entry = &self.tables[table as usize];
        let slot = entry.shape.slot(component)?;
        let at = |part: u16| entry.columns[usize::from(slot.first + part)].live.offset;
        Some((at(0), at(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Component, List, World};

    #[derive(Component, Clone, Copy)]
    #[component(storage = "scratch_list")]
    struct Near {
        #[allow(dead_code, reason = "a field of the element")]
        row: u32,
    }

    #[test]
    fn what_a_job_left_is_looked_at_before_it_counts() {
        let mut world = World::builder().component::<Near>().build().expect("a world");
        world.spawn_batch((0..70).map(|_| List::<Near>::new())).expect("rows");
        let component = world.registry.component::<Near>().expect("it was declared");
        let store = &mut world.store;
        let table = store.data_tables().map(|(index, _)| index).last().expect("a table");
        let (rows, room) = (64..67, ListRoom { first: 10, room: 5 });
        let mut left = |spans: [(u32, u32); 3]| {
            store.begin_lists(component, 20).expect("room");
            let first = usize::from(store.tables[table as usize].shape.slot(component).expect("it has them").first);
            for (row, (start, length)) in (64..).zip(spans) {
                for (column, word) in [(first, start), (first + 1, length)] {
                    store.column_bytes_mut(table, column)[4 * row..4 * row + 4].copy_from_slice(&word.to_le_bytes());
                }
            }
            let found = store.built_lists(component, (table, &rows), room);
            let (starts, lengths) = store.spans(table, component).expect("it has them");
            assert!(starts[..64].iter().chain(&lengths[..64]).all(|word| *word == 0), "lists are empty at first");
            (found, starts[64..67].to_vec())
        };
        assert_eq!(left([(12, 3), (10, 2), (NOT_PLACED, 0)]), (BuiltLists::Whole(5), vec![12, 10, 0]));
        assert_eq!(left([(10, 5), (15, 0), (NOT_PLACED, 0)]).0, BuiltLists::Whole(5));
        assert_eq!(left([(10, 4), (NOT_PLACED, 4), (14, 1)]).0, BuiltLists::Lacking(9));
        assert_eq!(left([(10, 1), (9, 1), (11, 1)]).0, BuiltLists::Outside(65));
        assert_eq!(left([(10, 1), (11, 1), (12, 4)]).0, BuiltLists::Outside(66));
        assert_eq!(left([(12, u32::MAX), (NOT_PLACED, 0), (NOT_PLACED, 0)]).0, BuiltLists::Outside(64));
        assert_eq!(left([(16, 0), (NOT_PLACED, 0), (NOT_PLACED, 0)]).0, BuiltLists::Outside(64));
        let too_many = world.store.begin_lists(component, u64::from(u32::MAX)).expect_err("one more than has a place");
        assert!(too_many.to_string().contains("near"), "{too_many}");
    }
}
