//! A table of a snapshot: columns by name and by type, presence, handles, what changed.
#![forbid(unsafe_code)]

use crate::column::ColumnCursor;
use crate::component::{Component, Entity};
use crate::layout::{FieldType, Storage};
use crate::lists::Lists;
use crate::table::{ColumnKind, Item, Presence};
use crate::value::ColumnItem;

use super::lists::RawLists;
use super::raw::RawColumn;
use super::reader::Snapshot;
use crate::generation::SnapshotError;
use crate::generation::{ChangedChunks, ChangedColumn, ColumnEntry, TableEntry};

/// The name of the rows' handles, which no component can have.
const ENTITY_COLUMN: &str = "(entity)";

/// A table of a pinned generation.
#[derive(Clone, Copy)]
pub struct TableView<'s> {
    snapshot: &'s Snapshot<'s>,
    entry: &'s TableEntry,
    rows: usize,
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
        TableView { snapshot, entry, rows: entry.rows as usize }
    }

    /// As readers see it: rows of what lives elsewhere are no part of the state.
    pub(super) fn of_state(self) -> Self {
        let rows = if self.is_elsewhere() { 0 } else { self.rows };
        TableView { rows, ..self }
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
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

    /// Numbers of these components in the layout, ascending.
    #[must_use]
    pub fn component_ids(&self) -> &'s [u16] {
        &self.entry.components
    }

    /// Whether its rows stand for entities that live elsewhere ([`Elsewhere`](crate::Elsewhere)): they are no part of the state,
    /// so it shows none.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        let components = self.snapshot.layout().components();
        self.entry.components.iter().any(|id| components[usize::from(*id)].is_elsewhere())
    }

    /// The columns as they lie in memory, for tools that copy or compare whole tables: the handles first, then fields and
    /// presence bits. What else the engine keeps is left out.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// use hypostyle::columns::ColumnRole;
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f32 }
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// world.spawn(Mass { kg: 2.0 })?;
    /// world.publish()?;
    /// let mut reader = world.reader()?;
    /// let snapshot = reader.pin()?;
    /// let table = snapshot.tables().next().expect("there is a body");
    /// let column = table.raw_columns().last().expect("handles and a field");
    /// assert_eq!(column.role(), ColumnRole::Field { component: table.component_ids()[0], field: 0 });
    /// assert_eq!((column.row_bytes(), column.bytes()), (Some(4), &2f32.to_le_bytes()[..]));
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    pub fn raw_columns(&self) -> impl Iterator<Item = RawColumn<'s>> {
        let (snapshot, entry, rows) = (self.snapshot, self.entry, self.rows);
        entry.columns.iter().filter_map(move |column| RawColumn::of(snapshot, (entry, rows), column))
    }

    /// The memory of each column, those that the engine keeps for itself included.
    #[must_use]
    pub fn column_memory(&self) -> Vec<ColumnMemory> {
        let memory = |column: &ColumnEntry| ColumnMemory {
            name: self.column_name(column.kind),
            bytes: column.extent.bytes,
            used: self.rows_of(column).len() as u64,
        };
        self.entry.columns.iter().map(memory).collect()
    }

    /// A column's name for people.
    fn column_name(&self, kind: ColumnKind) -> String {
        let components = self.snapshot.layout().components();
        match kind {
            ColumnKind::Field { component, field } => {
                let component = &components[usize::from(component)];
                format!("{}.{}", component.name, component.fields[usize::from(field)].name)
            }
            ColumnKind::Span { component, part: 0 } => format!("{} (places)", components[usize::from(component)].name),
            ColumnKind::Span { component, .. } => format!("{} (lengths)", components[usize::from(component)].name),
            ColumnKind::Presence { component } => format!("{} (presence)", components[usize::from(component)].name),
            ColumnKind::Changed { component, .. } => format!("{} (changed)", components[usize::from(component)].name),
            ColumnKind::Handle => ENTITY_COLUMN.to_owned(),
            ColumnKind::Location | ColumnKind::Generation | ColumnKind::Resources => "(engine)".to_owned(),
        }
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
            let index = declared.published_fields().iter().position(|other| other.name == field)?;
            Some((id as u16, index as u8, declared.fields[index].ty))
        });
        found.ok_or_else(|| {
            let names = layout.components().iter().flat_map(|component| {
                component.published_fields().iter().map(move |field| format!("{}.{}", component.name, field.name))
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

    /// Which chunks of 1024 rows of a column changed after a generation: were written, or got rows of another table, as
    /// happens when a component is added or removed by query. `None` where the table lacks the component. What is gone
    /// is told by the row count.
    ///
    /// `name` is a field (`position.x`); or a component, to ask which entities have it; or `(entity)`, to ask which entities the rows
    /// are. Without a generation that was seen ask with 0: all has changed since then.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f32 }
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// let bodies = world.spawn_batch((0..3000).map(|_| Mass { kg: 1.0 }))?;
    /// world.publish()?;
    /// let (seen, mut reader) = (world.generation(), world.reader()?);
    /// world.set(bodies[2500], Mass { kg: 2.0 })?;
    /// world.publish()?;
    /// let snapshot = reader.pin()?;
    /// let table = snapshot.tables().next().expect("there are bodies");
    /// let changed = table.changed_since("mass.kg", seen)?.expect("bodies have a mass");
    /// assert!(changed.runs().eq([2048..3000]));
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// No such column.
    pub fn changed_since(&self, name: &str, generation: u64) -> Result<Option<ChangedChunks<'s>>, SnapshotError> {
        let kind = if name == ENTITY_COLUMN {
            Some(ColumnKind::Handle)
        } else if let Some((id, declared)) = self.snapshot.layout().component(name) {
            let component = id as u16;
            let has = self.entry.components.binary_search(&component).is_ok();
            has.then_some(match declared.storage {
                Storage::Table | Storage::Scratch | Storage::List | Storage::ScratchList => ColumnKind::Handle,
                Storage::Toggle => ColumnKind::Presence { component },
            })
        } else {
            let (component, field, _) = self.lookup(name)?;
            Some(ColumnKind::Field { component, field })
        };
        let column = kind.and_then(|kind| self.find(kind));
        Ok(column.map(|column| self.changed_chunks(column, generation)))
    }

    fn changed_chunks(&self, column: &'s ColumnEntry, generation: u64) -> ChangedChunks<'s> {
        let (_, stamps) = self.snapshot.first_rows(self.entry, column, self.rows);
        ChangedChunks::new(stamps, self.rows(), column.moved, generation)
    }

    /// The columns in which something changed, those that the engine keeps for itself left out.
    pub(super) fn changed_columns(self, table: usize, generation: u64) -> impl Iterator<Item = ChangedColumn<'s>> {
        let view = self;
        self.entry.columns.iter().filter_map(move |column| {
            let components = view.snapshot.layout().components();
            let name = match column.kind {
                ColumnKind::Handle => ENTITY_COLUMN.to_owned(),
                ColumnKind::Field { .. } => view.column_name(column.kind),
                ColumnKind::Presence { component } => components[usize::from(component)].name.clone(),
                _ => return None,
            };
            let chunks = view.changed_chunks(column, generation);
            (!chunks.is_empty()).then_some(ChangedColumn { table, name, chunks })
        })
    }

    #[cfg(all(test, feature = "checkpoint"))]
    pub(crate) fn stamps(&self, name: &str) -> Result<Option<&'s [u64]>, SnapshotError> {
        let (component, field, _) = self.lookup(name)?;
        let column = self.find(ColumnKind::Field { component, field });
        Ok(column.map(|column| self.snapshot.first_rows(self.entry, column, self.rows).1))
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
            (Storage::Table | Storage::Scratch | Storage::List | Storage::ScratchList, _) => Presence::All,
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
        SnapshotError::refuse_valueless(C::NAME, C::STORAGE)?;
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

    /// The lists of a component, typed; `None` where the table lacks it.
    ///
    /// # Errors
    /// A type that the layout does not have, or that is no list; a scratch list; spans that leave the elements, as only a damaged
    /// region has them.
    pub fn lists<C: Component>(&self) -> Result<Option<Lists<'s, C>>, SnapshotError> {
        if !C::STORAGE.is_list() {
            return Err(SnapshotError::NoList { component: C::NAME.to_owned() });
        }
        let Ok(component) = self.snapshot.registry().component::<C>() else {
            let known = self.snapshot.layout().components().iter().map(|c| c.name.as_str()).collect::<Vec<_>>();
            return Err(SnapshotError::UnknownColumn { name: C::NAME.to_owned(), known: known.join(", ") });
        };
        let Some(raw) = self.raw_lists(component)? else { return Ok(None) };
        let columns = C::columns(&mut ColumnCursor::of_bytes(&raw.columns, raw.elements));
        Ok(Some(Lists::new(columns, (raw.starts, raw.lengths), raw.elements)))
    }

    /// The lists of a component by name, as the memory that they are in; `None` where the table lacks it.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// #[component(storage = "list")]
    /// struct Near { entity: u32 }
    /// let mut world = World::builder().component::<Near>().build()?;
    /// let body = world.spawn(())?;
    /// world.set_list(body, &[Near { entity: 7 }, Near { entity: 9 }])?;
    /// world.publish()?;
    /// let mut reader = world.reader()?;
    /// let snapshot = reader.pin()?;
    /// let table = snapshot.tables().find(|table| table.components().next() == Some("near")).expect("a body");
    /// let near = table.lists_named("near")?.expect("it has a list");
    /// assert_eq!((near.starts(), near.lengths()), (&[0][..], &[2][..]));
    /// assert_eq!(near.column::<u32>("entity")?, [7, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`TableView::lists`].
    pub fn lists_named(&self, component: &str) -> Result<Option<RawLists<'s>>, SnapshotError> {
        let layout = self.snapshot.layout();
        let Some((id, declared)) = layout.component(component) else {
            let known = layout.components().iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(SnapshotError::UnknownColumn { name: component.to_owned(), known });
        };
        if !declared.storage.is_list() {
            return Err(SnapshotError::NoList { component: component.to_owned() });
        }
        self.raw_lists(id as u16)
    }

    fn raw_lists(&self, component: u16) -> Result<Option<RawLists<'s>>, SnapshotError> {
        let declared = &self.snapshot.layout().components()[usize::from(component)];
        if declared.storage.is_scratch() {
            return Err(SnapshotError::Scratch { component: declared.name.clone() });
        }
        let (Some((starts, lengths)), Some(pool)) = (self.spans(component), self.snapshot.pool(component)) else {
            return Ok(None);
        };
        let elements = pool.rows as usize;
        let inside = |(start, length): (&u32, &u32)| *start as usize + *length as usize <= elements;
        if !starts.iter().zip(lengths).all(inside) {
            return Err(SnapshotError::Entities(format!("lists of `{}` leave their elements", declared.name)));
        }
        let columns = pool.columns.iter().zip(&declared.fields);
        let columns = columns.map(|(column, field)| (field.ty, self.snapshot.column_parts(pool, column).0)).collect();
        Ok(Some(RawLists { declared, starts, lengths, columns, elements }))
    }

    /// Appends how many elements a row's list has, and their packed values.
    pub(crate) fn pack_list(&self, component: u16, row: usize, out: &mut Vec<u8>) {
        let range = self.span(component, row).unwrap_or(0..0);
        out.extend_from_slice(&(range.len() as u32).to_le_bytes());
        let Some(pool) = self.snapshot.pool(component) else { return };
        let columns: Vec<(&[u8], usize)> = pool
            .columns
            .iter()
            .map(|column| (self.snapshot.column_parts(pool, column).0, column.item.row_bytes() as usize))
            .collect();
        for element in range {
            for (column, bytes) in &columns {
                out.extend_from_slice(&column[element * bytes..(element + 1) * bytes]);
            }
        }
    }

    /// Where a row's list is among the elements of its component; none where the row is none or lacks the component, or
    /// where the region says what cannot be.
    fn span(&self, component: u16, row: usize) -> Option<std::ops::Range<usize>> {
        let (starts, lengths) = self.spans(component)?;
        let start = *starts.get(row)? as usize;
        let end = start + *lengths.get(row)? as usize;
        (end <= self.snapshot.pool(component)?.rows as usize).then_some(start..end)
    }

    /// The places and the lengths of the rows' lists.
    fn spans(&self, component: u16) -> Option<(&'s [u32], &'s [u32])> {
        let part = |part| {
            let column = self.find(ColumnKind::Span { component, part })?;
            Some(bytemuck::cast_slice(self.rows_of(column)))
        };
        Some((part(0)?, part(1)?))
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
