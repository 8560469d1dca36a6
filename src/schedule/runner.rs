//! Running one job: the words of a program become columns, and the kernels of its systems run on them.
//!
//! The task's columns are resolved once per job; every system of a group then sees a column where it is whole: in the
//! old extent until a system of the group has written it, in the new one from then on. Rows are a job's own: no other
//! job writes them, and no job reads them but through the old extent.
#![expect(unsafe_code, reason = "column memory becomes slices for kernels here")]

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::Entity;
use crate::column::{ColumnCursor, RawColumn, finish};
use crate::layout::FieldType;
use crate::patch::PatchWriter;
use crate::worker::{Runner, Undo};
use crate::world::query::{Fetch, MaskTerm, mask_runs};
use crate::world::registry::Registry;

use super::job::{FrameInfo, IdCache, Job};
use super::memory::JobMemory;
use super::program::{HEADER_WORDS, MAGIC, NO_OFFSET, Words};
use super::system::{Compiled, System};
use super::view::{EntityMap, ViewMask, ViewTable};

/// A column of a task, for the rows of one job.
struct TaskColumn {
    old_offset: u64,
    new_offset: u64,
    ty: FieldType,
    old: *const u8,
    new: *mut u8,
    /// Whether the new rows are whole.
    ready: bool,
}

/// A system of a task.
#[derive(Default)]
struct TaskSystem<'a> {
    system: u32,
    columns: Vec<(u32, bool)>,
    present: Vec<bool>,
    /// Terms over bit columns: their offsets.
    mask: Vec<(bool, Vec<u64>)>,
    payload: &'a [u8],
    views: Vec<ViewTable<'a>>,
}

thread_local! {
    static CACHE: RefCell<IdCache> = RefCell::default();
}

/// Runs the jobs of a schedule's systems.
pub(crate) struct SystemRunner {
    pub systems: Arc<[System]>,
    pub compiled: Arc<[Compiled]>,
    pub registry: Arc<Registry>,
    pub memory: JobMemory,
}

impl SystemRunner {
    fn columns(&self, words: &mut Words<'_>, count: u32, start: u32, len: u32) -> Result<Vec<TaskColumn>, String> {
        let mut columns = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let (old_offset, new_offset) = (words.next()?, words.next()?);
            let ty = words.ty()?;
            let (skip, bytes) = (u64::from(start) * ty.bytes() as u64, u64::from(len) * ty.bytes() as u64);
            let at = |offset: u64| offset.checked_add(skip).ok_or_else(|| "an offset is too large".to_owned());
            if !old_offset.is_multiple_of(64) || (new_offset != NO_OFFSET && !new_offset.is_multiple_of(64)) {
                return Err("a column does not begin at a multiple of 64 bytes".to_owned());
            }
            let (old, new) = if new_offset == NO_OFFSET {
                (self.memory.read(at(old_offset)?, bytes)?, std::ptr::null_mut())
            } else if new_offset == old_offset {
                // in place: one address for both, though a worker process has the bytes mapped twice
                let new = self.memory.write(at(new_offset)?, bytes)?;
                (new.cast_const(), new)
            } else {
                (self.memory.read(at(old_offset)?, bytes)?, self.memory.write(at(new_offset)?, bytes)?)
            };
            columns.push(TaskColumn { old_offset, new_offset, ty, old, new, ready: new_offset == old_offset });
        }
        Ok(columns)
    }

    fn mask(words: &mut Words<'_>, count: u32) -> Result<Vec<(bool, Vec<u64>)>, String> {
        let mut mask = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let (negated, bits) = words.pair()?;
            let offsets = (0..bits).map(|_| words.next()).collect::<Result<_, _>>()?;
            mask.push((negated != 0, offsets));
        }
        Ok(mask)
    }

    fn system<'a>(&self, words: &mut Words<'a>, columns: usize) -> Result<TaskSystem<'a>, String> {
        let (system, column_count) = words.pair()?;
        let (optionals, terms) = words.pair()?;
        let (views, payload) = words.pair()?;
        if system as usize >= self.systems.len() {
            return Err(format!("the program names system {system} of {}", self.systems.len()));
        }
        let mut task = TaskSystem { system, ..TaskSystem::default() };
        for _ in 0..column_count {
            let (column, write) = words.pair()?;
            if column as usize >= columns {
                return Err("the program names a column that its task has not".to_owned());
            }
            task.columns.push((column, write != 0));
        }
        for _ in 0..optionals {
            task.present.push(words.next()? != 0);
        }
        task.mask = Self::mask(words, terms)?;
        task.payload = words.bytes(payload)?;
        for _ in 0..views {
            task.views.push(self.view(words)?);
        }
        Ok(task)
    }

    fn view<'a>(&self, words: &mut Words<'a>) -> Result<ViewTable<'a>, String> {
        let (table, rows) = words.pair()?;
        let handles = words.next()?;
        let (columns, terms) = words.pair()?;
        let optionals = words.next()?;
        let present = (0..optionals).map(|_| words.next().map(|word| word != 0)).collect::<Result<_, _>>()?;
        let handles = self.memory.read(handles, u64::from(rows) * 8)?.cast::<Entity>();
        let mut raw = Vec::with_capacity(columns as usize);
        for _ in 0..columns {
            let offset = words.next()?;
            let ty = words.ty()?;
            let old = self.memory.read(offset, u64::from(rows) * ty.bytes() as u64)?;
            raw.push(RawColumn { old, new: std::ptr::null_mut(), ty, len: rows as usize });
        }
        let mut mask = Vec::new();
        for (negated, offsets) in Self::mask(words, terms)? {
            let bytes = u64::from(rows).div_ceil(64) * 8;
            let words = offsets
                .into_iter()
                .map(|offset| self.memory.read(offset, bytes).map(|words| words.cast::<u64>()))
                .collect::<Result<_, _>>()?;
            mask.push(ViewMask { negated, words });
        }
        Ok(ViewTable { table, rows, handles, columns: raw, present, mask, frozen: PhantomData })
    }

    /// The runs of rows of `start..end` that a system's mask leaves.
    fn runs(&self, mask: &[(bool, Vec<u64>)], start: u32, end: u32) -> Result<Vec<(u32, u32)>, String> {
        let mut terms = Vec::with_capacity(mask.len());
        let mut addresses = Vec::new();
        let first_word = u64::from(start / 64);
        let bytes = u64::from(end.div_ceil(64)) * 8 - first_word * 8;
        for (negated, offsets) in mask {
            let mut columns = Vec::with_capacity(offsets.len());
            for offset in offsets {
                columns.push(addresses.len() as u16);
                let from = offset.checked_add(first_word * 8).ok_or("an offset is too large")?;
                addresses.push(self.memory.read(from, bytes)?.cast::<u64>());
            }
            terms.push(if *negated { MaskTerm::Lacks(columns[0]) } else { MaskTerm::AnyOf(columns) });
        }
        let mut runs = Vec::new();
        let word = |column: u16, word: u32| {
            // SAFETY: bits of the job's own rows: mapped (checked above), frozen while a batch runs.
            unsafe { *addresses[usize::from(column)].add((u64::from(word) - first_word) as usize) }
        };
        mask_runs(&terms, start, end, word, |start, end| runs.push((start, end)));
        Ok(runs)
    }
}

