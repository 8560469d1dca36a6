//! Many values at once: entities looked up in bulk, values written to scattered rows column by column.
//!
//! A set patch is a few bytes; what costs is waiting for memory. Here every pass does one kind of access for a whole
//! block of entries, so that the machine has many of them in flight, and what the store keeps beside the bytes (chunk
//! stamps, catch-up notes) is noted once per block where the rows follow one another.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::limits::CHUNK_ROWS;
use crate::table::{Item, LOCATION_FREE, Stale};

use super::Store;
use super::arena::Arena;

/// Packed values at equal distances: entry `i` begins at `i * stride`, and the value at `at` in it.
#[derive(Clone, Copy)]
pub(crate) struct Values<'v> {
    pub bytes: &'v [u8],
    pub stride: usize,
    pub at: usize,
}

impl<'v> Values<'v> {
    #[inline]
    pub(super) fn get(self, index: usize, bytes: usize) -> &'v [u8] {
        let start = index * self.stride + self.at;
        &self.bytes[start..start + bytes]
    }

    #[inline]
    fn array<const N: usize>(self, index: usize) -> [u8; N] {
        self.get(index, N).try_into().expect("N bytes were asked for")
    }
}

/// Whether each row follows the one before.
pub(crate) fn consecutive(rows: &[u32]) -> bool {
    let first = rows.first().copied().unwrap_or(0);
    // no early exit: this way it is a vector loop
    rows.iter().zip(0u32..).map(|(row, index)| row.wrapping_sub(index) ^ first).fold(0, |any, bits| any | bits) == 0
}

fn write_in_order<const N: usize>(data: &mut [u8], values: Values<'_>) {
    let data: &mut [[u8; N]] = bytemuck::cast_slice_mut(data);
    for (to, entry) in data.iter_mut().zip(values.bytes.chunks_exact(values.stride)) {
        to.copy_from_slice(&entry[values.at..values.at + N]);
    }
}

fn write<const N: usize>(data: &mut [u8], rows: &[u32], values: Values<'_>, picks: Option<&[u32]>, in_order: bool) {
    let data: &mut [[u8; N]] = bytemuck::cast_slice_mut(data);
    match (picks, in_order, rows.first()) {
        (None, true, Some(first)) => {
            let first = *first as usize;
            write_in_order::<N>(data[first..first + rows.len()].as_flattened_mut(), values);
        }
        (None, ..) => {
            for row in rows {
                Arena::prefetch(data, *row as usize);
            }
            for (row, entry) in rows.iter().zip(values.bytes.chunks_exact(values.stride)) {
                data[*row as usize].copy_from_slice(&entry[values.at..values.at + N]);
            }
        }
        (Some(picks), ..) => {
            for (row, pick) in rows.iter().zip(picks) {
                data[*row as usize] = values.array(*pick as usize);
            }
        }
    }
}

/// Calls `f` with the maximal runs of consecutive numbers in an ascending or descending list of rows.
fn runs(rows: &[u32], mut f: impl FnMut(u32, u32)) {
    let mut index = 0;
    while index < rows.len() {
        let begin = index;
        while index + 1 < rows.len() && rows[index + 1] == rows[index].wrapping_add(1) {
            index += 1;
        }
        let mut end = index;
        if begin == index {
            while end + 1 < rows.len() && rows[end + 1] == rows[end].wrapping_sub(1) {
                end += 1;
            }
        }
        if end > index {
            f(rows[end], (end - begin + 1) as u32);
            index = end + 1;
        } else {
            f(rows[begin], (index - begin + 1) as u32);
            index += 1;
        }
    }
}

pub(super) fn note(stamps: &mut [u64], stale: &mut Stale, stamp: u64, rows_total: u32, rows: &[u32], in_order: bool) {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
    if in_order {
        stamps[*first as usize / CHUNK_ROWS..=*last as usize / CHUNK_ROWS].fill(stamp);
        stale.add(*first, rows.len() as u32, rows_total);
        return;
    }
    for row in rows {
        stamps[*row as usize / CHUNK_ROWS] = stamp;
    }
    if stale.runs().is_some() {
        runs(rows, |start, len| stale.add(start, len, rows_total));
    }
}

