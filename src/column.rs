//! Column slices as kernels get them: `&[T]` to read, [`Mut`] to write.
//!
//! A written column has two addresses: the rows as they were when the batch began (`old`) and the rows that the batch
//! is building (`new`). Where the engine builds in place they are the same address. [`Mut`] hides the difference:
//! reading shows the old rows until the first mutable access, which copies them over (one job's rows, cache-sized),
//! and the `map` methods read old and write new in one pass without any copy. Every way to a mutable row notes that the
//! column was touched ([`RowState`]): a column that no kernel touched costs nothing.
//!
//! Invariant: a [`RawColumn`] names memory that stays mapped for its lifetime, `len` rows of `ty` at both addresses,
//! aligned to [`COLUMN_ALIGN`](crate::limits::COLUMN_ALIGN) at row 0 of the table; nobody else writes `new`'s rows and nobody at all writes `old`'s
//! (unless both are the same address) while it lives.
#![expect(unsafe_code, reason = "turns a job's own rows into slices; the only place where column memory becomes &mut")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};

use crate::layout::FieldType;
use crate::simd::map as simd;
use crate::small::{AsF32, narrow as small};
use crate::value::ColumnItem;

/// One column of one job: addresses of its first own row, type and length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawColumn {
    /// The rows as they were when the batch began.
    pub old: *const u8,
    /// The rows being built; null where the column is only read.
    pub new: *mut u8,
    /// The item type.
    pub ty: FieldType,
    /// Rows.
    pub len: usize,
    /// Whether new rows that nobody reads soon go past the caches.
    pub streams: bool,
}

/// Where a written column's rows are, and whether a kernel had them to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowState {
    /// At `old`; what is at `new` is what the extent held before.
    Old,
    /// At `old`, but somebody was shown `new` and may have left anything there.
    Shown,
    /// At `new`, whole, and not touched since.
    Whole,
    /// At `new`, whole, and touched.
    Touched,
}

impl RowState {
    /// Whether the rows are at `new`.
    #[inline]
    pub(crate) fn is_new(self) -> bool {
        matches!(self, RowState::Whole | RowState::Touched)
    }
}

enum Columns<'a> {
    Borrowed(&'a [RawColumn]),
    Owned(Vec<RawColumn>),
}

impl Columns<'_> {
    fn get(&self, index: usize) -> Option<&RawColumn> {
        match self {
            Columns::Borrowed(columns) => columns.get(index),
            Columns::Owned(columns) => columns.get(index),
        }
    }
}

/// Hands out a job's columns one after the other, checking each one's type.
pub struct ColumnCursor<'a> {
    columns: Columns<'a>,
    states: &'a [Cell<RowState>],
    next: usize,
}

impl<'a> ColumnCursor<'a> {
    /// A cursor over `columns`; `states[i]` says where column i's rows are, and whether they were touched.
    ///
    /// # Safety
    /// - Each column is as the module's invariant says for all of `'a`.
    /// - No column is handed out mutably by another cursor during `'a`, and no two columns with a `new` overlap.
    pub(crate) unsafe fn new(columns: &'a [RawColumn], states: &'a [Cell<RowState>]) -> Self {
        assert!(
            states.is_empty() || columns.len() == states.len(),
            "one state per column, or none where nothing is written"
        );
        ColumnCursor { columns: Columns::Borrowed(columns), states, next: 0 }
    }

    fn take<T: ColumnItem>(&mut self) -> (RawColumn, usize) {
        let index = self.next;
        let column = *self.columns.get(index).expect("a component takes as many columns as it declares fields");
        assert_eq!(column.ty, T::TYPE, "a component takes its columns in the order and with the types it declares");
        self.next += 1;
        (column, index)
    }

