//! The bytes of a mailbox: where what stands, and its rings as the ring's algorithm sees them.
//!
//! ```text
//! byte    0  magic u64, stored last
//!         8  rings u32 · targets u32
//!        16  bytes of a ring's data u64
//!        24  check u64: a hash of bytes 8 to 24 and of the targets
//!        32  closed u64: not 0 once the simulation takes nothing any more
//!        40  paused u64: 0: no; 1: yes; both only where the run is steerable, else all ones
//!        48  steps u64: frames that it may run although it is paused
//!        56  pace u64: an f64, frames per second of real time at most; 0: none
//!        64  targets, 8 bytes each: kind u8 (1 component, 2 resource) · field u8 (0: all; else its index + 1)
//!            · id u16 · 0 u32
//!      4096  the rings, one after the other
//!
//! of a ring:
//!         0  head u64     (consumer)     128  tail u64      (producer)
//!       256  flags u64                   384  owner u64: a process id, for display (of a private region: the lock)
//!      4096  history: 256 x (generation u64, position u64): what each of the newest generations contains  (writer)
//!      8192  data
//! ```
//!
//! Invariants: every access is to an aligned 64-bit atomic inside the block (checked), so whatever another process
//! does, reading here is defined and merely yields words. Integers are little-endian.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::{INPUT_HISTORY, INPUT_RING_BYTES, INPUT_RINGS, INPUTS_MAX, PAGE_BYTES};
use crate::patch::RingMemory;
use crate::trace::Block;

use super::InputError;

const MAGIC: u64 = u64::from_le_bytes(*b"HYPOINP1");
const PAGE_WORDS: usize = PAGE_BYTES as usize / 8;
const TARGETS_AT: usize = 8;
const CLOSED_AT: usize = 4;
const PAUSED_AT: usize = 5;
const STEPS_AT: usize = 6;
const PACE_AT: usize = 7;
/// In the place of [`PAUSED_AT`] where the run is not steerable.
const NOT_STEERABLE: u64 = u64::MAX;
const DATA_AT: usize = 2 * PAGE_WORDS;
const RING_WORDS: usize = DATA_AT + INPUT_RING_BYTES / 8;

const HEAD_AT: usize = 0;
const TAIL_AT: usize = 16;
const FLAGS_AT: usize = 32;
const OWNER_AT: usize = 48;
const HISTORY_AT: usize = PAGE_WORDS;

const _: () = assert!(TARGETS_AT + INPUTS_MAX <= PAGE_WORDS, "the targets fit the first page");
const _: () = assert!(2 * INPUT_HISTORY <= PAGE_WORDS, "the history fits its page");

/// Bytes of a whole mailbox.
pub(crate) const MAILBOX_BYTES: u64 = ((PAGE_WORDS + INPUT_RINGS * RING_WORDS) * 8) as u64;

/// What an input can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A component, or one field of it (its index + 1).
    Component {
        id: u16,
        field: u8,
    },
    Resource {
        id: u16,
    },
}

impl Target {
    fn encode(self) -> u64 {
        match self {
            Target::Component { id, field } => 1 | u64::from(field) << 8 | u64::from(id) << 16,
            Target::Resource { id } => 2 | u64::from(id) << 16,
        }
    }

    fn decode(word: u64) -> Option<Self> {
        let (kind, field, id) = (word as u8, (word >> 8) as u8, (word >> 16) as u16);
        match (kind, field, word >> 32) {
            (1, field, 0) => Some(Target::Component { id, field }),
            (2, 0, 0) => Some(Target::Resource { id }),
            _ => None,
        }
    }

    /// Whether permission to set this is permission to set `other`.
    pub(crate) fn covers(self, other: Target) -> bool {
        self == other
            || matches!((self, other), (Target::Component { id, field: 0 }, Target::Component { id: of, .. }) if id == of)
    }
}

/// A mailbox's block.
#[derive(Clone, Debug)]
pub(crate) struct Words(Arc<Block>);

impl Words {
    /// A block of another process or of this one, of at least [`MAILBOX_BYTES`].
    pub(crate) fn new(block: Arc<Block>) -> Result<Self, InputError> {
        if block.words().len() < MAILBOX_BYTES as usize / 8 {
            return Err(InputError::Broken { what: "it is too short" });
        }
        Ok(Words(block))
    }

