//! The programs of a sort: how the rows of a table are cut into jobs that find its order, and into jobs that move them. Cuts
//! depend on rows and keys alone.
#![forbid(unsafe_code)]

use crate::commit::JobRows;
use crate::world::store::keys::{BUCKETS_MAX, Buckets, PerBucket};
use crate::world::store::{MovedColumn, OrderGroups, Store};

use super::build::Work;
use super::find_order::{self, FindHead, Step};
use super::order::{self, OrderHead};

/// Rows of a job that moves rows, or orders some: some for everybody, and no more than what stays in a cache.
const JOB_ROWS: (u32, u32) = (1024, 16 * 1024);
/// Rows of a job that counts or places: each has a number for every bucket.
const BUCKET_JOB_ROWS: (u32, u32) = (16 * 1024, 256 * 1024);

/// What sorts need, kept for its memory.
#[derive(Debug, Default)]
pub(crate) struct SortWork {
    /// Columns that are moved at once.
    pub moved: Vec<MovedColumn>,
    pub groups: OrderGroups,
    cuts: Vec<u32>,
}

/// Where an order is to be found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finding {
    pub system: usize,
    pub table: u32,
    pub rows: u32,
    /// Columns of the table.
    pub key: usize,
    pub then: Option<usize>,
    pub buckets: Buckets,
    pub counts_at: u64,
    pub places_at: u64,
    pub order_at: u64,
}

/// Rows of a job of so many jobs.
fn job_rows(rows: u32, jobs: u32, (least, most): (u32, u32)) -> u32 {
    (rows / jobs).clamp(least, most).next_multiple_of(64)
}

/// Bytes of the numbers that all jobs have which count or place so many rows.
pub(crate) fn counts_bytes(rows: u32) -> u64 {
    u64::from(rows.div_ceil(bucket_job_rows(rows))) * size_of::<PerBucket>() as u64
}

fn bucket_job_rows(rows: u32) -> u32 {
    job_rows(rows, 16, BUCKET_JOB_ROWS)
}

impl Work {
    /// Jobs of a sort by the rows at which they end, of a system and table.
    fn cut(&mut self, system: usize, table: u32, ends: impl Iterator<Item = u32>) {
        self.jobs.clear();
        self.job_tasks.clear();
        self.written.clear();
        let mut start = 0;
        self.jobs.extend(ends.map(|end| JobRows { system, table, rows: std::mem::replace(&mut start, end)..end }));
        self.job_tasks.resize(self.jobs.len(), 0);
        self.task_written.clear();
        self.task_written.push((0, 0));
        self.task_members.clear();
        self.task_members.push((0, 1));
        self.task_systems.clear();
        self.task_systems.push(system);
    }

    /// Puts the program of a step together that finds an order. What the step before has left is in the store.
    ///
    /// # Errors
    /// A step before has left something else than what it was to find.
    pub(crate) fn build_find(&mut self, step: Step, finding: &Finding, store: &mut Store) -> Result<(), String> {
        let Finding { system, table, rows, key, then, buckets, counts_at, places_at, order_at } = *finding;
        let job_rows = bucket_job_rows(rows);
        let mut cuts = std::mem::take(&mut self.sort.cuts);
        if step != Step::Order {
            cuts.clear();
        }
        if step == Step::Place {
            let counts = (counts_bytes(rows) / 4) as usize;
            let totals = find_order::places_of(store.arena.items_mut(counts_at, counts), rows);
            let totals = totals.ok_or("jobs have counted other rows than there are")?;
            cut_buckets(&totals, &mut cuts);
        }
        match step {
            Step::Order => self.cut(system, table, cuts.iter().copied()),
            Step::Count | Step::Place => {
                let ends = (0..rows.div_ceil(job_rows)).map(|job| (job + 1).saturating_mul(job_rows).min(rows));
                self.cut(system, table, ends);
            }
        }
        self.estimate_ns = u64::from(rows);
        let head = FindHead { step, rows, job_rows, buckets, counts_at, places_at, order_at, then: then.is_some() };
        let then = then.map(|then| store.key_column(table, then));
        let ends: &[u32] = if step == Step::Order { &cuts } else { &[] };
        find_order::encode(head, store.key_column(table, key), then, ends, &mut self.words);
        self.sort.cuts = cuts;
        Ok(())
    }

    /// Puts the program together by which rows of a table come to stand in the order that was found. It moves no column yet.
    pub(crate) fn build_order(&mut self, system: usize, table: u32, order_at: u64, store: &Store) {
        let rows = store.tables[table as usize].rows;
        let job_rows = job_rows(rows, 16, JOB_ROWS);
        self.cut(system, table, (0..rows.div_ceil(job_rows)).map(|job| (job + 1).saturating_mul(job_rows).min(rows)));
        let order = if order_at == 0 { store.order() } else { &[] };
        order::begin(OrderHead { rows, job_rows, columns: 0, order_at }, order, &mut self.words);
    }

    /// Makes these the columns that the program moves.
    pub(crate) fn move_columns(&mut self) -> Result<(), String> {
        let rows = self.jobs.last().map_or(0, |job| job.rows.end);
        self.estimate_ns = u64::from(rows) * self.sort.moved.len() as u64;
        order::set_columns(&self.sort.moved, &mut self.words)
    }
}

/// Where jobs end that each order the rows of some buckets.
fn cut_buckets(totals: &PerBucket, cuts: &mut Vec<u32>) {
    let (mut start, mut end) = (0, 0);
    for total in totals {
        // a bucket of many rows is nobody else's load
        if end > start && end - start + total > JOB_ROWS.1 {
            cuts.push(end);
            start = end;
        }
        end += total;
    }
    if end > start {
        cuts.push(end);
    }
    debug_assert!(totals.len() == BUCKETS_MAX && cuts.is_sorted());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cut_into_jobs_of_about_the_same_size() {
        let mut totals = [0; BUCKETS_MAX];
        let mut cuts = Vec::new();
        cut_buckets(&totals, &mut cuts);
        assert!(cuts.is_empty());
        (totals[0], totals[1], totals[2], totals[500], totals[1023]) = (10_000, 6_000, 1_000, 70_000, 5);
        cut_buckets(&totals, &mut cuts);
        assert_eq!(cuts, [16_000, 17_000, 87_000, 87_005]);
    }
}
