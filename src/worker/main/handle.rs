//! One worker as main has it: its lane, its thread or process, and its history.
//!
//! Invariants: a handle's lane is used by the one worker that its `state` names, and by nobody while it names none; a
//! process has ended for good before that.
#![cfg_attr(
    unix,
    expect(unsafe_code, reason = "a lane is read and renewed after its worker's death, which is established here")
)]

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::os::Instant;

#[cfg(unix)]
use crate::worker::Sandbox;
#[cfg(all(unix, feature = "fault-injection"))]
use crate::worker::main::any_process::AnyProcess as Process;
use crate::worker::main::collect::Collector;
#[cfg(all(unix, not(feature = "fault-injection")))]
use crate::worker::main::process::Process;
use crate::worker::serve::hosted::{HostedLink, HostedWorker};
use crate::worker::shared::board::{Board, Window};
use crate::worker::shared::lane::MainLane;
#[cfg(unix)]
use crate::worker::shared::program::Program;
#[cfg(unix)]
use crate::worker::shared::shut_in::ShutIn;
use crate::worker::shared::undo::PendingUndo;
use crate::worker::{RunnerName, WorkerCommand, WorkerKind, WorkerStatus};

/// What worker processes are started with.
pub(in crate::worker) struct ProcessStart {
    pub command: WorkerCommand,
    #[cfg(unix)]
    pub sandbox: Sandbox,
    /// Where the region is.
    #[cfg(unix)]
    pub region: String,
    /// The open file with the workers' lock.
    #[cfg(unix)]
    pub workers_lock: Option<Arc<std::fs::File>>,
}

/// A worker's ends of a lane.
#[cfg(all(unix, feature = "fault-injection"))]
pub(in crate::worker) type Ends = (crate::worker::shared::lane::WorkerLane, crate::worker::shared::lane::UndoArea);

/// Why main ends a worker.
#[derive(Clone, Debug)]
pub(in crate::worker) enum Termination {
    /// A job of its passed its deadline.
    Deadline,
    /// It broke the protocol.
    Protocol(String),
    /// It could not be made ready.
    Start(String),
}

/// Who is on a lane.
pub(in crate::worker) enum HandleState {
    /// A thread.
    Thread(JoinHandle<Result<(), crate::worker::WorkerError>>),
    /// A thread of the embedder, which may not have come yet.
    Hosted(Arc<HostedLink>),
    /// A process, ready or not yet, started then.
    #[cfg(unix)]
    Process { process: Process, ready: bool, since: Instant },
    /// Nobody until then, when a replacement is started.
    Waiting { until: Instant },
    /// Nobody any more, for this reason.
    Lost(String),
}

/// One worker.
pub(in crate::worker) struct WorkerHandle {
    pub index: usize,
    pub kind: WorkerKind,
    pub collector: Collector,
    /// Set when main ends it: a process is killed, a thread ends after its present job.
    pub termination: Option<Termination>,
    /// The job it is known to run, and since when.
    pub watched: Option<(usize, u64, Instant)>,
    pub deaths: u64,
    /// Starts in a row of which none came to anything: it could not be started, or died without having finished a job
    /// and without having one.
    pub failures: u32,
    /// Whether the present worker has finished a job.
    pub has_finished: bool,
    epoch: u32,
    lane: MainLane,
    state: HandleState,
}

impl WorkerHandle {
    /// A handle without a worker.
    pub(in crate::worker) fn new(index: usize, kind: WorkerKind, lane: MainLane) -> WorkerHandle {
        WorkerHandle {
            index,
            kind,
            collector: Collector::default(),
            termination: None,
            watched: None,
            deaths: 0,
            failures: 0,
            has_finished: false,
            epoch: 0,
            lane,
            state: HandleState::Waiting { until: Instant::now() },
        }
    }

    /// Its lane, for draining.
    pub(in crate::worker) fn lane_mut(&mut self) -> (&mut MainLane, &mut Collector) {
        (&mut self.lane, &mut self.collector)
    }

    /// Who is on its lane.
    pub(in crate::worker) fn state(&self) -> &HandleState {
        &self.state
    }

    /// Its present epoch.
    pub(in crate::worker) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Its name for messages.
    pub(in crate::worker) fn name(&self) -> RunnerName {
        match (&self.state, self.kind) {
            #[cfg(unix)]
            (HandleState::Process { process, .. }, _) => RunnerName::Process { index: self.index, pid: process.pid() },
            (_, WorkerKind::Thread) => RunnerName::Thread { index: self.index },
            (_, WorkerKind::Process) => RunnerName::Process { index: self.index, pid: 0 },
        }
    }

