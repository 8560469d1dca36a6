//! The writer's state: tables, their columns' extents, and the rules by which extents are written, grown and freed.
//!
//! Everything here is private to the writing process and can be rebuilt from the newest directory (`restore`).
//! Invariants: an extent is owned by exactly one column (as live or spare), by the list of deferred frees, by a directory slot or
//! by the allocator; an extent that a published or pinned generation names is never written below its named rows and
//! never freed.

mod ahead;
pub(crate) mod arena;
pub(crate) mod built;
mod cells;
mod compact;
mod dense;
pub(crate) mod expected;
mod free;
mod ghosts;
mod joined;
pub(crate) mod lists;
mod plan;
mod publication;
mod renew;
mod room;
pub(in crate::world) mod rows;
pub(crate) mod scatter;
pub(crate) mod single;
mod sort;

pub(crate) use sort::{MovedColumn, OrderGroups, keys};

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::layout::{Layout, Storage};
use crate::limits::{CHUNK_ROWS, KEPT_GENERATIONS_MAX};
use crate::region::{Extent, Region, RegionError, pin};
use crate::table::{
    Column, ColumnKind, DirtyRows, ENTITIES, FIRST_POOL, Ghosts, IdMap, Item, LOCATION_FREE, RESOURCES, Shape, Spare,
    Table, TableKind,
};

use self::arena::Arena;
use self::expected::Expected;
use self::free::FreeSlots;
use self::lists::StagedList;

/// Rows of a new table.
const CAPACITY_MIN: u32 = 64;
/// Publications in a row with a mostly empty table after which its memory is given back.
const SLACK_PUBLICATIONS: u32 = 64;

/// A generation that the world can go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub generation: u64,
    pub frame: u64,
}

/// The writer's state.
pub(crate) struct Store {
    pub region: Region,
    pub arena: Arena,
    pub layout: Arc<Layout>,
    pub tables: Vec<Table>,
    by_components: HashMap<Box<[u16]>, u32>,
    /// The table that was last asked for by its components.
    last_table: Option<u32>,
    /// Tables that differ by one component: by table, component and whether it is added.
    edges: IdMap<(u32, u16, bool), u32>,
    /// The newest published generation; 0: none.
    pub published: u64,
    /// Generations that readers held when last looked.
    pins: Vec<u64>,
    /// Generations kept to go back to, oldest first, the newest published one included.
    kept: VecDeque<Kept>,
    /// How many generations to keep beside the newest.
    keep: usize,
    /// Extents that nothing will write again, with the generations that name them.
    deferred_free: Vec<(Extent, (u64, u64))>,
    pub free_slots: FreeSlots,
    /// Whether anything changed since the last publication.
    pub dirty: bool,
    pub scratch: RowScratch,
    /// The components that are lists, ascending, and elements on their way into the pools.
    pub(in crate::world) lists: Vec<StagedList>,
    /// The place of the first table of entities, behind the pools of the lists.
    pub first_data: u32,
    /// Tables that are open for changes of single rows.
    pub opened: Vec<u32>,
    /// Whether somebody looks at columns or writes spares by address: they stay where they are.
    pub fixed: bool,
    /// How often extents were moved or dropped to put memory together: offsets that were looked up before are void.
    pub arrangements: u64,
    /// Tables that were promised room.
    pub(in crate::world) promises: Vec<u32>,
    /// Extents that the publisher has for directories to come.
    pub(in crate::world) directories_ready: usize,
    /// What a simulation's schedule is going to write.
    pub(in crate::world) expected: Expected,
    /// Whether columns of scratch components are as new: nothing was computed in them yet.
    pub(crate) scratch_is_new: bool,
    /// Whether any table has ghosts.
    pub(crate) has_ghosts: bool,
}

