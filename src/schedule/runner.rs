//! Running one job: the words of a program become columns, and the kernels of its systems run on them.
//!
//! The task's columns are resolved once per job; every system of a group then sees a column where it is whole: in the
//! old extent until a system of the group has written it, in the new one from then on. Rows are a job's own: no other
//! job writes them, and no job reads them but through the old extent. A column that no system touched is not written at
//! all; which ones were, and which rows of tracked components changed, the job's last records say.
#![expect(unsafe_code, reason = "column memory becomes slices for kernels here")]

use crate::table::Registry;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use crate::Entity;
use crate::column::{ColumnCursor, RawColumn, RowState, carry_over, note_changes, settle};
use crate::gather::Pieces;
use crate::patch::{PatchWriter, first_reserved};
use crate::trace::JobTrace;
use crate::worker::{Runner, Undo};
use crate::world::access::query::{Fetch, bit_runs};

use super::error::text_of;
use super::job::{FrameInfo, Job, OwnRows};
use super::memory::JobMemory;
use super::neighbours::{EntityMap, ListSet, NeighbourSet};
use super::program::task::{Building, Found, Task, TaskColumn, Used};
use super::program::{Entry, Head, JobEntry, TaskHead, Words, find_order, order};
use super::system::{Compiled, System};

/// Rows of a job from which on each of its systems is timed by itself.
const TIMED_ROWS_MIN: u32 = 2048;

thread_local! {
    static TASK: Cell<Option<Box<Task>>> = const { Cell::new(None) };
}

/// Runs the jobs of a schedule's systems.
pub(crate) struct SystemRunner {
    pub systems: Arc<[System]>,
    pub compiled: Arc<[Compiled]>,
    pub registry: Arc<Registry>,
    pub memory: JobMemory,
}

/// What all kernels of a job share.
#[derive(Clone, Copy)]
struct JobContext<'a> {
    job: u32,
    table: u32,
    start: u32,
    end: u32,
    entities: &'a [Entity],
    resources: &'a [u8],
    map: EntityMap<'a>,
    program: &'a [u64],
    serial: u64,
}

impl Runner for SystemRunner {
    fn run_job(
        &self,
        program: &[u64],
        job: u32,
        out: &mut PatchWriter<'_>,
        undo: Option<&mut Undo<'_>>,
        trace: &mut JobTrace<'_>,
    ) -> Result<(), String> {
        if order::is_order(program) || find_order::is_find(program) {
            let run = if order::is_order(program) { order::run } else { find_order::run };
            let done = run(program, job, &self.memory, trace);
            self.memory.trim();
            return done;
        }
        // taken out, so that a kernel which runs a simulation of its own finds an empty one
        let mut task = TASK.take().unwrap_or_default();
        task.cache.serve(&self.registry);
        task.starts.serve(&self.registry);
        let done = self.run_task(&mut task, program, job, out, undo, trace);
        let revoked = if task.revoke.take() { self.memory.revoke() } else { Ok(false) };
        TASK.set(Some(task));
        self.memory.trim();
        revoked.and(done)
    }
}

