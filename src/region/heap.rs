//! The private twin's memory: a reserved range that never moves, of which pages are taken when they are touched.
//!
//! Invariants: the address and the length are fixed for life; the bytes are anything at first, as those of an extent
//! are: memory of regions that are gone is used again. This file must never know what is stored: bounds are its users'
//! duty.
#![expect(unsafe_code, reason = "owns raw memory where memory maps are missing, and gives pages back where they exist")]

use super::error::RegionError;

#[cfg(all(unix, not(miri)))]
mod memory {
    use std::io;
    use std::mem::ManuallyDrop;
    use std::sync::{Mutex, PoisonError};

    use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};

    /// Maps whose regions are gone are kept for the next ones of the same length, this many of them,
    const KEPT_MAPS: usize = 4;
    /// with the pages of so many bytes at their beginning. A world that is made where another was costs no new pages.
    const KEPT_BYTES: usize = 8 << 20;

    static KEPT: Mutex<Vec<MmapRaw>> = Mutex::new(Vec::new());

    /// Bytes at the beginning that huge pages are not asked for.
    #[cfg(target_os = "linux")]
    const SMALL_PAGES_BYTES: usize = 4 << 20;

    /// An anonymous map without a claim on swap.
    pub(super) struct Memory(ManuallyDrop<MmapRaw>);

    impl Memory {
        pub(super) fn new(bytes: usize) -> io::Result<Self> {
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = kept.iter().rposition(|map| map.len() == bytes) {
                return Ok(Memory(ManuallyDrop::new(kept.remove(last))));
            }
            drop(kept);
            let map: MmapRaw = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?.into();
            // columns are read and written all over: a page table entry per 2 MiB instead of one per 4 KiB, but for
            // worlds so small that zeroing a huge page is most of their work
            #[cfg(target_os = "linux")]
            if bytes > SMALL_PAGES_BYTES
                && let Err(error) =
                    map.advise_range(memmap2::Advice::HugePage, SMALL_PAGES_BYTES, bytes - SMALL_PAGES_BYTES)
            {
                tracing::debug!(%error, "the system gives no huge pages");
            }
            Ok(Memory(ManuallyDrop::new(map)))
        }

        pub(super) fn as_mut_ptr(&self) -> *mut u8 {
            self.0.as_mut_ptr()
        }

        pub(super) fn populate(&self, offset: usize, bytes: usize) -> io::Result<()> {
            #[cfg(target_os = "linux")]
            return self.0.advise_range(memmap2::Advice::PopulateWrite, offset, bytes);
            #[cfg(not(target_os = "linux"))]
            Err(io::Error::new(io::ErrorKind::Unsupported, format!("{bytes} bytes at {offset}: only Linux maps ahead")))
        }

        /// # Safety
        /// Nobody reads or writes the range during the call, nor relies on its contents after it.
        pub(super) unsafe fn discard(&self, offset: usize, bytes: usize) -> bool {
            // SAFETY: private anonymous pages become zero, which changes bytes that nobody relies on (caller's duty).
            unsafe { self.0.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, bytes) }.is_ok()
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: taken once, here, where the `Memory` ends.
            let map = unsafe { ManuallyDrop::take(&mut self.0) };
            let beyond = map.len().saturating_sub(KEPT_BYTES);
            // SAFETY: the region is gone, and with it all that used the bytes.
            let given_back = |from| unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, beyond) };
            if beyond > 0 && given_back(KEPT_BYTES).is_err() {
                return;
            }
            // where nobody has the lock in a moment, nothing is kept
            let Ok(mut kept) = KEPT.try_lock() else { return };
            kept.push(map);
            // the one that has been there for longest goes: its length may never be asked for again
            let oldest = (kept.len() > KEPT_MAPS).then(|| kept.remove(0));
            drop(kept);
            drop(oldest);
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod memory {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    /// Pages of the module's own memory, past all that the allocator has: they are zero and cost nothing until they are
    /// touched. An allocator would write all of them.
    pub(super) struct Memory {
        start: usize,
        bytes: usize,
    }

    const PAGE_BYTES: usize = 1 << 16;

    /// Blocks whose regions are gone, as a module's memory never shrinks.
    static FREE: Mutex<Vec<Memory>> = Mutex::new(Vec::new());

    impl Memory {
        pub(super) fn new(bytes: usize) -> io::Result<Self> {
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(index) = free.iter().position(|block| block.bytes == bytes) {
                let block = free.swap_remove(index);
                // SAFETY: the pages that `new` was given for good; the region that had them is gone, and with it all
                // that used them.
                unsafe { block.as_mut_ptr().write_bytes(0, bytes) };
                return Ok(block);
            }
            match core::arch::wasm32::memory_grow::<0>(bytes.div_ceil(PAGE_BYTES)) {
                usize::MAX => Err(io::ErrorKind::OutOfMemory.into()),
                page => Ok(Memory { start: page * PAGE_BYTES, bytes }),
            }
        }

        pub(super) fn as_mut_ptr(&self) -> *mut u8 {
            std::ptr::with_exposed_provenance_mut(self.start)
        }

        pub(super) fn populate(&self, offset: usize, bytes: usize) -> io::Result<()> {
            Err(io::Error::new(io::ErrorKind::Unsupported, format!("{bytes} bytes at {offset}: only Linux maps ahead")))
        }

        /// # Safety
        /// None needed: it does nothing. It has the other twin's signature.
        pub(super) unsafe fn discard(&self, _offset: usize, _bytes: usize) -> bool {
            false
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            let block = Memory { start: self.start, bytes: self.bytes };
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(block);
        }
    }
}

