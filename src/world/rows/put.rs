//! Rows into a world.
//!
//! Invariant: nothing changes before every batch is known to be of this layout, every handle in it is known to lead somewhere, and
//! there is room for all rows and elements.
#![forbid(unsafe_code)]

use crate::layout::ScalarType;
use crate::table::{ColumnKind, ENTITIES, IdMap};
use crate::{Entity, GlobalId};

use super::batch::{Part, RowBatch, lengths, parts_of};
use super::elsewhere::Stubs;
use super::error::RowBatchError;
use crate::world::World;
use crate::world::error::WorldError;

/// What becomes of a handle whose entity is not in the world where its row arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dangling {
    /// It is an error.
    Refuse,
    /// It becomes null.
    Null,
    /// It names an entity that lives elsewhere, of which only the id is known here ([`Elsewhere`](crate::Elsewhere)).
    Elsewhere,
}

/// Where an entity that is named by its id is.
#[derive(Clone, Copy, Debug)]
enum Found {
    Nowhere,
    Here(Entity),
    /// The row of a batch.
    Arriving(usize, u32),
}

impl World {
    /// A batch of rows of its bytes ([`RowBatch::encode`]), which may come from anywhere: everything in them is checked.
    ///
    /// # Errors
    /// [`RowBatchError::Malformed`], [`RowBatchError::Layout`].
    pub fn decode_rows(&self, bytes: &[u8]) -> Result<RowBatch, RowBatchError> {
        RowBatch::decode(&self.registry.layout, self.layout_hash, bytes)
    }

    /// Puts rows of other worlds in, each as a new entity, behind the rows of their table, which is made where there is none. Returns
    /// the entities in the order of batches and rows. All rows come in, or none. An entity that lived elsewhere and is known here
    /// ([`World::leave_rows`]) is that entity, under the handle that it has here.
    ///
    /// Handles in fields and lists are found by the ids of the entities that they name, those that arrive in the same call
    /// included; null stays null. That no two entities have the same [`GlobalId`] is the caller's to see to.
    ///
    /// # Errors
    /// [`RowBatchError::Layout`], [`RowBatchError::Dangling`] with [`Dangling::Refuse`]; no memory. Nothing has changed then.
    pub fn put_rows(&mut self, batches: &[RowBatch], dangling: Dangling) -> Result<Vec<Entity>, RowBatchError> {
        self.check_maker()?;
        for batch in batches {
            if batch.layout_hash != self.layout_hash {
                return Err(RowBatchError::Layout { got: batch.layout_hash, want: self.layout_hash });
            }
        }
        let mut found = self.find_named(batches, dangling)?;
        let mut missing: Vec<u64> = Vec::new();
        if dangling == Dangling::Elsewhere {
            missing.extend(found.iter().filter(|(_, at)| matches!(at, Found::Nowhere)).map(|(id, _)| *id));
            missing.sort_unstable();
        }
        let mut stubs = self.stubs();
        let stub_table = if stubs.is_empty() && missing.is_empty() { None } else { Some(self.stub_table()?) };
        self.store.begin_change();
        let tables = self.make_room_for(batches, stub_table.map(|table| (table, missing.len() as u64)))?;
        if let Some(table) = stub_table {
            let mut handles = Vec::with_capacity(missing.len());
            self.store.take_handles(missing.len() as u32, &mut handles)?;
            found.extend(missing.iter().copied().zip(handles.iter().map(|entity| Found::Here(*entity))));
            let new: Vec<(Entity, u64)> = handles.into_iter().zip(missing).collect();
            self.append_stubs(table, &new)?;
        }
        let mut entities = Vec::new();
        let mut places = Vec::with_capacity(batches.len());
        let mut back: Vec<u32> = Vec::new();
        for (batch, table) in batches.iter().zip(&tables) {
            let first = entities.len();
            let row = self.append_batch(*table, batch, &mut stubs, (&mut entities, &mut back))?;
            self.store.zero_toggles(*table, row, batch.rows, &[]);
            places.push((first, row));
        }
        if let Some(table) = stub_table {
            back.sort_unstable_by(|a, b| b.cmp(a));
            self.take_stubs(table, &back)?;
        }
        let handle = |id: u64| match found.get(&id) {
            Some(Found::Here(entity)) => *entity,
            Some(Found::Arriving(batch, row)) => entities[places[*batch].0 + *row as usize],
            Some(Found::Nowhere) | None => Entity::NULL,
        };
        for ((batch, table), (_, row)) in batches.iter().zip(&tables).zip(&places) {
            self.fill_arrived(batch, *table, *row, &handle)?;
        }
        Ok(entities)
    }

