//! What a client sees of a world at a generation: tables of plain bytes.
//!
//! Invariants: a column of a table with `rows` rows has `items(rows)` items of `item_bytes`. The state knows no layout and
//! no names: what the bytes mean is told beside it.

use std::collections::BTreeMap;

use hypostyle::Snapshot;
use hypostyle::columns::{ColumnRole, RawColumn};

/// The id of the table of resources.
pub(super) const RESOURCES: u32 = 1;
/// The id of the first table of entities: the first of a snapshot's.
pub(super) const FIRST_DATA: u32 = 2;

/// What a column is, in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role {
    /// One of the constants below.
    pub code: u8,
    /// The field's place in its component; else 0.
    pub field: u8,
    /// The component's id; else 0.
    pub component: u16,
}

impl Role {
    /// The handles of the rows' entities.
    pub const HANDLE: u8 = 0;
    /// A component's field.
    pub const FIELD: u8 = 1;
    /// Whether rows have a toggle component: bits.
    pub const PRESENCE: u8 = 2;
    /// The resources' bytes.
    pub const RESOURCES: u8 = 6;
    /// Which rows are inside the area that was asked for: bits.
    pub const AREA: u8 = 7;
    /// All that there are.
    pub(super) const KNOWN: [u8; 5] = [Role::HANDLE, Role::FIELD, Role::PRESENCE, Role::RESOURCES, Role::AREA];

    /// A column's role; `None` for one that a view does not have.
    pub(super) fn of(role: ColumnRole) -> Option<Role> {
        let (code, field, component) = match role {
            ColumnRole::Handle => (Role::HANDLE, 0, 0),
            ColumnRole::Field { component, field } => (Role::FIELD, field, component),
            ColumnRole::Presence { component } => (Role::PRESENCE, 0, component),
            ColumnRole::Resources => (Role::RESOURCES, 0, 0),
            _ => return None,
        };
        Some(Role { code, field, component })
    }
}

/// A column of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateColumn {
    /// What it is.
    pub role: Role,
    /// Bytes of a row; 0: a column of bits, in words of 64 rows.
    pub item_bytes: u32,
    /// Its rows, or words.
    pub bytes: Vec<u8>,
}

impl StateColumn {
    /// An empty column.
    pub(super) fn new(role: Role, item_bytes: u32) -> Self {
        StateColumn { role, item_bytes, bytes: Vec::new() }
    }

    /// Bytes of an item: of a row, or of a word of bits.
    pub(super) fn unit(&self) -> usize {
        if self.item_bytes == 0 { 8 } else { self.item_bytes as usize }
    }

    /// Items of so many rows.
    pub(super) fn items(&self, rows: u32) -> usize {
        if self.item_bytes == 0 { (rows as usize).div_ceil(64) } else { rows as usize }
    }
}

/// A table of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateTable {
    /// Rows.
    pub rows: u32,
    /// Its components' ids, ascending.
    pub components: Vec<u16>,
    /// Its columns.
    pub columns: Vec<StateColumn>,
}

impl StateTable {
    /// The column with this role.
    #[must_use]
    pub fn column(&self, role: Role) -> Option<&StateColumn> {
        self.columns.iter().find(|column| column.role == role)
    }
}

/// What a client sees of a world at a generation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The generation; 0: nothing yet.
    pub generation: u64,
    /// The frame after which it was published.
    pub frame: u64,
    /// Simulated time after that frame.
    pub time: f64,
    /// The tables by id: 1 the resources, from 2 on those of entities, as the snapshot counts them.
    pub tables: BTreeMap<u32, StateTable>,
}

impl State {
    /// A state without anything, for a full delta to be applied to.
    #[must_use]
    pub fn new() -> Self {
        State::default()
    }

    /// All entities, components and resources of a generation: [`Selection::view`](super::Selection::view).
    #[must_use]
    pub fn of(snapshot: &Snapshot<'_>) -> Self {
        let table = |table: Source<'_>| {
            let column = |(role, raw): &(Role, RawColumn<'_>)| StateColumn {
                role: *role,
                item_bytes: raw.row_bytes().unwrap_or(0),
                bytes: raw.bytes().to_vec(),
            };
            let columns = table.columns.iter().map(column).collect();
            (table.id, StateTable { rows: table.rows, components: table.components.to_vec(), columns })
        };
        State {
            generation: snapshot.generation(),
            frame: snapshot.frame(),
            time: snapshot.time(),
            tables: sources(snapshot).map(table).collect(),
        }
    }

    /// Bytes of all columns.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let columns = self.tables.values().flat_map(|table| &table.columns);
        columns.map(|column| column.bytes.len() as u64).sum()
    }

    /// Live entities.
    #[must_use]
    pub fn entity_count(&self) -> u64 {
        self.tables.range(FIRST_DATA..).map(|(_, table)| u64::from(table.rows)).sum()
    }
}

/// A table of a snapshot.
pub(super) struct Source<'s> {
    pub id: u32,
    pub rows: u32,
    pub components: &'s [u16],
    pub columns: Vec<(Role, RawColumn<'s>)>,
}

/// The tables of a snapshot that views have, by ascending id.
pub(super) fn sources<'s>(snapshot: &'s Snapshot<'_>) -> impl Iterator<Item = Source<'s>> {
    let with_role = |column: RawColumn<'s>| Some((Role::of(column.role())?, column));
    let resources = snapshot.raw_resources();
    let resources = Source {
        id: RESOURCES,
        rows: resources.bytes().len() as u32,
        components: &[],
        columns: with_role(resources).into_iter().collect(),
    };
    let tables = (FIRST_DATA..).zip(snapshot.tables()).map(move |(id, table)| Source {
        id,
        rows: table.rows() as u32,
        components: table.component_ids(),
        columns: table.raw_columns().filter_map(with_role).collect(),
    });
    std::iter::once(resources).chain(tables)
}
