//! How a group's systems match tables, kept from frame to frame for as long as the tables keep their shapes.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::layout::{FieldType, ScalarType};
use crate::schedule::graph::Group;
use crate::schedule::program::build::{Work, field_type};
use crate::schedule::system::{Compiled, Home};
use crate::world::access::query::Matched;
use crate::world::store::Store;

/// A table and the systems that run on it one after the other.
#[derive(Debug)]
pub(super) struct KeptTask {
    pub(super) table: u32,
    pub(super) columns: Range<u32>,
    pub(super) systems: Range<u32>,
    /// Bytes of a row in all columns in use, twice where they are written.
    pub(super) row_bytes: u64,
    /// Up to so many rows are one job, whatever else holds.
    pub(super) whole_rows: u32,
}

#[derive(Debug)]
pub(super) struct KeptColumn {
    pub(super) place: u16,
    pub(super) write: bool,
    pub(super) ty: FieldType,
    /// Handles in a row's value.
    pub(super) handles: u32,
}

#[derive(Debug)]
pub(super) struct KeptSystem {
    pub(super) system: u32,
    pub(super) used: Range<u32>,
    pub(super) present: Range<u32>,
}

/// How a group's systems match tables, for as long as the tables keep their shapes.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Which shapes: [`Store::shapes`]; 0: of none yet.
    pub(super) shapes: u64,
    /// How often in a row workers would have been faster, and for how many more looks they get it.
    pub(super) slower: u32,
    pub(super) shared: u32,
    /// Whether the group can be run without a program.
    pub(super) plain: bool,
    pub(super) tasks: Vec<KeptTask>,
    pub(super) columns: Vec<KeptColumn>,
    pub(super) systems: Vec<KeptSystem>,
    /// Per column of a system: its place among the task's, and whether the system writes it.
    pub(super) used: Vec<(u32, bool)>,
    pub(super) present: Vec<bool>,
}

impl Kept {
    /// Whether systems look at nothing but their own rows of a table, and write nothing else.
    fn is_plain(compiled: &Compiled, store: &Store) -> bool {
        let tracked = |id: u16| store.layout.components()[usize::from(id)].track_changes;
        let writes_tracked = compiled.own.columns.iter().any(|column| column.write && tracked(column.component));
        compiled.fusable
            && compiled.reductions.is_empty()
            && compiled.reads_lists.is_empty()
            && compiled.home != Home::Workers
            && !writes_tracked
    }

    /// Looks again at how the group's systems match tables.
    pub(super) fn renew(&mut self, group: &Group, compiled: &[Compiled], store: &Store, work: &mut Work) {
        self.shapes = store.shapes;
        (self.slower, self.shared) = (0, 0);
        self.tasks.clear();
        self.columns.clear();
        self.systems.clear();
        self.used.clear();
        self.present.clear();
        self.plain = group.systems().all(|system| Self::is_plain(&compiled[system], store));
        if !self.plain {
            return;
        }
        work.refresh_matches(group, compiled, store);
        let mut members = Vec::new();
        if group.batches.len() > 1 {
            for (table, _) in store.data_tables() {
                members.clear();
                members.extend(group.systems().filter_map(|system| Some((system, work.own_match(system, table)?))));
                self.add(table, &members, compiled, store);
            }
        } else {
            for system in group.systems() {
                for (table, _) in store.data_tables() {
                    members.clear();
                    members.extend(work.own_match(system, table).map(|matched| (system, matched)));
                    self.add(table, &members, compiled, store);
                }
            }
        }
    }

    fn add(&mut self, table: u32, members: &[(usize, &Matched)], compiled: &[Compiled], store: &Store) {
        if members.is_empty() {
            return;
        }
        // rows that bits decide about
        self.plain &= members.iter().all(|(_, matched)| matched.mask.is_empty());
        let (first, systems) = (self.columns.len(), self.systems.len() as u32);
        for (system, matched) in members {
            let (used, present) = (self.used.len() as u32, self.present.len() as u32);
            for (access, column) in compiled[*system].own.columns.iter().zip(&matched.columns) {
                let Some(column) = *column else { continue };
                let known = self.columns[first..].iter().position(|other| other.place == column);
                let place = known.unwrap_or_else(|| {
                    let ty = field_type(store, access.component, access.field);
                    let handles = if ty.scalar == ScalarType::Entity { ty.bytes() as u32 / 8 } else { 0 };
                    self.columns.push(KeptColumn { place: column, write: false, ty, handles });
                    self.columns.len() - 1 - first
                });
                self.columns[first + place].write |= access.write;
                self.used.push((place as u32, access.write));
            }
            self.present.extend_from_slice(&matched.present);
            self.systems.push(KeptSystem {
                system: *system as u32,
                used: used..self.used.len() as u32,
                present: present..self.present.len() as u32,
            });
        }
        let row_bytes =
            self.columns[first..].iter().map(|column| (column.ty.bytes() as u64) << u32::from(column.write));
        let row_bytes = row_bytes.sum();
        let whole_rows = members.iter().map(|(system, _)| compiled[*system].job_rows.least()).min().unwrap_or(64);
        let columns = first as u32..self.columns.len() as u32;
        let systems = systems..self.systems.len() as u32;
        self.tasks.push(KeptTask { table, columns, systems, row_bytes, whole_rows });
    }

    /// The systems of a task, in order.
    pub(super) fn systems_of(&self, task: &KeptTask) -> &[KeptSystem] {
        &self.systems[task.systems.start as usize..task.systems.end as usize]
    }

    /// Rows of each job of a task.
    pub(super) fn job_rows(&self, task: &KeptTask, rows: u32, compiled: &[Compiled], frames: u64) -> u32 {
        if rows <= task.whole_rows {
            return task.whole_rows;
        }
        let systems = self.systems_of(task);
        let alone = systems.len() == 1 && frames == 1;
        let each = systems.iter().map(|system| {
            let compiled = &compiled[system.system as usize];
            compiled.job_rows.rows(rows, task.row_bytes, alone)
        });
        each.min().unwrap_or(64)
    }

    /// Lists the batch's jobs, as a program would have them.
    pub(super) fn list(&self, store: &Store, compiled: &[Compiled], frames: u64, work: &mut Work) {
        work.begin_jobs();
        for task in &self.tasks {
            let rows = store.tables[task.table as usize].rows;
            if rows > 0 {
                let systems = self.systems_of(task).iter().map(|system| system.system as usize);
                work.list_jobs(task.table, rows, self.job_rows(task, rows, compiled, frames), systems);
            }
        }
    }
}
