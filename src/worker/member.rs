//! One worker as main has it: its lane, its thread or process, and its history.
//!
//! Invariants: a member's lane is used by the one worker in its `hand`, and by nobody once the hand is empty; a
//! process has ended for good before its hand is emptied.
#![expect(unsafe_code, reason = "a lane is read and renewed after its worker's death, which is established here")]

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::os::Instant;

use super::board::{Board, Window};
use super::collect::Collector;
use super::hosted::{HostedWorker, Post};
use super::lane::MainLane;
#[cfg(unix)]
use super::process::Process;
use super::undo::Left;
use super::{RunnerName, WorkerCommand, WorkerKind, WorkerStatus};

/// What worker processes are started with.
pub(super) struct Start {
    pub command: WorkerCommand,
    /// The open file with the crew's lock.
    #[cfg(unix)]
    pub crew: Option<Arc<std::fs::File>>,
}

/// Why main gave a worker up.
#[derive(Clone, Debug)]
pub(super) enum Condemned {
    /// A job of its passed its deadline.
    Deadline,
    /// It broke the protocol.
    Protocol(String),
    /// It could not be made ready.
    Start(String),
}

/// Who is on the lane.
pub(super) enum Hand {
    /// A thread.
    Thread(JoinHandle<Result<(), super::WorkerError>>),
    /// A thread of the embedder, which may not have come yet.
    Hosted(Arc<Post>),
    /// A process, ready or not yet, started then.
    #[cfg(unix)]
    Process { process: Process, ready: bool, since: Instant },
    /// Nobody until then, when a replacement is started.
    Waiting { until: Instant },
    /// Nobody any more, for this reason.
    Lost(String),
}

/// One worker.
pub(super) struct Member {
    pub index: usize,
    pub kind: WorkerKind,
    pub collector: Collector,
    /// Set when it is to die, or to end after its present job.
    pub condemned: Option<Condemned>,
    /// The job it is known to run, and since when.
    pub watched: Option<(usize, u64, Instant)>,
    pub deaths: u64,
    /// Deaths in a row before it was ready.
    pub failures: u32,
    epoch: u32,
    lane: MainLane,
    hand: Hand,
}

impl Member {
    /// A member without a worker yet.
    pub(super) fn new(index: usize, kind: WorkerKind, lane: MainLane) -> Member {
        Member {
            index,
            kind,
            collector: Collector::default(),
            condemned: None,
            watched: None,
            deaths: 0,
            failures: 0,
            epoch: 0,
            lane,
            hand: Hand::Waiting { until: Instant::now() },
        }
    }

    /// Its lane, for draining.
    pub(super) fn lane_mut(&mut self) -> (&mut MainLane, &mut Collector) {
        (&mut self.lane, &mut self.collector)
    }

    /// Who is on its lane.
    pub(super) fn hand(&self) -> &Hand {
        &self.hand
    }

    /// Its present epoch.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Its name for messages.
    pub(super) fn name(&self) -> RunnerName {
        match (&self.hand, self.kind) {
            #[cfg(unix)]
            (Hand::Process { process, .. }, _) => RunnerName::Process { index: self.index, pid: process.pid() },
            (_, WorkerKind::Thread) => RunnerName::Thread { index: self.index },
            (_, WorkerKind::Process) => RunnerName::Process { index: self.index, pid: 0 },
        }
    }

    /// Whether it takes jobs.
    pub(super) fn is_ready(&self) -> bool {
        match &self.hand {
            Hand::Thread(_) => self.condemned.is_none(),
            Hand::Hosted(post) => post.is_serving() && self.condemned.is_none(),
            #[cfg(unix)]
            Hand::Process { ready, .. } => *ready && self.condemned.is_none(),
            Hand::Waiting { .. } | Hand::Lost(_) => false,
        }
    }

    /// Why it will never take jobs again, if so.
    pub(super) fn lost(&self) -> Option<&str> {
        match &self.hand {
            Hand::Lost(reason) => Some(reason),
            _ => None,
        }
    }

    /// How it is doing.
    pub(super) fn status(&self, board: &Board) -> WorkerStatus {
        let (jobs, busy_ns) = board.counts(self.index);
        let pid = match self.name() {
            RunnerName::Process { pid, .. } if pid != 0 => Some(pid),
            _ => None,
        };
        WorkerStatus {
            kind: self.kind,
            index: self.index,
            pid,
            alive: self.is_ready(),
            jobs,
            deaths: self.deaths,
            busy_ns,
        }
    }

    /// Starts a thread that serves on this lane.
    pub(super) fn start_thread(
        &mut self,
        serve: impl FnOnce(super::lane::WorkerLane) -> Result<(), super::WorkerError> + Send + 'static,
    ) -> std::io::Result<()> {
        let lane = self.lane.worker_lane().ok_or_else(|| std::io::Error::other("the lane is taken"))?;
        let name = format!("hypostyle-{}", self.index);
        self.hand = Hand::Thread(std::thread::Builder::new().name(name).spawn(move || serve(lane))?);
        Ok(())
    }

