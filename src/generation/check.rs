//! Whether a generation is a valid state: what the engine relies on in its columns, checked for any writer.
//!
//! A directory has a checksum; the columns that it names have none, and a checksum only tells that bytes are those that
//! were written. One check serves writing a file, verifying one, loading one and taking a region over, so that
//! what one of them accepts the others do not refuse:
//!
//! - every row's handle leads to that row, by way of the entity map, and nothing else is alive;
//! - bits for rows that there are not are 0;
//! - no row was written in a generation that is still to come;
//! - the elements of every list are in the list's pool.
//!
//! What fields hold is any bytes, and means no harm. This file never knows where the bytes come from.
#![forbid(unsafe_code)]

use crate::component::Entity;
use crate::limits::FRAME_MAX;
use crate::table::{ColumnKind, FIRST_POOL, Item, LOCATION_FREE, Location, TableKind};

use super::SnapshotError;

/// Checks what a state says of itself.
pub(crate) fn meta(generation: u64, frame: u64) -> Result<(), SnapshotError> {
    if generation == 0 || generation >= crate::region::pin::GENERATION_MAX {
        return Err(SnapshotError::Entities(format!("its generation cannot be {generation}")));
    }
    if frame > FRAME_MAX {
        return Err(SnapshotError::Entities(format!("its frame cannot be {frame}")));
    }
    Ok(())
}

/// The kind of the table at a place, if one of this code may stand there: the entity map, the resources, the pool of each
/// list, then tables of entities.
pub(crate) fn kind_at(code: u32, place: usize, lists: usize) -> Option<TableKind> {
    let pools = FIRST_POOL as usize..FIRST_POOL as usize + lists;
    match code {
        0 if place == 0 => Some(TableKind::Entities),
        1 if place == 1 => Some(TableKind::Resources),
        2 if place >= pools.end => Some(TableKind::Data),
        3 if pools.contains(&place) => Some(TableKind::Pool),
        _ => None,
    }
}

/// Whether the table at a place may have these components: a pool its list's, the engine's other tables none.
pub(crate) fn components_fit(kind: TableKind, place: usize, components: &[u16], lists: &[u16]) -> bool {
    match kind {
        TableKind::Data => true,
        TableKind::Pool => *components == [lists[place - FIRST_POOL as usize]],
        TableKind::Entities | TableKind::Resources => components.is_empty(),
    }
}

/// Whether a table may have so many rows and so much room for them. `resources_bytes` is what the layout's resources take.
pub(crate) fn counts_fit(kind: TableKind, rows: u32, capacity: u32, resources_bytes: u32) -> bool {
    match kind {
        TableKind::Resources => rows == resources_bytes && capacity == rows.max(1),
        TableKind::Entities | TableKind::Data | TableKind::Pool => {
            rows <= capacity && capacity > 0 && capacity.is_multiple_of(64)
        }
    }
}

/// Whether no two tables have the same components: a set of components leads to one table, and a query would find the
/// entities of the other one under another row order than the world that wrote them.
pub(crate) fn components_differ<'t>(tables: impl Iterator<Item = &'t [u16]>) -> bool {
    let mut sorted: Vec<&[u16]> = tables.collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

/// What is looked at in a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked {
    pub table: usize,
    pub kind: ColumnKind,
    pub item: Item,
    pub rows: u32,
}

impl Looked {
    /// Whether the rows of the column are looked at, and not its stamps alone.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn wants_rows(&self) -> bool {
        self.item == Item::Bit
            || matches!(
                self.kind,
                ColumnKind::Handle | ColumnKind::Location | ColumnKind::Generation | ColumnKind::Span { .. }
            )
    }
}

/// Checks a state column by column, in the order of tables and columns: the entity map comes first.
#[derive(Debug, Default)]
pub(crate) struct Check<'b> {
    generation: u64,
    locations: Bytes<'b>,
    generations: Bytes<'b>,
    rows: u64,
    /// The lists and how many elements each one's pool has.
    pools: Vec<(u16, u32)>,
    /// The places of the lists of the table that is looked at.
    starts: Bytes<'b>,
}

