//! The directory of a generation: which extents hold which columns, as bytes.
//!
//! ```text
//! byte   0 magic "HYGENDIR"                    8 version u32 · tables u32
//!       16 generation u64                     24 frame u64
//!       32 time f64                           40 layout hash u64
//!       48 columns of all tables u32 · component ids of all tables u32
//!       56 reserved u64 (0)
//!       64 per table, 24 bytes: kind u32 · components u32 · columns u32 · rows u32 · capacity u32 · 0 u32
//!        … per column of every table, 32 bytes: kind u8 · field u8 · component u16 · row bytes u32 (0: one bit)
//!          · extent offset u64 · extent bytes u64 · generation in which the column came from
//!          another table u64 (0: it never did; its stamps tell nothing of that)
//!        … component ids u16 of every table, zeros to a multiple of 8
//! ```
//!
//! All integers are little-endian. Its checksum (xxh3) stands in the directory slot of the control page. A directory
//! is untrusted until [`Directory::decode`] has checked it: lengths, kinds, extents inside the data segment, and that
//! every column has room for its rows.
#![forbid(unsafe_code)]

use crate::layout::Layout;
use crate::limits::PAGE_BYTES;
use crate::region::Extent;
use crate::table::{ColumnKind, FIRST_POOL, Item, Shape, Table, TableKind};

use super::error::SnapshotError;

/// First bytes of a directory.
const MAGIC: [u8; 8] = *b"HYGENDIR";
/// Version of this format.
const VERSION: u32 = 1;
/// Bytes before the tables.
const HEADER_BYTES: usize = 64;
/// Bytes of a table's entry.
const TABLE_BYTES: usize = 24;
/// Bytes of a column's entry.
const COLUMN_BYTES: usize = 32;

/// What a generation says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Meta {
    pub generation: u64,
    pub frame: u64,
    pub time: f64,
    pub layout_hash: u64,
}

/// A column as a directory names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnEntry {
    pub kind: ColumnKind,
    pub item: Item,
    pub extent: Extent,
    /// The generation in which the column was taken over from another table; 0: never. Rows that came that way may be
    /// older than any look, by their chunks' stamps.
    pub moved: u64,
}

/// A table as a directory names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableEntry {
    pub kind: TableKind,
    pub rows: u32,
    pub capacity: u32,
    pub components: Box<[u16]>,
    pub columns: Box<[ColumnEntry]>,
}

/// A generation's directory, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Directory {
    pub meta: Meta,
    pub tables: Vec<TableEntry>,
    /// Where the tables of entities begin: before them stand the engine's own.
    pub first_data: usize,
    /// Its own extent and all those that it names, by offset.
    sorted: Vec<Extent>,
}

/// Code, field and component of a kind, as written.
pub(crate) fn kind_code(kind: ColumnKind) -> (u8, u8, u16) {
    match kind {
        ColumnKind::Handle => (0, 0, 0),
        ColumnKind::Field { component, field } => (1, field, component),
        ColumnKind::Presence { component } => (2, 0, component),
        ColumnKind::Changed { component, parity } => (3, parity, component),
        ColumnKind::Location => (4, 0, 0),
        ColumnKind::Generation => (5, 0, 0),
        ColumnKind::Resources => (6, 0, 0),
        ColumnKind::Span { component, part } => (7, part, component),
    }
}

/// Appends the directory of these tables to `out`.
pub(crate) fn encode(meta: &Meta, tables: &[Table], out: &mut Vec<u8>) {
    let columns: usize = tables.iter().map(|table| table.published_columns().len()).sum();
    let components: usize = tables.iter().map(|table| table.shape.components.len()).sum();
    out.reserve(HEADER_BYTES + tables.len() * TABLE_BYTES + columns * COLUMN_BYTES + 2 * components + 8);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(tables.len() as u32).to_le_bytes());
    out.extend_from_slice(&meta.generation.to_le_bytes());
    out.extend_from_slice(&meta.frame.to_le_bytes());
    out.extend_from_slice(&meta.time.to_le_bytes());
    out.extend_from_slice(&meta.layout_hash.to_le_bytes());
    out.extend_from_slice(&(columns as u32).to_le_bytes());
    out.extend_from_slice(&(components as u32).to_le_bytes());
    out.extend_from_slice(&0u64.to_le_bytes());
    for table in tables {
        let kind: u32 = match table.kind {
            TableKind::Entities => 0,
            TableKind::Resources => 1,
            TableKind::Data => 2,
            TableKind::Pool => 3,
        };
        let (rows, capacity) = table.published_rows();
        let (components, columns) = (table.shape.components.len(), table.published_columns().len());
        let words = [kind, components as u32, columns as u32, rows, capacity, 0];
        out.extend_from_slice(bytemuck::bytes_of(&words.map(u32::to_le)));
    }
    for column in tables.iter().flat_map(Table::published_columns) {
        let (kind, field, component) = kind_code(column.kind);
        let bytes = match column.item {
            Item::Bytes(bytes) => bytes,
            Item::Bit => 0,
        };
        let name = u64::from(kind) | u64::from(field) << 8 | u64::from(component) << 16 | u64::from(bytes) << 32;
        // one entry at once
        let words: [u64; COLUMN_BYTES / 8] = [name, column.live.offset, column.live.bytes, column.moved];
        out.extend_from_slice(bytemuck::bytes_of(&words.map(u64::to_le)));
    }
    for component in tables.iter().flat_map(|table| &table.shape.components) {
        out.extend_from_slice(&component.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(8), 0);
}

