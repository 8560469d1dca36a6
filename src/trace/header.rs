//! A trace's first pages: how many rings of which length, when it began, and the names of what events number.
//!
//! ```text
//! offset bytes
//!      0     8  magic "HYPOTRCE"; stored last
//!      8     4  version: 1
//!     12     4  rings: main's, then one for each worker
//!     16     8  events in each ring: a power of two
//!     24     8  bytes of the names
//!     32     8  XXH3-64 of the names
//!     40     8  when it began, ns of the monotonic clock
//!     48     8  the same moment, ns since 1970
//!     56     4  the writer's process id
//!   4096     -  names, whole pages: systems u32, stages u32, batches u32; systems, then stages: bytes u16, UTF-8;
//!               batches: stage u32, systems u32, each one's number u32
//!      -     -  rings (ring.rs)
//! ```
//!
//! Invariant: all of it is written before anybody else can see it, and never again.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::limits::{PAGE_BYTES, TRACE_EVENTS_MAX, TRACE_EVENTS_MIN, WORKERS_MAX};
use crate::os;

use super::memory::Block;
use super::ring::{self, Recorder, RingPlace, ring_bytes};

const MAGIC: u64 = u64::from_le_bytes(*b"HYPOTRCE");
const VERSION: u32 = 1;
/// Words of the header page that are used.
const HEADER_WORDS: usize = 8;
/// Names longer than this are none.
const NAMES_BYTES_MAX: u64 = 1 << 24;

/// Whether a ring may have so many events.
pub(super) fn is_capacity(events: u64) -> bool {
    events.is_power_of_two() && (TRACE_EVENTS_MIN..=TRACE_EVENTS_MAX).contains(&events)
}

/// What events number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Systems, in the order of registration.
    pub systems: Vec<String>,
    /// Stages in order.
    pub stages: Vec<String>,
    /// Stage and systems of each batch.
    pub batches: Vec<(u32, Vec<u32>)>,
}

impl Names {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |number: usize| bytes.extend_from_slice(&(number as u32).to_le_bytes());
        put(self.systems.len());
        put(self.stages.len());
        put(self.batches.len());
        for name in self.systems.iter().chain(&self.stages) {
            let mut end = name.len().min(usize::from(u16::MAX));
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            bytes.extend_from_slice(&(end as u16).to_le_bytes());
            bytes.extend_from_slice(&name.as_bytes()[..end]);
        }
        for (stage, systems) in &self.batches {
            bytes.extend_from_slice(&stage.to_le_bytes());
            bytes.extend_from_slice(&(systems.len() as u32).to_le_bytes());
            systems.iter().for_each(|system| bytes.extend_from_slice(&system.to_le_bytes()));
        }
        bytes
    }

    /// From bytes that may be anything.
    fn decode(bytes: &[u8]) -> Option<Names> {
        let mut left = bytes;
        let number = |left: &mut &[u8]| -> Option<u32> {
            let (four, rest) = left.split_first_chunk::<4>()?;
            *left = rest;
            Some(u32::from_le_bytes(*four))
        };
        let counts = [number(&mut left)?, number(&mut left)?, number(&mut left)?];
        let text = |left: &mut &[u8]| -> Option<String> {
            let (two, rest) = left.split_first_chunk::<2>()?;
            let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*two)))?;
            *left = rest;
            Some(std::str::from_utf8(text).ok()?.to_owned())
        };
        let mut names = Names::default();
        for _ in 0..counts[0] {
            names.systems.push(text(&mut left)?);
        }
        for _ in 0..counts[1] {
            names.stages.push(text(&mut left)?);
        }
        for _ in 0..counts[2] {
            let (stage, systems) = (number(&mut left)?, number(&mut left)?);
            if stage >= counts[1] || systems as usize > left.len() / 4 {
                return None;
            }
            let mut members = Vec::with_capacity(systems as usize);
            for _ in 0..systems {
                members.push(number(&mut left).filter(|system| *system < counts[0])?);
            }
            names.batches.push((stage, members));
        }
        left.is_empty().then_some(names)
    }
}

