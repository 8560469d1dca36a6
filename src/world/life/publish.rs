//! Publishing generations, and going back to one.
//!
//! A publication writes the next directory into an extent of its own, fills a free slot of the control page with it and
//! stores the one word that readers look at. Before that it makes sure that every column that is expected to be written
//! can be written after it (`room`). Where what readers and kept generations hold is in the way, it gives up generations
//! that are kept to go back to, waits for readers for a bounded time, then skips. Without a reader, lack of memory is an
//! error.
#![forbid(unsafe_code)]

use crate::table::{Column, Shape, Table, TableKind};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::fault;
use crate::generation::{Directory, Meta, encode_directory};
use crate::limits::DIRECTORY_SLOTS;
use crate::os::{self, Instant};
use crate::region::pin;
use crate::region::{Extent, RegionError};

use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::{Kept, Store};

/// A generation that may still be held.
#[derive(Clone, Copy, Debug)]
struct Issued {
    generation: u64,
    extent: Extent,
}

/// The writer's record of its directories.
pub(crate) struct Publisher {
    pub(crate) wait: Duration,
    pub(crate) skipped: u64,
    /// Slots of the control page in use, with what is in them.
    issued: Vec<(u16, Issued)>,
    /// The others.
    free: Vec<u16>,
    spare: Vec<Extent>,
    buffer: Vec<u8>,
}

impl Default for Publisher {
    fn default() -> Self {
        Publisher {
            wait: Duration::from_millis(100),
            skipped: 0,
            issued: Vec::with_capacity(DIRECTORY_SLOTS),
            free: (0..DIRECTORY_SLOTS as u16).rev().collect(),
            spare: Vec::new(),
            buffer: Vec::new(),
        }
    }
}

/// Result of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// Readers see this generation from now on.
    Published(u64),
    /// Nothing was published: readers hold the memory that the next frames would need. Frames continue; the next
    /// publication tries again.
    Skipped {
        /// The process of the reader that holds the oldest generation.
        process: u32,
    },
}

impl Publication {
    /// Whether a new generation was published.
    #[must_use]
    pub fn is_published(self) -> bool {
        matches!(self, Publication::Published(_))
    }
}

/// Keeps at most this many directory extents for the next publications.
const SPARE_DIRECTORIES: usize = 4;

impl World {
    /// Publishes the current state of the world as a generation.
    ///
    /// # Errors
    /// An error of the region, or no memory for further frames. Readers that hold too much memory are no error:
    /// [`Publication::Skipped`].
    pub fn publish(&mut self) -> Result<Publication, WorldError> {
        self.check_maker()?;
        self.next_generation()?;
        self.store.close_all();
        self.store.begin_change();
        self.store.refresh_pins();
        self.store.free_deferred();
        self.free_directories();
        self.store.shrink_tight();
        if let Some((process, generation)) = self.secure()? {
            self.publisher.skipped += 1;
            self.store.region.control().publish_skipped.store(self.publisher.skipped, Ordering::Relaxed);
            tracing::warn!(
                frame = self.frame,
                process,
                generation,
                "publication skipped: a reader holds memory that the next frame needs"
            );
            return Ok(Publication::Skipped { process });
        }
        let generation = self.issue(|_| ())?;
        self.store.directories_ready = self.publisher.spare.len();
        fault::point("reclaim");
        self.store.free_deferred();
        self.store.shrink()?;
        if let Err(error) = self.store.take_expected() {
            // a reader that came this moment; the next write asks again
            tracing::debug!(%error, "no room yet for the next frame");
        }
        Ok(Publication::Published(generation))
    }

    /// Makes sure that the next publication has room for its directory, and that every column that is expected to be
    /// written can be written after it. Else the process and the generation of a reader that holds too much for that.
    ///
    /// # Errors
    /// There is no room, and no reader is the reason.
    pub(in crate::world) fn secure(&mut self) -> Result<Option<(u32, u64)>, WorldError> {
        loop {
            if self.has_room()? {
                return Ok(None);
            }
            if !self.store.give_up_oldest(0) {
                return self.wait_for_readers();
            }
            self.store.free_deferred();
            self.free_directories();
        }
    }

    /// The number of the next generation.
    ///
    /// # Errors
    /// There is none left.
    pub(in crate::world) fn next_generation(&self) -> Result<u64, WorldError> {
        let newest = self.store.published;
        let next = newest + 1;
        if next < pin::GENERATION_MAX { Ok(next) } else { Err(WorldError::NoGenerationLeft { newest }) }
    }

