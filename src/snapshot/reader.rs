//! Reading a world from any process: open, pin, look.
//!
//! A [`Reader`] owns one lease from its first pin on. [`Reader::pin`] stores the published word there and checks that it still is the
//! published one; from then on nothing that the generation names is reused until the [`Snapshot`] is dropped. A reader
//! writes nothing but its lease and takes no lock.
#![expect(unsafe_code, reason = "bytes of a pinned generation become slices here")]

mod frames;

use crate::table::{ENTITIES, Location, RESOURCES, Registry, TableKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::layout::Layout;
use crate::limits::DIRECTORY_SLOTS;
use crate::region::{Lease, LeaseInfo, ReaderMap, Region, RegionTarget, pin, worker_state};
use crate::trace::{Timeline, Trace};
use crate::world::error::WorldError;
use crate::{Component, Entity, Resource};

use super::raw::RawColumn;
use super::table::TableView;
use crate::generation::SnapshotError;
use crate::generation::check::{Check, Looked};
use crate::generation::{ChangedColumn, ColumnEntry, Directory, TableEntry};

/// How often a waiting caller is asked whether to go on.
const LOOK: Duration = Duration::from_millis(50);

/// A world in another process (or in this one), to look at.
///
/// It takes one of the region's leases with its first pin and gives it back when it is dropped; a snapshot that is held is
/// one lease. In a process that was forked off, it pins for that process, and what the maker holds stays held.
pub struct Reader {
    map: Arc<ReaderMap>,
    registry: Arc<Registry>,
    layout_hash: u64,
    /// Whether the writer knows that somebody may wait.
    announced: AtomicBool,
    /// From the first pin on. In a process that was forked off it is still the maker's.
    lease: Option<Lease>,
    /// The newest directory that was read.
    cached: Option<Arc<Directory>>,
    /// Where a directory is copied to before it is believed.
    buffer: Vec<u8>,
}

/// The state of a worker of another process's simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WorkerState {
    /// A thread that takes jobs.
    Thread,
    /// A process that takes jobs.
    Process,
    /// Starting, or dead and about to be replaced.
    Replaced,
    /// Given up: its starts came to nothing, and others do its jobs.
    GivenUp,
}

/// A worker of another process's simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its index in the pool.
    pub index: usize,
    /// The process id of a worker process, as its main process sees it.
    pub pid: Option<u32>,
    /// What it does.
    pub state: WorkerState,
    /// Jobs that it completed, those of workers that it replaced included.
    pub jobs: u64,
    /// Number of times that it died.
    pub deaths: u64,
}

/// A reader of the region of this process's own world.
pub(crate) fn reader_of(region: &Region, layout: &Arc<Layout>, layout_hash: u64) -> Result<Reader, SnapshotError> {
    let map = Arc::new(region.reader()?);
    let registry = Arc::new(Registry::new(Arc::clone(layout), &[], &[]));
    Ok(Reader {
        map,
        registry,
        layout_hash,
        announced: AtomicBool::new(false),
        lease: None,
        cached: None,
        buffer: Vec::new(),
    })
}

impl Reader {
    /// Opens a region: the name or directory of a world of any process, whether its writer lives or not.
    ///
    /// # Safety
    /// Everything in the region is checked, but that its bytes stay as they are while pinned rests on its writer:
    /// open regions only of writers that keep to the protocol (any process that uses this library does), and let
    /// nobody else write to its files. Mode 0600 sees to it that only this user can.
    ///
    /// # Errors
    /// No such region, a damaged, foreign or future one.
    pub unsafe fn open(target: &RegionTarget) -> Result<Reader, SnapshotError> {
        let map = Arc::new(ReaderMap::open(target)?);
        let layout = Layout::decode(map.layout_bytes())?;
        let layout_hash = layout.hash();
        if layout_hash != map.layout_hash() {
            return Err(SnapshotError::directory("the layout's hash is not the region's"));
        }
        Ok(Reader {
            map,
            registry: Arc::new(Registry::new(Arc::new(layout), &[], &[])),
            layout_hash,
            announced: AtomicBool::new(false),
            lease: None,
            cached: None,
            buffer: Vec::new(),
        })
    }

