//! Recording beside a running simulation: generations are pinned between frames and written by a thread.
//!
//! Whoever runs the frames calls [`Recorder::look`] after each: it pins the newest generation, which costs next to
//! nothing, and hands it over. How many may be on the way is bounded; beyond it the caller waits, or the generation is
//! left out and counted, as was asked for.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::checkpoint::CheckpointOptions;
use crate::generation::SnapshotError;
use crate::os::Maker;
use crate::region::forked;
use crate::snapshot::{Pinned, Reader};
use crate::world::World;

use super::error::JournalError;
use super::state::Moment;
use super::write::Writer;

/// Generations between two checkpoints where nothing else is said.
const CHECKPOINT_EVERY: u64 = 1000;
/// Generations on the way where nothing else is said.
const QUEUE: usize = 4;

/// What to do when the recorder is behind by the maximum number of queued generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backpressure {
    /// Frames wait; every generation is recorded.
    #[default]
    Wait,
    /// The generation is skipped and counted. Its changes are in the next record.
    Skip,
}

/// When to compress records of columns that changed in many places. Records of few changes are always small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// Never: the bytes are written as they are.
    Never,
    /// If compression takes at most an eighth of the time between generations.
    #[default]
    WhenIdle,
    /// Always, at any cost in time.
    Always,
}

/// How to record, and where to.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// The directory; it is created if it does not exist.
    pub directory: PathBuf,
    /// Number of generations between two checkpoints, each of which begins a new segment (default 1000).
    pub checkpoint_every: u64,
    /// Maximum number of queued generations (default 4). Each is pinned until it is written.
    pub queue: usize,
    /// What to do when the queue is full.
    pub backpressure: Backpressure,
    /// Whether to compress records.
    pub compress: Compress,
    /// How to compress, and notes to keep beside the states.
    pub options: CheckpointOptions,
}

impl RecorderOptions {
    /// Every generation, to this directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> RecorderOptions {
        RecorderOptions {
            directory: directory.into(),
            checkpoint_every: CHECKPOINT_EVERY,
            queue: QUEUE,
            backpressure: Backpressure::default(),
            compress: Compress::default(),
            options: CheckpointOptions::default(),
        }
    }
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// Generations.
    pub generations: u64,
    /// Published generations that were skipped.
    pub skipped: u64,
    /// Number of times that the caller had to wait.
    pub waits: u64,
    /// Total time of these waits.
    pub waited: Duration,
    /// Time that the recorder's thread was busy.
    pub busy: Duration,
    /// Bytes of all files.
    pub bytes: u64,
    /// Checkpoints among them.
    pub checkpoints: u64,
    /// The newest generation recorded.
    pub newest: Option<u64>,
    /// The frame of it.
    pub frame: u64,
}

type Done = (Reader, Result<Recorded, JournalError>);

/// Records a running simulation.
pub struct Recorder {
    directory: PathBuf,
    backpressure: Backpressure,
    /// Tells which generation is the newest; never pins.
    watcher: Reader,
    idle: Vec<Reader>,
    /// Generations on the way.
    sent: usize,
    /// To hand a generation over; `None`: the thread was told to end.
    sender: Option<SyncSender<Pinned>>,
    receiver: Option<Receiver<Done>>,
    /// The thread is this process's: one that was forked off has none.
    maker: Maker,
    thread: Option<JoinHandle<Result<Recorded, JournalError>>>,
    newest: u64,
    recorded: Recorded,
    skipped: u64,
    waits: u64,
    waited: Duration,
}

