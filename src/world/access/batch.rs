//! One component of many entities at once: each with its own value, all of them or none.
//!
//! Invariant: nothing changes before every handle is known to be alive, to have what it must have, and every column that is to
//! change is writable.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::component::{Component, Entity};
use crate::layout::Storage;
use crate::table::Location;
use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::scatter::Values;

use super::bundle::{Bundle, valued};
use super::select::Selection;

/// Entities that are looked up at once, and rows that are written at once, column by column: what is looked at stays in the
/// first cache.
const BLOCK: usize = 512;

/// Those of many entities that stand in one table: their rows, and which of the entities they are, in the order given.
pub(super) struct Group {
    pub(super) table: u32,
    rows: Vec<u32>,
    /// `None`: all of them are here.
    picks: Option<Vec<u32>>,
}

/// Rows by their tables.
pub(super) fn by_table(located: &[Location]) -> Vec<Group> {
    let Some(first) = located.first() else { return Vec::new() };
    if located.iter().all(|at| at.table == first.table) {
        return vec![Group { table: first.table, rows: located.iter().map(|at| at.row).collect(), picks: None }];
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut last = 0;
    for (at, index) in located.iter().zip(0..) {
        if groups.get(last).is_none_or(|group| group.table != at.table) {
            last = groups.iter().position(|group| group.table == at.table).unwrap_or(groups.len());
        }
        if last == groups.len() {
            groups.push(Group { table: at.table, rows: Vec::new(), picks: Some(Vec::new()) });
        }
        let Group { rows, picks, .. } = &mut groups[last];
        rows.push(at.row);
        picks.get_or_insert_default().push(index);
    }
    groups
}

impl World {
    /// Components of many entities, in their order: as [`World::get`] for each, which takes as long.
    ///
    /// ```
    /// # use hypostyle::{Component, World};
    /// # #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// # struct Mass { kg: f32 }
    /// # let mut world = World::builder().component::<Mass>().build()?;
    /// let rocks = world.spawn_batch([Mass { kg: 1.0 }, Mass { kg: 2.0 }])?;
    /// assert_eq!(world.get_batch::<Mass>(&[rocks[1], rocks[0]])?, [Mass { kg: 2.0 }, Mass { kg: 1.0 }]);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component; the first dead entity, or entity without one of the components.
    pub fn get_batch<B: Bundle>(&self, entities: &[Entity]) -> Result<Vec<B>, WorldError> {
        let look = self.lookup::<B>()?;
        let mut values = Vec::with_capacity(entities.len());
        for entity in entities {
            values.push(look.get(*entity)?);
        }
        Ok(values)
    }

    /// Sets a component of entities that have it, each to a value of its own; all of them or none. Where an entity comes twice,
    /// its last value counts. [`World::set`] for each takes about as long: this is for what must not be done by half.
    ///
    /// ```
    /// # use hypostyle::{Component, World};
    /// # #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// # struct Mass { kg: f32 }
    /// # let mut world = World::builder().component::<Mass>().build()?;
    /// let rocks = world.spawn_batch([Mass { kg: 1.0 }, Mass { kg: 2.0 }])?;
    /// world.set_batch(rocks.iter().map(|rock| (*rock, Mass { kg: 3.0 })))?;
    /// assert_eq!(world.get::<Mass>(rocks[1])?.kg, 3.0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component; a dead entity, or one without the component; no memory. Nothing has changed then.
    pub fn set_batch<C: Component>(&mut self, values: impl IntoIterator<Item = (Entity, C)>) -> Result<(), WorldError> {
        self.check_maker()?;
        let component = valued::<C>(&self.registry)?;
        let mut batch = std::mem::take(&mut self.edit.batch);
        batch.gather(values);
        let done = self.set_gathered::<C>(&mut batch, component);
        self.edit.batch = batch.emptied();
        done
    }

    fn set_gathered<C: Component>(&mut self, batch: &mut Batch, component: u16) -> Result<(), WorldError> {
        self.locate(&batch.entities, &mut batch.located)?;
        // of a toggle each row says whether it has it, else each table
        let toggle = C::STORAGE == Storage::Toggle;
        let mut had = None;
        for (at, entity) in batch.located.iter().zip(&batch.entities) {
            if had != Some(at.table) && !self.store.has(at.table, at.row, component) {
                return Err(WorldError::absent::<C>(*entity));
            }
            had = (!toggle).then_some(at.table);
        }
        self.write_batch::<C>(&batch.located, component, &batch.packed)
    }

    /// Gives entities a component, each a value of its own, or sets it where present; all of them or none. Where an entity comes
    /// twice, its last value counts. A table component takes a tenth of the time that [`World::add`] for each takes
    /// (`cargo bench --bench entities`).
    ///
    /// ```
    /// # use hypostyle::{Component, World};
    /// # #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// # struct Mass { kg: f32 }
    /// # #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// # struct Name { number: u32 }
    /// # let mut world = World::builder().component::<Mass>().component::<Name>().build()?;
    /// let rocks = world.spawn_batch([Mass { kg: 1.0 }, Mass { kg: 2.0 }])?;
    /// world.add_batch(rocks.iter().zip(7..).map(|(rock, number)| (*rock, Name { number })))?;
    /// assert_eq!(world.get::<Name>(rocks[1])?.number, 8);
    /// assert_eq!(world.remove_batch::<Name>(&rocks)?, 2);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component; a dead entity; no memory. Nothing has changed then.
    pub fn add_batch<C: Component>(&mut self, values: impl IntoIterator<Item = (Entity, C)>) -> Result<(), WorldError> {
        self.check_maker()?;
        let component = valued::<C>(&self.registry)?;
        let mut batch = std::mem::take(&mut self.edit.batch);
        batch.gather(values);
        let done = self.add_gathered::<C>(&mut batch, component);
        self.edit.batch = batch.emptied();
        done
    }

    fn add_gathered<C: Component>(&mut self, batch: &mut Batch, component: u16) -> Result<(), WorldError> {
        let located = self.locate_all(&batch.entities)?;
        let defaults = self.layout().components()[usize::from(component)].row_default();
        self.add_selected(selections(located), component, &defaults)?;
        // the rows may have moved; all that is written now was made writable there, so that no memory is needed
        self.locate(&batch.entities, &mut batch.located)?;
        self.write_batch::<C>(&batch.located, component, &batch.packed)
    }

    /// Takes a component from entities, where they have it, and returns how many had it; from all of them or none.
    ///
    /// # Errors
    /// An unknown component; a dead entity; no memory. Nothing has changed then.
    pub fn remove_batch<C: Component>(&mut self, entities: &[Entity]) -> Result<u64, WorldError> {
        self.check_maker()?;
        let component = self.registry.component::<C>()?;
        let mut located = self.locate_all(entities)?;
        located.retain(|at| self.store.has(at.table, at.row, component));
        self.remove_selected(selections(located), component)
    }

    /// Where entities are, which are all alive.
    pub(super) fn locate_all(&self, entities: &[Entity]) -> Result<Vec<Location>, WorldError> {
        let mut located = Vec::new();
        self.locate(entities, &mut located)?;
        Ok(located)
    }

    fn locate(&self, entities: &[Entity], located: &mut Vec<Location>) -> Result<(), WorldError> {
        let mut words = Vec::with_capacity(BLOCK.min(entities.len()));
        located.clear();
        located.reserve(entities.len());
        for entities in entities.chunks(BLOCK) {
            self.store.locate_all(entities.iter().copied(), &mut words);
            for (word, entity) in words.iter().zip(entities) {
                located.push(Location::from_bits(*word).ok_or_else(|| WorldError::stale(*entity))?);
            }
        }
        Ok(())
    }

    /// Writes values to rows that have the component.
    fn write_batch<C: Component>(
        &mut self,
        located: &[Location],
        component: u16,
        packed: &[u8],
    ) -> Result<(), WorldError> {
        let groups = by_table(located);
        for group in &groups {
            self.store.secure_component(group.table, component)?;
        }
        let fields = self.layout().components()[usize::from(component)].fields.len() as u16;
        self.write_groups(&groups, component, 0..fields, Values { bytes: packed, stride: C::PACKED_BYTES, at: 0 })
    }

    /// Writes fields of a component, whose columns are writable in all of these tables, block by block and column by column.
    pub(super) fn write_groups(
        &mut self,
        groups: &[Group],
        component: u16,
        fields: Range<u16>,
        values: Values<'_>,
    ) -> Result<(), WorldError> {
        let parity = self.parity();
        for Group { table, rows, picks } in groups {
            let slot = *self.store.tables[*table as usize].shape.slot(component).expect("the caller looked it up");
            let mut from = 0;
            for rows in rows.chunks(BLOCK) {
                let picks = picks.as_ref().map(|picks| &picks[from..from + rows.len()]);
                let mut own = values;
                if picks.is_none() && values.stride > 0 {
                    own.bytes = &values.bytes[from * values.stride..(from + rows.len()) * values.stride];
                }
                for field in fields.clone() {
                    let column = usize::from(slot.first + field);
                    self.store.scatter(*table, column, rows, own, picks);
                    own.at += self.layout().components()[usize::from(component)].fields[usize::from(field)].ty.bytes();
                }
                if slot.changed.is_some() {
                    for row in rows {
                        self.store.mark_changed(*table, component, parity, *row, 1)?;
                    }
                }
                from += rows.len();
            }
        }
        Ok(())
    }
}

/// Rows, table by table.
pub(super) fn selections(mut located: Vec<Location>) -> Vec<Selection> {
    located.sort_unstable_by_key(|at| (at.table, at.row));
    located.dedup();
    let mut selections: Vec<Selection> = Vec::new();
    for Location { table, row } in located {
        match selections.last_mut().filter(|last| last.table == table) {
            Some(last) => match last.runs.last_mut().filter(|(_, end)| *end == row) {
                Some((_, end)) => *end += 1,
                None => last.runs.push((row, row + 1)),
            },
            None => selections.push(Selection { table, runs: vec![(row, row + 1)] }),
        }
    }
    selections
}

/// Entities of a batch, where they are, and their packed values one after the other. It is kept from batch to batch: memory
/// that is new each time costs more than all that is done with it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entities: Vec<Entity>,
    located: Vec<Location>,
    packed: Vec<u8>,
}

/// Entities of which the memory is kept.
const KEPT: usize = 1 << 18;

impl Batch {
    fn gather<C: Component>(&mut self, values: impl IntoIterator<Item = (Entity, C)>) {
        let values = values.into_iter();
        let (least, _) = values.size_hint();
        self.entities.reserve(least);
        self.packed.reserve(least * C::PACKED_BYTES);
        for (entity, value) in values {
            self.entities.push(entity);
            let begin = self.packed.len();
            self.packed.resize(begin + C::PACKED_BYTES, 0);
            value.pack(&mut self.packed[begin..]);
        }
    }

    fn emptied(mut self) -> Self {
        self.entities.clear();
        self.located.clear();
        self.packed.clear();
        self.entities.shrink_to(KEPT);
        self.located.shrink_to(KEPT);
        self.packed.shrink_to(16 * KEPT);
        self
    }
}