/// Lists kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct RowScratch {
    pub handles: Vec<crate::Entity>,
    pub sources: Vec<u32>,
    pub slots: Vec<u32>,
    pub components: Vec<u16>,
    pub sort: self::sort::keys::SortScratch,
    pub words: Vec<u64>,
    /// Where columns are read and written.
    pub extents: Vec<(u64, u64)>,
}

impl Store {
    /// A store without any table but the entity map and the resources.
    pub(crate) fn new(region: Region, arena: Arena, layout: Arc<Layout>) -> Result<Self, RegionError> {
        let mut store = Store::empty(region, arena, layout);
        store.push_table(TableKind::Entities, Arc::new(Shape::entities()), CAPACITY_MIN)?;
        let bytes = store.layout.resources_bytes();
        store.push_table(TableKind::Resources, Arc::new(Shape::resources()), bytes.max(1))?;
        store.tables[RESOURCES as usize].rows = bytes;
        let layout = Arc::clone(&store.layout);
        for component in layout.lists() {
            store.push_table(TableKind::Pool, Arc::new(Shape::pool(&layout, component)), CAPACITY_MIN)?;
        }
        Ok(store)
    }

    /// A store without tables, for them to be made or restored.
    pub(crate) fn empty(region: Region, arena: Arena, layout: Arc<Layout>) -> Self {
        let lists: Vec<StagedList> = layout.lists().map(|list| StagedList::new(&layout, list)).collect();
        Store {
            first_data: FIRST_POOL + lists.len() as u32,
            lists,
            region,
            arena,
            layout,
            tables: Vec::new(),
            by_components: HashMap::new(),
            last_table: None,
            edges: IdMap::default(),
            published: 0,
            pins: Vec::new(),
            kept: VecDeque::new(),
            keep: 0,
            deferred_free: Vec::new(),
            free_slots: FreeSlots::default(),
            dirty: false,
            scratch: RowScratch::default(),
            opened: Vec::new(),
            fixed: false,
            arrangements: 0,
            promises: Vec::new(),
            directories_ready: 0,
            expected: Expected::default(),
            scratch_is_new: true,
            has_ghosts: false,
        }
    }

    /// Puts the tables of a directory in place of all there are; every extent that is not named becomes free.
    pub(crate) fn restore(
        &mut self,
        tables: Vec<Table>,
        published: u64,
        also_named: &[Extent],
    ) -> Result<(), RegionError> {
        let mut named: Vec<Extent> = also_named.to_vec();
        named.extend(tables.iter().flat_map(|table| table.columns.iter().map(|column| column.live)));
        self.region.rebuild(&named)?;
        // found by what entities are: toggles that a table has got columns for since do not count
        let is_table = |component: &u16| self.storage(*component) != Storage::Toggle;
        self.by_components = tables
            .iter()
            .enumerate()
            .filter(|(_, table)| table.kind == TableKind::Data)
            .map(|(index, table)| (table.shape.components.iter().copied().filter(is_table).collect(), index as u32))
            .collect();
        self.tables = tables;
        self.note_ghosts();
        self.promises.clear();
        self.promises.reserve(self.tables.len());
        self.directories_ready = 0;
        self.mark_expected();
        self.opened.clear();
        self.last_table = None;
        self.edges.clear();
        self.published = published;
        self.deferred_free.clear();
        self.dirty = false;
        self.unstage();
        self.free_slots.clear();
        let slots = self.tables[ENTITIES as usize].rows;
        for slot in 0..slots {
            if self.location_bits(slot) == LOCATION_FREE && self.generation(slot) < crate::Entity::GENERATIONS_END {
                self.free_slots.insert(slot);
            }
        }
        self.renew_scratch()
    }

