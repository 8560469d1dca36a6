//! The world: tables of split columns, entities, resources, and the generations made of them.
//!
//! Architecture invariant: the world never runs a kernel and never sees a worker; it is changed by its owner between
//! frames and by commits within them, both through [`store::Store`].

// what the tables hold, and the rules by which their bytes are written, moved and freed
pub(crate) mod store;

// access to the tables: one entity, many, those that a query matches, by type or by name
pub(crate) mod access;

// rows that leave for other worlds, and arrive from them
pub(crate) mod rows;

// how worlds begin, are published, go back, and begin again
pub(crate) mod life;

pub(crate) mod error;
#[cfg(test)]
mod tests;

use crate::table::{RESOURCES, Registry};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use access::bulk::BulkSpawn;
pub use access::bundle::Bundle;
pub use access::ghosts::GhostError;
pub use access::lists::List;
pub use access::lookup::{Lookup, RowOffsets};
pub use access::lookup_mut::LookupMut;
pub use access::prefab::{Prefab, PrefabSpawn};
pub use access::query::{AnyOf, Changed, Entities, Query, Read, With, Without, Write};
pub use access::row::ValueMut;
pub use error::WorldError;
pub use life::builder::WorldBuilder;
pub use life::publish::Publication;
pub use life::rollback::{KeptGeneration, Rollback};
pub use rows::{Dangling, RowBatch, RowBatchError};

use crate::layout::Layout;
use crate::patch::RecordSizes;
use crate::region::{RegionTarget, Usage};
use crate::{Component, Entity, Resource};

use access::bundle::RowRef;
use store::Store;

/// A world: entities with components in tables, and resources.
///
/// ```
/// use hypostyle::{Component, World};
/// #[derive(Component, Clone, Copy, Debug, PartialEq)]
/// struct Position { x: f32, y: f32 }
/// let mut world = World::builder().component::<Position>().build()?;
/// let ship = world.spawn(Position { x: 1.0, y: 2.0 })?;
/// assert_eq!(world.get::<Position>(ship)?, Position { x: 1.0, y: 2.0 });
/// # Ok::<(), hypostyle::WorldError>(())
/// ```
pub struct World {
    pub(crate) store: Store,
    pub(crate) registry: Arc<Registry>,
    pub(crate) sizes: Arc<RecordSizes>,
    pub(crate) layout_hash: u64,
    pub(crate) frame: u64,
    pub(crate) time: f64,
    pub(crate) publisher: life::publish::Publisher,
    edit: access::edit::EditScratch,
    prefabs: HashMap<String, Prefab>,
    queries: access::visit::Queries,
}

impl World {
    /// Declares a world.
    ///
    /// ```
    /// let world = hypostyle::World::builder().build()?;
    /// assert_eq!(world.entity_count(), 0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// Resumes a region whose writer has exited, from its newest published generation, bit for bit.
    ///
    /// # Errors
    /// No such region, a live writer, a damaged region, or a region in which nothing has been published yet.
    pub fn resume(region: &RegionTarget) -> Result<World, WorldError> {
        World::builder().resume(region)
    }