    /// Appends the rows of a batch: those that are known as living elsewhere under their handles, others under new ones. `back`
    /// gets the rows that stood for the former.
    fn append_batch(
        &mut self,
        table: u32,
        batch: &RowBatch,
        stubs: &mut Stubs,
        (entities, back): (&mut Vec<Entity>, &mut Vec<u32>),
    ) -> Result<u32, RowBatchError> {
        let ids = batch.column("global_id.value").map(|(_, ids)| ids).filter(|_| !stubs.is_empty());
        let Some(ids) = ids else { return Ok(self.append_rows(table, batch.rows, entities)?) };
        // one that comes twice is known once
        let known: Vec<Option<(Entity, u32)>> = words(ids).map(|id| stubs.remove(&id)).collect();
        back.extend(known.iter().flatten().map(|(_, row)| *row));
        let mut fresh = Vec::new();
        self.store.take_handles(known.iter().filter(|known| known.is_none()).count() as u32, &mut fresh)?;
        let mut fresh = fresh.into_iter();
        let from = entities.len();
        entities.extend(known.into_iter().filter_map(|known| known.map(|(entity, _)| entity).or_else(|| fresh.next())));
        let handles = &entities[from..];
        let first = self.store.append(table, batch.rows)?;
        let bytes = &mut self.store.column_bytes_mut(table, 0)[8 * first as usize..];
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(handles).for_each(|(to, e)| *to = e.to_bits().to_le_bytes());
        self.store.place(handles, table, first);
        Ok(first)
    }

    /// Where the entities are that the batches' handles name.
    fn find_named(&self, batches: &[RowBatch], dangling: Dangling) -> Result<IdMap<u64, Found>, RowBatchError> {
        let null = Entity::NULL.to_bits();
        let mut found: IdMap<u64, Found> = IdMap::default();
        for batch in batches {
            for ids in handle_parts(batch).map(|(_, ids)| ids) {
                found.extend(ids.filter(|id| *id != null).map(|id| (id, Found::Nowhere)));
            }
        }
        if found.is_empty() {
            return Ok(found);
        }
        if let Ok(component) = self.registry.component::<GlobalId>() {
            for (table, entry) in self.store.data_tables() {
                let Some(column) = entry.shape.first(component) else { continue };
                let handles: &[Entity] = bytemuck::cast_slice(self.store.column_bytes(table, 0));
                for (id, entity) in words(self.store.column_bytes(table, column)).zip(handles) {
                    if let Some(place) = found.get_mut(&id) {
                        *place = Found::Here(*entity);
                    }
                }
            }
        }
        for (index, batch) in batches.iter().enumerate() {
            let Some((_, ids)) = batch.column("global_id.value") else { continue };
            for (row, id) in (0..).zip(words(ids)) {
                if let Some(place) = found.get_mut(&id) {
                    *place = Found::Arriving(index, row);
                }
            }
        }
        if dangling == Dangling::Refuse {
            for batch in batches {
                for (component, mut ids) in handle_parts(batch) {
                    if let Some(id) = ids.find(|id| matches!(found.get(id), Some(Found::Nowhere))) {
                        let component = batch.layout.components()[usize::from(component)].name.clone();
                        return Err(RowBatchError::Dangling { component, id });
                    }
                }
            }
        }
        Ok(found)
    }

    /// Makes room for all rows and elements, and returns the table of each batch. What follows cannot fail for want of memory.
    fn make_room_for(&mut self, batches: &[RowBatch], stubs: Option<(u32, u64)>) -> Result<Vec<u32>, RowBatchError> {
        let mut tables = Vec::with_capacity(batches.len());
        let capacity = |table: u32| self.store.tables[table as usize].capacity;
        let mut rows: Vec<(u32, u64, u32)> =
            stubs.into_iter().map(|(table, new)| (table, new, capacity(table))).collect();
        let mut elements: Vec<(u16, u64)> = Vec::new();
        for batch in batches {
            let ids: Vec<u16> = batch.component_ids().iter().copied().filter(|id| batch.is_in_use(*id)).collect();
            let table = self.table_of(&ids)?;
            tables.push(table);
            match rows.iter_mut().find(|(other, ..)| *other == table) {
                Some((_, count, _)) => *count += u64::from(batch.rows),
                None => rows.push((table, u64::from(batch.rows), self.store.tables[table as usize].capacity)),
            }
            for (component, count) in batch.list_elements() {
                match elements.iter_mut().find(|(other, _)| *other == component) {
                    Some((_, sum)) => *sum += count,
                    None => elements.push((component, count)),
                }
            }
        }
        let all: u64 = rows.iter().map(|(_, count, _)| count).sum();
        let slots = self.store.tables[ENTITIES as usize].capacity;
        let done = self.reserve_for(&rows, all, &elements);
        if done.is_err() {
            rows.iter().for_each(|(table, _, capacity)| self.store.give_back(*table, *capacity));
            self.store.give_back(ENTITIES, slots);
        }
        done?;
        Ok(tables)
    }

