//! One ring of events: its only writer's end, and what a reader makes of it.
//!
//! ```text
//! word 0     head: events written since the ring began      (SYNC POINT: trace head)
//! word 1     since when a job runs, ns; 0: none
//! word 2     its number in the batch
//! word 512   events, 4 words each, a power of two of them
//! ```
//!
//! The head moves over an event when all of it is there, so what a dying writer left half-written is never read; its
//! replacement goes on at the same place. A reader copies events and then looks at the head again: what the writer may
//! have begun to overwrite meanwhile it drops.
//!
//! Invariant: a ring has one writer at a time. Should there be two, events are wrong and nothing else is.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::limits::PAGE_BYTES;
use crate::{fault, os};

use super::event::{EVENT_WORDS, Event, EventKind};
use super::memory::Block;

/// Words before the events: a page, so that a ring can be mapped alone.
const HEADER_WORDS: usize = PAGE_BYTES as usize / 8;
const HEAD: usize = 0;
const OPEN_SINCE: usize = 1;
const OPEN_JOB: usize = 2;

/// Bytes of a ring of so many events.
pub(super) const fn ring_bytes(events: u64) -> u64 {
    (PAGE_BYTES + events * EVENT_WORDS as u64 * 8).next_multiple_of(PAGE_BYTES)
}

/// Where a worker process finds its ring in the region's file `trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingPlace {
    /// Its first byte.
    pub offset: u64,
    /// Its events.
    pub events: u64,
}

impl RingPlace {
    /// Its bytes; none: no ring has so many events.
    pub(crate) fn bytes(&self) -> Option<u64> {
        (super::header::is_capacity(self.events) && self.offset.is_multiple_of(PAGE_BYTES))
            .then(|| ring_bytes(self.events))
    }
}

#[derive(Clone, Debug)]
struct Ring {
    block: Arc<Block>,
    /// Word of the block at which it begins.
    at: usize,
    events: usize,
}

impl Ring {
    #[inline]
    fn words(&self) -> &[AtomicU64] {
        &self.block.words()[self.at..self.at + HEADER_WORDS + self.events * EVENT_WORDS]
    }

    #[inline]
    fn push(&self, words: [u64; EVENT_WORDS]) {
        let all = self.words();
        let head = all[HEAD].load(Ordering::Relaxed);
        let slot = HEADER_WORDS + (head as usize & (self.events - 1)) * EVENT_WORDS;
        let slot = &all[slot..slot + EVENT_WORDS];
        let number = head.wrapping_add(1);
        slot[0].store(words[0] | u64::from(number as u32), Ordering::Relaxed);
        slot[1].store(words[1], Ordering::Relaxed);
        fault::point("mid-event");
        slot[2].store(words[2], Ordering::Relaxed);
        slot[3].store(words[3], Ordering::Relaxed);
        // SYNC POINT: trace head. Whoever sees the head sees the event,
        all[HEAD].store(number, Ordering::Release);
        // and a reader that sees any part of the next event sees this head when it looks again.
        fence(Ordering::Release);
    }
}

/// A ring's writing end, or none: then it does nothing. Cloning it makes no second writer: main's is in several hands
/// of one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Option<Ring>);

impl Recorder {
    /// One that records nothing.
    pub(crate) fn off() -> Recorder {
        Recorder(None)
    }

    /// The writing end of a ring of `events` at this word of the block.
    pub(super) fn on(block: Arc<Block>, at: usize, events: usize) -> Recorder {
        Recorder(Some(Ring { block, at, events }))
    }

    /// The writing end of the ring that is all of this block, for a worker process. Off where the block is shorter.
    #[cfg(unix)]
    pub(crate) fn of_ring(block: Block, place: &RingPlace) -> Recorder {
        if place.bytes().is_none_or(|bytes| (block.words().len() as u64) < bytes / 8) {
            return Recorder::off();
        }
        let recorder = Recorder::on(Arc::new(block), 0, place.events as usize);
        // a dead predecessor's
        recorder.close_job();
        recorder
    }