    /// Another reader of the same region, which pins for itself.
    ///
    /// # Errors
    /// The region is gone.
    pub fn try_clone(&self) -> Result<Reader, SnapshotError> {
        let map = Arc::new(self.map.again()?);
        let registry = Arc::clone(&self.registry);
        let (layout_hash, cached) = (self.layout_hash, self.cached.clone());
        Ok(Reader {
            map,
            registry,
            layout_hash,
            announced: AtomicBool::new(false),
            lease: None,
            cached,
            buffer: Vec::new(),
        })
    }

    /// Another reader in the same mapping, which pins for itself.
    pub(super) fn beside(&self) -> Reader {
        let (map, registry) = (Arc::clone(&self.map), Arc::clone(&self.registry));
        Reader {
            map,
            registry,
            layout_hash: self.layout_hash,
            announced: AtomicBool::new(false),
            lease: None,
            cached: None,
            buffer: Vec::new(),
        }
    }

    #[cold]
    #[inline(never)]
    fn take_lease(&mut self) -> Result<(), SnapshotError> {
        self.lease = Some(self.map.take_lease()?);
        Ok(())
    }

    /// Ends the pin. In a process that was forked off the pin is the maker's, and stays.
    #[inline]
    fn end_pin(&self) {
        if let Some(lease) = &self.lease
            && lease.is_own()
        {
            pin::unpin(lease.word());
        }
    }

    /// Waits until a generation newer than `after` is published, for as long as `go_on` says, which is asked several
    /// times a second; the newest one, or `None` once it says no.
    #[must_use]
    pub fn wait_while(&self, after: u64, mut go_on: impl FnMut() -> bool) -> Option<u64> {
        loop {
            if let Some(newest) = self.wait(after, LOOK) {
                return Some(newest);
            }
            if !go_on() {
                return None;
            }
        }
    }

