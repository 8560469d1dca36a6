//! A task's words, decoded into lists that are kept from job to job: nothing is allocated once they have grown.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ops::Range;

use crate::Entity;
use crate::accumulate::Combiner;
use crate::column::{RawColumn, RowState};
use crate::gather::Gathered;
use crate::layout::FieldType;
use crate::reduce::Reduced;
use crate::world::store::built::ListRoom;

use crate::schedule::built::Built;
use crate::schedule::job::IdCache;
use crate::schedule::kept_starts::KeptStarts;
use crate::schedule::memory::JobMemory;
use crate::schedule::neighbours::{ListElements, NeighbourMask, NeighbourRows};

use super::entries::{
    BuildHead, BuildSpans, ColumnEntry, ColumnUse, Head, JobEntry, ListHead, MaskHead, SystemHead, TaskHead,
    ViewColumn, ViewHead,
};
use super::words::{Entry, Words, rubbish};

/// Bytes of a table's columns, old and new, from which on new rows are written past the caches: more than most processors'
/// last cache. `cargo bench --bench streaming` shows from where on it pays in a loop; in a frame it is later.
pub(crate) const STREAMED_BYTES_MIN: u64 = 96 << 20;

/// A column of a task, for the rows of one job.
pub(crate) struct TaskColumn {
    pub old_offset: u64,
    pub ty: FieldType,
    pub component: u16,
    pub field: u8,
    pub old: *const u8,
    pub new: *mut u8,
    /// Whether it is written in place: both are the same rows.
    pub in_place: bool,
    /// Whether the rows are at `new`: a system of the task has written them, or both are the same rows.
    pub is_new: bool,
    /// The system that alone has the column, and so may write it past the caches.
    pub streams_after: Option<usize>,
}

/// A system of a task: parts of the task's lists.
pub(crate) struct TaskSystem {
    pub system: u32,
    /// Into `columns_used`.
    pub columns: Range<usize>,
    /// Into `present`.
    pub present: Range<usize>,
    /// Into `masks`.
    pub masks: Range<usize>,
    /// Bytes of the payload, and the word where it begins.
    pub payload: (usize, u32),
    /// Into `views`.
    pub views: Range<usize>,
    /// Into `lists`.
    pub lists: Range<usize>,
    /// Passes in which it touched a column.
    pub passes: u32,
}

/// A column that a system uses.
pub(crate) struct Used {
    /// Its place among the task's columns.
    pub place: u32,
    /// Whether the system writes it.
    pub write: bool,
    /// Whether the system touched it.
    pub touched: bool,
}

/// One condition on rows: whether the bits must be clear, and offsets of bit columns.
pub(crate) struct Mask {
    pub negated: bool,
    pub offsets: Range<usize>,
}

/// A decoded task, and everything else that a job needs and that is worth keeping.
#[derive(Default)]
pub(crate) struct Task {
    pub columns: Vec<TaskColumn>,
    pub systems: Vec<TaskSystem>,
    pub columns_used: Vec<Used>,
    pub present: Vec<bool>,
    pub masks: Vec<Mask>,
    pub offsets: Vec<u64>,
    pub views: Vec<NeighbourRows>,
    pub view_columns: Vec<RawColumn>,
    pub view_present: Vec<bool>,
    pub view_masks: Vec<NeighbourMask>,
    pub view_words: Vec<*const u64>,
    pub lists: Vec<ListElements>,
    pub list_columns: Vec<RawColumn>,
    /// The lists that the job builds in place, and the columns of its part of their pool.
    pub built: Built,
    pub built_columns: Vec<(*mut u8, usize)>,
    // one system's call
    pub raw: Vec<RawColumn>,
    pub part: Vec<RawColumn>,
    pub states: Vec<Cell<RowState>>,
    /// Per column: whether rows beyond the pieces that the kernel gets are whole.
    pub carried: Vec<bool>,
    /// Old rows of tracked columns that are written in place, and where each column's begin.
    pub saved: Vec<u8>,
    pub saved_at: Vec<Option<usize>>,
    /// Tracked components of which rows changed, and a bit for each row of each one.
    pub changed: Vec<u16>,
    pub changed_words: Vec<u64>,
    /// The rows that its mask leaves, a bit each.
    pub bits: Vec<u64>,
    /// The rows that one condition leaves.
    pub any: Vec<u64>,
    pub gathered: Gathered,
    pub cache: IdCache,
    pub starts: KeptStarts,
    pub reduced: Reduced,
    pub combiner: Combiner,
    /// Whether a kernel asked for its memory to be closed after it.
    pub revoke: Cell<bool>,
}

