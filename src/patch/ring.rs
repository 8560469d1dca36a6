//! The ring from one worker to the committer: one producer, one consumer, whole records.
//!
//! Positions count bytes since the ring began and never wrap: what would lead to 2^64 is refused, and the ring has to be
//! made anew. A position's place is `position % capacity`. A record never crosses the end of the data: a pad record fills the rest. The producer copies records in and moves
//! the tail once per batch of them, so a death in the middle of a record, or of a batch, is invisible. The consumer
//! keeps a private head, copies a record's first word out before it believes its length, and copies the record out
//! before anybody looks at it. After Lamport, "Specifying concurrent program modules" (1983).
//!
//! Invariants: the consumer trusts nothing but its own head and the capacity. Whatever the shared words hold, it
//! reads inside the ring, moves at most `capacity` bytes per drain, and reports what is wrong as [`RingError`].
//! This file never knows what a record means, and never waits.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering;

use crate::patch::error::RingError;
use crate::patch::record::{HEADER_BYTES, Header, Kind, RECORD_ALIGN};
use crate::patch::ring_memory::{RawMemory, RingMemory, RingWord};
use crate::primitive::ordering;

const CLOSED: u32 = 1;
const POISONED: u32 = 2;

/// A ring in shared memory; hands out its two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring<M = RawMemory> {
    memory: M,
}

impl<M: RingMemory + Clone> Ring<M> {
    /// The ring in validated memory.
    pub(crate) fn new(memory: M) -> Self {
        Ring { memory }
    }

    /// Bytes of the data.
    pub(crate) fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// The producing end, which goes on at the published tail. Whoever makes two at a time gets rubbish records out.
    ///
    /// # Errors
    /// [`RingError::Positions`].
    pub(crate) fn producer(&self) -> Result<Producer<M>, RingError> {
        let (head, tail) = self.positions()?;
        Ok(Producer { memory: self.memory.clone(), tail, published: tail, head })
    }

    /// The consuming end, which goes on at the published head. Whoever makes two at a time gets records twice.
    ///
    /// # Errors
    /// [`RingError::Positions`].
    pub(crate) fn consumer(&self) -> Result<Consumer<M>, RingError> {
        let (head, _) = self.positions()?;
        Ok(Consumer { memory: self.memory.clone(), head, published: head, record: Vec::new(), violation: None })
    }

    /// Tells both ends that no more is to come, or to be taken.
    pub(crate) fn close(&self) {
        self.memory.raise(CLOSED);
    }

    #[cfg(test)]
    /// Whether the ring was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.memory.flags() & CLOSED != 0
    }

    /// Whether the consumer found the ring broken.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.memory.flags() & POISONED != 0
    }

    fn positions(&self) -> Result<(u64, u64), RingError> {
        let tail = self.memory.tail().load(Ordering::Acquire);
        let head = self.memory.head().load(Ordering::Acquire);
        check_positions(head, tail, self.memory.capacity())?;
        Ok((head, tail))
    }
}

impl Ring {
    /// Bytes of memory that a ring with `capacity` bytes of data takes.
    ///
    /// # Errors
    /// [`RingError::Capacity`]: no power of two in range.
    pub(crate) const fn bytes_needed(capacity: usize) -> Result<usize, RingError> {
        RawMemory::bytes_needed(capacity)
    }
}