    fn reserve_for(
        &mut self,
        rows: &[(u32, u64, u32)],
        all: u64,
        elements: &[(u16, u64)],
    ) -> Result<(), RowBatchError> {
        let max = crate::limits::ENTITIES_MAX;
        let too_many = |_| WorldError::TooManyEntities { asked: all, max };
        let all = u32::try_from(all).map_err(too_many)?;
        for (table, count, _) in rows {
            self.store.reserve(*table, u64::from(self.store.tables[*table as usize].rows) + count)?;
        }
        for (component, count) in elements {
            let count = usize::try_from(*count).map_err(too_many)?;
            self.store.make_room_for_list(*component, count)?;
        }
        self.reserve_handles(all)?;
        for (table, ..) in rows {
            self.store.secure_table(*table)?;
        }
        Ok(())
    }

    /// Gives rows that were appended what a batch has.
    fn fill_arrived(
        &mut self,
        batch: &RowBatch,
        table: u32,
        first: u32,
        handle: &dyn Fn(u64) -> Entity,
    ) -> Result<(), RowBatchError> {
        let shape = std::sync::Arc::clone(&self.store.tables[table as usize].shape);
        let place = |kind: ColumnKind| shape.columns.iter().position(|(other, _)| *other == kind);
        let n = batch.rows as usize;
        let mut spans: Vec<(u32, u32)> = Vec::new();
        let mut elements: Vec<Vec<u8>> = Vec::new();
        let parts: Vec<Part> = parts_of(&batch.layout, &batch.shape);
        for (index, (part, bytes)) in parts.iter().zip(&batch.parts).enumerate() {
            let linked = part.values().filter(|(_, ty)| ty.scalar == ScalarType::Entity).map(|_| linked(bytes, handle));
            let bytes = linked.as_deref().unwrap_or(bytes);
            match *part {
                Part::Field { component, field, .. } => {
                    // a toggle that no row has: the table may lack it
                    let Some(column) = place(ColumnKind::Field { component, field }) else { continue };
                    let start = first as usize * (bytes.len() / n.max(1));
                    self.store.column_bytes_mut(table, column)[start..start + bytes.len()].copy_from_slice(bytes);
                }
                Part::Bits(kind) => {
                    let Some(column) = place(kind) else { continue };
                    for (row, word) in (0..batch.rows).step_by(64).zip(words(bytes)) {
                        let mut left = word;
                        while left != 0 {
                            self.store.set_bit(table, column, first + row + left.trailing_zeros(), true);
                            left &= left - 1;
                        }
                    }
                }
                Part::Lengths { .. } => spans = lengths(bytes).map(|length| (0, length)).collect(),
                Part::Elements { component, .. } => {
                    elements.push(bytes.to_vec());
                    let is_last = !matches!(parts.get(index + 1), Some(Part::Elements { component: next, .. }) if *next == component);
                    if is_last {
                        self.append_lists(table, first, component, &mut spans, &std::mem::take(&mut elements))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts elements into a list's pool, and gives rows their spans.
    fn append_lists(
        &mut self,
        table: u32,
        first: u32,
        component: u16,
        spans: &mut [(u32, u32)],
        elements: &[Vec<u8>],
    ) -> Result<(), RowBatchError> {
        let count = spans.iter().map(|(_, length)| length).sum();
        let mut next = self.store.append_elements(component, count, elements.iter().map(|bytes| &bytes[..]))?;
        for (start, length) in spans.iter_mut().filter(|(_, length)| *length > 0) {
            *start = next;
            next += *length;
        }
        let slot = *self.store.tables[table as usize].shape.slot(component).expect("the table is that of the batch");
        for part in 0..2 {
            let bytes: Vec<u8> =
                spans.iter().flat_map(|(start, length)| [start, length][usize::from(part)].to_le_bytes()).collect();
            let at = 4 * first as usize;
            let column = self.store.column_bytes_mut(table, usize::from(slot.first + part));
            column[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        Ok(())
    }
}

/// Words of 8 bytes.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}

/// The columns of a batch that hold handles, as ids: each with its component.
fn handle_parts(batch: &RowBatch) -> impl Iterator<Item = (u16, impl Iterator<Item = u64> + '_)> {
    let parts = parts_of(&batch.layout, &batch.shape).into_iter().zip(&batch.parts);
    parts.filter_map(|(part, bytes)| {
        let (component, ty) = part.values()?;
        (ty.scalar == ScalarType::Entity).then(|| (component, words(bytes)))
    })
}

/// Handles in the place of ids.
fn linked(ids: &[u8], handle: &dyn Fn(u64) -> Entity) -> Vec<u8> {
    words(ids).flat_map(|id| handle(id).to_bits().to_le_bytes()).collect()
}
