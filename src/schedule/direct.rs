//! Groups that main runs alone, without a program: rows of systems that look at nothing else and make no patches.
//!
//! A program is for workers that may be other processes. Where main runs all jobs itself, and a group's systems only
//! write their own rows, it needs none: how systems match tables is kept from frame to frame, columns are found where
//! they are, kernels run, and what they touched becomes the columns' content table by table.
//!
//! Invariants: jobs have the rows, the numbers and the order that a program would give them; the same columns are touched,
//! and what is counted is the same. What a kernel records although its system declares no patches is handed to the commit,
//! which refuses it. No table of the group is looked at by jobs of another one, so nobody sees that it is ready sooner.
#![expect(unsafe_code, reason = "column memory becomes slices for kernels here")]

mod kept;

use std::cell::Cell;

use crate::Entity;
use crate::accumulate::Combiner;
use crate::column::{ColumnCursor, RawColumn, RowState, settle};
use crate::commit::{DenseHandles, PatchCounts};
use crate::layout::FieldType;
use crate::patch::{PatchWriter, first_reserved};
use crate::reduce::Reduced;
use crate::region::RegionError;
use crate::table::{ENTITIES, RESOURCES};
use crate::trace::{EventKind, Recorder};
use crate::worker::{JobFailure, RunOnMain, RunnerName, Staged};
use crate::world::access::query::Fetch;
use crate::world::store::Store;

use super::built::Built;
use super::error::text_of;
use super::graph::Group;
use super::job::{FrameInfo, IdCache, Job, OwnRows};
use super::kept_starts::KeptStarts;
use super::neighbours::{EntityMap, ListSet, NeighbourSet};
use super::program::build::Work;
use super::program::task::STREAMED_BYTES_MIN;
use super::runner::{SystemRunner, TIMED_ROWS_MIN};
use super::system::Compiled;

use kept::{Kept, KeptColumn, KeptSystem, KeptTask};

/// A column of the table at hand.
struct Open {
    old: *const u8,
    new: *mut u8,
    write: bool,
    in_place: bool,
    ty: FieldType,
    /// Whether the job's rows are at `new`.
    is_new: bool,
    /// Whether a system of the job touched it.
    touched: bool,
}

/// What is kept of each group, and memory that is used again.
#[derive(Default)]
pub(crate) struct Direct {
    groups: Vec<Kept>,
    /// What the job at hand recorded.
    out: Vec<u8>,
    /// Per column of the table at hand: the rows of the jobs that touched it.
    ranges: Vec<Vec<(u32, u32)>>,
    /// Jobs that are not in the timeline yet.
    untimed: Vec<Untimed>,
}

/// A job whose time is not known by itself.
struct Untimed {
    number: u32,
    task: u32,
    rows: u32,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// What kernels get beside their rows. It is the thread's: of a simulation's own, a simulation could not go to another one.
#[derive(Default)]
struct Scratch {
    open: Vec<Open>,
    raw: Vec<RawColumn>,
    states: Vec<Cell<RowState>>,
    cache: IdCache,
    starts: KeptStarts,
    built: Built,
    reduced: Reduced,
    combiner: Combiner,
    revoke: Cell<bool>,
}

/// What a batch is run with.
pub(crate) struct DirectBatch<'a> {
    pub runner: &'a SystemRunner,
    pub store: &'a mut Store,
    pub payloads: &'a [Vec<u8>],
    pub info: FrameInfo,
    pub batch_tag: u64,
    pub frames: u64,
    pub pool: RunOnMain,
    pub recorder: &'a Recorder,
    /// When it begins, where there is a timeline.
    pub begun_ns: u64,
    pub staged: &'a mut Staged,
    pub counts: &'a mut [PatchCounts],
    pub handles: &'a mut Vec<DenseHandles>,
}

/// How a batch went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DirectReport {
    pub jobs: u32,
    pub rows: u64,
    /// When it ended, where there is a timeline.
    pub ended_ns: u64,
    /// Kernels recorded something: it is staged, and the batch's jobs are listed.
    pub records: bool,
}

/// Why a batch failed; then its jobs are listed.
pub(crate) enum DirectError {
    Region(RegionError),
    Job(JobFailure),
}