    /// Makes the work of a thread that the embedder may bring to serve on this lane.
    pub(super) fn host(
        &mut self,
        board: &Board,
        serve: impl FnOnce(super::lane::WorkerLane) -> Result<(), super::WorkerError> + Send + 'static,
    ) -> std::io::Result<HostedWorker> {
        let lane = self.lane.worker_lane().ok_or_else(|| std::io::Error::other("the lane is taken"))?;
        let post = Post::new(board.clone());
        self.hand = Hand::Hosted(Arc::clone(&post));
        Ok(HostedWorker::new(self.index, post, move || serve(lane)))
    }

    /// Whether it is for the embedder to bring its thread.
    pub(super) fn is_hosted(&self) -> bool {
        matches!(self.hand, Hand::Hosted(_))
    }

    /// Starts a process that serves on this lane, which must be free.
    #[cfg(unix)]
    pub(super) fn start_process(&mut self, board: &Board, start: &Start) -> std::io::Result<()> {
        assert!(!has_worker(&self.hand), "one worker per lane");
        // SAFETY: no worker is on the lane: the hand is empty, and it is emptied by `take_dead` alone.
        unsafe { self.lane.renew() };
        self.collector.reset();
        self.epoch += 1;
        board.reset_slot(self.index, self.epoch, self.lane.id());
        let board = board.id().unwrap_or("");
        let process = Process::start(&start.command, board, self.index, self.epoch, start.crew.as_deref())?;
        self.hand = Hand::Process { process, ready: false, since: Instant::now() };
        self.condemned = None;
        self.watched = None;
        Ok(())
    }

    /// A process has said that it is ready.
    pub(super) fn set_ready(&mut self) {
        self.failures = 0;
        match &mut self.hand {
            #[cfg(unix)]
            Hand::Process { ready, .. } => *ready = true,
            _ => {}
        }
    }

    /// How its worker ended, if it did.
    pub(super) fn ended(&mut self) -> Option<String> {
        match &mut self.hand {
            Hand::Thread(thread) => thread.is_finished().then(|| "its thread ended".to_owned()),
            Hand::Hosted(post) => post.ended(),
            #[cfg(unix)]
            Hand::Process { process, .. } => process.ended(),
            Hand::Waiting { .. } | Hand::Lost(_) => None,
        }
    }

    /// Whether its process, which has ended, was ended by a signal.
    pub(super) fn was_killed(&mut self) -> bool {
        match &mut self.hand {
            #[cfg(unix)]
            Hand::Process { process, .. } => process.was_killed(),
            _ => false,
        }
    }

    /// How long ago its process was started.
    pub(super) fn started_ago(&self) -> Duration {
        match &self.hand {
            #[cfg(unix)]
            Hand::Process { since, .. } => since.elapsed(),
            _ => Duration::ZERO,
        }
    }

    /// In a process that was forked off: lets go without a word to the worker, which is the maker's.
    pub(super) fn leave(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.hand, Hand::Lost("the process was forked".to_owned())));
    }

    /// Gives the worker up: a process is killed, a thread ends after its present job.
    pub(super) fn condemn(&mut self, why: Condemned) {
        if self.condemned.is_some() {
            return;
        }
        self.condemned = Some(why);
        match &mut self.hand {
            #[cfg(unix)]
            Hand::Process { process, .. } => process.kill(),
            _ => self.lane.close(),
        }
    }

    /// Takes a worker that has ended off the lane; what it left to undo in this window. None: it has not ended.
    pub(super) fn take_dead(&mut self, window: &Window) -> Option<Option<Result<Left, String>>> {
        match &mut self.hand {
            Hand::Thread(thread) if thread.is_finished() => {
                // Threads save nothing.
                self.hand = Hand::Lost("its thread ended".to_owned());
                Some(None)
            }
            Hand::Hosted(post) => {
                self.hand = Hand::Lost(post.ended()?);
                Some(None)
            }
            #[cfg(unix)]
            Hand::Process { process, .. } => {
                process.ended()?;
                // SAFETY: the process on the lane has ended, and the next one is started after this.
                let left = unsafe { self.lane.left_behind(window) };
                self.hand = Hand::Waiting { until: Instant::now() };
                Some(left)
            }
            _ => None,
        }
    }

    /// When the next process is started, after a death.
    pub(super) fn wait_until(&mut self, until: Instant) {
        debug_assert!(matches!(self.hand, Hand::Waiting { .. }), "the hand is empty");
        self.hand = Hand::Waiting { until };
    }

    /// No further process is started on this lane.
    pub(super) fn give_up(&mut self, reason: String) {
        debug_assert!(matches!(self.hand, Hand::Waiting { .. }), "the hand is empty");
        self.hand = Hand::Lost(reason);
    }

    /// Waits for the worker's end. The board says already that the pool is closing.
    pub(super) fn end(&mut self, grace: Duration) {
        match std::mem::replace(&mut self.hand, Hand::Lost("the pool is closed".to_owned())) {
            Hand::Thread(thread) => drop(thread.join()),
            Hand::Hosted(post) => post.close(grace),
            #[cfg(unix)]
            Hand::Process { mut process, ready, .. } => process.end(if ready { grace } else { Duration::ZERO }),
            Hand::Waiting { .. } | Hand::Lost(_) => {}
        }
    }
}

/// Whether somebody is on the lane, or may come.
pub(super) fn has_worker(hand: &Hand) -> bool {
    !matches!(hand, Hand::Waiting { .. } | Hand::Lost(_))
}