    /// The next column, to read.
    ///
    /// # Panics
    /// When the next column is of another type, or there is none.
    pub fn read<T: ColumnItem>(&mut self) -> &'a [T] {
        let (column, _) = self.take::<T>();
        assert!(column.new.is_null(), "a written column is taken with `write`");
        // SAFETY: the type was checked, `len` rows of it are mapped and frozen for 'a (contract of `new`).
        unsafe { std::slice::from_raw_parts(column.old.cast::<T>(), column.len) }
    }

    /// The next column, whatever its type, as bytes to read.
    pub(crate) fn read_bytes(&mut self) -> Option<(FieldType, &'a [u8])> {
        let column = *self.columns.get(self.next)?;
        assert!(column.new.is_null(), "a written column is taken with `write_bytes`");
        self.next += 1;
        // SAFETY: `len` rows of the type are mapped and frozen for 'a (contract of `new`).
        Some((column.ty, unsafe { std::slice::from_raw_parts(column.old, column.len * column.ty.bytes()) }))
    }

    /// The next column, whatever its type, as bytes to write.
    pub(crate) fn write_bytes(&mut self) -> Option<(FieldType, Mut<'a, u8>)> {
        let RawColumn { old, new, ty, len, .. } = *self.columns.get(self.next)?;
        assert!(!new.is_null(), "a read column is taken with `read_bytes`");
        let state = &self.states[self.next];
        self.next += 1;
        Some((ty, Mut { old, new, len: len * ty.bytes(), state, streams: false, rows: PhantomData }))
    }

    /// The next column, to write.
    ///
    /// # Panics
    /// When the next column is of another type, is not declared as written, or there is none.
    pub fn write<T: ColumnItem>(&mut self) -> Mut<'a, T> {
        let (column, index) = self.take::<T>();
        let state = &self.states[index];
        assert!(!column.new.is_null(), "a read column is taken with `read`");
        let RawColumn { old, new, len, streams, .. } = column;
        Mut { old: old.cast(), new: new.cast(), len, state, streams, rows: PhantomData }
    }
}

/// The rows of one written column: a `[T]` in which rows that a kernel does not write keep their values.
///
/// Dereferences to `&[T]` and `&mut [T]`. Reading it changes nothing; a column that a kernel never dereferences mutably is
/// left as it is, at no cost. The `map` methods write every row from the old rows and other columns in
/// one pass; they are the fastest way to write a whole column.
pub struct Mut<'a, T> {
    old: *const T,
    new: *mut T,
    len: usize,
    state: &'a Cell<RowState>,
    streams: bool,
    rows: PhantomData<&'a mut [T]>,
}

impl<'a, T: ColumnItem> Mut<'a, T> {
    /// Makes the new rows whole by copying the old ones, once.
    #[inline]
    fn prepare(&mut self) {
        if self.state.get() != RowState::Touched {
            if !self.in_place() {
                // SAFETY: both name `len` rows (contract of the cursor); they are different extents, so no overlap.
                unsafe { std::ptr::copy_nonoverlapping(self.old, self.new, self.len) };
            }
            self.state.set(RowState::Touched);
        }
    }

    /// Whether new rows already live where they are read: then a pass must go in place.
    #[inline]
    fn in_place(&self) -> bool {
        self.state.get().is_new() || std::ptr::eq(self.old, self.new)
    }

    /// Old rows and new rows as disjoint slices; only where they are different extents.
    #[inline]
    fn split(&mut self) -> (&[T], &mut [T]) {
        debug_assert!(!self.in_place());
        // SAFETY: different extents, so disjoint; `len` initialised rows each (any bytes are a `T`: Pod).
        unsafe { (std::slice::from_raw_parts(self.old, self.len), std::slice::from_raw_parts_mut(self.new, self.len)) }
    }

    /// The old rows and the new rows, if they are in different memory: for kernels that write every new row themselves and
    /// call [`Mut::assume_written`] afterwards. Until then the new rows hold arbitrary old values.
    #[must_use]
    pub fn split_new(&mut self) -> Option<(&[T], &mut [T])> {
        if self.in_place() {
            return None;
        }
        self.state.set(RowState::Shown);
        Some(self.split())
    }

    /// Declares that every row was written through [`Mut::split_new`]. Without this call the old rows are kept.
    pub fn assume_written(&mut self) {
        self.state.set(RowState::Touched);
    }

