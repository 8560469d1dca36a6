//! What a frame came to.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::commit::PatchCounts;
use crate::world::Publication;

/// What one call of [`super::Simulation::step`] came to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FrameReport {
    /// The number of the newest frame.
    pub frame: u64,
    /// What became of the publication, where one was due.
    pub publication: Option<Publication>,
    /// Jobs run.
    pub jobs: u64,
    /// Jobs that main ran.
    pub jobs_on_main: u64,
    /// Rows of all jobs.
    pub rows: u64,
    /// Workers that died.
    pub deaths: u64,
    /// Jobs given out again after a death.
    pub retries: u64,
    /// Time the frame took.
    pub elapsed: Duration,
    /// Time that kernels ran, on all workers together.
    pub busy: Duration,
    /// Inputs of other processes, where the simulation takes them.
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

    /// All systems' patches together.
    #[must_use]
    pub fn total(&self) -> PatchCounts {
        let mut total = PatchCounts::default();
        self.patches.iter().for_each(|counts| total.add(counts));
        total
    }
}