/// Where a job builds lists.
pub(crate) struct Building {
    pub component: u16,
    pub room: ListRoom,
    pub starts: *mut u32,
    pub lengths: *mut u32,
}

/// A job found in a program: the rows that it is for, and its task's words.
pub(crate) struct Found<'a> {
    pub job: JobEntry,
    pub task: TaskHead,
    words: Words<'a>,
}

impl<'a> Found<'a> {
    /// Finds a job, and checks that its rows are some of its task's.
    pub(crate) fn of(program: &'a [u64], head: &Head, job: u32) -> Result<Found<'a>, String> {
        if u64::from(job) >= head.jobs {
            return Err(format!("the program has no job {job}"));
        }
        let at = Head::WORDS as u64 + JobEntry::WORDS as u64 * u64::from(job);
        let job = JobEntry::decode(&mut Words::at(program, at)?)?;
        let at = Words::at(program, head.tasks_at.saturating_add(u64::from(job.task)))?.next()?;
        let mut words = Words::at(program, at)?;
        let task = TaskHead::decode(&mut words)?;
        let JobEntry { start, end, .. } = job;
        // a job without rows is that of a system without any
        if start > end || (start == end && task.rows > 0) || end > task.rows || !start.is_multiple_of(64) {
            return Err(format!("the program has a job of rows {start}..{end} of {}", task.rows));
        }
        Ok(Found { job, task, words })
    }
}

impl Task {
    /// Decodes a job's task for the job's rows.
    pub(crate) fn decode(
        &mut self,
        mut found: Found<'_>,
        known_systems: usize,
        memory: &JobMemory,
    ) -> Result<(), String> {
        let rows = (found.job.start, found.job.end - found.job.start, found.task.rows);
        self.columns.clear();
        self.systems.clear();
        self.columns_used.clear();
        self.present.clear();
        self.masks.clear();
        self.offsets.clear();
        self.views.clear();
        self.view_columns.clear();
        self.view_present.clear();
        self.view_masks.clear();
        self.view_words.clear();
        self.lists.clear();
        self.list_columns.clear();
        self.built.end();
        self.built_columns.clear();
        self.changed.clear();
        self.changed_words.clear();
        self.reduced.clear();
        self.combiner.clear();
        for _ in 0..found.task.columns {
            let column = Self::column(ColumnEntry::decode(&mut found.words)?, rows, memory)?;
            self.columns.push(column);
        }
        for _ in 0..found.task.systems {
            self.system(&mut found.words, known_systems, memory)?;
        }
        Ok(())
    }

    /// Decides which columns of a table of `rows` rows are written past the caches: where the table does not fit into them,
    /// those that one system writes and no other system of the job looks at.
    pub(crate) fn stream(&mut self, rows: u32, frames: u64) {
        let bytes_of = |column: &TaskColumn| column.ty.bytes() as u64 * if column.new.is_null() { 1 } else { 2 };
        let bytes = u64::from(rows) * self.columns.iter().map(bytes_of).sum::<u64>();
        if bytes < STREAMED_BYTES_MIN || frames > 1 {
            return;
        }
        for (place, column) in self.columns.iter_mut().enumerate().filter(|(_, column)| !column.is_new) {
            let uses = |system: &TaskSystem| {
                self.columns_used[system.columns.clone()].iter().any(|used| used.place as usize == place)
            };
            let mut users = self.systems.iter().enumerate().filter(|(_, system)| uses(system)).map(|(index, _)| index);
            column.streams_after = users.next().filter(|_| users.next().is_none());
        }
    }