impl SystemRunner {
    fn run_task(
        &self,
        task: &mut Task,
        program: &[u64],
        job: u32,
        out: &mut PatchWriter<'_>,
        undo: Option<&mut Undo<'_>>,
        trace: &mut JobTrace<'_>,
    ) -> Result<(), String> {
        let head = Head::decode(&mut Words::at(program, 0)?)?;
        let found = Found::of(program, &head, job)?;
        let (entry, TaskHead { table, rows, handles, .. }) = (found.job, found.task);
        let JobEntry { start, end, .. } = entry;
        let len = end - start;
        task.decode(found, self.systems.len(), &self.memory)?;
        let entities = self.memory.read(handles, u64::from(rows) * 8)?.cast::<Entity>();
        // SAFETY: the table's handles, mapped (checked) and frozen while a batch runs.
        let entities = unsafe { std::slice::from_raw_parts(entities.add(start as usize), len as usize) };
        let resources = self.memory.read(head.resources_offset, head.resources_bytes)?;
        // SAFETY: as above.
        let resources = unsafe { std::slice::from_raw_parts(resources, head.resources_bytes as usize) };
        let slots = usize::try_from(head.slots).map_err(|_| "too many slots")?;
        let locations = self.memory.read(head.locations_offset, slots as u64 * 8)?.cast::<u64>();
        let generations = self.memory.read(head.generations_offset, slots as u64 * 4)?.cast::<u32>();
        // SAFETY: the entity map, mapped (checked) and frozen while a batch runs.
        let map = unsafe {
            EntityMap {
                locations: std::slice::from_raw_parts(locations, slots),
                generations: std::slice::from_raw_parts(generations, slots),
            }
        };
        self.begin_lists(task, program, &head, (job, entry, rows))?;
        if let Some(undo) = undo {
            save_in_place(&task.columns, start, len, undo)?;
        }
        out.reserve_from(first_reserved(head.batch_tag, job));
        let around = JobContext { job, table, start, end, entities, resources, map, program, serial: head.serial };
        task.stream(rows, head.frames);
        let mut info =
            FrameInfo { frame: head.frame, time: head.time, dt: head.dt, iteration: head.iteration, seed: head.seed };
        let first = task.systems.first().map_or(u32::MAX, |system| system.system);
        trace.describe(first, table, len, task.systems.len() > 1 || head.frames > 1);
        for pass in 0..head.frames.max(1) {
            if pass > 0 {
                info.frame += 1;
                info.time += head.dt;
            }
            for system in 0..task.systems.len() {
                self.run_system(task, system, info, &around, out)?;
                if len >= TIMED_ROWS_MIN {
                    trace.system_ended(task.systems[system].system);
                }
            }
        }
        if len < TIMED_ROWS_MIN {
            trace.systems_ended(task.systems.iter().map(|system| system.system), head.frames.max(1));
        }
        task.built.end();
        task.combiner.flush(out);
        record_writes(task, start..end, out);
        for (resource, value) in task.reduced.values() {
            out.reduced(resource, value);
        }
        Ok(())
    }

    /// Makes ready for the lists that a job builds in place, if it does.
    fn begin_lists(
        &self,
        task: &mut Task,
        program: &[u64],
        head: &Head,
        (job, entry, rows): (u32, JobEntry, u32),
    ) -> Result<(), String> {
        let building = task.building(program, head, job, (entry, rows), &self.memory)?;
        let Some(Building { component, room, starts, lengths }) = building else { return Ok(()) };
        let Task { built, built_columns, .. } = task;
        let (rows, columns) = ((entry.start, entry.end - entry.start), built_columns.iter().copied());
        // SAFETY: words of the job's own rows and its own part of the pool, mapped (checked); no other job of the batch has
        // them, and nobody reads them before it has ended. It ends with the job, or when the next one is decoded.
        unsafe { built.begin(component, rows, (starts, lengths), room, columns) };
        Ok(())
    }

    /// The job's rows that a system's mask leaves, a bit each, into `task.bits`.
    fn bits(&self, task: &mut Task, system: usize, around: &JobContext<'_>) -> Result<(), String> {
        let Task { systems, masks, offsets, bits, any, .. } = task;
        let rows = around.end - around.start;
        let (first, words) = (u64::from(around.start / 64) * 8, rows.div_ceil(64) as usize);
        bits.clear();
        bits.resize(words, u64::MAX);
        if !rows.is_multiple_of(64) {
            bits[words - 1] = (1 << (rows % 64)) - 1;
        }
        for mask in &masks[systems[system].masks.clone()] {
            any.clear();
            any.resize(words, 0);
            for offset in &offsets[mask.offsets.clone()] {
                let from = offset.checked_add(first).ok_or("an offset is too large")?;
                let column = self.memory.read(from, words as u64 * 8)?.cast::<u64>();
                // SAFETY: bits of the job's own rows: mapped (checked), frozen while a batch runs.
                let column = unsafe { std::slice::from_raw_parts(column, words) };
                any.iter_mut().zip(column).for_each(|(any, word)| *any |= word);
            }
            let negated = if mask.negated { u64::MAX } else { 0 };
            bits.iter_mut().zip(any.iter()).for_each(|(bits, any)| *bits &= *any ^ negated);
        }
        Ok(())
    }

