//! How systems' queries match tables, kept from batch to batch: looked at again is a table only when its shape has
//! changed.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::schedule::graph::Group;
use crate::schedule::system::Compiled;
use crate::table::Shape;
use crate::world::access::query::{Matched, matches};
use crate::world::store::Store;

/// How a system's queries match a table, for as long as the table keeps its shape.
#[derive(Debug)]
struct Match {
    shape: Arc<Shape>,
    own: Option<Matched>,
    /// By view.
    others: Vec<Option<Matched>>,
}

/// How systems match tables: by system, then by table.
#[derive(Debug, Default)]
pub(super) struct Matches(Vec<Vec<Option<Match>>>);

impl Matches {
    fn get(&self, system: usize, table: u32) -> Option<&Match> {
        self.0.get(system)?.get(table as usize)?.as_ref()
    }

    pub(super) fn own(&self, system: usize, table: u32) -> Option<&Matched> {
        self.get(system, table)?.own.as_ref()
    }

    pub(super) fn others(&self, system: usize, view: usize, table: u32) -> Option<&Matched> {
        self.get(system, table)?.others.get(view)?.as_ref()
    }

    fn set(&mut self, system: usize, table: u32, found: Match) {
        if self.0.len() <= system {
            self.0.resize_with(system + 1, Vec::new);
        }
        let tables = &mut self.0[system];
        if tables.len() <= table as usize {
            tables.resize_with(table as usize + 1, || None);
        }
        tables[table as usize] = Some(found);
    }

    /// Looks again at how a group's systems match tables that are new or have another shape.
    pub(super) fn refresh(&mut self, group: &Group, compiled: &[Compiled], store: &Store) {
        for system in group.systems() {
            let compiled = &compiled[system];
            for (table, data) in store.data_tables() {
                if self.get(system, table).is_some_and(|known| Arc::ptr_eq(&known.shape, &data.shape)) {
                    continue;
                }
                let own = matches(&compiled.own, &data.shape);
                let others = compiled.others.iter().map(|others| matches(others, &data.shape)).collect();
                self.set(system, table, Match { shape: Arc::clone(&data.shape), own, others });
            }
        }
    }
}