/// Reads little-endian words off untrusted bytes.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| SnapshotError::directory("it ends early"))?;
        self.0 = rest;
        Ok(*head)
    }
    fn skip(&mut self, bytes: usize) -> Result<(), SnapshotError> {
        self.0 = self.0.get(bytes..).ok_or(SnapshotError::directory("it ends early"))?;
        Ok(())
    }
    /// Whether the next `n` little-endian words are these.
    fn starts_with(&self, words: &[u16], n: usize) -> bool {
        words.len() == n
            && self.0.len() >= 2 * n
            && self.0.as_chunks::<2>().0.iter().zip(words).all(|(bytes, word)| u16::from_le_bytes(*bytes) == *word)
    }
    fn u16(&mut self) -> Result<u16, SnapshotError> {
        self.take().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.take().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.take().map(u64::from_le_bytes)
    }
}

impl Directory {
    /// Reads and checks a directory that stands at offset `at` of the data: `data_bytes` is how long the data are.
    pub(crate) fn decode(
        bytes: &[u8],
        at: u64,
        layout: &Layout,
        layout_hash: u64,
        data_bytes: u64,
    ) -> Result<Self, SnapshotError> {
        Self::decode_after(None, bytes, at, layout, layout_hash, data_bytes)
    }

    /// The same after another directory of the same region, most of whose tables are still what they were: their memory
    /// is taken over.
    pub(crate) fn decode_after(
        previous: Option<Directory>,
        bytes: &[u8],
        at: u64,
        layout: &Layout,
        layout_hash: u64,
        data_bytes: u64,
    ) -> Result<Self, SnapshotError> {
        let mut head = Cursor(bytes);
        if head.take::<8>()? != MAGIC {
            return Err(SnapshotError::directory("its first bytes are not HYGENDIR"));
        }
        let version = head.u32()?;
        if version != VERSION {
            return Err(SnapshotError::Directory(format!("its version is {version}, this build reads {VERSION}")));
        }
        let table_count = head.u32()? as usize;
        let meta = Meta {
            generation: head.u64()?,
            frame: head.u64()?,
            time: f64::from_bits(head.u64()?),
            layout_hash: head.u64()?,
        };
        if meta.layout_hash != layout_hash {
            return Err(SnapshotError::directory("its layout is not the region's"));
        }
        super::check::meta(meta.generation, meta.frame)?;
        let column_count = head.u32()? as usize;
        let component_count = head.u32()? as usize;
        head.u64()?;
        let want = (HEADER_BYTES + component_count * 2)
            .checked_add(table_count.saturating_mul(TABLE_BYTES))
            .and_then(|sum| sum.checked_add(column_count.saturating_mul(COLUMN_BYTES)))
            .map(|sum| sum.next_multiple_of(8));
        if want != Some(bytes.len()) {
            return Err(SnapshotError::directory("its length does not fit its counts"));
        }
        let columns_at = HEADER_BYTES + table_count * TABLE_BYTES;
        let mut columns = Cursor(&bytes[columns_at..]);
        let mut components = Cursor(&bytes[columns_at + column_count * COLUMN_BYTES..]);
        let (mut tables, sorted) = previous.map(|previous| (previous.tables, previous.sorted)).unwrap_or_default();
        let resources_bytes = layout.resources_bytes();
        let lists: Vec<u16> = layout.lists().collect();
        let first_data = FIRST_POOL as usize + lists.len();
        tables.truncate(table_count);
        tables.reserve(table_count - tables.len());
        let (mut columns_left, mut components_left) = (column_count, component_count);
        // of the tables that are known no two have the same components
        let mut all_known = true;
        for index in 0..table_count {
            let kind = super::check::kind_at(head.u32()?, index, lists.len())
                .ok_or(SnapshotError::directory("a table's kind is out of place"))?;
            let (n_components, n_columns) = (head.u32()? as usize, head.u32()? as usize);
            let (rows, capacity) = (head.u32()?, head.u32()?);
            head.u32()?;
            if n_components > components_left || n_columns > columns_left {
                return Err(SnapshotError::directory("a table's counts do not add up"));
            }
            if !super::check::counts_fit(kind, rows, capacity, resources_bytes) {
                return Err(SnapshotError::directory("a table's rows and their room do not fit each other"));
            }
            components_left -= n_components;
            columns_left -= n_columns;
            if let Some(known) = tables.get_mut(index)
                && known.kind == kind
                && known.columns.len() == n_columns
                && components.starts_with(&known.components, n_components)
            {
                components.skip(2 * n_components)?;
                for entry in &mut known.columns {
                    *entry = column(&mut columns, entry.kind, entry.item, capacity, data_bytes)?;
                }
                (known.rows, known.capacity) = (rows, capacity);
                continue;
            }
            all_known = false;
            let ids: Vec<u16> = (0..n_components).map(|_| components.u16()).collect::<Result<_, _>>()?;
            let ordered = ids.windows(2).all(|pair| pair[0] < pair[1]);
            if !ordered || ids.last().is_some_and(|id| usize::from(*id) >= layout.components().len()) {
                return Err(SnapshotError::directory("a table's components are not the layout's, in order"));
            }
            if !super::check::components_fit(kind, index, &ids, &lists) {
                return Err(SnapshotError::directory(
                    "one of the engine's own tables has other components than it should",
                ));
            }
            let shape = match kind {
                TableKind::Entities => Shape::entities(),
                TableKind::Resources => Shape::resources(),
                TableKind::Data => Shape::published(layout, &ids),
                TableKind::Pool => Shape::published_pool(layout, lists[index - FIRST_POOL as usize]),
            };
            if shape.columns.len() != n_columns {
                return Err(SnapshotError::directory("a table's columns are not its components'"));
            }
            let entries = shape
                .columns
                .iter()
                .map(|&(kind, item)| column(&mut columns, kind, item, capacity, data_bytes))
                .collect::<Result<_, _>>()?;
            let entry = TableEntry { kind, rows, capacity, components: ids.into(), columns: entries };
            match tables.get_mut(index) {
                Some(known) => *known = entry,
                None => tables.push(entry),
            }
        }
        if columns_left > 0 || components_left > 0 || tables.len() < first_data {
            return Err(SnapshotError::directory("its counts do not add up"));
        }
        if !all_known && !super::check::components_differ(tables[first_data..].iter().map(|table| &*table.components)) {
            return Err(SnapshotError::directory("two of its tables have the same components"));
        }
        // a row is an entity, and an entity has a slot
        let rows: u64 = tables[first_data..].iter().map(|table| u64::from(table.rows)).sum();
        if rows > u64::from(tables[0].rows) {
            return Err(SnapshotError::directory("it has more rows than slots for entities"));
        }
        let moved = tables.iter().flat_map(|table| &table.columns).any(|column| column.moved > meta.generation);
        if moved {
            return Err(SnapshotError::directory("a column came from another table in a generation still to come"));
        }
        let mut directory = Directory { meta, tables, first_data, sorted };
        directory.check_overlaps(Extent { offset: at, bytes: bytes.len() as u64 })?;
        Ok(directory)
    }