    /// The addresses of the old and of the new rows, for other languages; they are equal if both are the same memory. The
    /// call itself changes nothing. Code that writes to the second address must write every row and then call
    /// [`Mut::assume_written`], or fail the job.
    #[must_use]
    pub fn addresses(&mut self) -> (*const T, *mut T) {
        if self.in_place() { (self.new.cast_const(), self.new) } else { (self.old, self.new) }
    }

    /// Sets every row to `f(row)`.
    #[inline]
    pub fn map(&mut self, f: impl FnMut(T) -> T) {
        if self.in_place() {
            simd::map_in_place(self, f);
        } else {
            let streams = self.streams;
            let (old, new) = self.split();
            if streams {
                simd::map_streamed(new, old, f)
            } else {
                simd::map(new, old, f)
            }
            self.state.set(RowState::Touched);
        }
    }

    /// Sets every row to `f(row, a's row)`.
    ///
    /// # Panics
    /// When `a` has another length.
    #[inline]
    pub fn map_with<A: Copy>(&mut self, a: &[A], f: impl FnMut(T, A) -> T) {
        assert_eq!(a.len(), self.len, "columns of one chunk have one length");
        if self.in_place() {
            simd::map_with_in_place(self, a, f);
        } else {
            let streams = self.streams;
            let (old, new) = self.split();
            if streams {
                simd::map_with_streamed(new, old, a, f)
            } else {
                simd::map_with(new, old, a, f)
            }
            self.state.set(RowState::Touched);
        }
    }

    /// Sets every row to `f(row, a's row, b's row)`.
    ///
    /// # Panics
    /// When `a` or `b` has another length.
    #[inline]
    pub fn map_with2<A: Copy, B: Copy>(&mut self, a: &[A], b: &[B], f: impl FnMut(T, A, B) -> T) {
        assert!(a.len() == self.len && b.len() == self.len, "columns of one chunk have one length");
        if self.in_place() {
            simd::map_with2_in_place(self, a, b, f);
        } else {
            let streams = self.streams;
            let (old, new) = self.split();
            if streams {
                simd::map_with2_streamed(new, old, a, b, f)
            } else {
                simd::map_with2(new, old, a, b, f)
            }
            self.state.set(RowState::Touched);
        }
    }
}

impl<T: AsF32> Mut<'_, T> {
    /// Sets every row to `f(row)`, which sees `f32`: small numbers are converted in registers.
    ///
    /// ```
    /// use hypostyle::small::Bf16;
    /// use hypostyle::{Component, System, Write};
    /// #[derive(Clone, Copy, Component)]
    /// struct Heat { kelvin: Bf16 }
    /// let cool = System::rows::<Write<Heat>>("cool", |_, mut heat| heat.kelvin.map_f32(|kelvin| kelvin * 0.99));
    /// # let _ = cool;
    /// ```
    #[inline]
    pub fn map_f32(&mut self, f: impl FnMut(f32) -> f32) {
        if self.in_place() {
            return small::map_in_place(self, f);
        }
        let streams = self.streams;
        let (old, new) = self.split();
        if streams {
            small::map_streamed(new, old, f)
        } else {
            small::map(new, old, f)
        }
        self.state.set(RowState::Touched);
    }

    /// Sets every row to `f(row, a's row)`, which sees `f32`.
    ///
    /// # Panics
    /// When `a` has another length.
    ///
    /// ```
    /// use hypostyle::small::F16;
    /// use hypostyle::{Component, Read, System, Write};
    /// #[derive(Clone, Copy, Component)]
    /// struct Place { x: f32 }
    /// #[derive(Clone, Copy, Component)]
    /// struct Speed { x: F16 }
    /// let fly = System::rows::<(Write<Place>, Read<Speed>)>("fly", |job, (mut place, speed)| {
    ///     let dt = job.dt() as f32;
    ///     place.x.map_f32_with(speed.x, |x, v| x + v * dt);
    /// });
    /// # let _ = fly;
    /// ```
    #[inline]
    pub fn map_f32_with<A: AsF32>(&mut self, a: &[A], f: impl FnMut(f32, f32) -> f32) {
        assert_eq!(a.len(), self.len, "columns of one chunk have one length");
        if self.in_place() {
            return small::map_with_in_place(self, a, f);
        }
        let streams = self.streams;
        let (old, new) = self.split();
        if streams {
            small::map_with_streamed(new, old, a, f)
        } else {
            small::map_with(new, old, a, f)
        }
        self.state.set(RowState::Touched);
    }
}

