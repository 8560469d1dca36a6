//! Which workers to start and how; which were started.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
#[cfg(unix)]
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{RING_BYTES_DEFAULT, WORKERS_MAX};
use crate::trace::Trace;

/// Which workers to use. As text: `auto`, `local`, `threads:N`, `processes:N`. `hosted:N` is printed but cannot be parsed,
/// as its threads come from the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Workers {
    /// One thread for each core except main's; main alone if there are no threads or only one core.
    /// [`Simulation::workers`](crate::Simulation::workers) tells which were started.
    #[default]
    Auto,
    /// Only main, on the caller's thread.
    Local,
    /// Main and this many threads.
    Threads(usize),
    /// Main and this many processes.
    Processes(usize),
    /// Main and this many threads that the program starts itself, such as a web page's workers. See
    /// `Simulation::hosted_workers`.
    Hosted(usize),
    /// Main and this many workers on a stage that a test has set up on the calling thread: they are to main what
    /// processes are, and one thing at a time happens.
    #[cfg(feature = "fault-injection")]
    #[doc(hidden)]
    Simulated(usize),
}

impl Workers {
    /// Whether they are simulated ones.
    pub(crate) fn is_simulated(self) -> bool {
        #[cfg(feature = "fault-injection")]
        return matches!(self, Workers::Simulated(_));
        #[cfg(not(feature = "fault-injection"))]
        false
    }

    /// Workers that there may be at most, beside main.
    pub(crate) fn count_max(self) -> usize {
        match self {
            Workers::Local => 0,
            Workers::Threads(count) | Workers::Processes(count) | Workers::Hosted(count) => count.min(WORKERS_MAX),
            #[cfg(feature = "fault-injection")]
            Workers::Simulated(count) => count.min(WORKERS_MAX),
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
            #[cfg(feature = "fault-injection")]
            Workers::Simulated(count) => write!(f, "simulated:{count}"),
        }
    }
}

/// A text that is not a valid [`Workers`].
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

/// Whether worker processes are shut in a sandbox before their first job: then a kernel opens no file, no socket and no
/// process, starts nothing, and main runs no kernel that a worker can run. Needs Linux and the feature `sandbox`. As text:
/// `off`, `required`, `best-effort`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sandbox {
    /// None: kernels may do what their user may.
    #[default]
    Off,
    /// All of it, or the simulation is not built.
    Required,
    /// What the system has of it; [`PoolInfo::sandbox_lacks`] tells what it has not.
    BestEffort,
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sandbox::Off => "off",
            Sandbox::Required => "required",
            Sandbox::BestEffort => "best-effort",
        })
    }
}

/// A text that is not a valid [`Sandbox`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no sandbox: it must be `off`, `required` or `best-effort`")]
pub struct ParseSandboxError {
    text: String,
}

impl FromStr for Sandbox {
    type Err = ParseSandboxError;

    fn from_str(text: &str) -> Result<Sandbox, ParseSandboxError> {
        let all = [Sandbox::Off, Sandbox::Required, Sandbox::BestEffort];
        let found = all.into_iter().find(|sandbox| sandbox.to_string() == text);
        found.ok_or_else(|| ParseSandboxError { text: text.to_owned() })
    }
}

impl Sandbox {
    /// What this system lacks of a sandbox, each part with the reason; empty: nothing.
    #[must_use]
    pub fn lacks() -> Vec<String> {
        crate::os::sandbox::lacks()
    }
}

/// The command that starts a worker process.
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
    /// Whether worker processes are shut in.
    pub sandbox: Sandbox,
    /// Whether main runs jobs, too, where there are workers.
    pub main_helps: bool,
    /// Starts of a worker in a row that come to nothing (it dies before it is ready, or without having taken a job)
    /// after which it is given up.
    pub respawn_failures_max: u32,
    /// Workers that one job may kill before it fails; at most [`ATTEMPTS_MAX`](super::shared::claim::ATTEMPTS_MAX).
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
            sandbox: Sandbox::Off,
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
    /// The open file with the workers' lock, which worker processes inherit.
    #[cfg(unix)]
    pub workers_lock: Option<Arc<std::fs::File>>,
}

/// Which workers were requested, and which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolInfo {
    /// The workers that were configured.
    pub requested: Workers,
    /// The workers that were started; never [`Workers::Auto`].
    pub actual: Workers,
    /// Why the two differ, if it was not the choice of `auto`.
    pub fallback: Option<String>,
    /// What the system lacks of the sandbox that was asked for as [`Sandbox::BestEffort`]; empty: nothing, or none was.
    pub sandbox_lacks: Vec<String>,
}
