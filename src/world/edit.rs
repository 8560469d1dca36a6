#![forbid(unsafe_code)]
//! Direct changes by the world's owner, between frames: one entity at a time.
//!
//! What one row of plain columns takes is done by [`super::single`]; what takes more (toggles, tracked components, room)
//! goes the general way, which makes the plans for the next time.

use std::any::TypeId;

use crate::{Component, Entity};

use super::World;
use super::bundle::{Bundle, RegistryRef};
use super::error::WorldError;
use super::registry::IdMap;
use super::scatter::Values;
use super::single::{MovePlan, SpawnPlan};
use super::store::Location;
use crate::layout::Storage;

/// Lists kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct EditScratch {
    ids: Vec<u16>,
    sorted: Vec<u16>,
    packed: Vec<u8>,
    handles: Vec<Entity>,
    /// By bundle.
    spawns: IdMap<TypeId, SpawnPlan>,
    /// By table, component and whether it is added.
    moves: IdMap<(u32, u16, bool), MovePlan>,
}

/// Packed bytes of a batch that are kept for the next one.
const PACKED_BYTES_KEPT: usize = 1 << 20;
/// Entities of a batch that are written column by column before the next ones: their packed bytes stay in the cache.
const BLOCK: usize = 512;
/// Values of so many bytes are packed on the stack.
const STACK_BYTES: usize = 256;

