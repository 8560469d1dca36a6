//! Leases: where readers say which generation they hold.
//!
//! A lease is one page of the `leases` file; the process that holds the OFD lock on the byte of its number owns it.
//!
//! ```text
//! offset bytes
//!      0     8  pin: the generation word that the reader holds; 0: none
//!      8     4  reader's process id, for display
//!     12     4  in page 0: leases from this number on were never taken; else 0
//!     16  4080  0
//! ```
//!
//! Invariants
//! - A reader stores to the pages of its own leases only, the writer to pages of dead readers only, and to those only
//!   while it holds their lock: so no pin of a live reader is ever lost.
//! - A lock goes with its open file, so a reader that dies in any way gives its leases back. (A process that *forks
//!   without exec* shares the open file with its child: the lease then lives until both are gone.) The child never stores
//!   to it: it takes leases of its own.
//! - A reader takes its lease with its first pin: a reader that has only opened a region takes none, and one that waits says so once, by
//!   the count in page 0.
//!
//! The private twin keeps the same words in memory, with a flag for the lock. What a pin means, and the fences that
//! pinning needs, are the business of the snapshot module.
#![expect(unsafe_code, reason = "sees mapped lease pages as atomics")]

use std::ptr::NonNull;
use std::sync::Arc;

use crossbeam_utils::CachePadded;
#[cfg(unix)]
use parking_lot::Mutex;

use super::error::RegionError;
use super::mapping::Mapping;
use super::pin;
use crate::limits::{LEASES_MAX, PAGE_BYTES};
use crate::os;
use crate::primitive::{AtomicU32, AtomicU64, Ordering, fence};

/// Bytes of the leases file.
pub(crate) const LEASES_BYTES: u64 = LEASES_MAX as u64 * PAGE_BYTES;

/// The words at the start of a lease page.
#[repr(C)]
pub(super) struct LeaseWords {
    pin: AtomicU64,
    pid: AtomicU32,
    /// In page 0: leases from this number on were never taken.
    used: AtomicU32,
}

impl LeaseWords {
    fn new() -> Self {
        LeaseWords { pin: AtomicU64::new(0), pid: AtomicU32::new(0), used: AtomicU32::new(0) }
    }

    /// In page 0: says that lease `index` is taken, before anything is pinned in it.
    fn raise_used(&self, index: usize) {
        // SYNC POINT lease: the pin's fence comes after it, so a scan that misses it comes before the pin's second look
        self.used.fetch_max(index as u32 + 1, Ordering::SeqCst);
    }

    /// In page 0: how many leases a scan has to look at.
    fn used(&self) -> usize {
        (self.used.load(Ordering::SeqCst) as usize).min(LEASES_MAX)
    }
}

/// A lease of a private region. It is nobody else's, so that its place among others is not a format.
struct HeapLease {
    words: LeaseWords,
    taken: AtomicU32,
}

/// All leases of a private region.
pub(super) struct HeapLeases {
    leases: Box<[CachePadded<HeapLease>]>,
}

impl HeapLeases {
    pub(super) fn new() -> Self {
        let lease = |_| CachePadded::new(HeapLease { words: LeaseWords::new(), taken: AtomicU32::new(0) });
        HeapLeases { leases: (0..LEASES_MAX).map(lease).collect() }
    }

    /// Takes a free lease; gives its number.
    pub(super) fn take(&self) -> Result<usize, RegionError> {
        let free = |lease: &CachePadded<HeapLease>| {
            lease.taken.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let index = self.leases.iter().position(free).ok_or(RegionError::NoLease)?;
        self.leases[index].words.pid.store(os::pid(), Ordering::Relaxed);
        self.leases[0].words.raise_used(index);
        Ok(index)
    }

    /// Gives a lease back.
    fn release(&self, index: usize) {
        self.leases[index].words.pin.store(0, Ordering::Release);
        self.leases[index].taken.store(0, Ordering::Release);
    }

    fn words(&self, index: usize) -> &LeaseWords {
        &self.leases[index].words
    }

    /// All leases that are taken.
    pub(super) fn infos(&self) -> Vec<LeaseInfo> {
        let info = |(index, lease): (usize, &CachePadded<HeapLease>)| {
            let pid = lease.words.pid.load(Ordering::Relaxed);
            LeaseInfo::new(index, pid, lease.words.pin.load(Ordering::Relaxed), true)
        };
        let taken = self.leases.iter().enumerate().filter(|(_, lease)| lease.taken.load(Ordering::Relaxed) != 0);
        taken.map(info).collect()
    }

    /// Says that somebody reads, which may have no lease yet: its waits are woken from now on.
    pub(super) fn announce(&self) {
        self.leases[0].words.raise_used(0);
        fence(Ordering::SeqCst);
    }

    /// Appends the words of all pins. In one process a taken lease is a live one.
    pub(super) fn pinned(&self, out: &mut Vec<u64>) {
        let used = || self.leases[..self.leases[0].words.used()].iter().map(|lease| &lease.words.pin);
        pin::scan(used, |_, word| out.push(word));
    }

    /// The process that holds the oldest generation.
    pub(super) fn oldest(&self) -> Option<(u32, u64)> {
        oldest(self.leases[..self.leases[0].words.used()].iter().map(|lease| &lease.words))
    }

    /// Whether any lease was ever taken.
    pub(super) fn any_used(&self) -> bool {
        self.leases[0].words.used() > 0
    }
}

/// The process id and the generation of the lease with the oldest pin.
fn oldest<'a>(leases: impl Iterator<Item = &'a LeaseWords>) -> Option<(u32, u64)> {
    let held = leases.map(|words| (words.pid.load(Ordering::Relaxed), words.pin.load(Ordering::Relaxed)));
    let held = held.map(|(pid, pin)| (pid, super::pin::generation(pin))).filter(|(_, generation)| *generation != 0);
    held.min_by_key(|(_, generation)| *generation)
}

