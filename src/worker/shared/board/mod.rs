//! The board: the one block of shared words on which main and its workers agree. Each pool has one, on the heap for
//! threads, in a named segment for processes.
//!
//! ```text
//! futex 0          main's bell            futex 1 + w   worker w's bell
//!
//! word  0   magic            1   version          2   main's process id    3   layout hash
//!       4   workers          5   ring bytes       6   undo bytes           7   1: runners outnumber cores
//!       8   region path's bytes (u64::MAX: none)  9   registrations' bytes  10  registrations' xxh3
//!      11   events of each worker's ring of the timeline (0: none)  12 where the first worker's begins in its file
//!      16   sequence: even: this window is on, odd: main is writing the next
//!      17   1: closing      18  1: in a frame, spin between batches       19  retries: how often jobs of the window were freed again
//!      32   window's jobs   33  first job         34  program words        35  program version
//!      36   program block   37..45 its segment's id
//!      48   cursor: a hint at the next free job
//!      64   slots, 32 words per worker:
//!               0 state and epoch   1 process id     2 running job      3 jobs run     4 busy ns
//!               5 idle since        8..16 lane segment's id
//!           messages, 513 words per worker: length and kind, then bytes
//!           claims, a word per job of a window      elapsed ns, a word per job of a window
//!           region path, registrations
//! ```
//!
//! A window is at most [`WINDOW_JOBS`] jobs; a larger batch is several windows, so that the board need not grow with
//! the world. The program lies in a block of its own that is replaced by a larger one when a program outgrows it.
//!
//! Invariants: every access is an atomic; every value that a worker process may have written is checked by its
//! reader, and no index is ever taken from a word unchecked.
#![forbid(unsafe_code)]

mod slots;

use std::sync::Arc;

use crate::limits::WORKERS_MAX;
use crate::trace::RingPlace;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

#[cfg(unix)]
use crate::worker::error::WorkerError;
use crate::worker::shared::claim::Claim;
use crate::worker::shared::memory::{Memory, MemoryError, Plan};

#[cfg(unix)]
pub(in crate::worker) use slots::Attached;
pub(in crate::worker) use slots::{Message, Stage};

/// Jobs on the board at the same time.
pub(in crate::worker) const WINDOW_JOBS: usize = 4096;

const MAGIC: u64 = u64::from_le_bytes(*b"hypowork");
const VERSION: u64 = 1;
/// Bytes of a segment's id.
const ID_WORDS: usize = 8;
const SLOT_WORDS: usize = 32;
const MESSAGE_WORDS: usize = 512;
/// Bytes of a worker's message.
const MESSAGE_BYTES: usize = MESSAGE_WORDS * 8;
/// Bytes of all texts together: more is no board of ours.
const TEXT_BYTES_MAX: u64 = 1 << 28;
const NONE: u64 = u64::MAX;

const SEQUENCE: usize = 16;
const CLOSING: usize = 17;
const IN_FRAME: usize = 18;
const RETRIES: usize = 19;
const JOBS: usize = 32;
const FIRST: usize = 33;
const PROGRAM_WORDS: usize = 34;
const PROGRAM_VERSION: usize = 35;
const PROGRAM_BLOCK: usize = 36;
const PROGRAM_ID: usize = 37;
const CURSOR: usize = 48;
const SLOTS: usize = 64;

/// What a board is made for.
pub(in crate::worker) struct BoardPlan<'a> {
    pub workers: usize,
    pub ring_bytes: usize,
    pub undo_bytes: usize,
    pub yielding: bool,
    pub layout_hash: u64,
    pub region_path: Option<&'a str>,
    pub registrations: &'a str,
    /// The first worker's ring of the timeline, where the region has one.
    pub trace: Option<RingPlace>,
}

/// One window of jobs as a worker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct Window {
    /// Sequence of the window; even.
    pub sequence: u64,
    /// Number of jobs.
    pub jobs: usize,
    /// The batch's number of the window's first job.
    pub first: u32,
}

impl Window {
    /// What tells this window's claim words from all others.
    pub(in crate::worker) fn tag(&self) -> u64 {
        (self.sequence / 2) & ((1 << 48) - 1)
    }
}

