//! Where a ring's bytes live: raw memory (heap or mapping), or a model's tracked cells.
//!
//! ```text
//! byte   0 magic u64 | 8 capacity u64 | 16 check u64 (magic ^ capacity rotated) | 24 flags u32 | zeros
//! byte 128 head u64 (bytes consumed)  | zeros            written by the consumer only
//! byte 256 tail u64 (bytes produced)  | zeros            written by the producer only
//! byte 384 data, capacity bytes
//! ```
//!
//! Invariants: every access is to an aligned 64-bit word (the flags: 32-bit) and atomic, so that whatever the other
//! end does, at whatever moment, reading the ring is defined and merely yields words; every access is checked against
//! the capacity that was validated at `init` or `attach` and is kept in private memory.
//! This file knows nothing of records or of the protocol.
#![expect(unsafe_code, reason = "reads and writes ring words through a raw pointer")]

// Not `crate::primitive`: loom's atomics cannot be laid over raw memory. Models use `ModelMemory`.
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytemuck::{Pod, Zeroable};

use crate::limits::{RING_BYTES_MAX, RING_BYTES_MIN};
use crate::patch::error::RingError;
use crate::patch::ring::Ring;

const MAGIC: u64 = u64::from_le_bytes(*b"HYPORNG1");
const CAPACITY_AT: usize = 8;
const CHECK_AT: usize = 16;
const FLAGS_AT: usize = 24;
const HEAD_AT: usize = RING_LINE_BYTES;
const TAIL_AT: usize = 2 * RING_LINE_BYTES;
const DATA_AT: usize = 3 * RING_LINE_BYTES;
/// Alignment of a ring, and what its head and its tail have for themselves: two cache lines, as they are fetched in
/// pairs.
const RING_LINE_BYTES: usize = 128;

/// The unit of heap memory for rings: a `Vec` of these has the right alignment.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(128))]
pub(crate) struct RingLine([u8; RING_LINE_BYTES]);

/// A 64-bit word that both ends see.
pub(crate) trait RingWord {
    fn load(&self, ordering: Ordering) -> u64;
    fn store(&self, value: u64, ordering: Ordering);
}

impl RingWord for AtomicU64 {
    #[inline]
    fn load(&self, ordering: Ordering) -> u64 {
        AtomicU64::load(self, ordering)
    }
    #[inline]
    fn store(&self, value: u64, ordering: Ordering) {
        AtomicU64::store(self, value, ordering);
    }
}

/// A ring's memory, as the algorithm sees it. Words of the data are counted from its start.
pub(crate) trait RingMemory {
    /// Head and tail.
    type Word: RingWord;
    /// Bytes of the data, a power of two.
    fn capacity(&self) -> usize;
    /// Bytes consumed since the ring began.
    fn head(&self) -> &Self::Word;
    /// Bytes produced since the ring began.
    fn tail(&self) -> &Self::Word;
    /// The flags.
    fn flags(&self) -> u32;
    /// Sets flags.
    fn raise(&self, flags: u32);
    /// Copies words `start..start + out.len()`, which are inside the data, out.
    fn read(&self, start: usize, out: &mut [u64]);
    /// Copies `bytes` (whole words) to the words from `start`, which are inside the data.
    fn write(&self, start: usize, bytes: &[u8]);
}

/// A ring in raw memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawMemory {
    base: *mut u8,
    capacity: usize,
}

// SAFETY: the memory is only accessed by atomic operations, and outlives every handle (contract of `init`, `attach`).
unsafe impl Send for RawMemory {}
// SAFETY: as above.
unsafe impl Sync for RawMemory {}

impl RawMemory {
    /// Bytes that a ring of `capacity` takes with its head.
    ///
    /// # Errors
    /// [`RingError::Capacity`].
    pub(crate) const fn bytes_needed(capacity: usize) -> Result<usize, RingError> {
        if !capacity.is_power_of_two() || capacity < RING_BYTES_MIN || capacity > RING_BYTES_MAX {
            return Err(RingError::Capacity { bytes: capacity as u64 });
        }
        Ok(DATA_AT + capacity)
    }

