//! Tables are put in order after a system that sorts: all workers find the order, and move the rows.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::region::Extent;
use crate::schedule::graph::Group;
use crate::schedule::program::find_order::Step;
use crate::schedule::program::sort_work::{Finding, counts_bytes};
use crate::schedule::system::{Home, Sort};
use crate::worker::{JobFailure, RunnerName};
use crate::world::access::query::concerns;
use crate::world::store::Store;
use crate::world::store::keys::{Buckets, Look};

use super::*;

/// Rows from which on workers find an order together: three batches more.
const FOUND_TOGETHER_MIN: u32 = 1 << 15;

/// A table, the column of its keys, and the one that orders rows of equal keys.
#[derive(Clone, Copy)]
struct Sorted {
    table: u32,
    key: usize,
    then: Option<usize>,
}

/// An order that was found.
enum Found {
    /// By main, who has it.
    ByMain,
    /// By jobs. It is in an extent.
    ByJobs(Extent),
}

impl Simulation {
    /// How a system sorts in this frame, if it does.
    pub(super) fn sort_of(&self, system: usize, frame: u64) -> Option<&Sort> {
        self.compiled[system].sort.as_ref().filter(|sort| !self.skips[system] && frame.is_multiple_of(sort.every))
    }

    pub(super) fn sort_tables(&mut self, work: &mut Work, group: &Group, frame: u64) -> Result<(), Failed> {
        let compiled = Arc::clone(&self.compiled);
        for system in group.systems() {
            if self.sort_of(system, frame).is_none() {
                continue;
            }
            let Some(sort) = &compiled[system].sort else { continue };
            self.at_sort(system, false)?;
            for table in 0..self.world.store.tables.len() as u32 {
                let shape = Arc::clone(&self.world.store.tables[table as usize].shape);
                let Some(slot) = shape.slot(sort.component) else { continue };
                if concerns(&compiled[system].own, &shape) {
                    let key = usize::from(slot.first) + usize::from(sort.field);
                    let then = sort.then.and_then(|(component, field)| {
                        shape.slot(component).map(|slot| usize::from(slot.first) + usize::from(field))
                    });
                    self.sort_table(work, system, Sorted { table, key, then }, sort)?;
                }
            }
            self.at_sort(system, true)?;
        }
        Ok(())
    }

    /// Puts a table in the order of a column.
    fn sort_table(&mut self, work: &mut Work, system: usize, sorted: Sorted, sort: &Sort) -> Result<(), Failed> {
        let found = match self.find_together(work, system, sorted)? {
            Some(order) => Found::ByJobs(order),
            None if self.world.store.find_order(sorted.table, sorted.key, sorted.then) => Found::ByMain,
            None => return Ok(()),
        };
        let moved = self.move_rows(work, system, (sorted.table, &found), sort);
        if let Found::ByJobs(order) = found {
            self.world.store.region.free(order);
        }
        moved
    }

    /// Who may run the jobs of a system's sort.
    fn place_of_sort(&self, system: usize) -> Place {
        if self.compiled[system].home == Home::Main { Place::Main } else { Place::Anywhere }
    }