    /// Whether it records.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The time; 0 where nothing is recorded.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        if self.is_on() { os::monotonic_ns() } else { 0 }
    }

    /// Records what lasted from `start` to `end`.
    #[inline]
    pub(crate) fn record(&self, start: u64, end: u64, kind: EventKind) {
        if let Some(ring) = &self.0 {
            ring.push(Event { start_ns: start, duration_ns: end.saturating_sub(start), kind }.pack());
        }
    }

    /// Records what began at `start` and ends now; returns now, so that the next can begin there.
    #[inline]
    pub(crate) fn lap(&self, start: u64, kind: EventKind) -> u64 {
        let now = self.now();
        self.record(start, now, kind);
        now
    }

    /// Says that a job runs now: what can be seen of it if this process dies.
    #[inline]
    pub(crate) fn open_job(&self, since: u64, job: u32) {
        if let Some(ring) = &self.0 {
            let words = ring.words();
            words[OPEN_JOB].store(u64::from(job), Ordering::Relaxed);
            words[OPEN_SINCE].store(since, Ordering::Relaxed);
        }
    }

    /// It does not any more.
    #[inline]
    pub(crate) fn close_job(&self) {
        if let Some(ring) = &self.0 {
            ring.words()[OPEN_SINCE].store(0, Ordering::Relaxed);
        }
    }
}

/// What is recorded of a job: the pool knows when it runs, the runner what it is.
pub(crate) struct JobTrace<'a> {
    recorder: &'a Recorder,
    job: u32,
    system: u32,
    table: u16,
    rows: u32,
    fused: bool,
    /// Whether it is part of what main records as a whole.
    hidden: bool,
    lap: u64,
}

impl<'a> JobTrace<'a> {
    /// A job that begins now.
    pub(crate) fn begin(recorder: &'a Recorder, job: u32, now: u64) -> JobTrace<'a> {
        recorder.open_job(now, job);
        JobTrace { recorder, job, system: u32::MAX, table: 0, rows: 0, fused: false, hidden: false, lap: now }
    }

    /// The runner: what it is. `fused`: it has several systems, of which this is the first.
    #[inline]
    pub(crate) fn describe(&mut self, system: u32, table: u32, rows: u32, fused: bool) {
        self.system = system;
        self.table = u16::try_from(table).unwrap_or(u16::MAX);
        self.rows = rows;
        self.fused = fused && self.recorder.is_on();
        if self.fused {
            self.lap = self.recorder.now();
        }
    }

    /// The runner: one of several systems has run, since the last one had.
    #[inline]
    pub(crate) fn system_ended(&mut self, system: u32) {
        if self.fused {
            let (table, job, rows) = (self.table, self.job, self.rows);
            self.lap = self.recorder.lap(self.lap, EventKind::System { system, table, job, rows });
        }
    }

    /// The runner: all systems of a job have run, so quickly that looking at the clock after each would be most of their time.
    /// They share it evenly.
    #[inline]
    pub(crate) fn systems_ended(&mut self, systems: impl ExactSizeIterator<Item = u32> + Clone, passes: u64) {
        if self.fused {
            let (table, job, rows) = (self.table, self.job, self.rows);
            let runs = (systems.len() as u64).saturating_mul(passes).max(1);
            let share = self.recorder.now().saturating_sub(self.lap) / runs;
            for system in (0..passes).flat_map(|_| systems.clone()) {
                self.recorder.record(self.lap, self.lap + share, EventKind::System { system, table, job, rows });
                self.lap += share;
            }
        }
    }

    /// The runner: it is part of a sort, which main records as a phase of the batch; its rows were those of other jobs.
    pub(crate) fn hide(&mut self) {
        self.hidden = true;
    }

    /// The job has ended.
    pub(crate) fn end(self, start: u64, end: u64, attempt: u8, failed: bool) {
        let JobTrace { recorder, job, system, table, rows, fused, hidden, .. } = self;
        if !hidden {
            recorder.record(start, end, EventKind::Job { system, table, job, rows, attempt, fused, failed });
        }
        recorder.close_job();
    }
}

/// What a reader got from a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Where to go on.
    pub next: u64,
    /// Events that were overwritten before they could be read.
    pub lost: u64,
    /// Events that are none.
    pub damaged: u64,
}