    fn run_system(
        &self,
        task: &mut Task,
        system: usize,
        info: FrameInfo,
        around: &JobContext<'_>,
        out: &mut PatchWriter<'_>,
    ) -> Result<(), String> {
        let mut pieces = Pieces::All;
        if !task.systems[system].masks.is_empty() {
            self.bits(task, system, around)?;
            pieces = Pieces::of(&task.bits, around.end - around.start);
        }
        let Task {
            columns,
            systems,
            columns_used,
            present,
            raw,
            part,
            states,
            bits,
            gathered,
            cache,
            starts,
            built,
            reduced,
            combiner,
            revoke,
            ..
        } = task;
        let this = &systems[system];
        if pieces == Pieces::Short && !this.views.is_empty() {
            // a kernel that looks at whole columns finds its own rows there by their places, one after the other
            pieces = Pieces::Long;
        }
        let used = &columns_used[this.columns.clone()];
        let len = (around.end - around.start) as usize;
        raw.clear();
        states.clear();
        for Used { place, write, .. } in used {
            let column = &columns[*place as usize];
            let old = if column.is_new { column.new.cast_const() } else { column.old };
            let new = if *write { column.new } else { std::ptr::null_mut() };
            let streams = *write && column.streams_after == Some(system);
            raw.push(RawColumn { old, new, ty: column.ty, len, streams });
            states.push(Cell::new(if column.is_new { RowState::Whole } else { RowState::Old }));
        }
        let tracked = |component: u16| {
            self.registry.layout.components().get(usize::from(component)).is_some_and(|layout| layout.track_changes)
        };
        task.saved.clear();
        task.saved_at.clear();
        for (Used { place, write, .. }, raw) in used.iter().zip(raw.iter()) {
            let column = &columns[*place as usize];
            let saves = *write && column.is_new && tracked(column.component);
            task.saved_at.push(saves.then_some(task.saved.len()));
            if saves {
                // SAFETY: the job's own rows, whole, which nobody else touches; shared only until the kernel runs.
                task.saved.extend_from_slice(unsafe { std::slice::from_raw_parts(raw.old, len * raw.ty.bytes()) });
            }
        }
        let views = NeighbourSet {
            tables: &task.views[this.views.clone()],
            columns: &task.view_columns,
            present: &task.view_present,
            masks: &task.view_masks,
            words: &task.view_words,
        };
        let lists = (&task.lists[this.lists.clone()], &task.list_columns[..]);
        let kernel = &self.systems[this.system as usize].kernel;
        let compiled = &self.compiled[this.system as usize];
        let payload = Words::at(around.program, this.payload.0 as u64)?.bytes(u64::from(this.payload.1))?;
        let present = &present[this.present.clone()];
        let mut error = None;
        let mut call = |all: &[RawColumn], states: &[Cell<RowState>], rows: OwnRows<'_>, entities: &[Entity]| {
            // those of lists come last, and are only read
            let (raw, spans) = all.split_at(all.len() - 2 * lists.0.len());
            let states = &states[..raw.len()];
            let mut job = Job {
                frame: info,
                index: around.job,
                random_key: None,
                payload,
                entities,
                rows,
                table: around.table,
                map: around.map,
                resources: around.resources,
                compiled,
                registry: &self.registry,
                revoke,
                cache,
                starts,
                built,
                lists: ListSet { lists: lists.0, columns: lists.1, spans },
                views,
                serial: around.serial,
                reduced,
                combiner,
                last: None,
                writer: out,
                error: &mut error,
            };
            // SAFETY: columns of the job's own rows as the cursor asks for: old rows frozen, new rows this job's
            // alone, each written column once per system (the query sees to that), all mapped while the job runs.
            let columns = unsafe { ColumnCursor::new(raw, states) };
            let mut fetch = Fetch { columns, entities, present, next_optional: 0 };
            let done = kernel.run(&mut job, &mut fetch, views.of_view(0)).map_err(|error| text_of(&*error));
            // SAFETY: the kernel has returned, its slices are gone.
            unsafe { settle(raw, states) };
            done
        };
        if pieces == Pieces::All {
            call(raw, states, OwnRows::From(around.start), around.entities)?;
        }
        if pieces == Pieces::Short {
            // SAFETY: a bit for each of the job's rows, which all columns have where their states say (above).
            unsafe { gathered.take(bits, around.start, raw, states, around.entities) };
            let done = call(&gathered.columns, &gathered.states, OwnRows::At(&gathered.rows), &gathered.entities);
            if revoke.get() {
                gathered.abandon();
            }
            done?;
            // SAFETY: the columns that were taken from; the kernel has returned, its slices are gone.
            unsafe { gathered.put(raw, states) };
        }
        if pieces == Pieces::Long {
            let carried = &mut task.carried;
            carried.clear();
            carried.extend(states.iter().map(|state| state.get().is_new()));
            let mut done = Ok(());
            bit_runs(
                0,
                len as u32,
                |word| bits[word as usize],
                |from, to| {
                    if done.is_err() {
                        return;
                    }
                    let (from, to) = (from as usize, to as usize);
                    part.clear();
                    part.extend(raw.iter().zip(carried.iter()).map(|(column, carried)| {
                        let written = !column.new.is_null();
                        let at = from * column.ty.bytes();
                        let base = if written && *carried { column.new.cast_const() } else { column.old };
                        // SAFETY: `from` rows into a column of more.
                        let old = unsafe { base.add(at) };
                        let new = if written { column.new.wrapping_add(at) } else { std::ptr::null_mut() };
                        RawColumn { old, new, ty: column.ty, len: to - from, streams: false }
                    }));
                    let first = around.start + from as u32;
                    done = call(part, states, OwnRows::From(first), &around.entities[from..to]);
                    // rows that do not match keep their values
                    for ((column, state), carried) in raw.iter().zip(states.iter()).zip(carried.iter_mut()) {
                        if state.get() == RowState::Touched && !std::mem::replace(carried, true) {
                            // SAFETY: the kernel has returned, its slices are gone.
                            unsafe { carry_over(column, from..to) };
                        }
                    }
                },
            );
            done?;
        }
        let mut touched_any = false;
        for (index, (used, state)) in columns_used[this.columns.clone()].iter_mut().zip(states.iter()).enumerate() {
            if state.get() != RowState::Touched {
                continue;
            }
            (used.touched, touched_any) = (true, true);
            let column = &mut columns[used.place as usize];
            column.is_new = true;
            if !tracked(column.component) {
                continue;
            }
            let bytes = len * column.ty.bytes();
            let before = match task.saved_at[index] {
                Some(at) => &task.saved[at..at + bytes],
                // SAFETY: the job's own rows as they were, in an extent that nobody writes.
                None => unsafe { std::slice::from_raw_parts(column.old, bytes) },
            };
            // SAFETY: the job's own rows, whole; the kernel has returned.
            let after = unsafe { std::slice::from_raw_parts(column.new.cast_const(), bytes) };
            let words = words_of(&mut task.changed, &mut task.changed_words, column.component, len.div_ceil(64));
            note_changes(before, after, column.ty.bytes(), words);
        }
        systems[system].passes += u32::from(touched_any);
        match error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// The bits of a tracked component's rows; clear at first.
fn words_of<'a>(changed: &mut Vec<u16>, words: &'a mut Vec<u64>, component: u16, count: usize) -> &'a mut [u64] {
    let index = changed.iter().position(|other| *other == component).unwrap_or_else(|| {
        changed.push(component);
        words.resize(words.len() + count, 0);
        changed.len() - 1
    });
    &mut words[index * count..(index + 1) * count]
}

