//! Columns of a snapshot as they lie in memory, by number instead of by name: for tools that copy, compare or send whole
//! worlds and learn from the layout what the bytes mean.
//!
//! Invariant: nothing here can be written, and stamps are not given out alone; what changed since a generation is asked of
//! the column.
#![forbid(unsafe_code)]

use crate::generation::{ChangedChunks, ColumnEntry, TableEntry};
use crate::table::{ColumnKind, Item};

use super::reader::Snapshot;

/// What a raw column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ColumnRole {
    /// The handles of the rows' entities, 8 bytes each.
    Handle,
    /// A component's field.
    Field {
        /// The component's number in the layout.
        component: u16,
        /// The field's number in its component.
        field: u8,
    },
    /// Which rows have a toggle component: bits.
    Presence {
        /// The component's number in the layout.
        component: u16,
    },
    /// The bytes of all resources: one presence byte each, then their values, each at its
    /// [`resource_offset`](crate::Layout::resource_offset).
    Resources,
}

/// A column of a pinned generation as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct RawColumn<'s> {
    role: ColumnRole,
    item: Item,
    rows: usize,
    bytes: &'s [u8],
    stamps: &'s [u64],
    moved: u64,
}

impl<'s> RawColumn<'s> {
    /// A column of a directory; `None`: one that the engine keeps for itself.
    pub(super) fn of(
        snapshot: &'s Snapshot<'_>,
        (table, rows): (&TableEntry, usize),
        column: &ColumnEntry,
    ) -> Option<Self> {
        let role = match column.kind {
            ColumnKind::Handle => ColumnRole::Handle,
            ColumnKind::Field { component, field } => ColumnRole::Field { component, field },
            ColumnKind::Presence { component } => ColumnRole::Presence { component },
            ColumnKind::Resources => ColumnRole::Resources,
            ColumnKind::Changed { .. } | ColumnKind::Location | ColumnKind::Generation | ColumnKind::Span { .. } => {
                return None;
            }
        };
        let (bytes, stamps) = snapshot.first_rows(table, column, rows);
        Some(RawColumn { role, item: column.item, rows, bytes, stamps, moved: column.moved })
    }

    /// What it holds.
    #[must_use]
    pub fn role(&self) -> ColumnRole {
        self.role
    }

    /// Bytes of a row; `None`: a row is a bit, and 64 of them are a little-endian word.
    #[must_use]
    pub fn row_bytes(&self) -> Option<u32> {
        match self.item {
            Item::Bytes(bytes) => Some(bytes),
            Item::Bit => None,
        }
    }

    /// Its rows. Of bits: the words that have any; bits beyond the rows are 0.
    #[must_use]
    pub fn bytes(&self) -> &'s [u8] {
        self.bytes
    }

    /// Which chunks of 1024 rows changed after a generation, as [`TableView::changed_since`](crate::TableView::changed_since)
    /// tells it.
    #[must_use]
    pub fn changed_since(&self, generation: u64) -> ChangedChunks<'s> {
        ChangedChunks::new(self.stamps, self.rows, self.moved, generation)
    }
}
