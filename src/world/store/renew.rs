//! Columns of scratch components: as new wherever a state is taken up, as no generation has them.
#![forbid(unsafe_code)]

use crate::region::RegionError;
use crate::table::{Column, ColumnKind, Item};

use super::Store;

impl Store {
    /// Gives every table the columns of its scratch components, with the fields' defaults in all rows.
    pub(super) fn renew_scratch(&mut self) -> Result<(), RegionError> {
        self.scratch_is_new = true;
        for t in 0..self.tables.len() {
            let shape = std::sync::Arc::clone(&self.tables[t].shape);
            debug_assert_eq!(self.tables[t].columns.len(), shape.published, "a generation has no others");
            for &(kind, item) in &shape.columns[shape.published..] {
                let (rows, capacity) = (self.tables[t].rows as usize, self.tables[t].capacity);
                let (stamps_at, bytes) = item.extent_bytes(capacity);
                let extent = self.allocate(bytes)?;
                let (data, stamps) = self.arena.bytes_mut(extent.offset, bytes).split_at_mut(stamps_at as usize);
                stamps.fill(0);
                if let (ColumnKind::Span { .. }, Item::Bytes(bytes)) = (kind, item) {
                    data[..rows * bytes as usize].fill(0);
                }
                if let (ColumnKind::Field { component, field }, Item::Bytes(bytes)) = (kind, item) {
                    let field = &self.layout.components()[usize::from(component)].fields[usize::from(field)];
                    let mut value = vec![0; bytes as usize];
                    field.write_default(&mut value);
                    data[..rows * value.len()]
                        .chunks_exact_mut(value.len())
                        .for_each(|row| row.copy_from_slice(&value));
                }
                let column = Column { expected: false, ..Column::new(kind, item, extent) };
                self.tables[t].columns.push(column);
            }
        }
        Ok(())
    }
}
