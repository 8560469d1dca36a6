//! Compaction: frozen columns move towards the beginning of the data.
//!
//! What a generation names is never moved while it is named. So a move is a copy, which the next generation names in the
//! place of the old extent; that is free once the older generation has no reader.
#![forbid(unsafe_code)]

use crate::region::{Extent, RegionError};
use crate::table::Spare;

use super::Store;

impl Store {
    /// Copies frozen columns to free places before their own. True: some were; a publication makes their old places free.
    pub(in crate::world) fn move_frozen_down(&mut self) -> Result<bool, RegionError> {
        self.close_all();
        self.begin_change();
        self.free_deferred();
        let mut pool = self.region.pool().clone();
        let mut fresh = Vec::new();
        for table in 0..self.tables.len() {
            for column in 0..self.tables[table].columns.len() {
                let column = &self.tables[table].columns[column];
                if let Some(spare) = column.spare.as_ref().filter(|spare| self.reusable(spare.named)) {
                    pool.free(spare.extent);
                }
            }
        }
        let mut order: Vec<(Extent, usize, usize)> = Vec::new();
        for (t, table) in self.tables.iter().enumerate() {
            let frozen = table.columns.iter().enumerate().filter(|(_, column)| !column.building);
            order.extend(frozen.map(|(c, column)| (column.live, t, c)));
        }
        order.sort_unstable_by_key(|(live, ..)| live.offset);
        let mut moves = Vec::new();
        for (live, table, column) in order {
            let mut tried = pool.clone();
            if let Some(to) = tried.plan(live.bytes, true).filter(|to| to.offset < live.offset) {
                pool = tried;
                fresh.push(to);
                moves.push((table, column, live, to));
            }
        }
        if moves.is_empty() {
            return Ok(false);
        }
        self.region.adopt(pool, &fresh)?;
        for table in 0..self.tables.len() {
            for column in 0..self.tables[table].columns.len() {
                let reusable = |spare: &Spare| self.reusable(spare.named);
                if self.tables[table].columns[column].spare.as_ref().is_some_and(reusable) {
                    let column = &mut self.tables[table].columns[column];
                    column.spare = None;
                    column.stale.set_all();
                }
            }
        }
        for (table, column, from, to) in moves {
            self.arena.copy(from.offset, to.offset, from.bytes.min(to.bytes));
            let named = self.named_of(&self.tables[table].columns[column]);
            let column = &mut self.tables[table].columns[column];
            column.live = to;
            column.building = true;
            self.hold_one(from, named);
        }
        self.dirty = true;
        Ok(true)
    }
}
