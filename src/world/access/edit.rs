//! Direct changes by the world's owner, between frames: one entity at a time.
//!
//! What one row of plain columns takes is done by [`crate::world::store::single`]; what takes more (toggles, tracked components, room)
//! goes the general way, which makes the plans for the next time.
#![forbid(unsafe_code)]

use crate::table::{ENTITIES, IdMap, Location, TypeMap};
use std::any::TypeId;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::{Component, Entity};

use super::batch::Batch;
use super::bundle::{Bundle, RegistryRef, valued};
use crate::layout::Storage;
use crate::region::RegionError;
use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::scatter::Values;
use crate::world::store::single::{MovePlan, SpawnPlan, Written};

/// Lists kept for their memory.
#[derive(Debug, Default)]
pub(crate) struct EditScratch {
    ids: Vec<u16>,
    sorted: Vec<u16>,
    packed: Vec<u8>,
    pub(super) batch: Batch,
    handles: Vec<Entity>,
    /// By bundle; none where rows take more than a plan.
    spawns: TypeMap<Option<SpawnPlan>>,
    moves: Moves,
}

/// Plans of moves, by table, component and whether it is added.
#[derive(Debug, Default)]
struct Moves {
    plans: Vec<Option<MovePlan>>,
    places: IdMap<u64, u32>,
    /// Keys and places of those that were used last.
    recent: [(u64, u32); RECENT_MOVES],
}

const RECENT_MOVES: usize = 8;

/// As one number, never 0.
#[inline(always)]
fn move_key(table: u32, component: u16, add: bool) -> u64 {
    u64::from(table) << 32 | u64::from(component) << 16 | u64::from(add) << 1 | 1
}

impl Moves {
    #[inline(always)]
    fn recent(key: u64) -> usize {
        (key ^ key >> 1 ^ key >> 16 ^ key >> 32) as usize % RECENT_MOVES
    }

    #[inline(always)]
    fn get(&mut self, key: u64) -> Option<&MovePlan> {
        let (last, mut place) = self.recent[Self::recent(key)];
        if last != key {
            place = *self.places.get(&key)?;
            self.recent[Self::recent(key)] = (key, place);
        }
        self.plans[place as usize].as_ref()
    }

    fn set(&mut self, key: u64, plan: Option<MovePlan>) {
        match self.places.get(&key) {
            Some(place) => self.plans[*place as usize] = plan,
            None => {
                self.places.insert(key, self.plans.len() as u32);
                self.plans.push(plan);
            }
        }
    }
}

