//! How systems' queries match tables, kept from batch to batch: looked at again is a table only when its shape has
//! changed.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::layout::Storage;
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

/// How systems match tables.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// By system, then by table.
    of: Vec<Vec<Option<Match>>>,
    order: Vec<u32>,
}

impl Matches {
    fn get(&self, system: usize, table: u32) -> Option<&Match> {
        self.of.get(system)?.get(table as usize)?.as_ref()
    }

    /// The tables in the order in which views show them: that of their components. Numbers of tables follow from who came
    /// first, which is another one in each part of a spread world.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    pub(super) fn own(&self, system: usize, table: u32) -> Option<&Matched> {
        self.get(system, table)?.own.as_ref()
    }

    pub(super) fn others(&self, system: usize, view: usize, table: u32) -> Option<&Matched> {
        self.get(system, table)?.others.get(view)?.as_ref()
    }

    fn set(&mut self, system: usize, table: u32, found: Match) {
        if self.of.len() <= system {
            self.of.resize_with(system + 1, Vec::new);
        }
        let tables = &mut self.of[system];
        if tables.len() <= table as usize {
            tables.resize_with(table as usize + 1, || None);
        }
        tables[table as usize] = Some(found);
    }

    /// Looks again at how a group's systems match tables that are new or have another shape.
    pub(super) fn refresh(&mut self, group: &Group, compiled: &[Compiled], store: &Store) {
        let mut fresh = self.order.len() != store.data_tables().count();
        for system in group.systems() {
            let compiled = &compiled[system];
            for (table, data) in store.data_tables() {
                if self.get(system, table).is_some_and(|known| Arc::ptr_eq(&known.shape, &data.shape)) {
                    continue;
                }
                fresh = true;
                let own = matches(&compiled.own, &data.shape);
                let others = compiled.others.iter().map(|others| matches(others, &data.shape)).collect();
                self.set(system, table, Match { shape: Arc::clone(&data.shape), own, others });
            }
        }
        if fresh {
            self.order.clear();
            self.order.extend(store.data_tables().map(|(table, _)| table));
            self.order.sort_by(|a, b| kind_of(store, *a).cmp(kind_of(store, *b)));
        }
    }
}

/// The components of a table's rows, without toggles, whose columns it gets when a row has one.
fn kind_of(store: &Store, table: u32) -> impl Iterator<Item = u16> + '_ {
    let components = store.tables[table as usize].shape.components.iter().copied();
    components.filter(|component| store.storage(*component) != Storage::Toggle)
}