/// The board. Cloning shares it.
#[derive(Clone)]
pub(in crate::worker) struct Board {
    memory: Arc<Memory>,
    workers: usize,
}

fn store_bytes(words: &[AtomicU64], bytes: &[u8]) {
    for (word, chunk) in words.iter().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
    }
}

fn load_bytes(words: &[AtomicU64], len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
    bytes.truncate(len);
    bytes
}

fn messages_at(workers: usize) -> usize {
    SLOTS + workers * SLOT_WORDS
}

fn claims_at(workers: usize) -> usize {
    (messages_at(workers) + workers * (MESSAGE_WORDS + 1)).next_multiple_of(16)
}

fn text_at(workers: usize) -> usize {
    claims_at(workers) + 2 * WINDOW_JOBS
}

fn plan(words: usize) -> Plan {
    Plan { futexes: WORKERS_MAX + 1, words, tail_bytes: 0 }
}

impl Board {
    /// A new board. `shared`: in a segment that other processes can open.
    pub(in crate::worker) fn create(board: &BoardPlan<'_>, shared: bool) -> Result<Board, MemoryError> {
        let path = board.region_path.unwrap_or("").as_bytes();
        let path_words = path.len().div_ceil(8);
        let text = board.registrations.as_bytes();
        let plan = plan(text_at(board.workers) + path_words + text.len().div_ceil(8));
        #[cfg(unix)]
        let memory = if shared { Memory::create(plan)? } else { Memory::heap(plan)? };
        #[cfg(not(unix))]
        let memory = {
            let _ = shared;
            Memory::heap(plan)?
        };
        let words = memory.words();
        let set = |at: usize, value: u64| words[at].store(value, Ordering::Relaxed);
        set(1, VERSION);
        set(2, u64::from(crate::os::pid()));
        set(3, board.layout_hash);
        set(4, board.workers as u64);
        set(5, board.ring_bytes as u64);
        set(6, board.undo_bytes as u64);
        set(7, u64::from(board.yielding));
        set(8, board.region_path.map_or(NONE, |path| path.len() as u64));
        set(9, text.len() as u64);
        set(10, xxhash_rust::xxh3::xxh3_64(text));
        set(11, board.trace.map_or(0, |place| place.events));
        set(12, board.trace.map_or(0, |place| place.offset));
        let at = text_at(board.workers);
        store_bytes(&words[at..], path);
        store_bytes(&words[at + path_words..], text);
        words[0].store(MAGIC, Ordering::Release);
        Ok(Board { memory: Arc::new(memory), workers: board.workers })
    }

    /// Opens main's board in a worker process. What it holds is checked before it is believed.
    #[cfg(unix)]
    pub(in crate::worker) fn open(id: &str) -> Result<Board, WorkerError> {
        let memory = Memory::open(id, plan(usize::MAX))?;
        let wrong = |message: String| WorkerError::Board { message };
        let words = memory.words();
        if words.len() < SLOTS {
            return Err(wrong(format!("{} words are too few", words.len())));
        }
        let get = |at: usize| words[at].load(Ordering::Relaxed);
        if words[0].load(Ordering::Acquire) != MAGIC {
            return Err(wrong("it has another magic number".to_owned()));
        }
        if get(1) != VERSION {
            return Err(wrong(format!(
                "it has version {}, this program has {VERSION}: main and workers must be the same build",
                get(1)
            )));
        }
        let workers = get(4);
        if workers == 0 || workers > WORKERS_MAX as u64 {
            return Err(wrong(format!("it has {workers} workers")));
        }
        let path_bytes = if get(8) == NONE { 0 } else { get(8) };
        let text_bytes = get(9);
        if path_bytes > TEXT_BYTES_MAX || text_bytes > TEXT_BYTES_MAX {
            return Err(wrong("its texts are too long".to_owned()));
        }
        let workers = workers as usize;
        if text_at(workers) + path_bytes.div_ceil(8) as usize + text_bytes.div_ceil(8) as usize > words.len() {
            return Err(wrong("it ends before its texts do".to_owned()));
        }
        let board = Board { memory: Arc::new(memory), workers };
        if xxhash_rust::xxh3::xxh3_64(&board.registration_bytes()) != board.word(10).load(Ordering::Relaxed) {
            return Err(wrong("its registrations do not fit their hash".to_owned()));
        }
        Ok(board)
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.memory.words()[at]
    }

