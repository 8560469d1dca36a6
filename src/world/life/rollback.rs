//! Going back to a generation that was kept: for prediction and for undo.
//!
//! The state that the world goes back to is published anew, as the next generation: numbers keep growing, so nobody
//! sees one number with two contents, and readers follow as they follow a frame. What differs from the generation that
//! was the newest is stamped with the new number, so that "changed since" stays true across it. Readers that hold
//! generations that were undone keep them.
//!
//! Invariant: where it fails, the world stands at its newest generation, as after a frame that failed.
#![forbid(unsafe_code)]

use crate::fault;
use crate::generation::{ChangedChunks, Directory};
use crate::limits::CHUNK_ROWS;
use crate::region::RegionError;
use crate::table::Item;

use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::Store;
use crate::world::store::arena::Arena;

/// A generation that the world can go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptGeneration {
    /// Its number.
    pub generation: u64,
    /// The frame after which it was published.
    pub frame: u64,
}

/// Result of a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rollback {
    /// The world's frame after the rollback.
    pub frame: u64,
    /// Frames that were undone.
    pub undone: u64,
    /// The generation that was restored.
    pub source: u64,
    /// The number of the new generation with that content.
    pub generation: u64,
}

/// Stamps to be written: table, column, chunks.
type Stamps = Vec<(u32, usize, Vec<u32>)>;

impl World {
    /// Generations that [`World::rollback`] can restore, oldest first; the last is the newest published one.
    pub fn kept_generations(&self) -> impl ExactSizeIterator<Item = KeptGeneration> {
        self.store.kept().iter().map(|kept| KeptGeneration { generation: kept.generation, frame: kept.frame })
    }

    /// Sets the number of published generations to keep in addition to the newest, as
    /// [`WorldBuilder::keep_generations`](crate::WorldBuilder::keep_generations).
    pub fn set_keep_generations(&mut self, generations: usize) {
        self.store.set_keep(generations);
    }

    /// Goes back by `frames` frames: to the newest kept generation at or before that frame (exactly that frame if every
    /// frame is published); the result says which. All later changes, published or not, are undone. The same steps then
    /// give the same bytes again. In a simulation, call
    /// [`Simulation::rollback`](crate::Simulation::rollback).
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// struct Turn { number: u32 }
    /// let mut world = World::builder().component::<Turn>().keep_generations(8).build()?;
    /// let game = world.spawn(Turn { number: 0 })?;
    /// world.publish()?;
    /// world.set(game, Turn { number: 1 })?;
    /// let back = world.rollback(0)?; // what was not published yet is undone
    /// assert_eq!((back.frame, world.get::<Turn>(game)?.number), (0, 0));
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// [`WorldError::NotKept`]: no generation of that age is kept; [`WorldError::NoGenerationLeft`]: the one that the world
    /// goes back to would have no number. Nothing has changed then. No memory because readers hold it: the
    /// world is then at its newest generation.
    pub fn rollback(&mut self, frames: u64) -> Result<Rollback, WorldError> {
        self.check_maker()?;
        let from = self.frame;
        let target = from.checked_sub(frames);
        let found = target.and_then(|target| self.store.kept().iter().rev().find(|kept| kept.frame <= target));
        let Some(&kept) = found else { return Err(self.not_kept(frames)) };
        if kept.generation == self.store.published {
            self.restore_newest()?;
        } else {
            self.next_generation()?;
            // what nobody has pinned by now becomes the world's own
            self.store.withdraw_from(kept.generation);
            fault::point("withdrawn");
            if let Err(error) = self.return_to(kept.generation) {
                self.restore_newest()?;
                self.offer_kept();
                return Err(error);
            }
        }
        let undone = from - self.frame;
        Ok(Rollback { frame: self.frame, undone, source: kept.generation, generation: self.store.published })
    }