    /// No two columns share a byte, and none has one of the directory itself or of the page that is never used.
    fn check_overlaps(&mut self, own: Extent) -> Result<(), SnapshotError> {
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.clear();
        sorted.push(Extent { offset: 0, bytes: PAGE_BYTES });
        sorted.push(own);
        sorted.extend(self.extents().filter(|extent| extent.bytes > 0));
        sorted.sort_unstable_by_key(|extent| extent.offset);
        // inside the data, so the ends do not wrap
        let apart = sorted.windows(2).all(|pair| pair[0].offset + pair[0].bytes <= pair[1].offset);
        self.sorted = sorted;
        if apart { Ok(()) } else { Err(SnapshotError::directory("two of the extents that it names overlap")) }
    }

    /// All extents that the directory names.
    pub(crate) fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        self.tables.iter().flat_map(|table| table.columns.iter().map(|column| column.extent))
    }
}

fn column(
    cursor: &mut Cursor<'_>,
    kind: ColumnKind,
    item: Item,
    capacity: u32,
    data_bytes: u64,
) -> Result<ColumnEntry, SnapshotError> {
    let [code, field] = cursor.take::<2>()?;
    let component = cursor.u16()?;
    let bytes = cursor.u32()?;
    let extent = Extent { offset: cursor.u64()?, bytes: cursor.u64()? };
    let moved = cursor.u64()?;
    let wanted = match item {
        Item::Bytes(bytes) => bytes,
        Item::Bit => 0,
    };
    if (code, field, component) != kind_code(kind) || bytes != wanted {
        return Err(SnapshotError::directory("a column is not what its table's components ask for"));
    }
    let end = extent.offset.checked_add(extent.bytes);
    let room = item.extent_bytes(capacity).1;
    if end.is_none_or(|end| end > data_bytes) || extent.bytes < room || !extent.offset.is_multiple_of(64) {
        return Err(SnapshotError::directory("a column's extent lies outside the data or is too small for its rows"));
    }
    Ok(ColumnEntry { kind, item, extent, moved })
}
