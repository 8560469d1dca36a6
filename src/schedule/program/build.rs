//! A group of systems and the tables of the moment become a program: tasks, jobs, and what is to be done once all
//! jobs have ended. Row ranges depend on the tables' rows alone.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::commit::JobRows;
use crate::layout::{FieldType, ScalarType};
use crate::lists::SPAN_TYPE;
use crate::region::RegionError;
use crate::schedule::graph::Group;
use crate::schedule::job::FrameInfo;
use crate::schedule::system::Compiled;
use crate::table::{ENTITIES, RESOURCES, Table};
use crate::world::WorldError;
use crate::world::access::query::{MaskTerm, Matched};
use crate::world::store::Store;

use super::build_lists::{BuiltWork, ListRooms};
use super::entries::{
    ColumnEntry, ColumnUse, Head, JobEntry, ListHead, MaskHead, SystemHead, TaskHead, ViewColumn, ViewHead,
};
use super::ghosts;
use super::matches::Matches;
use super::sort_work::SortWork;
use super::words::{Entry, push_bytes};

/// The next program's serial number.
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A column that a batch writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrittenColumn {
    pub table: u32,
    pub column: u16,
    pub component: u16,
    pub field: u8,
    /// Handles in a row's value.
    pub handles: u32,
    /// Whether another extent is written, which is to become live where a job touched it.
    pub flip: bool,
    /// Where its first row is written.
    pub offset: u64,
    /// Bytes of a row.
    pub row_bytes: u32,
}

/// A batch, ready to run. Kept from batch to batch for its memory.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub words: Vec<u64>,
    pub jobs: Vec<JobRows>,
    /// Per job: its task.
    pub job_tasks: Vec<u32>,
    pub written: Vec<WrittenColumn>,
    /// Per task: its part of `written`.
    pub task_written: Vec<(u32, u32)>,
    /// Per task: its systems' part of `task_systems`.
    pub task_members: Vec<(u32, u32)>,
    /// Systems of all tasks, those of one task in a row.
    pub task_systems: Vec<usize>,
    /// Jobs of the batch: a sort that follows it has others.
    pub batch_jobs: u32,
    /// The lists that its jobs build in place.
    pub built: Option<BuiltWork>,
    /// What a sort needs.
    pub sort: SortWork,
    /// Rows of all jobs, and an estimate of their work in nanoseconds.
    pub rows: u64,
    pub estimate_ns: u64,
    matches: Matches,
    /// Columns that show ghosts.
    ghosts: Vec<(u32, u16)>,
    members: Vec<usize>,
    pub(super) tasks: Vec<u64>,
    pub(super) task_words: Vec<u64>,
    /// Columns of the task being built: place in the table, whether written, component, field.
    columns: Vec<(u16, bool, u16, u8)>,
}

/// What a row costs, roughly: for telling a batch that is worth waking workers from one that is not.
const ROW_LOCAL_NS: u64 = 1;
const NEIGHBOUR_NS: u64 = 100;

/// What the builder needs to know beside the systems.
pub(crate) struct BuildContext<'a> {
    pub store: &'a mut Store,
    pub compiled: &'a [Compiled],
    pub payloads: &'a [Vec<u8>],
    /// By system: whether it does not run now.
    pub skips: &'a [bool],
    pub info: FrameInfo,
    /// Names frame and batch.
    pub batch_tag: u64,
    /// Frames that the jobs run one after the other.
    pub frames: u64,
    /// Bytes that a job may write in place, where its worker must be able to undo them.
    pub undo_bytes: Option<u64>,
    /// What is known of the lists that systems build.
    pub list_rooms: &'a mut ListRooms,
}

/// The type of a column that rows have of a component's field.
pub(crate) fn field_type(store: &Store, component: u16, field: u8) -> FieldType {
    let declared = &store.layout.components()[usize::from(component)];
    // rows have the places of lists
    if declared.storage.is_list() { SPAN_TYPE } else { declared.fields[usize::from(field)].ty }
}

