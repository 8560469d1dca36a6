//! Main's ledger of the window of jobs that is on the board: which jobs are settled, and how.
//!
//! Invariant: this ledger, and not the board, says what is done. A job is settled exactly once.
#![forbid(unsafe_code)]

use crate::worker::BatchReport;
use crate::worker::error::JobFailure;
use crate::worker::shared::board::Window;

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum JobState {
    /// Free or running.
    Open,
    /// Its end was seen, and it went well.
    Done,
    /// It failed, or was withdrawn after another one had failed.
    Dropped,
}

/// Which jobs of the window are settled, and how.
pub(in crate::worker) struct JobLedger {
    window: Window,
    standing: Vec<JobState>,
    /// Workers that died with each job.
    attempts: Vec<u8>,
    open: usize,
    /// Where main goes on to look for free jobs once the cursor is through.
    pub scan: usize,
    /// Free jobs from this one on have been taken off the board after a failure.
    pub withdrawn_from: usize,
    /// Jobs from this one on need not run: it has failed, and of several failures the lowest job's is told.
    wanted: usize,
    failure: Option<JobFailure>,
    /// The batch's report so far.
    pub report: BatchReport,
}

impl JobLedger {
    /// A ledger without a window.
    pub(in crate::worker) fn new() -> JobLedger {
        JobLedger {
            window: Window { sequence: 0, jobs: 0, first: 0 },
            standing: Vec::new(),
            attempts: Vec::new(),
            open: 0,
            scan: 0,
            withdrawn_from: 0,
            wanted: 0,
            failure: None,
            report: BatchReport::default(),
        }
    }

    /// A new window: all of its jobs are open. The report goes on.
    pub(in crate::worker) fn begin(&mut self, window: Window) {
        self.window = window;
        self.standing.clear();
        self.standing.resize(window.jobs, JobState::Open);
        self.attempts.clear();
        self.attempts.resize(window.jobs, 0);
        self.open = window.jobs;
        self.scan = 0;
        self.withdrawn_from = window.jobs;
        self.wanted = window.jobs;
        self.failure = None;
    }

    /// The window.
    pub(in crate::worker) fn window(&self) -> &Window {
        &self.window
    }

    /// Jobs that are not settled.
    pub(in crate::worker) fn open(&self) -> usize {
        self.open
    }

    /// Whether this job of the window is not settled.
    pub(in crate::worker) fn is_open(&self, job: usize) -> bool {
        self.standing.get(job) == Some(&JobState::Open)
    }

    /// All jobs that are not settled.
    pub(in crate::worker) fn open_jobs(&self) -> impl Iterator<Item = usize> {
        let open = |(job, standing): (usize, &JobState)| (*standing == JobState::Open).then_some(job);
        self.standing.iter().enumerate().filter_map(open)
    }

    /// Workers that died with this job.
    pub(in crate::worker) fn attempts(&self, job: usize) -> u8 {
        self.attempts[job]
    }

    /// One more did.
    pub(in crate::worker) fn add_attempt(&mut self, job: usize) -> u8 {
        self.attempts[job] = self.attempts[job].saturating_add(1);
        self.attempts[job]
    }

    /// The job of the window with this number in the batch.
    pub(in crate::worker) fn local(&self, number: u32) -> Option<usize> {
        number.checked_sub(self.window.first).map(|job| job as usize).filter(|&job| job < self.window.jobs)
    }

    /// A job's number in the batch.
    pub(in crate::worker) fn number(&self, job: usize) -> u32 {
        self.window.first + job as u32
    }

    /// Settles an open job.
    pub(in crate::worker) fn settle(&mut self, job: usize, standing: JobState) {
        if self.standing[job] == JobState::Open {
            self.standing[job] = standing;
            self.open -= 1;
        }
    }

    /// Whether a job has to run: so it is until it, or a job before it, has failed. The jobs before a failed one still
    /// run, so that which failure is told does not depend on who ran what when.
    pub(in crate::worker) fn is_wanted(&self, job: usize) -> bool {
        job < self.wanted
    }

    /// The jobs that need not run any more.
    pub(in crate::worker) fn unwanted(&self) -> std::ops::Range<usize> {
        self.wanted..self.window.jobs
    }

    /// Notes a failure; of several the one of the lowest job is told.
    pub(in crate::worker) fn fail(&mut self, failure: JobFailure) {
        // a failure of no job of this window ends all of them
        let job = failure.job().and_then(|number| self.local(number)).unwrap_or(0);
        self.wanted = self.wanted.min(job);
        let key = |failure: &JobFailure| failure.job().unwrap_or(u32::MAX);
        if self.failure.as_ref().is_none_or(|known| key(&failure) < key(known)) {
            self.failure = Some(failure);
        }
    }

    /// The failure, if there was one.
    pub(in crate::worker) fn take_failure(&mut self) -> Option<JobFailure> {
        self.failure.take()
    }
}
