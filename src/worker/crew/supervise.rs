//! Looking after the workers: who is ready, who died, whose job is late, what becomes of a dead worker's job.
//!
//! Invariants: what a dead worker published counts, and is collected before its job is looked at; its writes in place
//! are undone before its job is free again; nothing that it left is used before all of it was checked.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::os::Instant;
use crate::trace::EventKind;

use super::super::board::Stage;
use super::super::claim::{Claim, State};
use super::super::error::JobFailure;
use super::super::member::{Condemned, Hand, Member};
use super::super::undo;
use super::super::window::Standing;
use super::super::{Batch, Place, RunnerName, Staged, WorkerKind};
use super::{Crew, LOOK};

/// The longest pause before a worker that keeps dying at its start is started again.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

impl Crew {
    pub(super) fn look_after_jobs_if_due(&mut self, batch: &mut Batch<'_>, staged: &mut Staged) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        for index in 0..self.members.len() {
            if self.timed {
                self.check_deadline(index, batch);
            }
            if self.members[index].ended().is_some() {
                self.bury(index, batch, staged);
            }
        }
        self.look_after();
        self.check_lost_jobs(batch, staged);
        if let Some(reason) = self.all_lost() {
            self.fail_orphans(&reason);
        }
    }

    /// Outside of jobs: notes who is ready, who is too late, and starts who is due.
    pub(super) fn look_after(&mut self) {
        for index in 0..self.members.len() {
            let member = &mut self.members[index];
            match member.hand() {
                #[cfg(unix)]
                Hand::Process { ready: false, since, .. } => {
                    let since = *since;
                    match self.board.stage(index, member.epoch()) {
                        Some(Stage::Ready) => {
                            member.set_ready();
                            self.note_started(index);
                        }
                        Some(Stage::Refused) => {
                            let why = self.refusal(index).to_string();
                            self.members[index].condemn(Condemned::Start(why));
                        }
                        _ if since.elapsed() >= self.startup_timeout => {
                            member.condemn(Condemned::Start("it was not ready in time".to_owned()));
                        }
                        _ => {}
                    }
                }
                Hand::Waiting { until } if Instant::now() >= *until => {
                    if let Err(error) = self.start_worker(index) {
                        self.retry_later(index, &error.to_string());
                    }
                }
                _ => {}
            }
            // While a window is on its dead are buried with care.
            if !self.running && self.members[index].ended().is_some() {
                self.bury_idle(index);
            }
        }
    }

    /// The next start of a worker that could not be started, or was dead before it was ready.
    pub(super) fn retry_later(&mut self, index: usize, reason: &str) {
        let limit = self.respawn_failures_max;
        let member = &mut self.members[index];
        member.failures += 1;
        if member.failures >= limit {
            tracing::error!(worker = index, reason, failures = member.failures, "a worker is given up");
            member.give_up(format!("worker {index} failed {limit} times in a row before it was ready, last: {reason}"));
        } else {
            let pause = Duration::from_millis(10).saturating_mul(1 << member.failures.min(10)).min(BACKOFF_MAX);
            member.wait_until(Instant::now() + pause);
        }
    }

    /// A dead worker's affairs that do not concern jobs.
    pub(super) fn after_death(&mut self, index: usize, ready: bool, status: &str) {
        let member = &mut self.members[index];
        member.deaths += 1;
        member.collector.reset();
        member.watched = None;
        self.books.report.deaths += 1;
        let reason = match &member.condemned {
            Some(Condemned::Start(why) | Condemned::Protocol(why)) => why.clone(),
            Some(Condemned::Deadline) => "a job passed its deadline".to_owned(),
            None => status.to_owned(),
        };
        tracing::warn!(worker = index, reason, "a worker died");
        self.note_death(index);
        let member = &mut self.members[index];
        if member.lost().is_some() {
            return;
        }
        if ready {
            member.wait_until(Instant::now());
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
        let deaths = u32::try_from(self.members[index].deaths).unwrap_or(u32::MAX);
        self.recorder.record(since, now, EventKind::Died { worker: index as u32, deaths, job });
    }

    fn bury_idle(&mut self, index: usize) {
        let ready = self.has_served(index);
        let Some(status) = self.members[index].ended() else { return };
        let window = *self.books.window();
        if self.members[index].take_dead(&window).is_some() {
            self.after_death(index, ready, &status);
        }
    }

    /// Whether the worker was ever ready, seen by main or not yet.
    fn has_served(&self, index: usize) -> bool {
        self.board.stage(index, self.members[index].epoch()) == Some(Stage::Ready)
    }

    /// A worker died while a window was on: what it published counts, what it wrote is undone, its job is free again.
    fn bury(&mut self, index: usize, batch: &mut Batch<'_>, staged: &mut Staged) {
        let ready = self.has_served(index);
        let Some(status) = self.members[index].ended() else { return };
        // After its end: all that it ever published is there now.
        self.drain(index, batch, staged);
        let name = self.members[index].name();
        let window = *self.books.window();
        let Some(left) = self.members[index].take_dead(&window) else { return };
        if let Some(left) = left {
            let undone = left.and_then(|left| self.undo(index, &left, batch));
            if let Err(message) = undone {
                let job = self.held(index).next().map_or(window.first, |job| self.books.number(job));
                self.books.fail(JobFailure::Undo { job, runner: name, message });
            }
        }
        let condemned = self.members[index].condemned.clone();
        self.after_death(index, ready, &status);
        loop {
            let held = self.held(index).next();
            let Some(job) = held else { break };
            self.free(job, index, name, &status, condemned.as_ref(), batch);
        }
        if self.kind == WorkerKind::Thread {
            // Its jobs were dropped by `free`: what a thread wrote in place cannot be undone.
            debug_assert_eq!(self.held(index).next(), None);
        }
    }

    /// The open jobs that a worker has claimed; one at most, if it kept the protocol.
    fn held(&self, index: usize) -> impl Iterator<Item = usize> {
        let tag = self.books.window().tag();
        let held = move |&job: &usize| {
            Claim::unpack(self.board.claim(job).load(Ordering::Acquire)).is_some_and(|claim| {
                claim.state == State::Taken && claim.tag == tag && usize::from(claim.runner) == index
            })
        };
        self.books.open_jobs().filter(held)
    }

    /// Restores what a dead worker's job overwrote. All of it is checked before any of it is used.
    fn undo(&mut self, index: usize, left: &undo::Left, batch: &mut Batch<'_>) -> Result<(), String> {
        let job = usize::try_from(left.job).ok().filter(|&job| job < self.books.window().jobs);
        let job = job.ok_or_else(|| format!("it is for job {} of {}", left.job, self.books.window().jobs))?;
        if !self.books.is_open(job) || left.entries.is_empty() {
            return Ok(());
        }
        if self.held(index).all(|held| held != job) {
            return Err("it is for a job that the worker had not claimed".to_owned());
        }
        let number = self.books.number(job);
        for entry in undo::entries(&left.entries) {
            let (offset, bytes) = entry?;
            if !(batch.undo_allowed)(number, offset, bytes.len() as u64) {
                return Err(format!("{} bytes at {offset} are none that the job may write", bytes.len()));
            }
        }
        for (offset, bytes) in undo::entries(&left.entries).flatten() {
            (batch.restore)(offset, bytes);
        }
        self.books.report.undone += 1;
        Ok(())
    }

    /// A dead worker's job: free again, or the end of the batch.
    fn free(
        &mut self,
        job: usize,
        index: usize,
        runner: RunnerName,
        status: &str,
        condemned: Option<&Condemned>,
        batch: &Batch<'_>,
    ) {
        let number = self.books.number(job);
        let attempts = self.books.add_attempt(job);
        let deadline = (batch.deadline)(number).filter(|_| matches!(condemned, Some(Condemned::Deadline)));
        if self.kind == WorkerKind::Thread {
            let message = match condemned {
                Some(Condemned::Protocol(message)) => message.clone(),
                _ => status.to_owned(),
            };
            self.books.fail(JobFailure::Protocol { job: number, runner, message });
        } else if attempts >= self.deaths_per_job_max {
            let status = match condemned {
                Some(Condemned::Protocol(message)) => format!("it broke the worker protocol: {message}"),
                _ => status.to_owned(),
            };
            self.books.fail(match deadline {
                Some(deadline) => JobFailure::Deadline { job: number, deadline, tries: u32::from(attempts), runner },
                None => JobFailure::KilledWorkers { job: number, deaths: u32::from(attempts), runner, status },
            });
        }
        let free = Claim::free(self.books.window().tag(), attempts);
        if self.books.failing() {
            self.board.claim(job).store(free.withdrawn().pack(), Ordering::Release);
            self.books.settle(job, Standing::Dropped);
            return;
        }
        self.books.report.retries += 1;
        let (now, worker) = (self.recorder.now(), index as u32);
        self.recorder.record(now, now, EventKind::Retried { worker, job: number, attempt: attempts });
        // Release: whoever claims it next sees what was undone.
        self.board.claim(job).store(free.pack(), Ordering::Release);
        self.spread_news();
    }

    fn spread_news(&self) {
        self.board.add_news();
        self.wake(usize::MAX);
    }

    /// Kills a worker process whose job has passed its deadline.
    fn check_deadline(&mut self, index: usize, batch: &Batch<'_>) {
        if self.kind == WorkerKind::Thread {
            return;
        }
        let tag = self.books.window().tag();
        let held = self.held(index).next();
        let number = held.map(|job| self.books.number(job));
        let member = &mut self.members[index];
        let (Some(job), Some(number)) = (held, number) else {
            member.watched = None;
            return;
        };
        let Some(deadline) = (batch.deadline)(number) else { return };
        match member.watched {
            Some((watched, of, since)) if (watched, of) == (job, tag) => {
                if since.elapsed() > deadline {
                    member.condemn(Condemned::Deadline);
                }
            }
            _ => member.watched = Some((job, tag, Instant::now())),
        }
    }

    /// Finds jobs that nobody runs and nobody will run: free ones that the cursor lost, or claimed ones whose worker
    /// says that it is idle.
    fn check_lost_jobs(&mut self, batch: &Batch<'_>, staged: &mut Staged) {
        let window = *self.books.window();
        let news = self.board.news();
        let idle = |member: &Member| !member.is_ready() || self.board.is_idle(member.index, &window, news);
        if !self.members.iter().all(idle) || !self.members.iter().any(Member::is_ready) {
            return;
        }
        // They published before they said so.
        self.drain_all(batch, staged);
        let tag = window.tag();
        let mut free = false;
        let mut lost = None;
        for job in self.books.open_jobs() {
            match Claim::unpack(self.board.claim(job).load(Ordering::Acquire)) {
                Some(claim) if claim == Claim::free(tag, self.books.attempts(job)) => free = true,
                Some(claim) if claim.tag == tag && claim.state == State::Taken => {
                    let holder = self.members.get(usize::from(claim.runner));
                    if holder.is_none_or(Member::is_ready) {
                        lost = Some(job);
                    }
                }
                _ => lost = Some(job),
            }
        }
        if let Some(job) = lost {
            let (job, number) = (job, self.books.number(job));
            let message = "the job was claimed and never run".to_owned();
            self.books.fail(JobFailure::Protocol { job: number, runner: RunnerName::Main, message });
            self.books.settle(job, Standing::Dropped);
        } else if free && !self.books.failing() {
            self.spread_news();
        }
    }

    fn all_lost(&self) -> Option<String> {
        let mut reason = None;
        for member in &self.members {
            reason = Some(member.lost()?.to_owned());
        }
        reason
    }

    /// No worker is left: jobs that main must not run fail, those that killed one among them.
    fn fail_orphans(&mut self, reason: &str) {
        let orphan = self.books.open_jobs().find(|&job| self.books.attempts(job) > 0 || self.place == Place::Workers);
        if let Some(job) = orphan
            && !self.books.failing()
        {
            let job = self.books.number(job);
            self.books.fail(JobFailure::NoWorkers { job, reason: reason.to_owned() });
        }
    }
}