    fn not_kept(&self, frames: u64) -> WorldError {
        let kept = match (self.store.kept().front(), self.store.kept().len()) {
            (None, _) => "nothing is published, so nothing is kept".to_owned(),
            (Some(only), 1) => format!("only the newest generation is kept, that of frame {}", only.frame),
            (Some(oldest), count) => {
                format!("the oldest of {count} kept generations is that of frame {}", oldest.frame)
            }
        };
        WorldError::NotKept { frame: self.frame, frames, kept }
    }

    /// Makes an older generation the newest.
    fn return_to(&mut self, generation: u64) -> Result<(), WorldError> {
        let lost = || WorldError::from(crate::SnapshotError::directory("it is missing"));
        let slot = self.slot_of(generation).ok_or_else(lost)?;
        let mut directories = self.reinstate(generation, slot)?;
        let target = directories.pop().ok_or_else(lost)?;
        let published = self.store.published;
        let newest = directories.iter().find(|other| other.meta.generation == published).ok_or_else(lost)?;
        let stamps = differences(&self.store, &target, newest);
        for (table, column, _) in &stamps {
            let extent = self.store.tables[*table as usize].columns[*column].live;
            let shared = directories.iter().any(|other| other.extents().any(|other| other == extent))
                || self.store.pins().contains(&generation);
            if shared {
                self.store.write_partial(*table, *column)?;
            } else {
                // nobody else has it: it is this world's to write
                self.store.tables[*table as usize].columns[*column].building = true;
            }
        }
        fault::point("reinstated");
        if let Some((process, generation)) = self.secure()? {
            let usage = self.usage();
            let (available, bytes_max) = (usage.bytes_max.saturating_sub(usage.allocated), usage.bytes_max);
            let requested = usage.allocated;
            return Err(RegionError::Held { requested, available, bytes_max, process, generation }.into());
        }
        self.issue(|store| {
            for (table, column, chunks) in &stamps {
                stamp(store, *table, *column, chunks, published + 1);
            }
            store.forget_from(generation);
        })?;
        Ok(())
    }
}

/// Chunks that changed between an older generation and the newest one, or that only the older one has, by table and
/// column.
fn differences(store: &Store, target: &Directory, newest: &Directory) -> Stamps {
    let mut out = Vec::new();
    for (table, own) in target.tables.iter().enumerate() {
        let other = newest.tables.get(table);
        let chunks = own.rows.div_ceil(CHUNK_ROWS as u32);
        let common = other.map_or(0, |other| other.rows);
        for (index, column) in own.columns.iter().enumerate() {
            let twin = other
                .and_then(|other| Some((other.columns.iter().find(|twin| twin.kind == column.kind)?, other.capacity)));
            let changed = twin.map(|(twin, capacity)| {
                // Whoever looked in between saw another table's column, even if it has come back to its place.
                let stamps = stamps_of(&store.arena, twin.item, twin.extent.offset, capacity, common);
                ChangedChunks::new(stamps, common as usize, twin.moved, target.meta.generation)
            });
            let differs = |chunk: &u32| {
                let end = (u64::from(*chunk) + 1) * CHUNK_ROWS as u64;
                let beyond = end.min(u64::from(own.rows)) > u64::from(common);
                beyond || changed.is_none_or(|changed| changed.contains(*chunk as usize))
            };
            let changed: Vec<u32> = (0..chunks).filter(differs).collect();
            if !changed.is_empty() {
                out.push((table as u32, index, changed));
            }
        }
    }
    out
}

/// The stamps of the rows in use.
fn stamps_of(arena: &Arena, item: Item, offset: u64, capacity: u32, rows: u32) -> &[u64] {
    arena.items(offset + item.stamps_offset(capacity), (rows as usize).div_ceil(CHUNK_ROWS))
}

fn stamp(store: &mut Store, table: u32, column: usize, chunks: &[u32], generation: u64) {
    let table = &store.tables[table as usize];
    let column = &table.columns[column];
    debug_assert!(column.building, "only a building column is written");
    let offset = column.live.offset + column.item.stamps_offset(table.capacity);
    for chunk in chunks {
        store.arena.set_word(offset + 8 * u64::from(*chunk), generation);
    }
}