/// A trace: as its maker has it, or as a reader found it.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    block: Arc<Block>,
    rings: u32,
    events: u64,
    /// Byte of the first ring.
    first: u64,
    pub(super) began_ns: u64,
    pub(super) began_unix_ns: u64,
    pub(super) pid: u32,
    pub(super) names: Arc<Names>,
}

/// Bytes before the first ring.
fn first_ring(names_bytes: u64) -> u64 {
    PAGE_BYTES + names_bytes.next_multiple_of(PAGE_BYTES)
}

impl Trace {
    /// Bytes of a trace with these rings.
    pub(crate) fn bytes_needed(names: &Names, rings: u32, events: u64) -> u64 {
        first_ring(names.encode().len() as u64) + u64::from(rings) * ring_bytes(events)
    }

    /// Makes a trace of a zeroed block of [`Trace::bytes_needed`] bytes that nobody else looks at yet.
    ///
    /// # Panics
    /// For a block that is too short, or a number of events that no ring has.
    pub(crate) fn create(block: Arc<Block>, names: Names, rings: u32, events: u64) -> Trace {
        assert!(is_capacity(events), "events of a ring: a power of two within bounds");
        let text = names.encode();
        let first = first_ring(text.len() as u64);
        let words = block.words();
        assert!(words.len() as u64 * 8 >= first + u64::from(rings) * ring_bytes(events), "room for all rings");
        let (began_ns, began_unix_ns, pid) = (os::monotonic_ns(), os::unix_time_ns(), os::pid());
        let set = |at: usize, value: u64| words[at].store(value, Ordering::Relaxed);
        set(1, u64::from(VERSION) | u64::from(rings) << 32);
        set(2, events);
        set(3, text.len() as u64);
        set(4, xxhash_rust::xxh3::xxh3_64(&text));
        set(5, began_ns);
        set(6, began_unix_ns);
        set(7, u64::from(pid));
        for (at, chunk) in text.chunks(8).enumerate() {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            set(PAGE_BYTES as usize / 8 + at, u64::from_le_bytes(eight));
        }
        // SYNC POINT: trace magic.
        words[0].store(MAGIC, Ordering::Release);
        Trace { block, rings, events, first, began_ns, began_unix_ns, pid, names: Arc::new(names) }
    }

