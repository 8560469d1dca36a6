//! Main's side of the workers: starting them, running windows of jobs with them, replacing those that die.
//!
//! Invariants: main drains all rings whenever it waits, so that a full ring only makes its producer wait; `run` does
//! not return before every job of its window is settled, so no worker touches the world afterwards; a job that killed
//! a worker never runs in main.
#![forbid(unsafe_code)]

mod supervise;

use std::sync::Arc;
use std::time::Duration;

use crate::os::{self, Instant};
use crate::patch::DrainError;
use crate::trace::{EventKind, Recorder, Trace, Wait};
use std::sync::atomic::Ordering;

use crate::worker::error::{JobFailure, MemoryError, PoolError};
use crate::worker::main::handle::{HandleState, ProcessStart, Termination, WorkerHandle, has_worker};
use crate::worker::main::ledger::{JobLedger, JobState};
use crate::worker::main::own::{of_fault, run_on_main};
use crate::worker::main::staged::JobRun;
use crate::worker::serve::hosted::HostedWorker;
use crate::worker::serve::worker_loop::{ProgramSource, WorkerLoop};
use crate::worker::shared::board::{Board, BoardPlan, Message, Stage, WINDOW_JOBS};
use crate::worker::shared::claim::{ATTEMPTS_MAX, Claim, MAIN};
use crate::worker::shared::lane::{LanePlan, MainLane};
use crate::worker::shared::program::Program;
use crate::worker::shared::wait::{self, Spinner};
use crate::worker::{
    Batch, BatchReport, Place, PoolConfig, RegionForWorkers, Runner, RunnerName, Sandbox, Staged, WorkerCommand,
    WorkerKind, WorkerStatus, Workers,
};

/// How long main spins for its workers before it sleeps.
const SPIN: Duration = Duration::from_micros(100);
/// How long main sleeps before it looks after its workers, and how often it does so otherwise.
const LOOK: Duration = Duration::from_millis(1);
/// How long an idle worker process may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// The workers, as main has them.
pub(in crate::worker) struct WorkerSet {
    board: Board,
    kind: WorkerKind,
    /// For the embedder's threads, if it is to bring them.
    hosted: Option<Vec<HostedWorker>>,
    /// They are simulated processes.
    simulated: bool,
    plan: LanePlan,
    program: Program,
    handles: Vec<WorkerHandle>,
    runner: Arc<dyn Runner>,
    ledger: JobLedger,
    /// Whether a window is on; outside of one nothing is collected and nothing undone.
    running: bool,
    /// Whether a job of the window has a deadline.
    timed: bool,
    /// Who may run the window's jobs.
    place: Place,
    /// Whether main runs jobs, too.
    main_helps: bool,
    yielding: bool,
    sandbox: Sandbox,
    start: ProcessStart,
    /// A forked copy must leave the workers alone.
    maker: os::Maker,
    registrations: String,
    /// Main's.
    recorder: Recorder,
    trace: Option<Trace>,
    startup_timeout: Duration,
    respawn_failures_max: u32,
    deaths_per_job_max: u8,
    looked: Instant,
}

