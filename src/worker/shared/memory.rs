//! The memory that main and its workers share: heap for threads, a named segment for processes, one type for both.
//!
//! A block has three parts that never overlap, so that no byte is ever reached by atomics of two sizes:
//!
//! ```text
//!   futexes  n words of 32 bits, each on a pair of cache lines of its own   words to sleep on
//!   words    m words of 64 bits                                             everything that is negotiated
//!   tail     bytes, by address only                                         rings and undo bytes
//! ```
//!
//! Invariants: a block is zeroed when made and stays mapped while the value lives; a named block is backed by real
//! memory before it is touched (a full /dev/shm is an error here and not a SIGBUS later), is readable and writable by
//! its user alone, is unlinked when its owner drops it, and is locked while its owner lives, so that what a killed
//! owner left behind can be told from what is in use. This file knows nothing of jobs or batches.
#![expect(unsafe_code, reason = "turns raw memory into atomics; copies bytes to and from the tail")]

use std::alloc::Layout;
use std::ptr::NonNull;

use std::sync::atomic::{AtomicU32, AtomicU64};

/// Bytes between two futex words, and the alignment of each part: two cache lines, as prefetchers fetch pairs.
const LINE_BYTES: usize = 128;

/// How a block is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct Plan {
    /// Words to sleep on.
    pub futexes: usize,
    /// 64-bit words.
    pub words: usize,
    /// Bytes of the tail.
    pub tail_bytes: usize,
}

impl Plan {
    fn words_at(&self) -> usize {
        self.futexes * LINE_BYTES
    }

    fn tail_at(&self) -> Option<usize> {
        self.words.checked_mul(8)?.checked_add(self.words_at())?.checked_next_multiple_of(LINE_BYTES)
    }

    fn bytes(&self) -> Option<usize> {
        self.tail_at()?
            .checked_add(self.tail_bytes)?
            .checked_next_multiple_of(LINE_BYTES)
            .filter(|&bytes| bytes <= isize::MAX as usize)
    }
}

/// Why shared memory could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The size does not fit the address space.
    #[error("a block of shared memory for workers would not fit the address space")]
    TooLarge,
    /// The allocator has no more memory.
    #[error("out of memory: no {bytes} bytes for the workers' rings")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The shared memory file system is full.
    #[error(
        "no room for {bytes} bytes of shared memory for workers ({source}): free some of /dev/shm or make the rings smaller"
    )]
    NoSpace {
        /// Bytes asked for.
        bytes: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// A system call failed.
    #[error("shared memory for workers: cannot {what} `{id}`: {message}")]
    Os {
        /// The step that failed.
        what: &'static str,
        /// The segment.
        id: String,
        /// What the system said.
        message: String,
    },
    /// A segment is smaller than its header promises.
    #[error("the shared memory segment `{id}` has {bytes} bytes and not the {expected} it should have")]
    Truncated {
        /// The segment.
        id: String,
        /// Its size.
        bytes: usize,
        /// The size that was expected.
        expected: usize,
    },
}

enum Backing {
    Heap(Layout),
    #[cfg(unix)]
    Segment(crate::worker::shared::segment::Segment),
    /// Read-only, by whoever has the file open; the name it was opened by.
    #[cfg(unix)]
    View(#[expect(dead_code, reason = "it is mapped while this lives")] crate::os::FileMap),
}

/// One block of shared memory.
pub(in crate::worker) struct Memory {
    base: NonNull<u8>,
    plan: Plan,
    tail_at: usize,
    backing: Backing,
}

// SAFETY: the block is reached through atomics, or through the tail's raw bytes whose users prove their own exclusion;
// the backing is only held to be dropped, which any thread may do.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// A zeroed block on the heap.
    pub(in crate::worker) fn heap(plan: Plan) -> Result<Memory, MemoryError> {
        let (Some(bytes), Some(tail_at)) = (plan.bytes(), plan.tail_at()) else { return Err(MemoryError::TooLarge) };
        let layout = Layout::from_size_align(bytes.max(LINE_BYTES), LINE_BYTES).map_err(|_| MemoryError::TooLarge)?;
        // SAFETY: the layout's size is not zero.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        let base = NonNull::new(base).ok_or(MemoryError::OutOfMemory { bytes })?;
        Ok(Memory { base, plan, tail_at, backing: Backing::Heap(layout) })
    }

