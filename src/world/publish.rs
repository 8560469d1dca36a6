#![forbid(unsafe_code)]
//! Publishing generations, and going back to one.
//!
//! A publication writes the next directory into an extent of its own, fills a free slot of the control page with it and
//! stores the one word that readers look at. Before that it makes sure that every column being written can be written
//! again without the extents that readers hold; while it cannot, it waits for a bounded time, then skips.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::limits::DIRECTORY_SLOTS;
use crate::region::pin;
use crate::region::{Extent, RegionError};
use crate::snapshot::{Directory, Meta, encode_directory};

use super::World;
use super::column::Column;
use super::error::WorldError;
use super::table::{Shape, Table, TableKind};

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

/// What a publication came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// Readers see this generation now.
    Published(u64),
    /// Readers hold all memory; the world goes on unpublished.
    Skipped,
}

/// Keeps at most this many directory extents for the next publications.
const SPARE_DIRECTORIES: usize = 4;

impl World {
    /// Publishes the world as it is as a generation.
    ///
    /// # Errors
    /// The region failed. Readers that hold too much are no error: [`Publication::Skipped`].
    pub fn publish(&mut self) -> Result<Publication, WorldError> {
        self.store.close_all();
        self.store.refresh_pins();
        self.store.sweep_limbo();
        self.free_directories();
        if !self.store.secure_spares() && !self.wait_for_readers() {
            self.publisher.skipped += 1;
            self.store.region.control().publish_skipped.store(self.publisher.skipped, Ordering::Relaxed);
            tracing::warn!(frame = self.frame, "publication skipped: readers hold all memory");
            return Ok(Publication::Skipped);
        }
        let generation = self.store.published + 1;
        let mut buffer = std::mem::take(&mut self.publisher.buffer);
        buffer.clear();
        let meta = Meta { generation, frame: self.frame, time: self.time, layout_hash: self.layout_hash };
        encode_directory(&meta, &self.store.tables, &mut buffer);
        let placed = self.place_directory(&buffer);
        let checksum = xxhash_rust::xxh3::xxh3_64(&buffer);
        let bytes = buffer.len() as u64;
        self.publisher.buffer = buffer;
        let (slot, extent) = placed?;
        self.publisher.issued.push((slot, Issued { generation, extent }));
        let control = self.store.region.control();
        let entry = &control.slots[usize::from(slot)];
        entry.generation.store(generation, Ordering::Relaxed);
        entry.offset.store(extent.offset, Ordering::Relaxed);
        entry.bytes.store(bytes, Ordering::Relaxed);
        entry.checksum.store(checksum, Ordering::Relaxed);
        control.frames.store(self.frame, Ordering::Relaxed);
        self.store.region.publish(pin::word(generation, slot));
        self.store.freeze(generation);
        self.store.refresh_pins();
        self.store.shrink()?;
        Ok(Publication::Published(generation))
    }

    /// Waits until readers have let go of what the next publication needs; dead ones, also those of the published
    /// generation, have at once.
    fn wait_for_readers(&mut self) -> bool {
        let begin = Instant::now();
        loop {
            self.store.refresh_living_pins();
            self.store.sweep_limbo();
            self.free_directories();
            if self.store.secure_spares() {
                return true;
            }
            if begin.elapsed() >= self.publisher.wait {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Takes back the slots and extents of directories that nobody can hold any more.
    fn free_directories(&mut self) {
        let published = self.store.published;
        let Publisher { issued, free, spare, .. } = &mut self.publisher;
        issued.retain(|(slot, directory)| {
            let held = directory.generation >= published || self.store.pins().contains(&directory.generation);
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

    fn place_directory(&mut self, bytes: &[u8]) -> Result<(u16, Extent), RegionError> {
        let slot = self.publisher.free.last().copied().ok_or(RegionError::TooLarge {
            what: "generations held by readers at once",
            asked: DIRECTORY_SLOTS as u64,
            limit: DIRECTORY_SLOTS as u64 - 1,
        })?;
        let fitting = self.publisher.spare.iter().position(|extent| extent.bytes >= bytes.len() as u64);
        let extent = match fitting {
            Some(index) => self.publisher.spare.swap_remove(index),
            None => {
                for extent in self.publisher.spare.drain(..) {
                    self.store.region.free(extent);
                }
                // some room for tables to come, so that a growing world does not allocate every time
                self.store.allocate((bytes.len() as u64).next_multiple_of(4096))?
            }
        };
        self.store.arena.bytes_mut(extent.offset, bytes.len() as u64).copy_from_slice(bytes);
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
        let directory = Directory::decode(&content, &self.registry.layout, self.layout_hash, backed)?;
        Ok((directory, Extent { offset, bytes: rounded(bytes) }))
    }

    /// Puts the newest published generation in place of the world's state. Generations that readers hold stay.
    pub(crate) fn restore_newest(&mut self) -> Result<(), WorldError> {
        let word = self.store.region.control().published.load(Ordering::Acquire);
        if word == 0 {
            return Err(crate::SnapshotError::NothingPublished.into());
        }
        let (generation, slot) = (word >> 16, (word & 0xffff) as usize);
        if slot >= DIRECTORY_SLOTS {
            return Err(crate::SnapshotError::directory("its slot is beyond the last").into());
        }
        let (newest, extent) = self.directory_in(slot)?;
        if newest.meta.generation != generation {
            return Err(crate::SnapshotError::directory("it is of another generation than published").into());
        }
        self.store.published = generation;
        self.store.refresh_pins();
        // what pinned generations name must stay until their readers let go
        let mut issued = vec![(slot as u16, Issued { generation, extent })];
        let mut named: Vec<Extent> = vec![extent];
        let mut held: Vec<(Extent, (u64, u64))> = Vec::new();
        let control = self.store.region.control();
        let candidates: Vec<(usize, u64)> = (0..DIRECTORY_SLOTS)
            .map(|index| (index, control.slots[index].generation.load(Ordering::Relaxed)))
            .filter(|(index, g)| *index != slot && *g != 0 && self.store.pins().contains(g))
            .collect();
        for (index, generation) in candidates {
            let (directory, extent) = self.directory_in(index)?;
            issued.push((index as u16, Issued { generation, extent }));
            named.push(extent);
            for extent in directory.extents() {
                if newest.extents().any(|other| other == extent) {
                    continue;
                }
                match held.iter_mut().find(|(other, _)| *other == extent) {
                    Some((_, range)) => *range = (range.0.min(generation), range.1.max(generation)),
                    None => held.push((extent, (generation, generation))),
                }
            }
        }
        named.extend(held.iter().map(|(extent, _)| *extent));
        let tables = tables_of(&newest, &self.registry.layout);
        self.store.restore(tables, generation, &named)?;
        self.store.hold(held);
        let unused = |slot: &u16| issued.iter().all(|(used, _)| used != slot);
        self.publisher.free = (0..DIRECTORY_SLOTS as u16).rev().filter(unused).collect();
        self.publisher.issued = issued;
        self.publisher.issued.reserve(DIRECTORY_SLOTS);
        self.publisher.spare.clear();
        self.frame = newest.meta.frame;
        self.time = newest.meta.time;
        Ok(())
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
            };
            let columns = entry
                .columns
                .iter()
                .map(|column| Column {
                    building: false,
                    // frozen since before anything a reader could still hold
                    named_since: 1,
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
                unnoted: Default::default(),
            }
        })
        .collect()
}