    fn push_table(&mut self, kind: TableKind, shape: Arc<Shape>, capacity: u32) -> Result<u32, RegionError> {
        let mut columns = Vec::with_capacity(shape.columns.len());
        for &(kind, item) in &shape.columns {
            match self.allocate(item.extent_bytes(capacity).1) {
                Ok(extent) => {
                    self.clear_extent(kind, item, extent, capacity);
                    columns.push(Column::new(kind, item, extent));
                }
                Err(error) => {
                    columns.iter().for_each(|column: &Column| self.region.free(column.live));
                    return Err(error);
                }
            }
        }
        let index = self.tables.len() as u32;
        if kind == TableKind::Data {
            self.by_components.insert(shape.components.clone(), index);
        }
        self.tables.push(Table {
            kind,
            shape,
            rows: 0,
            capacity,
            columns,
            slack: 0,
            promised: 0,
            gains_rows: false,
            dirty: DirtyRows::default(),
            ghosts: Ghosts::default(),
        });
        self.mark_expected_table(index);
        // each may be promised room in one frame
        self.promises.reserve(self.tables.len() - self.promises.len().min(self.tables.len()));
        self.dirty = true;
        Ok(index)
    }

    /// Bits beyond the rows in use are read by word; stamps by chunk: both start as zero.
    fn clear_extent(&mut self, kind: ColumnKind, item: Item, extent: Extent, capacity: u32) {
        let (stamps, total) = item.extent_bytes(capacity);
        let from = if item == Item::Bit || kind == ColumnKind::Resources { 0 } else { stamps };
        self.arena.bytes_mut(extent.offset + from, total - from).fill(0);
    }

    /// The table of the entities with exactly these (sorted) components; made where there is none.
    pub(crate) fn table_for(&mut self, components: &[u16]) -> Result<u32, RegionError> {
        // toggles that a table has got columns for do not count: such a table is found the long way
        if let Some(table) = self.last_table
            && *self.tables[table as usize].shape.components == *components
        {
            return Ok(table);
        }
        if let Some(&table) = self.by_components.get(components) {
            self.last_table = Some(table);
            return Ok(table);
        }
        let shape = Arc::new(Shape::new(&self.layout, components));
        self.push_table(TableKind::Data, shape, CAPACITY_MIN)
    }

    /// The table that has one table component more, or less.
    pub(crate) fn neighbour(&mut self, table: u32, component: u16, add: bool) -> Result<u32, RegionError> {
        if let Some(found) = self.edges.get(&(table, component, add)) {
            return Ok(*found);
        }
        let mut components = std::mem::take(&mut self.scratch.components);
        components.clear();
        let others = self.tables[table as usize].shape.components.iter().copied();
        components.extend(others.filter(|c| self.storage(*c) != Storage::Toggle && *c != component));
        if add {
            components.insert(components.partition_point(|c| *c < component), component);
        }
        let found = self.table_for(&components);
        self.scratch.components = components;
        let found = found?;
        self.edges.insert((table, component, add), found);
        Ok(found)
    }

    /// The tables of entities with their places.
    pub(crate) fn data_tables(&self) -> impl Iterator<Item = (u32, &Table)> {
        self.tables.iter().enumerate().skip(self.first_data as usize).map(|(index, table)| (index as u32, table))
    }

    /// Storage of a component.
    pub(crate) fn storage(&self, component: u16) -> Storage {
        self.layout.components()[usize::from(component)].storage
    }

    // ---- extents ----------------------------------------------------------------------------------------------

    /// Sets how many generations to keep beside the newest.
    pub(crate) fn set_keep(&mut self, keep: usize) {
        self.keep = keep.min(KEPT_GENERATIONS_MAX);
        self.trim_kept();
    }

    /// Generations to go back to, oldest first; the newest published one is the last.
    pub(crate) fn kept(&self) -> &VecDeque<Kept> {
        &self.kept
    }

    /// Offers no kept generation from `generation` on to readers any more. Who pinned one before has it: see
    /// [`Store::refresh_pins`].
    pub(crate) fn withdraw_from(&mut self, generation: u64) {
        for kept in self.kept.iter().filter(|kept| kept.generation >= generation) {
            self.region.control().withdraw(kept.generation);
        }
    }