    /// The layout.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.registry.layout
    }

    /// Frames run so far.
    #[must_use]
    pub fn frame(&self) -> u64 {
        self.frame
    }

    /// Simulated time, in the unit of `dt`.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.time
    }

    /// The newest published generation; 0 before the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.store.published
    }

    /// What the maker of the region noted under this name: see [`WorldBuilder::note`].
    #[must_use]
    pub fn note(&self, name: &str) -> Option<String> {
        let notes = self.store.region.control().notes();
        notes.into_iter().find_map(|(other, value)| (other == name).then_some(value))
    }

    /// Live entities.
    #[must_use]
    pub fn entity_count(&self) -> u64 {
        self.store
            .data_tables()
            .filter(|(_, table)| !table.shape.elsewhere)
            .map(|(_, table)| u64::from(table.rows))
            .sum()
    }

    /// The region that holds the world.
    #[must_use]
    pub fn region(&self) -> &RegionTarget {
        self.store.region.target()
    }

    /// Memory: backed by the system, in use, and the limit.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.store.region.usage()
    }

    /// Takes memory before it is needed: `bytes` in all are backed by the system and mapped, by as many threads as there are
    /// processors, so that no frame waits for a page. `progress` hears, on this thread, how much of how much is done.
    ///
    /// A world wants about twice what its columns hold, because written columns have two versions.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().bytes_max(64 << 20).build()?;
    /// world.prefault(16 << 20, |done, total| eprintln!("{} %", 100 * done / total))?;
    /// assert!(world.usage().backed >= 16 << 20);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// More than the world's `bytes_max`, no memory, or a system that cannot map ahead; nothing has changed then.
    pub fn prefault(&mut self, bytes: u64, progress: impl FnMut(u64, u64)) -> Result<(), WorldError> {
        self.check_maker()?;
        Ok(self.store.region.prefault(bytes, progress)?)
    }

    /// Whether the region outlives this process's normal exit (default: no).
    pub fn set_keep_region(&mut self, keep: bool) {
        self.store.region.set_keep(keep);
    }

    /// How long a publication waits for readers that hold the memory it needs, before it is skipped (default 100 ms).
    pub fn set_publish_wait(&mut self, wait: Duration) {
        self.publisher.wait = wait;
    }

    /// Publications skipped because readers held all memory.
    #[must_use]
    pub fn skipped_publications(&self) -> u64 {
        self.publisher.skipped
    }

    /// Whether the world has this entity: it was spawned here and not despawned since.
    #[must_use]
    pub fn contains(&self, entity: Entity) -> bool {
        self.store.locate(entity).is_some()
    }

    /// Whether an entity is alive and has a component.
    #[must_use]
    pub fn has<C: Component>(&self, entity: Entity) -> bool {
        let Ok(component) = self.registry.component::<C>() else { return false };
        self.store.locate(entity).is_some_and(|at| self.store.has(at.table, at.row, component))
    }

    /// Copies a component out, or several: a tuple of them takes one look at where the entity is.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Position { x: f32, y: f32 }
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f32 }
    /// let mut world = World::builder().component::<Position>().component::<Mass>().build()?;
    /// let ship = world.spawn((Position { x: 1.0, y: 2.0 }, Mass { kg: 3.0 }))?;
    /// let (position, mass): (Position, Mass) = world.get(ship)?;
    /// assert_eq!(position.x * mass.kg, 3.0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component, a dead entity, an entity without the component.
    #[inline]
    pub fn get<B: Bundle>(&self, entity: Entity) -> Result<B, WorldError> {
        match self.store.locate(entity) {
            Some(at) => {
                let table = &self.store.tables[at.table as usize];
                B::fetch(&RowRef { world: self, table, row: at.row, entity })
            }
            None => Err(self.unreachable::<B>(entity)),
        }
    }

    #[cold]
    #[inline(never)]
    fn unreachable<B: Bundle>(&self, entity: Entity) -> WorldError {
        match B::ids(&access::bundle::RegistryRef(&self.registry), &mut Vec::new()) {
            Ok(()) => WorldError::Stale { entity },
            Err(error) => error,
        }
    }

    /// Gives a resource its first value.
    ///
    /// # Errors
    /// An unknown resource, or one that has a value already.
    pub fn insert_resource<R: Resource>(&mut self, value: R) -> Result<(), WorldError> {
        if self.has_resource::<R>()? {
            return Err(WorldError::DuplicateResource { name: R::NAME.to_owned() });
        }
        self.write_resource(value)
    }

    /// Changes a resource.
    ///
    /// # Errors
    /// An unknown resource, or one without a value.
    pub fn set_resource<R: Resource>(&mut self, value: R) -> Result<(), WorldError> {
        if !self.has_resource::<R>()? {
            return Err(WorldError::MissingResource { name: R::NAME.to_owned() });
        }
        self.write_resource(value)
    }

    /// Sets a resource, whether it had a value or not.
    ///
    /// # Errors
    /// An unknown resource; no memory.
    pub fn insert_or_set_resource<R: Resource>(&mut self, value: R) -> Result<(), WorldError> {
        self.write_resource(value)
    }

    /// Whether a resource has a value.
    ///
    /// # Errors
    /// An unknown resource.
    pub fn has_resource<R: Resource>(&self) -> Result<bool, WorldError> {
        let resource = self.registry.resource::<R>()?;
        Ok(self.store.column_bytes(RESOURCES, 0)[usize::from(resource)] != 0)
    }

    /// Copies a resource out.
    ///
    /// # Errors
    /// An unknown resource, or one without a value.
    pub fn resource<R: Resource>(&self) -> Result<R, WorldError> {
        if !self.has_resource::<R>()? {
            return Err(WorldError::MissingResource { name: R::NAME.to_owned() });
        }
        let resource = self.registry.resource::<R>()?;
        let at = self.registry.layout.resource_offset(usize::from(resource)) as usize;
        Ok(R::unpack(&self.store.column_bytes(RESOURCES, 0)[at..at + R::PACKED_BYTES]))
    }

    fn write_resource<R: Resource>(&mut self, value: R) -> Result<(), WorldError> {
        self.check_maker()?;
        let resource = usize::from(self.registry.resource::<R>()?);
        let at = self.registry.layout.resource_offset(resource) as usize;
        self.store.write_partial(RESOURCES, 0)?;
        let bytes = self.store.column_bytes_mut(RESOURCES, 0);
        bytes[resource] = 1;
        value.pack(&mut bytes[at..at + R::PACKED_BYTES]);
        let rows = self.store.tables[RESOURCES as usize].rows;
        self.store.mark_dirty(RESOURCES, 0, 0, rows);
        Ok(())
    }

    /// Whether this process may change the world: not if it was forked off the one that made it. Costs next to nothing.
    #[inline]
    pub(crate) fn check_maker(&self) -> Result<(), WorldError> {
        Ok(self.store.region.check_maker()?)
    }

    /// The parity whose changed bits direct changes set: that of the newest frame.
    pub(crate) fn parity(&self) -> u8 {
        (self.frame & 1) as u8
    }
}
