//! One pass over the schedule: stages, groups, and what becomes of what their jobs did.
//!
//! A group is built into words and jobs, its jobs run, what they wrote becomes the columns' content, and their patches
//! are applied, in this order. It does not know of publications; when one is due is told by its callers.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use crate::commit::{Across, JobRows, ReduceError};
use crate::fault;
use crate::patch::batch_tag;
use crate::world::access::query::bit_runs;

use super::dense::Around;

use super::*;
use crate::region::RegionError;
use crate::schedule::exchange::ExchangeError;
use crate::schedule::graph::LoopSpan;
use crate::schedule::system::Home;
use crate::table::RESOURCES;
use crate::world::GhostError;

/// One pass over groups of a stage.
pub(super) struct Pass<'a> {
    stage: &'a Stage,
    /// The number of the stage's first batch.
    first: u32,
    /// When what was recorded last ended.
    pub(super) at: &'a mut u64,
    pub(super) info: FrameInfo,
    /// Passes of loops that have ended in this stage and frame.
    count: u32,
    pub(super) frames: u64,
    pub(super) parity: u8,
}

impl Simulation {
    pub(super) fn frame(&mut self, frames: u64, dt: f64) -> Result<(), Failed> {
        self.world.store.begin_change();
        let info = FrameInfo { frame: self.world.frame + 1, time: self.world.time, dt, iteration: 0, seed: self.seed };
        let parity = (info.frame & 1) as u8;
        self.clear_changed(parity)?;
        self.take_inputs(parity)?;
        let stages = std::mem::take(&mut self.stages);
        let mut done = Ok(());
        let mut batch = 0;
        let mut at = self.recorded_ns;
        for (number, stage) in stages.iter().enumerate() {
            let first = batch;
            batch += stage.groups.len() as u32;
            if stage.groups.is_empty() || (stage.name == "startup" && self.world.frame > 0) {
                continue;
            }
            let begun = at;
            let pass = &mut Pass { stage, first, at: &mut at, info, count: 0, frames, parity };
            done = self.groups(pass, 0..stage.groups.len(), &stage.loops);
            self.recorder.record(begun, at, EventKind::Stage { stage: number as u32 });
            if done.is_err() {
                break;
            }
        }
        self.stages = stages;
        self.recorded_ns = at;
        done?;
        self.end_exchange()?;
        self.world.store.scratch_is_new = false;
        self.world.frame += frames;
        // added one by one, as frames of their own would
        for _ in 0..frames {
            self.world.time += dt;
        }
        Ok(())
    }

    /// Runs groups of a stage, with the loops among them, each of which stands before those inside of it.
    fn groups(&mut self, pass: &mut Pass<'_>, groups: Range<usize>, mut loops: &[LoopSpan]) -> Result<(), Failed> {
        let mut next = groups.start;
        while next < groups.end {
            match loops.split_first() {
                Some((span, rest)) if span.groups.start == next => {
                    let inside = rest.iter().take_while(|other| other.groups.start < span.groups.end).count();
                    let (inside, rest) = rest.split_at(inside);
                    self.repeat(pass, span, inside)?;
                    (next, loops) = (span.groups.end, rest);
                }
                _ => {
                    let group = &pass.stage.groups[next];
                    let systems = tracing::field::display(SystemNames(group, &self.compiled));
                    let span = tracing::trace_span!("batch", stage = %pass.stage.name, %systems);
                    span.in_scope(|| self.group(group, pass.first + next as u32, pass))?;
                    next += 1;
                }
            }
        }
        Ok(())
    }

    /// Runs a loop.
    fn repeat(&mut self, pass: &mut Pass<'_>, span: &LoopSpan, inside: &[LoopSpan]) -> Result<(), Failed> {
        let each = &self.loops[span.number];
        let store = &self.world.store;
        let passes = each.passes(store.column_bytes(RESOURCES, 0), &store.layout);
        let passes = passes.map_err(|message| Failed::Condition { what: format!("loop `{}`", each.name), message })?;
        let (outer, divides) = (pass.info, each.divides_step);
        for number in 0..passes {
            pass.info.iteration = number;
            if divides {
                pass.info.dt = outer.dt / f64::from(passes);
                pass.info.time = outer.time + pass.info.dt * f64::from(number);
            }
            self.groups(pass, span.groups.clone(), inside)?;
            pass.count += 1;
        }
        pass.info = outer;
        Ok(())
    }