/// All leases of a shared region, as its writer sees them.
#[cfg(unix)]
pub(super) struct SharedLeases {
    pages: memmap2::MmapRaw,
    /// The writer's own open file, with which it tries the locks; one thread at a time.
    file: Mutex<std::fs::File>,
}

#[cfg(unix)]
impl SharedLeases {
    /// Maps all pages of a file of [`LEASES_BYTES`].
    pub(super) fn new(file: std::fs::File) -> std::io::Result<Self> {
        let pages = memmap2::MmapOptions::new().len(LEASES_BYTES as usize).map_raw(&file)?;
        Ok(SharedLeases { pages, file: Mutex::new(file) })
    }

    fn words(&self, index: usize) -> &LeaseWords {
        assert!(index < LEASES_MAX, "a lease has a page");
        let page = self.pages.as_mut_ptr().wrapping_add(index * PAGE_BYTES as usize);
        // SAFETY: page `index` lies in the map, which has LEASES_MAX backed pages and lives as long as `self`; pages
        // are aligned, and both words are atomics, which any bytes are a value of.
        unsafe { &*page.cast::<LeaseWords>() }
    }

    /// The process that holds the oldest generation, for display: readers write these words themselves.
    pub(super) fn oldest(&self) -> Option<(u32, u64)> {
        oldest((0..self.words(0).used()).map(|index| self.words(index)))
    }

    /// Whether any lease was ever taken.
    pub(super) fn any_used(&self) -> bool {
        self.words(0).used() > 0
    }

    /// Appends the words of all pins of live readers, and clears those of dead ones. Whether a reader lives costs a
    /// system call, so it is not asked of pins of the `published` word, which are in nobody's way.
    pub(super) fn pinned(&self, published: u64, out: &mut Vec<u64>) {
        let file = self.file.lock();
        let used = || (0..self.words(0).used()).map(|index| &self.words(index).pin);
        pin::scan(used, |index, word| {
            // Holding the lock keeps a new reader from taking the lease while it is being cleared.
            if word == published || !os::try_lock_byte(&file, index as u64).unwrap_or(false) {
                out.push(word);
                return;
            }
            let words = self.words(index);
            words.pin.store(0, Ordering::Release);
            words.pid.store(0, Ordering::Relaxed);
            if let Err(error) = os::unlock_byte(&file, index as u64) {
                tracing::warn!(%error, index, "a dead reader's lease stays locked");
            }
        });
    }
}

/// A lease that a reader has, as anyone may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LeaseInfo {
    /// Its number.
    pub index: usize,
    /// The reader's process id, as it sees itself.
    pub pid: u32,
    /// The generation that it holds; `None`: none at this moment.
    pub generation: Option<u64>,
    /// Whether the reader lives. A dead one's pin is freed when it is in the way.
    pub alive: bool,
}

impl LeaseInfo {
    pub(super) fn new(index: usize, pid: u32, pin: u64, alive: bool) -> Self {
        let generation = Some(super::pin::generation(pin)).filter(|generation| *generation != 0);
        LeaseInfo { index, pid, generation, alive }
    }
}

/// The leases in the pages of a leases file that are taken, or that a dead reader left with a pin.
#[cfg(unix)]
pub(super) fn lease_infos(pages: &[u8], taken: impl Fn(usize) -> bool) -> Vec<LeaseInfo> {
    let words =
        pages.chunks_exact(PAGE_BYTES as usize).map(|page| (u64_from(&page[..8]), u64_from(&page[8..16]) as u32));
    words
        .enumerate()
        .filter(|(_, (pin, pid))| *pin != 0 || *pid != 0)
        .map(|(index, (pin, pid))| LeaseInfo::new(index, pid, pin, taken(index)))
        .filter(|lease| lease.alive || lease.generation.is_some())
        .collect()
}