impl WorkerSet {
    /// Starts all workers; processes are ready when this returns.
    pub(in crate::worker) fn start(
        config: &PoolConfig,
        kind: WorkerKind,
        workers: usize,
        runner: Arc<dyn Runner>,
        region: Option<&RegionForWorkers>,
        registrations: &str,
    ) -> Result<WorkerSet, PoolError> {
        let simulated = config.workers.is_simulated();
        let shared = kind == WorkerKind::Process && !simulated;
        let undo_bytes = if kind == WorkerKind::Process { config.undo_bytes } else { 0 };
        let ring =
            |error: crate::patch::RingError| PoolError::Ring { bytes: config.ring_bytes, message: error.to_string() };
        let plan = LanePlan::new(config.ring_bytes, undo_bytes).map_err(ring)?;
        #[cfg(unix)]
        if shared {
            let swept = crate::worker::shared::segment::sweep();
            if swept > 0 {
                tracing::info!(swept, "removed shared memory that killed processes had left behind");
            }
        }
        let cores = os::cores();
        let board = Board::create(
            &BoardPlan {
                workers,
                ring_bytes: config.ring_bytes,
                undo_bytes,
                yielding: cores <= workers,
                layout_hash: region.map_or(0, |region| region.layout_hash),
                region_path: region.map(|region| region.path.as_str()),
                registrations: if shared { registrations } else { "" },
                trace: config.trace.as_ref().filter(|_| shared).and_then(|trace| trace.place(1)),
            },
            shared,
        )?;
        let mut handles = Vec::new();
        for index in 0..workers {
            handles.push(WorkerHandle::new(index, kind, MainLane::create(plan, shared)?));
        }
        let command = match (&config.command, kind) {
            (Some(command), _) => command.clone(),
            (None, WorkerKind::Thread) => WorkerCommand { program: Default::default(), args: Vec::new() },
            (None, WorkerKind::Process) => {
                let own = |source| PoolError::Spawn { name: handles[0].name(), source };
                WorkerCommand { program: std::env::current_exe().map_err(own)?, args: Vec::new() }
            }
        };
        let mut set = WorkerSet {
            yielding: board.yielding(),
            board,
            kind,
            simulated,
            hosted: matches!(config.workers, Workers::Hosted(_)).then(Vec::new),
            plan,
            program: Program::new(shared)?,
            handles,
            runner,
            ledger: JobLedger::new(),
            running: false,
            timed: false,
            place: Place::Anywhere,
            main_helps: config.main_helps,
            sandbox: config.sandbox,
            start: ProcessStart {
                command,
                #[cfg(unix)]
                sandbox: config.sandbox,
                #[cfg(unix)]
                region: region.map(|region| region.path.clone()).unwrap_or_default(),
                #[cfg(unix)]
                workers_lock: region.and_then(|region| region.workers_lock.clone()),
            },
            maker: os::Maker::this(),
            registrations: registrations.to_owned(),
            recorder: config.trace.as_ref().map_or_else(Recorder::off, |trace| trace.recorder(0)),
            trace: config.trace.clone(),
            startup_timeout: config.startup_timeout,
            respawn_failures_max: config.respawn_failures_max,
            deaths_per_job_max: config.deaths_per_job_max.clamp(1, ATTEMPTS_MAX),
            looked: Instant::now(),
        };
        set.program.announce(&set.board);
        for index in 0..workers {
            let name = set.handles[index].name();
            set.start_worker(index).map_err(|source| PoolError::Spawn { name, source })?;
        }
        set.await_ready()?;
        Ok(set)
    }

    fn start_worker(&mut self, index: usize) -> std::io::Result<()> {
        let handle = &mut self.handles[index];
        match self.kind {
            #[cfg(all(unix, feature = "fault-injection"))]
            WorkerKind::Process if self.simulated => {
                let (board, runner) = (self.board.clone(), Arc::clone(&self.runner));
                let source = ProgramSource::Heap(Arc::clone(&self.program.heap));
                let serve = move |(lane, undo)| {
                    WorkerLoop::new(board, index, lane, Some(undo), runner, source, Recorder::off()).serve()
                };
                handle.start_simulated(&self.board, serve)
            }
            #[cfg(unix)]
            WorkerKind::Process => handle.start_process(&self.board, &self.program, &self.start),
            #[cfg(not(unix))]
            WorkerKind::Process => Err(std::io::ErrorKind::Unsupported.into()),
            WorkerKind::Thread => {
                let (board, runner) = (self.board.clone(), self.runner.clone());
                let source = ProgramSource::Heap(self.program.heap.clone());
                let recorder = self.trace.as_ref().map_or_else(Recorder::off, |trace| trace.recorder(1 + index as u32));
                let of = board.clone();
                let serve = move |lane| WorkerLoop::new(board, index, lane, None, runner, source, recorder).serve();
                let started = match &mut self.hosted {
                    Some(hosted) => handle.host(&of, serve).map(|worker| hosted.push(worker)),
                    None => handle.start_thread(serve),
                };
                self.note_started(index);
                started
            }
        }
    }

    /// Records that a worker takes jobs.
    fn note_started(&self, index: usize) {
        let pid = match self.handles[index].name() {
            RunnerName::Process { pid, .. } => pid,
            _ => 0,
        };
        let now = self.recorder.now();
        self.recorder.record(now, now, EventKind::Started { worker: index as u32, pid });
    }

