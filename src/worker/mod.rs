//! Who runs jobs: the pool of workers, as threads, as processes, or main alone.
//!
//! A batch is a number of jobs and a program of plain words. Main puts both on the [`board`], workers claim jobs
//! there, run them and push their records into a ring of their own; main claims jobs too, drains all rings while it
//! waits, and stages each job's records in job order. A job counts once its end was published and never before, so a
//! worker may die at any instruction: main drains its ring, undoes its writes in place, frees its claims for others
//! and starts a replacement.
//!
//! | file | what |
//! |------|------|
//! | [`pool`] | what the schedule sees: start, run, end of frame, close |
//! | [`crew`], [`member`], [`window`], [`collect`], [`program`] | main's side: all workers, each one, a window's jobs, their records |
//! | [`serving`], [`job`] | the workers' side: the loop, one job |
//! | [`hosted`] | workers that run on the embedder's threads |
//! | [`board`], [`claim`], [`lane`], [`undo`] | the shared words and bytes |
//! | [`process`], [`segment`], [`memory`], [`wait`] | the operating system |
//! | [`fault`] | where tests kill |
//!
//! Architecture invariants: nothing here knows what a job does, what a record means beyond its framing, or where a
//! column lies: that is the [`Runner`]'s. Nothing that a worker *process* can write (board, ring, undo area) is
//! believed: main keeps its own books of what is done, and what it reads from a worker is checked before use.
//!
//! # Deadlines
//! A job may have one. A worker process that passes it is killed, which counts as a death; a job that does so too
//! often fails. Main notices while it waits and between its own jobs, so a deadline is a lower bound. In a pool of
//! processes main leaves jobs with a deadline to the workers. A thread cannot be killed, nor can main: such a job is
//! waited for, and the overrun is reported as its failure once it returns.

mod board;
mod claim;
mod collect;
mod crew;
mod error;
mod hosted;
mod job;
mod lane;
mod member;
mod memory;
mod pool;
#[cfg(unix)]
mod process;
mod program;
#[cfg(unix)]
mod segment;
mod serving;
mod staged;
mod undo;
mod wait;
mod window;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
#[cfg(unix)]
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{RING_BYTES_DEFAULT, WORKERS_MAX};
use crate::patch::PatchWriter;
use crate::trace::{JobTrace, Trace};

pub use error::{JobFailure, MemoryError, PoolError, WorkerError};
pub use hosted::{DeathNotice, HostedWorker};
pub(crate) use pool::Pool;
#[cfg(unix)]
pub(crate) use process::{Served, WorkerStart, serve_with};
pub(crate) use staged::Staged;
pub(crate) use undo::Undo;

/// Runs jobs of a batch. The same object serves main and all threads; a worker process builds an equal one from the
/// same registrations.
pub(crate) trait Runner: Send + Sync {
    /// Runs one job of `program`, the batch as plain words (offsets, never pointers). Patches go to `out`. With `undo`
    /// the job runs where it may be killed: rows that are written in place must be saved there first. `trace` is told
    /// what the job is. An error is the kernel's; a panic is caught by the pool.
    fn run_job(
        &self,
        program: &[u64],
        job: u32,
        out: &mut PatchWriter<'_>,
        undo: Option<&mut Undo<'_>>,
        trace: &mut JobTrace<'_>,
    ) -> Result<(), String>;
}

/// Who may run a batch's jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// Main and workers.
    #[default]
    Anywhere,
    /// Main, whatever workers there are.
    Main,
    /// Workers, even where main helps otherwise.
    Workers,
}

/// A batch, as the schedule hands it to the pool.
pub(crate) struct Batch<'a> {
    /// The batch as plain words; copied to the board.
    pub program: &'a [u64],
    /// Number of jobs.
    pub jobs: u32,
    /// Too small to split: main runs everything.
    pub main_only: bool,
    /// Who may run it.
    pub place: Place,
    /// How long a job may run.
    pub deadline: &'a dyn Fn(u32) -> Option<Duration>,
    /// Whether a job's undo may restore these bytes (job, offset in the data segment, bytes).
    pub undo_allowed: &'a dyn Fn(u32, u64, u64) -> bool,
    /// Writes undo bytes back into the data segment.
    pub restore: &'a mut dyn FnMut(u64, &[u8]),
}

/// How a batch went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchReport {
    /// Jobs that main ran.
    pub jobs_on_main: u32,
    /// Jobs that workers ran.
    pub jobs_on_workers: u32,
    /// Workers that died.
    pub deaths: u32,
    /// Jobs that were given out again after a death.
    pub retries: u32,
    /// Dead workers' jobs whose writes in place were undone.
    pub undone: u32,
}