/// The process ids of pinning readers, for display: any bytes that readers wrote.
pub(super) fn reader_pids(bytes: &[u8]) -> Vec<u32> {
    let pages = bytes.chunks_exact(PAGE_BYTES as usize);
    let words = pages.map(|page| (u64_from(&page[..8]), u64_from(&page[8..16]) as u32));
    words.filter(|(pin, _)| *pin != 0).map(|(_, pid)| pid).collect()
}

fn u64_from(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The words at the start of a map of a lease's page.
#[cfg(unix)]
fn words_in(page: &memmap2::MmapRaw) -> &LeaseWords {
    assert!(page.len() >= size_of::<LeaseWords>(), "a page holds the words");
    // SAFETY: the map is long enough (checked), backed, page-aligned and lives as long as the reference; any bytes are
    // atomics.
    unsafe { &*page.as_mut_ptr().cast::<LeaseWords>() }
}

enum Home {
    Heap {
        mapping: Arc<Mapping>,
        index: usize,
    },
    #[cfg(unix)]
    Shared {
        _page: memmap2::MmapRaw,
        /// Holds the lock; closing it gives the lease back.
        _file: std::fs::File,
    },
}

/// One reader's lease: a place for one pin. Given back when dropped, and by the kernel when its process dies.
pub(crate) struct Lease {
    /// Points into `home`.
    words: NonNull<LeaseWords>,
    home: Home,
    maker: os::Maker,
}

// SAFETY: what it points to lives in `home`, which it owns a share of, and is nothing but atomics.
unsafe impl Send for Lease {}
// SAFETY: as above.
unsafe impl Sync for Lease {}

impl Lease {
    /// A lease of a private region.
    pub(super) fn of_heap(mapping: Arc<Mapping>) -> Result<Self, RegionError> {
        let leases = mapping.heap_leases().ok_or(RegionError::NoLease)?;
        let index = leases.take()?;
        let words = NonNull::from(leases.words(index));
        Ok(Lease { words, home: Home::Heap { mapping, index }, maker: os::Maker::this() })
    }

    /// A lease of the leases file that `file` has open, by itself and for writing.
    #[cfg(unix)]
    pub(super) fn of_file(file: std::fs::File, path: &std::path::Path) -> Result<Self, RegionError> {
        let mut taken = None;
        for index in 0..LEASES_MAX as u64 {
            if os::try_lock_byte(&file, index).map_err(RegionError::io("lock a lease in", path))? {
                taken = Some(index);
                break;
            }
        }
        let index = taken.ok_or(RegionError::NoLease)?;
        crate::fault::point("lease-locked");
        let map = |index: u64| {
            let options = memmap2::MmapOptions::new().offset(index * PAGE_BYTES).len(PAGE_BYTES as usize).clone();
            options.map_raw(&file).map_err(RegionError::io("map", path))
        };
        let (page, first) = (map(index)?, map(0)?);
        words_in(&first).raise_used(index as usize);
        let words = NonNull::from(words_in(&page));
        let lease = Lease { words, home: Home::Shared { _page: page, _file: file }, maker: os::Maker::this() };
        // Whoever had the lease before may have died with a pin.
        lease.words().pin.store(0, Ordering::Release);
        lease.words().pid.store(os::pid(), Ordering::Relaxed);
        crate::fault::point("lease-taken");
        Ok(lease)
    }

    /// Says in the leases file that somebody reads, which may have no lease yet: its waits are woken from now on.
    #[cfg(unix)]
    pub(super) fn announce(file: &std::fs::File) -> std::io::Result<()> {
        let first = memmap2::MmapOptions::new().len(PAGE_BYTES as usize).map_raw(file)?;
        words_in(&first).raise_used(0);
        // SYNC POINT waiters: a waiting reader looks at the published word after this; the writer looks here after it published
        fence(Ordering::SeqCst);
        Ok(())
    }

    #[inline]
    fn words(&self) -> &LeaseWords {
        // SAFETY: the words lie in the boxed leases or in the mapped page that `home` keeps, at a fixed address.
        unsafe { self.words.as_ref() }
    }

    /// Whether it is this process's. In one that was forked off its words are still the maker's.
    #[inline]
    pub(crate) fn is_own(&self) -> bool {
        self.maker.is_here()
    }

    /// The pin: the generation word that this reader holds; 0: none. Only its owner stores to it.
    #[inline]
    pub(crate) fn word(&self) -> &AtomicU64 {
        &self.words().pin
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A forked child drops its copy: the lease is still its parent's.
        if !self.is_own() {
            return;
        }
        match &self.home {
            Home::Heap { mapping, index } => {
                if let Some(leases) = mapping.heap_leases() {
                    leases.release(*index);
                }
            }
            #[cfg(unix)]
            Home::Shared { .. } => {
                self.words().pin.store(0, Ordering::Release);
                self.words().pid.store(0, Ordering::Relaxed);
            }
        }
    }
}