/// Copies runs (start, rows) of rows of `bytes` each from one column to another; what lies beyond `rows` is left out.
pub(crate) fn copy_runs(bytes: usize, from: &[u8], to: &mut [u8], runs: &[(u32, u32)], rows: u32) {
    fn typed<const N: usize>(from: &[u8], to: &mut [u8], runs: &[(u32, u32)], rows: u32) {
        let (from, to): (&[[u8; N]], &mut [[u8; N]]) = (bytemuck::cast_slice(from), bytemuck::cast_slice_mut(to));
        for &(start, len) in runs {
            let (first, end) = (start.min(rows) as usize, start.saturating_add(len).min(rows) as usize);
            // most runs are single rows, which are not worth a call of memcpy
            if len == 1 && first < end {
                to[first] = from[first];
            } else {
                to[first..end].copy_from_slice(&from[first..end]);
            }
        }
    }
    match bytes {
        1 => typed::<1>(from, to, runs, rows),
        2 => typed::<2>(from, to, runs, rows),
        4 => typed::<4>(from, to, runs, rows),
        8 => typed::<8>(from, to, runs, rows),
        12 => typed::<12>(from, to, runs, rows),
        16 => typed::<16>(from, to, runs, rows),
        _ => {
            for &(start, len) in runs {
                let (first, end) = (start.min(rows) as usize, start.saturating_add(len).min(rows) as usize);
                to[first * bytes..end * bytes].copy_from_slice(&from[first * bytes..end * bytes]);
            }
        }
    }
}

impl Store {
    /// Notes that scattered rows of a building column were written: as [`Store::mark_dirty`] for each of them.
    pub(crate) fn mark_dirty_rows(&mut self, table: u32, column: usize, rows: &[u32]) {
        let stamp = self.published + 1;
        let Store { tables, arena, .. } = self;
        let table = &mut tables[table as usize];
        let (rows_total, capacity) = (table.rows, table.capacity);
        let column = &mut table.columns[column];
        debug_assert!(column.building, "only a building column is written");
        let (stamps_at, total) = column.item.extent_bytes(capacity);
        let stamps = arena.items_mut::<u64>(column.live.offset + stamps_at, ((total - stamps_at) / 8) as usize);
        note(stamps, &mut column.stale, stamp, rows_total, rows, consecutive(rows));
        self.dirty = true;
    }

    /// Writes values to rows in use of a (building) byte column, in the order given, with stamps and catch-up notes.
    /// Row `i` gets the value of entry `picks[i]`, or of entry `i` without picks.
    pub(crate) fn scatter(
        &mut self,
        table: u32,
        column: usize,
        rows: &[u32],
        values: Values<'_>,
        picks: Option<&[u32]>,
    ) {
        self.change_rows(table, column, rows, |data, bytes, in_order| match bytes {
            1 => write::<1>(data, rows, values, picks, in_order),
            2 => write::<2>(data, rows, values, picks, in_order),
            4 => write::<4>(data, rows, values, picks, in_order),
            8 => write::<8>(data, rows, values, picks, in_order),
            12 => write::<12>(data, rows, values, picks, in_order),
            16 => write::<16>(data, rows, values, picks, in_order),
            _ => {
                for (index, row) in rows.iter().enumerate() {
                    let entry = picks.map_or(index, |picks| picks[index] as usize);
                    let start = *row as usize * bytes;
                    data[start..start + bytes].copy_from_slice(values.get(entry, bytes));
                }
            }
        });
    }