impl From<RegionError> for DirectError {
    fn from(error: RegionError) -> Self {
        DirectError::Region(error)
    }
}

/// What all jobs of a batch share.
#[derive(Clone, Copy)]
struct Around<'a> {
    runner: &'a SystemRunner,
    payloads: &'a [Vec<u8>],
    info: FrameInfo,
    frames: u64,
    map: EntityMap<'a>,
    resources: &'a [u8],
    /// None.
    views: NeighbourSet<'a>,
}

/// One job.
#[derive(Clone, Copy)]
struct OneJob<'a> {
    number: u32,
    /// Its task's place.
    task: u32,
    table: u32,
    start: u32,
    entities: &'a [Entity],
}

/// A group that can be run without a program, as it is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain {
    /// Rows of its jobs, once for each system.
    pub rows: u64,
    /// Its jobs at least.
    pub jobs: u64,
    /// Whether it is one job.
    pub one_job: bool,
    /// Whether it is left to workers for now, as they were found to be faster.
    pub shared: bool,
}

/// What a job costs beside its kernel, in nanoseconds: with a program, and without.
const PROGRAM_JOB_NS: u64 = 350;
const DIRECT_JOB_NS: u64 = 60;
/// What it costs to have workers begin, in nanoseconds.
const WAKE_NS: u64 = 5_000;
/// For so many frames a group is left to workers once they were found to be faster.
const SHARED_LOOKS: u32 = 256;

/// Whether main is sooner done alone than with so many workers: many small jobs cost more to hand over than to run.
pub(crate) fn pays_alone(jobs: u64, kernels_ns: u64, workers: u64) -> bool {
    let alone = jobs.saturating_mul(DIRECT_JOB_NS).saturating_add(kernels_ns);
    let shared = jobs.saturating_mul(PROGRAM_JOB_NS).saturating_add(kernels_ns) / (workers + 1);
    alone <= shared.saturating_add(WAKE_NS)
}

impl Direct {
    /// Whether a group can be run so now; none: it takes a program.
    pub(crate) fn looks_plain(
        &mut self,
        (number, group): (u32, &Group),
        (compiled, payloads): (&[Compiled], &[Vec<u8>]),
        frames: u64,
        store: &Store,
        work: &mut Work,
    ) -> Option<Plain> {
        if self.groups.len() <= number as usize {
            self.groups.resize_with(number as usize + 1, Kept::default);
        }
        let kept = &mut self.groups[number as usize];
        if kept.shapes != store.shapes {
            kept.renew(group, compiled, store, work);
        }
        // kernels may look at their bytes as words
        let aligned = |system: usize| payloads[system].is_empty() || payloads[system].as_ptr().addr().is_multiple_of(8);
        if !kept.plain || !group.systems().all(aligned) {
            return None;
        }
        let mut plain = Plain { rows: 0, jobs: 0, one_job: false, shared: kept.shared > 0 };
        kept.shared = kept.shared.saturating_sub(1);
        for task in &kept.tasks {
            let rows = store.tables[task.table as usize].rows;
            // of that size rows are written past the caches
            if frames == 1 && u64::from(rows).saturating_mul(task.row_bytes) >= STREAMED_BYTES_MIN {
                return None;
            }
            plain.rows += u64::from(rows) * u64::from(task.systems.end - task.systems.start);
            plain.jobs += u64::from(rows > 0);
            plain.one_job = kept.tasks.len() == 1 && rows <= task.whole_rows;
        }
        (plain.rows > 0).then_some(plain)
    }

    /// Notes how long a group took that workers could have had: next time they get it, if they would have been faster.
    pub(crate) fn took(&mut self, number: u32, jobs: u64, elapsed_ns: u64, workers: u64) {
        let Some(kept) = self.groups.get_mut(number as usize) else { return };
        let kernels = elapsed_ns.saturating_sub(jobs.saturating_mul(DIRECT_JOB_NS));
        if pays_alone(jobs, kernels, workers) {
            kept.slower = 0;
            return;
        }
        kept.slower += 1;
        // once may be a pause that the system made
        if kept.slower > 2 {
            (kept.slower, kept.shared) = (0, SHARED_LOOKS);
        }
    }

