//! The hash of a world by global ids.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::id_hash::{self, IdHash, IdHashError, State};
use crate::layout::Layout;
use crate::table::ColumnKind;
use crate::world::World;

impl World {
    /// The hash of the world as it stands, published or not, by the [`GlobalId`](crate::GlobalId)s of its entities:
    /// of every value of every component. Handles, the order of rows, resources and scratch components do not count.
    /// Worlds that hold parts of one state have hashes that combine to that of the whole.
    ///
    /// # Errors
    /// An entity without an id; an id that two entities have.
    pub fn hash_by_id(&self) -> Result<IdHash, IdHashError> {
        id_hash::hash(self)
    }
}

impl State for World {
    fn layout(&self) -> &Layout {
        &self.registry.layout
    }

    fn frame(&self) -> u64 {
        self.frame
    }

    fn tables(&self) -> usize {
        self.table_count()
    }

    fn components(&self, table: usize) -> &[u16] {
        &self.store.tables[table + self.store.first_data as usize].shape.components
    }

    fn column(&self, table: usize, kind: ColumnKind) -> Option<&[u8]> {
        let at = table as u32 + self.store.first_data;
        let column = self.store.tables[at as usize].columns.iter().position(|column| column.kind == kind)?;
        Some(self.store.column_bytes(at, column))
    }

    fn elements(&self, component: u16) -> Vec<&[u8]> {
        let pool = self.store.pool(component);
        let columns = self.store.tables[pool as usize].columns.len();
        (0..columns).map(|column| self.store.column_bytes(pool, column)).collect()
    }

    fn locate(&self, entity: Entity) -> Option<(usize, usize)> {
        let at = self.store.locate(entity)?;
        Some(((at.table - self.store.first_data) as usize, at.row as usize))
    }
}