/// Appends the events from the `next`-th on to `out`. The words may hold anything.
pub(super) fn take(words: &[AtomicU64], events: usize, next: u64, out: &mut Vec<Event>) -> Taken {
    let (Some(head_word), Some(slots)) = (words.get(HEAD), words.get(HEADER_WORDS..)) else {
        return Taken { next, ..Taken::default() };
    };
    let load_head = || head_word.load(Ordering::Relaxed);
    let head = load_head();
    // SYNC POINT: trace head. Loads and a fence: the words may be read-only memory.
    fence(Ordering::Acquire);
    let first = next.min(head).max(head.saturating_sub(events as u64));
    let mut taken = Taken { next: head, lost: first.saturating_sub(next), damaged: 0 };
    for at in first..head {
        let slot = (at as usize & (events - 1)) * EVENT_WORDS;
        let Some(slot) = slots.get(slot..slot + EVENT_WORDS) else { break };
        let copy = [0, 1, 2, 3].map(|word: usize| slot[word].load(Ordering::Relaxed));
        // SYNC POINT: trace head.
        fence(Ordering::Acquire);
        // The writer may be at work on the event of this number by now, and so on the slot of the one a ring before.
        if load_head().saturating_sub(at) >= events as u64 {
            taken.lost += 1;
            continue;
        }
        match Event::unpack(copy, at.wrapping_add(1) as u32) {
            Some(event) => out.push(event),
            None => taken.damaged += 1,
        }
    }
    taken
}

