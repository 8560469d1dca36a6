//! Ghosts behind the rows of tables, for the batches that look at them.
#![forbid(unsafe_code)]

use super::Store;

impl Store {
    /// Ghosts were set or taken away.
    pub(in crate::world) fn note_ghosts(&mut self) {
        self.has_ghosts = self.tables.iter().any(|table| table.ghosts.rows > 0);
    }

    /// Names of a table's components, for people.
    pub(crate) fn table_names(&self, table: u32) -> String {
        let components = self.tables[table as usize].shape.components.iter();
        let names: Vec<&str> = components.map(|id| self.layout.components()[usize::from(*id)].name.as_str()).collect();
        names.join(", ")
    }
}