    /// Forgets kept generations from `generation` on, which are offered no longer.
    pub(crate) fn forget_from(&mut self, generation: u64) {
        self.kept.retain(|kept| kept.generation < generation);
    }

    /// Notes a generation that was just published, in a directory slot, and looks at the readers' leases.
    pub(crate) fn keep(&mut self, kept: Kept, slot: u16) {
        self.kept.push_back(kept);
        self.region.control().offer(pin::word(kept.generation, slot), kept.frame);
        self.trim_kept();
    }

    /// Who pinned a generation while it was kept has it for as long as it likes: leases are looked at after it is kept no more.
    fn trim_kept(&mut self) {
        let beyond = self.kept.len().saturating_sub(self.keep + 1);
        for kept in self.kept.drain(..beyond) {
            self.region.control().withdraw(kept.generation);
        }
        self.refresh_pins();
    }

    /// Gives up the oldest kept generation, for its memory, unless there are but so few. False: none.
    pub(crate) fn give_up_oldest(&mut self, least: usize) -> bool {
        if self.kept.len() <= least {
            return false;
        }
        let Some(Kept { generation, frame }) = self.kept.pop_front() else { return false };
        self.region.control().withdraw(generation);
        self.refresh_pins();
        if self.keep > 0 {
            tracing::warn!(generation, frame, "a kept generation is given up: memory is short");
        }
        true
    }

    /// Whether this generation is kept.
    pub(crate) fn is_kept(&self, generation: u64) -> bool {
        self.is_kept_between((generation, generation), 0)
    }

    /// Whether one of these generations is kept, the `oldest` first ones left out.
    fn is_kept_between(&self, (first, last): (u64, u64), oldest: usize) -> bool {
        let at = self.kept.partition_point(|kept| kept.generation < first).max(oldest);
        self.kept.get(at).is_some_and(|kept| kept.generation <= last)
    }

    /// Looks at the readers' leases.
    pub(crate) fn refresh_pins(&mut self) {
        self.region.pinned(&mut self.pins);
        for pin in &mut self.pins {
            *pin >>= 16;
        }
    }

    /// Looks at the readers' leases, and whether the processes that hold the published generation live.
    pub(crate) fn refresh_living_pins(&mut self) {
        self.region.pinned_by_living(&mut self.pins);
        for pin in &mut self.pins {
            *pin >>= 16;
        }
    }

    /// Generations that readers held when last looked.
    pub(crate) fn pins(&self) -> &[u64] {
        &self.pins
    }

    /// What waits until no generation names it.
    pub(in crate::world) fn deferred_free(&self) -> &[(Extent, (u64, u64))] {
        &self.deferred_free
    }

    /// Keeps an extent until no generation names it.
    pub(in crate::world) fn hold_one(&mut self, extent: Extent, named: (u64, u64)) {
        self.deferred_free.push((extent, named));
    }

    /// Keeps extents until no reader holds a generation that names them.
    pub(crate) fn hold(&mut self, held: Vec<(Extent, (u64, u64))>) {
        self.deferred_free.extend(held);
    }

    /// Whether these generations hold nothing any more once the next one is out, as far as readers were looked at.
    pub(in crate::world) fn is_free_later(&self, named: (u64, u64)) -> bool {
        // kept no longer once the next one is out
        let leaving = self.kept.len().saturating_sub(self.keep);
        let pinned = self.pins.iter().any(|pin| (named.0..=named.1).contains(pin));
        named == (0, 0) || !(pinned || self.is_kept_between(named, leaving))
    }

    /// Whether an extent that these generations name may be written.
    pub(in crate::world) fn reusable(&self, named: (u64, u64)) -> bool {
        let pinned = || self.pins.iter().any(|pin| (named.0..=named.1).contains(pin));
        named == (0, 0) || (named.1 < self.published && !pinned() && !self.is_kept_between(named, 0))
    }

