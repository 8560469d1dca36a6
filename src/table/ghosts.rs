//! Ghosts: rows of a table that other parts of a spread world own, and that views show behind the table's own rows.
//!
//! What is here is the only memory of them that counts: columns of the table hold copies, behind the rows in use, while a
//! batch runs that looks at them. Ghosts are no rows: whatever counts, saves or shows rows never sees them.
#![forbid(unsafe_code)]

use super::ColumnKind;

/// The ghosts of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ghosts {
    /// How many there are.
    pub rows: u32,
    /// The table and the first row of what stands for them, in their order, where they have handles.
    pub named: Option<(u32, u32)>,
    /// Their columns: what each holds, and the bytes of all of them.
    columns: Vec<(ColumnKind, Vec<u8>)>,
}

impl Ghosts {
    /// From now on so many, with no column yet.
    pub(crate) fn reset(&mut self, rows: u32) {
        self.rows = rows;
        self.named = None;
        // the columns keep their memory
        self.columns.iter_mut().for_each(|(_, bytes)| bytes.clear());
    }

    /// Gives them a column.
    pub(crate) fn set(&mut self, kind: ColumnKind, bytes: &[u8]) {
        let at = self.columns.iter().position(|(other, _)| *other == kind).unwrap_or_else(|| {
            self.columns.push((kind, Vec::new()));
            self.columns.len() - 1
        });
        let column = &mut self.columns[at].1;
        column.clear();
        column.extend_from_slice(bytes);
    }

    /// A column, if they have it.
    pub(crate) fn column(&self, kind: ColumnKind) -> Option<&[u8]> {
        let found = self.columns.iter().find(|(other, bytes)| *other == kind && !bytes.is_empty());
        found.map(|(_, bytes)| &bytes[..])
    }

    /// The same, to write.
    pub(crate) fn column_mut(&mut self, kind: ColumnKind) -> Option<&mut [u8]> {
        let found = self.columns.iter_mut().find(|(other, bytes)| *other == kind && !bytes.is_empty());
        found.map(|(_, bytes)| &mut bytes[..])
    }
}