/// Entities of a batch that are packed and written column by column before the next ones: their bytes stay in the cache.
pub(in crate::world) const BLOCK: usize = 256;

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
        tables.extend(ids.iter().copied().filter(|id| store.storage(*id) != Storage::Toggle));
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
    /// of these anything, toggles on.
    pub(crate) fn append_entities(
        &mut self,
        ids: &[u16],
        n: u32,
        handles: &mut Vec<Entity>,
    ) -> Result<(u32, u32), WorldError> {
        let table = self.table_of(ids)?;
        let before = self.capacities(table);
        if let Err(error) = self.make_room(table, n) {
            self.give_back(table, before);
            return Err(error);
        }
        let first = self.append_rows(table, n, handles)?;
        self.store.zero_toggles(table, first, n, ids);
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

    /// Appends `n` rows to a table that has room for them: their handles placed and appended to `handles`, fields anything, bits
    /// zero. Returns the first.
    pub(in crate::world) fn append_rows(
        &mut self,
        table: u32,
        n: u32,
        handles: &mut Vec<Entity>,
    ) -> Result<u32, RegionError> {
        handles.reserve(n as usize);
        let from = handles.len();
        self.store.take_handles(n, handles)?;
        let handles = &handles[from..];
        let first = self.store.append(table, n)?;
        let offset = self.store.tables[table as usize].columns[0].live.offset + 8 * u64::from(first);
        self.store.arena.items_mut::<Entity>(offset, n as usize).copy_from_slice(handles);
        self.store.place(handles, table, first);
        Ok(first)
    }

    /// Reserves memory for `count` more entities of this bundle: spawning them then cannot fail for lack of memory, unless
    /// other changes use that memory first.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy)]
    /// struct Mass { kg: f64 }
    /// let mut world = World::builder().component::<Mass>().bytes_max(8 << 20).build()?;
    /// world.reserve::<Mass>(100_000)?;
    /// assert!(world.reserve::<Mass>(1 << 40).is_err());
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component, one given twice, more entities than there can be, no memory; nothing has changed then.
    pub fn reserve<B: Bundle>(&mut self, count: u64) -> Result<(), WorldError> {
        let mut ids = Vec::new();
        B::ids(&RegistryRef(&self.registry), &mut ids)?;
        self.reserve_ids(&ids, count)
    }

    /// As [`World::reserve`], for components by name.
    ///
    /// # Errors
    /// As for [`World::reserve`].
    pub fn reserve_named<'a>(
        &mut self,
        components: impl IntoIterator<Item = &'a str>,
        count: u64,
    ) -> Result<(), WorldError> {
        let ids = components.into_iter().map(|name| self.registry.component_named(name));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        self.reserve_ids(&ids, count)
    }

    fn reserve_ids(&mut self, ids: &[u16], count: u64) -> Result<(), WorldError> {
        self.check_maker()?;
        self.check_repeats(ids)?;
        let max = crate::limits::ENTITIES_MAX;
        let n = u32::try_from(count).map_err(|_| WorldError::TooManyEntities { asked: count, max })?;
        self.store.begin_change();
        let table = self.table_of(ids)?;
        let before = self.capacities(table);
        let done = self.make_room(table, n);
        if done.is_err() {
            self.give_back(table, before);
        }
        done
    }

    /// Room for `n` more entities in a table: nothing is half-spawned when memory runs out.
    pub(in crate::world) fn make_room(&mut self, table: u32, n: u32) -> Result<(), WorldError> {
        let rows = self.store.tables[table as usize].rows;
        self.reserve_handles(n)?;
        self.store.reserve(table, u64::from(rows) + u64::from(n))?;
        Ok(self.store.secure_table(table)?)
    }

    /// Room for `n` more handles.
    pub(in crate::world) fn reserve_handles(&mut self, n: u32) -> Result<(), WorldError> {
        let slots = u64::from(self.store.tables[ENTITIES as usize].rows);
        let fresh = u64::from(n).saturating_sub(self.store.free_slots.len() as u64);
        if slots + fresh > u64::from(crate::limits::ENTITIES_MAX) {
            return Err(WorldError::TooManyEntities { asked: u64::from(n), max: crate::limits::ENTITIES_MAX });
        }
        Ok(self.store.reserve(ENTITIES, slots + fresh)?)
    }

    /// Rows that there is room for in a table and in the entity map.
    pub(in crate::world) fn capacities(&self, table: u32) -> (u32, u32) {
        (self.store.tables[table as usize].capacity, self.store.tables[ENTITIES as usize].capacity)
    }

    /// Gives back the room that a change that failed was given.
    pub(in crate::world) fn give_back(&mut self, table: u32, (rows, slots): (u32, u32)) {
        self.store.give_back(table, rows);
        self.store.give_back(ENTITIES, slots);
    }

    /// Spawns an entity.
    ///
    /// # Errors
    /// An unknown component, one given twice, no memory.
    #[inline]
    pub fn spawn<B: Bundle>(&mut self, bundle: B) -> Result<Entity, WorldError> {
        self.check_maker()?;
        if let Some(Some(plan)) = self.edit.spawns.get(TypeId::of::<B>())
            && let Some(entity) = self.store.spawn_single(plan, &bundle)
        {
            return Ok(entity);
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
        let plan = self.store.spawn_plan(table, &self.edit.ids);
        self.edit.spawns.insert(TypeId::of::<B>(), plan);
        Ok(entity)
    }

    /// Spawns one entity per bundle, and returns their handles in order.
    ///
    /// # Errors
    /// As [`World::spawn`]; no entity is spawned then.
    pub fn spawn_batch<B: Bundle>(&mut self, bundles: impl IntoIterator<Item = B>) -> Result<Vec<Entity>, WorldError> {
        self.check_maker()?;
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
        self.store.begin_change();
        let mut room = None;
        // an iterator of the user's may panic: the room that was made for its entities goes back all the same
        let done = catch_unwind(AssertUnwindSafe(|| {
            self.spawn_blocks::<B>(&mut ids, bundles.into_iter(), &mut packed, handles, &mut room)
        }));
        self.edit.packed = packed;
        self.edit.ids = ids;
        if let (false, Some((table, before))) = (matches!(done, Ok(Ok(()))), room) {
            self.give_back(table, before);
        }
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Writes the bundles' values past the rows in use, block by block, and makes rows of them when the last one has come.
    fn spawn_blocks<B: Bundle>(
        &mut self,
        ids: &mut Vec<u16>,
        bundles: impl Iterator<Item = B>,
        packed: &mut Vec<u8>,
        handles: &mut Vec<Entity>,
        room: &mut Option<(u32, (u32, u32))>,
    ) -> Result<(), WorldError> {
        ids.clear();
        B::ids(&RegistryRef(&self.registry), ids)?;
        self.check_repeats(ids)?;
        let too_many = |asked: u64| WorldError::TooManyEntities { asked, max: crate::limits::ENTITIES_MAX };
        let mut bundles = bundles.fuse();
        let (expected, at_most) = bundles.size_hint();
        let table = self.table_of(ids)?;
        *room = Some((table, self.capacities(table)));
        let first = self.store.tables[table as usize].rows;
        if expected > 1 {
            let expected = u32::try_from(expected).map_err(|_| too_many(expected as u64))?;
            self.make_room(table, expected)?;
        }
        packed.resize(B::PACKED_BYTES * if at_most == Some(1) { 1 } else { BLOCK }, 0);
        let mut end = first;
        loop {
            let count = if B::PACKED_BYTES == 0 {
                bundles.by_ref().take(BLOCK).count() as u32
            } else {
                let places = packed.chunks_exact_mut(B::PACKED_BYTES).zip(&mut bundles);
                places.fold(0, |count, (bytes, bundle)| {
                    bundle.pack_all(bytes);
                    count + 1
                })
            };
            if count == 0 {
                break;
            }
            let next = end.checked_add(count).ok_or_else(|| too_many(u64::from(end) + u64::from(count)))?;
            self.store.reserve_keeping(table, u64::from(next), end)?;
            for column in 0..self.store.tables[table as usize].columns.len() {
                self.store.write_partial(table, column)?;
            }
            let bytes = &packed[..count as usize * B::PACKED_BYTES];
            let mut values = Values { bytes, stride: B::PACKED_BYTES, at: 0 };
            for id in ids.iter().filter(|_| B::PACKED_BYTES > 0) {
                values.at += self.store.write_unused(table, *id, end, values);
            }
            end = next;
        }
        self.append_entities(ids, end - first, handles)?;
        Ok(())
    }

    /// Where an entity is.
    #[inline(always)]
    pub(super) fn find(&self, entity: Entity) -> Result<Location, WorldError> {
        match self.store.locate(entity) {
            Some(at) => Ok(at),
            None => Err(WorldError::stale(entity)),
        }
    }

    /// Despawns an entity.
    ///
    /// # Errors
    /// A dead entity, no memory.
    #[inline]
    pub fn despawn(&mut self, entity: Entity) -> Result<(), WorldError> {
        self.check_maker()?;
        let at = self.find(entity)?;
        Ok(self.store.despawn_single(entity, at)?)
    }

    /// Sets a component that the entity has. To add one that it may lack use [`World::add`].
    ///
    /// # Errors
    /// An unknown component, a dead entity, an entity without the component.
    #[inline]
    pub fn set<C: Component>(&mut self, entity: Entity, value: C) -> Result<(), WorldError> {
        self.check_maker()?;
        let component = valued::<C>(&self.registry)?;
        let at = self.find(entity)?;
        match self.store.write_single(at, component, &value) {
            Written::Done => Ok(()),
            Written::Not => self.set_slowly(entity, at, component, &value),
        }
    }

    #[inline(never)]
    fn set_slowly<C: Component>(
        &mut self,
        entity: Entity,
        at: Location,
        component: u16,
        value: &C,
    ) -> Result<(), WorldError> {
        if !self.store.has(at.table, at.row, component) {
            return Err(WorldError::absent::<C>(entity));
        }
        self.write_component(at, component, value)
    }

    /// Writes a component that the entity in this row has, and which is open, or secure where its changes are tracked.
    #[inline(always)]
    pub(super) fn write_open<C: Component>(
        &mut self,
        at: Location,
        component: u16,
        value: &C,
    ) -> Result<(), WorldError> {
        if !C::TRACK_CHANGES && self.store.write_single(at, component, value) == Written::Done {
            return Ok(());
        }
        self.write_component(at, component, value)
    }

    /// Writes a component that the entity in this row has.
    #[inline(never)]
    pub(super) fn write_component<C: Component>(
        &mut self,
        at: Location,
        component: u16,
        value: &C,
    ) -> Result<(), WorldError> {
        if !C::TRACK_CHANGES {
            self.store.open_component(at.table, component)?;
            if self.store.write_single(at, component, value) == Written::Done {
                return Ok(());
            }
        }
        let mut packed = std::mem::take(&mut self.edit.packed);
        packed.resize(C::PACKED_BYTES, 0);
        value.pack(&mut packed);
        let done = self.write_tracked(at, component, &packed);
        self.edit.packed = packed;
        done
    }

    fn write_tracked(&mut self, at: Location, component: u16, packed: &[u8]) -> Result<(), WorldError> {
        self.store.secure_component(at.table, component)?;
        self.store.write_packed(at.table, at.row, component, packed)?;
        Ok(self.store.mark_changed(at.table, component, self.parity(), at.row, 1)?)
    }

    /// Adds a component to an entity; if the entity has it, sets it.
    ///
    /// # Errors
    /// An unknown component, a dead entity, no memory.
    #[inline]
    pub fn add<C: Component>(&mut self, entity: Entity, value: C) -> Result<(), WorldError> {
        self.check_maker()?;
        let component = valued::<C>(&self.registry)?;
        let at = self.find(entity)?;
        let done = if C::STORAGE == Storage::Toggle {
            self.store.toggle_single(at, component, Some(&value))
        } else if self.store.tables[at.table as usize].shape.first(component).is_some() {
            self.store.write_single(at, component, &value)
        } else if let Some(plan) = self.edit.moves.get(move_key(at.table, component, true)) {
            self.store.move_single(plan, at, Some(&value))?
        } else {
            Written::Not
        };
        match done {
            Written::Done => Ok(()),
            Written::Not => self.add_slowly(at, component, &value),
        }
    }

    #[inline(never)]
    fn add_slowly<C: Component>(&mut self, mut at: Location, component: u16, value: &C) -> Result<(), WorldError> {
        if !self.store.has(at.table, at.row, component) {
            if C::STORAGE == Storage::Toggle {
                self.store.attach_toggle(at.table, component)?;
                self.store.secure_component(at.table, component)?;
                self.store.write_presence(at.table, at.row, component, true)?;
            } else {
                at = self.move_one(at, component, true)?;
            }
        }
        self.write_component(at, component, value)
    }

    /// Removes a component from an entity; returns false if the entity did not have it.
    ///
    /// # Errors
    /// An unknown component, a dead entity, no memory.
    #[inline]
    pub fn remove<C: Component>(&mut self, entity: Entity) -> Result<bool, WorldError> {
        self.check_maker()?;
        let component = self.registry.component::<C>()?;
        let at = self.find(entity)?;
        let has = if C::STORAGE == Storage::Toggle {
            self.store.has(at.table, at.row, component)
        } else {
            self.store.tables[at.table as usize].shape.first(component).is_some()
        };
        if !has {
            return Ok(false);
        }
        let done = if C::STORAGE == Storage::Toggle {
            self.store.toggle_single::<C>(at, component, None)
        } else if let Some(plan) = self.edit.moves.get(move_key(at.table, component, false)) {
            self.store.move_single::<C>(plan, at, None)?
        } else {
            Written::Not
        };
        match done {
            Written::Done => Ok(true),
            Written::Not => self.remove_slowly(at, component, C::STORAGE),
        }
    }

    #[inline(never)]
    fn remove_slowly(&mut self, at: Location, component: u16, storage: Storage) -> Result<bool, WorldError> {
        if storage == Storage::Toggle {
            self.store.write_presence(at.table, at.row, component, false)?;
            self.store.open_component(at.table, component)?;
        } else {
            self.move_one(at, component, false)?;
        }
        Ok(true)
    }

    /// Moves a row the general way, and makes the plan for the next one.
    pub(super) fn move_one(&mut self, at: Location, component: u16, add: bool) -> Result<Location, WorldError> {
        let to = self.store.neighbour(at.table, component, add)?;
        self.edit.moves.set(move_key(at.table, component, add), self.store.move_plan(at.table, to, component));
        self.store.secure_table(at.table)?;
        let row = self.store.move_rows(at.table, &[at.row], to)?;
        self.store.sweep(at.table, &[at.row])?;
        Ok(Location { table: to, row })
    }
}