/// The job that a ring's dead writer had, and since when.
pub(super) fn open_job(words: &[AtomicU64]) -> Option<(u64, u32)> {
    let since = words.get(OPEN_SINCE)?.load(Ordering::Relaxed);
    let job = words.get(OPEN_JOB)?.load(Ordering::Relaxed);
    (since != 0).then_some((since, u32::try_from(job).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: usize = 16;

    fn ring() -> (Arc<Block>, Recorder) {
        let block = Arc::new(Block::heap(ring_bytes(EVENTS as u64)));
        (block.clone(), Recorder::on(block, 0, EVENTS))
    }

    fn stage(stage: u32) -> EventKind {
        EventKind::Stage { stage }
    }

    fn stages(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.start_ns).collect()
    }

    #[test]
    fn events_come_back_once_each_in_order() {
        let (block, recorder) = ring();
        let mut out = Vec::new();
        for at in 0..10 {
            recorder.record(at, at + 3, stage(7));
        }
        let taken = take(block.words(), EVENTS, 0, &mut out);
        assert_eq!((taken, out.len()), (Taken { next: 10, ..Taken::default() }, 10));
        assert_eq!(out[4], Event { start_ns: 4, duration_ns: 3, kind: stage(7) });
        recorder.record(10, 9, stage(8));
        let taken = take(block.words(), EVENTS, taken.next, &mut out);
        assert_eq!((taken.next, out.len(), out[10].duration_ns), (11, 11, 0), "time that runs backwards is none");
        assert_eq!(take(block.words(), EVENTS, taken.next, &mut out).next, 11);
    }

    #[test]
    fn the_oldest_are_overwritten_and_counted() {
        let (block, recorder) = ring();
        let mut out = Vec::new();
        (0..100).for_each(|at| recorder.record(at, at, stage(0)));
        let taken = take(block.words(), EVENTS, 3, &mut out);
        // one less than the ring holds: its slot is the one that is written next
        assert_eq!(stages(&out), (85..100).collect::<Vec<_>>());
        assert_eq!(taken, Taken { next: 100, lost: 82, damaged: 0 });
    }

    #[test]
    fn a_writer_that_died_in_the_middle_of_an_event_left_nothing_of_it() {
        let (block, recorder) = ring();
        (0..20).for_each(|at| recorder.record(at, at, stage(0)));
        // as `push` does, up to any of its stores
        let event = Event { start_ns: 999, duration_ns: 5, kind: stage(1) }.pack();
        for stores in 1..=EVENT_WORDS {
            let slot = HEADER_WORDS + (20 % EVENTS) * EVENT_WORDS;
            block.words()[slot].store(event[0] | 21, Ordering::Relaxed);
            (1..stores).for_each(|word| block.words()[slot + word].store(event[word], Ordering::Relaxed));
            let mut out = Vec::new();
            let taken = take(block.words(), EVENTS, 0, &mut out);
            assert_eq!((stages(&out), taken.damaged), ((5..20).collect(), 0), "{stores} stores");
        }
        // its successor goes on where it was
        recorder.record(20, 20, stage(2));
        let mut out = Vec::new();
        take(block.words(), EVENTS, 0, &mut out);
        assert_eq!(stages(&out), (6..21).collect::<Vec<_>>());
    }

    /// An event has the low half of its number alone.
    #[test]
    fn events_go_on_where_half_their_number_wraps() {
        let (block, recorder) = ring();
        for begin in [(1 << 32) - 10, (1 << 63) - 10] {
            block.words()[HEAD].store(begin, Ordering::Relaxed);
            let (mut next, mut out) = (begin, Vec::new());
            for at in 0..40 {
                recorder.record(at, at, stage(1));
                if at % 5 == 4 {
                    let taken = take(block.words(), EVENTS, next, &mut out);
                    assert_eq!((taken.next, taken.lost, taken.damaged), (begin + at + 1, 0, 0));
                    next = taken.next;
                }
            }
            assert_eq!(stages(&out), (0..40).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_event_under_another_number_is_none() {
        let (block, recorder) = ring();
        (0..4).for_each(|at| recorder.record(at, at, stage(0)));
        block.words()[HEAD].store(9, Ordering::Relaxed);
        let mut out = Vec::new();
        assert_eq!(take(block.words(), EVENTS, 0, &mut out), Taken { next: 9, lost: 0, damaged: 5 });
        assert_eq!(out.len(), 4);
    }

    /// Each event's words follow from its number, so one that mixes two of them is seen.
    #[test]
    fn a_reader_beside_a_fast_writer_never_sees_half_an_event() {
        let (block, recorder) = ring();
        let last = if cfg!(miri) { 300 } else { 300_000u64 };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for at in 0..last {
                    recorder.record(
                        at,
                        at + at % 1000,
                        EventKind::Frame { number: at, frames: at as u16, failed: false },
                    );
                }
            });
            let (mut next, mut seen, mut lost) = (0, 0, 0);
            while next < last {
                let mut out = Vec::new();
                let taken = take(block.words(), EVENTS, next, &mut out);
                assert_eq!(taken.damaged, 0);
                for event in &out {
                    let at = event.start_ns;
                    assert_eq!(event.duration_ns, at % 1000);
                    assert_eq!(event.kind, EventKind::Frame { number: at, frames: at as u16, failed: false });
                }
                assert!(out.windows(2).all(|pair| pair[0].start_ns < pair[1].start_ns));
                (next, seen, lost) = (taken.next, seen + out.len() as u64, lost + taken.lost);
            }
            assert_eq!(seen + lost, last, "every event was seen or counted as lost");
        });
    }

    #[test]
    fn the_open_job_is_seen_until_it_is_closed() {
        let (block, recorder) = ring();
        assert_eq!(open_job(block.words()), None);
        let mut trace = JobTrace::begin(&recorder, 7, 100);
        assert_eq!(open_job(block.words()), Some((100, 7)));
        trace.describe(3, 1 << 20, 64, false);
        trace.system_ended(3);
        trace.end(100, 150, 2, true);
        assert_eq!(open_job(block.words()), None);
        let mut out = Vec::new();
        take(block.words(), EVENTS, 0, &mut out);
        let kind =
            EventKind::Job { system: 3, table: u16::MAX, job: 7, rows: 64, attempt: 2, fused: false, failed: true };
        assert_eq!(out, [Event { start_ns: 100, duration_ns: 50, kind }]);
    }

    proptest! {
        #[test]
        fn any_words_are_read_without_panic(
            head: u64, next: u64, len in 0..HEADER_WORDS + EVENTS * EVENT_WORDS + 5, seed: u64,
        ) {
            let words: Vec<AtomicU64> =
                (0..len as u64).map(|at| AtomicU64::new((at ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
            if let Some(word) = words.first() {
                word.store(head, Ordering::Relaxed);
            }
            let mut out = Vec::new();
            let taken = take(&words, EVENTS, next, &mut out);
            prop_assert!(out.len() <= EVENTS && taken.damaged <= EVENTS as u64);
            let _ = open_job(&words);
        }
    }
}