    /// Runs a group that [looks plain](Direct::looks_plain).
    ///
    /// # Errors
    /// As for a batch with a program; then its jobs are listed in `work`.
    pub(crate) fn run(
        &mut self,
        number: u32,
        mut batch: DirectBatch<'_>,
        work: &mut Work,
    ) -> Result<DirectReport, DirectError> {
        let Direct { groups, out, ranges, untimed } = self;
        let kept = &groups[number as usize];
        // taken out: a kernel may step a simulation of its own
        let mut scratch = SCRATCH.take().unwrap_or_default();
        scratch.cache.serve(&batch.runner.registry);
        scratch.starts.serve(&batch.runner.registry);
        untimed.clear();
        let (report, lap) = (DirectReport::default(), batch.begun_ns);
        let mut running = Running { kept, scratch: &mut scratch, ranges, untimed, report, lap };
        let done = running.tasks(&mut batch, out, work);
        running.share_time(&batch, done.is_err());
        batch.recorder.close_job();
        let report = DirectReport { ended_ns: running.lap, ..running.report };
        match done {
            Ok(()) => SCRATCH.set(Some(scratch)),
            // kernels that fail leave anything in it
            Err(_) => kept.list(batch.store, &batch.runner.compiled, batch.frames, work),
        }
        done.map(|()| report)
    }
}

/// A batch under way.
struct Running<'a> {
    kept: &'a Kept,
    scratch: &'a mut Scratch,
    ranges: &'a mut Vec<Vec<(u32, u32)>>,
    untimed: &'a mut Vec<Untimed>,
    report: DirectReport,
    /// Up to when the timeline knows what ran.
    lap: u64,
}