    /// Asks which systems of a group run now; whether any does.
    fn ask(&mut self, group: &Group, frame: u64) -> Result<bool, Failed> {
        let Simulation { compiled, skips, world, .. } = self;
        let mut any = false;
        for system in group.systems() {
            let mut holds = true;
            let anyway = compiled[system].rebuilds && world.store.scratch_is_new;
            for condition in &compiled[system].conditions {
                let resources = world.store.column_bytes(RESOURCES, 0);
                let asked = condition.holds(frame, resources, &world.store.layout);
                holds = holds
                    && asked.map_err(|message| Failed::Condition {
                        what: format!("system `{}`, whether it runs", compiled[system].name),
                        message,
                    })?;
            }
            holds |= anyway;
            skips[system] = !holds;
            any |= holds;
        }
        Ok(any)
    }

    /// Applies what other processes have sent, before the frame's first batch.
    fn take_inputs(&mut self, parity: u8) -> Result<(), RegionError> {
        let Simulation { world, mailbox: Some(mailbox), sizes, report, scratch, .. } = self else { return Ok(()) };
        let published = world.store.published;
        let (records, access) = mailbox.take(published, sizes, &mut report.inputs);
        if !records.is_empty() {
            Commit {
                store: &mut world.store,
                registry: &world.registry,
                sizes,
                access: std::slice::from_ref(access),
                parity,
                batch_tag: 0,
                dense: &[],
                scratch,
                counts: std::slice::from_mut(&mut report.inputs),
            }
            .apply(&[JobRows { system: 0, table: 0, rows: 0..0 }], &|_| records)?;
        }
        fault::point("inputs-applied");
        mailbox.applied();
        Ok(())
    }

    /// The bits of this frame's parity begin the frame clear.
    fn clear_changed(&mut self, parity: u8) -> Result<(), RegionError> {
        let store = &mut self.world.store;
        if !store.layout.components().iter().any(|component| component.track_changes) {
            return Ok(());
        }
        for table in 0..store.tables.len() as u32 {
            let rows = store.tables[table as usize].rows;
            let shape = Arc::clone(&store.tables[table as usize].shape);
            for slot in shape.slots.iter() {
                let Some(changed) = slot.changed else { continue };
                let column = usize::from(changed) + usize::from(parity);
                // most rows do not change: what has no bit set is left alone
                let words = store
                    .arena
                    .items::<u64>(store.tables[table as usize].columns[column].live.offset, rows.div_ceil(64) as usize);
                self.runs.clear();
                bit_runs(
                    0,
                    rows,
                    |at| if words[at as usize] == 0 { 0 } else { u64::MAX },
                    |start, end| {
                        self.runs.push((start, end));
                    },
                );
                if self.runs.is_empty() {
                    continue;
                }
                store.write_partial(table, column)?;
                for (start, end) in &self.runs {
                    store.set_bits(table, column, *start, end - start, false);
                    store.mark_dirty(table, column, *start, end - start);
                }
            }
        }
        Ok(())
    }

    fn group(&mut self, group: &Group, batch: u32, pass: &mut Pass<'_>) -> Result<(), Failed> {
        if !self.ask(group, pass.info.frame)? {
            return Ok(());
        }
        self.refresh_ghosts(group)?;
        let mut work = std::mem::take(&mut self.work);
        let begun = *pass.at;
        let done = self.run_group(&mut work, group, batch, pass);
        if work.batch_jobs > 0 {
            let (jobs, rows) = (work.batch_jobs, u32::try_from(work.rows).unwrap_or(u32::MAX));
            self.recorder.record(begun, *pass.at, EventKind::Batch { batch, jobs, rows });
        }
        self.work = work;
        done
    }