    /// The layout, in full.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.registry.layout
    }

    /// Whether the region has a live writer.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn is_alive(&self) -> Result<bool, SnapshotError> {
        Ok(self.map.is_alive()?)
    }

    /// Whether another reader reads the very same region, rather than one that has its name now.
    #[must_use]
    pub fn is_same_region(&self, other: &Reader) -> bool {
        self.map.control().is_same(other.map.control())
    }

    /// How many writers the region has had, the present or last one included.
    #[must_use]
    pub fn writer_epoch(&self) -> u64 {
        self.map.control().writer_epoch.load(Ordering::Relaxed)
    }

    /// The leases of all readers, this one's included.
    ///
    /// # Errors
    /// What the system refuses; the region was removed.
    pub fn leases(&self) -> Result<Vec<LeaseInfo>, SnapshotError> {
        Ok(self.map.leases()?)
    }

    /// The workers of the simulation that writes the region, as it last noted them: at its start, after a death, and
    /// every few dozen frames.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerInfo> {
        let slots = self.map.control().workers.iter().enumerate();
        slots
            .filter_map(|(index, slot)| {
                let state = match slot.state.load(Ordering::Relaxed) {
                    worker_state::THREAD => WorkerState::Thread,
                    worker_state::PROCESS => WorkerState::Process,
                    worker_state::REPLACED => WorkerState::Replaced,
                    worker_state::GIVEN_UP => WorkerState::GivenUp,
                    // none, or rubbish
                    _ => return None,
                };
                let pid = Some(slot.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0);
                let (jobs, deaths) = (slot.jobs.load(Ordering::Relaxed), slot.deaths.load(Ordering::Relaxed));
                Some(WorkerInfo { index, pid, state, jobs, deaths })
            })
            .collect()
    }

    /// What the simulation that writes the region does, and when: its last frames, also after its end or its death.
    ///
    /// # Errors
    /// [`SnapshotError::NoTimeline`]; what the system refuses.
    pub fn timeline(&self) -> Result<Timeline, SnapshotError> {
        let mut timeline = Timeline::default();
        self.extend_timeline(&mut timeline)?;
        Ok(timeline)
    }

    /// Adds to a timeline what was recorded since the last call. When another simulation has taken the region over,
    /// its timeline replaces the old one.
    ///
    /// # Errors
    /// As [`Reader::timeline`].
    pub fn extend_timeline(&self, timeline: &mut Timeline) -> Result<(), SnapshotError> {
        let none = |why: &'static str| SnapshotError::NoTimeline { why };
        let block = self.map.trace()?.ok_or(none("its simulation does not record one, or there was none yet"))?;
        timeline.extend(&Trace::open(block).map_err(none)?);
        Ok(())
    }

    /// The region as it is mapped, and its layout: what a sender of inputs is built on.
    pub(crate) fn parts(&self) -> (&Arc<ReaderMap>, &Arc<Layout>) {
        (&self.map, &self.registry.layout)
    }

    /// The newest published generation; 0: none.
    #[must_use]
    pub fn newest(&self) -> u64 {
        pin::generation(self.map.control().published())
    }

    /// Waits until a generation newer than `after` is published; the newest one, or `None` after `timeout`.
    #[must_use]
    pub fn wait(&self, after: u64, timeout: Duration) -> Option<u64> {
        if !self.announced.swap(true, Ordering::Relaxed) {
            self.map.announce();
        }
        let begun = crate::os::Instant::now();
        loop {
            let word = self.map.control().published();
            if pin::generation(word) > after {
                return Some(pin::generation(word));
            }
            let left = timeout.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())?;
            self.map.control().wait_published(word, left.min(Duration::from_millis(100)));
        }
    }

    /// Pins the newest generation. It is held until the snapshot is dropped; the writer goes on meanwhile.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().build()?;
    /// world.spawn(Mass { kg: 2.5 })?;
    /// world.publish()?;
    /// let mut reader = world.reader()?;
    /// let snapshot = reader.pin()?;
    /// assert_eq!(snapshot.entity_count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Nothing published yet; a damaged directory; with the first pin no free lease, or the region is gone.
    #[inline]
    pub fn pin(&mut self) -> Result<Snapshot<'_>, SnapshotError> {
        if !self.lease.as_ref().is_some_and(Lease::is_own) {
            self.take_lease()?;
        }
        let Some(lease) = &self.lease else { unreachable!("taken above") };
        let word = pin::pin(&self.map.control().published, lease.word()).ok_or(SnapshotError::NothingPublished)?;
        if let Err(error) = self.read_directory(word) {
            self.end_pin();
            return Err(error);
        }
        match &self.cached {
            Some(directory) => Ok(Snapshot { reader: self, directory, held: false }),
            None => unreachable!("read_directory keeps what it read"),
        }
    }

    /// Makes `cached` the directory of a pinned generation.
    #[inline]
    fn read_directory(&mut self, word: u64) -> Result<(), SnapshotError> {
        match &self.cached {
            Some(cached) if cached.meta.generation == pin::generation(word) => Ok(()),
            _ => self.read_new_directory(word),
        }
    }

    #[cold]
    #[inline(never)]
    fn read_new_directory(&mut self, word: u64) -> Result<(), SnapshotError> {
        let generation = pin::generation(word);
        let slot = usize::from(pin::slot(word));
        if slot >= DIRECTORY_SLOTS {
            return Err(SnapshotError::directory("its slot is beyond the last"));
        }
        let entry = &self.map.control().slots[slot];
        let offset = entry.offset.load(Ordering::Relaxed);
        let bytes = entry.bytes.load(Ordering::Relaxed);
        let backed = self.map.backed();
        if entry.generation.load(Ordering::Relaxed) != generation
            || offset.checked_add(bytes).is_none_or(|end| end > backed)
            || bytes > 1 << 32
        {
            return Err(SnapshotError::directory("its slot does not name it, or names bytes outside the data"));
        }
        // SAFETY: inside the backed data (checked), and pinned: the writer does not touch it (contract of `open`). It
        // is copied before it is believed.
        let place = unsafe { std::slice::from_raw_parts(self.map.data().add(offset as usize), bytes as usize) };
        let copy = &mut self.buffer;
        copy.clear();
        copy.extend_from_slice(place);
        if xxhash_rust::xxh3::xxh3_64(copy) != entry.checksum.load(Ordering::Relaxed) {
            return Err(SnapshotError::directory("its checksum is wrong"));
        }
        // readers made of this one may share it
        let previous = self.cached.take().and_then(|cached| Arc::try_unwrap(cached).ok());
        let directory =
            Directory::decode_after(previous, copy, offset, &self.registry.layout, self.layout_hash, backed)?;
        if directory.meta.generation != generation {
            return Err(SnapshotError::directory("it is of another generation than published"));
        }
        self.cached = Some(Arc::new(directory));
        Ok(())
    }
}

