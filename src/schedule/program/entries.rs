//! Every structure of a program: its fields, how it is written and how it is read, side by side.
//!
//! Invariant: `decode` gives back what `encode` was given, and reads no word more or less (tested for each structure).
//! Whether what is read makes sense for the tables at hand is checked where it is used, in [`super::task`].
#![forbid(unsafe_code)]

use super::words::{Entry, Words, halves, rubbish, type_word};
use crate::layout::FieldType;
use crate::world::store::built::ListRoom;

/// First word of a program.
const MAGIC: u64 = u64::from_le_bytes(*b"HYPOPROG");
/// "Only read", in place of an offset.
const NO_OFFSET: u64 = u64::MAX;

/// The head of a program: the batch, and where everything is that all of its jobs share.
///
/// ```text
/// 0 magic · 1 frame · 2 time f64 · 3 dt f64 · 4 frames · 5 jobs · 6 tasks · 7 where the tasks' index begins
/// 8 resources offset · 9 resources bytes · 10 locations offset · 11 generations offset · 12 slots
/// 13 words in all · 14 names frame and batch: reserved handles come of it · 15 seed · 16 pass of a loop
/// 17 serial number of the program · 18 where the lists begin that its jobs build, or 0
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Head {
    pub frame: u64,
    pub time: f64,
    pub dt: f64,
    /// Frames that the jobs run one after the other.
    pub frames: u64,
    pub jobs: u64,
    pub tasks: u64,
    /// The word where the tasks' index begins.
    pub tasks_at: u64,
    pub resources_offset: u64,
    pub resources_bytes: u64,
    pub locations_offset: u64,
    pub generations_offset: u64,
    /// Entity slots: entries of `locations` and `generations`.
    pub slots: u64,
    /// Words of the whole program.
    pub words: u64,
    /// Names frame and batch.
    pub batch_tag: u64,
    /// What random numbers depend on.
    pub seed: u64,
    /// Which pass of a loop it is.
    pub iteration: u32,
    /// No other program of this main process has it: what a worker keeps from job to job is kept for one program.
    pub serial: u64,
    /// The word where the lists begin that the jobs build in place ([`BuildHead`]); 0: they build none.
    pub builds_at: u64,
}

impl Entry for Head {
    const WORDS: usize = 19;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([
            MAGIC,
            self.frame,
            self.time.to_bits(),
            self.dt.to_bits(),
            self.frames,
            self.jobs,
            self.tasks,
            self.tasks_at,
            self.resources_offset,
            self.resources_bytes,
            self.locations_offset,
            self.generations_offset,
            self.slots,
            self.words,
            self.batch_tag,
            self.seed,
            u64::from(self.iteration),
            self.serial,
            self.builds_at,
        ]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<Head, String> {
        if words.next()? != MAGIC {
            return Err(rubbish());
        }
        let head = Head {
            frame: words.next()?,
            time: f64::from_bits(words.next()?),
            dt: f64::from_bits(words.next()?),
            frames: words.next()?,
            jobs: words.next()?,
            tasks: words.next()?,
            tasks_at: words.next()?,
            resources_offset: words.next()?,
            resources_bytes: words.next()?,
            locations_offset: words.next()?,
            generations_offset: words.next()?,
            slots: words.next()?,
            words: words.next()?,
            batch_tag: words.next()?,
            seed: words.next()?,
            iteration: words.next()? as u32,
            serial: words.next()?,
            builds_at: words.next()?,
        };
        Ok(head)
    }
}

/// One job: rows of a task. Words: `task | system << 32`, `start | end << 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobEntry {
    pub task: u32,
    /// The first of the task's systems.
    pub system: u32,
    pub start: u32,
    pub end: u32,
}

impl Entry for JobEntry {
    const WORDS: usize = 2;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([halves(self.task, self.system), halves(self.start, self.end)]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<JobEntry, String> {
        let (task, system) = words.pair()?;
        let (start, end) = words.pair()?;
        Ok(JobEntry { task, system, start, end })
    }
}

/// The head of a task. Words: `table | rows << 32`, handles offset, `columns | systems << 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskHead {
    pub table: u32,
    pub rows: u32,
    /// Where the table's handles are.
    pub handles: u64,
    pub columns: u32,
    pub systems: u32,
}

impl Entry for TaskHead {
    const WORDS: usize = 3;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([halves(self.table, self.rows), self.handles, halves(self.columns, self.systems)]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<TaskHead, String> {
        let (table, rows) = words.pair()?;
        let handles = words.next()?;
        let (columns, systems) = words.pair()?;
        Ok(TaskHead { table, rows, handles, columns, systems })
    }
}

/// A column that a task uses. Words: old offset, new offset (all ones: only read), `scalar | array length << 8`,
/// `component | field << 16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnEntry {
    pub old: u64,
    /// Where it is written; none: it is only read.
    pub new: Option<u64>,
    pub ty: FieldType,
    pub component: u16,
    pub field: u8,
}

impl Entry for ColumnEntry {
    const WORDS: usize = 4;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([
            self.old,
            self.new.unwrap_or(NO_OFFSET),
            type_word(self.ty),
            u64::from(self.component) | u64::from(self.field) << 16,
        ]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<ColumnEntry, String> {
        let (old, new) = (words.next()?, words.next()?);
        let ty = words.ty()?;
        let name = words.next()?;
        let new = (new != NO_OFFSET).then_some(new);
        Ok(ColumnEntry { old, new, ty, component: name as u16, field: (name >> 16) as u8 })
    }
}

/// The head of a system in a task. Words: `system | columns << 32`, `optionals | conditions << 32`,
/// `views | payload bytes << 32`, `lists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SystemHead {
    pub system: u32,
    pub columns: u32,
    pub optionals: u32,
    pub conditions: u32,
    pub views: u32,
    pub payload_bytes: u32,
    /// The last of its columns are the spans of so many lists; the elements come after the views.
    pub lists: u32,
}