    /// The order of a large table, where several can look for it and it is not in order by its keys.
    fn find_together(&mut self, work: &mut Work, system: usize, sorted: Sorted) -> Result<Option<Extent>, Failed> {
        let Sorted { table, key, then } = sorted;
        let rows = self.world.store.tables[table as usize].rows;
        let bytes = [counts_bytes(rows), 4 * u64::from(rows), 4 * u64::from(rows)];
        let several = self.pool.has_workers() && self.place_of_sort(system) == Place::Anywhere;
        // a world that is short of memory keeps what it has for its columns; main's lists do as well
        if rows < FOUND_TOGETHER_MIN || !several || !self.world.store.is_roomy(bytes.iter().sum()) {
            return Ok(None);
        }
        let Look::Between(least, most) = self.world.store.look_at_keys(table, key) else { return Ok(None) };
        let region = &mut self.world.store.region;
        let mut extents: Vec<Extent> = Vec::with_capacity(3);
        for bytes in bytes {
            match region.allocate(bytes) {
                Ok(extent) => extents.push(extent),
                Err(error) => {
                    tracing::debug!(%error, "no memory for workers to find an order in: main finds it");
                    extents.into_iter().for_each(|extent| region.free(extent));
                    return Ok(None);
                }
            }
        }
        let [counts, places, order] = extents[..] else { return Ok(None) };
        let buckets = Buckets::between(least, most);
        let (counts_at, places_at, order_at) = (counts.offset, places.offset, order.offset);
        let finding = Finding { system, table, rows, key, then, buckets, counts_at, places_at, order_at };
        let mut found = Ok(());
        for step in [Step::Count, Step::Place, Step::Order] {
            found = work
                .build_find(step, &finding, &mut self.world.store)
                .map_err(no_order)
                .and_then(|()| self.run_sort(work, system, &mut |_| {}));
            if found.is_err() {
                break;
            }
        }
        let region = &mut self.world.store.region;
        region.free(counts);
        region.free(places);
        if let Err(error) = found {
            region.free(order);
            return Err(error);
        }
        Ok(Some(order))
    }

    /// Moves all rows, columns group by group, and main what is its own beside.
    fn move_rows(
        &mut self,
        work: &mut Work,
        system: usize,
        (table, found): (u32, &Found),
        sort: &Sort,
    ) -> Result<(), Failed> {
        let store = &mut self.world.store;
        let rows = store.tables[table as usize].rows;
        let mut groups = std::mem::take(&mut work.sort.groups);
        store.order_groups(table, &sort.leaves, &mut groups);
        store.begin_order(table, &sort.leaves, groups.columns(0), &mut work.sort.moved)?;
        let order_at = if let Found::ByJobs(order) = found { order.offset } else { 0 };
        work.build_order(system, table, order_at, store);
        let mut is_order = true;
        for group in 0..groups.len() {
            if group > 0 && !self.world.store.begin_group(table, groups.columns(group), &mut work.sort.moved)? {
                return Err(no_order("columns were moved to make room while rows were put in order".to_owned()));
            }
            work.move_columns().map_err(no_order)?;
            let rest = groups.rest(group, rows);
            self.run_sort(work, system, &mut |store| {
                if let (0, Found::ByJobs(order)) = (group, found) {
                    is_order = store.take_order(*order, rows);
                }
                if is_order {
                    store.order_rest(table, &sort.leaves, rest.clone());
                }
            })?;
            if !is_order {
                return Err(no_order("a worker left an order that has not each row once".to_owned()));
            }
            self.world.store.end_group(table, groups.columns(group));
        }
        self.world.store.end_order(table, &sort.leaves);
        work.sort.groups = groups;
        Ok(())
    }

    /// Runs a program of a sort. Meanwhile, main does something beside.
    fn run_sort(&mut self, work: &Work, system: usize, beside: &mut dyn FnMut(&mut Store)) -> Result<(), Failed> {
        let place = self.place_of_sort(system);
        let Simulation { world, pool, staged, report, .. } = self;
        let store = &mut world.store;
        store.fixed = true;
        let ran = pool.run(
            &mut Batch {
                program: &work.words,
                jobs: work.jobs.len() as u32,
                main_only: work.jobs.len() == 1 || work.estimate_ns < SPLIT_NS_MIN,
                place,
                deadline: &|_| None,
                undo_allowed: &|_, _, _| false,
                restore: &mut |_, _| {},
                beside: Some(&mut || beside(store)),
            },
            staged,
        );
        store.fixed = false;
        let ran = ran.map_err(Failed::Job)?;
        report.deaths += u64::from(ran.deaths);
        report.retries += u64::from(ran.retries);
        Ok(())
    }
}

/// What main says of jobs that left something else than what they were to find.
fn no_order(message: String) -> Failed {
    Failed::Job(JobFailure::Error { job: 0, runner: RunnerName::Main, message })
}