/// Which workers to use. As text: `auto`, `local`, `threads:N`, `processes:N`; also `hosted:N`, which is shown but not
/// read, as a text brings no threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Workers {
    /// One thread for each core but main's; main alone where there are no threads or no further core. The frame
    /// report says what it became.
    #[default]
    Auto,
    /// Main alone, on the caller's thread.
    Local,
    /// Main and this many threads.
    Threads(usize),
    /// Main and this many processes.
    Processes(usize),
    /// Main and this many threads that the embedder brings, where it starts threads its own way or only it can: a web
    /// page's workers. See `Simulation::hosted_workers`.
    Hosted(usize),
}

impl Workers {
    /// Workers that there may be at most, beside main.
    pub(crate) fn count_max(self) -> usize {
        match self {
            Workers::Local => 0,
            Workers::Threads(count) | Workers::Processes(count) | Workers::Hosted(count) => count.min(WORKERS_MAX),
            Workers::Auto if cfg!(target_family = "wasm") => 0,
            Workers::Auto => std::thread::available_parallelism().map_or(0, |cores| (cores.get() - 1).min(WORKERS_MAX)),
        }
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Workers::Auto => f.write_str("auto"),
            Workers::Local => f.write_str("local"),
            Workers::Threads(count) => write!(f, "threads:{count}"),
            Workers::Processes(count) => write!(f, "processes:{count}"),
            Workers::Hosted(count) => write!(f, "hosted:{count}"),
        }
    }
}

/// A text that names no workers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no workers: it must be `auto`, `local`, `threads:N` or `processes:N` with N from 1 to {WORKERS_MAX}"
)]
pub struct ParseWorkersError {
    text: String,
}

impl FromStr for Workers {
    type Err = ParseWorkersError;

    fn from_str(text: &str) -> Result<Workers, ParseWorkersError> {
        let error = || ParseWorkersError { text: text.to_owned() };
        let count =
            |digits: &str| digits.parse().ok().filter(|count| (1..=WORKERS_MAX).contains(count)).ok_or_else(error);
        match text.split_once(':') {
            None if text == "auto" => Ok(Workers::Auto),
            None if text == "local" => Ok(Workers::Local),
            Some(("threads", digits)) => count(digits).map(Workers::Threads),
            Some(("processes", digits)) => count(digits).map(Workers::Processes),
            _ => Err(error()),
        }
    }
}

/// What a worker process is started as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCommand {
    /// The program; it must call `serve` first thing in its `main`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// How to set a pool up.
#[derive(Clone, Debug)]
pub(crate) struct PoolConfig {
    /// Which workers.
    pub workers: Workers,
    /// Bytes of each worker's ring; a power of two.
    pub ring_bytes: usize,
    /// Bytes of each worker process's undo area.
    pub undo_bytes: usize,
    /// What to start as a worker process; none: this same executable without arguments.
    pub command: Option<WorkerCommand>,
    /// How long a worker process may take to be ready.
    pub startup_timeout: Duration,
    /// Whether main runs jobs, too, where there are workers.
    pub main_helps: bool,
    /// Deaths of workers in a row, before they were ready, after which one is given up.
    pub respawn_failures_max: u32,
    /// Workers that one job may kill before it fails; at most [`ATTEMPTS_MAX`](claim::ATTEMPTS_MAX).
    pub deaths_per_job_max: u8,
    /// Where the timeline is recorded, if it is.
    pub trace: Option<Trace>,
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            workers: Workers::Auto,
            ring_bytes: RING_BYTES_DEFAULT,
            undo_bytes: UNDO_BYTES_DEFAULT,
            command: None,
            startup_timeout: Duration::from_secs(20),
            main_helps: true,
            respawn_failures_max: 16,
            deaths_per_job_max: DEATHS_PER_JOB_MAX,
            trace: None,
        }
    }
}

/// Default bytes of a worker process's undo area.
pub(crate) const UNDO_BYTES_DEFAULT: usize = 4 << 20;
/// Workers that one job may kill before it fails, if nothing else is configured.
pub(crate) const DEATHS_PER_JOB_MAX: u8 = 3;

/// What worker processes must know of the world's region.
#[derive(Clone, Debug)]
pub(crate) struct RegionForWorkers {
    /// Where it is opened.
    pub path: String,
    /// The layout that must be found there.
    pub layout_hash: u64,
    /// The open file with the crew's lock, which worker processes inherit.
    #[cfg(unix)]
    pub crew: Option<Arc<std::fs::File>>,
}

/// What was asked for and what it became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolNotice {
    /// The configuration.
    pub asked: Workers,
    /// The workers there are; never [`Workers::Auto`].
    pub got: Workers,
    /// Why the two differ, where they do and it was not simply chosen.
    pub fallback: Option<String>,
}

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
