//! Groups that main runs without a program.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::os;
use crate::schedule::direct::{DirectBatch, DirectError, Plain, pays_alone};
use crate::schedule::system::Home;

use super::frame::Pass;
use super::*;

impl Simulation {
    /// Runs a group without a program where main would run all of it alone; false: it takes one.
    pub(super) fn run_direct(
        &mut self,
        work: &mut Work,
        group: &Group,
        (batch, tag): (u32, u64),
        pass: &mut Pass<'_>,
    ) -> Result<bool, Failed> {
        if self.exchange.is_some() || self.world.store.has_ghosts || group.systems().any(|system| self.skips[system]) {
            return Ok(false);
        }
        let (info, frames, parity) = (pass.info, pass.frames, pass.parity);
        let store = &self.world.store;
        let looks = (&self.compiled[..], &self.payloads[..]);
        let Some(plain) = self.direct.looks_plain((batch, group), looks, frames, store, work) else { return Ok(false) };
        let place = match group.systems().next().map(|system| self.compiled[system].home) {
            None | Some(Home::Everywhere) => Place::Anywhere,
            Some(Home::Workers) => Place::Workers,
            Some(Home::Main) => Place::Main,
        };
        let (is_tiny, is_small) = self.is_small(plain, frames);
        let Some(pool) = self.pool.alone(is_small, place) else { return Ok(false) };
        let begun_ns = os::monotonic_ns();
        let ran = self.direct.run(
            batch,
            DirectBatch {
                runner: &self.runner,
                store: &mut self.world.store,
                payloads: &self.payloads,
                info,
                batch_tag: tag,
                frames,
                pool,
                recorder: &self.recorder,
                begun_ns,
                staged: &mut self.staged,
                counts: &mut self.report.patches,
                handles: &mut self.dense.handles,
            },
            work,
        );
        let ran = ran.map_err(|error| match error {
            DirectError::Region(error) => error.into(),
            DirectError::Job(failure) => Failed::Job(failure),
        })?;
        let report = &mut self.report;
        report.jobs += u64::from(ran.jobs);
        report.jobs_on_main += u64::from(ran.jobs);
        report.rows += ran.rows;
        let ended_ns = if self.recorder.is_on() { ran.ended_ns } else { os::monotonic_ns() };
        let elapsed_ns = ended_ns.saturating_sub(begun_ns);
        report.busy += Duration::from_nanos(elapsed_ns);
        let workers = self.pool.workers();
        if !is_tiny && workers > 0 {
            self.direct.took(batch, u64::from(ran.jobs), elapsed_ns, workers);
        }
        (work.batch_jobs, work.rows) = (ran.jobs, ran.rows);
        if self.recorder.is_on() {
            let phase = EventKind::Phase { phase: Phase::Run, batch };
            self.recorder.record(*pass.at, ended_ns, phase);
            *pass.at = ended_ns;
        }
        if ran.records {
            self.apply_patches(work, group, tag, parity)?;
        }
        Ok(true)
    }

    /// Whether a group is too little work to share, whoever the workers are; and whether main is better off alone with it.
    fn is_small(&self, plain: Plain, frames: u64) -> (bool, bool) {
        let estimate_ns = plain.rows.saturating_mul(frames);
        let is_tiny = plain.one_job || estimate_ns < SPLIT_NS_MIN;
        // worker processes are there for kernels that may crash, too: what is worth sharing stays with them
        let contains_crashes = matches!(self.notice.actual, Workers::Processes(_));
        let pays_alone = || pays_alone(plain.jobs, estimate_ns, self.pool.workers());
        (is_tiny, is_tiny || (!plain.shared && !contains_crashes && pays_alone()))
    }
}
