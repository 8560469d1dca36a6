//! Who runs jobs: the pool of workers, as threads, as processes, or main alone.
//!
//! A batch is a number of jobs and a program of plain words. Main puts both on the [`board`], workers claim jobs
//! there, run them and push their records into a ring of their own; main claims jobs too, drains all rings while it
//! waits, and stages each job's records in job order. A job counts once its end was published and never before, so a
//! worker may die at any instruction: main drains its ring, undoes its writes in place, frees its claims for others
//! and starts a replacement.
//!
//! | room | what |
//! |------|------|
//! | [`main`] | main's side: the pool that the schedule sees, all workers, each one, the ledger of jobs, their records |
//! | [`serve`] | the workers' side: the loop, one job, the process, threads that the embedder brings |
//! | [`shared`] | what both sides touch: the board, claims, lanes, undo areas, programs, memory, waiting |
//!
//! Architecture invariants: nothing here knows what a job does, what a record means beyond its framing, or where a
//! column lies: that is the [`Runner`]'s. Nothing that a worker *process* can write (board, ring, undo area) is
//! believed: main keeps its own ledger of what is done, and what it reads from a worker is checked before use.
//!
//! # Deadlines
//! A job may have one. A worker process that passes it is killed, which counts as a death; a job that does so too
//! often fails. Main notices while it waits and between its own jobs, so a deadline is a lower bound. In a pool of
//! processes main leaves jobs with a deadline to the workers. A thread cannot be killed, nor can main: such a job is
//! waited for, and the overrun is reported as its failure once it returns.

mod batch;
mod config;
mod error;
mod main;
mod serve;
mod shared;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use batch::{Batch, BatchReport, Place, Runner};
pub use config::{ParseSandboxError, ParseWorkersError, PoolInfo, Sandbox, WorkerCommand, Workers};
pub(crate) use config::{PoolConfig, RegionForWorkers};
pub use error::{JobFailure, MemoryError, PoolError, WorkerError};
pub(crate) use main::own::RunOnMain;
pub(crate) use main::pool::Pool;
pub(crate) use main::staged::Staged;
pub use serve::hosted::{DeathNotice, HostedWorker};
#[cfg(unix)]
pub(crate) use serve::process::{Served, WorkerStart, serve_with};
pub(crate) use shared::undo::Undo;
pub use status::{RunnerName, WorkerKind, WorkerStatus};