    /// Makes the memory an empty ring.
    ///
    /// # Errors
    /// A wrong capacity or alignment.
    ///
    /// # Safety
    /// - `base` is valid for reads and writes of [`bytes_needed`](Self::bytes_needed) bytes for as long as this value
    ///   or a copy of it is used.
    /// - In this process, everybody else accesses those bytes through rings only, and nobody during this call.
    pub(crate) unsafe fn init(base: *mut u8, capacity: usize) -> Result<Self, RingError> {
        let needed = Self::bytes_needed(capacity)?;
        check_address(base)?;
        let memory = RawMemory { base, capacity };
        // SAFETY: valid for `needed` bytes, of which this takes the first few; not accessed by anybody else now.
        unsafe { base.write_bytes(0, needed - capacity) };
        memory.word(CAPACITY_AT).store(capacity as u64, Ordering::Relaxed);
        memory.word(CHECK_AT).store(check_word(capacity as u64), Ordering::Relaxed);
        memory.word(0).store(MAGIC, Ordering::Release);
        Ok(memory)
    }

    /// The ring that is in the memory, written by any process.
    ///
    /// # Errors
    /// What is wrong with the alignment, the length or the ring's head.
    ///
    /// # Safety
    /// - `base` is valid for reads and writes of `bytes` bytes for as long as this value or a copy of it is used.
    /// - In this process, everybody else accesses those bytes through rings only.
    pub(crate) unsafe fn attach(base: *mut u8, bytes: usize) -> Result<Self, RingError> {
        check_address(base)?;
        if bytes < DATA_AT {
            return Err(RingError::TooSmall { bytes: bytes as u64, needed: DATA_AT as u64 });
        }
        let head = RawMemory { base, capacity: 0 };
        let found = head.word(0).load(Ordering::Acquire);
        let capacity = head.word(CAPACITY_AT).load(Ordering::Relaxed);
        let check = head.word(CHECK_AT).load(Ordering::Relaxed);
        if found != MAGIC || check != check_word(capacity) {
            return Err(RingError::Check { found, check });
        }
        let capacity = usize::try_from(capacity).map_err(|_| RingError::Capacity { bytes: capacity })?;
        let needed = Self::bytes_needed(capacity)?;
        if bytes < needed {
            return Err(RingError::TooSmall { bytes: bytes as u64, needed: needed as u64 });
        }
        Ok(RawMemory { base, capacity })
    }

    /// A word of the ring's head.
    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at < DATA_AT);
        // SAFETY: inside the first DATA_AT bytes, which are valid for as long as self is used; base is aligned to 128
        // and `at` to 8; only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(self.base.add(at).cast()) }
    }

    /// The data's words `start..start + count`.
    #[inline]
    fn data(&self, start: usize, count: usize) -> &[AtomicU64] {
        let words = self.capacity / 8;
        assert!(start <= words && count <= words - start, "an access outside the ring");
        // SAFETY: inside the data (just checked), which is valid for as long as self is used and aligned to 128;
        // AtomicU64 allows shared mutation; only ever accessed by aligned 64-bit atomics.
        unsafe { std::slice::from_raw_parts(self.base.add(DATA_AT).cast::<AtomicU64>().add(start), count) }
    }

    #[inline]
    fn flag_word(&self) -> &AtomicU32 {
        // SAFETY: as in `word`; these four bytes are only ever accessed as an aligned 32-bit atomic.
        unsafe { AtomicU32::from_ptr(self.base.add(FLAGS_AT).cast()) }
    }
}

fn check_address(base: *mut u8) -> Result<(), RingError> {
    let address = base.addr();
    if base.is_null() || !address.is_multiple_of(RING_LINE_BYTES) {
        return Err(RingError::Misaligned { address });
    }
    Ok(())
}

const fn check_word(capacity: u64) -> u64 {
    MAGIC ^ capacity.rotate_left(32)
}

impl RingMemory for RawMemory {
    type Word = AtomicU64;

