#![forbid(unsafe_code)]
//! A table of a snapshot: columns by name and by type, presence, handles, chunk stamps.

use crate::column::ColumnCursor;
use crate::component::{Component, Entity};
use crate::layout::{FieldType, Storage};
use crate::limits::CHUNK_ROWS;
use crate::table::{ColumnKind, Item, Presence};
use crate::value::ColumnItem;

use super::reader::Snapshot;
use crate::generation::SnapshotError;
use crate::generation::{ColumnEntry, TableEntry};

/// A table of a pinned generation.
#[derive(Clone, Copy)]
pub struct TableView<'s> {
    snapshot: &'s Snapshot<'s>,
    entry: &'s TableEntry,
}

/// Memory of one column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnMemory {
    /// `position.x` of a field; `(entity)`, `hot (presence)` and `hot (changed)` of what the engine keeps.
    pub name: String,
    /// Bytes of its extent, chunk stamps and free rows included.
    pub bytes: u64,
    /// Bytes that rows use.
    pub used: u64,
}

impl<'s> TableView<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot<'_>, entry: &'s TableEntry) -> Self {
        TableView { snapshot, entry }
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.entry.rows as usize
    }

    /// Rows there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entry.capacity as usize
    }

    /// Names of the components that the table has columns for; toggles included.
    pub fn components(&self) -> impl Iterator<Item = &'s str> {
        let layout = self.snapshot.layout();
        self.entry.components.iter().map(|id| layout.components()[usize::from(*id)].name.as_str())
    }

    /// The memory of each column, those that the engine keeps for itself included.
    #[must_use]
    pub fn column_memory(&self) -> Vec<ColumnMemory> {
        let components = self.snapshot.layout().components();
        let name = |kind| match kind {
            ColumnKind::Field { component, field } => {
                let component = &components[usize::from(component)];
                format!("{}.{}", component.name, component.fields[usize::from(field)].name)
            }
            ColumnKind::Presence { component } => format!("{} (presence)", components[usize::from(component)].name),
            ColumnKind::Changed { component, .. } => format!("{} (changed)", components[usize::from(component)].name),
            ColumnKind::Handle => "(entity)".to_owned(),
            ColumnKind::Location | ColumnKind::Generation | ColumnKind::Resources => "(engine)".to_owned(),
        };
        let memory = |column: &ColumnEntry| ColumnMemory {
            name: name(column.kind),
            bytes: column.extent.bytes,
            used: self.rows_of(column).len() as u64,
        };
        self.entry.columns.iter().map(memory).collect()
    }

    fn rows_of(&self, column: &ColumnEntry) -> &'s [u8] {
        let bytes = match column.item {
            Item::Bytes(bytes) => self.rows() * bytes as usize,
            Item::Bit => self.rows().div_ceil(64) * 8,
        };
        &self.snapshot.extent_bytes(column)[..bytes]
    }

    fn find(&self, kind: ColumnKind) -> Option<&'s ColumnEntry> {
        self.entry.columns.iter().find(|column| column.kind == kind)
    }

    /// The handles of the rows.
    #[must_use]
    pub fn entities(&self) -> &'s [Entity] {
        bytemuck::cast_slice(self.rows_of(&self.entry.columns[0]))
    }

    /// Component and field ids of `component.field`, and the field's type.
    fn lookup(&self, name: &str) -> Result<(u16, u8, FieldType), SnapshotError> {
        let layout = self.snapshot.layout();
        let found = name.split_once('.').and_then(|(component, field)| {
            let (id, declared) = layout.component(component)?;
            let index = declared.fields.iter().position(|other| other.name == field)?;
            Some((id as u16, index as u8, declared.fields[index].ty))
        });
        found.ok_or_else(|| {
            let names = layout.components().iter().flat_map(|component| {
                component.fields.iter().map(move |field| format!("{}.{}", component.name, field.name))
            });
            SnapshotError::UnknownColumn { name: name.to_owned(), known: names.collect::<Vec<_>>().join(", ") }
        })
    }

    /// A column by name (`position.x`), typed; `None` where the table lacks the component. Rows whose toggle is off
    /// hold leftovers: ask [`TableView::presence`].
    ///
    /// # Errors
    /// No such column, or another type.
    pub fn column<T: ColumnItem>(&self, name: &str) -> Result<Option<&'s [T]>, SnapshotError> {
        let (component, field, declared) = self.lookup(name)?;
        if declared != T::TYPE {
            return Err(SnapshotError::Type { name: name.to_owned(), declared, asked: T::TYPE });
        }
        Ok(self.find(ColumnKind::Field { component, field }).map(|column| bytemuck::cast_slice(self.rows_of(column))))
    }

    /// A column's bytes and its type; `None` where the table lacks the component.
    ///
    /// # Errors
    /// No such column.
    pub fn column_bytes(&self, name: &str) -> Result<Option<(FieldType, &'s [u8])>, SnapshotError> {
        let (component, field, declared) = self.lookup(name)?;
        Ok(self.find(ColumnKind::Field { component, field }).map(|column| (declared, self.rows_of(column))))
    }

    /// The generation in which each chunk of 1024 rows of a column was last written; `None` where the table lacks the
    /// component. Rows that came with a whole table keep the stamps that they had: see [`TableView::moved`].
    ///
    /// # Errors
    /// No such column.
    pub fn stamps(&self, name: &str) -> Result<Option<&'s [u64]>, SnapshotError> {
        let (component, field, _) = self.lookup(name)?;
        Ok(self.find(ColumnKind::Field { component, field }).map(|column| self.stamps_of(column)))
    }

    /// The generation in which the rows of another table became this table's, all at once, when a component was added
    /// or removed by query; 0: never. To somebody who looked before that, every row may be another.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.entry.columns.iter().map(|column| column.moved).max().unwrap_or(0)
    }

    fn stamps_of(&self, column: &ColumnEntry) -> &'s [u64] {
        let (offset, _) = column.item.extent_bytes(self.entry.capacity);
        let bytes = self.snapshot.extent_bytes(column);
        let count = self.rows().div_ceil(CHUNK_ROWS);
        bytemuck::cast_slice(&bytes[offset as usize..offset as usize + 8 * count])
    }

    /// Which rows have a component.
    ///
    /// # Errors
    /// No such component.
    pub fn presence(&self, component: &str) -> Result<Presence<'s>, SnapshotError> {
        let layout = self.snapshot.layout();
        let Some((id, declared)) = layout.component(component) else {
            let known = layout.components().iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(SnapshotError::UnknownColumn { name: component.to_owned(), known });
        };
        Ok(self.presence_of(id as u16, declared.storage))
    }

    /// Which rows of a component the newest frame changed (or direct changes after it), as bits like those of
    /// [`Presence::Bits`]; `None` where the table lacks the component or its layout does not track changes.
    ///
    /// # Errors
    /// No such component.
    pub fn changed(&self, component: &str) -> Result<Option<&'s [u64]>, SnapshotError> {
        let layout = self.snapshot.layout();
        let Some((id, _)) = layout.component(component) else {
            let known = layout.components().iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(SnapshotError::UnknownColumn { name: component.to_owned(), known });
        };
        let parity = (self.snapshot.frame() & 1) as u8;
        let column = self.find(ColumnKind::Changed { component: id as u16, parity });
        Ok(column.map(|column| bytemuck::cast_slice(self.rows_of(column))))
    }

    fn presence_of(&self, component: u16, storage: Storage) -> Presence<'s> {
        if self.entry.components.binary_search(&component).is_err() {
            return Presence::None;
        }
        match (storage, self.find(ColumnKind::Presence { component })) {
            (Storage::Table, _) => Presence::All,
            (Storage::Toggle, Some(column)) => Presence::Bits(bytemuck::cast_slice(self.rows_of(column))),
            (Storage::Toggle, None) => Presence::None,
        }
    }

    /// A component's columns, typed; `None` where the table lacks it.
    ///
    /// # Errors
    /// A type that the layout does not have.
    pub fn columns<C: Component>(&self) -> Result<Option<C::Columns<'s>>, SnapshotError> {
        let Ok(component) = self.snapshot.registry().component::<C>() else {
            let known = self.snapshot.layout().components().iter().map(|c| c.name.as_str()).collect::<Vec<_>>();
            return Err(SnapshotError::UnknownColumn { name: C::NAME.to_owned(), known: known.join(", ") });
        };
        if self.entry.components.binary_search(&component).is_err() {
            return Ok(None);
        }
        let columns: Vec<_> = C::fields()
            .iter()
            .enumerate()
            .filter_map(|(field, declared)| {
                let column = self.find(ColumnKind::Field { component, field: field as u8 })?;
                Some((declared.ty, self.rows_of(column)))
            })
            .collect();
        Ok(Some(C::columns(&mut ColumnCursor::of_bytes(&columns, self.rows()))))
    }

    /// Writes the packed value of a row's component; false where the row lacks it.
    pub(crate) fn pack_row(&self, component: u16, row: usize, out: &mut [u8]) -> bool {
        let storage = self.snapshot.layout().components()[usize::from(component)].storage;
        if row >= self.rows() || !self.presence_of(component, storage).contains(row) {
            return false;
        }
        let mut at = 0;
        for column in &self.entry.columns {
            if let (ColumnKind::Field { component: other, .. }, Item::Bytes(bytes)) = (column.kind, column.item)
                && other == component
            {
                let bytes = bytes as usize;
                out[at..at + bytes].copy_from_slice(&self.rows_of(column)[row * bytes..(row + 1) * bytes]);
                at += bytes;
            }
        }
        true
    }
}