/// Records what the job wrote densely: the columns that its systems touched, and which rows of tracked components differ.
fn record_writes(task: &Task, rows: Range<u32>, out: &mut PatchWriter<'_>) {
    for (member, system) in (0u32..).zip(&task.systems) {
        for used in task.columns_used[system.columns.clone()].iter().filter(|used| used.touched) {
            let column = &task.columns[used.place as usize];
            out.range(column.component, column.field + 1, rows.clone(), (member, system.passes));
        }
    }
    let words = (rows.end - rows.start).div_ceil(64) as usize;
    if words > 0 {
        for (component, words) in task.changed.iter().zip(task.changed_words.chunks_exact(words)) {
            out.changed(*component, rows.start, words);
        }
    }
}

/// Saves the old rows of every column that the job writes in place.
fn save_in_place(columns: &[TaskColumn], start: u32, len: u32, undo: &mut Undo<'_>) -> Result<(), String> {
    for column in columns.iter().filter(|column| column.in_place) {
        let bytes = column.ty.bytes() as u64;
        let offset = column.old_offset + u64::from(start) * bytes;
        // SAFETY: the job's own rows, which nobody else touches; shared only until the kernels run.
        let rows = unsafe { std::slice::from_raw_parts(column.old, (u64::from(len) * bytes) as usize) };
        if !undo.save(offset, rows) {
            return Err(format!("{} bytes written in place do not fit the worker's undo area", rows.len()));
        }
    }
    Ok(())
}