impl Runner for SystemRunner {
    fn run_job(
        &self,
        program: &[u64],
        job: u32,
        out: &mut PatchWriter<'_>,
        undo: Option<&mut Undo<'_>>,
    ) -> Result<(), String> {
        let mut head = Words::at(program, 0)?;
        if head.next()? != MAGIC {
            return Err("the batch's program is damaged".to_owned());
        }
        let (frame, time, dt) = (head.next()?, f64::from_bits(head.next()?), f64::from_bits(head.next()?));
        let (frames, jobs, _, tasks_at) = (head.next()?, head.next()?, head.next()?, head.next()?);
        let (resources, resource_bytes) = (head.next()?, head.next()?);
        let (locations, generations, slots) = (head.next()?, head.next()?, head.next()?);
        if u64::from(job) >= jobs {
            return Err(format!("the program has no job {job}"));
        }
        let mut words = Words::at(program, HEADER_WORDS as u64 + 2 * u64::from(job))?;
        let (task, _) = words.pair()?;
        let (start, end) = words.pair()?;
        let at = Words::at(program, tasks_at.saturating_add(u64::from(task)))?.next()?;
        let mut words = Words::at(program, at)?;
        let (table, rows) = words.pair()?;
        let handles = words.next()?;
        let (column_count, system_count) = words.pair()?;
        if start >= end || end > rows || !start.is_multiple_of(64) {
            return Err(format!("the program has a job of rows {start}..{end} of {rows}"));
        }
        let len = end - start;
        let mut columns = self.columns(&mut words, column_count, start, len)?;
        let entities = self.memory.read(handles, u64::from(rows) * 8)?.cast::<Entity>();
        // SAFETY: the table's handles, mapped (checked) and frozen while a batch runs.
        let entities = unsafe { std::slice::from_raw_parts(entities.add(start as usize), len as usize) };
        let resources = self.memory.read(resources, resource_bytes)?;
        // SAFETY: as above.
        let resources = unsafe { std::slice::from_raw_parts(resources, resource_bytes as usize) };
        let slots = usize::try_from(slots).map_err(|_| "too many slots")?;
        let locations = self.memory.read(locations, slots as u64 * 8)?.cast::<u64>();
        let generations = self.memory.read(generations, slots as u64 * 4)?.cast::<u32>();
        // SAFETY: the entity map, mapped (checked) and frozen while a batch runs.
        let map = unsafe {
            EntityMap {
                locations: std::slice::from_raw_parts(locations, slots),
                generations: std::slice::from_raw_parts(generations, slots),
            }
        };
        let systems: Vec<TaskSystem<'_>> =
            (0..system_count).map(|_| self.system(&mut words, columns.len())).collect::<Result<_, _>>()?;
        if let Some(undo) = undo {
            save_in_place(&columns, start, len, undo)?;
        }
        let mut info = FrameInfo { frame, time, dt };
        for pass in 0..frames.max(1) {
            if pass > 0 {
                info.frame += 1;
                info.time += dt;
            }
            for system in &systems {
                self.run_system(system, &mut columns, info, (table, start, end), (entities, resources, map), out)?;
            }
        }
        self.memory.trim();
        Ok(())
    }
}