impl Running<'_> {
    fn tasks(&mut self, batch: &mut DirectBatch<'_>, out: &mut Vec<u8>, work: &mut Work) -> Result<(), DirectError> {
        let mut around = Around::of(batch)?;
        let mut arrangements = batch.store.arrangements;
        let writer = &mut batch.pool.writer(out);
        for (number, task) in (0..).zip(&self.kept.tasks) {
            if batch.store.tables[task.table as usize].rows == 0 {
                continue;
            }
            self.open(task, batch)?;
            if arrangements != batch.store.arrangements {
                // the entity map may have been moved to make room
                (around, arrangements) = (Around::of(batch)?, batch.store.arrangements);
            }
            self.task(number, &around, batch, writer, work)?;
        }
        Ok(())
    }

    /// Runs a task whose columns are [open](Running::open).
    fn task(
        &mut self,
        number: u32,
        around: &Around<'_>,
        batch: &mut DirectBatch<'_>,
        writer: &mut PatchWriter<'_>,
        work: &mut Work,
    ) -> Result<(), DirectError> {
        let kept = self.kept;
        let task = &kept.tasks[number as usize];
        let rows = batch.store.tables[task.table as usize].rows;
        let handles = batch.store.tables[task.table as usize].columns[0].live.offset;
        let handles = around.runner.memory.read(handles, u64::from(rows) * 8).map_err(out_of_place)?.cast::<Entity>();
        let job_rows = kept.job_rows(task, rows, &around.runner.compiled, around.frames);
        let mut start = 0;
        while start < rows {
            let end = start.saturating_add(job_rows).min(rows);
            // SAFETY: handles of rows in use: mapped (checked), and nothing writes them while the batch runs.
            let entities = unsafe { std::slice::from_raw_parts(handles.add(start as usize), (end - start) as usize) };
            let job = OneJob { number: self.report.jobs, task: number, table: task.table, start, entities };
            self.job(task, job, around, batch, writer, work)?;
            self.report.jobs += 1;
            start = end;
        }
        self.report.rows += u64::from(rows);
        let columns = &kept.columns[task.columns.start as usize..task.columns.end as usize];
        for ((column, open), ranges) in columns.iter().zip(&self.scratch.open).zip(self.ranges.iter_mut()) {
            if open.write {
                batch.store.wrote(task.table, usize::from(column.place), !open.in_place, ranges);
                ranges.clear();
            }
        }
        Ok(())
    }

    /// Finds the columns of a task, and gets those that it writes an extent for it.
    fn open(&mut self, task: &KeptTask, batch: &mut DirectBatch<'_>) -> Result<(), DirectError> {
        let columns = &self.kept.columns[task.columns.start as usize..task.columns.end as usize];
        let Scratch { open, .. } = &mut *self.scratch;
        if self.ranges.len() < columns.len() {
            self.ranges.resize_with(columns.len(), Vec::new);
        }
        // a batch that failed may have left some
        self.ranges[..columns.len()].iter_mut().for_each(Vec::clear);
        let (store, memory) = (&mut *batch.store, &batch.runner.memory);
        let rows = u64::from(store.tables[task.table as usize].rows);
        loop {
            let arrangements = store.arrangements;
            open.clear();
            for KeptColumn { place, write, ty, .. } in columns {
                let live = store.tables[task.table as usize].columns[usize::from(*place)].live.offset;
                let bytes = rows * ty.bytes() as u64;
                let (old, new) = match write {
                    true => store.write_whole(task.table, usize::from(*place), true)?,
                    false => (live, live),
                };
                open.push(Open {
                    old: memory.read(old, bytes).map_err(out_of_place)?,
                    new: if *write { memory.write(new, bytes, 0).map_err(out_of_place)? } else { std::ptr::null_mut() },
                    write: *write,
                    in_place: *write && old == new,
                    ty: *ty,
                    is_new: false,
                    touched: false,
                });
            }
            // columns were moved to make room: where the first ones were is void; they have all they need by now
            if arrangements == store.arrangements {
                return Ok(());
            }
        }
    }

    fn job(
        &mut self,
        task: &KeptTask,
        job: OneJob<'_>,
        around: &Around<'_>,
        batch: &mut DirectBatch<'_>,
        writer: &mut PatchWriter<'_>,
        work: &mut Work,
    ) -> Result<(), DirectError> {
        let rows = job.entities.len() as u32;
        let timed = rows >= TIMED_ROWS_MIN && batch.recorder.is_on();
        if timed {
            self.share_time(batch, false);
        }
        batch.recorder.open_job(self.lap, job.number);
        self.untimed.push(Untimed { number: job.number, task: job.task, rows });
        crate::fault::point("begun");
        let kept = self.kept;
        for open in &mut self.scratch.open {
            (open.is_new, open.touched) = (open.in_place, false);
        }
        let reserved = first_reserved(batch.batch_tag, job.number);
        let (scratch, counts) = (&mut *self.scratch, &mut *batch.counts);
        let recorded =
            batch.pool.job(job.number, reserved, writer, |writer| scratch.run(kept, task, job, around, writer, counts));
        let recorded = recorded.map_err(DirectError::Job)?;
        let end = job.start + rows;
        for (_, ranges) in self.scratch.open.iter().zip(self.ranges.iter_mut()).filter(|(open, _)| open.touched) {
            match ranges.last_mut() {
                Some((_, last)) if *last == job.start => *last = end,
                _ => ranges.push((job.start, end)),
            }
        }
        if recorded {
            self.hand_over(task, job, batch, writer, work);
        }
        if timed {
            self.share_time(batch, false);
        }
        Ok(())
    }

    /// A kernel recorded something: the commit gets it as it would from a worker.
    fn hand_over(
        &mut self,
        task: &KeptTask,
        job: OneJob<'_>,
        batch: &mut DirectBatch<'_>,
        writer: &mut PatchWriter<'_>,
        work: &mut Work,
    ) {
        if !std::mem::replace(&mut self.report.records, true) {
            self.kept.list(batch.store, &batch.runner.compiled, batch.frames, work);
            batch.pool.stage(work.jobs.len() as u32, batch.staged);
            batch.handles.clear();
        }
        batch.pool.note(job.number, writer, batch.staged);
        let columns = &self.kept.columns[task.columns.start as usize..task.columns.end as usize];
        for (column, open) in columns.iter().zip(&self.scratch.open).filter(|(column, _)| column.handles > 0) {
            if open.touched {
                let (table, place, per_row) = (task.table, column.place, column.handles);
                batch.handles.push(DenseHandles { job: job.number as usize, table, column: place, per_row });
            }
        }
    }

    /// Says in the timeline when the jobs since the last lap ran: they share the time by their rows.
    fn share_time(&mut self, batch: &DirectBatch<'_>, failed: bool) {
        let recorder = batch.recorder;
        if !recorder.is_on() {
            self.untimed.clear();
            return;
        }
        let (from, now) = (self.lap, recorder.now());
        self.lap = now;
        let all: u64 = self.untimed.iter().map(|job| u64::from(job.rows)).sum();
        let last = self.untimed.len().saturating_sub(1);
        let per_row = now.saturating_sub(from) as f64 / all.max(1) as f64;
        let (mut at, mut rows_before) = (from, 0);
        for (place, Untimed { number, task, rows }) in self.untimed.drain(..).enumerate() {
            rows_before += u64::from(rows);
            let end = from + (per_row * rows_before as f64) as u64;
            let task = &self.kept.tasks[task as usize];
            let systems = self.kept.systems_of(task);
            let table = u16::try_from(task.table).unwrap_or(u16::MAX);
            let fused = systems.len() > 1 || batch.frames > 1;
            if fused {
                let runs = (systems.len() as u64).saturating_mul(batch.frames.max(1));
                let share = end.saturating_sub(at) / runs;
                let mut begun = at;
                for system in (0..batch.frames.max(1)).flat_map(|_| systems) {
                    let kind = EventKind::System { system: system.system, table, job: number, rows };
                    recorder.record(begun, begun + share, kind);
                    begun += share;
                }
            }
            let system = systems.first().map_or(u32::MAX, |system| system.system);
            let failed = failed && place == last;
            recorder.record(at, end, EventKind::Job { system, table, job: number, rows, attempt: 0, fused, failed });
            at = end;
        }
    }
}

