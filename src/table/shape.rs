//! A table: all entities that have the same components, as dense columns.
//!
//! Invariants: `components` is sorted; columns stand in the order handle, fields by component, presence by component,
//! changed bits by component, fields of scratch components; every column has room for `capacity` rows and holds `rows`.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::{FieldLayout, Layout, SPAN_BYTES, Storage};

use super::column::{Column, ColumnKind, Item};
use super::dirty::DirtyRows;
use super::ghosts::Ghosts;

/// Components below are found by their number, others by a search.
const DIRECT_COMPONENTS: u16 = 512;

/// What kind of table this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableKind {
    /// The entity map: one row per slot.
    Entities,
    /// The resources: one row per byte.
    Resources,
    /// Entities with the same components.
    Data,
    /// The elements of all lists of one component: one row per element.
    Pool,
}

/// Where a component's columns stand in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Component id.
    pub component: u16,
    /// First field column.
    pub first: u16,
    /// Field columns.
    pub fields: u16,
    /// Presence column of a toggle.
    pub presence: Option<u16>,
    /// First of the two changed-bit columns of a tracked component.
    pub changed: Option<u16>,
}

/// The shape of a table: which columns it has. Shared between the table and everything planned on it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Sorted component ids; toggles included.
    pub components: Box<[u16]>,
    /// One per component, in the same order.
    pub slots: Box<[Slot]>,
    /// Kind and row size of each column.
    pub columns: Box<[(ColumnKind, Item)]>,
    /// How many of the columns, the first ones, are part of a generation. Those after them are scratch: one extent each, which
    /// nothing names.
    pub published: usize,
    /// Whether its rows stand for entities that live elsewhere ([`Elsewhere`](crate::Elsewhere)): no query sees them.
    pub elsewhere: bool,
    /// By component, for the lowest numbers: one more than its place in `slots`, or 0.
    places: Box<[u16]>,
    /// By component, for the lowest numbers: its first field's column, or 0.
    firsts: Box<[u16]>,
}

/// A number for the shapes of a world's tables that no world had before.
pub(crate) fn next_shapes() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn push_fields(columns: &mut Vec<(ColumnKind, Item)>, component: u16, fields: &[FieldLayout]) {
    for (index, field) in fields.iter().enumerate() {
        columns.push((ColumnKind::Field { component, field: index as u8 }, Item::Bytes(field.ty.bytes() as u32)));
    }
}

fn push_span(columns: &mut Vec<(ColumnKind, Item)>, component: u16) {
    let part = |part| (ColumnKind::Span { component, part }, Item::Bytes(SPAN_BYTES as u32 / 2));
    columns.extend([part(0), part(1)]);
}

impl Shape {
    /// The shape of a table with these (sorted) components, as its writer has it.
    pub(crate) fn new(layout: &Layout, components: &[u16]) -> Self {
        Self::of(layout, components, true)
    }

    /// The same as generations have it: without the columns of scratch components.
    pub(crate) fn published(layout: &Layout, components: &[u16]) -> Self {
        Self::of(layout, components, false)
    }

    fn of(layout: &Layout, components: &[u16], with_scratch: bool) -> Self {
        let mut columns = vec![(ColumnKind::Handle, Item::Bytes(8))];
        let mut slots = Vec::with_capacity(components.len());
        for &component in components {
            let declared = &layout.components()[usize::from(component)];
            let first = columns.len();
            match declared.storage {
                Storage::List => push_span(&mut columns, component),
                _ => push_fields(&mut columns, component, declared.published_fields()),
            }
            let fields = (columns.len() - first) as u16;
            slots.push(Slot { component, first: first as u16, fields, presence: None, changed: None });
        }
        for slot in &mut slots {
            if layout.components()[usize::from(slot.component)].storage == Storage::Toggle {
                slot.presence = Some(columns.len() as u16);
                columns.push((ColumnKind::Presence { component: slot.component }, Item::Bit));
            }
        }
        for slot in &mut slots {
            if layout.components()[usize::from(slot.component)].track_changes {
                slot.changed = Some(columns.len() as u16);
                for parity in 0..2 {
                    columns.push((ColumnKind::Changed { component: slot.component, parity }, Item::Bit));
                }
            }
        }
        let published = columns.len();
        for slot in slots.iter_mut().filter(|_| with_scratch) {
            let declared = &layout.components()[usize::from(slot.component)];
            if declared.storage.is_scratch() {
                slot.first = columns.len() as u16;
                match declared.storage {
                    Storage::ScratchList => push_span(&mut columns, slot.component),
                    _ => push_fields(&mut columns, slot.component, &declared.fields),
                }
                slot.fields = columns.len() as u16 - slot.first;
            }
        }
        let direct = components.iter().take_while(|component| **component < DIRECT_COMPONENTS);
        let mut places = vec![0; direct.clone().last().map_or(0, |last| usize::from(*last) + 1)];
        let mut firsts = places.clone();
        for (component, place) in direct.zip(1..) {
            places[usize::from(*component)] = place;
            firsts[usize::from(*component)] = slots[usize::from(place) - 1].first;
        }
        let elsewhere = components.iter().any(|component| layout.components()[usize::from(*component)].is_elsewhere());
        Shape {
            components: components.into(),
            slots: slots.into(),
            columns: columns.into(),
            published,
            elsewhere,
            places: places.into(),
            firsts: firsts.into(),
        }
    }