/// Saves the old rows of every column that the job writes in place.
fn save_in_place(columns: &[TaskColumn], start: u32, len: u32, undo: &mut Undo<'_>) -> Result<(), String> {
    for column in columns.iter().filter(|column| column.new_offset == column.old_offset) {
        let bytes = column.ty.bytes() as u64;
        let offset = column.new_offset + u64::from(start) * bytes;
        // SAFETY: the job's own rows, which nobody else touches; shared only until the kernels run.
        let rows = unsafe { std::slice::from_raw_parts(column.old, (u64::from(len) * bytes) as usize) };
        if !undo.save(offset, rows) {
            return Err(format!("{} bytes written in place do not fit the worker's undo area", rows.len()));
        }
    }
    Ok(())
}

impl SystemRunner {
    fn run_system(
        &self,
        system: &TaskSystem<'_>,
        columns: &mut [TaskColumn],
        info: FrameInfo,
        (table, start, end): (u32, u32, u32),
        (entities, resources, map): (&[Entity], &[u8], EntityMap<'_>),
        out: &mut PatchWriter<'_>,
    ) -> Result<(), String> {
        let len = (end - start) as usize;
        let raw: Vec<RawColumn> = system
            .columns
            .iter()
            .map(|(place, write)| {
                let column = &columns[*place as usize];
                let old = if column.ready { column.new.cast_const() } else { column.old };
                let new = if *write { column.new } else { std::ptr::null_mut() };
                RawColumn { old, new, ty: column.ty, len }
            })
            .collect();
        if system.columns.iter().any(|(place, write)| *write && columns[*place as usize].new.is_null()) {
            return Err("the program lets a system write a column that is only read".to_owned());
        }
        let ready: Vec<Cell<bool>> =
            system.columns.iter().map(|(place, _)| Cell::new(columns[*place as usize].ready)).collect();
        let kernel = &self.systems[system.system as usize].kernel;
        let compiled = &self.compiled[system.system as usize];
        let mut error = None;
        let mut call = |raw: &[RawColumn], ready: &[Cell<bool>], first: u32, entities: &[Entity]| {
            CACHE.with_borrow_mut(|cache| {
                let mut job = Job {
                    frame: info,
                    payload: system.payload,
                    entities,
                    first_row: first,
                    table,
                    map,
                    resources,
                    readable: &compiled.reads_resources,
                    registry: &self.registry,
                    cache,
                    writer: out,
                    error: &mut error,
                };
                // SAFETY: columns of the job's own rows as the cursor asks for: old rows frozen, new rows this job's
                // alone, each written column once per system (the query sees to that), all mapped while the job runs.
                let columns = unsafe { ColumnCursor::new(raw, ready) };
                let mut fetch = Fetch { columns, entities, present: &system.present, next_optional: 0 };
                kernel.run(&mut job, &mut fetch, &system.views)
            })
        };
        if system.mask.is_empty() {
            call(&raw, &ready, start, entities)?;
        } else {
            let runs = self.runs(&system.mask, start, end)?;
            if runs == [(start, end)] {
                call(&raw, &ready, start, entities)?;
            } else {
                // rows between the runs keep their values
                // SAFETY: no slice of these columns is in use yet.
                unsafe { finish(&raw, &ready) };
                for (from, to) in runs {
                    let skip = (from - start) as usize;
                    let len = (to - from) as usize;
                    let part: Vec<RawColumn> = raw
                        .iter()
                        .map(|column| {
                            let written = !column.new.is_null();
                            let base = if written { column.new.cast_const() } else { column.old };
                            // SAFETY: `skip` rows into a column of more.
                            let old = unsafe { base.add(skip * column.ty.bytes()) };
                            let new = if written { old.cast_mut() } else { std::ptr::null_mut() };
                            RawColumn { old, new, ty: column.ty, len }
                        })
                        .collect();
                    call(&part, &ready, from, &entities[skip..skip + len])?;
                }
            }
        }
        // SAFETY: the kernel has returned, its slices are gone.
        unsafe { finish(&raw, &ready) };
        for ((place, write), ready) in system.columns.iter().zip(&ready) {
            columns[*place as usize].ready |= *write && ready.get();
        }
        match error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
