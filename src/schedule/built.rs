//! Lists that a job builds in place: the spans of its rows, and its own part of the pool.
//!
//! The job writes the elements of one row after those of another, wherever its part of the pool has room. Where it has none
//! any more the rest is counted: main makes the parts larger and the job runs again. It reads nothing of what it writes, so
//! a job that was cut off anywhere runs again with the same result.
#![expect(unsafe_code, reason = "memory of a pool and of spans is written by address")]

use crate::world::store::built::{ListRoom, NOT_PLACED};

/// Packed bytes that are spread over columns at a time.
const PACKED_BYTES: usize = 4096;

/// Where a job builds lists. Kept from job to job for its memory.
///
/// Invariant: while `is_on`, `starts` and `lengths` lead to `rows` words each, and each column to `room` values of so many
/// bytes; all of it is mapped, and this job's alone, until [`Built::end`].
#[derive(Default)]
pub(crate) struct Built {
    on: Option<Spans>,
    columns: Vec<(*mut u8, usize)>,
    /// Bytes of an element.
    element: usize,
    room: ListRoom,
    /// Elements of its room that are taken.
    used: u32,
    packed: Vec<u8>,
}

struct Spans {
    component: u16,
    first_row: u32,
    rows: u32,
    starts: *mut u32,
    lengths: *mut u32,
}

impl Built {
    /// Where the lists of a component's rows go.
    ///
    /// # Safety
    /// - `starts` and `lengths` lead to a word for each of `rows`, and are aligned for it.
    /// - Each of `columns` leads to as many values of so many bytes as `room` says.
    /// - All of it stays mapped, and nobody else touches it, until [`Built::end`].
    pub(crate) unsafe fn begin(
        &mut self,
        component: u16,
        (first_row, rows): (u32, u32),
        (starts, lengths): (*mut u32, *mut u32),
        room: ListRoom,
        columns: impl Iterator<Item = (*mut u8, usize)>,
    ) {
        self.columns.clear();
        self.columns.extend(columns);
        self.element = self.columns.iter().map(|(_, bytes)| bytes).sum();
        (self.room, self.used) = (room, 0);
        for row in 0..rows as usize {
            // SAFETY: a word of each for every row (the caller's duty).
            unsafe { starts.add(row).write(NOT_PLACED) };
            // SAFETY: as above.
            unsafe { lengths.add(row).write(0) };
        }
        self.on = Some(Spans { component, first_row, rows, starts, lengths });
    }

    /// No lists are built any more.
    pub(crate) fn end(&mut self) {
        self.on = None;
        self.columns.clear();
    }

    /// Whether the job builds the lists of a component.
    #[inline]
    pub(crate) fn builds(&self, component: u16) -> bool {
        self.on.as_ref().is_some_and(|spans| spans.component == component)
    }