    fn range(&self, at: usize, words: usize) -> &[AtomicU64] {
        &self.memory.words()[at..at + words]
    }

    /// The segment's name.
    pub(in crate::worker) fn id(&self) -> Option<&str> {
        self.memory.id()
    }

    #[cfg(test)]
    /// Number of workers' slots.
    pub(in crate::worker) fn workers(&self) -> usize {
        self.workers
    }

    /// Main's process id.
    pub(in crate::worker) fn main_pid(&self) -> u32 {
        self.word(2).load(Ordering::Relaxed) as u32
    }

    /// The layout that the region must have.
    pub(in crate::worker) fn layout_hash(&self) -> u64 {
        self.word(3).load(Ordering::Relaxed)
    }

    /// Bytes of each ring.
    pub(in crate::worker) fn ring_bytes(&self) -> u64 {
        self.word(5).load(Ordering::Relaxed)
    }

    /// Bytes of each undo area.
    pub(in crate::worker) fn undo_bytes(&self) -> u64 {
        self.word(6).load(Ordering::Relaxed)
    }

    /// Whether runners outnumber cores.
    pub(in crate::worker) fn yielding(&self) -> bool {
        self.word(7).load(Ordering::Relaxed) != 0
    }

    /// A worker's ring of the timeline; none: nothing is recorded, or the words are no ring's.
    pub(in crate::worker) fn trace_place(&self, worker: usize) -> Option<RingPlace> {
        let load = |at: usize| self.word(at).load(Ordering::Relaxed);
        let first = RingPlace { events: load(11), offset: load(12) };
        let offset = first.bytes()?.checked_mul(worker as u64)?.checked_add(first.offset)?;
        Some(RingPlace { offset, ..first })
    }

    fn path_bytes(&self) -> usize {
        match self.word(8).load(Ordering::Relaxed) {
            NONE => 0,
            bytes => bytes as usize,
        }
    }

    /// Where the region is.
    pub(in crate::worker) fn region_path(&self) -> Option<String> {
        if self.word(8).load(Ordering::Relaxed) == NONE {
            return None;
        }
        let bytes = self.path_bytes();
        let words = self.range(text_at(self.workers), bytes.div_ceil(8));
        String::from_utf8(load_bytes(words, bytes)).ok()
    }

    fn registration_bytes(&self) -> Vec<u8> {
        let bytes = self.word(9).load(Ordering::Relaxed) as usize;
        let at = text_at(self.workers) + self.path_bytes().div_ceil(8);
        load_bytes(self.range(at, bytes.div_ceil(8)), bytes)
    }

    /// Main's registrations.
    pub(in crate::worker) fn registrations(&self) -> String {
        String::from_utf8_lossy(&self.registration_bytes()).into_owned()
    }

    // Bells and signals.

    /// What main sleeps on.
    pub(in crate::worker) fn main_bell(&self) -> &AtomicU32 {
        self.memory.futex(0)
    }

    /// What a worker sleeps on.
    pub(in crate::worker) fn bell(&self, worker: usize) -> &AtomicU32 {
        self.memory.futex(1 + worker)
    }

    /// Whether the pool is closing.
    pub(in crate::worker) fn closing(&self) -> bool {
        self.word(CLOSING).load(Ordering::Acquire) != 0
    }

    /// The pool is closing.
    pub(in crate::worker) fn set_closing(&self) {
        self.word(CLOSING).store(1, Ordering::SeqCst);
    }

    /// Whether further batches are near.
    pub(in crate::worker) fn in_frame(&self) -> bool {
        self.word(IN_FRAME).load(Ordering::Relaxed) != 0
    }

    /// Further batches are near, or not.
    pub(in crate::worker) fn set_in_frame(&self, in_frame: bool) {
        self.word(IN_FRAME).store(u64::from(in_frame), Ordering::Relaxed);
    }

