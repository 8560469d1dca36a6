//! The status of workers, and their names in messages.
#![forbid(unsafe_code)]

use std::fmt;

/// What kind of worker one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerKind {
    /// A thread of the main process, started by the pool or by the program.
    Thread,
    /// A separate process.
    Process,
}

/// The status of one worker of this simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Thread or process.
    pub kind: WorkerKind,
    /// Its index in the pool.
    pub index: usize,
    /// The process id of a live worker process.
    pub pid: Option<u32>,
    /// Whether it takes jobs now; a worker that is being replaced does not.
    pub alive: bool,
    /// Whether it takes jobs never again, and is not replaced: its starts came to nothing again and again. Main and the
    /// other workers run the jobs.
    pub given_up: bool,
    /// Jobs that it completed, those of workers that it replaced included.
    pub jobs: u64,
    /// Number of times that it died.
    pub deaths: u64,
    /// Time it spent in kernels, nanoseconds.
    pub busy_ns: u64,
}

/// The worker that ran a job, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunnerName {
    /// The main thread.
    Main,
    /// A worker thread.
    Thread {
        /// Its index.
        index: usize,
    },
    /// A worker process.
    Process {
        /// Its index.
        index: usize,
        /// Its process id, 0 where it has none yet.
        pid: u32,
    },
}

impl fmt::Display for RunnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunnerName::Main => f.write_str("main"),
            RunnerName::Thread { index } => write!(f, "worker thread {index}"),
            RunnerName::Process { index, pid: 0 } => write!(f, "worker process {index}"),
            RunnerName::Process { index, pid } => write!(f, "worker process {index} (pid {pid})"),
        }
    }
}