    /// A column where the job's rows of it are.
    fn column(
        entry: ColumnEntry,
        (start, len, rows): (u32, u32, u32),
        memory: &JobMemory,
    ) -> Result<TaskColumn, String> {
        let ColumnEntry { old: old_offset, new: new_offset, ty, component, field } = entry;
        let (skip, bytes) = (u64::from(start) * ty.bytes() as u64, u64::from(len) * ty.bytes() as u64);
        let whole = u64::from(rows) * ty.bytes() as u64;
        let at = |offset: u64| offset.checked_add(skip).ok_or_else(|| "an offset is too large".to_owned());
        if !old_offset.is_multiple_of(64) || new_offset.is_some_and(|offset| !offset.is_multiple_of(64)) {
            return Err("a column does not begin at a multiple of 64 bytes".to_owned());
        }
        let in_place = new_offset == Some(old_offset);
        let (old, new) = match new_offset {
            None => (memory.read(at(old_offset)?, bytes)?, std::ptr::null_mut()),
            Some(offset) => {
                let new = memory.write(offset, whole, skip)?;
                // in place: one address for both, though a worker process has the bytes mapped twice
                (if in_place { new.cast_const() } else { memory.read(at(old_offset)?, bytes)? }, new)
            }
        };
        Ok(TaskColumn { old_offset, ty, component, field, old, new, in_place, is_new: in_place, streams_after: None })
    }

    fn system(&mut self, words: &mut Words<'_>, known_systems: usize, memory: &JobMemory) -> Result<(), String> {
        let head = SystemHead::decode(words)?;
        let system = head.system;
        if system as usize >= known_systems {
            return Err(format!("the program names system {system} of {known_systems}"));
        }
        let columns_from = self.columns_used.len();
        for _ in 0..head.columns {
            let ColumnUse { place, write } = ColumnUse::decode(words)?;
            let column = self.columns.get(place as usize).ok_or("the program names a column that its task has not")?;
            if write && column.new.is_null() {
                return Err("the program lets a system write a column that is only read".to_owned());
            }
            self.columns_used.push(Used { place, write, touched: false });
        }
        let present_from = self.present.len();
        for _ in 0..head.optionals {
            self.present.push(words.flag()?);
        }
        let masks_from = self.masks.len();
        for _ in 0..head.conditions {
            let MaskHead { negated, bits } = MaskHead::decode(words)?;
            let from = self.offsets.len();
            for _ in 0..bits {
                self.offsets.push(words.next()?);
            }
            self.masks.push(Mask { negated, offsets: from..self.offsets.len() });
        }
        let payload_at = words.place();
        words.bytes(u64::from(head.payload_bytes))?;
        let views_from = self.views.len();
        for _ in 0..head.views {
            self.view(words, memory)?;
        }
        if !self.views[views_from..].is_sorted_by_key(|rows| rows.view) {
            return Err("the program's views are in no order".to_owned());
        }
        let lists_from = self.lists.len();
        for _ in 0..head.lists {
            self.list(words, memory)?;
        }
        self.systems.push(TaskSystem {
            system,
            columns: columns_from..self.columns_used.len(),
            present: present_from..self.present.len(),
            masks: masks_from..self.masks.len(),
            payload: (payload_at, head.payload_bytes),
            views: views_from..self.views.len(),
            lists: lists_from..self.lists.len(),
            passes: 0,
        });
        Ok(())
    }