impl Entry for SystemHead {
    const WORDS: usize = 4;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([
            halves(self.system, self.columns),
            halves(self.optionals, self.conditions),
            halves(self.views, self.payload_bytes),
            u64::from(self.lists),
        ]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<SystemHead, String> {
        let (system, columns) = words.pair()?;
        let (optionals, conditions) = words.pair()?;
        let (views, payload_bytes) = words.pair()?;
        let lists = u32::try_from(words.next()?).map_err(|_| rubbish())?;
        Ok(SystemHead { system, columns, optionals, conditions, views, payload_bytes, lists })
    }
}

/// A system's use of one of its task's columns. Word: `place | write << 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnUse {
    /// Its place among the task's columns.
    pub place: u32,
    pub write: bool,
}

impl Entry for ColumnUse {
    const WORDS: usize = 1;

    fn encode(&self, words: &mut Vec<u64>) {
        words.push(halves(self.place, u32::from(self.write)));
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<ColumnUse, String> {
        let (place, write) = words.pair()?;
        Ok(ColumnUse { place, write: write != 0 })
    }
}

/// One condition on rows: at least one of so many bits is set, or none. The offsets of the bits' columns come after it, a
/// word each. Word: `negated | bits << 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaskHead {
    pub negated: bool,
    pub bits: u32,
}

impl Entry for MaskHead {
    const WORDS: usize = 1;

    fn encode(&self, words: &mut Vec<u64>) {
        words.push(halves(u32::from(self.negated), self.bits));
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<MaskHead, String> {
        let (negated, bits) = words.pair()?;
        Ok(MaskHead { negated: negated != 0, bits })
    }
}

/// The head of another table that a system looks at. Words: `table | rows << 32`, handles offset,
/// `columns | conditions << 32`, `optionals | view << 32`, ghosts, `elsewhere | first << 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewHead {
    pub table: u32,
    /// The table's own rows.
    pub rows: u32,
    /// Ghosts behind them.
    pub ghosts: u32,
    /// Where the table's handles are.
    pub handles: u64,
    pub columns: u32,
    pub conditions: u32,
    pub optionals: u32,
    /// Which of the system's views it is of.
    pub view: u32,
    /// The table of what stands for the ghosts, and the first of these rows; `u32::MAX`: they have no handles.
    pub elsewhere: (u32, u32),
}

impl Entry for ViewHead {
    const WORDS: usize = 6;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([
            halves(self.table, self.rows),
            self.handles,
            halves(self.columns, self.conditions),
            halves(self.optionals, self.view),
            u64::from(self.ghosts),
            halves(self.elsewhere.0, self.elsewhere.1),
        ]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<ViewHead, String> {
        let (table, rows) = words.pair()?;
        let handles = words.next()?;
        let (columns, conditions) = words.pair()?;
        let (optionals, view) = words.pair()?;
        let ghosts = u32::try_from(words.next()?).map_err(|_| rubbish())?;
        let elsewhere = words.pair()?;
        Ok(ViewHead { table, rows, ghosts, handles, columns, conditions, optionals, view, elsewhere })
    }
}

/// The head of the elements of a list that a system looks at; a [`ViewColumn`] for each field follows. Words:
/// `component | columns << 32`, elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListHead {
    pub component: u32,
    pub columns: u32,
    pub elements: u32,
}

impl Entry for ListHead {
    const WORDS: usize = 2;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([halves(self.component, self.columns), u64::from(self.elements)]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<ListHead, String> {
        let (component, columns) = words.pair()?;
        let elements = u32::try_from(words.next()?).map_err(|_| rubbish())?;
        Ok(ListHead { component, columns, elements })
    }
}

/// A column of a view. Words: offset, `scalar | array length << 8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewColumn {
    pub offset: u64,
    pub ty: FieldType,
}

impl Entry for ViewColumn {
    const WORDS: usize = 2;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([self.offset, type_word(self.ty)]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<ViewColumn, String> {
        Ok(ViewColumn { offset: words.next()?, ty: words.ty()? })
    }
}

/// The head of the lists that a program's jobs build in place. A [`ViewColumn`] for each field of the elements follows, then
/// [`BuildSpans`] for each task, then a [`ListRoom`] for each job. Words: `component | columns << 32`, elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BuildHead {
    pub component: u32,
    pub columns: u32,
    /// Elements of the whole pool.
    pub elements: u32,
}

impl Entry for BuildHead {
    const WORDS: usize = 2;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([halves(self.component, self.columns), u64::from(self.elements)]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<BuildHead, String> {
        let (component, columns) = words.pair()?;
        let elements = u32::try_from(words.next()?).map_err(|_| rubbish())?;
        Ok(BuildHead { component, columns, elements })
    }
}

/// Where the spans of a task's rows are written. Words: offset of the places, of the lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BuildSpans {
    pub starts: u64,
    pub lengths: u64,
}

impl Entry for BuildSpans {
    const WORDS: usize = 2;

    fn encode(&self, words: &mut Vec<u64>) {
        words.extend([self.starts, self.lengths]);
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<BuildSpans, String> {
        Ok(BuildSpans { starts: words.next()?, lengths: words.next()? })
    }
}

/// The part of a pool that is a job's. Word: `first | room << 32`.
impl Entry for ListRoom {
    const WORDS: usize = 1;

    fn encode(&self, words: &mut Vec<u64>) {
        words.push(halves(self.first, self.room));
    }

    #[inline]
    fn decode(words: &mut Words<'_>) -> Result<ListRoom, String> {
        let (first, room) = words.pair()?;
        Ok(ListRoom { first, room })
    }
}