    /// Whether it takes jobs.
    pub(in crate::worker) fn is_ready(&self) -> bool {
        match &self.state {
            HandleState::Thread(_) => self.termination.is_none(),
            HandleState::Hosted(link) => link.is_serving() && self.termination.is_none(),
            #[cfg(unix)]
            HandleState::Process { ready, .. } => *ready && self.termination.is_none(),
            HandleState::Waiting { .. } | HandleState::Lost(_) => false,
        }
    }

    /// Why it will never take jobs again, if so.
    pub(in crate::worker) fn lost(&self) -> Option<&str> {
        match &self.state {
            HandleState::Lost(reason) => Some(reason),
            _ => None,
        }
    }

    /// How it is doing.
    pub(in crate::worker) fn status(&self, board: &Board) -> WorkerStatus {
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
            given_up: self.lost().is_some(),
            jobs,
            deaths: self.deaths,
            busy_ns,
        }
    }

    /// Starts a thread that serves on this lane.
    pub(in crate::worker) fn start_thread(
        &mut self,
        serve: impl FnOnce(crate::worker::shared::lane::WorkerLane) -> Result<(), crate::worker::WorkerError>
        + Send
        + 'static,
    ) -> std::io::Result<()> {
        let lane = self.lane.worker_lane().ok_or_else(|| std::io::Error::other("the lane is taken"))?;
        let name = format!("hypostyle-{}", self.index);
        self.state = HandleState::Thread(std::thread::Builder::new().name(name).spawn(move || serve(lane))?);
        Ok(())
    }

    /// Makes the work of a thread that the embedder may bring to serve on this lane.
    pub(in crate::worker) fn host(
        &mut self,
        board: &Board,
        serve: impl FnOnce(crate::worker::shared::lane::WorkerLane) -> Result<(), crate::worker::WorkerError>
        + Send
        + 'static,
    ) -> std::io::Result<HostedWorker> {
        let lane = self.lane.worker_lane().ok_or_else(|| std::io::Error::other("the lane is taken"))?;
        let link = HostedLink::new(board.clone());
        self.state = HandleState::Hosted(Arc::clone(&link));
        Ok(HostedWorker::new(self.index, link, move || serve(lane)))
    }

    /// Whether it is for the embedder to bring its thread.
    pub(in crate::worker) fn is_hosted(&self) -> bool {
        matches!(self.state, HandleState::Hosted(_))
    }

    /// Starts a process that serves on this lane, which must be free.
    #[cfg(unix)]
    pub(in crate::worker) fn start_process(
        &mut self,
        board: &Board,
        program: &Program,
        start: &ProcessStart,
    ) -> std::io::Result<()> {
        assert!(!has_worker(&self.state), "one worker per lane");
        // SAFETY: no worker is on the lane: its state says so, and becomes so by `take_dead` alone.
        unsafe { self.lane.renew() };
        self.collector.reset();
        self.has_finished = false;
        self.epoch = self.epoch.wrapping_add(1);
        board.reset_slot(self.index, self.epoch, self.lane.id());
        let board = board.id().unwrap_or("");
        let shut_in = ShutIn::new(start.sandbox, self.lane.id(), program.id().unwrap_or(""), &start.region);
        let shut_in = shut_in.map(|shut_in| shut_in.to_string());
        let ticket = format!("{board}:{}:{}", self.index, self.epoch);
        let process = Process::start(&start.command, &ticket, shut_in.as_deref(), start.workers_lock.as_deref())?;
        self.state = HandleState::Process { process, ready: false, since: Instant::now() };
        self.termination = None;
        self.watched = None;
        Ok(())
    }

    /// Starts a simulated process that serves on this lane, which must be free.
    #[cfg(all(unix, feature = "fault-injection"))]
    pub(in crate::worker) fn start_simulated(
        &mut self,
        board: &Board,
        serve: impl FnOnce(Ends) -> Result<(), crate::worker::WorkerError> + Send + 'static,
    ) -> std::io::Result<()> {
        assert!(!has_worker(&self.state), "one worker per lane");
        // SAFETY: no worker is on the lane: its state says so, and becomes so by `take_dead` alone, after the end of
        // the thread that stood for the process.
        unsafe { self.lane.renew() };
        self.collector.reset();
        self.has_finished = false;
        self.epoch = self.epoch.wrapping_add(1);
        board.reset_slot(self.index, self.epoch, self.lane.id());
        // SAFETY: the only worker on the lane, as above.
        let ends = unsafe { self.lane.renewed() }.map_err(std::io::Error::other)?;
        let (index, epoch, board) = (self.index, self.epoch, board.clone());
        let process = Process::simulated(move || {
            crate::fault::point("started");
            let Some(attached) = board.attach(index, epoch, epoch) else { return };
            crate::fault::point("attached");
            attached.ready();
            let served = serve(ends);
            debug_assert!(served.is_ok(), "a simulated worker has all it needs");
        })?;
        self.state = HandleState::Process { process, ready: false, since: Instant::now() };
        self.termination = None;
        self.watched = None;
        Ok(())
    }

    /// The worker has finished a job: it is of use, and so is the next one when it dies.
    pub(in crate::worker) fn note_finished(&mut self) {
        self.failures = 0;
        self.has_finished = true;
    }

    /// A process has said that it is ready.
    pub(in crate::worker) fn set_ready(&mut self) {
        match &mut self.state {
            #[cfg(unix)]
            HandleState::Process { ready, .. } => *ready = true,
            _ => {}
        }
    }

    /// How its worker ended, if it did.
    pub(in crate::worker) fn ended(&mut self) -> Option<String> {
        match &mut self.state {
            HandleState::Thread(thread) => thread.is_finished().then(|| "its thread ended".to_owned()),
            HandleState::Hosted(link) => link.ended(),
            #[cfg(unix)]
            HandleState::Process { process, .. } => process.ended(),
            HandleState::Waiting { .. } | HandleState::Lost(_) => None,
        }
    }

    /// Whether its process, which has ended, was ended by a signal.
    pub(in crate::worker) fn was_killed(&mut self) -> bool {
        match &mut self.state {
            #[cfg(unix)]
            HandleState::Process { process, .. } => process.was_killed(),
            _ => false,
        }
    }

    /// How long ago its process was started.
    pub(in crate::worker) fn started_ago(&self) -> Duration {
        match &self.state {
            #[cfg(unix)]
            HandleState::Process { since, .. } => since.elapsed(),
            _ => Duration::ZERO,
        }
    }

    /// In a process that was forked off: lets go without a word to the worker, which is the maker's.
    pub(in crate::worker) fn leave(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.state, HandleState::Lost("the process was forked".to_owned())));
    }

    /// Ends the worker: a process is killed, a thread ends after its present job.
    pub(in crate::worker) fn terminate(&mut self, why: Termination) {
        if self.termination.is_some() {
            return;
        }
        self.termination = Some(why);
        match &mut self.state {
            #[cfg(unix)]
            HandleState::Process { process, .. } => process.kill(),
            _ => self.lane.close(),
        }
    }

    /// Takes a worker that has ended off the lane; what it left to undo in this window. None: it has not ended.
    #[cfg_attr(not(unix), expect(unused_variables, reason = "threads leave nothing to undo"))]
    pub(in crate::worker) fn take_dead(&mut self, window: &Window) -> Option<Option<Result<PendingUndo, String>>> {
        match &mut self.state {
            HandleState::Thread(thread) if thread.is_finished() => {
                // Threads save nothing.
                self.state = HandleState::Lost("its thread ended".to_owned());
                Some(None)
            }
            HandleState::Hosted(link) => {
                self.state = HandleState::Lost(link.ended()?);
                Some(None)
            }
            #[cfg(unix)]
            HandleState::Process { process, .. } => {
                process.ended()?;
                // SAFETY: the process on the lane has ended, and the next one is started after this.
                let left = unsafe { self.lane.pending_undo(window) };
                self.state = HandleState::Waiting { until: Instant::now() };
                Some(left)
            }
            _ => None,
        }
    }

    /// When the next process is started, after a death.
    pub(in crate::worker) fn wait_until(&mut self, until: Instant) {
        debug_assert!(matches!(self.state, HandleState::Waiting { .. }), "no worker is on the lane");
        self.state = HandleState::Waiting { until };
    }

    /// No further process is started on this lane.
    pub(in crate::worker) fn give_up(&mut self, reason: String) {
        debug_assert!(matches!(self.state, HandleState::Waiting { .. }), "no worker is on the lane");
        self.state = HandleState::Lost(reason);
    }

    /// Waits for the worker's end. The board says already that the pool is closing.
    pub(in crate::worker) fn end(&mut self, grace: Duration) {
        match std::mem::replace(&mut self.state, HandleState::Lost("the pool is closed".to_owned())) {
            HandleState::Thread(thread) => drop(thread.join()),
            HandleState::Hosted(link) => link.close(grace),
            #[cfg(unix)]
            HandleState::Process { mut process, ready, .. } => process.end(if ready { grace } else { Duration::ZERO }),
            HandleState::Waiting { .. } | HandleState::Lost(_) => {}
        }
    }
}

/// Whether somebody is on the lane, or may come.
pub(in crate::worker) fn has_worker(state: &HandleState) -> bool {
    !matches!(state, HandleState::Waiting { .. } | HandleState::Lost(_))
}