impl<T: ColumnItem> Deref for Mut<'_, T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        let rows = if self.state.get().is_new() { self.new.cast_const() } else { self.old };
        // SAFETY: `len` rows at either address; the borrow of self keeps `deref_mut` away.
        unsafe { std::slice::from_raw_parts(rows, self.len) }
    }
}

impl<T: ColumnItem> DerefMut for Mut<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.prepare();
        // SAFETY: own rows, whole since `prepare`, borrowed through &mut self.
        unsafe { std::slice::from_raw_parts_mut(self.new, self.len) }
    }
}

impl<'a> ColumnCursor<'a> {
    /// A cursor over frozen bytes: one (type, bytes) per field, `rows` rows each.
    ///
    /// # Panics
    /// When a field has other bytes than so many rows of its type.
    pub(crate) fn of_bytes(columns: &[(FieldType, &'a [u8])], rows: usize) -> Self {
        let raw: Vec<RawColumn> = columns
            .iter()
            .map(|(ty, bytes)| {
                assert_eq!(bytes.len(), rows * ty.bytes(), "whole rows");
                assert!(bytes.as_ptr().addr().is_multiple_of(ty.scalar.bytes()), "columns are aligned");
                RawColumn { old: bytes.as_ptr(), new: std::ptr::null_mut(), ty: *ty, len: rows, streams: false }
            })
            .collect();
        // shared slices of 'a, `rows` aligned rows each (asserted), only read: what the cursor asks for
        ColumnCursor { columns: Columns::Owned(raw), states: &[], next: 0 }
    }
}

/// After a kernel's call on `columns`: rows that it was shown and did not say it wrote are again what they were.
///
/// # Safety
/// As for [`ColumnCursor::new`], and no slice of the cursor is in use any more.
pub(crate) unsafe fn settle(columns: &[RawColumn], states: &[Cell<RowState>]) {
    for (column, state) in columns.iter().zip(states) {
        if state.get() == RowState::Shown {
            // SAFETY: the caller's duty.
            unsafe { carry_over(column, 0..0) };
            state.set(RowState::Old);
        }
    }
}

/// Copies a column's old rows to the new ones, but for `piece`, which was written.
///
/// # Safety
/// As for [`ColumnCursor::new`], and no slice of the cursor is in use any more.
pub(crate) unsafe fn carry_over(column: &RawColumn, piece: Range<usize>) {
    if std::ptr::eq(column.old, column.new) {
        return;
    }
    let bytes = column.ty.bytes();
    for rows in [0..piece.start, piece.end..column.len] {
        let (at, len) = (rows.start * bytes, (rows.end - rows.start) * bytes);
        // SAFETY: different extents with `len` rows each (caller's duty), and `rows` among them.
        unsafe { std::ptr::copy_nonoverlapping(column.old.add(at), column.new.add(at), len) };
    }
}

/// Sets the bit of every row whose bytes differ; whole words of rows that do not are passed over at once.
pub(crate) fn note_changes(before: &[u8], after: &[u8], row_bytes: usize, words: &mut [u64]) {
    let chunk = 64 * row_bytes;
    for ((before, after), word) in before.chunks(chunk).zip(after.chunks(chunk)).zip(words) {
        if before == after {
            continue;
        }
        let rows = before.chunks_exact(row_bytes).zip(after.chunks_exact(row_bytes));
        for (row, (before, after)) in rows.enumerate() {
            *word |= u64::from(before != after) << row;
        }
    }
}

#[cfg(test)]
mod tests;