    /// Frees what no generation needs any more. True when anything was freed.
    pub(crate) fn free_deferred(&mut self) -> bool {
        let before = self.deferred_free.len();
        let mut deferred_free = std::mem::take(&mut self.deferred_free);
        deferred_free.retain(|(extent, named)| {
            let free = self.reusable(*named);
            if free {
                self.region.free(*extent);
            }
            !free
        });
        self.deferred_free = deferred_free;
        self.deferred_free.len() < before
    }

    /// Lets go of an extent, now or as soon as no generation names it.
    fn retire(&mut self, extent: Extent, named: (u64, u64)) {
        if named == (0, 0) { self.region.free(extent) } else { self.deferred_free.push((extent, named)) }
    }

    /// Lets go of a column's extents.
    pub(crate) fn retire_column(&mut self, column: Column) {
        let named = self.named_of(&column);
        self.retire(column.live, named);
        if let Some(spare) = column.spare {
            self.retire(spare.extent, spare.named);
        }
    }

    /// The generations that name a column's live extent, first and last.
    pub(in crate::world) fn named_of(&self, column: &Column) -> (u64, u64) {
        if column.building { (0, 0) } else { (column.named_since, self.published) }
    }

    /// Makes sure that the column has a spare extent that may be written; returns whether its content is the column's
    /// but for `stale`.
    fn ready_spare(&mut self, table: u32, column: usize) -> Result<(), RegionError> {
        let (t, c) = (table as usize, column);
        if let Some(spare) = &self.tables[t].columns[c].spare
            && self.reusable(spare.named)
        {
            return Ok(());
        }
        // where memory is tight, its plan is the whole world's
        if self.tables[t].columns[c].expected
            && self.take_expected().is_ok()
            && self.tables[t].columns[c].spare.as_ref().is_some_and(|spare| self.reusable(spare.named))
        {
            return Ok(());
        }
        let bytes = self.tables[t].columns[c].item.extent_bytes(self.tables[t].capacity).1;
        let fresh = self.allocate(bytes)?;
        let column = &mut self.tables[t].columns[c];
        let old = column.spare.replace(Spare { extent: fresh, named: (0, 0) });
        column.stale.set_all();
        if let Some(old) = old {
            self.retire(old.extent, old.named);
        }
        Ok(())
    }

    /// Makes a column writable in place, keeping its content. Costs what changed since the spare was current.
    #[inline]
    pub(crate) fn write_partial(&mut self, table: u32, column: usize) -> Result<(), RegionError> {
        if self.tables[table as usize].columns[column].building {
            return Ok(());
        }
        self.make_writable(table, column)
    }

    #[cold]
    fn make_writable(&mut self, table: u32, column: usize) -> Result<(), RegionError> {
        self.close(table);
        self.ready_spare(table, column)?;
        self.catch_up(table, column);
        self.flip(table, column);
        Ok(())
    }

    /// Gives a column another extent to be written as a whole; returns the offsets (old rows, new rows). The flip is
    /// the caller's, once all rows are written ([`Self::flip`]). Where the column is building already and `in_place`
    /// will do, both are the same.
    pub(crate) fn write_whole(&mut self, table: u32, column: usize, in_place: bool) -> Result<(u64, u64), RegionError> {
        if in_place && self.tables[table as usize].columns[column].building {
            let live = self.tables[table as usize].columns[column].live.offset;
            return Ok((live, live));
        }
        self.close(table);
        if !self.tables[table as usize].is_scratch(column) {
            self.tables[table as usize].columns[column].expected = true;
        }
        self.ready_spare(table, column)?;
        let column = &self.tables[table as usize].columns[column];
        let spare = column.spare.as_ref().expect("ready_spare leaves a spare");
        Ok((column.live.offset, spare.extent.offset))
    }