impl World {
    /// Checks that no component is given twice.
    pub(crate) fn check_repeats(&mut self, ids: &[u16]) -> Result<(), WorldError> {
        let sorted = &mut self.edit.sorted;
        sorted.clear();
        sorted.extend_from_slice(ids);
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| usize::from(pair[0])) {
            None => Ok(()),
            Some(id) => Err(WorldError::DuplicateComponent { component: self.layout().components()[id].name.clone() }),
        }
    }

    /// The table of entities with these components, with the columns of the toggles among them.
    pub(crate) fn table_of(&mut self, ids: &[u16]) -> Result<u32, WorldError> {
        let store = &mut self.store;
        let mut tables = std::mem::take(&mut self.edit.sorted);
        tables.clear();
        tables.extend(ids.iter().copied().filter(|id| store.storage(*id) == Storage::Table));
        tables.sort_unstable();
        let table = store.table_for(&tables);
        self.edit.sorted = tables;
        let table = table?;
        for id in ids {
            if store.storage(*id) == Storage::Toggle {
                store.attach_toggle(table, *id)?;
            }
        }
        Ok(table)
    }

    /// Appends `n` new entities to the table of these components: handles placed and appended to `handles`, fields
    /// anything, toggles on.
    pub(crate) fn append_entities(
        &mut self,
        ids: &[u16],
        n: u32,
        handles: &mut Vec<Entity>,
    ) -> Result<(u32, u32), WorldError> {
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
        let from = handles.len();
        self.store.take_handles(n, handles)?;
        let handles = &handles[from..];
        let first = self.store.append(table, n)?;
        let offset = self.store.tables[table as usize].columns[0].live.offset + 8 * u64::from(first);
        self.store.arena.items_mut::<Entity>(offset, n as usize).copy_from_slice(handles);
        self.store.place(handles, table, first);
        for id in
            ids.iter().filter(|id| self.registry.layout.components()[usize::from(**id)].storage == Storage::Toggle)
        {
            let presence = self.store.tables[table as usize].shape.slot(*id).and_then(|slot| slot.presence);
            let column = usize::from(presence.expect("table_of attached the toggle"));
            self.store.set_bits(table, column, first, n, true);
        }
        self.store.mark_all_changed(table, self.parity(), first, n)?;
        Ok((table, first))
    }

    /// Spawns an entity.
    ///
    /// # Errors
    /// An unknown component, one given twice, no memory.
    pub fn spawn<B: Bundle>(&mut self, bundle: B) -> Result<Entity, WorldError> {
        if B::PACKED_BYTES <= STACK_BYTES {
            let mut packed = [0; STACK_BYTES];
            let packed = &mut packed[..B::PACKED_BYTES];
            bundle.pack_all(packed);
            if let Some(plan) = self.edit.spawns.get(&TypeId::of::<B>())
                && let Some(entity) = self.store.spawn_single(plan, packed)
            {
                return Ok(entity);
            }
        }
        self.spawn_slowly(bundle)
    }

    #[inline(never)]
    fn spawn_slowly<B: Bundle>(&mut self, bundle: B) -> Result<Entity, WorldError> {
        let mut handles = std::mem::take(&mut self.edit.handles);
        handles.clear();
        let done = self.spawn_into([bundle], &mut handles);
        let entity = handles.first().copied();
        self.edit.handles = handles;
        done?;
        let entity = entity.expect("one bundle makes one entity");
        let table = self.find(entity)?.table;
        match self.store.spawn_plan(table, &self.edit.ids) {
            Some(plan) => self.edit.spawns.insert(TypeId::of::<B>(), plan),
            None => self.edit.spawns.remove(&TypeId::of::<B>()),
        };
        Ok(entity)
    }

    /// Spawns an entity per bundle; their handles in order.
    ///
    /// # Errors
    /// As [`World::spawn`]; nothing is half-spawned.
    pub fn spawn_batch<B: Bundle>(&mut self, bundles: impl IntoIterator<Item = B>) -> Result<Vec<Entity>, WorldError> {
        let mut handles = Vec::new();
        self.spawn_into(bundles, &mut handles)?;
        Ok(handles)
    }

    fn spawn_into<B: Bundle>(
        &mut self,
        bundles: impl IntoIterator<Item = B>,
        handles: &mut Vec<Entity>,
    ) -> Result<(), WorldError> {
        let mut packed = std::mem::take(&mut self.edit.packed);
        let mut ids = std::mem::take(&mut self.edit.ids);
        packed.clear();
        ids.clear();
        let mut count = 0usize;
        let bundles = bundles.into_iter();
        packed.reserve(bundles.size_hint().0.saturating_mul(B::PACKED_BYTES));
        for bundle in bundles {
            let at = packed.len();
            packed.resize(at + B::PACKED_BYTES, 0);
            bundle.pack_all(&mut packed[at..]);
            count += 1;
        }
        let done = self.spawn_packed::<B>(&mut ids, &packed, count, handles);
        packed.shrink_to(PACKED_BYTES_KEPT);
        self.edit.packed = packed;
        self.edit.ids = ids;
        done
    }

    fn spawn_packed<B: Bundle>(
        &mut self,
        ids: &mut Vec<u16>,
        packed: &[u8],
        count: usize,
        handles: &mut Vec<Entity>,
    ) -> Result<(), WorldError> {
        B::ids(&RegistryRef(&self.registry), ids)?;
        self.check_repeats(ids)?;
        let n = u32::try_from(count)
            .map_err(|_| WorldError::TooManyEntities { asked: count as u64, max: crate::limits::ENTITIES_MAX })?;
        handles.reserve(count);
        let (table, first) = self.append_entities(ids, n, handles)?;
        if B::PACKED_BYTES == 0 {
            return Ok(());
        }
        for (block, bytes) in packed.chunks(BLOCK * B::PACKED_BYTES).enumerate() {
            let mut values = Values { bytes, stride: B::PACKED_BYTES, at: 0 };
            let row = first + (block * BLOCK) as u32;
            for id in ids.iter() {
                values.at += self.store.write_appended(table, *id, row, values);
            }
        }
        Ok(())
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
        if self.store.despawn_single(entity, at)? {
            return Ok(());
        }
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
        let mut on_stack = [0; STACK_BYTES];
        let mut on_heap = Vec::new();
        let packed = if C::PACKED_BYTES <= STACK_BYTES {
            &mut on_stack[..C::PACKED_BYTES]
        } else {
            on_heap.resize(C::PACKED_BYTES, 0);
            &mut on_heap[..]
        };
        value.pack(packed);
        if C::STORAGE == Storage::Table && self.store.write_single(at, component, packed)? {
            return Ok(());
        }
        self.store.secure_component(at.table, component)?;
        self.store.write_packed(at.table, at.row, component, packed)?;
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
        if let Some(plan) = self.edit.moves.get(&(at.table, component, add))
            && let Some(moved) = self.store.move_single(plan, at)?
        {
            return Ok(moved);
        }
        let to = self.store.neighbour(at.table, component, add)?;
        match self.store.move_plan(at.table, to) {
            Some(plan) => self.edit.moves.insert((at.table, component, add), plan),
            None => self.edit.moves.remove(&(at.table, component, add)),
        };
        self.store.secure_table(at.table)?;
        let row = self.store.move_rows(at.table, &[at.row], to)?;
        self.store.sweep(at.table, &[at.row])?;
        Ok(Location { table: to, row })
    }
}