#[cfg(not(any(all(unix, not(miri)), target_arch = "wasm32")))]
mod memory {
    use std::alloc::Layout;
    use std::io;
    use std::ptr::NonNull;

    use crate::limits::PAGE_BYTES;

    /// Zeroed memory of the global allocator, page-aligned.
    pub(super) struct Memory {
        start: NonNull<u8>,
        layout: Layout,
    }

    // SAFETY: it owns its memory and offers nothing but its address.
    unsafe impl Send for Memory {}
    // SAFETY: as above; `&Memory` reads two plain fields.
    unsafe impl Sync for Memory {}

    impl Memory {
        pub(super) fn new(bytes: usize) -> io::Result<Self> {
            let layout = Layout::from_size_align(bytes, PAGE_BYTES as usize).map_err(|_| io::ErrorKind::OutOfMemory)?;
            if bytes == 0 {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            // SAFETY: the layout's size is not zero.
            let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) });
            Ok(Memory { start: start.ok_or(io::ErrorKind::OutOfMemory)?, layout })
        }

        pub(super) fn as_mut_ptr(&self) -> *mut u8 {
            self.start.as_ptr()
        }

        pub(super) fn populate(&self, _offset: usize, _bytes: usize) -> io::Result<()> {
            Ok(()) // the allocator has written it
        }

        /// # Safety
        /// None needed: it does nothing. It has the other twin's signature.
        pub(super) unsafe fn discard(&self, _offset: usize, _bytes: usize) -> bool {
            false
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: allocated in `new` with this layout, and freed here only.
            unsafe { std::alloc::dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}

/// Bytes that a private region can reserve when `bytes_max` is asked for.
pub(super) fn reservable_bytes(bytes_max: u64) -> u64 {
    if cfg!(all(unix, not(miri))) { bytes_max } else { bytes_max.min(crate::limits::HEAP_RESERVE_BYTES_MAX) }
}

/// The data of a private region.
pub(super) struct HeapData {
    memory: memory::Memory,
    bytes: usize,
}

impl HeapData {
    /// Reserves `bytes`.
    pub(super) fn new(bytes: u64) -> Result<Self, RegionError> {
        let unaddressable = RegionError::Unaddressable { bytes_max: bytes, addressable: isize::MAX as u64 };
        let length = usize::try_from(bytes).ok().filter(|&length| isize::try_from(length).is_ok());
        let Some(length) = length else { return Err(unaddressable) };
        let memory = memory::Memory::new(length).map_err(|_| RegionError::NoSpace {
            place: "the process's address space".to_owned(),
            requested: bytes,
            available: crate::os::memory_available_bytes().unwrap_or(0),
        })?;
        Ok(HeapData { memory, bytes: length })
    }

    /// The first byte.
    pub(super) fn as_mut_ptr(&self) -> *mut u8 {
        self.memory.as_mut_ptr()
    }

    /// Maps the range's pages.
    pub(super) fn populate(&self, from: u64, to: u64) -> std::io::Result<()> {
        let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        let inside = range.filter(|(from, to)| from < to && *to <= self.bytes);
        let (from, to) = inside.ok_or(std::io::ErrorKind::InvalidInput)?;
        self.memory.populate(from, to - from)
    }

    /// Gives the range's memory back; its bytes become anything. False: this platform cannot.
    ///
    /// # Safety
    /// Nobody uses the range during the call, nor relies on its contents after it.
    pub(super) unsafe fn discard(&self, offset: u64, bytes: u64) -> bool {
        let range = usize::try_from(offset).ok().zip(usize::try_from(bytes).ok());
        let inside = range.filter(|(offset, bytes)| offset.checked_add(*bytes).is_some_and(|end| end <= self.bytes));
        // SAFETY: the range lies inside, and nobody uses it (caller's duty).
        inside.is_some_and(|(offset, bytes)| unsafe { self.memory.discard(offset, bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_map_has_given_its_end_back() {
        const LENGTH: u64 = (24 << 20) + 7 * 4096;
        if cfg!(miri) {
            return;
        }
        for _ in 0..3 {
            let data = HeapData::new(LENGTH).expect("there is address space");
            for at in [0usize, 9 << 20, LENGTH as usize - 1] {
                // SAFETY: inside, and nobody else has the memory.
                let byte = unsafe { &mut *data.as_mut_ptr().add(at) };
                assert!(at == 0 || *byte == 0, "byte {at} was given back");
                *byte = 0xAA;
            }
        }
    }
}