/// Bytes that are lent, or that were read for the check.
pub(crate) type Bytes<'b> = std::borrow::Cow<'b, [u8]>;

impl<'b> Check<'b> {
    /// Begins with what the state says of itself; `pools`: the lists, and how many elements each one's pool has.
    pub(crate) fn new(
        generation: u64,
        frame: u64,
        pools: impl IntoIterator<Item = (u16, u32)>,
    ) -> Result<Check<'b>, SnapshotError> {
        meta(generation, frame)?;
        Ok(Check { generation, pools: pools.into_iter().collect(), ..Check::default() })
    }

    /// Stamps of the chunks in use: words of 8 bytes.
    pub(crate) fn stamps(&self, stamps: &[u8]) -> Result<(), SnapshotError> {
        match words(stamps).find(|stamp| *stamp > self.generation) {
            None => Ok(()),
            Some(stamp) => Err(SnapshotError::Entities(format!(
                "it is generation {}, and rows were written in generation {stamp}, which is still to come",
                self.generation
            ))),
        }
    }

    /// Rows in use of a column; of bits the words that have any.
    pub(crate) fn rows(&mut self, looked: Looked, bytes: Bytes<'b>) -> Result<(), SnapshotError> {
        let beyond = looked.rows % 64;
        if looked.item == Item::Bit
            && beyond > 0
            && let Some(word) = bytes.last_chunk::<8>()
            && u64::from_le_bytes(*word) >> beyond != 0
        {
            let (table, rows) = (looked.table, looked.rows);
            let what = format!("a column of bits in table {table} has some for rows that there are not: it has {rows}");
            return Err(SnapshotError::Entities(what));
        }
        match looked.kind {
            ColumnKind::Location => self.locations = bytes,
            ColumnKind::Generation => self.generations = bytes,
            ColumnKind::Handle => self.handles(looked.table, &bytes)?,
            ColumnKind::Span { part: 0, .. } => self.starts = bytes,
            ColumnKind::Span { component, .. } => self.spans(looked.table, component, &bytes)?,
            _ => {}
        }
        Ok(())
    }

    fn handles(&mut self, table: usize, handles: &[u8]) -> Result<(), SnapshotError> {
        let locations = self.locations.as_chunks::<8>().0;
        let generations = self.generations.as_chunks::<4>().0;
        for (row, bits) in (0u32..).zip(words(handles)) {
            let handle = Entity::from_bits(bits);
            let slot = handle.index() as usize;
            let place = Location { table: table as u32, row }.to_bits().to_le_bytes();
            let agrees = handle.generation() < Entity::GENERATIONS_END
                && locations.get(slot) == Some(&place)
                && generations.get(slot) == Some(&handle.generation().to_le_bytes());
            if !agrees {
                return Err(SnapshotError::Entities(format!(
                    "the handle in row {row} of table {table} is not its own"
                )));
            }
            self.rows += 1;
        }
        Ok(())
    }

    fn spans(&mut self, table: usize, component: u16, lengths: &[u8]) -> Result<(), SnapshotError> {
        let pool = self.pools.iter().find(|(list, _)| *list == component).map_or(0, |(_, elements)| *elements);
        let (starts, lengths) = (self.starts.as_chunks::<4>().0, lengths.as_chunks::<4>().0);
        for (row, length) in lengths.iter().enumerate() {
            let start = starts.get(row).map_or(u32::MAX, |start| u32::from_le_bytes(*start));
            let end = u64::from(start) + u64::from(u32::from_le_bytes(*length));
            if end > u64::from(pool) {
                return Err(SnapshotError::Entities(format!(
                    "the list in row {row} of table {table} ends at element {end}, and its component has {pool}"
                )));
            }
        }
        Ok(())
    }

    /// Ends the check: nothing is alive that has no row.
    pub(crate) fn end(self) -> Result<(), SnapshotError> {
        let alive = words(&self.locations).filter(|location| *location != LOCATION_FREE).count() as u64;
        if alive != self.rows {
            return Err(SnapshotError::Entities(format!("it has {alive} live entities and {} rows", self.rows)));
        }
        Ok(())
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}