    pub(crate) fn block(&self) -> &Arc<Block> {
        &self.0
    }

    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        &self.0.words()[at]
    }

    fn check(&self, targets: usize) -> u64 {
        let words = (1..3).chain(TARGETS_AT..TARGETS_AT + targets).map(|at| self.word(at).load(Ordering::Relaxed));
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    /// Writes the head: from now on senders find the mailbox.
    pub(crate) fn write_head(&self, targets: &[Target], steerable: bool) {
        let store = |at: usize, word: u64| self.word(at).store(word, Ordering::Relaxed);
        store(PAUSED_AT, if steerable { 0 } else { NOT_STEERABLE });
        store(1, INPUT_RINGS as u64 | (targets.len() as u64) << 32);
        store(2, INPUT_RING_BYTES as u64);
        targets.iter().zip(TARGETS_AT..).for_each(|(target, at)| store(at, target.encode()));
        store(3, self.check(targets.len()));
        // SYNC POINT mailbox: a sender that sees the magic sees all of the head
        self.word(0).store(MAGIC, Ordering::Release);
    }

    /// The targets that the head declares.
    pub(crate) fn read_head(&self) -> Result<Vec<Target>, InputError> {
        let broken = |what| Err(InputError::Broken { what });
        // SYNC POINT mailbox
        if self.word(0).load(Ordering::Acquire) != MAGIC {
            return broken("it does not begin as one");
        }
        let counts = self.word(1).load(Ordering::Relaxed);
        let targets = (counts >> 32) as usize;
        let sizes = (counts as u32 as usize, self.word(2).load(Ordering::Relaxed) as usize);
        if sizes != (INPUT_RINGS, INPUT_RING_BYTES) || targets > INPUTS_MAX {
            return broken("it is of another version");
        }
        if self.word(3).load(Ordering::Relaxed) != self.check(targets) {
            return broken("its check word is wrong");
        }
        let words = (TARGETS_AT..TARGETS_AT + targets).map(|at| self.word(at).load(Ordering::Relaxed));
        let read: Option<Vec<Target>> = words.map(Target::decode).collect();
        read.ok_or(InputError::Broken { what: "it declares what is none" })
    }

    pub(crate) fn close(&self) {
        self.word(CLOSED_AT).store(1, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.word(CLOSED_AT).load(Ordering::Acquire) != 0
    }

    pub(crate) fn is_steerable(&self) -> bool {
        self.paused().load(Ordering::Acquire) != NOT_STEERABLE
    }

    pub(crate) fn paused(&self) -> &AtomicU64 {
        self.word(PAUSED_AT)
    }

    pub(crate) fn steps(&self) -> &AtomicU64 {
        self.word(STEPS_AT)
    }

    pub(crate) fn pace(&self) -> &AtomicU64 {
        self.word(PACE_AT)
    }

    pub(crate) fn ring(&self, index: usize) -> RingWords {
        assert!(index < INPUT_RINGS, "a mailbox has so many rings");
        RingWords { block: Arc::clone(&self.0), at: PAGE_WORDS + index * RING_WORDS }
    }
}

/// One ring of a mailbox, with what stands beside it.
#[derive(Clone, Debug)]
pub(crate) struct RingWords {
    block: Arc<Block>,
    at: usize,
}

impl RingWords {
    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        &self.block.words()[self.at + at]
    }

    pub(crate) fn owner(&self) -> &AtomicU64 {
        self.word(OWNER_AT)
    }

    /// Makes the ring as new. Nobody produces into it.
    pub(crate) fn renew(&self) {
        for at in [HEAD_AT, TAIL_AT, FLAGS_AT, OWNER_AT].into_iter().chain(HISTORY_AT..HISTORY_AT + 2 * INPUT_HISTORY) {
            self.word(at).store(0, Ordering::Release);
        }
    }

    /// Notes what a generation will contain: everything before `position`. Only for one that is not published yet.
    pub(crate) fn note(&self, generation: u64, position: u64) {
        let at = HISTORY_AT + 2 * (generation % INPUT_HISTORY as u64) as usize;
        self.word(at).store(0, Ordering::Release);
        // SYNC POINT mailbox-history: a reader of this position sees that the entry is being changed, or was
        self.word(at + 1).store(position, Ordering::Release);
        self.word(at).store(generation, Ordering::Release);
    }

    /// What a published generation contains, as far as that is still known: everything before this position.
    pub(crate) fn contained(&self, generation: u64) -> Option<u64> {
        let entry = |index: usize| {
            let at = HISTORY_AT + 2 * index;
            let noted = self.word(at).load(Ordering::Acquire);
            // SYNC POINT mailbox-history
            let position = self.word(at + 1).load(Ordering::Acquire);
            let whole = noted != 0 && noted <= generation && self.word(at).load(Ordering::Relaxed) == noted;
            whole.then_some((noted, position))
        };
        let exact = entry((generation % INPUT_HISTORY as u64) as usize).filter(|(noted, _)| *noted == generation);
        // one that was published between frames has no entry: those before it still hold
        exact.or_else(|| (0..INPUT_HISTORY).filter_map(entry).max()).map(|(_, position)| position)
    }
}

impl RingMemory for RingWords {
    type Word = AtomicU64;

    #[inline]
    fn capacity(&self) -> usize {
        INPUT_RING_BYTES
    }
    #[inline]
    fn head(&self) -> &AtomicU64 {
        self.word(HEAD_AT)
    }
    #[inline]
    fn tail(&self) -> &AtomicU64 {
        self.word(TAIL_AT)
    }
    fn flags(&self) -> u32 {
        self.word(FLAGS_AT).load(Ordering::Acquire) as u32
    }
    fn raise(&self, flags: u32) {
        self.word(FLAGS_AT).fetch_or(u64::from(flags), Ordering::Release);
    }
    fn read(&self, start: usize, out: &mut [u64]) {
        let first = self.at + DATA_AT;
        assert!(start <= INPUT_RING_BYTES / 8 && out.len() <= INPUT_RING_BYTES / 8 - start, "inside the ring");
        for (out, word) in out.iter_mut().zip(&self.block.words()[first + start..]) {
            // the acquire of the tail orders these after the producer's stores
            *out = word.load(Ordering::Relaxed);
        }
    }
    fn write(&self, start: usize, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty(), "records are whole words");
        let first = self.at + DATA_AT;
        assert!(start <= INPUT_RING_BYTES / 8 && words.len() <= INPUT_RING_BYTES / 8 - start, "inside the ring");
        for (bytes, word) in words.iter().zip(&self.block.words()[first + start..]) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }
}