/// `head <= tail <= head + capacity`, both multiples of 8.
#[inline]
fn check_positions(head: u64, tail: u64, capacity: usize) -> Result<(), RingError> {
    let aligned = (head | tail).is_multiple_of(RECORD_ALIGN as u64);
    match tail.checked_sub(head) {
        Some(used) if used <= capacity as u64 && aligned => Ok(()),
        _ => Err(RingError::Positions { head, tail, capacity: capacity as u64 }),
    }
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Producer<M = RawMemory> {
    memory: M,
    /// Where the next record goes.
    tail: u64,
    /// What the consumer can see.
    published: u64,
    /// The consumer's head as last seen.
    head: u64,
}

impl<M: RingMemory> Producer<M> {
    /// Bytes published since the ring began.
    pub(crate) fn position(&self) -> u64 {
        self.published
    }

    /// Bytes of the longest record that can be pushed.
    pub(crate) fn record_bytes_max(&self) -> usize {
        self.memory.capacity() / 2
    }

    /// Copies a whole record (header and all, a multiple of 8 bytes) in, unseen by the consumer until
    /// [`publish`](Self::publish). False: there is no room now, and nothing was written; publish, let the consumer
    /// drain, and try again.
    ///
    /// # Errors
    /// - [`RingError::TooLarge`], [`RingError::NotARecord`]: nothing was written, the ring goes on.
    /// - [`RingError::Positions`]: the other end broke the ring, or its positions are used up.
    #[inline]
    pub(crate) fn try_push(&mut self, record: &[u8]) -> Result<bool, RingError> {
        let bytes = record.len();
        let claimed = record.first_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b));
        if bytes < HEADER_BYTES || !bytes.is_multiple_of(RECORD_ALIGN) || claimed as usize != bytes {
            return Err(RingError::NotARecord { bytes, claimed });
        }
        if bytes > self.record_bytes_max() {
            return Err(RingError::TooLarge { bytes, max: self.record_bytes_max() });
        }
        let capacity = self.memory.capacity();
        let place = (self.tail % capacity as u64) as usize;
        let pad = if bytes > capacity - place { capacity - place } else { 0 };
        let Some(tail) = self.tail.checked_add((pad + bytes) as u64) else {
            return Err(RingError::Positions { head: self.head, tail: self.tail, capacity: capacity as u64 });
        };
        if pad + bytes > self.known_free() && pad + bytes > self.free_bytes()? {
            return Ok(false);
        }
        if pad > 0 {
            let header =
                Header { bytes: pad as u32, kind: Kind::Pad as u8, field: 0, component: 0, count: 0, sequence: 0 };
            self.memory.write(place / 8, &header.encode()[..pad.min(HEADER_BYTES)]);
            self.memory.write(0, record);
        } else {
            self.memory.write(place / 8, record);
        }
        self.tail = tail;
        Ok(true)
    }

    /// Copies as many whole records from the front of `records` in as there is room for; the bytes taken.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push).
    pub(crate) fn push_all(&mut self, records: &[u8]) -> Result<usize, RingError> {
        let mut taken = 0;
        while let Some(header) = records[taken..].first_chunk::<4>() {
            let claimed = u32::from_le_bytes(*header);
            let left = records.len() - taken;
            let Some(record) = records[taken..].get(..claimed as usize) else {
                return Err(RingError::NotARecord { bytes: left, claimed });
            };
            if !self.try_push(record)? {
                break;
            }
            taken += record.len();
        }
        Ok(taken)
    }

    /// Makes everything pushed so far visible to the consumer.
    #[inline]
    pub(crate) fn publish(&mut self) {
        if self.published != self.tail {
            // SYNC POINT ring-tail: what was written before is seen by whatever acquires this tail.
            self.memory.tail().store(self.tail, ordering!(RingTail, Ordering::Release));
            self.published = self.tail;
        }
    }

    /// Bytes free now, a pad included.
    ///
    /// # Errors
    /// [`RingError::Positions`]: the other end broke the ring.
    pub(crate) fn free_bytes(&mut self) -> Result<usize, RingError> {
        // SYNC POINT ring-head: what the consumer read before is read before this end writes over it.
        let head = self.memory.head().load(ordering!(RingHeadLoad, Ordering::Acquire));
        if head < self.head || head > self.published {
            return Err(RingError::Positions { head, tail: self.tail, capacity: self.memory.capacity() as u64 });
        }
        check_positions(head, self.tail, self.memory.capacity())?;
        self.head = head;
        Ok(self.known_free())
    }

    /// Whether the ring was closed by either end.
    pub(crate) fn is_closed(&self) -> bool {
        self.memory.flags() & (CLOSED | POISONED) != 0
    }

    #[inline]
    fn known_free(&self) -> usize {
        self.memory.capacity() - (self.tail - self.head) as usize
    }
}

/// Why a drain stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DrainError<E> {
    /// The producer broke the ring; it stays broken.
    Ring(RingError),
    /// The sink refused a record; that record and those before it are consumed.
    Sink(E),
}

/// The committer's end.
#[derive(Debug)]
pub(crate) struct Consumer<M = RawMemory> {
    memory: M,
    head: u64,
    published: u64,
    /// The record under way, 8-aligned.
    record: Vec<u64>,
    violation: Option<RingError>,
}

impl<M: RingMemory> Consumer<M> {
    /// Bytes consumed since the ring began.
    pub(crate) fn position(&self) -> u64 {
        self.head
    }

