//! The workers' side: wait for a window, claim jobs, run them, push their records. Threads and processes alike.
//!
//! Invariants: a worker touches the world only while it runs a job that it has claimed; it publishes a job's end
//! before it disarms its undo area, and goes to wait only when nothing is left to claim.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::patch::{PatchError, PatchWriter};
use crate::trace::{EventKind, Recorder, Wait};
use std::sync::atomic::Ordering;

use crate::fault;
use crate::worker::Runner;
use crate::worker::error::WorkerError;
use crate::worker::serve::job;
use crate::worker::shared::board::{Board, Window};
use crate::worker::shared::lane::{UndoArea, WorkerLane};
use crate::worker::shared::memory::Memory;
#[cfg(unix)]
use crate::worker::shared::program::ProgramFile;
use crate::worker::shared::program::lock;
use crate::worker::shared::wait::{self, Spinner};

/// How long a worker spins for the next batch of a frame before it sleeps.
const SPIN_IN_FRAME: Duration = Duration::from_millis(2);
/// How long a worker spins for the next frame before it sleeps, where it has a core of its own: frames that follow each
/// other at once need not wake it.
const SPIN_BETWEEN: Duration = Duration::from_micros(100);
/// How long a worker spins for room in its ring before it sleeps.
const SPIN_FULL: Duration = Duration::from_micros(100);
/// How long it then sleeps before it looks again.
const SLEEP_FULL: Duration = Duration::from_micros(50);
/// Bytes of a job's records for which main is woken.
const WAKE_BYTES: usize = 16 << 10;
/// How long a worker sleeps at most before it looks around.
const SLEEP: Duration = Duration::from_millis(500);

/// The block that holds the program: its number, and the block.
pub(in crate::worker) type ProgramBlock = (u64, Arc<Memory>);

/// Where a worker finds the program's block.
pub(in crate::worker) enum ProgramSource {
    /// In the same process.
    Heap(Arc<Mutex<ProgramBlock>>),
    /// In the segment that the board names.
    #[cfg(unix)]
    Segment(ProgramFile),
}

/// One worker at work.
pub(in crate::worker) struct WorkerLoop {
    board: Board,
    index: usize,
    lane: WorkerLane,
    /// Where jobs save what they overwrite; none for threads.
    undo: Option<UndoArea>,
    runner: Arc<dyn Runner>,
    source: ProgramSource,
    block: Option<ProgramBlock>,
    /// A private copy of the program, and its version.
    program: Vec<u64>,
    version: u64,
    /// Records of the job under way.
    out: Vec<u8>,
    recorder: Recorder,
    /// Since when it has nothing to do.
    free_since: u64,
    /// Whether it has ended jobs since it woke main last.
    unheard: bool,
}

/// The pool is closing.
struct Closing;

impl WorkerLoop {
    /// A worker with this lane.
    pub(in crate::worker) fn new(
        board: Board,
        index: usize,
        lane: WorkerLane,
        undo: Option<UndoArea>,
        runner: Arc<dyn Runner>,
        source: ProgramSource,
        recorder: Recorder,
    ) -> WorkerLoop {
        WorkerLoop {
            free_since: recorder.now(),
            recorder,
            board,
            index,
            lane,
            undo,
            runner,
            source,
            block: None,
            program: Vec::new(),
            version: 0,
            out: Vec::new(),
            unheard: false,
        }
    }

