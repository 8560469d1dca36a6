//! The data segment as its one writer sees it: byte ranges by offset, bounds-checked.
//!
//! Invariant: the [`Arena`] is the only way in which the writing process's own thread touches column bytes, and it is
//! borrowed mutably for as long as workers run. What workers touch they reach through [`crate::schedule`]'s runner.
//! It knows nothing of tables or generations: offsets come from its caller, who has them from the extent allocator.
#![expect(unsafe_code, reason = "raw column memory becomes byte slices here, for the writer")]

use std::sync::Arc;

use bytemuck::Pod;

use crate::region::Mapping;

/// The writer's view of the data segment.
pub(crate) struct Arena {
    mapping: Arc<Mapping>,
}

impl Arena {
    /// The writer's view of a mapping.
    ///
    /// # Safety
    /// - The mapping is the writer's own (read-write), and no other arena of it exists.
    /// - While a shared slice of a frozen extent is held elsewhere (readers), the caller of the arena does not ask
    ///   for a mutable slice of it.
    pub(crate) unsafe fn new(mapping: Arc<Mapping>) -> Self {
        Arena { mapping }
    }

    #[inline]
    fn check(&self, offset: u64, bytes: u64) -> usize {
        let end = offset.checked_add(bytes).expect("an extent's end fits u64: extents come from the allocator");
        assert!(end <= self.mapping.bytes_max(), "bytes {offset}..{end} lie outside the data segment");
        usize::try_from(offset).expect("an offset inside a mapping fits usize")
    }

    /// The address of an offset.
    pub(crate) fn address(&self, offset: u64) -> *mut u8 {
        let offset = self.check(offset, 0);
        // SAFETY: inside the mapping (checked).
        unsafe { self.mapping.data().add(offset) }
    }

    /// Bytes to read.
    #[inline]
    pub(crate) fn bytes(&self, offset: u64, bytes: u64) -> &[u8] {
        let start = self.check(offset, bytes);
        // SAFETY: inside the mapping (checked); backed, as offsets come from allocated extents; nobody writes while
        // the arena is borrowed shared (module invariant).
        unsafe { std::slice::from_raw_parts(self.mapping.data().add(start), bytes as usize) }
    }

