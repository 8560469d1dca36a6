//! Fields of many entities at once, by name: all of them, or none.
//!
//! Invariant: nothing changes before every handle is known to have the components, every length is right, and every
//! column that is to change is writable.
#![forbid(unsafe_code)]

use crate::component::Entity;
use crate::layout::FieldType;

use super::bulk::find_field;
use crate::world::World;
use crate::world::error::WorldError;

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
        let located = entities.iter().map(|entity| self.store.locate(*entity).ok_or(WorldError::stale(*entity)));
        let located = located.collect::<Result<Vec<_>, _>>()?;
        let mut found = Vec::with_capacity(columns.len());
        for (name, ty, bytes) in columns {
            let (component, field, declared) = find_field(&self.registry, name)?;
            if declared != *ty {
                return Err(WorldError::ColumnType { column: (*name).to_owned(), declared, asked: *ty });
            }
            if bytes.len() != entities.len() * ty.bytes() {
                let (got, want) = (bytes.len() / ty.bytes(), entities.len());
                return Err(WorldError::ColumnLength { column: (*name).to_owned(), got, want });
            }
            let lacks = located.iter().zip(entities).find(|(at, _)| !self.store.has(at.table, at.row, component));
            if let Some((_, entity)) = lacks {
                let component = self.layout().components()[usize::from(component)].name.clone();
                return Err(WorldError::Absent { entity: *entity, component });
            }
            found.push((component, usize::from(field), ty.bytes(), *bytes));
        }
        let mut tables: Vec<u32> = located.iter().map(|at| at.table).collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            for (component, ..) in &found {
                self.store.secure_component(table, *component)?;
            }
        }
        let parity = self.parity();
        for (component, field, size, bytes) in found {
            for (at, value) in located.iter().zip(bytes.chunks_exact(size)) {
                let slot = *self.store.tables[at.table as usize].shape.slot(component).expect("looked up above");
                let (column, start) = (usize::from(slot.first) + field, at.row as usize * size);
                self.store.column_bytes_mut(at.table, column)[start..start + size].copy_from_slice(value);
                self.store.touched(at.table, column, at.row, 1);
                self.store.mark_changed(at.table, component, parity, at.row, 1)?;
            }
        }
        Ok(())
    }
}
