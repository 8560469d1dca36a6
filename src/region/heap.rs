//! The private twin's memory: a reserved range that never moves. Reserving it claims neither memory nor a process's limit of
//! data: that is done as the region grows, and pages are taken when they are touched.
//!
//! Invariants: the address and the length are fixed for life; only committed bytes can be touched; the bytes are anything at first, as those of an extent
//! are: memory of regions that are gone is used again. This file must never know what is stored: bounds are its users'
//! duty.
#![expect(unsafe_code, reason = "owns raw memory where memory maps are missing, and gives pages back where they exist")]

use super::error::RegionError;

#[cfg(all(unix, not(miri)))]
mod memory {
    use std::ffi::c_void;
    use std::io;
    use std::mem::ManuallyDrop;
    use std::ptr::NonNull;
    use std::sync::{Mutex, PoisonError};

    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

    /// Maps whose regions are gone are kept for the next ones of the same length, this many of them,
    const KEPT_MAPS: usize = 4;
    /// with the pages of so many bytes at their beginning. A world that is made where another was costs no new pages.
    const KEPT_BYTES: usize = 8 << 20;

    static KEPT: Mutex<Vec<Map>> = Mutex::new(Vec::new());

    /// Bytes at the beginning that huge pages are not asked for.
    #[cfg(target_os = "linux")]
    const SMALL_PAGES_BYTES: usize = 4 << 20;

    /// Reserved addresses without a claim on memory or swap: nobody can touch them until they are committed.
    fn flags() -> MapFlags {
        #[cfg(target_os = "linux")]
        return MapFlags::PRIVATE | MapFlags::NORESERVE;
        #[cfg(not(target_os = "linux"))]
        MapFlags::PRIVATE
    }

    /// A range of addresses, of which a beginning can be touched.
    struct Map {
        start: NonNull<u8>,
        len: usize,
        /// Bytes at the beginning that can be touched.
        committed: usize,
    }

    // SAFETY: it owns its range of addresses and offers nothing but where it is.
    unsafe impl Send for Map {}