    /// Asks for extents, again where columns were moved to make room for the last ones: places that were noted of the first
    /// ones are void then, and all have what they need by then.
    pub(super) fn steadily(
        &mut self,
        mut ask: impl FnMut(&mut Store) -> Result<(), RegionError>,
    ) -> Result<(), RegionError> {
        loop {
            let arrangements = self.arrangements;
            ask(self)?;
            if arrangements == self.arrangements {
                return Ok(());
            }
        }
    }

    /// Swaps a column's extents: the spare, by now whole, becomes live.
    pub(crate) fn flip(&mut self, table: u32, column: usize) {
        let named = self.named_of(&self.tables[table as usize].columns[column]);
        let column = &mut self.tables[table as usize].columns[column];
        let spare = column.spare.as_mut().expect("a flip follows ready_spare");
        std::mem::swap(&mut spare.extent, &mut column.live);
        spare.named = named;
        column.building = true;
        self.dirty = true;
    }

    /// Copies to the spare what it lacks of the live extent.
    fn catch_up(&mut self, table: u32, column: usize) {
        let Store { tables, arena, .. } = self;
        let table = &mut tables[table as usize];
        let (rows, capacity) = (table.rows, table.capacity);
        let column = &mut table.columns[column];
        let from = column.live.offset;
        let to = column.spare.as_ref().expect("catch_up follows ready_spare").extent.offset;
        let (stamps, total) = column.item.extent_bytes(capacity);
        match (column.stale.runs(), column.item) {
            (Some(runs), Item::Bytes(bytes)) => {
                let used = u64::from(rows) * u64::from(bytes);
                let (source, target) = arena.disjoint(from, used, to, used);
                self::scatter::copy_runs(bytes as usize, source, target, runs, rows);
            }
            (Some(runs), Item::Bit) => {
                for &(start, len) in runs {
                    let first = u64::from(start) / 64;
                    let last = (u64::from(start) + u64::from(len)).div_ceil(64);
                    arena.copy(from + first * 8, to + first * 8, (last - first) * 8);
                }
            }
            (None, item) => {
                let used = match item {
                    Item::Bytes(bytes) => u64::from(rows) * u64::from(bytes),
                    Item::Bit => stamps,
                };
                arena.copy(from, to, used);
            }
        }
        column.stale.clear();
        let used_stamps = 8 * u64::from(capacity).div_ceil(CHUNK_ROWS as u64);
        debug_assert_eq!(stamps + used_stamps, total);
        arena.copy(from + stamps, to + stamps, total - stamps);
    }

    /// Notes that rows of a building column were written: for the catch-up of its spare and in its chunk stamps.
    #[inline]
    pub(crate) fn mark_dirty(&mut self, table: u32, column: usize, start: u32, len: u32) {
        if len == 0 {
            return;
        }
        let stamp = self.published + 1;
        let Store { tables, arena, .. } = self;
        let table = &mut tables[table as usize];
        let (rows, capacity) = (table.rows, table.capacity);
        let column = &mut table.columns[column];
        debug_assert!(column.building, "only a building column is written");
        if start == 0 && len >= rows {
            column.stale.set_all();
        } else {
            column.stale.add(start, len, rows.max(start + len));
        }
        let stamps = column.item.stamps_offset(capacity);
        debug_assert_eq!(stamps, column.item.extent_bytes(capacity).0);
        let (first, last) = (start as usize / CHUNK_ROWS, (start + len - 1) as usize / CHUNK_ROWS);
        let offset = column.live.offset + stamps + 8 * first as u64;
        if first == last {
            arena.set_word(offset, stamp);
        } else {
            arena.items_mut::<u64>(offset, last - first + 1).fill(stamp);
        }
        self.dirty = true;
    }

