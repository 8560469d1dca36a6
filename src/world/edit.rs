#![forbid(unsafe_code)]
//! Direct changes by the world's owner, between frames: one entity at a time.

use crate::{Component, Entity};

use super::World;
use super::bundle::{Bundle, RegistryRef};
use super::error::WorldError;
use super::store::Location;
use crate::layout::Storage;

impl World {
    /// Ids of a bundle's components; an error where one is given twice.
    pub(crate) fn bundle_ids<B: Bundle>(&self) -> Result<Vec<u16>, WorldError> {
        let mut ids = Vec::new();
        B::ids(&RegistryRef(&self.registry), &mut ids)?;
        self.check_repeats(&ids)?;
        Ok(ids)
    }

    pub(crate) fn check_repeats(&self, ids: &[u16]) -> Result<(), WorldError> {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => {
                let component = self.layout().components()[usize::from(pair[0])].name.clone();
                Err(WorldError::DuplicateComponent { component })
            }
        }
    }

    /// The table of entities with these components, with the columns of the toggles among them.
    pub(crate) fn table_of(&mut self, ids: &[u16]) -> Result<u32, WorldError> {
        let mut tables: Vec<u16> = ids.iter().copied().filter(|id| self.store.storage(*id) == Storage::Table).collect();
        tables.sort_unstable();
        let table = self.store.table_for(&tables)?;
        for id in ids.iter().filter(|id| self.store.storage(**id) == Storage::Toggle).copied().collect::<Vec<_>>() {
            self.store.attach_toggle(table, id)?;
        }
        Ok(table)
    }

    /// Appends `n` new entities to the table of these components: handles placed, fields zero, toggles on.
    pub(crate) fn append_entities(&mut self, ids: &[u16], n: u32) -> Result<(u32, u32, Vec<Entity>), WorldError> {
        let table = self.table_of(ids)?;
        let rows = self.store.tables[table as usize].rows;
        // room first: nothing is half-spawned when memory runs out
        self.store.reserve(table, u64::from(rows) + u64::from(n))?;
        for column in 0..self.store.tables[table as usize].columns.len() {
            self.store.write_partial(table, column)?;
        }
        let slots = self.store.tables[super::store::ENTITIES as usize].rows;
        let fresh = u64::from(n).saturating_sub(self.store.free_slots.len() as u64);
        self.store.reserve(super::store::ENTITIES, u64::from(slots) + fresh)?;
        self.store.write_partial(super::store::ENTITIES, 0)?;
        self.store.write_partial(super::store::ENTITIES, 1)?;
        let mut handles = Vec::with_capacity(n as usize);
        self.store.take_handles(n, &mut handles)?;
        let first = self.store.append(table, n)?;
        let offset = self.store.tables[table as usize].columns[0].live.offset + 8 * u64::from(first);
        self.store.arena.items_mut::<Entity>(offset, n as usize).copy_from_slice(&handles);
        self.store.place(&handles, table, first);
        let toggles = ids.iter().filter(|id| self.store.storage(**id) == Storage::Toggle).copied().collect::<Vec<_>>();
        for id in &toggles {
            let presence = self.store.tables[table as usize].shape.slot(*id).and_then(|slot| slot.presence);
            let column = usize::from(presence.expect("table_of attached the toggle"));
            self.store.set_bits(table, column, first, n, true);
        }
        self.store.mark_all_changed(table, self.parity(), first, n)?;
        Ok((table, first, handles))
    }

    /// Spawns an entity.
    ///
    /// # Errors
    /// An unknown component, one given twice, no memory.
    pub fn spawn<B: Bundle>(&mut self, bundle: B) -> Result<Entity, WorldError> {
        Ok(self.spawn_batch([bundle])?[0])
    }

    /// Spawns an entity per bundle; their handles in order.
    ///
    /// # Errors
    /// As [`World::spawn`]; nothing is half-spawned.
    pub fn spawn_batch<B: Bundle>(&mut self, bundles: impl IntoIterator<Item = B>) -> Result<Vec<Entity>, WorldError> {
        let ids = self.bundle_ids::<B>()?;
        let bundles: Vec<B> = bundles.into_iter().collect();
        let n = u32::try_from(bundles.len()).map_err(|_| WorldError::TooManyEntities {
            asked: bundles.len() as u64,
            max: crate::limits::ENTITIES_MAX,
        })?;
        let (table, first, handles) = self.append_entities(&ids, n)?;
        let mut packed = vec![0; B::PACKED_BYTES];
        let sizes: Vec<usize> = ids.iter().map(|id| self.registry.packed_bytes[usize::from(*id)] as usize).collect();
        for (index, bundle) in bundles.iter().enumerate() {
            bundle.pack_all(&mut packed);
            let mut at = 0;
            for (id, bytes) in ids.iter().zip(&sizes) {
                self.store.write_packed(table, first + index as u32, *id, &packed[at..at + bytes])?;
                at += bytes;
            }
        }
        Ok(handles)
    }

    fn find(&self, entity: Entity) -> Result<Location, WorldError> {
        self.store.locate(entity).ok_or(WorldError::Stale { entity })
    }

    /// Ends an entity's life.
    ///
    /// # Errors
    /// A dead entity, no memory.
    pub fn despawn(&mut self, entity: Entity) -> Result<(), WorldError> {
        let at = self.find(entity)?;
        self.store.secure_table(at.table)?;
        self.store.sweep(at.table, &[at.row])?;
        self.store.release_handles(&[entity])?;
        Ok(())
    }

    /// Changes a component that the entity has.
    ///
    /// # Errors
    /// An unknown component, a dead entity, an entity without the component.
    pub fn set<C: Component>(&mut self, entity: Entity, value: C) -> Result<(), WorldError> {
        let component = self.registry.component::<C>()?;
        let at = self.find(entity)?;
        if !self.store.has(at.table, at.row, component) {
            return Err(WorldError::Absent { entity, component: C::NAME.to_owned() });
        }
        self.write_component(at, component, &value)
    }

    fn write_component<C: Component>(&mut self, at: Location, component: u16, value: &C) -> Result<(), WorldError> {
        let mut packed = vec![0; C::PACKED_BYTES];
        value.pack(&mut packed);
        self.store.secure_component(at.table, component)?;
        self.store.write_packed(at.table, at.row, component, &packed)?;
        Ok(self.store.mark_changed(at.table, component, self.parity(), at.row, 1)?)
    }

    /// Gives an entity a component, or changes it where it has it.
    ///
    /// # Errors
    /// An unknown component, a dead entity, no memory.
    pub fn add<C: Component>(&mut self, entity: Entity, value: C) -> Result<(), WorldError> {
        let component = self.registry.component::<C>()?;
        let mut at = self.find(entity)?;
        if !self.store.has(at.table, at.row, component) {
            if C::STORAGE == Storage::Toggle {
                self.store.attach_toggle(at.table, component)?;
                self.store.secure_component(at.table, component)?;
                self.store.write_presence(at.table, at.row, component, true)?;
            } else {
                at = self.move_one(at, component, true)?;
            }
        }
        self.write_component(at, component, &value)
    }

    /// Takes a component from an entity; false when it had none.
    ///
    /// # Errors
    /// An unknown component, a dead entity, no memory.
    pub fn remove<C: Component>(&mut self, entity: Entity) -> Result<bool, WorldError> {
        let component = self.registry.component::<C>()?;
        let at = self.find(entity)?;
        if !self.store.has(at.table, at.row, component) {
            return Ok(false);
        }
        if C::STORAGE == Storage::Toggle {
            self.store.write_presence(at.table, at.row, component, false)?;
        } else {
            self.move_one(at, component, false)?;
        }
        Ok(true)
    }

    fn move_one(&mut self, at: Location, component: u16, add: bool) -> Result<Location, WorldError> {
        let to = crate::commit::neighbour(&mut self.store, at.table, component, add)?;
        self.store.secure_table(at.table)?;
        let row = self.store.move_rows(at.table, &[at.row], to)?;
        self.store.sweep(at.table, &[at.row])?;
        Ok(Location { table: to, row })
    }
}