    /// What the embedder's threads are to run; none once taken.
    pub(in crate::worker) fn take_hosted(&mut self) -> Vec<HostedWorker> {
        self.hosted.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Waits until every process is ready. One that dies before is started again, as later on; one that says that it
    /// cannot work, never comes, or ends by itself without a word fails the start. The embedder's threads come when they
    /// come.
    fn await_ready(&mut self) -> Result<(), PoolError> {
        while !self.handles.iter().all(|handle| handle.is_ready() || handle.is_hosted()) {
            for index in 0..self.handles.len() {
                if !self.handles[index].is_ready() {
                    self.await_one(index)?;
                }
            }
            wait::sleep(self.board.main_bell(), LOOK, || false);
        }
        Ok(())
    }

    /// One look at a worker that is not ready.
    fn await_one(&mut self, index: usize) -> Result<(), PoolError> {
        let handle = &mut self.handles[index];
        let name = handle.name();
        match handle.state() {
            HandleState::Waiting { until } if Instant::now() >= *until => {
                if let Err(error) = self.start_worker(index) {
                    self.retry_later(index, &error.to_string());
                }
                return Ok(());
            }
            HandleState::Waiting { .. } => return Ok(()),
            HandleState::Lost(reason) => {
                let (reason, program) = (reason.clone(), self.program_name());
                return Err(PoolError::Died { name, reason, program });
            }
            _ => {}
        }
        // asked first: what it said before its end is there then
        let ended = handle.ended();
        match (self.board.stage(index, handle.epoch()), ended) {
            (Some(Stage::Refused), _) => Err(self.refusal(index)),
            (Some(Stage::Ready), None) => {
                handle.set_ready();
                self.note_started(index);
                Ok(())
            }
            // it ended by itself and never said that it is a worker
            (None | Some(Stage::Empty | Stage::Starting), Some(status)) if !handle.was_killed() => {
                Err(PoolError::Exited { name, status, program: self.program_name() })
            }
            (_, Some(status)) => {
                let window = *self.ledger.window();
                if self.handles[index].take_dead(&window).is_some() {
                    self.after_death(index, false, &status);
                }
                Ok(())
            }
            (stage, None) if handle.started_ago() >= self.startup_timeout => {
                let (waited, registered) = (handle.started_ago(), stage == Some(Stage::Attached));
                Err(PoolError::Timeout { name, waited, program: self.program_name(), registered })
            }
            _ => Ok(()),
        }
    }

    fn program_name(&self) -> String {
        self.start.command.program.display().to_string()
    }

    /// Why a worker refused to work, in main's words.
    fn refusal(&self, index: usize) -> PoolError {
        let name = self.handles[index].name();
        match self.board.message(index) {
            Some(Message::Registration(line, worker)) => PoolError::RegistrationsDiffer {
                name,
                line,
                main: self.registrations.lines().nth(line.saturating_sub(1)).unwrap_or("").to_owned(),
                worker,
            },
            Some(Message::Text(message)) => PoolError::Refused { name, message },
            None => PoolError::Refused { name, message: "it did not say why".to_owned() },
        }
    }

    /// Bytes of the longest record that fits the rings: main keeps to it too, so that no result depends on which process ran a job.
    pub(in crate::worker) fn record_bytes_max(&self) -> usize {
        self.plan.record_bytes_max()
    }

    /// Who runs a batch: nobody outside the sandbox, where workers are shut in to run it.
    pub(in crate::worker) fn place(&self, wanted: Place) -> Place {
        if self.sandbox != Sandbox::Off && wanted == Place::Anywhere { Place::Workers } else { wanted }
    }

    /// Whether a batch must not run on main alone: main is not to help, or a job has a deadline and there are processes
    /// to kill.
    pub(in crate::worker) fn must_share(&self, batch: &Batch<'_>) -> bool {
        let timed = || self.kind == WorkerKind::Process && (0..batch.jobs).any(|job| (batch.deadline)(job).is_some());
        (!self.main_helps || self.simulated || timed()) && self.handles.iter().any(|handle| handle.lost().is_none())
    }

    /// The same for a batch whose jobs have no deadlines.
    pub(in crate::worker) fn must_share_untimed(&self) -> bool {
        (!self.main_helps || self.simulated) && self.handles.iter().any(|handle| handle.lost().is_none())
    }

    /// How many there are that are not lost.
    pub(in crate::worker) fn count(&self) -> u64 {
        self.handles.iter().filter(|handle| handle.lost().is_none()).count() as u64
    }

    /// How the workers are doing.
    pub(in crate::worker) fn status(&self, out: &mut Vec<WorkerStatus>) {
        out.extend(self.handles.iter().map(|handle| handle.status(&self.board)));
    }

    /// No further batch is near.
    pub(in crate::worker) fn end_frame(&mut self) {
        self.board.set_in_frame(false);
        self.look_after();
    }

    /// Runs a batch. Its report counts the deaths since the batch before, too.
    pub(in crate::worker) fn run(
        &mut self,
        batch: &mut Batch<'_>,
        staged: &mut Staged,
    ) -> Result<BatchReport, JobFailure> {
        let ran = self.run_windows(batch, staged);
        let report = std::mem::take(&mut self.ledger.report);
        ran.map(|()| report)
    }

    fn run_windows(&mut self, batch: &mut Batch<'_>, staged: &mut Staged) -> Result<(), JobFailure> {
        self.board.set_in_frame(true);
        let memory = |error: MemoryError| JobFailure::Memory { message: error.to_string() };
        self.program.reserve(batch.program.len()).map_err(memory)?;
        let mut first = 0;
        while first < batch.jobs {
            let jobs = (batch.jobs - first).min(WINDOW_JOBS as u32);
            self.run_window(batch, staged, first, jobs as usize)?;
            first += jobs;
        }
        Ok(())
    }

    /// Runs one window of a batch to the end: when this returns no worker runs a job.
    fn run_window(
        &mut self,
        batch: &mut Batch<'_>,
        staged: &mut Staged,
        first: u32,
        jobs: usize,
    ) -> Result<(), JobFailure> {
        let sequence = self.board.shut_window();
        if first == 0 {
            self.program.store(batch.program, &self.board);
        }
        let window = self.board.open_window(sequence, jobs, first);
        self.ledger.begin(window);
        self.timed = (first..first + jobs as u32).any(|job| (batch.deadline)(job).is_some());
        self.place = batch.place;
        self.running = true;
        self.wake(jobs);
        if let Some(beside) = batch.beside.take() {
            beside();
        }
        let mut spinner = Spinner::new(self.yielding);
        // since when main has no job of its own
        let mut idle_since = None;
        loop {
            let mut progress = self.drain_all(batch, staged);
            if self.ledger.open() == 0 {
                break;
            }
            self.withdraw();
            if let Some(job) = self.claim_for_main() {
                self.end_idle(&mut idle_since);
                self.run_own(job, batch, staged);
                progress = true;
            } else if idle_since.is_none() {
                idle_since = Some(self.recorder.now());
            }
            if progress {
                spinner.reset();
                self.look_after_jobs_if_due(batch, staged);
            } else if spinner.turn(SPIN) {
                let board = self.board.clone();
                let mut drained = false;
                wait::sleep(board.main_bell(), LOOK, || {
                    drained = self.drain_all(batch, staged);
                    drained
                });
                if drained {
                    spinner.reset();
                }
                self.look_after_jobs_if_due(batch, staged);
            }
        }
        self.end_idle(&mut idle_since);
        self.running = false;
        for handle in &mut self.handles {
            handle.watched = None;
        }
        self.ledger.take_failure().map_or(Ok(()), Err)
    }

    /// Records that main has waited for its workers, if it has.
    fn end_idle(&self, since: &mut Option<u64>) {
        if let Some(since) = since.take() {
            self.recorder.lap(since, EventKind::Wait(Wait::Workers));
        }
    }

    /// Wakes as many sleepers as there are jobs.
    fn wake(&self, jobs: usize) {
        for handle in self.handles.iter().filter(|handle| handle.is_ready()).take(jobs) {
            wait::wake(self.board.bell(handle.index));
        }
    }

    /// Takes what the workers have published. True: there was something.
    fn drain_all(&mut self, batch: &Batch<'_>, staged: &mut Staged) -> bool {
        (0..self.handles.len()).filter(|&index| self.drain(index, batch, staged)).count() > 0
    }

    fn drain(&mut self, index: usize, batch: &Batch<'_>, staged: &mut Staged) -> bool {
        let WorkerSet { handles, ledger, board, kind, .. } = self;
        let handle = &mut handles[index];
        if matches!(handle.termination, Some(Termination::Protocol(_))) || !has_worker(handle.state()) {
            return false;
        }
        let name = handle.name();
        let mut finished = false;
        let (lane, collector) = handle.lane_mut();
        let drained = lane.drain(&mut |record| {
            let may_begin = |number, attempt| {
                let Some(job) = ledger.local(number).filter(|&job| ledger.is_open(job)) else { return false };
                let held = Claim::free(ledger.window().tag(), ledger.attempts(job)).taken_by(index as u8);
                attempt == u32::from(ledger.attempts(job)) && board.claim(job).load(Ordering::Acquire) == held.pack()
            };
            let Some(ended) = collector.take(record, staged.arena(Some(index)), may_begin)? else { return Ok(()) };
            let Some(job) = ledger.local(ended.job) else { return Ok(()) };
            let elapsed_ns = board.elapsed(job).load(Ordering::Relaxed);
            ledger.report.jobs_on_workers += 1;
            finished = true;
            if let Some(fault) = ended.fault {
                ledger.settle(job, JobState::Dropped);
                ledger.fail(of_fault(fault, ended.job, name));
                return Ok(());
            }
            let (records, spawned, attempt) = (ended.records, ended.spawned, ended.attempt as u8);
            staged.note(
                ended.job,
                Some(index),
                ended.start,
                ended.end,
                JobRun { records, spawned, attempt, elapsed_ns, ..JobRun::default() },
            );
            ledger.settle(job, JobState::Done);
            if let (WorkerKind::Thread, Some(deadline)) = (*kind, (batch.deadline)(ended.job))
                && u128::from(elapsed_ns) > deadline.as_nanos()
            {
                ledger.fail(JobFailure::Deadline { job: ended.job, deadline, tries: 1, runner: name });
            }
            Ok(())
        });
        if finished {
            handle.note_finished();
        }
        match drained {
            Ok(bytes) => bytes > 0,
            Err(error) => {
                let message = match error {
                    DrainError::Ring(error) => error.to_string(),
                    DrainError::Sink(message) => message,
                };
                tracing::warn!(worker = %name, message, "a worker broke the protocol");
                handle.terminate(Termination::Protocol(message));
                true
            }
        }
    }

    /// Takes the free jobs off the board that need not run after a failure.
    fn withdraw(&mut self) {
        let unwanted = self.ledger.unwanted();
        let before = std::mem::replace(&mut self.ledger.withdrawn_from, unwanted.start);
        let tag = self.ledger.window().tag();
        for job in unwanted.start..before {
            if !self.ledger.is_open(job) {
                continue;
            }
            let free = Claim::free(tag, self.ledger.attempts(job));
            let word = self.board.claim(job);
            let swapped =
                word.compare_exchange(free.pack(), free.withdrawn().pack(), Ordering::AcqRel, Ordering::Relaxed);
            if swapped.is_ok() {
                self.ledger.settle(job, JobState::Dropped);
            }
        }
    }

    /// A job that main may run, claimed.
    fn claim_for_main(&mut self) -> Option<usize> {
        let free = self.main_helps && (self.kind == WorkerKind::Thread || !self.timed);
        let may = self.place != Place::Workers;
        let helps = may && (free || self.handles.iter().all(|handle| handle.lost().is_some()));
        if !helps {
            return None;
        }
        let window = *self.ledger.window();
        let may =
            |ledger: &JobLedger, job: usize| ledger.is_open(job) && ledger.is_wanted(job) && ledger.attempts(job) == 0;
        while let Some(job) = self.board.next(&window) {
            if may(&self.ledger, job) && self.board.try_claim(&window, job, MAIN).is_some() {
                return Some(job);
            }
        }
        // The cursor is only a hint: a runner may have moved it and then not claimed.
        while self.ledger.scan < window.jobs {
            let job = self.ledger.scan;
            self.ledger.scan += 1;
            if may(&self.ledger, job) && self.board.try_claim(&window, job, MAIN).is_some() {
                return Some(job);
            }
        }
        None
    }

    fn run_own(&mut self, job: usize, batch: &Batch<'_>, staged: &mut Staged) {
        self.ledger.report.jobs_on_main += 1;
        match run_on_main(
            self.runner.as_ref(),
            batch,
            self.ledger.number(job),
            self.plan.record_bytes_max(),
            staged,
            &self.recorder,
        ) {
            Ok(()) => self.ledger.settle(job, JobState::Done),
            Err(failure) => {
                self.ledger.settle(job, JobState::Dropped);
                self.ledger.fail(failure);
            }
        }
    }

    /// Ends all workers. In a process that was forked off they are not its own, and go on.
    pub(in crate::worker) fn close(&mut self) {
        if !self.maker.is_here() {
            return self.handles.iter_mut().for_each(WorkerHandle::leave);
        }
        self.board.set_closing();
        for handle in &self.handles {
            wait::wake(self.board.bell(handle.index));
        }
        let begun = Instant::now();
        for handle in &mut self.handles {
            handle.end(GRACE.saturating_sub(begun.elapsed()));
        }
    }
}

impl Drop for WorkerSet {
    fn drop(&mut self) {
        self.close();
    }
}