impl Scratch {
    /// The systems of a job, pass after pass.
    fn run(
        &mut self,
        kept: &Kept,
        task: &KeptTask,
        job: OneJob<'_>,
        around: &Around<'_>,
        writer: &mut PatchWriter<'_>,
        counts: &mut [PatchCounts],
    ) -> Result<(), String> {
        let mut info = around.info;
        for pass in 0..around.frames.max(1) {
            if pass > 0 {
                info.frame += 1;
                info.time += info.dt;
            }
            for system in kept.systems_of(task) {
                if self.system(kept, system, info, job, around, writer)? {
                    counts[system.system as usize].dense_rows += job.entities.len() as u64;
                }
            }
        }
        self.combiner.flush(writer);
        for (resource, value) in self.reduced.values() {
            writer.reduced(resource, value);
        }
        self.reduced.clear();
        Ok(())
    }

    /// One system; whether it touched a column.
    fn system(
        &mut self,
        kept: &Kept,
        system: &KeptSystem,
        info: FrameInfo,
        at: OneJob<'_>,
        around: &Around<'_>,
        writer: &mut PatchWriter<'_>,
    ) -> Result<bool, String> {
        let Scratch { open, raw, states, cache, starts, built, reduced, combiner, revoke } = self;
        let used = &kept.used[system.used.start as usize..system.used.end as usize];
        let (first, len) = (at.start as usize, at.entities.len());
        raw.clear();
        states.clear();
        for (place, write) in used {
            let Open { old, new, ty, is_new, .. } = &open[*place as usize];
            let skip = first * ty.bytes();
            // rows of the job, which the whole column has
            let (old, new) = (old.wrapping_add(skip), new.wrapping_add(skip));
            let (old, new) = match (is_new, write) {
                (true, true) => (new.cast_const(), new),
                (true, false) => (new.cast_const(), std::ptr::null_mut()),
                (false, true) => (old, new),
                (false, false) => (old, std::ptr::null_mut()),
            };
            raw.push(RawColumn { old, new, ty: *ty, len, streams: false });
            states.push(Cell::new(if *is_new { RowState::Whole } else { RowState::Old }));
        }
        let compiled = &around.runner.compiled[system.system as usize];
        let payload = &around.payloads[system.system as usize][..];
        let views = around.views;
        let mut error = None;
        let mut job = Job {
            frame: info,
            index: at.number,
            random_key: None,
            payload: if payload.is_empty() { bytemuck::cast_slice::<u64, u8>(&[]) } else { payload },
            entities: at.entities,
            rows: OwnRows::From(at.start),
            table: at.table,
            map: around.map,
            resources: around.resources,
            compiled,
            registry: &around.runner.registry,
            revoke,
            cache,
            starts,
            built,
            lists: ListSet { lists: &[], columns: &[], spans: &[] },
            views,
            // of no program
            serial: 0,
            reduced,
            combiner,
            last: None,
            writer,
            error: &mut error,
        };
        // SAFETY: columns of the job's own rows as the cursor asks for: old rows frozen, new rows this job's alone, each
        // written column once per system (the query sees to that), all mapped while the job runs.
        let columns = unsafe { ColumnCursor::new(raw, states) };
        let present = &kept.present[system.present.start as usize..system.present.end as usize];
        let mut fetch = Fetch { columns, entities: at.entities, present, next_optional: 0 };
        let kernel = &around.runner.systems[system.system as usize].kernel;
        let done = kernel.run(&mut job, &mut fetch, views).map_err(|error| text_of(&*error));
        // SAFETY: the kernel has returned, its slices are gone.
        unsafe { settle(raw, states) };
        let revoked = if revoke.take() { around.runner.memory.revoke() } else { Ok(false) };
        revoked.and(done)?;
        let mut touched = false;
        for ((place, _), state) in used.iter().zip(states.iter()) {
            if state.get() == RowState::Touched {
                let open = &mut open[*place as usize];
                (open.is_new, open.touched, touched) = (true, true, true);
            }
        }
        error.map_or(Ok(touched), Err)
    }
}