    /// Hands every published record, copied out and in order, to `sink`: header and all, 8-aligned, with a length
    /// that agrees with its header; nothing else of it was checked. Pads are left out. Returns the bytes consumed.
    ///
    /// # Errors
    /// [`DrainError::Ring`]: the ring is broken, records before the break were handed on, and every later drain fails
    /// too; the producer's worker is not to be trusted any more. [`DrainError::Sink`]: what the sink said.
    pub(crate) fn drain<E>(&mut self, sink: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<usize, DrainError<E>> {
        if let Some(violation) = &self.violation {
            return Err(DrainError::Ring(violation.clone()));
        }
        let start = self.head;
        // SYNC POINT ring-tail: the records before this tail are whole.
        let tail = self.memory.tail().load(ordering!(RingTailLoad, Ordering::Acquire));
        if tail == self.head {
            return Ok(0);
        }
        let result = check_positions(self.head, tail, self.memory.capacity());
        let result = result.map_err(DrainError::Ring).and_then(|()| self.drain_to(tail, sink));
        if let Err(DrainError::Ring(violation)) = &result {
            self.memory.raise(POISONED);
            self.violation = Some(violation.clone());
        }
        self.publish();
        result.map(|()| (self.head - start) as usize)
    }

    fn drain_to<E>(&mut self, tail: u64, sink: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), DrainError<E>> {
        // A waiting producer need not wait for the whole drain.
        let publish_bytes = (self.memory.capacity() / 4) as u64;
        while self.head != tail {
            if self.copy_record(tail).map_err(DrainError::Ring)? {
                sink(bytemuck::cast_slice(&self.record)).map_err(DrainError::Sink)?;
            }
            if self.head - self.published >= publish_bytes {
                self.publish();
            }
        }
        Ok(())
    }

    /// Copies the record at the head out and moves the head past it; false for a pad.
    fn copy_record(&mut self, tail: u64) -> Result<bool, RingError> {
        let capacity = self.memory.capacity();
        let place = (self.head % capacity as u64) as usize;
        let left = (tail - self.head).min((capacity - place) as u64);
        // The first word is believed only as this copy: the producer could change it in the ring.
        let mut first = [0];
        self.memory.read(place / 8, &mut first);
        let half: [u8; 8] = first[0].to_ne_bytes();
        let bytes = u32::from_le_bytes([half[0], half[1], half[2], half[3]]);
        let pad = half[4] == Kind::Pad as u8;
        let least = if pad { RECORD_ALIGN } else { HEADER_BYTES };
        if u64::from(bytes) > left || (bytes as usize) < least || !bytes.is_multiple_of(RECORD_ALIGN as u32) {
            return Err(RingError::Record { at: self.head, bytes, left });
        }
        if !pad {
            self.record.resize(bytes as usize / 8, 0);
            self.record[0] = first[0];
            self.memory.read(place / 8 + 1, &mut self.record[1..]);
        }
        self.head += u64::from(bytes);
        Ok(!pad)
    }

    fn publish(&mut self) {
        if self.published != self.head {
            // SYNC POINT ring-head: everything before this head was copied out.
            self.memory.head().store(self.head, ordering!(RingHead, Ordering::Release));
            self.published = self.head;
        }
    }
}

#[cfg(all(test, loom))]
pub(crate) mod models {
    //! Every interleaving of a small run: records arrive whole, in order, once; and what each ordering is for.

    use super::*;
    use crate::patch::ring_memory::ModelMemory;
    use crate::primitive::mutant::Mutant;

    /// A record of `words` 8-byte words, all but the first of which hold `mark`.
    fn record(words: usize, mark: u64) -> Vec<u8> {
        let mut out = (8 * words as u64 | (Kind::Failure as u64) << 32).to_le_bytes().to_vec();
        (1..words).for_each(|_| out.extend(mark.to_le_bytes()));
        out
    }

    /// Pushes records of these many words through a ring of `capacity` bytes, publishing after every `batch`.
    fn pass(capacity: usize, words: &'static [usize], batch: usize) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let ring = Ring::new(ModelMemory::new(capacity));
            let mut producer = ring.producer().unwrap();
            let mut consumer = ring.consumer().unwrap();
            let worker = loom::thread::spawn(move || {
                for (mark, words) in words.iter().enumerate() {
                    while !producer.try_push(&record(*words, mark as u64)).unwrap() {
                        producer.publish();
                        loom::thread::yield_now();
                    }
                    if (mark + 1) % batch == 0 {
                        producer.publish();
                    }
                }
                producer.publish();
            });
            let mut seen = 0;
            while seen < words.len() {
                let drained = consumer.drain::<()>(&mut |found| {
                    assert_eq!(found, record(words[seen], seen as u64), "record {seen}");
                    seen += 1;
                    Ok(())
                });
                if drained.unwrap() == 0 {
                    loom::thread::yield_now();
                }
            }
            worker.join().unwrap();
            assert_eq!(consumer.drain::<()>(&mut |_| Ok(())), Ok(0), "nothing more");
        });
    }

    /// Six words: the second record waits for room, the third needs a pad.
    fn backpressure_and_wrap() {
        pass(64, &[3, 4, 3, 2], 1);
    }

    #[test]
    fn records_arrive_with_backpressure_and_wrap() {
        backpressure_and_wrap();
    }

    fn batches() {
        pass(64, &[2, 2, 2, 2, 3], 2);
    }

    fn half_a_header() {
        pass(64, &[4, 3, 4], 1);
    }

    /// What the models are called.
    pub(crate) const MODELS: [(&str, fn()); 3] = [
        ("records with backpressure and wrap", backpressure_and_wrap),
        ("batches", batches),
        ("a pad of half a header", half_a_header),
    ];

    #[test]
    fn batches_arrive() {
        batches();
    }

    #[test]
    fn a_pad_of_half_a_header() {
        half_a_header();
    }

    #[test]
    fn without_release_of_the_tail_it_fails() {
        Mutant::RingTail.must_fail(backpressure_and_wrap);
    }

    #[test]
    fn without_acquire_of_the_tail_it_fails() {
        Mutant::RingTailLoad.must_fail(backpressure_and_wrap);
    }

    #[test]
    fn without_release_of_the_head_it_fails() {
        Mutant::RingHead.must_fail(backpressure_and_wrap);
    }

    #[test]
    fn without_acquire_of_the_head_it_fails() {
        Mutant::RingHeadLoad.must_fail(backpressure_and_wrap);
    }
}
