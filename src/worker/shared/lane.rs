//! A worker's lane: the ring of its records and its undo area, in one block of memory that it shares with main alone.
//!
//! ```text
//! words   the undo area's head (undo.rs)
//! tail    ring, head and data (patch/ring_memory.rs) | undo area, undo_bytes
//! ```
//!
//! Invariants: one worker has the producing end, main the consuming one; the block outlives both, as each end holds
//! it. Main makes the ring anew only while no worker is on the lane.
#![expect(unsafe_code, reason = "lays a ring and an undo area into the lane's tail")]

use std::sync::Arc;

use crate::patch::{Consumer, DrainError, PatchError, Producer, Ring, RingError};

#[cfg(unix)]
use crate::worker::shared::board::Attached;
use crate::worker::shared::board::Window;
use crate::worker::shared::memory::{Memory, MemoryError, Plan};
use crate::worker::shared::undo::{self, PendingUndo, UNDO_WORDS, Undo};

/// How a lane is divided.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct LanePlan {
    ring_bytes: usize,
    ring_needed: usize,
    undo_bytes: usize,
}

impl LanePlan {
    /// A lane with a ring of this capacity and an undo area of this many bytes, which may be none.
    pub(in crate::worker) fn new(ring_bytes: usize, undo_bytes: usize) -> Result<LanePlan, RingError> {
        let ring_needed = Ring::bytes_needed(ring_bytes)?.next_multiple_of(128);
        Ok(LanePlan { ring_bytes, ring_needed, undo_bytes: undo_bytes & !7 })
    }

    fn memory(&self) -> Plan {
        Plan { futexes: 0, words: UNDO_WORDS, tail_bytes: self.ring_needed.saturating_add(self.undo_bytes) }
    }

    /// Bytes of the longest record that fits the ring.
    pub(in crate::worker) fn record_bytes_max(&self) -> usize {
        self.ring_bytes / 2
    }
}

/// Main's end.
pub(in crate::worker) struct MainLane {
    plan: LanePlan,
    ring: Ring,
    consumer: Consumer,
    /// Whether a thread has the other end.
    taken: bool,
    /// Declared last: dropped after the ring's end that points into it.
    memory: Arc<Memory>,
}

impl MainLane {
    /// A new lane. `shared`: in a segment that the worker process opens.
    pub(in crate::worker) fn create(plan: LanePlan, shared: bool) -> Result<MainLane, MemoryError> {
        #[cfg(unix)]
        let memory = if shared { Memory::create(plan.memory())? } else { Memory::heap(plan.memory())? };
        #[cfg(not(unix))]
        let memory = {
            let _ = shared;
            Memory::heap(plan.memory())?
        };
        // SAFETY: the block was made just now: nobody else is on it.
        let (ring, consumer) = unsafe { fresh_ring(&memory, plan) };
        Ok(MainLane { plan, ring, consumer, taken: false, memory: Arc::new(memory) })
    }

    /// The segment's name; empty for one on the heap.
    pub(in crate::worker) fn id(&self) -> &str {
        self.memory.id().unwrap_or("")
    }

    /// Makes the lane as new.
    ///
    /// # Safety
    /// - The worker that was on this lane is dead, and the next one has not been started.
    pub(in crate::worker) unsafe fn renew(&mut self) {
        undo::disarm(&self.memory);
        // SAFETY: nobody else is on the ring (the caller's duty); the old consumer is replaced before it is used again.
        (self.ring, self.consumer) = unsafe { fresh_ring(&self.memory, self.plan) };
    }

    /// The other end, for a thread; none after the first time.
    pub(in crate::worker) fn worker_lane(&mut self) -> Option<WorkerLane> {
        if std::mem::replace(&mut self.taken, true) {
            return None;
        }
        // SAFETY: the first on this lane (checked), and there is no second: a lane on the heap is not renewed.
        unsafe { WorkerLane::on(self.memory.clone(), self.plan) }.ok().map(|(lane, _)| lane)
    }

    /// The other end, and the undo area, of a lane on the heap that was renewed just now.
    ///
    /// # Safety
    /// - Nobody else is on this lane, or will be before it is renewed again.
    #[cfg(feature = "fault-injection")]
    pub(in crate::worker) unsafe fn renewed(&mut self) -> Result<(WorkerLane, UndoArea), RingError> {
        // SAFETY: the only one (the caller's duty).
        unsafe { WorkerLane::on(self.memory.clone(), self.plan) }
    }

    /// Tells the worker that nobody will take its records any more.
    pub(in crate::worker) fn close(&self) {
        self.ring.close();
    }