    /// Works until the pool closes.
    pub(in crate::worker) fn serve(mut self) -> Result<(), WorkerError> {
        let mut seen = (0, 0);
        loop {
            let found = self.await_work(seen);
            self.free_since = self.recorder.lap(self.free_since, EventKind::Wait(Wait::Work));
            let Some(found) = found else { break };
            seen = found;
            let (sequence, retries) = found;
            let Some(window) = self.board.window(sequence) else { continue };
            if self.load_program(&window)? && self.work(&window, retries).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Waits until the sequence or the count of retries differs from what was seen; none: the pool closes.
    fn await_work(&self, seen: (u64, u64)) -> Option<(u64, u64)> {
        let look = || {
            let sequence = self.board.sequence();
            let retries = self.board.retries();
            (sequence.is_multiple_of(2) && (sequence, retries) != seen).then_some((sequence, retries))
        };
        let mut spinner = Spinner::new(self.board.yielding());
        loop {
            if self.board.closing() {
                return None;
            }
            if let Some(found) = look() {
                return Some(found);
            }
            let limit = match (self.board.in_frame(), self.board.yielding()) {
                (true, _) => SPIN_IN_FRAME,
                (false, false) => SPIN_BETWEEN,
                (false, true) => Duration::ZERO,
            };
            if spinner.turn(limit) {
                wait::sleep(self.board.bell(self.index), SLEEP, || self.board.closing() || look().is_some());
                spinner.reset();
            }
        }
    }

    /// Has the window's program in `self.program`; false: main has gone on meanwhile.
    fn load_program(&mut self, window: &Window) -> Result<bool, WorkerError> {
        let (words, version, block) = self.board.program();
        if !self.board.still(window.sequence) {
            return Ok(false);
        }
        if version == self.version {
            return Ok(true);
        }
        if self.block.as_ref().is_none_or(|(number, _)| *number != block) {
            let opened = match &mut self.source {
                ProgramSource::Heap(shared) => lock(shared).clone(),
                #[cfg(unix)]
                ProgramSource::Segment(file) => match map_program(file, &self.board) {
                    Ok(memory) => (block, memory),
                    // Main may have replaced the segment just now.
                    Err(_) if !self.board.still(window.sequence) => return Ok(false),
                    Err(error) => return Err(error),
                },
            };
            self.block = Some(opened);
        }
        let Some((_, memory)) = &self.block else { return Ok(false) };
        let Some(shared) = memory.words().get(..words) else {
            if !self.board.still(window.sequence) {
                return Ok(false);
            }
            return Err(WorkerError::Board { message: format!("a program of {words} words in a smaller block") });
        };
        self.program.clear();
        self.program.extend(shared.iter().map(|word| word.load(Ordering::Relaxed)));
        self.version = 0;
        if !self.board.still(window.sequence) {
            return Ok(false);
        }
        self.version = version;
        Ok(true)
    }

    /// Runs what can be claimed of a window: jobs that were freed again first, as others may wait for them alone.
    fn work(&mut self, window: &Window, retries: u64) -> Result<(), Closing> {
        // Zero as long as no job was freed again.
        let mut retries = if retries == 0 { 0 } else { self.run_freed(window, retries)? };
        while let Some(job) = self.board.next(window) {
            self.try_job(window, job)?;
            let latest = self.board.retries();
            if latest != retries {
                retries = self.run_freed(window, latest)?;
            }
        }
        // The cursor is only a hint: a runner may have moved it and then not claimed.
        if retries != 0 {
            for job in 0..window.jobs {
                self.try_job(window, job)?;
            }
        }
        self.board.set_idle(self.index, window, retries);
        // What is left of the window is run by others, which wake main in turn.
        if std::mem::take(&mut self.unheard) {
            wait::wake(self.board.main_bell());
        }
        Ok(())
    }

    fn run_freed(&mut self, window: &Window, retries: u64) -> Result<u64, Closing> {
        for job in 0..window.jobs {
            if self.board.was_freed(window, job) {
                self.try_job(window, job)?;
            }
        }
        Ok(retries)
    }

    fn try_job(&mut self, window: &Window, job: usize) -> Result<(), Closing> {
        match self.board.try_claim(window, job, self.index as u8) {
            Some(attempt) => self.run(window, job, attempt),
            None => Ok(()),
        }
    }

    fn run(&mut self, window: &Window, job: usize, attempt: u8) -> Result<(), Closing> {
        fault::point("claimed");
        self.board.set_running(self.index, window, Some(job));
        let WorkerLoop { board, index, lane, undo, runner, program, out, recorder, free_since, unheard, .. } = self;
        let mut room =
            RingOut { board, index: *index, spinner: Spinner::new(board.yielding()), recorder, waited_until: 0 };
        let mut saved = undo.as_mut().map(|undo| undo.begin(window, job));
        out.clear();
        let record_bytes_max = lane.record_bytes_max();
        let mut spill = |records: &mut Vec<u8>| {
            room.push(lane, records)?;
            fault::point("mid-record");
            lane.publish();
            records.clear();
            Ok(())
        };
        let mut writer = PatchWriter::new(out, record_bytes_max, Some(&mut spill));
        let number = window.first + job as u32;
        let ran = job::run(runner.as_ref(), program, (number, attempt), &mut writer, saved.as_mut(), recorder);
        drop(writer);
        fault::point("ran");
        if board.closing() || lane.is_closed() {
            return Err(Closing);
        }
        let published = out.len();
        room.push(lane, out).map_err(|_| Closing)?;
        *free_since = ran.ended_ns.max(room.waited_until);
        fault::point("end-pushed");
        board.elapsed(job).store(ran.elapsed_ns, Ordering::Relaxed);
        lane.publish();
        fault::point("published");
        if let Some(undo) = undo {
            undo.disarm();
        }
        board.set_running(*index, window, None);
        board.count_job(*index, ran.elapsed_ns);
        fault::point("disarmed");
        // Main waits for the window's end, and a wake-up costs as much as a small job. What cannot wait: a fault, which ends
        // the window; records, which main takes while other jobs run.
        *unheard = ran.fault.is_none() && published < WAKE_BYTES;
        if !*unheard {
            wait::wake(board.main_bell());
        }
        Ok(())
    }
}

#[cfg(unix)]
fn map_program(file: &mut ProgramFile, board: &Board) -> Result<Arc<Memory>, WorkerError> {
    let id = board.program_id().ok_or(WorkerError::Board { message: "it names no program".to_owned() })?;
    Ok(Arc::new(file.map(&id)?))
}

/// A job's way into its worker's ring, which may be full.
struct RingOut<'a> {
    board: &'a Board,
    index: usize,
    spinner: Spinner,
    recorder: &'a Recorder,
    /// When the last wait ended.
    waited_until: u64,
}

impl RingOut<'_> {
    /// Pushes records, and waits where there is no room.
    fn push(&mut self, lane: &mut WorkerLane, records: &[u8]) -> Result<(), PatchError> {
        let mut since = None;
        let pushed = lane.push(records, &mut |progress| {
            since.get_or_insert_with(|| self.recorder.now());
            self.wait(progress)
        });
        if let Some(since) = since {
            self.waited_until = self.recorder.lap(since, EventKind::Wait(Wait::Ring));
        }
        pushed
    }

    /// Waits a little for main to drain the ring; an error once nobody will.
    fn wait(&mut self, progress: bool) -> Result<(), PatchError> {
        if self.board.closing() {
            return Err(PatchError::Closed);
        }
        if progress {
            self.spinner.reset();
            wait::wake(self.board.main_bell());
        }
        if self.spinner.turn(SPIN_FULL) {
            // Main is busy with a job of its own; it drains when that is done.
            wait::wake(self.board.main_bell());
            wait::sleep(self.board.bell(self.index), SLEEP_FULL, || self.board.closing());
        }
        Ok(())
    }
}