    /// Publishes what the tables name. `last` is called when nothing can fail any more.
    pub(in crate::world) fn issue(&mut self, last: impl FnOnce(&mut Store)) -> Result<u64, WorldError> {
        let generation = self.next_generation()?;
        let mut buffer = std::mem::take(&mut self.publisher.buffer);
        let meta = Meta { generation, frame: self.frame, time: self.time, layout_hash: self.layout_hash };
        buffer.clear();
        encode_directory(&meta, &self.store.tables, &mut buffer);
        let arrangements = self.store.arrangements;
        let placed = self.place_directory(buffer.len() as u64);
        if arrangements != self.store.arrangements {
            // room for it was found by moving columns
            buffer.clear();
            encode_directory(&meta, &self.store.tables, &mut buffer);
        }
        let checksum = xxhash_rust::xxh3::xxh3_64(&buffer);
        let bytes = buffer.len() as u64;
        fault::point("directory-placed");
        if let Ok((_, extent)) = placed {
            self.store.arena.bytes_mut(extent.offset, bytes).copy_from_slice(&buffer);
        }
        self.publisher.buffer = buffer;
        let (slot, extent) = placed?;
        fault::point("directory-written");
        last(&mut self.store);
        self.publisher.issued.push((slot, Issued { generation, extent }));
        let control = self.store.region.control();
        let entry = &control.slots[usize::from(slot)];
        entry.generation.store(generation, Ordering::Relaxed);
        entry.offset.store(extent.offset, Ordering::Relaxed);
        entry.bytes.store(bytes, Ordering::Relaxed);
        entry.checksum.store(checksum, Ordering::Relaxed);
        control.frames.store(self.frame, Ordering::Relaxed);
        fault::point("slot-filled");
        self.store.region.publish(pin::word(generation, slot));
        fault::point("word-stored");
        self.store.freeze(generation);
        self.store.keep(Kept { generation, frame: self.frame }, slot);
        Ok(generation)
    }