    #[inline]
    fn capacity(&self) -> usize {
        self.capacity
    }
    #[inline]
    fn head(&self) -> &AtomicU64 {
        self.word(HEAD_AT)
    }
    #[inline]
    fn tail(&self) -> &AtomicU64 {
        self.word(TAIL_AT)
    }
    #[inline]
    fn flags(&self) -> u32 {
        self.flag_word().load(Ordering::Acquire)
    }
    fn raise(&self, flags: u32) {
        self.flag_word().fetch_or(flags, Ordering::Release);
    }
    #[inline]
    fn read(&self, start: usize, out: &mut [u64]) {
        // Relaxed: the acquire of the tail orders these after the producer's stores; a producer that breaks the
        // protocol only gets other words into `out`.
        let words = self.data(start, out.len());
        for (out, word) in out.iter_mut().zip(words) {
            *out = word.load(Ordering::Relaxed);
        }
    }
    #[inline]
    fn write(&self, start: usize, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty(), "records are whole words");
        for (bytes, word) in words.iter().zip(self.data(start, words.len())) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }
}

impl Ring {
    /// Makes memory an empty ring of `capacity` bytes.
    ///
    /// # Errors
    /// A wrong capacity or alignment.
    ///
    /// # Safety
    /// - `base` is valid for reads and writes of [`bytes_needed`](Self::bytes_needed) bytes for as long as the ring or
    ///   one of its ends is used.
    /// - In this process, everybody else accesses those bytes through rings only, and nobody during this call.
    pub(crate) unsafe fn init(base: *mut u8, capacity: usize) -> Result<Self, RingError> {
        // SAFETY: the caller's duties are the same.
        unsafe { RawMemory::init(base, capacity) }.map(Ring::new)
    }

    /// The ring that is in memory, written by any process.
    ///
    /// # Errors
    /// What is wrong with the alignment, the length or the ring's head.
    ///
    /// # Safety
    /// - `base` is valid for reads and writes of `bytes` bytes for as long as the ring or one of its ends is used.
    /// - In this process, everybody else accesses those bytes through rings only.
    pub(crate) unsafe fn attach(base: *mut u8, bytes: usize) -> Result<Self, RingError> {
        // SAFETY: the caller's duties are the same.
        unsafe { RawMemory::attach(base, bytes) }.map(Ring::new)
    }
}

/// A ring in a loom model: the same words, and data whose unsynchronised use loom reports.
#[cfg(all(test, loom))]
#[derive(Clone)]
pub(crate) struct ModelMemory(std::sync::Arc<ModelWords>);

#[cfg(all(test, loom))]
struct ModelWords {
    head: loom::sync::atomic::AtomicU64,
    tail: loom::sync::atomic::AtomicU64,
    data: crate::tracked::TrackedWords,
}

#[cfg(all(test, loom))]
impl ModelMemory {
    /// An empty ring of any capacity, also smaller than real ones.
    pub(crate) fn new(capacity: usize) -> Self {
        ModelMemory(std::sync::Arc::new(ModelWords {
            head: loom::sync::atomic::AtomicU64::new(0),
            tail: loom::sync::atomic::AtomicU64::new(0),
            data: crate::tracked::TrackedWords::new(vec![0; capacity / 8]),
        }))
    }
}

#[cfg(all(test, loom))]
impl RingWord for loom::sync::atomic::AtomicU64 {
    #[track_caller]
    fn load(&self, ordering: Ordering) -> u64 {
        self.load(ordering)
    }
    #[track_caller]
    fn store(&self, value: u64, ordering: Ordering) {
        self.store(value, ordering);
    }
}

#[cfg(all(test, loom))]
impl RingMemory for ModelMemory {
    type Word = loom::sync::atomic::AtomicU64;

    fn capacity(&self) -> usize {
        self.0.data.len() * 8
    }
    fn head(&self) -> &Self::Word {
        &self.0.head
    }
    fn tail(&self) -> &Self::Word {
        &self.0.tail
    }
    fn flags(&self) -> u32 {
        0
    }
    fn raise(&self, _flags: u32) {}
    fn read(&self, start: usize, out: &mut [u64]) {
        for (index, out) in (start..).zip(out) {
            *out = self.0.data.get(index);
        }
    }
    fn write(&self, start: usize, bytes: &[u8]) {
        for (index, bytes) in (start..).zip(bytes.as_chunks::<8>().0) {
            self.0.data.set(index, u64::from_ne_bytes(*bytes));
        }
    }
}