    /// As [`Self::mark_dirty`] of all rows, but stamps are given to the chunks that `chunk` names only.
    pub(crate) fn mark_dirty_chunks(&mut self, table: u32, column: usize, chunk: impl Fn(usize) -> bool) {
        let stamp = self.published + 1;
        let Store { tables, arena, .. } = self;
        let table = &mut tables[table as usize];
        let column = &mut table.columns[column];
        debug_assert!(column.building, "only a building column is written");
        column.stale.set_all();
        let offset = column.live.offset + column.item.stamps_offset(table.capacity);
        let stamps = arena.items_mut::<u64>(offset, (table.rows as usize).div_ceil(CHUNK_ROWS));
        for (at, old) in stamps.iter_mut().enumerate() {
            if chunk(at) {
                *old = stamp;
            }
        }
        self.dirty = true;
    }

    /// Makes room for `rows` rows in a table; a table that grows moves to larger extents.
    pub(crate) fn reserve(&mut self, table: u32, rows: u64) -> Result<(), RegionError> {
        self.reserve_keeping(table, rows, 0)
    }

    /// The same where rows up to `kept` that are not in use yet were written, too, and keep their bytes.
    pub(crate) fn reserve_keeping(&mut self, table: u32, rows: u64, kept: u32) -> Result<(), RegionError> {
        let capacity = self.tables[table as usize].capacity;
        let promised = rows.min(u64::from(u32::MAX)) as u32;
        if rows > u64::from(capacity) {
            self.grow(table, rows, kept)?;
        }
        if self.tables[table as usize].promised == 0 {
            self.promises.push(table);
        }
        let table = &mut self.tables[table as usize];
        table.promised = table.promised.max(promised);
        Ok(())
    }

    fn grow(&mut self, table: u32, rows: u64, kept: u32) -> Result<(), RegionError> {
        let too_large =
            |_| RegionError::TooLarge { what: "rows of one table", asked: rows, limit: u64::from(u32::MAX) };
        let exact = u32::try_from(rows.next_multiple_of(64)).map_err(too_large)?;
        let extra = self.growth_rows(table, exact);
        let wanted = exact.saturating_add(extra) & !63;
        if wanted > exact && self.resize_keeping(table, wanted, kept).is_ok() {
            return Ok(());
        }
        // a tight world gets exactly what it asks for
        self.resize_keeping(table, exact, kept)
    }

    /// Rows more than are asked for, so that a table does not grow row by row: half of what it has, or less where that is
    /// a good part of what is left.
    fn growth_rows(&self, table: u32, rows: u32) -> u32 {
        let table = &self.tables[table as usize];
        let usage = self.region.usage();
        let row_bytes: u64 = table.columns.iter().map(|column| column.item.extent_bytes(1024).1).sum::<u64>() / 1024;
        let taken = u64::from(rows).saturating_mul(2 * row_bytes).saturating_add(usage.allocated);
        let left = usage.bytes_max.saturating_sub(taken) / (8 * row_bytes).max(1);
        (table.capacity / 2).min(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// A change of the owner's begins: rows that were promised to an earlier one are not kept free any longer.
    pub(crate) fn begin_change(&mut self) {
        while let Some(table) = self.promises.pop() {
            if let Some(table) = self.tables.get_mut(table as usize) {
                table.promised = 0;
            }
        }
    }

    /// Gives back the room that a table was given for a change that failed.
    pub(crate) fn give_back(&mut self, table: u32, capacity: u32) {
        let now = &mut self.tables[table as usize];
        now.promised = 0;
        if now.capacity > capacity
            && now.rows <= capacity
            && let Err(error) = self.resize(table, capacity)
        {
            tracing::debug!(%error, table, "a table keeps room that it does not need");
        }
    }

    /// Moves a table to extents of another capacity (at least its rows).
    pub(crate) fn resize(&mut self, table: u32, capacity: u32) -> Result<(), RegionError> {
        debug_assert!(capacity >= self.tables[table as usize].rows);
        self.resize_keeping(table, capacity, 0)
    }
}
