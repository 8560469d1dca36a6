//! Checkpoints from time to time while a simulation runs, and the newest of them in a directory.
//!
//! Whoever runs the frames calls [`Keeper::look`] between them: it pins the newest generation when one is due, which
//! costs next to nothing, and hands it to a thread that writes. While that is at work nothing further is due; frames go
//! on: the thread sleeps most of the time and lets others go first, until somebody waits for it. The oldest files go when a newer one is whole, so a death at any instant leaves one that is.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::generation::SnapshotError;
use crate::os::Maker;
use crate::region::forked;
use crate::snapshot::{Pinned, Reader};

use super::error::CheckpointError;
use super::place;
use super::read::{CheckpointFile, open};
use super::write::{CheckpointOptions, Pace, Report, write_at_pace};

/// What checkpoints' names end with.
const SUFFIX: &str = ".checkpoint";

/// How much of a core a keeper's thread takes where its options do not say, in percent: frames beside it have the memory
/// nearly to themselves.
pub const KEEPER_PACE_PERCENT: u8 = 25;

/// When to write checkpoints, and where to.
#[derive(Clone, Debug)]
pub struct KeeperOptions {
    /// The directory; it is made where it is missing.
    pub directory: PathBuf,
    /// What the files' names begin with, before `-FRAME.checkpoint`.
    pub prefix: String,
    /// Whenever a multiple of so many frames was reached.
    pub every_frames: Option<u64>,
    /// Whenever so much time has passed since the last one began.
    pub every: Option<Duration>,
    /// How many to keep, at least 1. Those of other prefixes are left alone.
    pub keep: usize,
    /// How to write them.
    pub options: CheckpointOptions,
}

/// What a keeper has done.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Kept {
    /// Checkpoints written.
    pub written: u64,
    /// The newest of them.
    pub newest: Option<Report>,
    /// Attempts that failed.
    pub failed: u64,
    /// Why the newest attempt failed, if it did.
    pub failure: Option<CheckpointError>,
}

/// Writes checkpoints beside a running simulation.
pub struct Keeper {
    options: KeeperOptions,
    /// To hand a generation over; `None`: the thread was told to end.
    sender: Option<SyncSender<(Pinned, PathBuf)>>,
    receiver: Option<Receiver<(Reader, Result<Report, CheckpointError>)>>,
    /// The thread is this process's: one that was forked off has none.
    maker: Maker,
    thread: Option<JoinHandle<()>>,
    /// The thread's.
    pace: Arc<Pace>,
    /// `None`: the thread has it, and is at work.
    reader: Option<Reader>,
    /// The frame of the newest checkpoint, begun or found at the start.
    frame: u64,
    begun: Instant,
    kept: Kept,
}

