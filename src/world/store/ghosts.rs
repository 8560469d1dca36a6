//! Ghosts behind the rows of tables, for the batches that look at them.
//!
//! Their own memory is private to the writer ([`Ghosts`](crate::table::Ghosts)). Before a batch that looks at a column it is
//! copied into the column's live extent, behind the rows in use: there workers find rows and ghosts as one column. It is
//! copied for each batch anew, as whatever writes, moves or grows a column takes its rows along and nothing behind them.
//!
//! Invariant: a byte of an extent that a generation names is never written. A frozen live extent has the rows that its table
//! has, as rows come and go in building extents only, and ghosts come behind them; but for a table that was emptied at once,
//! whose extents may have rows of generations, and which gets others.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::region::RegionError;
use crate::table::Item;

use super::Store;

impl Store {
    /// Ghosts were set or taken away.
    pub(in crate::world) fn note_ghosts(&mut self) {
        self.has_ghosts = self.tables.iter().any(|table| table.ghosts.rows > 0);
    }

    /// Ghosts have no handles any more: what stands for them may stand elsewhere.
    pub(in crate::world) fn forget_ghost_names(&mut self) {
        self.tables.iter_mut().for_each(|table| table.ghosts.named = None);
    }

    /// Names of a table's components, for people.
    pub(crate) fn table_names(&self, table: u32) -> String {
        let components = self.tables[table as usize].shape.components.iter();
        let names: Vec<&str> = components.map(|id| self.layout.components()[usize::from(*id)].name.as_str()).collect();
        names.join(", ")
    }

    /// Copies ghosts behind the rows of these columns, each a table and its place there; handles are columns like others.
    /// The caller has checked that the ghosts have them. What is there stays until anything gets memory.
    pub(crate) fn lay_ghosts(&mut self, columns: &[(u32, u16)]) -> Result<(), RegionError> {
        self.steadily(|store| {
            for &(table, column) in columns {
                let shown =
                    u64::from(store.tables[table as usize].rows) + u64::from(store.tables[table as usize].ghosts.rows);
                store.reserve(table, shown)?;
                if store.tables[table as usize].rows == 0 {
                    store.write_partial(table, usize::from(column))?;
                }
            }
            Ok(())
        })?;
        let Store { tables, arena, .. } = self;
        for &(table, column) in columns {
            let table = &tables[table as usize];
            let column = &table.columns[usize::from(column)];
            let Item::Bytes(bytes) = column.item else { continue };
            let (at, size) =
                (u64::from(table.rows) * u64::from(bytes), u64::from(table.ghosts.rows) * u64::from(bytes));
            debug_assert!(table.shown_rows() <= table.capacity, "room was made");
            let offset = column.live.offset + at;
            match table.ghosts.column(column.kind) {
                Some(ghosts) => arena.bytes_mut(offset, size).copy_from_slice(ghosts),
                None => arena.items_mut(offset, table.ghosts.rows as usize).fill(Entity::GHOST),
            }
        }
        Ok(())
    }
}