    /// How often jobs of the window were freed again.
    pub(in crate::worker) fn retries(&self) -> u64 {
        self.word(RETRIES).load(Ordering::Acquire)
    }

    /// Jobs of the window were freed again.
    pub(in crate::worker) fn add_retry(&self) {
        self.word(RETRIES).fetch_add(1, Ordering::SeqCst);
    }

    // The window. Sequence and data form a sequence lock (SYNC POINT: window).

    /// Main: nobody may begin with what the board holds; returns the sequence for [`Board::open_window`].
    pub(in crate::worker) fn shut_window(&self) -> u64 {
        let sequence = self.word(SEQUENCE).load(Ordering::Relaxed) | 1;
        self.word(SEQUENCE).store(sequence, Ordering::Relaxed);
        // SYNC POINT: window. Whoever sees any of the stores that follow sees the odd sequence when it looks again.
        fence(Ordering::Release);
        // 2^63 windows from now the numbers begin anew; those of any two that a runner could mix up differ
        sequence.wrapping_add(1)
    }

    /// Main: names the program of the window.
    pub(in crate::worker) fn set_program(&self, words: usize, version: u64, block: u64, id: &str) {
        self.word(PROGRAM_WORDS).store(words as u64, Ordering::Relaxed);
        self.word(PROGRAM_VERSION).store(version, Ordering::Relaxed);
        self.word(PROGRAM_BLOCK).store(block, Ordering::Relaxed);
        debug_assert!(id.len() < ID_WORDS * 8);
        let mut bytes = [0; ID_WORDS * 8];
        bytes[..id.len()].copy_from_slice(id.as_bytes());
        store_bytes(self.range(PROGRAM_ID, ID_WORDS), &bytes);
    }

    /// Main: frees all jobs of the window and lets the workers begin.
    pub(in crate::worker) fn open_window(&self, sequence: u64, jobs: usize, first: u32) -> Window {
        assert!(jobs <= WINDOW_JOBS, "a window of at most WINDOW_JOBS jobs");
        let window = Window { sequence, jobs, first };
        let free = Claim::free(window.tag(), 0).pack();
        for word in self.range(claims_at(self.workers), jobs) {
            word.store(free, Ordering::Relaxed);
        }
        self.word(CURSOR).store(0, Ordering::Relaxed);
        self.word(RETRIES).store(0, Ordering::Relaxed);
        self.word(JOBS).store(jobs as u64, Ordering::Relaxed);
        self.word(FIRST).store(u64::from(first), Ordering::Relaxed);
        // SYNC POINT: window.
        self.word(SEQUENCE).store(sequence, Ordering::Release);
        window
    }

    /// The sequence; odd while main writes.
    pub(in crate::worker) fn sequence(&self) -> u64 {
        // SYNC POINT: window.
        self.word(SEQUENCE).load(Ordering::Acquire)
    }

    /// A worker: the window of this sequence; none if main has gone on or the board is damaged.
    pub(in crate::worker) fn window(&self, sequence: u64) -> Option<Window> {
        let jobs = self.word(JOBS).load(Ordering::Relaxed) as usize;
        let first = self.word(FIRST).load(Ordering::Relaxed) as u32;
        (self.still(sequence) && jobs <= WINDOW_JOBS).then_some(Window { sequence, jobs, first })
    }

    /// A worker: whether everything that was read of the window since its sequence was seen belongs to it.
    pub(in crate::worker) fn still(&self, sequence: u64) -> bool {
        // SYNC POINT: window.
        fence(Ordering::Acquire);
        self.word(SEQUENCE).load(Ordering::Relaxed) == sequence
    }

    /// A worker: words, version and block of the program. Believe it only if [`Board::still`] holds afterwards.
    pub(in crate::worker) fn program(&self) -> (usize, u64, u64) {
        let load = |at: usize| self.word(at).load(Ordering::Relaxed);
        (load(PROGRAM_WORDS) as usize, load(PROGRAM_VERSION), load(PROGRAM_BLOCK))
    }