impl Recorder {
    /// Starts the thread. What is published already is the first generation that it records.
    ///
    /// # Errors
    /// CheckpointOptions that cannot be; a directory with another journal; no free leases; what the system refuses.
    pub fn start(world: &World, options: RecorderOptions) -> Result<Recorder, JournalError> {
        options.options.check()?;
        let directory = options.directory.clone();
        let from = Moment { generation: world.generation(), frame: world.frame(), time: world.time() };
        let every = options.checkpoint_every;
        let mut writer = Writer::new(&directory, world.layout_hash, from, every, options.compress, options.options)?;
        let queue = options.queue.max(1);
        let (sender, to_write) = sync_channel::<Pinned>(queue);
        let (done, receiver) = sync_channel::<Done>(queue);
        let guest = crate::fault::Guest::of_this_thread();
        let body = move || {
            guest.enter();
            for pinned in to_write {
                let begun = Instant::now();
                let written = writer.record(&pinned.snapshot());
                writer.recorded.busy += begun.elapsed();
                let failed = written.is_err();
                let answer = written.map(|()| writer.recorded.clone());
                if done.send((pinned.unpin(), answer)).is_err() || failed {
                    // it was not finished, and does not say so
                    return Ok(writer.recorded);
                }
            }
            writer.end().map(|()| writer.recorded)
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(body);
        let thread = thread.map_err(JournalError::io("start a thread for", &directory))?;
        let watcher = world.reader()?;
        let idle = (0..queue).map(|_| world.reader()).collect::<Result<_, _>>()?;
        Ok(Recorder {
            directory,
            backpressure: options.backpressure,
            watcher,
            idle,
            sent: 0,
            sender: Some(sender),
            receiver: Some(receiver),
            maker: Maker::this(),
            thread: Some(thread),
            newest: 0,
            recorded: Recorded::default(),
            skipped: 0,
            waits: 0,
            waited: Duration::ZERO,
        })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Hands the newest generation over, if there is one that was not yet. To be called after each frame. False: there
    /// was none, or it was left out.
    ///
    /// # Errors
    /// Something could not be recorded: the journal ends before it.
    pub fn look(&mut self) -> Result<bool, JournalError> {
        self.check_maker()?;
        while let Some(done) = self.receiver.as_ref().and_then(|receiver| receiver.try_recv().ok()) {
            self.take(done)?;
        }
        let newest = self.watcher.newest();
        if newest <= self.newest {
            return Ok(false);
        }
        if self.idle.is_empty() {
            if self.backpressure == Backpressure::Skip {
                return Ok(false);
            }
            let begun = Instant::now();
            self.wait()?;
            self.waits += 1;
            self.waited += begun.elapsed();
        }
        let Some(reader) = self.idle.pop() else { return Err(JournalError::Gone) };
        let pinned = reader.into_pinned()?;
        let generation = pinned.snapshot().generation();
        if self.newest > 0 && generation > self.newest + 1 {
            self.skipped += generation - self.newest - 1;
        }
        self.newest = generation;
        self.sent += 1;
        self.sender.as_ref().ok_or(JournalError::Gone)?.send(pinned).map_err(|_| JournalError::Gone)?;
        Ok(true)
    }

    /// What was recorded so far.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        self.count(self.recorded.clone())
    }

    /// Waits until everything that was handed over is written.
    ///
    /// # Errors
    /// As [`Recorder::look`].
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.check_maker()?;
        while self.sent > 0 {
            self.wait()?;
        }
        Ok(())
    }

    /// Waits until everything is written, the newest generation too, and ends the thread.
    ///
    /// # Errors
    /// As [`Recorder::look`].
    pub fn finish(mut self) -> Result<Recorded, JournalError> {
        let backpressure = std::mem::replace(&mut self.backpressure, Backpressure::Wait);
        let looked = self.look();
        self.backpressure = backpressure;
        looked?;
        self.flush()?;
        self.sender = None;
        let thread = self.thread.take().ok_or(JournalError::Gone)?;
        let recorded = thread.join().map_err(|_| JournalError::Gone)??;
        Ok(self.count(recorded))
    }

    fn count(&self, recorded: Recorded) -> Recorded {
        Recorded { skipped: self.skipped, waits: self.waits, waited: self.waited, ..recorded }
    }

    fn check_maker(&self) -> Result<(), JournalError> {
        if self.maker.is_here() { Ok(()) } else { Err(SnapshotError::from(forked(self.maker)).into()) }
    }

    fn wait(&mut self) -> Result<(), JournalError> {
        let done = self.receiver.as_ref().and_then(|receiver| receiver.recv().ok()).ok_or(JournalError::Gone)?;
        self.take(done)
    }

    fn take(&mut self, (reader, written): Done) -> Result<(), JournalError> {
        self.sent -= 1;
        self.idle.push(reader);
        self.recorded = written?;
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.maker.is_here() {
            // the thread is the maker's: it cannot be waited for, and it may have held the channels' locks
            std::mem::forget((self.sender.take(), self.receiver.take(), self.thread.take()));
            return;
        }
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // what was handed over still gets written
            let _ = thread.join();
        }
    }
}
