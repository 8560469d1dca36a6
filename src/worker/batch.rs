//! A batch of jobs as the schedule hands it to the pool, and what runs its jobs.
//!
//! Invariant: nothing here says what a job does; that is the [`Runner`]'s.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::patch::PatchWriter;
use crate::trace::JobTrace;

use super::Undo;

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
    /// What main does beside, once, before it takes jobs itself. It touches nothing that a job reads or writes.
    pub beside: Option<&'a mut dyn FnMut()>,
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