    /// The entity map's shape.
    pub(crate) fn entities() -> Self {
        Shape {
            components: Box::default(),
            slots: Box::default(),
            columns: Box::new([(ColumnKind::Location, Item::Bytes(8)), (ColumnKind::Generation, Item::Bytes(4))]),
            published: 2,
            elsewhere: false,
            places: Box::default(),
            firsts: Box::default(),
        }
    }

    /// The resources' shape.
    pub(crate) fn resources() -> Self {
        Shape {
            components: Box::default(),
            slots: Box::default(),
            columns: Box::new([(ColumnKind::Resources, Item::Bytes(1))]),
            published: 1,
            elsewhere: false,
            places: Box::default(),
            firsts: Box::default(),
        }
    }

    /// The shape of the pool of a list's elements, as its writer has it. No slot leads to it: its rows are no entities.
    pub(crate) fn pool(layout: &Layout, component: u16) -> Self {
        let declared = &layout.components()[usize::from(component)];
        let mut columns = Vec::new();
        push_fields(&mut columns, component, &declared.fields);
        Shape {
            components: Box::new([component]),
            slots: Box::default(),
            published: if declared.storage.is_scratch() { 0 } else { columns.len() },
            columns: columns.into(),
            elsewhere: false,
            places: Box::default(),
            firsts: Box::default(),
        }
    }

    /// The same as generations have it: without columns, if the list is scratch.
    pub(crate) fn published_pool(layout: &Layout, component: u16) -> Self {
        let whole = Shape::pool(layout, component);
        Shape { columns: whole.columns[..whole.published].into(), ..whole }
    }

    /// Where a component's columns stand.
    #[inline]
    pub(crate) fn slot(&self, component: u16) -> Option<&Slot> {
        self.place(component).map(|place| &self.slots[place])
    }

    /// Whether there is nothing but columns of bytes.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        // bits stand last, but for scratch
        matches!(self.columns[..self.published].last(), Some((_, Item::Bytes(_))))
    }

    /// A component's first field's column; where the next one would stand if it has no fields.
    #[inline(always)]
    pub(crate) fn first(&self, component: u16) -> Option<usize> {
        match self.firsts.get(usize::from(component)) {
            Some(0) => None,
            Some(first) => Some(usize::from(*first)),
            None if component < DIRECT_COMPONENTS => None,
            None => self.first_by_search(component),
        }
    }

    #[cold]
    #[inline(never)]
    fn first_by_search(&self, component: u16) -> Option<usize> {
        self.slot(component).map(|slot| usize::from(slot.first))
    }

    /// A component's place among the table's.
    #[inline]
    fn place(&self, component: u16) -> Option<usize> {
        match self.places.get(usize::from(component)) {
            Some(place) => usize::from(*place).checked_sub(1),
            None if component < DIRECT_COMPONENTS => None,
            None => self.components.binary_search(&component).ok(),
        }
    }
}

/// A table as the writer holds it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What kind it is.
    pub kind: TableKind,
    /// Its columns' kinds.
    pub shape: Arc<Shape>,
    /// Rows in use.
    pub rows: u32,
    /// Rows there is room for.
    pub capacity: u32,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Publications in a row at which most of the room was unused.
    pub slack: u32,
    /// Rows that a change in progress was promised room for.
    pub promised: u32,
    /// Whether a schedule is going to give it rows: then it has room for some more than it has.
    pub gains_rows: bool,
    /// What direct changes of single rows wrote, until the columns note it.
    pub dirty: DirtyRows,
    /// Rows of others that views show behind its own.
    pub ghosts: Ghosts,
}

impl Table {
    /// The columns that are part of a generation: all but those of scratch components.
    pub(crate) fn published_columns(&self) -> &[Column] {
        &self.columns[..self.shape.published]
    }

    /// Rows and capacity as a generation tells them: elements of scratch lists are not there.
    pub(crate) fn published_rows(&self) -> (u32, u32) {
        if self.kind == TableKind::Pool && self.shape.published == 0 { (0, 64) } else { (self.rows, self.capacity) }
    }

    /// Rows that views show: its own ones, then its ghosts.
    pub(crate) fn shown_rows(&self) -> u32 {
        self.rows.saturating_add(self.ghosts.rows)
    }

    /// Whether a column is of a scratch component.
    pub(crate) fn is_scratch(&self, column: usize) -> bool {
        column >= self.shape.published
    }
}
