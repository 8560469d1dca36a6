//! The result of a frame.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::commit::PatchCounts;
use crate::world::Publication;

/// The result of one call of [`super::Simulation::step`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FrameReport {
    /// The number of the newest frame.
    pub frame: u64,
    /// Result of the publication, if one was due.
    pub publication: Option<Publication>,
    /// Jobs run.
    pub jobs: u64,
    /// Jobs that main ran.
    pub jobs_on_main: u64,
    /// Rows of all jobs.
    pub rows: u64,
    /// Workers that died.
    pub deaths: u64,
    /// Jobs that were run again after a worker died.
    pub retries: u64,
    /// Time the frame took.
    pub elapsed: Duration,
    /// Time that kernels ran, on all workers together.
    pub busy: Duration,
    /// Inputs of other processes, if the simulation accepts them.
    pub inputs: PatchCounts,
    /// Patches of each system, in the order of registration.
    pub patches: Vec<PatchCounts>,
}

impl FrameReport {
    pub(crate) fn reset(&mut self) {
        let mut patches = std::mem::take(&mut self.patches);
        for counts in &mut patches {
            *counts = PatchCounts::default();
        }
        *self = FrameReport { patches, ..FrameReport::default() };
    }

    /// The sum over all systems.
    #[must_use]
    pub fn total(&self) -> PatchCounts {
        let mut total = PatchCounts::default();
        self.patches.iter().for_each(|counts| total.add(counts));
        total
    }
}