    /// Has `change` write to rows in use of a (building) byte column, and notes them for stamps and catch-up. It gets the
    /// column's bytes, those of one value, and whether each row follows the one before.
    pub(super) fn change_rows(
        &mut self,
        table: u32,
        column: usize,
        rows: &[u32],
        change: impl FnOnce(&mut [u8], usize, bool),
    ) {
        if rows.is_empty() {
            return;
        }
        let stamp = self.published + 1;
        let Store { tables, arena, .. } = self;
        let table = &mut tables[table as usize];
        let (rows_total, capacity) = (table.rows, table.capacity);
        let column = &mut table.columns[column];
        debug_assert!(column.building, "only a building column is written");
        let Item::Bytes(bytes) = column.item else { unreachable!("values are stored in bytes") };
        let bytes = bytes as usize;
        let (stamps_at, total) = column.item.extent_bytes(capacity);
        let (data, stamps) = arena.bytes_mut(column.live.offset, total).split_at_mut(stamps_at as usize);
        let in_order = consecutive(rows);
        change(&mut data[..rows_total as usize * bytes], bytes, in_order);
        note(bytemuck::cast_slice_mut(stamps), &mut column.stale, stamp, rows_total, rows, in_order);
        self.dirty = true;
    }

    /// Writes a component's packed values to rows from `row` on that are not in use yet, of a building table: the caller appends
    /// them notes them. The bytes of one value.
    pub(crate) fn write_unused(&mut self, table: u32, component: u16, row: u32, mut values: Values<'_>) -> usize {
        let Store { tables, arena, .. } = self;
        let table = &tables[table as usize];
        let slot = table.shape.slot(component).expect("the caller looked the component up");
        let n = values.bytes.len() / values.stride;
        let begin = values.at;
        for column in &table.columns[usize::from(slot.first)..usize::from(slot.first + slot.fields)] {
            debug_assert!(column.building, "rows are written in building columns");
            let Item::Bytes(bytes) = column.item else { unreachable!("values are stored in bytes") };
            let bytes = bytes as usize;
            let data = arena.bytes_mut(column.live.offset + u64::from(row) * bytes as u64, (n * bytes) as u64);
            match bytes {
                4 => write_in_order::<4>(data, values),
                8 => write_in_order::<8>(data, values),
                _ => {
                    for (to, entry) in data.chunks_exact_mut(bytes).zip(values.bytes.chunks_exact(values.stride)) {
                        to.copy_from_slice(&entry[values.at..values.at + bytes]);
                    }
                }
            }
            values.at += bytes;
        }
        values.at - begin
    }

    /// The entity map's words of entities: table and row, or [`LOCATION_FREE`] for a stale handle.
    pub(crate) fn locate_all(&self, entities: impl Iterator<Item = Entity> + Clone, out: &mut Vec<u64>) {
        let map = &self.tables[crate::table::ENTITIES as usize];
        let slots = map.rows as usize;
        let locations = self.arena.items::<u64>(map.columns[0].live.offset, slots);
        let generations = self.arena.items::<u32>(map.columns[1].live.offset, slots);
        // the cache has as many loads in flight as it can, not as many as fit between two branches
        for entity in entities.clone() {
            Arena::prefetch(generations, entity.index() as usize);
            Arena::prefetch(locations, entity.index() as usize);
        }
        out.clear();
        out.extend(entities.map(|entity| {
            // both loads are made whatever the first one says: neither waits for the other
            let slot = entity.index() as usize;
            match (generations.get(slot), locations.get(slot)) {
                (Some(generation), Some(location)) => {
                    let stale = u64::from(*generation != entity.generation()).wrapping_neg();
                    *location | stale
                }
                _ => LOCATION_FREE,
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_cover_every_row_once(rows in prop::collection::vec(0u32..50, 0..60)) {
            let mut covered = Vec::new();
            runs(&rows, |start, len| covered.extend(start..start + len));
            let mut want = rows.clone();
            want.sort_unstable();
            covered.sort_unstable();
            prop_assert_eq!(covered, want);
        }
    }

    #[test]
    fn consecutive_rows_are_told_from_others() {
        assert!(consecutive(&[]));
        assert!(consecutive(&[7]));
        assert!(consecutive(&[7, 8, 9]));
        assert!(!consecutive(&[7, 8, 8]));
        assert!(!consecutive(&[9, 8, 7]));
        assert!(!consecutive(&[7, 9, 8, 10]));
    }
}
