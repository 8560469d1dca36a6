//! Rows that a mask leaves in short pieces, put side by side: one call of a kernel instead of one for each piece.
//!
//! Invariants
//! - A row's place among the gathered rows is its place in the table's order; nothing of this depends on workers.
//! - Written columns are built in place here and go back to the rows that they came from, and to no others.
#![expect(unsafe_code, reason = "copies single rows out of columns and back")]

use std::cell::Cell;

use crate::Entity;
use crate::column::{RawColumn, RowState, carry_over};

/// Pieces of fewer rows than this, on average, are gathered: a call costs about as much as moving so many rows.
const PIECE_ROWS: u32 = 16;

/// Memory for columns, aligned as columns are.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u64; 8]);

/// How the rows that a mask leaves lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pieces {
    None,
    All,
    /// Few and long: each is worth a call.
    Long,
    /// Many and short: to be gathered.
    Short,
}

impl Pieces {
    /// Of `len` rows, a bit each; bits past them are clear.
    pub(crate) fn of(words: &[u64], len: u32) -> Self {
        let (mut ones, mut pieces, mut before) = (0, 0, 0);
        for word in words {
            ones += word.count_ones();
            pieces += (word & !(word << 1 | before)).count_ones();
            before = word >> 63;
        }
        match ones {
            0 => Pieces::None,
            _ if ones == len => Pieces::All,
            _ if ones / pieces < PIECE_ROWS && pieces > 1 => Pieces::Short,
            _ => Pieces::Long,
        }
    }
}

/// Gathered rows of one call, and their memory, which is kept.
#[derive(Default)]
pub(crate) struct Gathered {
    /// Their places in the job.
    places: Vec<u32>,
    /// Their places in the table.
    pub rows: Vec<u32>,
    pub entities: Vec<Entity>,
    memory: Vec<Vec<Line>>,
    pub columns: Vec<RawColumn>,
    pub states: Vec<Cell<RowState>>,
}