/// A pinned generation: a consistent state of a world, in place.
pub struct Snapshot<'r> {
    reader: &'r Reader,
    directory: &'r Directory,
    /// Whether the pin outlives it: [`Pinned`] ends it then.
    held: bool,
}

impl Drop for Snapshot<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.held {
            self.reader.end_pin();
        }
    }
}

/// A pinned generation that owns its reader, to be handed to another thread.
pub struct Pinned {
    reader: Reader,
}

impl Reader {
    /// Pins the newest generation for as long as the answer lives, wherever it is moved to.
    ///
    /// # Errors
    /// As [`Reader::pin`]; the reader is gone then.
    pub fn into_pinned(mut self) -> Result<Pinned, SnapshotError> {
        let mut snapshot = self.pin()?;
        snapshot.held = true;
        drop(snapshot);
        Ok(Pinned { reader: self })
    }
}

impl Pinned {
    /// The generation, to look at.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { reader: &self.reader, directory: self.directory(), held: true }
    }

    fn directory(&self) -> &Directory {
        match &self.reader.cached {
            Some(directory) => directory,
            None => unreachable!("a pin keeps the directory that it read, and no other pin followed it"),
        }
    }

    /// Whether these bytes lie in an extent that the generation names.
    #[cfg(feature = "export")]
    pub(crate) fn names(&self, bytes: &[u8]) -> bool {
        let Some(from) = bytes.as_ptr().addr().checked_sub(self.reader.map.data().addr()) else { return false };
        let (from, len) = (from as u64, bytes.len() as u64);
        let inside = |extent: crate::region::Extent| {
            from >= extent.offset
                && from - extent.offset <= extent.bytes
                && len <= extent.bytes - (from - extent.offset)
        };
        self.directory().extents().any(inside)
    }

    /// Ends the pin.
    #[must_use]
    pub fn unpin(self) -> Reader {
        self.reader.end_pin();
        self.reader
    }
}

