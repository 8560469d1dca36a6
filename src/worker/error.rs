//! What can go wrong with workers: at their start, in a job, in a worker process.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::{RunnerName, Workers};

pub use crate::worker::shared::memory::MemoryError;

/// Why a pool could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// This kind of worker does not exist on this platform.
    #[error("{workers} are not available on this platform: use `local`{}", if cfg!(target_arch = "wasm32") { " or hosted workers" } else { " or threads" })]
    Unsupported {
        /// What was asked for.
        workers: Workers,
    },
    /// No workers, or too many.
    #[error("{workers}: the number of workers must be from 1 to {max}")]
    Count {
        /// What was asked for.
        workers: Workers,
        /// The most there can be.
        max: usize,
    },
    /// The rings cannot have this size.
    #[error("rings of {bytes} bytes: {message}")]
    Ring {
        /// Bytes asked for.
        bytes: usize,
        /// What would be right.
        message: String,
    },
    /// Shared memory could not be had.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A thread or process could not be started.
    #[error("{name} could not be started: {source}")]
    Spawn {
        /// Which.
        name: RunnerName,
        /// What the system said.
        source: std::io::Error,
    },
    /// Worker processes need a region that they can open.
    #[error("worker processes need a world in named shared memory or in files; this world is private to its process")]
    PrivateRegion,
    /// A sandbox shuts worker processes in, and there are none.
    #[error("a sandbox is for worker processes alone: use `processes:N` instead of `{workers}`, or no sandbox")]
    NothingToShutIn {
        /// What was asked for.
        workers: Workers,
    },
    /// The system has not all that a sandbox is made of.
    #[error(
        "worker processes cannot be shut in a sandbox, as this system lacks {}: a sandbox by best effort goes without",
        lacks.join(" and ")
    )]
    SandboxLacks {
        /// Its parts that are missing, each with the reason.
        lacks: Vec<String>,
    },
    /// The pool was started in a process that is itself a worker.
    #[error(
        "this process was itself started as a worker: call `hypostyle::worker::serve` first thing in `main`, before any world is made"
    )]
    InsideWorker,
    /// A worker process died again and again before it was ready.
    #[error("{name} cannot be started: {reason}; `{program}` crashes at its start, or something kills it")]
    Died {
        /// Which.
        name: RunnerName,
        /// How often, and how it ended last.
        reason: String,
        /// What was started.
        program: String,
    },
    /// A worker process ended by itself and never said that it is one.
    #[error(
        "{name} ended before it was ready ({status}): does `{program}` call `hypostyle::worker::serve` first thing in its `main`?"
    )]
    Exited {
        /// Which.
        name: RunnerName,
        /// How it ended.
        status: String,
        /// What was started.
        program: String,
    },
    /// A worker process did not answer.
    #[error("{name} was not ready after {waited:?}: {}", if *registered {
        format!("`{program}` has begun to serve, and building its schedule takes too long")
    } else {
        format!("does `{program}` call `hypostyle::worker::serve` first thing in its `main`?")
    })]
    Timeout {
        /// Which.
        name: RunnerName,
        /// How long it was waited for.
        waited: Duration,
        /// What was started.
        program: String,
        /// Whether it has begun to serve.
        registered: bool,
    },
    /// A worker process could not take part, and said why.
    #[error("{name} refused to work: {message}")]
    Refused {
        /// Which.
        name: RunnerName,
        /// Its reason.
        message: String,
    },
    /// The worker registered other systems, components or resources than main.
    #[error(
        "{name} has other registrations than the main process, first in line {line}: main has `{main}`, the worker `{worker}`; both must build the same schedule"
    )]
    RegistrationsDiffer {
        /// Which.
        name: RunnerName,
        /// The line, counted from 1.
        line: usize,
        /// Main's line; empty: main has none.
        main: String,
        /// The worker's line; empty: it has none.
        worker: String,
    },
}