    /// Runners every published record to `sink`; the bytes drained.
    pub(in crate::worker) fn drain<E>(
        &mut self,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, DrainError<E>> {
        self.consumer.drain(sink)
    }

    /// What a dead worker left to undo in this window.
    ///
    /// # Safety
    /// - The worker that was on this lane is dead, and the next one has not been started.
    pub(in crate::worker) unsafe fn pending_undo(&self, window: &Window) -> Option<Result<PendingUndo, String>> {
        // SAFETY: dead (the caller's duty); the area follows the ring.
        unsafe { undo::pending_undo(&self.memory, self.plan.ring_needed, self.plan.undo_bytes, window) }
    }
}

/// # Safety
/// Nobody else is on the block's ring.
unsafe fn fresh_ring(memory: &Memory, plan: LanePlan) -> (Ring, Consumer) {
    // SAFETY: the tail has `ring_needed` bytes and more, is aligned to 128, and lives as long as the block, which the
    // lane holds beside the ring; nobody else is there (the caller's duty).
    let ring = unsafe { Ring::init(memory.tail().as_ptr(), plan.ring_bytes) };
    ring.and_then(|ring| Ok((ring, ring.consumer()?))).expect("the plan's capacity was checked and a new ring is sound")
}

/// The worker's end.
pub(in crate::worker) struct WorkerLane {
    plan: LanePlan,
    producer: Producer,
    /// Declared last: dropped after the ring's end that points into it.
    _memory: Arc<Memory>,
}

impl WorkerLane {
    /// Opens the lane that main made for this process: the ring's end and the undo area, apart, as the one goes on
    /// being used while a job holds the other.
    #[cfg(unix)]
    pub(in crate::worker) fn open(
        attached: &Attached,
        plan: LanePlan,
    ) -> Result<(WorkerLane, UndoArea), crate::worker::WorkerError> {
        let wrong = |message: String| crate::worker::WorkerError::Board { message };
        let id = attached.lane_id().ok_or_else(|| wrong("it names no lane".to_owned()))?;
        let memory = Arc::new(Memory::open(&id, plan.memory())?);
        // SAFETY: main starts one process per epoch of a slot, and the token proves that this one took the slot.
        unsafe { WorkerLane::on(memory, plan) }.map_err(|error| wrong(format!("its lane is broken: {error}")))
    }

    /// # Safety
    /// It is the only worker on this lane.
    unsafe fn on(memory: Arc<Memory>, plan: LanePlan) -> Result<(WorkerLane, UndoArea), RingError> {
        // SAFETY: the tail has this many bytes and lives as long as the block, which is held beside the ring; everybody
        // reaches these bytes through rings only.
        let ring = unsafe { Ring::attach(memory.tail().as_ptr(), memory.tail_bytes().min(plan.ring_needed)) }?;
        if ring.capacity() != plan.ring_bytes {
            return Err(RingError::Capacity { bytes: ring.capacity() as u64 });
        }
        let area = UndoArea { memory: memory.clone(), at: plan.ring_needed, bytes: plan.undo_bytes };
        Ok((WorkerLane { plan, producer: ring.producer()?, _memory: memory }, area))
    }

    /// Bytes of the longest record that fits the ring.
    pub(in crate::worker) fn record_bytes_max(&self) -> usize {
        self.plan.record_bytes_max()
    }

    /// Pushes all records, unpublished as far as they fit. `full` is called while there is no room, after what is
    /// there was published, with whether there was any since the last call; it waits, or says that waiting is over.
    pub(in crate::worker) fn push(
        &mut self,
        mut records: &[u8],
        full: &mut dyn FnMut(bool) -> Result<(), PatchError>,
    ) -> Result<(), PatchError> {
        loop {
            let taken = self.producer.push_all(records)?;
            records = &records[taken..];
            if records.is_empty() {
                return Ok(());
            }
            self.producer.publish();
            if self.is_closed() {
                return Err(PatchError::Closed);
            }
            full(taken > 0)?;
        }
    }

    /// Whether main has given this worker up.
    pub(in crate::worker) fn is_closed(&self) -> bool {
        self.producer.is_closed()
    }

    /// Lets main see what was pushed.
    pub(in crate::worker) fn publish(&mut self) {
        self.producer.publish();
    }
}

/// A worker's own undo area.
pub(in crate::worker) struct UndoArea {
    memory: Arc<Memory>,
    at: usize,
    bytes: usize,
}

impl UndoArea {
    /// Arms the area for a job.
    pub(in crate::worker) fn begin(&mut self, window: &Window, job: usize) -> Undo<'_> {
        // SAFETY: this worker is the only one on its lane (the duty of its maker, in `on`), it has one UndoArea
        // and borrows it mutably for each job; the area follows the ring, as main sees it too.
        unsafe { Undo::begin(&self.memory, self.at, self.bytes, window, job) }
    }

    /// There is nothing to undo any more.
    pub(in crate::worker) fn disarm(&mut self) {
        undo::disarm(&self.memory);
    }
}
