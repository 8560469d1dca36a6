//! How workers are doing, and how they are called in messages.
#![forbid(unsafe_code)]

use std::fmt;

/// What kind of worker one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerKind {
    /// A thread of the main process, the pool's own or the embedder's.
    Thread,
    /// A process of its own.
    Process,
}

/// How one worker is doing, for reports.
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
    /// Jobs it ran to the end, its predecessors' included.
    pub jobs: u64,
    /// How often it died.
    pub deaths: u64,
    /// Time it spent in kernels, nanoseconds.
    pub busy_ns: u64,
}

/// Who ran something, for messages.
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