impl Gathered {
    /// Takes the rows whose bits are set out of a job's columns. `first`: the job's first row.
    ///
    /// # Safety
    /// Each column has a row for every set bit, at `new` where its state says so and at `old` otherwise, and nobody writes
    /// them meanwhile.
    pub(crate) unsafe fn take(
        &mut self,
        words: &[u64],
        first: u32,
        columns: &[RawColumn],
        states: &[Cell<RowState>],
        entities: &[Entity],
    ) {
        self.places.clear();
        for (index, word) in words.iter().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                self.places.push(index as u32 * 64 + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
        self.rows.clear();
        self.rows.extend(self.places.iter().map(|place| first + place));
        self.entities.clear();
        self.entities.extend(self.places.iter().map(|place| entities[*place as usize]));
        self.memory.resize_with(self.memory.len().max(columns.len()), Vec::new);
        self.columns.clear();
        self.states.clear();
        for ((column, state), memory) in columns.iter().zip(states).zip(&mut self.memory) {
            let bytes = column.ty.bytes();
            let lines = (self.places.len() * bytes).div_ceil(size_of::<Line>());
            if memory.len() < lines {
                memory.resize(lines, Line([0; 8]));
            }
            let written = !column.new.is_null();
            let from = if written && state.get().is_new() { column.new.cast_const() } else { column.old };
            let to = memory.as_mut_ptr().cast::<u8>();
            // SAFETY: every place is a row of the column (caller's duty); the memory has room for all of them (above).
            unsafe { copy_rows(&self.places, bytes, from, true, to) };
            let new = if written { to } else { std::ptr::null_mut() };
            self.columns.push(RawColumn { old: to, new, ty: column.ty, len: self.places.len(), streams: false });
            self.states.push(Cell::new(RowState::Whole));
        }
    }

    /// Puts columns that were touched back to the rows that they came from.
    ///
    /// # Safety
    /// `columns` and `states` are those that were taken from, and no slice of them or of the gathered ones is in use.
    pub(crate) unsafe fn put(&self, columns: &[RawColumn], states: &[Cell<RowState>]) {
        let gathered = self.columns.iter().zip(&self.states);
        for ((column, state), (gathered, touched)) in columns.iter().zip(states).zip(gathered) {
            if touched.get() != RowState::Touched {
                continue;
            }
            if !state.get().is_new() {
                // SAFETY: the caller's duty.
                unsafe { carry_over(column, 0..0) };
            }
            state.set(RowState::Touched);
            // SAFETY: every place is a row of the column, and of it alone for this job (caller's duty).
            unsafe { copy_rows(&self.places, column.ty.bytes(), gathered.old, false, column.new) };
        }
    }

    /// Leaves the memory to its remaining holders for ever.
    pub(crate) fn abandon(&mut self) {
        std::mem::take(&mut self.memory).into_iter().for_each(std::mem::forget);
        std::mem::forget(std::mem::take(&mut self.entities));
        self.columns.clear();
    }
}

/// Copies one row for every place: from its place to the next in turn (`gather`), or the other way round.
///
/// # Safety
/// One side has every place as a row, the other as many rows as there are places; they do not overlap.
pub(crate) unsafe fn copy_rows(places: &[u32], bytes: usize, from: *const u8, gather: bool, to: *mut u8) {
    macro_rules! rows {
        ($($size:literal)*) => {
            match bytes {
                $($size => for (index, place) in places.iter().enumerate() {
                    let place = *place as usize;
                    let (source, target) = if gather { (place, index) } else { (index, place) };
                    // SAFETY: rows of both sides (caller's duty); columns are not assumed to be aligned.
                    unsafe { std::ptr::copy_nonoverlapping(from.add(source * $size), to.add(target * $size), $size) };
                },)*
                _ => for (index, place) in places.iter().enumerate() {
                    let place = *place as usize;
                    let (source, target) = if gather { (place, index) } else { (index, place) };
                    // SAFETY: as above.
                    unsafe { std::ptr::copy_nonoverlapping(from.add(source * bytes), to.add(target * bytes), bytes) };
                },
            }
        };
    }
    rows!(1 2 4 8 12 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::{FieldType, ScalarType};

    #[test]
    fn pieces_are_told_by_their_length() {
        assert_eq!(Pieces::of(&[0, 0], 128), Pieces::None);
        assert_eq!(Pieces::of(&[u64::MAX, 1], 65), Pieces::All);
        assert_eq!(Pieces::of(&[u64::MAX << 63, 1], 100), Pieces::Long, "one piece of two rows, over a word's end");
        assert_eq!(Pieces::of(&[0x5555_5555_5555_5555; 2], 128), Pieces::Short);
        assert_eq!(Pieces::of(&[0xFFFF_FFFF, 0xFFFF_FFFF], 128), Pieces::Long);
    }

    proptest! {
        #[test]
        fn rows_come_back_to_where_they_were(
            words in prop::collection::vec(any::<u64>(), 1..4),
            scalar in prop::sample::select(vec![ScalarType::U8, ScalarType::U16, ScalarType::F32, ScalarType::U64]),
            len in 1u32..5,
        ) {
            let ty = FieldType::array(scalar, len);
            let (rows, bytes) = (words.len() * 64, ty.bytes());
            let read: Vec<u8> = (0..rows * bytes).map(|byte| byte as u8).collect();
            let mut written: Vec<u8> = read.iter().map(|byte| byte.wrapping_mul(7)).collect();
            let before = written.clone();
            let entities: Vec<Entity> = (0..rows as u32).map(|row| Entity::from_bits(u64::from(row) | 1 << 32)).collect();
            let columns = [
                RawColumn { old: read.as_ptr(), new: std::ptr::null_mut(), ty, len: rows, streams: false },
                RawColumn { old: written.as_ptr(), new: written.as_mut_ptr(), ty, len: rows, streams: false },
            ];
            let states = [Cell::new(RowState::Whole), Cell::new(RowState::Whole)];
            let mut gathered = Gathered::default();
            // SAFETY: as many rows as bits in both.
            unsafe { gathered.take(&words, 1_000, &columns, &states, &entities) };
            let places: Vec<usize> = (0..rows).filter(|row| words[row / 64] >> (row % 64) & 1 == 1).collect();
            prop_assert_eq!(gathered.rows.iter().map(|row| *row as usize - 1_000).collect::<Vec<_>>(), places.clone());
            for (at, place) in places.iter().enumerate() {
                prop_assert_eq!(gathered.entities[at], entities[*place]);
                // SAFETY: gathered rows.
                let (one, two) = unsafe {
                    (
                        std::slice::from_raw_parts(gathered.columns[0].old.add(at * bytes), bytes),
                        std::slice::from_raw_parts_mut(gathered.columns[1].new.add(at * bytes), bytes),
                    )
                };
                prop_assert_eq!(one, &read[place * bytes..][..bytes]);
                prop_assert_eq!(&two[..], &before[place * bytes..][..bytes]);
                two.fill(at as u8);
                gathered.states[1].set(RowState::Touched);
            }
            // SAFETY: the same columns, and no slice of them is in use.
            unsafe { gathered.put(&columns, &states) };
            let mut want = before;
            for (at, place) in places.iter().enumerate() {
                want[place * bytes..][..bytes].fill(at as u8);
            }
            prop_assert_eq!(written, want);
        }
    }
}
