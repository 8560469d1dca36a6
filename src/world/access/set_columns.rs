//! Fields and components of many entities at once, by name: all of them, or none.
//!
//! Invariant: nothing changes before every handle is known to have the components, every length is right, and every
//! column that is to change is writable.
#![forbid(unsafe_code)]

use crate::component::Entity;
use crate::layout::FieldType;

use super::batch::{by_table, selections};
use super::bulk::find_field;
use crate::table::Location;
use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::scatter::Values;

/// A column that was looked up, and values for it.
struct Found<'c> {
    component: u16,
    field: usize,
    /// Bytes of a value.
    size: usize,
    bytes: &'c [u8],
}

impl World {
    /// Sets fields (`position.x`) of entities that have the components: each column gives one value per entity, as bytes one
    /// after the other. Either all values are set or none. If an entity is named twice, its last values count.
    ///
    /// ```
    /// # use hypostyle::{Component, FieldType, ScalarType, World};
    /// # #[derive(Component, Clone, Copy)]
    /// # struct Mass { kg: f32 }
    /// # let mut world = World::builder().component::<Mass>().build()?;
    /// let entities = world.spawn_batch([Mass { kg: 1.0 }, Mass { kg: 2.0 }])?;
    /// let values = [3.0_f32.to_le_bytes(), 4.0_f32.to_le_bytes()].concat();
    /// world.set_columns(&entities, &[("mass.kg", FieldType::scalar(ScalarType::F32), &values)])?;
    /// assert_eq!(world.get::<Mass>(entities[1])?.kg, 4.0);
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// No such field, another type, another number of values; a dead entity, or one without a component; no memory.
    pub fn set_columns(&mut self, entities: &[Entity], columns: &[(&str, FieldType, &[u8])]) -> Result<(), WorldError> {
        self.check_maker()?;
        let located = self.locate_all(entities)?;
        let found = self.find_columns(entities.len(), columns)?;
        for Found { component, .. } in &found {
            let lacks = located.iter().zip(entities).find(|(at, _)| !self.store.has(at.table, at.row, *component));
            if let Some((_, entity)) = lacks {
                let component = self.layout().components()[usize::from(*component)].name.clone();
                return Err(WorldError::Absent { entity: *entity, component });
            }
        }
        self.set_found(&located, &found)
    }

    /// Gives entities a component, or sets it where present: of each column one value for each entity, as their bytes one
    /// after the other; fields without a column get their defaults. All of it happens, or nothing. Where an entity stands
    /// there twice, its last values count.
    ///
    /// ```
    /// # use hypostyle::{Component, FieldType, ScalarType, World};
    /// # #[derive(Component, Clone, Copy)]
    /// # struct Mass { kg: f32 }
    /// # #[derive(Component, Clone, Copy)]
    /// # struct Name { number: u32 }
    /// # let mut world = World::builder().component::<Mass>().component::<Name>().build()?;
    /// let entities = world.spawn_batch([Mass { kg: 1.0 }, Mass { kg: 2.0 }])?;
    /// let values = [7_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat();
    /// world.add_columns(&entities, "name", &[("name.number", FieldType::scalar(ScalarType::U32), &values)])?;
    /// assert_eq!(world.get::<Name>(entities[1])?.number, 8);
    /// assert_eq!(world.remove_named(&entities[..1], "name")?, 1);
    /// assert!(!world.has::<Name>(entities[0]));
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// No such component or field, a field of another component, another type, another number of values; a dead entity; no
    /// memory.
    pub fn add_columns(
        &mut self,
        entities: &[Entity],
        component: &str,
        columns: &[(&str, FieldType, &[u8])],
    ) -> Result<(), WorldError> {
        self.check_maker()?;
        let id = self.registry.component_named(component)?;
        let located = self.locate_all(entities)?;
        let found = self.find_columns(entities.len(), columns)?;
        if let Some((_, (name, ..))) = found.iter().zip(columns).find(|(found, _)| found.component != id) {
            let (component, field) = (component.to_owned(), (*name).to_owned());
            return Err(WorldError::UnknownField { component, field, hint: String::new() });
        }
        let defaults = self.layout().components()[usize::from(id)].row_default();
        self.add_selected(selections(located), id, &defaults)?;
        // the rows may have moved; all that is written now was made writable there, so that no memory is needed
        let located = self.locate_all(entities)?;
        self.set_found(&located, &found)
    }

    /// Takes a component from entities, where they have it; how many had it. All of it happens, or nothing.
    ///
    /// # Errors
    /// No such component, a dead entity, no memory.
    pub fn remove_named(&mut self, entities: &[Entity], component: &str) -> Result<u64, WorldError> {
        self.check_maker()?;
        let id = self.registry.component_named(component)?;
        let mut located = self.locate_all(entities)?;
        located.retain(|at| self.store.has(at.table, at.row, id));
        self.remove_selected(selections(located), id)
    }

    /// Looks columns up, with as many values as there are entities.
    fn find_columns<'c>(
        &self,
        entities: usize,
        columns: &[(&str, FieldType, &'c [u8])],
    ) -> Result<Vec<Found<'c>>, WorldError> {
        let mut found = Vec::with_capacity(columns.len());
        for (name, ty, bytes) in columns {
            let (component, field, declared) = find_field(&self.registry, name)?;
            if declared != *ty {
                return Err(WorldError::ColumnType { column: (*name).to_owned(), declared, asked: *ty });
            }
            if bytes.len() != entities * ty.bytes() {
                let (got, want) = (bytes.len() / ty.bytes(), entities);
                return Err(WorldError::ColumnLength { column: (*name).to_owned(), got, want });
            }
            found.push(Found { component, field: usize::from(field), size: ty.bytes(), bytes });
        }
        Ok(found)
    }

    /// Sets columns of rows that have their components.
    fn set_found(&mut self, located: &[Location], found: &[Found<'_>]) -> Result<(), WorldError> {
        let groups = by_table(located);
        for group in &groups {
            for Found { component, .. } in found {
                self.store.secure_component(group.table, *component)?;
            }
        }
        for Found { component, field, size, bytes } in found {
            let field = *field as u16;
            self.write_groups(&groups, *component, field..field + 1, Values { bytes, stride: *size, at: 0 })?;
        }
        Ok(())
    }
}