    /// Reads a trace's header from words that may be anything; what is wrong with them otherwise.
    pub(crate) fn open(block: Arc<Block>) -> Result<Trace, &'static str> {
        let words = block.words();
        let load = |at: usize| words[at].load(Ordering::Relaxed);
        if words.len() < HEADER_WORDS {
            return Err("it is shorter than its header");
        }
        if load(0) != MAGIC {
            return Err("it has another magic number, or is not made yet");
        }
        // SYNC POINT: trace magic. A load and a fence: the words may be read-only memory.
        fence(Ordering::Acquire);
        if load(1) as u32 != VERSION {
            return Err("it has another version");
        }
        let (rings, events, names_bytes) = ((load(1) >> 32) as u32, load(2), load(3));
        if rings == 0 || rings as usize > WORKERS_MAX + 1 || !is_capacity(events) || names_bytes > NAMES_BYTES_MAX {
            return Err("its sizes are impossible");
        }
        let first = first_ring(names_bytes);
        if first + u64::from(rings) * ring_bytes(events) > words.len() as u64 * 8 {
            return Err("it ends before its rings do");
        }
        let text = &words[PAGE_BYTES as usize / 8..(first / 8) as usize];
        let mut text: Vec<u8> = text.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
        text.truncate(names_bytes as usize);
        if xxhash_rust::xxh3::xxh3_64(&text) != load(4) {
            return Err("its names do not fit their checksum");
        }
        let names = Arc::new(Names::decode(&text).ok_or("its names are damaged")?);
        let (began_ns, began_unix_ns, pid) = (load(5), load(6), load(7) as u32);
        Ok(Trace { block, rings, events, first, began_ns, began_unix_ns, pid, names })
    }

    /// Number of rings.
    pub(super) fn rings(&self) -> u32 {
        self.rings
    }

    /// Events of each ring.
    pub(super) fn events(&self) -> usize {
        self.events as usize
    }

    fn ring_at(&self, ring: u32) -> u64 {
        self.first + u64::from(ring) * ring_bytes(self.events)
    }

    /// A ring's words; none for a ring that there is not.
    pub(super) fn ring_words(&self, ring: u32) -> &[AtomicU64] {
        if ring >= self.rings {
            return &[];
        }
        let (from, to) = (self.ring_at(ring) / 8, self.ring_at(ring + 1) / 8);
        &self.block.words()[from as usize..to as usize]
    }

    /// The maker: the writing end of a ring, once each; off for a ring that there is not.
    pub(crate) fn recorder(&self, ring: u32) -> Recorder {
        if ring >= self.rings {
            return Recorder::off();
        }
        Recorder::on(self.block.clone(), (self.ring_at(ring) / 8) as usize, self.events as usize)
    }

    /// Where a worker process maps the ring of this number.
    pub(crate) fn place(&self, ring: u32) -> Option<RingPlace> {
        (ring < self.rings).then(|| RingPlace { offset: self.ring_at(ring), events: self.events })
    }

    /// The job that a ring's writer had when it died, and since when.
    pub(crate) fn open_job(&self, ring: u32) -> Option<(u64, u32)> {
        ring::open_job(self.ring_words(ring))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Names {
        Names {
            systems: vec!["move".to_owned(), "grow älter".to_owned(), String::new()],
            stages: vec!["update".to_owned()],
            batches: vec![(0, vec![0, 2]), (0, vec![1]), (0, vec![])],
        }
    }

    fn trace() -> Trace {
        let bytes = Trace::bytes_needed(&names(), 3, TRACE_EVENTS_MIN);
        Trace::create(Arc::new(Block::heap(bytes)), names(), 3, TRACE_EVENTS_MIN)
    }

    #[test]
    fn a_trace_is_read_back_as_it_was_made() {
        let made = trace();
        let opened = Trace::open(made.block.clone()).expect("it is whole");
        assert_eq!((opened.rings(), opened.events()), (3, TRACE_EVENTS_MIN as usize));
        assert_eq!((opened.began_ns, opened.began_unix_ns), (made.began_ns, made.began_unix_ns));
        assert_eq!(*opened.names, names());
        assert!(opened.ring_words(3).is_empty() && !opened.recorder(3).is_on() && opened.place(3).is_none());
        let place = opened.place(2).expect("there are three");
        assert_eq!(place.offset + place.bytes().expect("a ring's"), opened.block.words().len() as u64 * 8);
    }

    #[test]
    fn damaged_headers_are_refused() {
        for (word, value) in [
            (0, 0),
            (1, 2 | 3 << 32),
            (1, 1),
            (1, 1 | 99 << 32),
            (1, 1 | 4 << 32),
            (2, TRACE_EVENTS_MIN + 1),
            (2, u64::MAX),
            (2, TRACE_EVENTS_MIN * 4),
            (3, u64::MAX),
            (3, 7),
            (4, 5),
        ] {
            let made = trace();
            made.block.words()[word].store(value, Ordering::Relaxed);
            assert!(Trace::open(made.block.clone()).is_err(), "word {word}: {value}");
        }
        for bytes in [0, 8, 64, 4096, 8192, 20_000] {
            let short = Block::heap(bytes);
            for (to, from) in short.words().iter().zip(trace().block.words()) {
                to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            assert!(Trace::open(Arc::new(short)).is_err(), "{bytes} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
            let _ = Names::decode(&bytes);
        }

        #[test]
        fn names_with_a_changed_byte_decode_without_panic(at in 0usize..100, byte: u8) {
            let mut bytes = names().encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Some(names) = Names::decode(&bytes) {
                prop_assert!(names.batches.iter().flat_map(|(_, systems)| systems).all(|s| (*s as usize) < names.systems.len()));
            }
        }

        #[test]
        fn any_words_open_without_panic(words: [u64; 8]) {
            let block = Arc::new(Block::heap(16_384));
            for (to, from) in block.words().iter().zip([MAGIC, 1 | (words[1] % 70) << 32].into_iter().chain(words)) {
                to.store(from, Ordering::Relaxed);
            }
            let _ = Trace::open(block);
        }
    }
}