    /// Sets the list of a row of the job's table to so many elements; `write` puts packed ones, from an index on.
    ///
    /// # Errors
    /// A row that is not the job's, or of which the list is set already.
    #[inline]
    pub(crate) fn put(
        &mut self,
        row: u32,
        length: usize,
        mut write: impl FnMut(usize, &mut [u8]),
    ) -> Result<(), String> {
        let Some(spans) = &self.on else { return Err("the job builds no lists".to_owned()) };
        let Some(at) = row.checked_sub(spans.first_row).filter(|at| *at < spans.rows) else {
            return Err(format!("row {row} is not one of the job's own rows, of which it builds the lists"));
        };
        let at = at as usize;
        // SAFETY: one of the job's rows (checked).
        let (start, before) = unsafe { (*spans.starts.add(at), *spans.lengths.add(at)) };
        if start != NOT_PLACED || before != 0 {
            return Err(format!("the list of row {row} is set twice: a list that is built in place is set once"));
        }
        let length = u32::try_from(length).map_err(|_| format!("the list of row {row} has {length} elements"))?;
        // SAFETY: as above.
        unsafe { spans.lengths.add(at).write(length) };
        if length > self.room.room - self.used {
            // an empty list has a place anywhere
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { spans.starts.add(at).write(self.room.first + self.used) };
        if let [(column, bytes)] = self.columns[..] {
            let (at, total) = (self.used as usize * bytes, length as usize * bytes);
            // SAFETY: so many values from `used` on are in the room (checked).
            write(0, unsafe { std::slice::from_raw_parts_mut(column.add(at), total) });
        } else {
            self.spread(length as usize, write);
        }
        self.used += length;
        Ok(())
    }

    /// Writes elements of several fields: packed first, then field by field.
    fn spread(&mut self, length: usize, mut write: impl FnMut(usize, &mut [u8])) {
        let Built { columns, packed, element, used, .. } = self;
        let most = (PACKED_BYTES / (*element).max(1)).max(1);
        let mut first = 0;
        while first < length {
            let count = most.min(length - first);
            packed.resize(count * *element, 0);
            write(first, packed);
            let mut field = 0;
            for (column, bytes) in columns.iter() {
                let (at, total) = ((*used as usize + first) * bytes, count * bytes);
                // SAFETY: `first + count` is at most `length`, for which there is room from `used` on (the caller has checked).
                let column = unsafe { std::slice::from_raw_parts_mut(column.add(at), total) };
                for (value, element) in column.chunks_exact_mut(*bytes).zip(packed.chunks_exact(*element)) {
                    value.copy_from_slice(&element[field..field + bytes]);
                }
                field += bytes;
            }
            first += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job of three rows from row 64 on, with room for five elements of two fields from element 10 on.
    fn built(test: impl FnOnce(&mut Built)) -> (Vec<u32>, Vec<u32>, Vec<u8>, Vec<u8>) {
        let (mut starts, mut lengths, mut bytes, mut pairs) = (vec![7; 3], vec![7; 3], vec![0u8; 5], vec![0u8; 10]);
        let mut built = Built::default();
        let columns = [(bytes.as_mut_ptr(), 1), (pairs.as_mut_ptr(), 2)];
        let (spans, room) = ((starts.as_mut_ptr(), lengths.as_mut_ptr()), ListRoom { first: 10, room: 5 });
        // SAFETY: vectors of these lengths, which are looked at again once it has ended.
        unsafe { built.begin(3, (64, 3), spans, room, columns.into_iter()) };
        test(&mut built);
        built.end();
        (starts, lengths, bytes, pairs)
    }

    fn put(built: &mut Built, row: u32, values: &[u8]) -> Result<(), String> {
        built.put(row, values.len(), |first, out| {
            for (index, out) in out.chunks_exact_mut(3).enumerate() {
                let value = values[first + index];
                out.copy_from_slice(&[value, value + 1, value + 2]);
            }
        })
    }

    #[test]
    fn lists_stand_one_after_the_other_and_what_finds_no_room_is_counted() {
        let (starts, lengths, bytes, pairs) = built(|built| {
            assert!(built.builds(3) && !built.builds(4));
            assert_eq!(put(built, 66, &[1, 11, 21]), Ok(()));
            assert_eq!(put(built, 64, &[30, 40, 50]), Ok(()), "three more than the two that there is room for");
            assert_eq!(put(built, 65, &[60, 70]), Ok(()));
        });
        assert_eq!((starts, lengths), (vec![NOT_PLACED, 13, 10], vec![3, 2, 3]));
        assert_eq!((bytes, pairs), (vec![1, 11, 21, 60, 70], vec![2, 3, 12, 13, 22, 23, 61, 62, 71, 72]));
    }

    #[test]
    fn a_list_is_set_once_and_of_an_own_row() {
        let (starts, lengths, ..) = built(|built| {
            assert_eq!(put(built, 65, &[]), Ok(()));
            assert!(put(built, 65, &[]).unwrap_err().contains("set twice"));
            assert!(put(built, 63, &[]).unwrap_err().contains("own rows"));
            assert!(put(built, 67, &[]).unwrap_err().contains("own rows"));
        });
        assert_eq!((starts, lengths), (vec![NOT_PLACED, 10, NOT_PLACED], vec![0, 0, 0]));
    }
}
