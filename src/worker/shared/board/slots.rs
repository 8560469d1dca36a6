//! The board's slots: one worker's start, counts, signs of life and last words.
//!
//! Invariant: a slot is taken by one process per epoch; words that a worker writes are checked or only reported.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    Board, ID_WORDS, MESSAGE_BYTES, MESSAGE_WORDS, SLOT_WORDS, SLOTS, Window, load_bytes, messages_at, store_bytes,
};

/// What a worker's slot says of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::worker) enum Stage {
    /// Nobody.
    Empty = 0,
    /// Main has started it.
    Starting = 1,
    /// The process is here and sets itself up.
    Attached = 2,
    /// It takes jobs.
    Ready = 3,
    /// It cannot work; its message says why.
    Refused = 4,
}

impl Stage {
    fn of(word: u64) -> Option<Stage> {
        [Stage::Empty, Stage::Starting, Stage::Attached, Stage::Ready, Stage::Refused]
            .into_iter()
            .find(|&stage| stage as u64 == word & 0xff)
    }
}

/// What a worker has to say before it gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Message {
    /// Why.
    Text(String),
    /// The first of its registrations that is not main's: line (from 1) and text.
    Registration(usize, String),
}

impl Board {
    fn slot(&self, worker: usize, at: usize) -> &AtomicU64 {
        assert!(worker < self.workers && at < SLOT_WORDS, "a word of a slot");
        self.word(SLOTS + worker * SLOT_WORDS + at)
    }

    /// Main: a slot for a new worker of this epoch, whose lane is the segment `lane`.
    pub(in crate::worker) fn reset_slot(&self, worker: usize, epoch: u32, lane: &str) {
        for at in [1, 2, 5] {
            self.slot(worker, at).store(0, Ordering::Relaxed);
        }
        self.bell(worker).store(crate::worker::shared::wait::AWAKE, Ordering::Relaxed);
        self.word(messages_at(self.workers) + worker * (MESSAGE_WORDS + 1)).store(0, Ordering::Relaxed);
        let mut bytes = [0; ID_WORDS * 8];
        bytes[..lane.len()].copy_from_slice(lane.as_bytes());
        store_bytes(self.range(SLOTS + worker * SLOT_WORDS + 8, ID_WORDS), &bytes);
        self.set_stage(worker, epoch, Stage::Starting);
    }

    /// The stage of a worker of this epoch; none: another epoch, or rubbish.
    pub(in crate::worker) fn stage(&self, worker: usize, epoch: u32) -> Option<Stage> {
        let word = self.slot(worker, 0).load(Ordering::Acquire);
        (word >> 32 == u64::from(epoch)).then(|| Stage::of(word)).flatten()
    }

    /// Enters a stage.
    pub(in crate::worker) fn set_stage(&self, worker: usize, epoch: u32, stage: Stage) {
        self.slot(worker, 0).store(u64::from(epoch) << 32 | stage as u64, Ordering::Release);
    }

    /// A worker: takes the slot that main prepared for it. None: it is not the expected one.
    pub(in crate::worker) fn attach(&self, worker: usize, epoch: u32, pid: u32) -> Option<Attached> {
        let word = |stage: Stage| u64::from(epoch) << 32 | stage as u64;
        if worker >= self.workers {
            return None;
        }
        let slot = self.slot(worker, 0);
        slot.compare_exchange(word(Stage::Starting), word(Stage::Attached), Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        self.slot(worker, 1).store(u64::from(pid), Ordering::Relaxed);
        Some(Attached { board: self.clone(), worker, epoch })
    }

    /// A worker: the job it runs now.
    pub(in crate::worker) fn set_running(&self, worker: usize, window: &Window, job: Option<usize>) {
        let word = job.map_or(0, |job| (window.tag() & 0xffff_ffff) << 32 | (job as u64 + 1));
        self.slot(worker, 2).store(word, Ordering::Release);
    }

    /// A worker: counts a job.
    pub(in crate::worker) fn count_job(&self, worker: usize, busy_ns: u64) {
        let add = |at: usize, more: u64| {
            let word = self.slot(worker, at);
            word.store(word.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        };
        add(3, 1);
        add(4, busy_ns);
    }

    /// Jobs run and nanoseconds spent, as the worker says.
    pub(in crate::worker) fn counts(&self, worker: usize) -> (u64, u64) {
        (self.slot(worker, 3).load(Ordering::Relaxed), self.slot(worker, 4).load(Ordering::Relaxed))
    }

    /// A worker: nothing is left to claim for it, after so many retries in this window.
    pub(in crate::worker) fn set_idle(&self, worker: usize, window: &Window, retries: u64) {
        self.slot(worker, 5).store(idle_word(window, retries), Ordering::Release);
    }

    /// Whether a worker has said so.
    pub(in crate::worker) fn is_idle(&self, worker: usize, window: &Window, retries: u64) -> bool {
        self.slot(worker, 5).load(Ordering::Acquire) == idle_word(window, retries)
    }

    /// A worker: leaves a message before it gives up.
    pub(in crate::worker) fn leave_message(&self, worker: usize, message: &Message) {
        let (kind, line, text) = match message {
            Message::Text(text) => (1u64, 0, text),
            Message::Registration(line, text) => (2, *line as u64 & 0xffff_ffff, text),
        };
        let mut end = text.len().min(MESSAGE_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let at = messages_at(self.workers) + worker * (MESSAGE_WORDS + 1);
        store_bytes(self.range(at + 1, MESSAGE_WORDS), &text.as_bytes()[..end]);
        self.word(at).store(kind << 56 | line << 16 | end as u64, Ordering::Release);
    }

    /// What a worker left.
    pub(in crate::worker) fn message(&self, worker: usize) -> Option<Message> {
        let at = messages_at(self.workers) + worker * (MESSAGE_WORDS + 1);
        let head = self.word(at).load(Ordering::Acquire);
        let len = (head as u16 as usize).min(MESSAGE_BYTES);
        let bytes = load_bytes(self.range(at + 1, len.div_ceil(8)), len);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match head >> 56 {
            1 => Some(Message::Text(text)),
            2 => Some(Message::Registration((head >> 16) as u32 as usize, text)),
            _ => None,
        }
    }
}

/// Proof that this process took a worker's slot: at most one process has it per slot and epoch.
pub(in crate::worker) struct Attached {
    board: Board,
    worker: usize,
    epoch: u32,
}

impl Attached {
    /// The board.
    pub(in crate::worker) fn board(&self) -> &Board {
        &self.board
    }

    /// The slot.
    pub(in crate::worker) fn worker(&self) -> usize {
        self.worker
    }

    /// The lane's segment.
    pub(in crate::worker) fn lane_id(&self) -> Option<String> {
        self.board.id_at(SLOTS + self.worker * SLOT_WORDS + 8)
    }

    /// The worker takes jobs from now on.
    pub(in crate::worker) fn ready(&self) {
        self.board.set_stage(self.worker, self.epoch, Stage::Ready);
        crate::worker::shared::wait::wake(self.board.main_bell());
    }

    /// The worker gives up, and says why.
    pub(in crate::worker) fn refuse(&self, message: &Message) {
        self.board.leave_message(self.worker, message);
        self.board.set_stage(self.worker, self.epoch, Stage::Refused);
        crate::worker::shared::wait::wake(self.board.main_bell());
    }
}

fn idle_word(window: &Window, retries: u64) -> u64 {
    (window.tag() << 24) ^ (retries << 1) | 1
}