impl Work {
    /// Lists the jobs of another batch from here on.
    pub(crate) fn begin_jobs(&mut self) {
        self.words.clear();
        self.jobs.clear();
        self.job_tasks.clear();
        self.written.clear();
        self.task_written.clear();
        self.task_members.clear();
        self.task_systems.clear();
        self.tasks.clear();
        self.task_words.clear();
        (self.rows, self.estimate_ns, self.batch_jobs) = (0, 0, 0);
    }

    /// Lists the jobs of systems on a table of `rows` rows, of a batch that has no program.
    pub(crate) fn list_jobs(&mut self, table: u32, rows: u32, job_rows: u32, systems: impl Iterator<Item = usize>) {
        let from = self.task_systems.len();
        self.task_systems.extend(systems);
        let (task, first) = (self.task_members.len() as u32, self.task_systems[from]);
        self.task_members.push((from as u32, self.task_systems.len() as u32));
        self.task_written.push((0, 0));
        self.cut_rows(task, first, (table, rows), job_rows);
    }

    fn cut_rows(&mut self, task: u32, system: usize, (table, rows): (u32, u32), job_rows: u32) {
        let mut start = 0;
        while start < rows {
            let end = start.saturating_add(job_rows).min(rows);
            self.jobs.push(JobRows { system, table, rows: start..end });
            self.job_tasks.push(task);
            start = end;
        }
    }

    /// Looks again at how a group's systems match tables that are new or have another shape.
    pub(crate) fn refresh_matches(&mut self, group: &Group, compiled: &[Compiled], store: &Store) {
        self.matches.refresh(group, compiled, store);
    }

    /// How a system matches a table, if it does.
    pub(crate) fn own_match(&self, system: usize, table: u32) -> Option<&Matched> {
        self.matches.own(system, table)
    }

    /// Puts the program of a group together and gets every written column an extent.
    pub(crate) fn build(&mut self, group: &Group, around: &mut BuildContext<'_>) -> Result<(), WorldError> {
        self.begin_jobs();
        let mut matches = std::mem::take(&mut self.matches);
        let mut members = std::mem::take(&mut self.members);
        matches.refresh(group, around.compiled, around.store);
        let laid =
            if around.store.has_ghosts { ghosts::lay(group, &matches, around, &mut self.ghosts) } else { Ok(()) };
        let built = laid.and_then(|()| Ok(self.tasks(group, &matches, &mut members, around)?));
        self.matches = matches;
        self.members = members;
        built?;
        self.place_lists(group, around)?;
        self.batch_jobs = self.jobs.len() as u32;
        self.assemble(around);
        Ok(())
    }

