//! A world made of what another one was: tables with their rows and stamps, put into a new region.
//!
//! It is made as if it had just gone back to its newest generation: every column frozen, the entity map deciding which
//! slots are free. Its first publication is that generation again, under the same number, so whatever counts
//! generations goes on as it was. This file never knows where the bytes come from.
#![forbid(unsafe_code)]

use crate::table::{Column, Item, Shape, Table, TableKind};
use std::sync::Arc;

use crate::layout::Layout;
use crate::limits::{CHUNK_ROWS, PAGE_BYTES, WORLD_BYTES_MAX};
use crate::region::{Extent, Region, RegionTarget};

use super::builder::{WorldBuilder, check_types};
use super::publish::Publication;
use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::Store;
use crate::world::store::arena;

/// A table to be made.
pub(crate) struct TableHead {
    pub kind: TableKind,
    pub shape: Arc<Shape>,
    pub rows: u32,
    pub capacity: u32,
}

/// A world to be made, without its content.
pub(crate) struct Head<'a> {
    pub layout: &'a Arc<Layout>,
    pub tables: Vec<TableHead>,
    /// At least 1.
    pub generation: u64,
    pub frame: u64,
    pub time: f64,
}

/// What is to be filled: the rows of a column, or its stamps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub table: usize,
    pub column: usize,
    pub stamps: bool,
}

/// Puts the content into a piece.
type Fill<'a, E> = dyn FnMut(Piece, &mut [u8]) -> Result<(), E> + 'a;

/// Address space for a world that is only looked at: every extent as the allocator rounds it, once more those of the columns
/// that any world is expected to write (the entity map, the resources), and its directory.
pub(crate) fn bytes_needed(head: &Head<'_>) -> u64 {
    let mut bytes = 1 << 20;
    for table in &head.tables {
        for (_, item) in &whole_shape(head.layout, table).columns {
            let extent = item.extent_bytes(table.capacity).1.max(PAGE_BYTES);
            let extent = extent.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u64::MAX);
            let times = if table.kind == TableKind::Data { 1 } else { 2 };
            bytes = extent.saturating_mul(times).saturating_add(bytes);
        }
        bytes = bytes.saturating_add(PAGE_BYTES + 32 * table.shape.columns.len() as u64);
    }
    bytes.saturating_mul(2).min(WORLD_BYTES_MAX)
}

/// A table's shape with its scratch, which no state has.
fn whole_shape(layout: &Layout, table: &TableHead) -> Arc<Shape> {
    match table.kind {
        TableKind::Data => Arc::new(Shape::new(layout, &table.shape.components)),
        TableKind::Pool => Arc::new(Shape::pool(layout, table.shape.components[0])),
        TableKind::Entities | TableKind::Resources => Arc::clone(&table.shape),
    }
}

/// Region and `bytes_max` that a builder was given.
pub(crate) fn region_of(builder: &WorldBuilder) -> (RegionTarget, Option<u64>) {
    (builder.region.clone(), builder.bytes_max)
}

impl WorldBuilder {
    /// Makes the world. `fill` is called for every piece that is not empty: table by table, column by column, rows
    /// before stamps.
    pub(crate) fn restored<E: From<WorldError>>(
        self,
        head: &Head<'_>,
        region: RegionTarget,
        bytes_max: Option<u64>,
        fill: &mut Fill<'_, E>,
    ) -> Result<World, E> {
        let (keep, keep_generations) = (self.keep, self.keep_generations);
        let mut world = self.empty(head, &region, bytes_max)?;
        world.store.set_keep(keep_generations);
        let mut tables = Vec::with_capacity(head.tables.len());
        for (index, table) in head.tables.iter().enumerate() {
            let mut columns = Vec::with_capacity(table.shape.columns.len());
            for (column, &(kind, item)) in table.shape.columns[..table.shape.published].iter().enumerate() {
                let piece = Piece { table: index, column, stamps: false };
                let live = place(&mut world.store, table, piece, fill)?;
                // frozen, as if it had been there for long
                columns.push(Column { building: false, named_since: 1, ..Column::new(kind, item, live) });
            }
            tables.push(Table {
                kind: table.kind,
                shape: whole_shape(head.layout, table),
                rows: table.rows,
                capacity: table.capacity,
                columns,
                slack: 0,
                promised: 0,
                gains_rows: false,
                dirty: Default::default(),
                ghosts: Default::default(),
            });
        }
        world.finish(tables, head)?;
        world.set_keep_region(keep);
        Ok(world)
    }

    fn empty(self, head: &Head<'_>, region: &RegionTarget, bytes_max: Option<u64>) -> Result<World, WorldError> {
        let layout = Layout::clone(head.layout);
        let components: Vec<_> = self.components.iter().map(|(_, declared)| declared.clone()).collect();
        let resources: Vec<_> = self.resources.iter().map(|(_, declared)| declared.clone()).collect();
        check_types(&layout, &components, &resources)?;
        let layout_hash = layout.hash();
        let bytes_max = bytes_max.unwrap_or(layout.bytes_max());
        // it is kept once it is whole, if at all
        let made = Region::create(region, &layout.encode(), layout_hash, bytes_max)?;
        made.note(&self.notes)?;
        let registry = Arc::new(self.registry(layout));
        let arena = arena::of_new_region(&made);
        let store = Store::empty(made, arena, Arc::clone(&registry.layout));
        Ok(World::assemble(store, registry, layout_hash))
    }
}

/// Makes room for a column and fills it.
fn place<E: From<WorldError>>(
    store: &mut Store,
    table: &TableHead,
    piece: Piece,
    fill: &mut Fill<'_, E>,
) -> Result<Extent, E> {
    let item = table.shape.columns[piece.column].1;
    let (stamps_at, bytes) = item.extent_bytes(table.capacity);
    let extent = store.allocate(bytes).map_err(WorldError::from)?;
    let content = store.arena.bytes_mut(extent.offset, bytes);
    let (rows, stamps) = content.split_at_mut(stamps_at as usize);
    let used = match item {
        Item::Bytes(bytes) => u64::from(table.rows) * u64::from(bytes),
        Item::Bit => u64::from(table.rows).div_ceil(64) * 8,
    };
    // read beyond the rows in use: bits by word, resources by byte, stamps by chunk
    if item == Item::Bit || table.kind == TableKind::Resources {
        clear(&mut rows[used as usize..]);
    }
    let (stamps, unused) = stamps.split_at_mut((table.rows as usize).div_ceil(CHUNK_ROWS) * 8);
    clear(unused);
    if table.rows > 0 {
        fill(piece, &mut rows[..used as usize])?;
        fill(Piece { stamps: true, ..piece }, stamps)?;
    }
    Ok(extent)
}

/// Makes bytes 0. Those of a new region mostly are: to look takes no memory, to write would, however little of its room a
/// table uses.
fn clear(bytes: &mut [u8]) {
    for page in bytes.chunks_mut(PAGE_BYTES as usize) {
        if page.iter().any(|byte| *byte != 0) {
            page.fill(0);
        }
    }
}

impl World {
    fn finish(&mut self, tables: Vec<Table>, head: &Head<'_>) -> Result<(), WorldError> {
        self.store.restore(tables, head.generation - 1, &[])?;
        super::verify::check(&self.store, head.generation, head.frame)?;
        self.frame = head.frame;
        self.time = head.time;
        let publication = self.publish()?;
        debug_assert_eq!(publication, Publication::Published(head.generation), "it is its own generation again");
        Ok(())
    }
}