    fn id_at(&self, at: usize) -> Option<String> {
        let bytes = load_bytes(self.range(at, ID_WORDS), ID_WORDS * 8);
        let len = bytes.iter().position(|&byte| byte == 0)?;
        String::from_utf8(bytes[..len].to_vec()).ok().filter(|id| !id.is_empty())
    }

    /// A worker process: the program's segment.
    pub(in crate::worker) fn program_id(&self) -> Option<String> {
        self.id_at(PROGRAM_ID)
    }

    /// The next job to try, by the shared cursor; none: all have been tried.
    pub(in crate::worker) fn next(&self, window: &Window) -> Option<usize> {
        let at = self.word(CURSOR);
        if at.load(Ordering::Relaxed) >= window.jobs as u64 {
            return None;
        }
        let next = at.fetch_add(1, Ordering::Relaxed);
        (next < window.jobs as u64).then_some(next as usize)
    }

    /// A job's claim word.
    pub(in crate::worker) fn claim(&self, job: usize) -> &AtomicU64 {
        assert!(job < WINDOW_JOBS, "a job of the window");
        self.word(claims_at(self.workers) + job)
    }

    /// Tries to claim a job of this window; the attempt it is claimed for.
    pub(in crate::worker) fn try_claim(&self, window: &Window, job: usize, runner: u8) -> Option<u8> {
        let word = self.claim(job);
        let seen = word.load(Ordering::Relaxed);
        let claim = Claim::unpack(seen)?;
        if claim != Claim::free(window.tag(), claim.attempt) {
            return None;
        }
        // Acquire: what main undid before it freed the job again is seen by the worker that runs it next.
        word.compare_exchange(seen, claim.taken_by(runner).pack(), Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(claim.attempt)
    }

    /// Whether a job of this window is free after a death.
    pub(in crate::worker) fn was_freed(&self, window: &Window, job: usize) -> bool {
        let claim = Claim::unpack(self.claim(job).load(Ordering::Relaxed));
        claim.is_some_and(|claim| claim.attempt > 0 && claim == Claim::free(window.tag(), claim.attempt))
    }

    /// How long a job's kernel ran, as its runner measured it.
    pub(in crate::worker) fn elapsed(&self, job: usize) -> &AtomicU64 {
        assert!(job < WINDOW_JOBS, "a job of the window");
        self.word(claims_at(self.workers) + WINDOW_JOBS + job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(workers: usize, shared: bool) -> Board {
        let plan = BoardPlan {
            workers,
            ring_bytes: 1024,
            undo_bytes: 0,
            yielding: true,
            layout_hash: 77,
            region_path: Some("/some/where"),
            registrations: "system a\nsystem ä",
            trace: Some(RingPlace { offset: 8192, events: 64 }),
        };
        Board::create(&plan, shared).unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn a_board_is_read_back_as_it_was_made() {
        let made = board(3, true);
        let opened = Board::open(made.id().unwrap()).unwrap();
        assert_eq!((opened.workers(), opened.layout_hash(), opened.ring_bytes()), (3, 77, 1024));
        assert_eq!(opened.main_pid(), std::process::id());
        assert_eq!(opened.region_path().as_deref(), Some("/some/where"));
        assert_eq!(opened.trace_place(2), Some(RingPlace { offset: 8192 + 2 * 8192, events: 64 }));
        made.word(12).store(u64::MAX - 4095, Ordering::Relaxed);
        assert_eq!(opened.trace_place(2), None);
        made.word(11).store(0, Ordering::Relaxed);
        assert_eq!(opened.trace_place(0), None);
        assert_eq!(opened.registrations(), "system a\nsystem ä");
        made.word(10).store(1, Ordering::Relaxed);
        assert!(matches!(Board::open(made.id().unwrap()), Err(WorkerError::Board { .. })));
        made.word(4).store(1 << 40, Ordering::Relaxed);
        assert!(matches!(Board::open(made.id().unwrap()), Err(WorkerError::Board { .. })));
        made.word(4).store(3, Ordering::Relaxed);
        made.word(9).store(1 << 27, Ordering::Relaxed);
        assert!(matches!(Board::open(made.id().unwrap()), Err(WorkerError::Board { .. })));
    }

    #[test]
    fn a_job_is_claimed_once_and_only_in_its_window() {
        let board = board(2, false);
        let sequence = board.shut_window();
        let old = board.open_window(sequence, 3, 0);
        assert_eq!(board.window(sequence), Some(old));
        assert_eq!(board.try_claim(&old, 1, 0), Some(0));
        assert_eq!(board.try_claim(&old, 1, 1), None);
        let sequence = board.shut_window();
        assert_eq!(board.window(old.sequence), None);
        let new = board.open_window(sequence, 3, 3);
        assert_eq!(board.try_claim(&old, 2, 0), None, "a runner that slept through the end of its window");
        assert_eq!(board.try_claim(&new, 2, 0), Some(0));
        assert_eq!((0..5).map(|_| board.next(&new)).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), None, None]);
    }

    /// Windows have a number of 63 bits on the board, and of 48 in a job's claim.
    #[test]
    fn jobs_are_claimed_in_their_window_alone_where_its_number_wraps() {
        for begin in [(1 << 49) - 6, u64::MAX - 5] {
            let board = board(2, false);
            board.word(SEQUENCE).store(begin, Ordering::Relaxed);
            let mut old: Option<Window> = None;
            for _ in 0..6 {
                let sequence = board.shut_window();
                assert!(old.as_ref().is_none_or(|old| board.window(old.sequence).is_none()));
                let new = board.open_window(sequence, 3, 0);
                assert!(sequence.is_multiple_of(2) && board.window(sequence) == Some(new));
                if let Some(old) = old {
                    assert_eq!(board.try_claim(&old, 2, 0), None, "a runner that slept through the end of {old:?}");
                    board.set_idle(0, &old, 3);
                    assert!(!board.is_idle(0, &new, 3));
                }
                assert_eq!((board.try_claim(&new, 1, 0), board.try_claim(&new, 1, 1)), (Some(0), None));
                board.set_idle(0, &new, 3);
                assert!(board.is_idle(0, &new, 3));
                old = Some(new);
            }
            assert!(board.sequence() < begin || board.sequence() / 2 > 1 << 48, "it has wrapped");
        }
    }

    #[test]
    fn a_slot_is_taken_by_the_expected_epoch_alone_where_epochs_wrap() {
        let board = board(1, false);
        board.reset_slot(0, u32::MAX, "/lane");
        assert!(board.attach(0, 0, 1).is_none() && board.attach(0, u32::MAX, 1).is_some());
        board.reset_slot(0, u32::MAX.wrapping_add(1), "/lane");
        assert_eq!((board.stage(0, u32::MAX), board.stage(0, 0)), (None, Some(Stage::Starting)));
        assert!(board.attach(0, u32::MAX, 1).is_none() && board.attach(0, 0, 1).is_some());
    }

    #[test]
    fn a_slot_is_taken_by_the_expected_epoch_alone() {
        let board = board(2, false);
        board.reset_slot(1, 5, "/lane");
        assert!(board.attach(1, 4, 1).is_none() && board.attach(2, 5, 1).is_none());
        let attached = board.attach(1, 5, 1).unwrap();
        assert!(board.attach(1, 5, 2).is_none());
        assert_eq!((board.stage(1, 5), board.stage(1, 6)), (Some(Stage::Attached), None));
        assert_eq!(attached.lane_id().as_deref(), Some("/lane"));
    }

    #[test]
    fn messages_come_through_cut_at_a_character() {
        let board = board(1, false);
        assert_eq!(board.message(0), None);
        let message = Message::Registration(70_000, "system b".to_owned());
        board.leave_message(0, &message);
        assert_eq!(board.message(0), Some(message));
        board.leave_message(0, &Message::Text("ä".repeat(MESSAGE_BYTES)));
        assert_eq!(board.message(0), Some(Message::Text("ä".repeat(MESSAGE_BYTES / 2))));
        board.word(messages_at(1)).store(1 << 56 | 0xffff, Ordering::Relaxed);
        assert!(board.message(0).is_some(), "a length that is no length");
    }
}