    fn tasks(
        &mut self,
        group: &Group,
        matches: &Matches,
        members: &mut Vec<usize>,
        around: &mut BuildContext<'_>,
    ) -> Result<(), RegionError> {
        let tables = around.store.first_data..around.store.tables.len() as u32;
        let takes_part = |system: usize, table: u32, around: &BuildContext<'_>| {
            around.store.tables[table as usize].rows > 0
                && !around.skips[system]
                && !around.compiled[system].once
                && matches.own(system, table).is_some()
        };
        let is_empty = around.store.data_tables().all(|(_, table)| table.rows == 0 || table.shape.elsewhere);
        let without_rows = |system: usize, around: &BuildContext<'_>| {
            let compiled = &around.compiled[system];
            !around.skips[system] && (compiled.once || (is_empty && compiled.own.is_empty()))
        };
        if group.batches.len() > 1 {
            for table in tables {
                members.clear();
                members.extend(group.systems().filter(|system| takes_part(*system, table, around)));
                if !members.is_empty() {
                    self.task(table, members, matches, around)?;
                }
            }
            for system in group.systems().filter(|system| without_rows(*system, around)) {
                self.task_without_rows(system, matches, around);
            }
        } else {
            for system in group.systems() {
                if without_rows(system, around) {
                    self.task_without_rows(system, matches, around);
                    continue;
                }
                for table in tables.clone() {
                    if takes_part(system, table, around) {
                        self.task(table, &[system], matches, around)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The systems of a job, in the order in which they run.
    pub(crate) fn systems_of(&self, job: usize) -> &[usize] {
        let range = self.job_tasks.get(job).and_then(|task| self.task_members.get(*task as usize));
        range.map_or(&[], |(from, to)| &self.task_systems[*from as usize..*to as usize])
    }

    /// The part of `written` that a job may have written.
    pub(crate) fn written_by(&self, job: usize) -> Range<usize> {
        let (from, to) = self.task_written[self.job_tasks[job] as usize];
        from as usize..to as usize
    }

    /// The task of a system that has no rows: one job.
    fn task_without_rows(&mut self, system: usize, matches: &Matches, around: &BuildContext<'_>) {
        self.columns.clear();
        let written = self.written.len() as u32;
        self.tasks.push(self.task_words.len() as u64);
        let handles = around.store.tables[ENTITIES as usize].columns[0].live.offset;
        TaskHead { table: ENTITIES, rows: 0, handles, columns: 0, systems: 1 }.encode(&mut self.task_words);
        self.system(system, ENTITIES, &Matched::default(), matches, around);
        self.task_members.push((self.task_systems.len() as u32, self.task_systems.len() as u32 + 1));
        self.task_systems.push(system);
        self.task_written.push((written, written));
        self.jobs.push(JobRows { system, table: ENTITIES, rows: 0..0 });
        self.job_tasks.push(self.tasks.len() as u32 - 1);
    }

    fn task(
        &mut self,
        table: u32,
        systems: &[usize],
        matches: &Matches,
        around: &mut BuildContext<'_>,
    ) -> Result<(), RegionError> {
        let rows = around.store.tables[table as usize].rows;
        self.columns.clear();
        for system in systems {
            let Some(matched) = matches.own(*system, table) else { continue };
            for (access, column) in around.compiled[*system].own.columns.iter().zip(&matched.columns) {
                let Some(column) = column else { continue };
                match self.columns.iter_mut().find(|(place, ..)| place == column) {
                    Some((_, write, ..)) => *write |= access.write,
                    None => self.columns.push((*column, access.write, access.component, access.field)),
                }
            }
        }
        let job_rows = self.job_rows(systems, rows, around);
        let written_from = self.written.len() as u32;
        let in_place = self.in_place(table, systems, matches, job_rows, around);
        self.tasks.push(self.task_words.len() as u64);
        let handles = around.store.tables[table as usize].columns[0].live.offset;
        let (columns, count) = (self.columns.len() as u32, systems.len() as u32);
        TaskHead { table, rows, handles, columns, systems: count }.encode(&mut self.task_words);
        for index in 0..self.columns.len() {
            let (column, write, component, field) = self.columns[index];
            let ty = field_type(around.store, component, field);
            let live = around.store.tables[table as usize].columns[usize::from(column)].live.offset;
            let (old, new) = if write {
                let (old, new) = around.store.write_whole(table, usize::from(column), in_place)?;
                self.written.push(WrittenColumn {
                    table,
                    column,
                    component,
                    field,
                    handles: if ty.scalar == ScalarType::Entity { ty.bytes() as u32 / 8 } else { 0 },
                    flip: old != new,
                    offset: new,
                    row_bytes: ty.bytes() as u32,
                });
                (old, Some(new))
            } else {
                (live, None)
            };
            ColumnEntry { old, new, ty, component, field }.encode(&mut self.task_words);
        }
        let members_from = self.task_systems.len() as u32;
        for system in systems {
            if let Some(matched) = matches.own(*system, table) {
                self.system(*system, table, matched, matches, around);
                self.task_systems.push(*system);
            }
        }
        self.task_members.push((members_from, self.task_systems.len() as u32));
        self.task_written.push((written_from, self.written.len() as u32));
        let task = self.tasks.len() as u32 - 1;
        let neighbours = !around.compiled[systems[0]].others.is_empty();
        self.rows += u64::from(rows);
        let per_row = if neighbours { NEIGHBOUR_NS } else { ROW_LOCAL_NS };
        self.estimate_ns += u64::from(rows) * per_row * systems.len() as u64 * around.frames;
        self.cut_rows(task, systems[0], (table, rows), job_rows);
        Ok(())
    }

    /// Rows per job of systems that run together on a table whose columns in use are those in `self.columns`.
    fn job_rows(&self, systems: &[usize], rows: u32, around: &BuildContext<'_>) -> u32 {
        let row_bytes = self.columns.iter().map(|(_, write, component, field)| {
            let bytes = field_type(around.store, *component, *field).bytes() as u64;
            if *write { 2 * bytes } else { bytes }
        });
        let row_bytes = row_bytes.sum();
        let rows = systems.iter().map(|system| {
            let compiled = &around.compiled[*system];
            let alone = systems.len() == 1 && around.frames == 1 && compiled.fusable;
            compiled.job_rows.rows(rows, row_bytes, alone)
        });
        rows.min().unwrap_or(64)
    }

    /// Whether a task may write in place where its columns are building: no job looks at other jobs' rows of them, and
    /// a worker that dies can be undone.
    fn in_place(
        &self,
        table: u32,
        systems: &[usize],
        matches: &Matches,
        job_rows: u32,
        around: &BuildContext<'_>,
    ) -> bool {
        let looked_at = systems.iter().any(|system| {
            let compiled = &around.compiled[*system];
            compiled.others.iter().enumerate().any(|(view, others)| {
                matches.others(*system, view, table).is_some()
                    && others.columns.iter().any(|other| {
                        self.columns.iter().any(|(_, write, component, _)| *write && *component == other.component)
                    })
            })
        });
        let bytes: u64 = self
            .columns
            .iter()
            .filter(|(_, write, ..)| *write)
            .map(|(_, _, component, field)| {
                // an entry's head beside the rows
                64 + field_type(around.store, *component, *field).bytes() as u64 * u64::from(job_rows)
            })
            .sum();
        !looked_at && around.undo_bytes.is_none_or(|room| bytes <= room)
    }

    fn system(&mut self, system: usize, table: u32, matched: &Matched, matches: &Matches, around: &BuildContext<'_>) {
        let compiled = &around.compiled[system];
        let views = || {
            compiled.others.iter().enumerate().flat_map(|(view, others)| {
                let ghosts = compiled.shows_ghosts(view);
                let shown = move |data: &Table| if ghosts { data.shown_rows() } else { data.rows };
                let tables = matches.order().iter().copied();
                let tables = tables.filter(move |table| shown(&around.store.tables[*table as usize]) > 0);
                tables.filter_map(move |table| {
                    matches.others(system, view, table).map(|matched| (view, others, table, matched))
                })
            })
        };
        let payload = &around.payloads[system];
        let head = SystemHead {
            system: system as u32,
            columns: matched.columns.iter().flatten().count() as u32,
            optionals: matched.present.len() as u32,
            conditions: matched.mask.len() as u32,
            views: views().count() as u32,
            payload_bytes: payload.len() as u32,
            lists: compiled.reads_lists.len() as u32,
        };
        head.encode(&mut self.task_words);
        for (access, column) in compiled.own.columns.iter().zip(&matched.columns) {
            let Some(column) = column else { continue };
            let place = self.columns.iter().position(|(other, ..)| other == column).unwrap_or(0);
            ColumnUse { place: place as u32, write: access.write }.encode(&mut self.task_words);
        }
        self.task_words.extend(matched.present.iter().map(|present| u64::from(*present)));
        self.push_mask(table, &matched.mask, around.store);
        push_bytes(&mut self.task_words, payload);
        for (number, others, index, view) in views() {
            let data = &around.store.tables[index as usize];
            let head = ViewHead {
                table: index,
                rows: data.rows,
                ghosts: if compiled.shows_ghosts(number) { data.ghosts.rows } else { 0 },
                handles: data.columns[0].live.offset,
                columns: view.columns.iter().flatten().count() as u32,
                conditions: view.mask.len() as u32,
                optionals: view.present.len() as u32,
                view: number as u32,
                elsewhere: data.ghosts.named.unwrap_or((u32::MAX, 0)),
            };
            head.encode(&mut self.task_words);
            self.task_words.extend(view.present.iter().map(|present| u64::from(*present)));
            for (access, column) in others.columns.iter().zip(&view.columns) {
                let Some(column) = column else { continue };
                let offset = data.columns[usize::from(*column)].live.offset;
                let ty = field_type(around.store, access.component, access.field);
                ViewColumn { offset, ty }.encode(&mut self.task_words);
            }
            self.push_mask(index, &view.mask, around.store);
        }
        for component in &compiled.reads_lists {
            self.push_list(*component, around.store);
        }
    }

    /// Where the elements of a list are.
    fn push_list(&mut self, component: u16, store: &Store) {
        let pool = &store.tables[store.pool(component) as usize];
        let fields = &store.layout.components()[usize::from(component)].fields;
        let columns = pool.columns.len() as u32;
        ListHead { component: u32::from(component), columns, elements: pool.rows }.encode(&mut self.task_words);
        for (column, field) in pool.columns.iter().zip(fields) {
            ViewColumn { offset: column.live.offset, ty: field.ty }.encode(&mut self.task_words);
        }
    }

    fn push_mask(&mut self, table: u32, mask: &[MaskTerm], store: &Store) {
        let columns = &store.tables[table as usize].columns;
        for term in mask {
            let (negated, bits) = match term {
                MaskTerm::Has(column) => (false, std::slice::from_ref(column)),
                MaskTerm::Lacks(column) => (true, std::slice::from_ref(column)),
                MaskTerm::AnyOf(columns) => (false, &columns[..]),
            };
            MaskHead { negated, bits: bits.len() as u32 }.encode(&mut self.task_words);
            self.task_words.extend(bits.iter().map(|column| columns[usize::from(*column)].live.offset));
        }
    }

    fn assemble(&mut self, around: &BuildContext<'_>) {
        let store = &around.store;
        let tasks_at = Head::WORDS + JobEntry::WORDS * self.jobs.len();
        let base = tasks_at + self.tasks.len();
        let map = &store.tables[ENTITIES as usize];
        let resources = &store.tables[RESOURCES as usize];
        let head = Head {
            frame: around.info.frame,
            time: around.info.time,
            dt: around.info.dt,
            frames: around.frames,
            jobs: self.jobs.len() as u64,
            tasks: self.tasks.len() as u64,
            tasks_at: tasks_at as u64,
            resources_offset: resources.columns[0].live.offset,
            resources_bytes: u64::from(resources.rows),
            locations_offset: map.columns[0].live.offset,
            generations_offset: map.columns[1].live.offset,
            slots: u64::from(map.rows),
            words: (base + self.task_words.len()) as u64,
            batch_tag: around.batch_tag,
            seed: around.info.seed,
            iteration: around.info.iteration,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            builds_at: self.built.as_ref().map_or(0, |built| built.words_at + base as u64),
        };
        head.encode(&mut self.words);
        for (job, task) in self.jobs.iter().zip(&self.job_tasks) {
            let (start, end) = (job.rows.start, job.rows.end);
            JobEntry { task: *task, system: job.system as u32, start, end }.encode(&mut self.words);
        }
        self.words.extend(self.tasks.iter().map(|at| at + base as u64));
        self.words.extend_from_slice(&self.task_words);
    }

    /// Whether a job's dead worker may have these bytes undone: own rows of a column it wrote in place.
    pub(crate) fn undo_allowed(&self, job: u32, offset: u64, bytes: u64) -> bool {
        let Some(rows) = self.jobs.get(job as usize).map(|job| job.rows.clone()) else { return false };
        self.written[self.written_by(job as usize)].iter().any(|column| {
            let row_bytes = u64::from(column.row_bytes);
            let start = column.offset + u64::from(rows.start) * row_bytes;
            let len = u64::from(rows.end - rows.start) * row_bytes;
            !column.flip && offset == start && bytes == len
        })
    }
}
