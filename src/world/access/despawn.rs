//! Despawning many entities at once: all of them, or none.
//!
//! Invariant: nothing changes before every handle is known to be alive and every column that is to change is writable.
#![forbid(unsafe_code)]

use crate::component::Entity;

use crate::world::{World, WorldError};

impl World {
    /// Despawns these entities, all of them or none. A handle may occur more than once.
    ///
    /// ```
    /// # use hypostyle::{Component, World};
    /// # #[derive(Component, Clone, Copy)]
    /// # struct Mass { kg: f32 }
    /// # let mut world = World::builder().component::<Mass>().build()?;
    /// let entities = world.spawn_batch((0..9).map(|kg| Mass { kg: kg as f32 }))?;
    /// world.despawn_batch(&entities[3..])?;
    /// assert_eq!(world.entity_count(), 3);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// [`WorldError::Stale`] names a dead entity among them; no memory. Nothing has changed then.
    pub fn despawn_batch(&mut self, entities: &[Entity]) -> Result<(), WorldError> {
        self.check_maker()?;
        let locate = |entity: &Entity| self.store.locate(*entity).ok_or_else(|| WorldError::stale(*entity));
        let located = entities.iter().map(|entity| Ok((locate(entity)?, *entity)));
        let mut gone: Vec<_> = located.collect::<Result<_, WorldError>>()?;
        // by table, highest rows first
        gone.sort_unstable_by_key(|(at, _)| (at.table, std::cmp::Reverse(at.row)));
        gone.dedup_by_key(|(at, _)| (at.table, at.row));
        let tables = || gone.chunk_by(|(a, _), (b, _)| a.table == b.table);
        for rows in tables() {
            self.store.secure_table(rows[0].0.table)?;
        }
        for rows in tables() {
            let removed: Vec<u32> = rows.iter().map(|(at, _)| at.row).collect();
            self.store.sweep(rows[0].0.table, &removed)?;
        }
        let handles: Vec<Entity> = gone.iter().map(|(_, entity)| *entity).collect();
        self.store.release_handles(&handles)?;
        Ok(())
    }
}