    /// Bytes to write.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, offset: u64, bytes: u64) -> &mut [u8] {
        let start = self.check(offset, bytes);
        // SAFETY: as `bytes`, and exclusive: the arena is borrowed mutably and is the only writer.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.data().add(start), bytes as usize) }
    }

    /// Items to read. `offset` is a multiple of the item's alignment.
    pub(crate) fn items<T: Pod>(&self, offset: u64, count: usize) -> &[T] {
        bytemuck::cast_slice(self.bytes(offset, (count * size_of::<T>()) as u64))
    }

    /// Items to write.
    pub(crate) fn items_mut<T: Pod>(&mut self, offset: u64, count: usize) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes_mut(offset, (count * size_of::<T>()) as u64))
    }

    /// One item. `offset` is a multiple of its alignment.
    #[inline]
    pub(crate) fn item<T: Pod>(&self, offset: u64) -> T {
        *bytemuck::from_bytes(self.bytes(offset, size_of::<T>() as u64))
    }

    /// Writes one item. `offset` is a multiple of its alignment.
    #[inline]
    pub(crate) fn set_item<T: Pod>(&mut self, offset: u64, item: T) {
        *bytemuck::from_bytes_mut(self.bytes_mut(offset, size_of::<T>() as u64)) = item;
    }

    /// Writes a value: the first `bytes` of these.
    #[inline]
    pub(crate) fn write_value(&mut self, to: u64, value: &[u8], bytes: u64) {
        fn typed<const N: usize>(arena: &mut Arena, to: u64, value: &[u8]) {
            arena.bytes_mut(to, N as u64).copy_from_slice(&value[..N]);
        }
        match bytes {
            1 => typed::<1>(self, to, value),
            2 => typed::<2>(self, to, value),
            4 => typed::<4>(self, to, value),
            8 => typed::<8>(self, to, value),
            _ => self.bytes_mut(to, bytes).copy_from_slice(&value[..bytes as usize]),
        }
    }

    /// Reads a value: as many bytes as there is room for.
    #[inline]
    pub(crate) fn read_value(&self, from: u64, value: &mut [u8]) {
        fn typed<const N: usize>(arena: &Arena, from: u64, value: &mut [u8]) {
            value[..N].copy_from_slice(arena.bytes(from, N as u64));
        }
        match value.len() {
            1 => typed::<1>(self, from, value),
            2 => typed::<2>(self, from, value),
            4 => typed::<4>(self, from, value),
            8 => typed::<8>(self, from, value),
            bytes => value.copy_from_slice(self.bytes(from, bytes as u64)),
        }
    }

    /// Asks for the cache line of an item that will be used soon. Any index will do.
    #[inline]
    pub(crate) fn prefetch<T: Pod>(items: &[T], index: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a prefetch has no effect on memory and never faults, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(items.as_ptr().wrapping_add(index).cast());
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = (items, index);
    }

    /// Writes one word. `offset` is a multiple of 8.
    #[inline]
    pub(crate) fn set_word(&mut self, offset: u64, word: u64) {
        let start = self.check(offset, 8);
        assert!(offset.is_multiple_of(8), "words are aligned");
        // SAFETY: inside the mapping and aligned (checked; the mapping begins at a page), exclusive by &mut.
        unsafe { self.mapping.data().add(start).cast::<u64>().write(word) };
    }

    /// Copies one value.
    #[inline(always)]
    pub(crate) fn copy_value(&mut self, from: u64, to: u64, bytes: u64) {
        #[inline(always)]
        fn typed<const N: usize>(arena: &mut Arena, from: u64, to: u64) {
            let (from, to) = (arena.check(from, N as u64), arena.check(to, N as u64));
            let base = arena.mapping.data();
            // SAFETY: both inside the mapping (checked), arrays of bytes have no alignment, exclusive by &mut.
            unsafe { base.add(to).cast::<[u8; N]>().write(base.add(from).cast::<[u8; N]>().read()) };
        }
        match bytes {
            1 => typed::<1>(self, from, to),
            2 => typed::<2>(self, from, to),
            4 => typed::<4>(self, from, to),
            8 => typed::<8>(self, from, to),
            _ => self.copy(from, to, bytes),
        }
    }

    /// Copies between two extents (or within one, where the ranges may overlap).
    pub(crate) fn copy(&mut self, from: u64, to: u64, bytes: u64) {
        let from = self.check(from, bytes);
        let to = self.check(to, bytes);
        let base = self.mapping.data();
        // SAFETY: both inside the mapping (checked), `copy` allows overlap, exclusive by &mut.
        unsafe { std::ptr::copy(base.add(from), base.add(to), bytes as usize) };
    }

    /// One range to read and another to write, which must not overlap.
    #[inline]
    pub(crate) fn disjoint(&mut self, from: u64, from_bytes: u64, to: u64, to_bytes: u64) -> (&[u8], &mut [u8]) {
        assert!(from + from_bytes <= to || to + to_bytes <= from, "the ranges overlap");
        let (from, to) = (self.check(from, from_bytes), self.check(to, to_bytes));
        let base = self.mapping.data();
        // SAFETY: both inside the mapping and disjoint (checked); exclusive by &mut.
        unsafe {
            (
                std::slice::from_raw_parts(base.add(from), from_bytes as usize),
                std::slice::from_raw_parts_mut(base.add(to), to_bytes as usize),
            )
        }
    }
}

/// The arena of a region that was just created or taken over.
pub(crate) fn of_new_region(region: &crate::region::Region) -> Arena {
    // SAFETY: the caller holds the region's writer lock (or a private heap region) and makes one arena of it; readers'
    // extents are never asked for mutably (the store's invariant).
    unsafe { Arena::new(Arc::clone(region.mapping())) }
}
