//! A whole state in plain memory: what a checkpoint holds, uncompressed, to be changed record by record.
#![forbid(unsafe_code)]

use crate::table::{ColumnKind, TableKind};
use std::collections::HashMap;
use std::sync::Arc;

use crate::checkpoint::parts::{Part, Parts, TableHead};
use crate::checkpoint::write::{part_bytes, tables_of};
use crate::checkpoint::{CheckpointError, CheckpointFile};
use crate::layout::Layout;
use crate::limits::CHUNK_ROWS;
use crate::region::RegionTarget;
use crate::snapshot::{Reader, Snapshot};
use crate::world::life::restore::{self, Piece};
use crate::world::{World, WorldBuilder};

use super::error::JournalError;

/// What a state says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    pub generation: u64,
    pub frame: u64,
    pub time: f64,
}

/// A state.
#[derive(Clone)]
pub(crate) struct State {
    pub layout: Arc<Layout>,
    pub moment: Moment,
    pub tables: Vec<TableHead>,
    pub parts: Parts,
    /// The bytes of each part.
    pub bytes: Vec<Vec<u8>>,
}

impl Part {
    /// Bytes of the pieces in which changes are noted: those that share a stamp; of stamps a thousand.
    pub(crate) fn piece_bytes(&self) -> usize {
        match (self.stamps, self.row_bytes) {
            (true, _) => 8 * CHUNK_ROWS,
            (false, 0) => CHUNK_ROWS / 8,
            (false, bytes) => bytes as usize * CHUNK_ROWS,
        }
    }
}

impl State {
    /// A copy of a generation.
    pub(crate) fn of(snapshot: &Snapshot<'_>) -> State {
        let tables = tables_of(snapshot);
        let layout = Arc::clone(snapshot.layout_shared());
        let parts = Parts::new(&layout, &tables);
        let bytes = parts.parts.iter().map(|part| part_bytes(snapshot, part).to_vec()).collect();
        let meta = snapshot.directory().meta;
        let moment = Moment { generation: meta.generation, frame: meta.frame, time: meta.time };
        State { layout, moment, tables, parts, bytes }
    }

    /// What a checkpoint holds.
    pub(crate) fn of_checkpoint(file: &CheckpointFile) -> Result<State, CheckpointError> {
        let head = file.head();
        let moment = Moment { generation: head.generation, frame: head.frame, time: head.time };
        Ok(State {
            layout: Arc::clone(&head.layout),
            moment,
            tables: head.tables.clone(),
            parts: Parts::new(&head.layout, &head.tables),
            bytes: file.parts_bytes()?,
        })
    }

    /// Whether it is the same state of the same moment.
    pub(crate) fn is_like(&self, other: &State) -> bool {
        self.moment == other.moment && self.tables == other.tables && self.bytes == other.bytes
    }

    /// The column that a part belongs to.
    fn kind(parts: &Parts, part: &Part) -> ColumnKind {
        parts.shapes[part.table].columns[part.column].0
    }

    /// Gives the state other tables: bytes of columns that both have stay, cut off or with zeros behind. Returns how many
    /// bytes each part had.
    pub(crate) fn reshape(&mut self, tables: Vec<TableHead>) -> Vec<u64> {
        if tables == self.tables {
            return self.bytes.iter().map(|bytes| bytes.len() as u64).collect();
        }
        let parts = Parts::new(&self.layout, &tables);
        let mut old: HashMap<(usize, ColumnKind, bool), Vec<u8>> = HashMap::new();
        for (part, bytes) in self.parts.parts.iter().zip(self.bytes.drain(..)) {
            old.insert((part.table, State::kind(&self.parts, part), part.stamps), bytes);
        }
        let mut had = Vec::with_capacity(parts.parts.len());
        for part in &parts.parts {
            let mut bytes = old.remove(&(part.table, State::kind(&parts, part), part.stamps)).unwrap_or_default();
            had.push((bytes.len() as u64).min(part.bytes));
            bytes.resize(part.bytes as usize, 0);
            self.bytes.push(bytes);
        }
        self.tables = tables;
        self.parts = parts;
        had
    }

    /// The table and column of a part, for people.
    pub(crate) fn name(&self, part: usize) -> String {
        let (table, column) = self.parts.name(&self.layout, &self.parts.parts[part]);
        format!("{column} in table ({table})")
    }

    fn head(&self) -> restore::Head<'_> {
        let table = |(index, head): (usize, &TableHead)| restore::TableHead {
            kind: head.kind,
            shape: Arc::clone(&self.parts.shapes[index]),
            rows: head.rows,
            capacity: head.capacity,
        };
        restore::Head {
            layout: &self.layout,
            tables: self.tables.iter().enumerate().map(table).collect(),
            generation: self.moment.generation,
            frame: self.moment.frame,
            time: self.moment.time,
        }
    }

    /// To be looked at like any region.
    pub(crate) fn load(&self) -> Result<Reader, JournalError> {
        let bytes_max = restore::bytes_needed(&self.head());
        Ok(self.make(World::builder(), RegionTarget::Heap, Some(bytes_max))?.reader()?)
    }

    /// A world that goes on from it.
    pub(crate) fn restore(&self, builder: WorldBuilder) -> Result<World, JournalError> {
        let (region, bytes_max) = restore::region_of(&builder);
        self.make(builder, region, bytes_max)
    }

    fn make(&self, builder: WorldBuilder, region: RegionTarget, bytes_max: Option<u64>) -> Result<World, JournalError> {
        let mut pieces = self.parts.parts.iter().zip(&self.bytes);
        let mut fill = |piece: Piece, out: &mut [u8]| {
            let (part, bytes) = pieces.next().expect("a world is filled with the parts of its tables");
            assert!(
                (part.table, part.column, part.stamps) == (piece.table, piece.column, piece.stamps),
                "a world is filled in the order of its parts"
            );
            out.copy_from_slice(bytes);
            Ok::<(), JournalError>(())
        };
        builder.restored(&self.head(), region, bytes_max, &mut fill)
    }

    /// Whether it is a state that a world can go on from.
    pub(crate) fn check(&self) -> Result<(), crate::generation::SnapshotError> {
        self.parts.check(&self.tables, self.moment.generation, self.moment.frame, &self.bytes)
    }

    /// The handles of a table of entities: the part that holds them.
    pub(crate) fn is_handles(&self, part: &Part) -> bool {
        self.tables[part.table].kind == TableKind::Data && part.column == 0 && !part.stamps
    }
}