impl<'a> Around<'a> {
    fn of(batch: &DirectBatch<'a>) -> Result<Around<'a>, DirectError> {
        let (runner, store) = (batch.runner, &*batch.store);
        let (map, resources) = (&store.tables[ENTITIES as usize], &store.tables[RESOURCES as usize]);
        let slots = map.rows as usize;
        let read = |offset, bytes| runner.memory.read(offset, bytes).map_err(out_of_place);
        let locations = read(map.columns[0].live.offset, slots as u64 * 8)?.cast::<u64>();
        let generations = read(map.columns[1].live.offset, slots as u64 * 4)?.cast::<u32>();
        let values = read(resources.columns[0].live.offset, u64::from(resources.rows))?;
        // SAFETY: the entity map and the resources, mapped (checked) for as long as the runner is there; nothing writes them
        // while the batch runs.
        let (locations, generations, resources) = unsafe {
            (
                std::slice::from_raw_parts(locations, slots),
                std::slice::from_raw_parts(generations, slots),
                std::slice::from_raw_parts(values, resources.rows as usize),
            )
        };
        let map = EntityMap { locations, generations };
        let (payloads, info, frames) = (batch.payloads, batch.info, batch.frames);
        let views = NeighbourSet { tables: &[], columns: &[], present: &[], masks: &[], words: &[] };
        Ok(Around { runner, payloads, info, frames, map, resources, views })
    }
}

/// A column that lies where no memory is: the store's own books are wrong.
fn out_of_place(message: String) -> DirectError {
    DirectError::Job(JobFailure::Error { job: 0, runner: RunnerName::Main, message })
}

#[cfg(test)]
mod tests {
    use super::pays_alone;

    #[test]
    fn many_small_jobs_are_run_and_large_ones_are_shared() {
        assert!(pays_alone(2_600, 52_000, 1), "twenty rows each");
        assert!(!pays_alone(2_600, 2_600_000, 1), "a microsecond each");
        assert!(!pays_alone(12, 100_000, 1), "few that are worth waking somebody");
        assert!(!pays_alone(100_000, 2_000_000, 63), "there is help enough");
        assert!(pays_alone(u64::MAX, 0, 0) && pays_alone(1, u64::MAX, 0), "nobody to share with");
    }
}