    /// A new, zeroed, named segment that this value owns.
    #[cfg(unix)]
    pub(in crate::worker) fn create(plan: Plan) -> Result<Memory, MemoryError> {
        let (Some(bytes), Some(tail_at)) = (plan.bytes(), plan.tail_at()) else { return Err(MemoryError::TooLarge) };
        let segment = crate::worker::shared::segment::Segment::create(bytes.max(LINE_BYTES))?;
        Memory::of_segment(segment, plan, tail_at)
    }

    /// Opens a segment that another process made. `words: usize::MAX` takes all that the segment has for words.
    #[cfg(unix)]
    pub(in crate::worker) fn open(id: &str, mut plan: Plan) -> Result<Memory, MemoryError> {
        let segment = crate::worker::shared::segment::Segment::open(id)?;
        if plan.words == usize::MAX {
            plan.words = segment.len().saturating_sub(plan.words_at()) / 8;
            plan.tail_bytes = 0;
        }
        let (Some(bytes), Some(tail_at)) = (plan.bytes(), plan.tail_at()) else { return Err(MemoryError::TooLarge) };
        if segment.len() < bytes {
            return Err(MemoryError::Truncated { id: id.to_owned(), bytes: segment.len(), expected: bytes });
        }
        Memory::of_segment(segment, plan, tail_at)
    }

    /// The same segment with more room, which keeps what is in it. It is the owner's to lengthen, and stays its own.
    #[cfg(target_os = "linux")]
    pub(in crate::worker) fn longer(&self, plan: Plan) -> Result<Memory, MemoryError> {
        let (Some(bytes), Backing::Segment(segment)) = (plan.bytes(), &self.backing) else {
            return Err(MemoryError::TooLarge);
        };
        segment.lengthen(bytes)?;
        Memory::open(segment.id(), plan)
    }

    /// All of an open segment as words that can only be loaded. Opens nothing.
    #[cfg(unix)]
    pub(in crate::worker) fn view(id: &str, file: &std::fs::File) -> Result<Memory, MemoryError> {
        let failed =
            |error: std::io::Error| MemoryError::Os { what: "map", id: id.to_owned(), message: error.to_string() };
        let bytes = usize::try_from(crate::os::file_bytes(file).map_err(failed)?).map_err(|_| MemoryError::TooLarge)?;
        let map = crate::os::FileMap::new(file, 0, bytes, false).map_err(failed)?;
        let base = NonNull::new(map.as_mut_ptr()).ok_or(MemoryError::TooLarge)?;
        let plan = Plan { futexes: 0, words: bytes / 8, tail_bytes: 0 };
        Ok(Memory { base, plan, tail_at: plan.words * 8, backing: Backing::View(map) })
    }

    #[cfg(unix)]
    fn of_segment(
        segment: crate::worker::shared::segment::Segment,
        plan: Plan,
        tail_at: usize,
    ) -> Result<Memory, MemoryError> {
        let base = NonNull::new(segment.base()).ok_or(MemoryError::TooLarge)?;
        Ok(Memory { base, plan, tail_at, backing: Backing::Segment(segment) })
    }

    /// The name by which another process opens this block; none for a block on the heap.
    pub(in crate::worker) fn id(&self) -> Option<&str> {
        match &self.backing {
            Backing::Heap(_) => None,
            #[cfg(unix)]
            Backing::Segment(segment) => Some(segment.id()),
            #[cfg(unix)]
            Backing::View(_) => None,
        }
    }

    /// The futex word of this number.
    ///
    /// # Panics
    /// For a number past the plan.
    pub(in crate::worker) fn futex(&self, index: usize) -> &AtomicU32 {
        assert!(index < self.plan.futexes, "a futex word of the plan");
        // SAFETY: inside the futex part (checked), which only this function reaches; zeroed when made, mapped and
        // aligned to 128 bytes while `self` lives; always accessed as AtomicU32, here and in every other process.
        unsafe { self.base.add(index * LINE_BYTES).cast::<AtomicU32>().as_ref() }
    }