impl<'r> Snapshot<'r> {
    /// The generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.directory.meta.generation
    }

    /// The frame after which it was published.
    #[must_use]
    pub fn frame(&self) -> u64 {
        self.directory.meta.frame
    }

    /// Simulated time after that frame.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.directory.meta.time
    }

    /// The layout.
    #[must_use]
    pub fn layout(&self) -> &'r Layout {
        &self.reader.registry.layout
    }

    pub(crate) fn registry(&self) -> &'r Registry {
        &self.reader.registry
    }

    #[cfg(feature = "checkpoint")]
    pub(crate) fn layout_shared(&self) -> &'r Arc<Layout> {
        &self.reader.registry.layout
    }

    #[cfg(feature = "checkpoint")]
    pub(crate) fn directory(&self) -> &'r Directory {
        self.directory
    }

    /// Live entities.
    #[must_use]
    pub fn entity_count(&self) -> u64 {
        self.tables().map(|table| table.rows() as u64).sum()
    }

    /// The tables of entities. Rows that stand for what lives elsewhere ([`Elsewhere`](crate::Elsewhere)) are not shown: their
    /// table is there, as if it were empty.
    pub fn tables(&self) -> impl Iterator<Item = TableView<'_>> {
        self.all_tables().map(TableView::of_state)
    }

    /// As [`Snapshot::tables`], with all rows.
    pub(super) fn all_tables(&self) -> impl Iterator<Item = TableView<'_>> {
        (self.directory.first_data..self.directory.tables.len()).map(|index| self.table(index))
    }

    /// The columns in which something changed after a generation, table by table: [`TableView::changed_since`] of each.
    /// Tables and rows that are gone are told by the tables and their row counts.
    pub fn changed_since(&self, generation: u64) -> impl Iterator<Item = ChangedColumn<'_>> {
        self.tables().enumerate().flat_map(move |(index, table)| table.changed_columns(index, generation))
    }

    /// The lists, and how many elements each one's pool has.
    fn pools(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        let pools = self.directory.tables.iter().filter(|table| table.kind == TableKind::Pool);
        pools.map(|table| (table.components[0], table.rows))
    }

    /// Where the tables of entities begin among all tables.
    pub(super) fn first_data(&self) -> usize {
        self.directory.first_data
    }

    /// The pool of a list's elements: none of a scratch list, or of what is no list.
    pub(super) fn pool(&self, component: u16) -> Option<&'r TableEntry> {
        let mut pools = self.directory.tables.iter().filter(|table| table.kind == TableKind::Pool);
        pools.find(|table| *table.components == [component] && !table.columns.is_empty())
    }

    /// The entry of a table of entities.
    pub(super) fn data_entry(&self, table: usize) -> &'r TableEntry {
        &self.directory.tables[self.directory.first_data + table]
    }

    fn table(&self, index: usize) -> TableView<'_> {
        TableView::new(self, &self.directory.tables[index])
    }

    /// The bytes of a column's extent, stamps included.
    pub(crate) fn extent_bytes(&self, column: &ColumnEntry) -> &[u8] {
        let (offset, bytes) = (column.extent.offset as usize, column.extent.bytes as usize);
        // SAFETY: the directory was checked: the extent lies inside the backed data; it is pinned for as long as self
        // lives, so its rows do not change (contract of `Reader::open`).
        unsafe { std::slice::from_raw_parts(self.reader.map.data().add(offset), bytes) }
    }

    /// The rows in use of a column (of bits: the words that have any), and the stamps of their chunks.
    pub(crate) fn column_parts(&self, table: &TableEntry, column: &ColumnEntry) -> (&[u8], &[u64]) {
        self.first_rows(table, column, table.rows as usize)
    }

    /// As [`Snapshot::column_parts`], of so many rows, which the table has.
    pub(super) fn first_rows(&self, table: &TableEntry, column: &ColumnEntry, rows: usize) -> (&[u8], &[u64]) {
        let used = match column.item {
            crate::table::Item::Bytes(bytes) => rows * bytes as usize,
            crate::table::Item::Bit => rows.div_ceil(64) * 8,
        };
        let (rows_bytes, stamps) =
            self.extent_bytes(column).split_at(column.item.extent_bytes(table.capacity).0 as usize);
        (&rows_bytes[..used], bytemuck::cast_slice(&stamps[..8 * rows.div_ceil(crate::limits::CHUNK_ROWS)]))
    }

    /// Whether the columns agree with each other, as a world that goes on from them relies on it: handles and entity map,
    /// bits beyond the rows, stamps. It reads all of them, so it takes a while; opening a region does not do it.
    ///
    /// ```
    /// # #[derive(hypostyle::Component, Clone, Copy)] struct Mass { kg: f64 }
    /// # let mut world = hypostyle::World::builder().component::<Mass>().build()?;
    /// world.publish()?;
    /// world.reader()?.pin()?.check()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SnapshotError::Entities`]: what contradicts what.
    pub fn check(&self) -> Result<(), SnapshotError> {
        let meta = self.directory.meta;
        let mut check = Check::new(meta.generation, meta.frame, self.pools())?;
        for (index, table) in self.directory.tables.iter().enumerate() {
            for column in &table.columns {
                let (rows, stamps) = self.column_parts(table, column);
                check.stamps(bytemuck::cast_slice(stamps))?;
                let looked = Looked { table: index, kind: column.kind, item: column.item, rows: table.rows };
                check.rows(looked, rows.into())?;
            }
        }
        check.end()
    }

    /// Bytes of the generation's columns, and of those in use by rows.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let mut all = 0;
        let mut used = 0;
        for table in &self.directory.tables {
            for column in &table.columns {
                all += column.extent.bytes;
                used += match column.item {
                    crate::table::Item::Bytes(bytes) => u64::from(bytes) * u64::from(table.rows),
                    crate::table::Item::Bit => u64::from(table.rows).div_ceil(64) * 8,
                };
            }
        }
        (all, used)
    }

    /// Slots of the entity map: handles in use, free and retired.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.directory.tables[ENTITIES as usize].rows as usize
    }

    /// Table and row words of all slots.
    pub(crate) fn locations(&self) -> &[u64] {
        let table = &self.directory.tables[ENTITIES as usize];
        bytemuck::cast_slice(&self.extent_bytes(&table.columns[0])[..8 * table.rows as usize])
    }

    /// Generations of all slots.
    pub(crate) fn generations(&self) -> &[u32] {
        let table = &self.directory.tables[ENTITIES as usize];
        bytemuck::cast_slice(&self.extent_bytes(&table.columns[1])[..4 * table.rows as usize])
    }

    /// Which table (in the order of [`Snapshot::tables`]) and row an entity is in; `None` where it is dead. What lives elsewhere
    /// is in a row that tables do not show.
    #[must_use]
    pub fn locate(&self, entity: Entity) -> Option<(usize, usize)> {
        let slot = entity.index() as usize;
        if *self.generations().get(slot)? != entity.generation() {
            return None;
        }
        let at = Location::from_bits(self.locations()[slot])?;
        let table = self.directory.tables.get(at.table as usize)?;
        let index = (at.table as usize).checked_sub(self.directory.first_data)?;
        (at.row < table.rows).then_some((index, at.row as usize))
    }

    /// Copies a component of an entity out.
    ///
    /// # Errors
    /// An unknown component, a dead entity, an entity without the component.
    pub fn get<C: Component>(&self, entity: Entity) -> Result<C, WorldError> {
        let component = self.registry().component::<C>()?;
        SnapshotError::refuse_valueless(C::NAME, C::STORAGE)?;
        let (table, row) = self.locate(entity).ok_or(WorldError::Stale { entity })?;
        let table = self.table(table + self.directory.first_data);
        let mut packed = vec![0; C::PACKED_BYTES];
        if !table.pack_row(component, row, &mut packed) {
            return Err(WorldError::Absent { entity, component: C::NAME.to_owned() });
        }
        Ok(C::unpack(&packed))
    }

    /// The packed bytes of a resource; `None` where it has no value.
    ///
    /// # Errors
    /// An unknown resource.
    pub fn resource_bytes(&self, name: &str) -> Result<Option<&[u8]>, SnapshotError> {
        let layout = self.layout();
        let Some((index, declared)) = layout.resource(name) else {
            let known = layout.resources().iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(SnapshotError::UnknownResource { name: name.to_owned(), known });
        };
        let bytes = self.extent_bytes(&self.directory.tables[RESOURCES as usize].columns[0]);
        let at = layout.resource_offset(index) as usize;
        Ok((bytes[index] != 0).then(|| &bytes[at..at + declared.packed_bytes()]))
    }

    /// The bytes of all resources as they lie in memory, one row a byte; a world without resources has none.
    ///
    /// # Panics
    /// None: every world has this column.
    #[must_use]
    pub fn raw_resources(&self) -> RawColumn<'_> {
        let table = &self.directory.tables[RESOURCES as usize];
        RawColumn::of(self, (table, table.rows as usize), &table.columns[0])
            .expect("the one column of the resources' table holds resources")
    }

    /// Copies a resource out.
    ///
    /// # Errors
    /// An unknown resource, or one without a value.
    pub fn resource<R: Resource>(&self) -> Result<R, WorldError> {
        self.registry().resource::<R>()?;
        let bytes = self.resource_bytes(R::NAME)?;
        bytes.map(R::unpack).ok_or_else(|| WorldError::MissingResource { name: R::NAME.to_owned() })
    }
}