    fn run_group(&mut self, work: &mut Work, group: &Group, batch: u32, pass: &mut Pass<'_>) -> Result<(), Failed> {
        let mut tag = batch_tag(pass.info.frame, batch);
        if pass.count > 0 {
            // reserved handles of an earlier pass are stale
            tag = batch_tag(tag, pass.count);
        }
        if self.run_direct(work, group, (batch, tag), pass)? {
            return Ok(());
        }
        let Pass { at, info, frames, parity, .. } = pass;
        let (info, frames, parity) = (*info, *frames, *parity);
        let recorder = self.recorder.clone();
        let mut lap = |phase| **at = recorder.lap(**at, EventKind::Phase { phase, batch });
        self.list_rooms.begin();
        self.build(work, group, (info, tag, frames))?;
        let reduces = group.systems().any(|system| !self.skips[system] && !self.compiled[system].reductions.is_empty());
        if reduces && work.jobs.is_empty() {
            self.scratch.partials.clear();
        }
        let mut patches = false;
        if !work.jobs.is_empty() {
            lap(Phase::Build);
            let mut ran = self.run_jobs(work);
            while ran.is_ok() && self.list_rooms.settle(work, &mut self.world.store, &mut self.report.patches) {
                // their lists did not fit
                self.build(work, group, (info, tag, frames))?;
                ran = self.run_jobs(work);
            }
            lap(Phase::Run);
            ran?;
            // what jobs wrote beside the columns' content stays where it is until it is that
            fault::point("batch-ran");
            self.world.store.fixed = true;
            let live = self.make_live(work, parity);
            self.world.store.fixed = false;
            patches = live?;
            fault::point("flipped");
            lap(Phase::Live);
            if patches || reduces || self.changes_others(group) {
                self.apply_patches(work, group, tag, parity)?;
                fault::point("applied");
                lap(Phase::Apply);
            }
        }
        if work.jobs.is_empty() && self.changes_others(group) {
            // other parts may have patches for the rows here
            self.apply_patches(work, group, tag, parity)?;
        }
        self.agree(group, patches)?;
        if reduces {
            self.reduce(group)?;
        }
        if group.systems().any(|system| self.sort_of(system, info.frame).is_some()) {
            self.sort_tables(work, group, info.frame)?;
            lap(Phase::Sort);
        }
        Ok(())
    }

    /// Puts the program of a group together.
    fn build(
        &mut self,
        work: &mut Work,
        group: &Group,
        (info, batch_tag, frames): (FrameInfo, u64, u64),
    ) -> Result<(), WorldError> {
        loop {
            let arrangements = self.world.store.arrangements;
            work.build(
                group,
                &mut BuildContext {
                    store: &mut self.world.store,
                    compiled: &self.compiled,
                    payloads: &self.payloads,
                    info,
                    batch_tag,
                    skips: &self.skips,
                    frames,
                    undo_bytes: self.undo_bytes,
                    list_rooms: &mut self.list_rooms,
                },
            )?;
            // columns were moved to make room: what was noted of them first is void; they have all they need by now
            if arrangements == self.world.store.arrangements {
                return Ok(());
            }
        }
    }

    fn run_jobs(&mut self, work: &Work) -> Result<(), Failed> {
        let compiled = &self.compiled;
        let arena = &mut self.world.store.arena;
        let report = self.pool.run(
            &mut Batch {
                program: &work.words,
                jobs: work.jobs.len() as u32,
                main_only: work.jobs.len() == 1 || work.estimate_ns < SPLIT_NS_MIN,
                place: match work.jobs.first().map(|job| compiled[job.system].home) {
                    None | Some(Home::Everywhere) => Place::Anywhere,
                    Some(Home::Workers) => Place::Workers,
                    Some(Home::Main) => Place::Main,
                },
                deadline: &|job| compiled[work.jobs[job as usize].system].deadline,
                undo_allowed: &|job, offset, bytes| work.undo_allowed(job, offset, bytes),
                restore: &mut |offset, bytes| arena.bytes_mut(offset, bytes.len() as u64).copy_from_slice(bytes),
                beside: None,
            },
            &mut self.staged,
        );
        let report = report.map_err(Failed::Job)?;
        self.report.jobs += work.jobs.len() as u64;
        self.report.jobs_on_main += u64::from(report.jobs_on_main);
        self.report.rows += work.rows;
        self.report.deaths += u64::from(report.deaths);
        self.report.retries += u64::from(report.retries);
        let busy: u64 = (0..work.jobs.len() as u32).map(|job| self.staged.run(job).elapsed_ns).sum();
        self.report.busy += Duration::from_nanos(busy);
        if let Some(exchange) = &mut self.exchange {
            exchange.worked(Duration::from_nanos(busy));
        }
        Ok(())
    }

