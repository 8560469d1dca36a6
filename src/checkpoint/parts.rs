//! Which bytes of a world a checkpoint holds, in which order, and how they are cut into chunks.
//!
//! Invariant: the order follows from the layout, the tables and the chunk size alone, so a reader knows what every
//! chunk must be before it looks at one. Rows beyond those in use are left out; stamps are those of the chunks of rows
//! in use.
#![forbid(unsafe_code)]

use crate::table::{ColumnKind, Item, Shape, TableKind};
use std::sync::Arc;

use crate::generation::SnapshotError;
use crate::generation::check::{Check, Looked};
use crate::layout::{Layout, ScalarType};
use crate::limits::CHUNK_ROWS;

/// A table without its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableHead {
    pub kind: TableKind,
    pub rows: u32,
    pub capacity: u32,
    pub components: Box<[u16]>,
}

impl TableHead {
    /// The table's columns.
    pub(crate) fn shape(&self, layout: &Layout) -> Shape {
        match self.kind {
            TableKind::Entities => Shape::entities(),
            TableKind::Resources => Shape::resources(),
            TableKind::Data => Shape::published(layout, &self.components),
            TableKind::Pool => Shape::published_pool(layout, self.components[0]),
        }
    }
}

/// The rows or the stamps of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub table: usize,
    pub column: usize,
    /// The stamps rather than the rows.
    pub stamps: bool,
    pub bytes: u64,
    /// Bytes of one scalar, for the transposition; 1: none.
    pub width: usize,
    /// Bytes of a row; 0: a bit.
    pub row_bytes: u32,
}

/// All parts of a world.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub shapes: Vec<Arc<Shape>>,
    pub parts: Vec<Part>,
}

impl Parts {
    /// The parts of these tables.
    pub(crate) fn new(layout: &Layout, tables: &[TableHead]) -> Parts {
        let mut parts = Vec::new();
        let mut shapes = Vec::with_capacity(tables.len());
        for (table, head) in tables.iter().enumerate() {
            let shape = head.shape(layout);
            for (column, &(kind, item)) in shape.columns.iter().enumerate() {
                let rows = u64::from(head.rows);
                let (bytes, row_bytes) = match item {
                    Item::Bytes(bytes) => (rows * u64::from(bytes), bytes),
                    Item::Bit => (rows.div_ceil(64) * 8, 0),
                };
                let part = Part { table, column, stamps: false, bytes, width: width(layout, kind), row_bytes };
                let stamps = Part { stamps: true, bytes: rows.div_ceil(CHUNK_ROWS as u64) * 8, width: 8, ..part };
                parts.extend([part, stamps].into_iter().filter(|part| part.bytes > 0));
            }
            shapes.push(Arc::new(shape));
        }
        Parts { shapes, parts }
    }

    /// Chunks, and bytes of all of them before compression; `None` where the numbers pass 64 bits.
    pub(crate) fn count(&self, chunk_bytes: u64) -> Option<(u64, u64)> {
        self.parts.iter().try_fold((0u64, 0u64), |(chunks, bytes), part| {
            Some((chunks.checked_add(part.bytes.div_ceil(chunk_bytes))?, bytes.checked_add(part.bytes)?))
        })
    }

    /// The name of a part's table and column, for people.
    pub(crate) fn name(&self, layout: &Layout, part: &Part) -> (String, String) {
        let shape = &self.shapes[part.table];
        let component = |id: u16| layout.components()[usize::from(id)].name.as_str();
        let table = match shape.columns[0].0 {
            ColumnKind::Field { component: id, .. } => format!("(elements of {})", component(id)),
            ColumnKind::Location => "(entities)".to_owned(),
            ColumnKind::Resources => "(resources)".to_owned(),
            _ => shape.components.iter().map(|id| component(*id)).collect::<Vec<_>>().join(", "),
        };
        let column = match shape.columns[part.column].0 {
            ColumnKind::Handle => "(entity)".to_owned(),
            ColumnKind::Field { component: id, field } => {
                let declared = &layout.components()[usize::from(id)];
                format!("{}.{}", declared.name, declared.fields[usize::from(field)].name)
            }
            ColumnKind::Span { component: id, part: 0 } => format!("{} (places)", component(id)),
            ColumnKind::Span { component: id, .. } => format!("{} (lengths)", component(id)),
            ColumnKind::Presence { component: id } => format!("{} (presence)", component(id)),
            ColumnKind::Changed { component: id, .. } => format!("{} (changed)", component(id)),
            ColumnKind::Location => "(locations)".to_owned(),
            ColumnKind::Generation => "(generations)".to_owned(),
            ColumnKind::Resources => "(bytes)".to_owned(),
        };
        (table, if part.stamps { format!("{column} (stamps)") } else { column })
    }
}

impl Parts {
    /// What the check of a state looks at in a part.
    pub(crate) fn looked(&self, part: &Part, tables: &[TableHead]) -> Looked {
        let (kind, item) = self.shapes[part.table].columns[part.column];
        Looked { table: part.table, kind, item, rows: tables[part.table].rows }
    }

    /// Checks a state whose parts' bytes are at hand, in their order: the same check as when it is loaded.
    pub(crate) fn check(
        &self,
        tables: &[TableHead],
        generation: u64,
        frame: u64,
        bytes: &[Vec<u8>],
    ) -> Result<(), SnapshotError> {
        let mut check = Check::new(generation, frame, pools(tables))?;
        for (part, bytes) in self.parts.iter().zip(bytes) {
            if part.stamps {
                check.stamps(bytes)?;
            } else {
                check.rows(self.looked(part, tables), bytes.as_slice().into())?;
            }
        }
        check.end()
    }
}

impl Part {
    /// The rows that bytes `from..to` of the part hold, or are the stamps of.
    pub(crate) fn rows(&self, from: u64, to: u64, rows: u32) -> (u64, u64) {
        let (per, unit) = match (self.stamps, self.row_bytes) {
            (true, _) => (CHUNK_ROWS as u64, 8),
            (false, 0) => (64, 8),
            (false, bytes) => (1, u64::from(bytes)),
        };
        (from / unit * per, (to.div_ceil(unit) * per).min(u64::from(rows)))
    }
}

/// The lists and how many elements each one has.
pub(crate) fn pools(tables: &[TableHead]) -> impl Iterator<Item = (u16, u32)> + '_ {
    tables.iter().filter(|table| table.kind == TableKind::Pool).map(|table| (table.components[0], table.rows))
}

/// Bytes of the scalars in a column; 1 where their bytes are no numbers.
fn width(layout: &Layout, kind: ColumnKind) -> usize {
    match kind {
        ColumnKind::Handle | ColumnKind::Location => ScalarType::U64.bytes(),
        ColumnKind::Generation | ColumnKind::Span { .. } => ScalarType::U32.bytes(),
        ColumnKind::Field { component, field } => {
            layout.components()[usize::from(component)].fields[usize::from(field)].ty.scalar.bytes()
        }
        ColumnKind::Presence { .. } | ColumnKind::Changed { .. } | ColumnKind::Resources => 1,
    }
}
