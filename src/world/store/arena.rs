//! The data segment as its one writer sees it: byte ranges by offset, bounds-checked.
//!
//! Invariant: the [`Arena`] is the only way in which the writing process's own thread touches column bytes, and it is
//! borrowed mutably for as long as workers run. What workers touch they reach through [`crate::schedule`]'s runner.
//! It knows nothing of tables or generations: offsets come from its caller, which has them from the extent allocator.
//!
//! What is checked here is that there is memory behind a range: it lies in the *backed* bytes of the data, which are fewer
//! than `bytes_max`; past them an access would end the process. That a range stays within one extent is the caller's to
//! check, by the column's item and the table's rows ([`super::single`], [`crate::world::access::lookup`]): where he fails, what is read or
//! written is wrong, and of this world.
#![expect(unsafe_code, reason = "raw column memory becomes byte slices here, for the writer")]

use std::sync::Arc;

use bytemuck::Pod;

use crate::region::Mapping;

/// No region has fewer backed bytes.
const SMALL_BYTES_MAX: u64 = crate::limits::PAGE_BYTES;

/// The writer's view of the data segment.
pub(crate) struct Arena {
    /// The mapping's first byte, which is fixed for its life.
    base: *mut u8,
    /// Keeps the bytes mapped, and says how many are backed.
    mapping: Arc<Mapping>,
}

// SAFETY: the address belongs to the mapping, which the arena keeps and which may go to other threads; bytes behind it are
// reached through `&self` to read and `&mut self` to write only.
unsafe impl Send for Arena {}
// SAFETY: as above: `&Arena` reads.
unsafe impl Sync for Arena {}

impl Arena {
    /// The writer's view of a mapping.
    ///
    /// # Safety
    /// - The mapping is the writer's own (read-write), and no other arena of it exists.
    /// - While a shared slice of a frozen extent is held elsewhere (readers), the caller of the arena does not ask
    ///   for a mutable slice of it.
    pub(crate) unsafe fn new(mapping: Arc<Mapping>) -> Self {
        assert!(mapping.backed() >= SMALL_BYTES_MAX, "a region has a page at least");
        Arena { base: mapping.data(), mapping }
    }

    #[inline(always)]
    fn check(&self, offset: u64, bytes: u64) -> usize {
        let backed = self.mapping.backed();
        // one comparison where the length is known: a page is always backed
        let inside = if bytes <= SMALL_BYTES_MAX {
            offset <= backed - bytes
        } else {
            offset.checked_add(bytes).is_some_and(|end| end <= backed)
        };
        if !inside {
            Self::outside(offset, bytes);
        }
        offset as usize // inside a mapping
    }

    #[cold]
    #[inline(never)]
    fn outside(offset: u64, bytes: u64) -> ! {
        panic!("{bytes} bytes at {offset} lie outside the data that there is memory for");
    }

    /// The address of an offset.
    pub(crate) fn address(&self, offset: u64) -> *mut u8 {
        let offset = self.check(offset, 0);
        // SAFETY: inside the mapping's backed bytes (checked).
        unsafe { self.base.add(offset) }
    }

    /// Bytes to read.
    #[inline(always)]
    pub(crate) fn bytes(&self, offset: u64, bytes: u64) -> &[u8] {
        let start = self.check(offset, bytes);
        // SAFETY: mapped and backed (checked); nobody writes while the arena is borrowed shared (module invariant).
        unsafe { std::slice::from_raw_parts(self.base.add(start), bytes as usize) }
    }

    /// Bytes to write.
    #[inline(always)]
    pub(crate) fn bytes_mut(&mut self, offset: u64, bytes: u64) -> &mut [u8] {
        let start = self.check(offset, bytes);
        // SAFETY: as `bytes`, and exclusive: the arena is borrowed mutably and is the only writer.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(start), bytes as usize) }
    }

    /// Items to read. `offset` is a multiple of the item's alignment.
    pub(crate) fn items<T: Pod>(&self, offset: u64, count: usize) -> &[T] {
        bytemuck::cast_slice(self.bytes(offset, (count * size_of::<T>()) as u64))
    }

    /// Items to write.
    pub(crate) fn items_mut<T: Pod>(&mut self, offset: u64, count: usize) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes_mut(offset, (count * size_of::<T>()) as u64))
    }

    /// One item.
    #[inline(always)]
    pub(crate) fn item<T: Pod>(&self, offset: u64) -> T {
        let start = self.check(offset, size_of::<T>() as u64);
        // SAFETY: mapped and backed (checked), any bytes are a `T`, and no alignment is asked for; nobody writes while
        // the arena is borrowed shared (module invariant).
        unsafe { self.base.add(start).cast::<T>().read_unaligned() }
    }

    /// Writes one item.
    #[inline(always)]
    pub(crate) fn set_item<T: Pod>(&mut self, offset: u64, item: T) {
        let start = self.check(offset, size_of::<T>() as u64);
        // SAFETY: mapped and backed (checked), no alignment is asked for, exclusive by &mut.
        unsafe { self.base.add(start).cast::<T>().write_unaligned(item) };
    }

    /// Writes a value.
    #[inline(always)]
    pub(crate) fn write_value(&mut self, to: u64, value: &[u8]) {
        self.bytes_mut(to, value.len() as u64).copy_from_slice(value);
    }

    /// Reads a value: as many bytes as there is room for.
    #[inline(always)]
    pub(crate) fn read_value(&self, from: u64, value: &mut [u8]) {
        value.copy_from_slice(self.bytes(from, value.len() as u64));
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

    /// Writes one word.
    #[inline(always)]
    pub(crate) fn set_word(&mut self, offset: u64, word: u64) {
        self.set_item(offset, word);
    }

    /// Copies one value.
    #[inline(always)]
    pub(crate) fn copy_value(&mut self, from: u64, to: u64, bytes: u64) {
        #[inline(always)]
        fn typed<const N: usize>(arena: &mut Arena, from: u64, to: u64) {
            let (from, to) = (arena.check(from, N as u64), arena.check(to, N as u64));
            let base = arena.base;
            // SAFETY: both mapped and backed (checked), arrays of bytes have no alignment, exclusive by &mut.
            unsafe { base.add(to).cast::<[u8; N]>().write(base.add(from).cast::<[u8; N]>().read()) };
        }
        // most are these, and a branch that is foreseen costs less than a table of jumps
        if bytes == 4 {
            typed::<4>(self, from, to);
        } else if bytes == 8 {
            typed::<8>(self, from, to);
        } else {
            self.copy(from, to, bytes);
        }
    }

    /// Copies between two extents (or within one, where the ranges may overlap).
    pub(crate) fn copy(&mut self, from: u64, to: u64, bytes: u64) {
        let from = self.check(from, bytes);
        let to = self.check(to, bytes);
        let base = self.base;
        // SAFETY: both mapped and backed (checked), `copy` allows overlap, exclusive by &mut.
        unsafe { std::ptr::copy(base.add(from), base.add(to), bytes as usize) };
    }

    /// One range to read and another to write, which must not overlap.
    #[inline]
    pub(crate) fn disjoint(&mut self, from: u64, from_bytes: u64, to: u64, to_bytes: u64) -> (&[u8], &mut [u8]) {
        // no overflow below: both ends lie in the backed bytes
        self.check(from, from_bytes);
        self.check(to, to_bytes);
        assert!(from + from_bytes <= to || to + to_bytes <= from, "the ranges overlap");
        let (from, to) = (from as usize, to as usize);
        let base = self.base;
        // SAFETY: both mapped, backed and disjoint (checked); exclusive by &mut.
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