    /// All 64-bit words.
    pub(in crate::worker) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the word part lies inside the block by the plan's arithmetic (checked when the block was made), starts
        // at a multiple of 128, is initialised, and is reached by nothing but AtomicU64.
        unsafe {
            std::slice::from_raw_parts(
                self.base.add(self.plan.words_at()).cast::<AtomicU64>().as_ptr(),
                self.plan.words,
            )
        }
    }

    /// Where the tail begins; it has [`tail_bytes`](Memory::tail_bytes) bytes, is aligned to 128 and lives as long as `self`.
    pub(in crate::worker) fn tail(&self) -> NonNull<u8> {
        // SAFETY: `tail_at` is inside the block or one past its end.
        unsafe { self.base.add(self.tail_at) }
    }

    /// Bytes of the tail.
    pub(in crate::worker) fn tail_bytes(&self) -> usize {
        self.plan.tail_bytes
    }

    /// Copies bytes into the tail.
    ///
    /// # Panics
    /// Where they do not fit.
    ///
    /// # Safety
    /// - Nobody else reads or writes these bytes of the tail at the same time.
    pub(in crate::worker) unsafe fn write_tail(&self, at: usize, bytes: &[u8]) {
        assert!(at.checked_add(bytes.len()).is_some_and(|end| end <= self.plan.tail_bytes), "bytes inside the tail");
        // SAFETY: inside the tail (checked); a caller's slice and this block's tail cannot overlap, as the tail is never
        // lent out as a slice; exclusion is the caller's duty.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.tail().add(at).as_ptr(), bytes.len()) }
    }

    /// Appends bytes of the tail to `out`.
    ///
    /// # Panics
    /// Where there are not that many.
    ///
    /// # Safety
    /// - Nobody writes these bytes of the tail at the same time.
    pub(in crate::worker) unsafe fn read_tail(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.plan.tail_bytes), "bytes inside the tail");
        // SAFETY: inside the tail (checked), initialised (zeroed when made); exclusion is the caller's duty, and the slice
        // ends with this statement.
        out.extend_from_slice(unsafe { std::slice::from_raw_parts(self.tail().add(at).as_ptr(), len) });
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        match &self.backing {
            Backing::Heap(layout) => {
                // SAFETY: allocated with exactly this layout, and nothing borrows from `self` any more.
                unsafe { std::alloc::dealloc(self.base.as_ptr(), *layout) }
            }
            #[cfg(unix)]
            Backing::Segment(_) | Backing::View(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    fn exercise(memory: &Memory) {
        memory.futex(1).store(7, Ordering::Relaxed);
        memory.words()[0].store(u64::MAX, Ordering::Relaxed);
        memory.words()[9].store(3, Ordering::Relaxed);
        // SAFETY: the test is the only user.
        unsafe { memory.write_tail(1, &[1, 2, 3]) };
        let mut out = Vec::new();
        // SAFETY: as above.
        unsafe { memory.read_tail(0, 4, &mut out) };
        assert_eq!(out, [0, 1, 2, 3]);
        assert_eq!((memory.futex(0).load(Ordering::Relaxed), memory.futex(1).load(Ordering::Relaxed)), (0, 7));
        assert_eq!(memory.words().len(), 10);
        assert!(memory.words()[1..9].iter().all(|word| word.load(Ordering::Relaxed) == 0));
    }

    const PLAN: Plan = Plan { futexes: 2, words: 10, tail_bytes: 4 };

    #[test]
    fn the_parts_of_a_heap_block_do_not_overlap() {
        exercise(&Memory::heap(PLAN).unwrap());
    }

    #[cfg(unix)]
    #[cfg_attr(miri, ignore = "named shared memory")]
    #[test]
    fn a_segment_is_shared_by_name_and_unlinked_by_its_owner() {
        let memory = Memory::create(PLAN).unwrap();
        let id = memory.id().unwrap().to_owned();
        let other = Memory::open(&id, PLAN).unwrap();
        exercise(&other);
        assert_eq!(memory.words()[9].load(Ordering::Relaxed), 3);
        assert!(matches!(Memory::open(&id, Plan { tail_bytes: 1 << 20, ..PLAN }), Err(MemoryError::Truncated { .. })));
        drop(other);
        drop(memory);
        assert!(matches!(Memory::open(&id, PLAN), Err(MemoryError::Os { .. })));
    }

    #[cfg(target_os = "linux")]
    #[cfg_attr(miri, ignore = "named shared memory")]
    #[test]
    fn a_segment_larger_than_the_file_system_is_an_error_before_it_is_touched() {
        let stat = rustix::fs::statvfs("/dev/shm").unwrap();
        let total = stat.f_blocks * stat.f_frsize;
        if total == 0 || total > 1 << 46 {
            return; // not limited here
        }
        let plan = Plan { futexes: 0, words: 0, tail_bytes: total as usize + (1 << 20) };
        assert!(matches!(Memory::create(plan), Err(MemoryError::NoSpace { .. })));
    }

    #[test]
    fn absurd_sizes_are_errors() {
        assert!(matches!(
            Memory::heap(Plan { futexes: 0, words: usize::MAX, tail_bytes: 0 }),
            Err(MemoryError::TooLarge)
        ));
    }
}
