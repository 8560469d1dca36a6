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
    /// The part of the world that it is of.
    pub part: usize,
    pub rows: u32,
    pub components: &'s [u16],
    pub columns: Vec<(Role, RawColumn<'s>)>,
}

/// The tables of a snapshot that views have, by ascending id.
pub(super) fn sources<'s>(snapshot: &'s Snapshot<'_>) -> impl Iterator<Item = Source<'s>> {
    std::iter::once(resources(snapshot)).chain(tables(snapshot, (0, 1)))
}

/// The tables of all parts of a world, by ascending id: the resources are those of the first. Rows are who their global ids
/// say; a table without them has handles.
pub(super) fn sources_of_parts<'s>(parts: &'s [Snapshot<'_>]) -> Vec<Source<'s>> {
    let count = parts.len();
    let mut all: Vec<Source<'s>> = parts.first().map(resources).into_iter().collect();
    for (part, snapshot) in parts.iter().enumerate() {
        let id = snapshot.layout().component("global_id").map(|(id, _)| id as u16);
        all.extend(tables(snapshot, (part, count)).map(|table| by_id(table, id)));
    }
    all.sort_unstable_by_key(|table| table.id);
    all
}

fn with_role(column: RawColumn<'_>) -> Option<(Role, RawColumn<'_>)> {
    Some((Role::of(column.role())?, column))
}

fn resources<'s>(snapshot: &'s Snapshot<'_>) -> Source<'s> {
    let resources = snapshot.raw_resources();
    Source {
        id: RESOURCES,
        part: 0,
        rows: resources.bytes().len() as u32,
        components: &[],
        columns: with_role(resources).into_iter().collect(),
    }
}

/// The tables of entities of one part of many. Ids of parts take turns, so that a part's new table changes no other's id.
fn tables<'s>(snapshot: &'s Snapshot<'_>, (part, parts): (usize, usize)) -> impl Iterator<Item = Source<'s>> {
    let ids = (FIRST_DATA + part as u32..).step_by(parts);
    ids.zip(snapshot.tables()).filter(|(_, table)| !table.is_elsewhere()).map(move |(id, table)| Source {
        id,
        part,
        rows: table.rows() as u32,
        components: table.component_ids(),
        columns: table.raw_columns().filter_map(with_role).collect(),
    })
}

/// A table with the ids of its rows in the place of their handles, where it has them.
fn by_id(mut table: Source<'_>, component: Option<u16>) -> Source<'_> {
    let id = component.map(|component| Role { code: Role::FIELD, field: 0, component });
    let ids = table.columns.iter().find(|(role, _)| Some(*role) == id).map(|(_, raw)| *raw);
    let ids = ids.filter(|raw| raw.row_bytes() == Some(8));
    if let (Some(ids), Some(handles)) = (ids, table.columns.iter_mut().find(|(role, _)| role.code == Role::HANDLE)) {
        handles.1 = ids;
    }
    table
}