/// Why a batch failed. All of its running jobs have ended, or their workers are dead, before anyone sees this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobFailure {
    /// The kernel returned an error.
    #[error("{message} (on {runner})")]
    Error {
        /// The job, counted through the batch.
        job: u32,
        /// Who ran it.
        runner: RunnerName,
        /// What was said, or what is wrong.
        message: String,
    },
    /// The kernel panicked.
    #[error("panicked on {runner}: {message}")]
    Panic {
        /// The job, counted through the batch.
        job: u32,
        /// Who ran it.
        runner: RunnerName,
        /// What was said, or what is wrong.
        message: String,
    },
    /// The job's workers died again and again.
    #[error("{deaths} workers died while they ran this job, last {runner} ({status})")]
    KilledWorkers {
        /// The job, counted through the batch.
        job: u32,
        /// How many workers died.
        deaths: u32,
        /// Who ran it.
        runner: RunnerName,
        /// How the last one ended.
        status: String,
    },
    /// The job did not end in time. Worker processes were killed for it; a thread's job was waited for.
    #[error("the job passed its deadline of {deadline:?} ({tries} tries, last on {runner})")]
    Deadline {
        /// The job, counted through the batch.
        job: u32,
        /// How long it may run.
        deadline: Duration,
        /// How often it was tried.
        tries: u32,
        /// Who ran it.
        runner: RunnerName,
    },
    /// No worker is left, and main must not run the job: it killed a worker, or main has no kernel for it.
    #[error("no worker is left that could run the job, and main must not ({reason})")]
    NoWorkers {
        /// The job, counted through the batch.
        job: u32,
        /// Why there is none.
        reason: String,
    },
    /// A dead worker left undo bytes that cannot be right.
    #[error("{runner} died and what it left to undo its writes cannot be trusted: {message}")]
    Undo {
        /// The job, counted through the batch.
        job: u32,
        /// Who ran it.
        runner: RunnerName,
        /// What was said, or what is wrong.
        message: String,
    },
    /// A worker broke the protocol and cannot be replaced.
    #[error("{runner} broke the worker protocol: {message}")]
    Protocol {
        /// The job, counted through the batch.
        job: u32,
        /// Who ran it.
        runner: RunnerName,
        /// What was said, or what is wrong.
        message: String,
    },
    /// Shared memory for the batch could not be had.
    #[error("the batch could not be handed to the workers: {message}")]
    Memory {
        /// What was said, or what is wrong.
        message: String,
    },
    /// The pool is closed.
    #[error("the workers are closed: nothing can run any more")]
    Closed,
}

impl JobFailure {
    /// The job that failed, where it was one.
    pub fn job(&self) -> Option<u32> {
        match self {
            JobFailure::Error { job, .. }
            | JobFailure::Panic { job, .. }
            | JobFailure::KilledWorkers { job, .. }
            | JobFailure::Deadline { job, .. }
            | JobFailure::NoWorkers { job, .. }
            | JobFailure::Undo { job, .. }
            | JobFailure::Protocol { job, .. } => Some(*job),
            JobFailure::Memory { .. } | JobFailure::Closed => None,
        }
    }
}

/// Why a process that was started as a worker cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The environment variable is not one that a pool wrote.
    #[error("HYPOSTYLE_WORKER is `{value}`: it must be `<segment>:<index>:<epoch>`, and only a main process sets it")]
    Ticket {
        /// Its value.
        value: String,
    },
    /// The board could not be opened.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// What was opened is no board of this version.
    #[error("the workers' board is not valid: {message}")]
    Board {
        /// What is wrong.
        message: String,
    },
    /// Main does not expect this worker (any more).
    #[error(
        "worker {index} of epoch {epoch} is not expected: it was replaced, or its environment was inherited by another process"
    )]
    NotExpected {
        /// Its index.
        index: usize,
        /// Its epoch.
        epoch: u32,
    },
    /// The process is not a child of the main process.
    #[error("a worker must be a direct child of the main process {main}, or of nobody once main has ended")]
    NotAChild {
        /// Main's process id.
        main: u32,
    },
    /// The environment variable of the sandbox is not one that a pool wrote.
    #[error("HYPOSTYLE_WORKER_SANDBOX is `{value}`: only a main process sets it")]
    SandboxVariable {
        /// Its value.
        value: String,
    },
    /// Main wants this process in a sandbox, and it cannot be shut in.
    #[error("the worker cannot be shut in a sandbox, as it lacks {}", lacks.join(" and "))]
    SandboxLacks {
        /// Parts that are missing, each with the reason.
        lacks: Vec<String>,
    },
    /// The registrations differ from main's.
    #[error("the registrations differ from the main process's in line {line}")]
    RegistrationsDiffer {
        /// The line, counted from 1.
        line: usize,
    },
    /// The world could not be set up in this process.
    #[error("the worker could not be set up: {0}")]
    Setup(String),
    /// A system call failed.
    #[error("cannot {what}: {source}")]
    Os {
        /// The step that failed.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}
