//! Looking after the workers: which are ready, which died, whose job is late, what becomes of a dead worker's job.
//!
//! Invariants: what a dead worker published counts, and is collected before its job is looked at; its writes in place
//! are undone before its job is free again; nothing that it left is used before all of it was checked.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::os::Instant;
use crate::trace::EventKind;

use super::{LOOK, WorkerSet};
use crate::worker::error::JobFailure;
use crate::worker::main::handle::{HandleState, Termination, WorkerHandle};
use crate::worker::main::ledger::JobState;
#[cfg(unix)]
use crate::worker::shared::board::Stage;
use crate::worker::shared::claim::{Claim, State};
use crate::worker::shared::undo;
use crate::worker::{Batch, Place, RunnerName, Staged, WorkerKind};

/// The longest pause before a worker that keeps dying at its start is started again.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

impl WorkerSet {
    pub(super) fn look_after_jobs_if_due(&mut self, batch: &mut Batch<'_>, staged: &mut Staged) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        for index in 0..self.handles.len() {
            if self.timed {
                self.check_deadline(index, batch);
            }
            if self.handles[index].ended().is_some() {
                self.reap(index, batch, staged);
            }
        }
        self.look_after();
        self.check_lost_jobs(batch, staged);
        if let Some(reason) = self.all_lost() {
            self.fail_orphans(&reason);
        }
    }

    /// Outside of jobs: notes which workers are ready or too late, and starts those that are due.
    pub(super) fn look_after(&mut self) {
        for index in 0..self.handles.len() {
            let handle = &mut self.handles[index];
            match handle.state() {
                #[cfg(unix)]
                HandleState::Process { ready: false, since, .. } => {
                    let since = *since;
                    match self.board.stage(index, handle.epoch()) {
                        Some(Stage::Ready) => {
                            handle.set_ready();
                            self.note_started(index);
                        }
                        Some(Stage::Refused) => {
                            let why = self.refusal(index).to_string();
                            self.handles[index].terminate(Termination::Start(why));
                        }
                        _ if since.elapsed() >= self.startup_timeout => {
                            handle.terminate(Termination::Start("it was not ready in time".to_owned()));
                        }
                        _ => {}
                    }
                }
                HandleState::Waiting { until } if Instant::now() >= *until => {
                    if let Err(error) = self.start_worker(index) {
                        self.retry_later(index, &error.to_string());
                    }
                }
                _ => {}
            }
            // While a window is on, `look_after_jobs_if_due` reaps its dead with their jobs.
            if !self.running && self.handles[index].ended().is_some() {
                self.reap_idle(index);
            }
        }
    }

    /// The next start of a worker whose last one came to nothing; after too many of them there is none.
    pub(super) fn retry_later(&mut self, index: usize, reason: &str) {
        let limit = self.respawn_failures_max;
        let handle = &mut self.handles[index];
        handle.failures += 1;
        if handle.failures >= limit {
            let failures = handle.failures;
            tracing::error!(worker = index, reason, failures, "a worker is given up: main and the others do its jobs");
            handle.give_up(format!("worker {index} failed {limit} times in a row before it did a job, last: {reason}"));
        } else {
            let pause = Duration::from_millis(10).saturating_mul(1 << handle.failures.min(10)).min(BACKOFF_MAX);
            handle.wait_until(Instant::now() + pause);
        }
    }

    /// What follows a worker's death whatever job it had. One that did jobs is replaced at once, as often as it takes;
    /// so is one that dies with a job, as jobs have a bound of their own. One that dies without either came to nothing:
    /// where nothing else happens, nobody would ever do what main waits for.
    pub(super) fn after_death(&mut self, index: usize, had_job: bool, status: &str) {
        let handle = &mut self.handles[index];
        handle.deaths += 1;
        handle.collector.reset();
        handle.watched = None;
        self.ledger.report.deaths += 1;
        let reason = match &handle.termination {
            Some(Termination::Start(why) | Termination::Protocol(why)) => why.clone(),
            Some(Termination::Deadline) => "a job passed its deadline".to_owned(),
            None => status.to_owned(),
        };
        tracing::warn!(worker = index, reason, "a worker died");
        self.note_death(index);
        let handle = &mut self.handles[index];
        if handle.lost().is_some() {
            return;
        }
        if had_job || handle.has_finished {
            handle.wait_until(Instant::now());
        } else {
            self.retry_later(index, &reason);
        }
    }

    /// Records a death, from the beginning of the job that the worker had.
    fn note_death(&self, index: usize) {
        let Some(trace) = &self.trace else { return };
        let now = self.recorder.now();
        // what the worker left is believed as far as it is possible
        let open = trace.open_job(1 + index as u32).filter(|(since, _)| *since <= now);
        let (since, job) = open.map_or((now, None), |(since, job)| (since, Some(job)));
        let deaths = u32::try_from(self.handles[index].deaths).unwrap_or(u32::MAX);
        self.recorder.record(since, now, EventKind::Died { worker: index as u32, deaths, job });
    }

    fn reap_idle(&mut self, index: usize) {
        let Some(status) = self.handles[index].ended() else { return };
        let window = *self.ledger.window();
        if self.handles[index].take_dead(&window).is_some() {
            self.after_death(index, false, &status);
        }
    }

    /// A worker died while a window was on: what it published counts, what it wrote is undone, its job is free again.
    fn reap(&mut self, index: usize, batch: &mut Batch<'_>, staged: &mut Staged) {
        let Some(status) = self.handles[index].ended() else { return };
        // After its end: all that it ever published is there now.
        self.drain(index, batch, staged);
        let name = self.handles[index].name();
        let window = *self.ledger.window();
        let Some(left) = self.handles[index].take_dead(&window) else { return };
        if let Some(left) = left {
            let undone = left.and_then(|left| self.undo(index, &left, batch));
            if let Err(message) = undone {
                let job = self.held(index).next().map_or(window.first, |job| self.ledger.number(job));
                self.ledger.fail(JobFailure::Undo { job, runner: name, message });
            }
        }
        let termination = self.handles[index].termination.clone();
        let had_job = self.held(index).next().is_some();
        self.after_death(index, had_job, &status);
        loop {
            let held = self.held(index).next();
            let Some(job) = held else { break };
            self.free(job, index, name, &status, termination.as_ref(), batch);
        }
        if self.kind == WorkerKind::Thread {
            // Its jobs were dropped by `free`: what a thread wrote in place cannot be undone.
            debug_assert_eq!(self.held(index).next(), None);
        }
    }

    /// The open jobs that a worker has claimed; one at most, if it kept the protocol.
    fn held(&self, index: usize) -> impl Iterator<Item = usize> {
        let tag = self.ledger.window().tag();
        let held = move |&job: &usize| {
            Claim::unpack(self.board.claim(job).load(Ordering::Acquire)).is_some_and(|claim| {
                claim.state == State::Taken && claim.tag == tag && usize::from(claim.runner) == index
            })
        };
        self.ledger.open_jobs().filter(held)
    }

    /// Restores what a dead worker's job overwrote. All of it is checked before any of it is used.
    fn undo(&mut self, index: usize, left: &undo::PendingUndo, batch: &mut Batch<'_>) -> Result<(), String> {
        let job = usize::try_from(left.job).ok().filter(|&job| job < self.ledger.window().jobs);
        let job = job.ok_or_else(|| format!("it is for job {} of {}", left.job, self.ledger.window().jobs))?;
        if !self.ledger.is_open(job) || left.entries.is_empty() {
            return Ok(());
        }
        if self.held(index).all(|held| held != job) {
            return Err("it is for a job that the worker had not claimed".to_owned());
        }
        let number = self.ledger.number(job);
        for entry in undo::entries(&left.entries) {
            let (offset, bytes) = entry?;
            if !(batch.undo_allowed)(number, offset, bytes.len() as u64) {
                return Err(format!("{} bytes at {offset} are none that the job may write", bytes.len()));
            }
        }
        for (offset, bytes) in undo::entries(&left.entries).flatten() {
            (batch.restore)(offset, bytes);
        }
        self.ledger.report.undone += 1;
        Ok(())
    }

    /// A dead worker's job: free again, or the end of the batch.
    fn free(
        &mut self,
        job: usize,
        index: usize,
        runner: RunnerName,
        status: &str,
        termination: Option<&Termination>,
        batch: &Batch<'_>,
    ) {
        let number = self.ledger.number(job);
        let attempts = self.ledger.add_attempt(job);
        let deadline = (batch.deadline)(number).filter(|_| matches!(termination, Some(Termination::Deadline)));
        if self.kind == WorkerKind::Thread {
            let message = match termination {
                Some(Termination::Protocol(message)) => message.clone(),
                _ => status.to_owned(),
            };
            self.ledger.fail(JobFailure::Protocol { job: number, runner, message });
        } else if attempts >= self.deaths_per_job_max {
            let status = match termination {
                Some(Termination::Protocol(message)) => format!("it broke the worker protocol: {message}"),
                _ => status.to_owned(),
            };
            self.ledger.fail(match deadline {
                Some(deadline) => JobFailure::Deadline { job: number, deadline, tries: u32::from(attempts), runner },
                None => JobFailure::KilledWorkers { job: number, deaths: u32::from(attempts), runner, status },
            });
        }
        let free = Claim::free(self.ledger.window().tag(), attempts);
        if !self.ledger.is_wanted(job) {
            self.board.claim(job).store(free.withdrawn().pack(), Ordering::Release);
            self.ledger.settle(job, JobState::Dropped);
            return;
        }
        self.ledger.report.retries += 1;
        let (now, worker) = (self.recorder.now(), index as u32);
        self.recorder.record(now, now, EventKind::Retried { worker, job: number, attempt: attempts });
        // Release: the worker that claims it next sees what was undone.
        self.board.claim(job).store(free.pack(), Ordering::Release);
        self.announce_retries();
    }

    fn announce_retries(&self) {
        self.board.add_retry();
        self.wake(usize::MAX);
    }

    /// Kills a worker process whose job has passed its deadline.
    fn check_deadline(&mut self, index: usize, batch: &Batch<'_>) {
        if self.kind == WorkerKind::Thread {
            return;
        }
        let tag = self.ledger.window().tag();
        let held = self.held(index).next();
        let number = held.map(|job| self.ledger.number(job));
        let handle = &mut self.handles[index];
        let (Some(job), Some(number)) = (held, number) else {
            handle.watched = None;
            return;
        };
        let Some(deadline) = (batch.deadline)(number) else { return };
        match handle.watched {
            Some((watched, of, since)) if (watched, of) == (job, tag) => {
                if since.elapsed() > deadline {
                    handle.terminate(Termination::Deadline);
                }
            }
            _ => handle.watched = Some((job, tag, Instant::now())),
        }
    }

    /// Finds jobs that nobody runs and nobody will run: free ones that the cursor lost, or claimed ones whose worker
    /// says that it is idle.
    fn check_lost_jobs(&mut self, batch: &Batch<'_>, staged: &mut Staged) {
        let window = *self.ledger.window();
        let retries = self.board.retries();
        let idle = |handle: &WorkerHandle| !handle.is_ready() || self.board.is_idle(handle.index, &window, retries);
        if !self.handles.iter().all(idle) || !self.handles.iter().any(WorkerHandle::is_ready) {
            return;
        }
        // They published before they said so.
        self.drain_all(batch, staged);
        let tag = window.tag();
        let mut free = false;
        let mut lost = None;
        for job in self.ledger.open_jobs() {
            match Claim::unpack(self.board.claim(job).load(Ordering::Acquire)) {
                Some(claim) if claim == Claim::free(tag, self.ledger.attempts(job)) => free = true,
                Some(claim) if claim.tag == tag && claim.state == State::Taken => {
                    let holder = self.handles.get(usize::from(claim.runner));
                    if holder.is_none_or(WorkerHandle::is_ready) {
                        lost = Some(job);
                    }
                }
                _ => lost = Some(job),
            }
        }
        if let Some(job) = lost {
            let (job, number) = (job, self.ledger.number(job));
            let message = "the job was claimed and never run".to_owned();
            self.ledger.fail(JobFailure::Protocol { job: number, runner: RunnerName::Main, message });
            self.ledger.settle(job, JobState::Dropped);
        } else if free {
            self.announce_retries();
        }
    }

    fn all_lost(&self) -> Option<String> {
        let mut reason = None;
        for handle in &self.handles {
            reason = Some(handle.lost()?.to_owned());
        }
        reason
    }

    /// No worker is left: jobs that main must not run fail, those that killed one among them.
    fn fail_orphans(&mut self, reason: &str) {
        let orphan = self.ledger.open_jobs().find(|&job| self.ledger.attempts(job) > 0 || self.place == Place::Workers);
        if let Some(job) = orphan.filter(|job| self.ledger.is_wanted(*job)) {
            let job = self.ledger.number(job);
            self.ledger.fail(JobFailure::NoWorkers { job, reason: reason.to_owned() });
        }
    }
}