    /// Waits until readers have let go of what the next publication needs; dead ones, also those of the published
    /// generation, have at once.
    fn wait_for_readers(&mut self) -> Result<Option<(u32, u64)>, WorldError> {
        let begin = Instant::now();
        loop {
            self.store.refresh_living_pins();
            self.store.free_deferred();
            self.free_directories();
            if self.has_room()? {
                return Ok(None);
            }
            let is_over = begin.elapsed() >= self.publisher.wait || !os::can_sleep();
            let is_held = !self.store.pins().is_empty();
            match self.store.region.oldest_reader().filter(|_| is_held) {
                Some(reader) if is_over => return Ok(Some(reader)),
                // a reader that let go this moment is none, and what it held is there at the next look
                None if is_over || !is_held => return Err(self.store.full(self.store.lacking_bytes()).into()),
                _ => {}
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Takes back the slots and extents of directories that nobody can hold any more.
    fn free_directories(&mut self) {
        let published = self.store.published;
        let Publisher { issued, free, spare, .. } = &mut self.publisher;
        issued.retain(|(slot, directory)| {
            let generation = directory.generation;
            let held =
                generation >= published || self.store.pins().contains(&generation) || self.store.is_kept(generation);
            if !held {
                free.push(*slot);
                if spare.len() < SPARE_DIRECTORIES {
                    spare.push(directory.extent);
                } else {
                    self.store.region.free(directory.extent);
                }
            }
            held
        });
    }

    /// Whether the next publication, and the frames after it, have room beside what readers and kept generations hold.
    fn has_room(&mut self) -> Result<bool, RegionError> {
        match self.reserve_directory() {
            Ok(()) => self.store.secure_next(),
            // a directory is a page or so, but the last one may be a reader's as well
            Err(RegionError::Held { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Room for the next directory, before it is decided what fits beside it.
    fn reserve_directory(&mut self) -> Result<(), RegionError> {
        let bytes = self.store.directory_bytes_kept();
        let is_fitting = |extent: &&Extent| extent.bytes >= bytes;
        loop {
            self.store.directories_ready = self.publisher.spare.iter().filter(is_fitting).count();
            if self.store.directories_ready >= self.store.directories_wanted() {
                break;
            }
            let extent = self.store.allocate_directory(bytes)?;
            self.publisher.spare.push(extent);
        }
        Ok(())
    }

    /// A slot and an extent for a directory of so many bytes.
    fn place_directory(&mut self, bytes: u64) -> Result<(u16, Extent), RegionError> {
        let slot = self.publisher.free.last().copied().ok_or(RegionError::TooLarge {
            what: "generations held by readers at once",
            asked: DIRECTORY_SLOTS as u64,
            limit: DIRECTORY_SLOTS as u64 - 1,
        })?;
        let fitting = self.publisher.spare.iter().position(|extent| extent.bytes >= bytes);
        let extent = match fitting {
            Some(index) => self.publisher.spare.swap_remove(index),
            None => {
                for extent in self.publisher.spare.drain(..) {
                    self.store.region.free(extent);
                }
                // some room for tables to come, so that a growing world does not allocate every time
                self.store.allocate_directory(bytes.next_multiple_of(4096))?
            }
        };
        self.publisher.free.pop();
        Ok((slot, extent))
    }

    /// Reads the directory in a slot of the control page, checked.
    fn directory_in(&self, slot: usize) -> Result<(Directory, Extent), WorldError> {
        let entry = &self.store.region.control().slots[slot];
        let offset = entry.offset.load(Ordering::Relaxed);
        let bytes = entry.bytes.load(Ordering::Relaxed);
        let backed = self.store.region.usage().backed;
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= backed);
        if !inside || bytes > 1 << 32 {
            return Err(crate::SnapshotError::directory("it lies outside the data").into());
        }
        let content = self.store.arena.bytes(offset, bytes).to_vec();
        if xxhash_rust::xxh3::xxh3_64(&content) != entry.checksum.load(Ordering::Relaxed) {
            return Err(crate::SnapshotError::directory("its checksum is wrong").into());
        }
        let directory = Directory::decode(&content, offset, &self.registry.layout, self.layout_hash, backed)?;
        // readers find it by that
        if entry.generation.load(Ordering::Relaxed) != directory.meta.generation {
            return Err(crate::SnapshotError::directory("its slot does not name it").into());
        }
        Ok((directory, Extent { offset, bytes: rounded(bytes) }))
    }

    /// Puts the newest published generation in place of the world's state. Generations that readers hold stay.
    pub(crate) fn restore_newest(&mut self) -> Result<(), WorldError> {
        let word = self.store.region.control().published.load(Ordering::Acquire);
        if word == 0 {
            return Err(crate::SnapshotError::NothingPublished.into());
        }
        let (generation, slot) = (pin::generation(word), usize::from(pin::slot(word)));
        crate::generation::check::meta(generation, 0)?;
        if slot >= DIRECTORY_SLOTS {
            return Err(crate::SnapshotError::directory("its slot is beyond the last").into());
        }
        self.store.published = generation;
        if !self.store.kept().is_empty() {
            return self.reinstate(generation, slot).map(|_| ());
        }
        self.forget_unpublished(generation, slot);
        self.adopt_kept();
        self.reinstate(generation, slot)?;
        self.store.keep(Kept { generation, frame: self.frame }, slot as u16);
        Ok(())
    }

    /// Empties slots that a writer filled and did not come to publish, as it died: the numbers in them are given anew.
    fn forget_unpublished(&self, published: u64, slot: usize) {
        for (index, entry) in self.store.region.control().slots.iter().enumerate() {
            if index != slot && entry.generation.load(Ordering::Relaxed) >= published {
                entry.generation.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Keeps what the writer before has kept. What is not whole is let go.
    fn adopt_kept(&mut self) {
        let control = self.store.region.control();
        let mut offered: Vec<(u64, u64)> =
            control.offered().map(|(word, frame)| (word.load(Ordering::Acquire), frame)).collect();
        offered.sort_unstable();
        for (word, frame) in offered {
            let (generation, slot) = (pin::generation(word), pin::slot(word));
            let is_whole = |(directory, _): (Directory, Extent)| {
                (directory.meta.generation, directory.meta.frame) == (generation, frame)
            };
            let older = generation < self.store.published && usize::from(slot) < DIRECTORY_SLOTS;
            if older && self.directory_in(usize::from(slot)).is_ok_and(is_whole) {
                self.store.keep(Kept { generation, frame }, slot);
            } else {
                self.store.region.control().withdraw(generation);
            }
        }
    }

    /// Offers all kept generations to readers, which a rollback that failed had withdrawn.
    pub(in crate::world) fn offer_kept(&mut self) {
        for kept in self.store.kept() {
            if let Some(slot) = self.slot_of(kept.generation) {
                self.store.region.control().offer(pin::word(kept.generation, slot as u16), kept.frame);
            }
        }
    }

    /// The slot of a generation that is kept or published.
    pub(in crate::world) fn slot_of(&self, generation: u64) -> Option<usize> {
        let issued = self.publisher.issued.iter().find(|(_, issued)| issued.generation == generation);
        issued.map(|(slot, _)| usize::from(*slot))
    }

    /// Puts a generation in place of the world's state: the newest one, or one that is kept. The published generation,
    /// those that readers hold and those that are kept stay; their directories are the answer, with that of the
    /// generation itself at the end.
    pub(in crate::world) fn reinstate(&mut self, generation: u64, slot: usize) -> Result<Vec<Directory>, WorldError> {
        let (target, extent) = self.directory_in(slot)?;
        if target.meta.generation != generation {
            return Err(crate::SnapshotError::directory("it is of another generation than published").into());
        }
        self.store.refresh_pins();
        let mut issued = vec![(slot as u16, Issued { generation, extent })];
        let mut named: Vec<Extent> = vec![extent];
        let mut directories = Vec::new();
        // which of the other generations name an extent, first and last
        let mut ranges: HashMap<Extent, (u64, u64)> = HashMap::new();
        let control = self.store.region.control();
        let published = self.store.published;
        let is_held = |g: u64| g == published || self.store.pins().contains(&g) || self.store.is_kept(g);
        let candidates: Vec<(usize, u64)> = (0..DIRECTORY_SLOTS)
            .map(|index| (index, control.slots[index].generation.load(Ordering::Relaxed)))
            .filter(|(index, g)| *index != slot && *g != 0 && *g != generation && is_held(*g))
            .collect();
        for (index, generation) in candidates {
            let (directory, extent) = self.directory_in(index)?;
            issued.push((index as u16, Issued { generation, extent }));
            named.push(extent);
            for extent in directory.extents() {
                let range = ranges.entry(extent).or_insert((generation, generation));
                *range = (range.0.min(generation), range.1.max(generation));
            }
            directories.push(directory);
        }
        let is_directory = |extent: &Extent| named.contains(extent);
        if target.extents().any(|extent| is_directory(&extent)) || ranges.keys().any(is_directory) {
            return Err(crate::SnapshotError::directory("a column's extent is that of a directory").into());
        }
        let mut tables = tables_of(&target, &self.registry.layout);
        for column in tables.iter_mut().flat_map(|table| &mut table.columns) {
            let since = ranges.remove(&column.live).map_or(generation, |(first, _)| first);
            column.named_since = since.min(generation);
        }
        let held: Vec<_> = ranges.into_iter().collect();
        named.extend(held.iter().map(|(extent, _)| *extent));
        self.store.restore(tables, published, &named)?;
        self.store.hold(held);
        let unused = |slot: &u16| issued.iter().all(|(used, _)| used != slot);
        self.publisher.free = (0..DIRECTORY_SLOTS as u16).rev().filter(unused).collect();
        self.publisher.issued = issued;
        self.publisher.issued.reserve(DIRECTORY_SLOTS);
        self.publisher.spare.clear();
        self.frame = target.meta.frame;
        self.time = target.meta.time;
        directories.push(target);
        Ok(directories)
    }
}

/// The extent that a directory of so many bytes was given.
fn rounded(bytes: u64) -> u64 {
    bytes.next_multiple_of(4096)
}

/// Tables as the writer holds them, all columns frozen.
fn tables_of(directory: &Directory, layout: &crate::Layout) -> Vec<Table> {
    directory
        .tables
        .iter()
        .map(|entry| {
            let shape = match entry.kind {
                TableKind::Entities => Shape::entities(),
                TableKind::Resources => Shape::resources(),
                TableKind::Data => Shape::new(layout, &entry.components),
                TableKind::Pool => Shape::pool(layout, entry.components[0]),
            };
            // without scratch: that is renewed when they are the world's
            let columns = entry
                .columns
                .iter()
                .map(|column| Column {
                    building: false,
                    named_since: directory.meta.generation,
                    moved: column.moved,
                    ..Column::new(column.kind, column.item, column.extent)
                })
                .collect();
            Table {
                kind: entry.kind,
                shape: Arc::new(shape),
                rows: entry.rows,
                capacity: entry.capacity,
                columns,
                slack: 0,
                promised: 0,
                gains_rows: false,
                dirty: Default::default(),
                ghosts: Default::default(),
            }
        })
        .collect()
}