    /// Where a job builds lists, if it does: the component, its part of the pool, and the spans of its rows. The columns of the
    /// part go to `built_columns`.
    pub(crate) fn building(
        &mut self,
        program: &[u64],
        head: &Head,
        number: u32,
        (job, rows): (JobEntry, u32),
        memory: &JobMemory,
    ) -> Result<Option<Building>, String> {
        if head.builds_at == 0 || job.start == job.end {
            return Ok(None);
        }
        let mut words = Words::at(program, head.builds_at)?;
        let BuildHead { component, columns, elements } = BuildHead::decode(&mut words)?;
        let columns_at = words;
        for _ in 0..columns {
            ViewColumn::decode(&mut words)?;
        }
        let base = words.place() as u64;
        let at = |tasks: u64, jobs: u64| {
            let spans = tasks.saturating_mul(BuildSpans::WORDS as u64);
            base.saturating_add(spans).saturating_add(ListRoom::WORDS as u64 * jobs)
        };
        let spans = BuildSpans::decode(&mut Words::at(program, at(u64::from(job.task), 0))?)?;
        let room = ListRoom::decode(&mut Words::at(program, at(head.tasks, u64::from(number)))?)?;
        if u64::from(room.first) + u64::from(room.room) > u64::from(elements) {
            return Err("the program gives a job room outside of the elements".to_owned());
        }
        let mut words = columns_at;
        for _ in 0..columns {
            let ViewColumn { offset, ty } = ViewColumn::decode(&mut words)?;
            let bytes = ty.bytes() as u64;
            let column = match room.room {
                0 => std::ptr::NonNull::dangling().as_ptr(),
                _ => memory.write(offset, u64::from(elements) * bytes, u64::from(room.first) * bytes)?,
            };
            self.built_columns.push((column, ty.bytes()));
        }
        let span = |offset: u64| {
            if !offset.is_multiple_of(64) {
                return Err("a column does not begin at a multiple of 64 bytes".to_owned());
            }
            Ok(memory.write(offset, 4 * u64::from(rows), 4 * u64::from(job.start))?.cast::<u32>())
        };
        let component = u16::try_from(component).map_err(|_| rubbish())?;
        Ok(Some(Building { component, room, starts: span(spans.starts)?, lengths: span(spans.lengths)? }))
    }

    fn list(&mut self, words: &mut Words<'_>, memory: &JobMemory) -> Result<(), String> {
        let ListHead { component, columns, elements } = ListHead::decode(words)?;
        let from = self.list_columns.len() as u32;
        for _ in 0..columns {
            let ViewColumn { offset, ty } = ViewColumn::decode(words)?;
            let old = memory.read(offset, u64::from(elements) * ty.bytes() as u64)?;
            let new = std::ptr::null_mut();
            self.list_columns.push(RawColumn { old, new, ty, len: elements as usize, streams: false });
        }
        let columns = from..self.list_columns.len() as u32;
        self.lists.push(ListElements { component, elements, columns });
        Ok(())
    }

    fn view(&mut self, words: &mut Words<'_>, memory: &JobMemory) -> Result<(), String> {
        let ViewHead { table, rows: own_rows, ghosts, handles, columns, conditions, optionals, view, elsewhere } =
            ViewHead::decode(words)?;
        // ghosts have no bits
        let rows = own_rows.checked_add(ghosts).filter(|_| ghosts == 0 || conditions == 0);
        let rows = rows.ok_or("the program shows ghosts that a table cannot have")?;
        let present_from = self.view_present.len() as u32;
        for _ in 0..optionals {
            self.view_present.push(words.flag()?);
        }
        let handles = memory.read(handles, u64::from(rows) * 8)?.cast::<Entity>();
        let columns_from = self.view_columns.len() as u32;
        for _ in 0..columns {
            let ViewColumn { offset, ty } = ViewColumn::decode(words)?;
            let old = memory.read(offset, u64::from(rows) * ty.bytes() as u64)?;
            self.view_columns.push(RawColumn {
                old,
                new: std::ptr::null_mut(),
                ty,
                len: rows as usize,
                streams: false,
            });
        }
        let masks_from = self.view_masks.len() as u32;
        let bytes = u64::from(rows).div_ceil(64) * 8;
        for _ in 0..conditions {
            let MaskHead { negated, bits } = MaskHead::decode(words)?;
            let from = self.view_words.len() as u32;
            for _ in 0..bits {
                self.view_words.push(memory.read(words.next()?, bytes)?.cast::<u64>());
            }
            self.view_masks.push(NeighbourMask { negated, words: from..self.view_words.len() as u32 });
        }
        self.views.push(NeighbourRows {
            view,
            table,
            rows,
            own_rows,
            elsewhere,
            handles,
            columns: columns_from..self.view_columns.len() as u32,
            present: present_from..self.view_present.len() as u32,
            masks: masks_from..self.view_masks.len() as u32,
        });
        Ok(())
    }
}