    /// What the jobs wrote becomes the columns' content: of each column that any of them touched, the rows of those that
    /// did. True: there are patches, too.
    fn make_live(&mut self, work: &Work, parity: u8) -> Result<bool, RegionError> {
        let Simulation { world, staged, sizes, report, compiled, dense, .. } = self;
        let World { store, registry, .. } = world;
        let around = Around { work, compiled, registry, sizes, parity };
        dense.clear(work.written.len());
        let mut patches = false;
        for job in 0..work.jobs.len() {
            patches |= dense.read(job, staged.records(job as u32), &around, store, &mut report.patches)?;
        }
        for (written, ranges) in work.written.iter().zip(&dense.ranges) {
            store.wrote(written.table, usize::from(written.column), written.flip, ranges);
        }
        Ok(patches)
    }

    pub(super) fn apply_patches(
        &mut self,
        work: &Work,
        group: &Group,
        batch_tag: u64,
        parity: u8,
    ) -> Result<(), Failed> {
        let (others, ends) = (self.changes_others(group), self.ends_others(group));
        let Simulation { world, compiled, staged, sizes, access, report, dense, scratch, exchange, .. } = self;
        scratch.abroad.open = others;
        let mut commit = Commit {
            store: &mut world.store,
            registry: &world.registry,
            sizes,
            access,
            parity,
            batch_tag,
            dense: &dense.handles,
            scratch,
            counts: &mut report.patches,
        };
        commit.read(&work.jobs, &|job| staged.records(job as u32))?;
        let mut told = None;
        if let Some(exchanging) = exchange.as_mut().filter(|_| others) {
            let failed = |system: Option<usize>, source: ExchangeError| {
                let of = system.map(|system| format!(", of system `{}`", compiled[system].name)).unwrap_or_default();
                Failed::Exchange { at: format!("patches on what may live elsewhere{of}"), source }
            };
            let all = exchanging.tell("patches", &commit.scratch.abroad.told()).map_err(|error| failed(None, error))?;
            told = Some(commit.receive(&all).map_err(|error| failed(error.system(), error.into()))?);
        }
        commit.carry_out()?;
        // all parts know how many patches were told
        if let Some(told) = told.filter(|(sent, _)| ends || *sent > 0) {
            self.end_elsewhere(told)?;
        }
        self.scratch.abroad.open = false;
        if let Some(system) = self.scratch.aimed_at_ghost {
            let system = self.compiled[system].name.clone();
            return Err(WorldError::from(GhostError::Patched { system }).into());
        }
        if self.strict
            && let Some((system, counts)) =
                self.report.patches.iter().enumerate().find(|(_, counts)| counts.refused > 0)
            && let Some(reason) = counts.example.clone()
        {
            return Err(Failed::Refused { system, refused: counts.refused, reason });
        }
        Ok(())
    }

    /// Resources get the results of the rows of the group's systems.
    fn reduce(&mut self, group: &Group) -> Result<(), Failed> {
        let Simulation { world, compiled, skips, sizes, access, report, scratch, exchange, .. } = self;
        let mut commit = Commit {
            store: &mut world.store,
            registry: &world.registry,
            sizes,
            access,
            parity: 0,
            batch_tag: 0,
            dense: &[],
            scratch,
            counts: &mut report.patches,
        };
        for system in group.systems().filter(|system| !skips[*system]) {
            for reduction in &compiled[system].reductions {
                let across = exchange.as_mut().map(|exchange| exchange as &mut dyn Across);
                commit.reduce(system, reduction, across).map_err(|error| match error {
                    ReduceError::Region(error) => error.into(),
                    ReduceError::Join(message) => Failed::Reduction { system, resource: reduction.resource, message },
                    ReduceError::Across(source) => Failed::Exchange {
                        at: format!("what system `{}` reduces its rows to", compiled[system].name),
                        source,
                    },
                })?;
            }
        }
        Ok(())
    }
}
