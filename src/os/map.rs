//! Files in the address space, such that huge pages fit: an address and the file offset behind it are equal modulo
//! the size of a huge page.
//!
//! Invariants: a map's address and length are fixed for life; it ends when the [`FileMap`] is dropped. Whether bytes
//! are backed, and what else changes them, is the business of its users.
#![expect(unsafe_code, reason = "maps at a chosen address, which no safe wrapper offers")]

use std::fs::File;
use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use super::HUGE_PAGE_BYTES;

/// `MADV_COLLAPSE` of Linux 6.1.
const COLLAPSE: libc::c_int = 25;

/// A part of a file in memory, shared with every process that maps it.
pub(crate) struct FileMap {
    start: NonNull<u8>,
    len: usize,
    /// The range of addresses that was reserved around it.
    reserved: NonNull<u8>,
    reserved_len: usize,
}

// SAFETY: it owns its range of addresses and offers nothing but where it is.
unsafe impl Send for FileMap {}
// SAFETY: as above; `&FileMap` reads plain fields.
unsafe impl Sync for FileMap {}

impl FileMap {
    /// Maps `len` bytes of a file from `offset` on, which is a multiple of the page size. The file may be shorter.
    pub(crate) fn new(file: &File, offset: u64, len: usize, write: bool) -> io::Result<Self> {
        if len == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let huge = HUGE_PAGE_BYTES as usize;
        let reserved_len = len.checked_add(huge).ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new range of addresses that nobody uses.
        let reserved =
            unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), reserved_len, ProtFlags::empty(), flags) }?;
        let at = reserved.cast::<u8>();
        let wanted = (offset % HUGE_PAGE_BYTES) as usize;
        let skip = (wanted + huge - at.addr() % huge) % huge;
        let start = at.wrapping_add(skip);
        let map = FileMap {
            start: NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?,
            len,
            reserved: NonNull::new(at).ok_or(io::ErrorKind::OutOfMemory)?,
            reserved_len,
        };
        let protection = if write { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: inside the range that was reserved just now (skip < huge, so skip + len < reserved_len), of which
        // nobody else knows; `map` ends it if this fails.
        unsafe { rustix::mm::mmap(start.cast(), len, protection, MapFlags::SHARED | MapFlags::FIXED, file, offset) }?;
        Ok(map)
    }

    /// Forbids every look at the bytes from now on, for as long as the process lives: an access to them kills it. Their
    /// addresses are never used again.
    pub(crate) fn revoke(self) -> io::Result<()> {
        // SAFETY: the whole range is this map's; that nobody may use it any more is what is wanted.
        unsafe { rustix::mm::mprotect(self.reserved.as_ptr().cast(), self.reserved_len, MprotectFlags::empty()) }?;
        std::mem::forget(self);
        Ok(())
    }

    /// The first byte.
    #[inline]
    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Puts the pages of a backed part of the map into the page tables, as if each had been written to.
    pub(crate) fn populate(&self, from: u64, to: u64) -> io::Result<()> {
        let inside = from < to && usize::try_from(to).is_ok_and(|to| to <= self.len);
        if !inside {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (at, len) = (self.start.as_ptr().wrapping_add(from as usize), (to - from) as usize);
        // SAFETY: inside the map; this changes the page tables and no byte.
        match unsafe { libc::madvise(at.cast(), len, libc::MADV_POPULATE_WRITE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Puts huge pages behind bytes of the map, which were mapped from the file's beginning; contents stay. `from` and
    /// `to` are multiples of [`HUGE_PAGE_BYTES`], and the first page of each huge one is backed. False: the system gives
    /// none.
    pub(crate) fn collapse(&self, from: u64, to: u64) -> bool {
        let inside = from < to && usize::try_from(to).is_ok_and(|to| to <= self.len);
        if !inside {
            return false;
        }
        for at in (from..to).step_by(HUGE_PAGE_BYTES as usize) {
            // SAFETY: inside the map, and backed (the caller's word). A page must be mapped for its neighbourhood to
            // collapse; the byte itself means nothing, others may be writing it, so it is read as an atomic.
            let byte = unsafe { &*self.start.as_ptr().add(at as usize).cast::<std::sync::atomic::AtomicU8>() };
            byte.load(std::sync::atomic::Ordering::Relaxed);
        }
        // SAFETY: inside the map; collapsing changes which pages hold the bytes and nothing else.
        unsafe { libc::madvise(self.start.as_ptr().add(from as usize).cast(), (to - from) as usize, COLLAPSE) == 0 }
    }
}

impl Drop for FileMap {
    fn drop(&mut self) {
        // SAFETY: the whole range is this map's, and nobody may use it any more (the duty of the callers that have its address).
        if let Err(error) = unsafe { rustix::mm::munmap(self.reserved.as_ptr().cast(), self.reserved_len) } {
            tracing::warn!(%error, "a map of a region's file could not be ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn maps_fit_huge_pages_at_any_offset_and_show_the_file() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(6 << 20).expect("it grows");
        for offset in [0, 4096, (2 << 20) - 4096, 2 << 20, (2 << 20) + 8192] {
            file.write_all_at(&[7, 8, 9], offset).expect("it is written");
            let map = FileMap::new(&file, offset, 1 << 20, true).expect("it maps");
            assert_eq!(map.as_mut_ptr().addr() as u64 % HUGE_PAGE_BYTES, offset % HUGE_PAGE_BYTES);
            // SAFETY: three bytes of a map of a megabyte, which the file has.
            let bytes = unsafe { std::slice::from_raw_parts(map.as_mut_ptr(), 3) };
            assert_eq!(bytes, [7, 8, 9]);
        }
        assert!(FileMap::new(&file, 0, 0, false).is_err());
    }

    #[test]
    fn collapsing_keeps_the_bytes() {
        let path = format!("/dev/shm/.hypostyle-test-collapse-{}", std::process::id());
        let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
        std::fs::remove_file(&path).expect("it goes");
        let bytes = 2 * HUGE_PAGE_BYTES;
        crate::os::allocate_range(&file, 0, bytes).expect("there is room");
        file.write_all_at(&[5; 3], HUGE_PAGE_BYTES + 77).expect("it is written");
        let map = FileMap::new(&file, 0, bytes as usize, true).expect("it maps");
        // a system without huge pages says no, and the bytes stay either way
        let _ = map.collapse(0, bytes);
        assert!(!map.collapse(0, 2 * bytes) && !map.collapse(4, 4), "only ranges of the map");
        let mut back = [0; 3];
        file.read_exact_at(&mut back, HUGE_PAGE_BYTES + 77).expect("it is read");
        assert_eq!(back, [5; 3]);
        // SAFETY: inside the map.
        assert_eq!(unsafe { *map.as_mut_ptr().add(HUGE_PAGE_BYTES as usize + 77) }, 5);
    }
}