    impl Map {
        fn reserve(len: usize) -> io::Result<Map> {
            // SAFETY: a new range of addresses that nobody uses.
            let start = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::empty(), flags()) }?;
            let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
            Ok(Map { start, len, committed: 0 })
        }

        fn at(&self, offset: usize) -> *mut c_void {
            self.start.as_ptr().wrapping_add(offset).cast()
        }

        /// Columns are read and written all over: a page table entry per 2 MiB instead of one per 4 KiB, but for worlds so
        /// small that zeroing a huge page is most of their work.
        fn ask_for_huge_pages(&self) {
            #[cfg(target_os = "linux")]
            if self.len > SMALL_PAGES_BYTES {
                let (at, len) = (self.at(SMALL_PAGES_BYTES), self.len - SMALL_PAGES_BYTES);
                // SAFETY: inside the map; advice about its pages changes no byte.
                if let Err(error) = unsafe { rustix::mm::madvise(at, len, rustix::mm::Advice::LinuxHugepage) } {
                    tracing::debug!(%error, "the system gives no huge pages");
                }
            }
        }

        fn commit(&mut self, to: usize) -> io::Result<()> {
            let to = to.next_multiple_of(rustix::param::page_size()).min(self.len);
            if to > self.committed {
                let (at, len) = (self.at(self.committed), to - self.committed);
                // SAFETY: inside the map, where nothing can be touched so far: nobody relies on its protection.
                unsafe { rustix::mm::mprotect(at, len, MprotectFlags::READ | MprotectFlags::WRITE) }?;
                self.committed = to;
            }
            Ok(())
        }

        /// Gives back all but a beginning, with its claim on memory. The region is gone, and with it every user of the bytes.
        fn shrink(&mut self, to: usize) -> io::Result<()> {
            if self.committed > to {
                let (at, len) = (self.at(to), self.len - to);
                // SAFETY: inside the map, which is this value's alone (see above).
                unsafe { rustix::mm::mmap_anonymous(at, len, ProtFlags::empty(), flags() | MapFlags::FIXED) }?;
                self.committed = to;
            }
            Ok(())
        }
    }

    impl Drop for Map {
        fn drop(&mut self) {
            // SAFETY: the whole range is this map's, and nobody may use it any more.
            if let Err(error) = unsafe { rustix::mm::munmap(self.at(0), self.len) } {
                tracing::warn!(%error, "the memory of a private region could not be given back");
            }
        }
    }

    /// A reserved range, committed as it is needed.
    pub(super) struct Memory {
        start: NonNull<u8>,
        map: ManuallyDrop<Mutex<Map>>,
    }

    // SAFETY: it owns its memory and offers nothing but its address.
    unsafe impl Send for Memory {}
    // SAFETY: as above; the map is behind a lock.
    unsafe impl Sync for Memory {}

    impl Memory {
        pub(super) fn new(bytes: usize) -> io::Result<Self> {
            // where the lock is not to be had in a moment, nothing is used again (in a process that was forked off, it may never be)
            let kept = KEPT.try_lock().ok().and_then(|mut kept| {
                let place = kept.iter().rposition(|map| map.len == bytes)?;
                Some(kept.remove(place))
            });
            let map = kept.map_or_else(|| Map::reserve(bytes), Ok)?;
            map.ask_for_huge_pages();
            Ok(Memory { start: map.start, map: ManuallyDrop::new(Mutex::new(map)) })
        }

        pub(super) fn as_mut_ptr(&self) -> *mut u8 {
            self.start.as_ptr()
        }

        pub(super) fn commit(&self, to: usize) -> io::Result<()> {
            self.map.lock().unwrap_or_else(PoisonError::into_inner).commit(to)
        }

        pub(super) fn populate(&self, offset: usize, bytes: usize) -> io::Result<()> {
            #[cfg(target_os = "linux")]
            {
                let at = self.start.as_ptr().wrapping_add(offset).cast();
                // SAFETY: inside the map (the caller's duty), which this changes in the page tables and in no byte.
                Ok(unsafe { rustix::mm::madvise(at, bytes, rustix::mm::Advice::LinuxPopulateWrite) }?)
            }
            #[cfg(not(target_os = "linux"))]
            Err(io::Error::new(io::ErrorKind::Unsupported, format!("{bytes} bytes at {offset}: only Linux maps ahead")))
        }

        /// # Safety
        /// Nobody reads or writes the range during the call, nor relies on its contents after it.
        pub(super) unsafe fn discard(&self, offset: usize, bytes: usize) -> bool {
            let at = self.start.as_ptr().wrapping_add(offset).cast();
            #[cfg(target_os = "linux")]
            let advice = rustix::mm::Advice::LinuxDontNeed;
            #[cfg(not(target_os = "linux"))]
            let advice = rustix::mm::Advice::DontNeed;
            // SAFETY: private anonymous pages become zero, which changes bytes that nobody relies on (caller's duty).
            unsafe { rustix::mm::madvise(at, bytes, advice) }.is_ok()
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: taken once, here, where the `Memory` ends.
            let map = unsafe { ManuallyDrop::take(&mut self.map) };
            let mut map = map.into_inner().unwrap_or_else(PoisonError::into_inner);
            if map.shrink(KEPT_BYTES).is_err() {
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

        pub(super) fn commit(&self, _to: usize) -> io::Result<()> {
            Ok(()) // it was taken when it was made
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

        pub(super) fn commit(&self, _to: usize) -> io::Result<()> {
            Ok(()) // it was taken when it was made
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

/// Why the system gives no memory.
fn refused(place: &str, requested: u64) -> RegionError {
    match crate::os::limit_of_memory(requested) {
        Some(limit) => limit.into(),
        None => {
            let available = crate::os::memory_available_bytes().unwrap_or(0);
            RegionError::NoSpace { place: place.to_owned(), requested, available }
        }
    }
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
        let memory = memory::Memory::new(length).map_err(|_| refused("the process's address space", bytes))?;
        Ok(HeapData { memory, bytes: length })
    }

    /// Makes the bytes up to here ready to be touched; those that are stay so.
    ///
    /// # Errors
    /// The limit that is in the way.
    pub(super) fn commit(&self, to: u64) -> Result<(), RegionError> {
        let to = usize::try_from(to).map_or(self.bytes, |to| to.min(self.bytes));
        self.memory.commit(to).map_err(|_| refused("the process's memory", to as u64))
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
            data.commit(LENGTH).expect("there is memory");
            for at in [0usize, 9 << 20, LENGTH as usize - 1] {
                // SAFETY: inside, and nobody else has the memory.
                let byte = unsafe { &mut *data.as_mut_ptr().add(at) };
                assert!(at == 0 || *byte == 0, "byte {at} was given back");
                *byte = 0xAA;
            }
        }
    }
}
