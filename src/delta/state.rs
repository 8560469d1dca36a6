//! What a world is at a generation, or what a client sees of it: tables of plain bytes.
//!
//! Invariants: a column of a table with `rows` rows has `items(rows)` items of `item_bytes`; stamps are empty, or one for
//! each chunk of rows. The state knows no layout and no names: what the bytes mean is told beside it.

use crate::table::{ColumnKind, ENTITIES, FIRST_DATA, Item, Location, RESOURCES, resources::resource_offset};
use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

use crate::generation::kind_code;
use crate::layout::Layout;
use crate::limits::CHUNK_ROWS;
use crate::snapshot::Snapshot;

/// What a column is, in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role {
    /// One of the constants below.
    pub code: u8,
    /// The field's place in its component (of changed bits: the parity of the frame); else 0.
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
    /// Which rows of a tracked component changed: bits.
    pub const CHANGED: u8 = 3;
    /// The entity map's tables and rows.
    pub const LOCATION: u8 = 4;
    /// The entity map's generations.
    pub const GENERATION: u8 = 5;
    /// The resources' bytes.
    pub const RESOURCES: u8 = 6;
    /// Which rows are inside the area that was asked for: bits.
    pub const AREA: u8 = 7;

    pub(super) fn of(kind: ColumnKind) -> Role {
        let (code, field, component) = kind_code(kind);
        Role { code, field, component }
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
    /// For each chunk of rows the generation in which it was last written; empty where a view was asked for.
    pub stamps: Vec<u64>,
}

impl StateColumn {
    /// An empty column.
    pub(super) fn new(role: Role, item_bytes: u32) -> Self {
        StateColumn { role, item_bytes, bytes: Vec::new(), stamps: Vec::new() }
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTable {
    /// Rows.
    pub rows: u32,
    /// Rows that its world had room for.
    pub capacity: u32,
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

/// What a world is at a generation, or what a client sees of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The generation; 0: nothing yet.
    pub generation: u64,
    /// The frame after which it was published.
    pub frame: u64,
    /// Simulated time after that frame.
    pub time: f64,
    /// The tables by id: 0 the entity map, 1 the resources, from 2 on those of entities, as the snapshot counts them.
    pub tables: BTreeMap<u32, StateTable>,
}

impl State {
    /// A state without anything, for a full delta to be applied to.
    #[must_use]
    pub fn new() -> Self {
        State::default()
    }

    /// All of a generation.
    #[must_use]
    pub fn of(snapshot: &Snapshot<'_>) -> Self {
        let table = |entry: &crate::generation::TableEntry| {
            let columns = entry.columns.iter().map(|column| {
                let item_bytes = item_bytes(column.item);
                let (rows, stamps) = snapshot.column_parts(entry, column);
                StateColumn { role: Role::of(column.kind), item_bytes, bytes: rows.to_vec(), stamps: stamps.to_vec() }
            });
            StateTable {
                rows: entry.rows,
                capacity: entry.capacity,
                components: entry.components.to_vec(),
                columns: columns.collect(),
            }
        };
        State {
            generation: snapshot.generation(),
            frame: snapshot.frame(),
            time: snapshot.time(),
            tables: (0..).zip(snapshot.directory().tables.iter().map(table)).collect(),
        }
    }

    /// Bytes of all columns.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let columns = self.tables.values().flat_map(|table| &table.columns);
        columns.map(|column| (column.bytes.len() + 8 * column.stamps.len()) as u64).sum()
    }

    /// Live entities.
    #[must_use]
    pub fn entity_count(&self) -> u64 {
        self.tables.range(FIRST_DATA..).map(|(_, table)| u64::from(table.rows)).sum()
    }

    /// The hash of the state's logical content: that of the snapshot it is equal to. Of a state of everything only.
    #[must_use]
    pub fn hash(&self, layout: &Layout) -> u64 {
        let mut hash = Xxh3::new();
        let column = |table: u32, code: u8| {
            let table = self.tables.get(&table);
            table.and_then(|table| table.column(Role { code, field: 0, component: 0 })).map_or(&[][..], |c| &c.bytes)
        };
        let locations = column(ENTITIES, Role::LOCATION).as_chunks::<8>().0;
        let generations = column(ENTITIES, Role::GENERATION).as_chunks::<4>().0;
        let mut packed = Vec::new();
        for (slot, (bits, generation)) in locations.iter().zip(generations).enumerate() {
            packed.clear();
            packed.extend_from_slice(&(slot as u32).to_le_bytes());
            packed.extend_from_slice(generation);
            match Location::from_bits(u64::from_le_bytes(*bits)) {
                None => packed.extend_from_slice(b"free"),
                Some(at) => {
                    let Some(table) = self.tables.get(&at.table).filter(|_| at.table >= FIRST_DATA) else { continue };
                    table.pack_row(at.row as usize, &mut packed);
                    packed.extend_from_slice(b"live");
                }
            }
            hash.update(&packed);
        }
        let resources = column(RESOURCES, Role::RESOURCES);
        for (index, declared) in layout.resources().iter().enumerate() {
            let at = resource_offset(layout, index) as usize;
            match (resources.get(index), resources.get(at..at + declared.packed_bytes())) {
                (Some(present), Some(bytes)) if *present != 0 => {
                    hash.update(b"set");
                    hash.update(bytes);
                }
                _ => hash.update(b"not"),
            }
        }
        hash.digest()
    }
}

impl StateTable {
    /// Appends each component that the row has: id, then packed value.
    fn pack_row(&self, row: usize, out: &mut Vec<u8>) {
        for &component in &self.components {
            let presence = self.column(Role { code: Role::PRESENCE, field: 0, component });
            if presence.is_some_and(|bits| bits.bytes.get(row / 8).is_none_or(|byte| byte >> (row % 8) & 1 == 0)) {
                continue;
            }
            out.extend_from_slice(&component.to_le_bytes());
            for column in &self.columns {
                if column.role.code == Role::FIELD && column.role.component == component {
                    let bytes = column.item_bytes as usize;
                    out.extend_from_slice(column.bytes.get(row * bytes..(row + 1) * bytes).unwrap_or_default());
                }
            }
        }
    }
}

pub(super) fn item_bytes(item: Item) -> u32 {
    match item {
        Item::Bytes(bytes) => bytes,
        Item::Bit => 0,
    }
}

/// Chunks of so many rows.
pub(super) fn chunks(rows: u32) -> usize {
    (rows as usize).div_ceil(CHUNK_ROWS)
}
