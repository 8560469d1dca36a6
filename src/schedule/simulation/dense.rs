//! What the jobs of a batch say that they wrote densely: which columns, in whose rows, and which rows of tracked
//! components differ from what they were.
//!
//! The records come from workers and are not believed: a column that the system does not write, or rows that are not the
//! job's own, are refused and change nothing. It never looks at column bytes.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::commit::{DenseHandles, PatchCounts, Refusal};
use crate::patch::{Body, RecordSizes, Records};
use crate::region::RegionError;
use crate::schedule::program::build::{Work, WrittenColumn};
use crate::schedule::system::Compiled;
use crate::table::Registry;
use crate::world::access::query::bit_runs;
use crate::world::store::Store;

/// What was written densely by the jobs of one batch. Kept for its memory.
#[derive(Debug, Default)]
pub(super) struct Dense {
    /// Per written column of the batch: the rows of the jobs that touched it, in order and apart.
    pub ranges: Vec<Vec<(u32, u32)>>,
    /// Columns of handles that jobs touched.
    pub handles: Vec<DenseHandles>,
    runs: Vec<(u32, u32)>,
}

/// What is needed to check a job's records.
pub(super) struct Around<'a> {
    pub work: &'a Work,
    pub compiled: &'a [Compiled],
    pub registry: &'a Registry,
    pub sizes: &'a RecordSizes,
    pub parity: u8,
}

/// A job, and what is counted for its systems.
struct Current<'a> {
    job: usize,
    rows: Range<u32>,
    table: u32,
    /// Its systems, as places in the schedule.
    members: &'a [usize],
    /// The columns that they write, and the place of the first among the batch's.
    written: &'a [WrittenColumn],
    first: usize,
    /// The member whose rows were counted last.
    counted: Option<u32>,
}

impl Dense {
    /// Nothing was written yet, of so many columns.
    pub(super) fn clear(&mut self, columns: usize) {
        self.ranges.iter_mut().for_each(Vec::clear);
        if self.ranges.len() < columns {
            self.ranges.resize_with(columns, Vec::new);
        }
        self.handles.clear();
    }

    /// Reads a job's records. True: there are patches among them.
    pub(super) fn read(
        &mut self,
        job: usize,
        records: &[u8],
        around: &Around<'_>,
        store: &mut Store,
        counts: &mut [PatchCounts],
    ) -> Result<bool, RegionError> {
        let work = around.work;
        let places = work.written_by(job);
        if places.is_empty() || records.is_empty() {
            return Ok(!records.is_empty());
        }
        let rows = &work.jobs[job];
        let mut current = Current {
            job,
            rows: rows.rows.clone(),
            table: rows.table,
            members: work.systems_of(job),
            written: &work.written[places.clone()],
            first: places.start,
            counted: None,
        };
        let mut patches = false;
        for record in Records::new(records, around.sizes) {
            let refused = match record.map(|record| record.body) {
                Ok(Body::Range { component, field, start, end, member, passes }) => {
                    self.range(&mut current, around, (component, field), start..end, (member, passes), counts)
                }
                Ok(Body::Changed { component, first, words }) => {
                    self.changed(&current, around, component, first, words, store)?
                }
                // the commit looks at all others, and at what is no record
                _ => {
                    patches = true;
                    continue;
                }
            };
            if let Some(why) = refused {
                counts[rows.system].refuse(1, || why);
            }
        }
        Ok(patches)
    }

    /// A system of the job wrote rows of a column; else why that cannot be.
    fn range(
        &mut self,
        current: &mut Current<'_>,
        around: &Around<'_>,
        (component, field): (u16, u8),
        rows: Range<u32>,
        (member, passes): (u32, u32),
        counts: &mut [PatchCounts],
    ) -> Option<Refusal> {
        let system = current.members.get(member as usize).copied();
        let is_it =
            |component_of: u16, field_of: u8| component_of == component && Some(field_of) == field.checked_sub(1);
        let declares = |system: usize| {
            let columns = &around.compiled[system].own.columns;
            columns.iter().any(|access| access.write && is_it(access.component, access.field))
        };
        let column = current.written.iter().position(|written| is_it(written.component, written.field));
        let (Some(system), Some(column)) = (system.filter(|system| declares(*system)), column) else {
            return Some(undeclared(around.registry, component));
        };
        if rows != current.rows {
            return Some(foreign(rows.start, &current.rows));
        }
        if current.counted.replace(member) != Some(member) {
            counts[system].dense_rows += u64::from(rows.end - rows.start) * u64::from(passes);
        }
        let written = &current.written[column];
        if written.handles > 0 {
            let (job, column) = (current.job, written.column);
            self.handles.push(DenseHandles { job, table: current.table, column, per_row: written.handles });
        }
        let ranges = &mut self.ranges[current.first + column];
        match ranges.last_mut() {
            // by another system of the job
            Some((_, end)) if *end >= rows.end => {}
            Some((_, end)) if *end == rows.start => *end = rows.end,
            _ => ranges.push((rows.start, rows.end)),
        }
        None
    }

    /// Rows of a tracked component changed; else why that cannot be.
    fn changed(
        &mut self,
        current: &Current<'_>,
        around: &Around<'_>,
        component: u16,
        first: u32,
        words: &[[u8; 8]],
        store: &mut Store,
    ) -> Result<Option<Refusal>, RegionError> {
        if !current.written.iter().any(|written| written.component == component) {
            return Ok(Some(undeclared(around.registry, component)));
        }
        let end = u64::from(first) + 64 * words.len() as u64;
        if first < current.rows.start || end > u64::from(current.rows.end).next_multiple_of(64) {
            return Ok(Some(foreign(first, &current.rows)));
        }
        let end = end.min(u64::from(current.rows.end)) as u32;
        let word = |at: u32| u64::from_le_bytes(words[(at - first / 64) as usize]);
        self.runs.clear();
        bit_runs(first, end, word, |start, end| self.runs.push((start, end)));
        for (start, end) in &self.runs {
            store.mark_changed(current.table, component, around.parity, *start, end - start)?;
        }
        Ok(None)
    }
}

fn undeclared(registry: &Registry, component: u16) -> Refusal {
    let component = registry.layout.components()[usize::from(component)].name.clone();
    Refusal::Undeclared { what: "writes", component }
}

fn foreign(row: u32, own: &Range<u32>) -> Refusal {
    Refusal::ForeignRow { row, start: own.start, end: own.end }
}