impl Keeper {
    /// Starts the thread. `frame` is the world's: checkpoints are due after it. What dead processes left half made in
    /// the directory is removed.
    ///
    /// # Errors
    /// CheckpointOptions that cannot be; what the system refuses.
    pub fn start(reader: Reader, frame: u64, options: KeeperOptions) -> Result<Keeper, CheckpointError> {
        options.options.check()?;
        let directory = &options.directory;
        std::fs::create_dir_all(directory).map_err(CheckpointError::io("make", directory))?;
        place::sweep(directory)?;
        let (sender, to_write) = sync_channel::<(Pinned, PathBuf)>(1);
        let (done, receiver) = sync_channel(1);
        let (how, prefix, keep) = (options.options.clone(), options.prefix.clone(), options.keep.max(1));
        let pace = Arc::new(Pace::new(how.pace_percent.unwrap_or(KEEPER_PACE_PERCENT)));
        let its_pace = Arc::clone(&pace);
        let body = move || {
            crate::os::stand_back();
            for (pinned, path) in to_write {
                let written = write_at_pace(&pinned.snapshot(), &path, &how, &its_pace);
                let reader = pinned.unpin();
                if written.is_ok()
                    && let Some(directory) = path.parent()
                {
                    prune(directory, &prefix, keep);
                }
                if done.send((reader, written)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(body);
        let thread = thread.map_err(CheckpointError::io("start a thread for", directory))?;
        Ok(Keeper {
            options,
            sender: Some(sender),
            receiver: Some(receiver),
            maker: Maker::this(),
            thread: Some(thread),
            pace,
            reader: Some(reader),
            frame,
            begun: Instant::now(),
            kept: Kept::default(),
        })
    }

    /// Begins a checkpoint of the newest generation if one is due and none is being written. To be called between
    /// frames, with the world's frame. True: one was begun.
    ///
    /// # Errors
    /// The newest generation cannot be pinned; the thread is gone. What fails while it writes is no error here: see
    /// [`Keeper::kept`].
    pub fn look(&mut self, frame: u64) -> Result<bool, CheckpointError> {
        self.check_maker()?;
        if self.is_writing()? {
            return Ok(false);
        }
        let by_time = self.options.every.is_some_and(|every| self.begun.elapsed() >= every);
        if !by_time && !self.is_due(frame) {
            return Ok(false);
        }
        let Some(newest) = self.newest()? else { return Ok(false) };
        // the generation may be of an earlier frame
        if newest <= self.frame || !(by_time || self.is_due(newest)) {
            return Ok(false);
        }
        self.begin()?;
        Ok(true)
    }

    /// Whether a checkpoint is being written.
    ///
    /// # Errors
    /// The thread is gone.
    pub fn is_writing(&mut self) -> Result<bool, CheckpointError> {
        self.check_maker()?;
        if self.reader.is_none() {
            match self.receiver.as_ref().ok_or(CheckpointError::Gone)?.try_recv() {
                Ok(answer) => self.note(answer),
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(true),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Err(CheckpointError::Gone),
            }
        }
        Ok(false)
    }

    /// What was done so far.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Waits until what is being written is on disk (which is not slowed any more), writes a last checkpoint if the newest generation has none yet, and
    /// ends the thread.
    ///
    /// # Errors
    /// As [`Keeper::look`]. That a checkpoint could not be written is told in the answer.
    pub fn finish(mut self) -> Result<Kept, CheckpointError> {
        self.check_maker()?;
        self.pace.hurry();
        self.wait()?;
        let unwritten = self.kept.newest.as_ref().map_or(self.frame, |newest| newest.frame);
        if self.newest()?.is_some_and(|frame| frame > unwritten || self.kept.failure.is_some()) {
            self.begin()?;
            self.wait()?;
        }
        Ok(std::mem::take(&mut self.kept))
    }

    /// Whether a multiple of so many frames was passed.
    fn check_maker(&self) -> Result<(), CheckpointError> {
        if self.maker.is_here() { Ok(()) } else { Err(SnapshotError::from(forked(self.maker)).into()) }
    }

    fn is_due(&self, frame: u64) -> bool {
        self.options.every_frames.is_some_and(|every| frame / every.max(1) > self.frame / every.max(1))
    }

    /// The frame of the newest generation, if there is one.
    fn newest(&mut self) -> Result<Option<u64>, CheckpointError> {
        let reader = self.reader.as_mut().ok_or(CheckpointError::Gone)?;
        if reader.newest() == 0 {
            return Ok(None);
        }
        Ok(Some(reader.pin()?.frame()))
    }

    fn begin(&mut self) -> Result<(), CheckpointError> {
        let pinned = self.reader.take().ok_or(CheckpointError::Gone)?.into_pinned()?;
        self.frame = pinned.snapshot().frame();
        self.begun = Instant::now();
        let name = format!("{}-{:012}{SUFFIX}", self.options.prefix, self.frame);
        let sender = self.sender.as_ref().ok_or(CheckpointError::Gone)?;
        sender.send((pinned, self.options.directory.join(name))).map_err(|_| CheckpointError::Gone)
    }

    fn wait(&mut self) -> Result<(), CheckpointError> {
        if self.reader.is_none() {
            let answer =
                self.receiver.as_ref().and_then(|receiver| receiver.recv().ok()).ok_or(CheckpointError::Gone)?;
            self.note(answer);
        }
        Ok(())
    }

    fn note(&mut self, (reader, written): (Reader, Result<Report, CheckpointError>)) {
        self.reader = Some(reader);
        match written {
            Ok(report) => {
                let (frame, bytes, elapsed) = (report.frame, report.file_bytes, report.elapsed);
                tracing::info!(frame, bytes, ?elapsed, path = %report.path.display(), "checkpoint written");
                self.kept.written += 1;
                self.kept.newest = Some(report);
                self.kept.failure = None;
            }
            Err(error) => {
                tracing::warn!(%error, "a checkpoint could not be written; the one before stays");
                self.kept.failed += 1;
                self.kept.failure = Some(error);
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if !self.maker.is_here() {
            // the thread is the maker's: it cannot be waited for, and it may have held the channels' locks
            std::mem::forget((self.sender.take(), self.receiver.take(), self.thread.take()));
            return;
        }
        self.sender = None;
        self.pace.hurry();
        if let Some(thread) = self.thread.take() {
            // what it is writing still gets whole
            let _ = thread.join();
        }
    }
}

/// A checkpoint in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// The generation that it holds.
    pub generation: u64,
    /// The frame after which that was published.
    pub frame: u64,
    /// When it was made, ns since 1970.
    pub created_ns: u64,
}

/// The checkpoints in a directory whose names end with `.checkpoint` and begin with `PREFIX-`, newest first. Those that
/// cannot be opened are left out.
///
/// # Errors
/// What the system refuses.
pub fn in_directory(directory: &Path, prefix: Option<&str>) -> Result<Vec<Found>, CheckpointError> {
    let mut found = Vec::new();
    for path in place::of_prefix(directory, prefix, SUFFIX)? {
        match open(&path) {
            Ok(file) => found.push(Found {
                generation: file.generation(),
                frame: file.frame(),
                created_ns: file.created_ns(),
                path,
            }),
            Err(error) => tracing::debug!(%error, "left out"),
        }
    }
    found.sort_by_key(|found| std::cmp::Reverse((found.created_ns, found.frame)));
    Ok(found)
}

/// The newest checkpoint in a directory that is whole: every chunk of it is checked.
///
/// # Errors
/// [`CheckpointError::Empty`]: there is none; what the system refuses.
pub fn newest(directory: &Path, prefix: Option<&str>) -> Result<CheckpointFile, CheckpointError> {
    for found in in_directory(directory, prefix)? {
        let file = open(&found.path)?;
        match file.verify()?.problem() {
            None => return Ok(file),
            Some(damage) => tracing::warn!(%damage, path = %found.path.display(), "a damaged checkpoint is left out"),
        }
    }
    Err(CheckpointError::Empty { path: directory.to_owned() })
}

/// Removes all but the newest of a prefix. What cannot be removed stays, and is logged.
fn prune(directory: &Path, prefix: &str, keep: usize) {
    let found = match in_directory(directory, Some(prefix)) {
        Ok(found) => found,
        Err(error) => return tracing::warn!(%error, "old checkpoints stay"),
    };
    for old in found.iter().skip(keep) {
        if let Err(error) = std::fs::remove_file(&old.path) {
            tracing::warn!(%error, path = %old.path.display(), "an old checkpoint stays");
        }
    }
}
