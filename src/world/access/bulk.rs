//! Spawning by columns: the fastest way to fill a world.
#![forbid(unsafe_code)]

use crate::Entity;
use crate::component::Component;
use crate::layout::{FieldType, did_you_mean};
use crate::table::Registry;
use crate::value::ColumnItem;

use crate::world::World;
use crate::world::error::WorldError;

/// Looks up `component.field`.
pub(crate) fn find_field(registry: &Registry, name: &str) -> Result<(u16, u8, FieldType), WorldError> {
    let (component, field) = name.split_once('.').unwrap_or((name, ""));
    let id = registry.component_named(component)?;
    let declared = &registry.layout.components()[usize::from(id)];
    if declared.storage.is_list() {
        return Err(WorldError::list(component));
    }
    let fields = &declared.fields;
    let index = fields.iter().position(|declared| declared.name == field).ok_or_else(|| {
        let hint = did_you_mean(field, fields.iter().map(|field| field.name.as_str()));
        WorldError::UnknownField { component: component.to_owned(), field: field.to_owned(), hint }
    })?;
    Ok((id, index as u8, fields[index].ty))
}

struct Given<'a> {
    component: u16,
    field: u8,
    bytes: &'a [u8],
}

/// A builder for spawning many entities from columns of values, one per field; a field without a column gets its default.
///
/// ```
/// use hypostyle::{Component, World};
/// #[derive(Component, Clone, Copy)]
/// struct Position { x: f32, y: f32 }
/// let mut world = World::builder().component::<Position>().build()?;
/// let x: Vec<f32> = (0..1000).map(|i| i as f32).collect();
/// let ships = world.spawn_columns(1000).with::<Position>().column("position.x", &x).spawn()?;
/// assert_eq!(world.get::<Position>(ships[7])?.x, 7.0);
/// # Ok::<(), hypostyle::WorldError>(())
/// ```
#[must_use = "nothing is spawned before `spawn`"]
pub struct BulkSpawn<'w, 'a> {
    world: &'w mut World,
    count: usize,
    components: Vec<u16>,
    given: Vec<Given<'a>>,
    error: Option<WorldError>,
}

impl World {
    /// Spawns `count` entities from columns: returns a builder, whose [`BulkSpawn::spawn`] does it.
    pub fn spawn_columns<'a>(&mut self, count: usize) -> BulkSpawn<'_, 'a> {
        BulkSpawn { world: self, count, components: Vec::new(), given: Vec::new(), error: None }
    }
}

impl<'a> BulkSpawn<'_, 'a> {
    /// Adds a component to the entities.
    pub fn with<C: Component>(mut self) -> Self {
        match self.world.registry.component::<C>() {
            Ok(id) => self.components.push(id),
            Err(unknown) => self.error = self.error.or(Some(unknown.into())),
        }
        self
    }

    /// Adds a component to the entities, by name.
    pub fn with_named(mut self, component: &str) -> Self {
        match self.world.registry.component_named(component) {
            Ok(id) => self.components.push(id),
            Err(unknown) => self.error = self.error.or(Some(unknown.into())),
        }
        self
    }

    /// Gives the values of a field (`position.x`), one per entity; the component is added, too.
    pub fn column<T: ColumnItem>(self, name: &str, values: &'a [T]) -> Self {
        self.column_bytes(name, T::TYPE, bytemuck::cast_slice(values))
    }

    /// As [`BulkSpawn::column`], for values whose type is known only at run time: their bytes one after the other.
    pub fn column_bytes(mut self, name: &str, ty: FieldType, bytes: &'a [u8]) -> Self {
        let checked = find_field(&self.world.registry, name).and_then(|(component, field, declared)| {
            if declared != ty {
                return Err(WorldError::ColumnType { column: name.to_owned(), declared, asked: ty });
            }
            if bytes.len() != self.count.saturating_mul(ty.bytes()) {
                let (got, want) = (bytes.len() / ty.bytes(), self.count);
                return Err(WorldError::ColumnLength { column: name.to_owned(), got, want });
            }
            Ok(Given { component, field, bytes })
        });
        match checked {
            Ok(given) => {
                if !self.components.contains(&given.component) {
                    self.components.push(given.component);
                }
                self.given.push(given);
            }
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// Spawns the entities, and returns their handles in order.
    ///
    /// # Errors
    /// The first invalid component or column, or no memory; no entity is spawned then.
    pub fn spawn(self) -> Result<Vec<Entity>, WorldError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.world.check_maker()?;
        self.world.check_repeats(&self.components)?;
        let n = u32::try_from(self.count)
            .map_err(|_| WorldError::TooManyEntities { asked: self.count as u64, max: crate::limits::ENTITIES_MAX })?;
        let world = self.world;
        world.store.begin_change();
        let mut handles = Vec::new();
        let (table, first) = world.append_entities(&self.components, n, &mut handles)?;
        for component in &self.components {
            let layout = std::sync::Arc::clone(&world.registry.layout);
            let declared = &layout.components()[usize::from(*component)];
            let slot = *world.store.tables[table as usize].shape.slot(*component).expect("append_entities made it");
            if declared.storage.is_list() {
                world.store.fill_rows(table, *component, first, n);
                continue;
            }
            for (index, field) in declared.fields.iter().enumerate() {
                let bytes = field.ty.bytes();
                let column = usize::from(slot.first) + index;
                let from = first as usize * bytes;
                let rows = &mut world.store.column_bytes_mut(table, column)[from..from + self.count * bytes];
                let given = self.given.iter().rfind(|g| g.component == *component && usize::from(g.field) == index);
                match given {
                    Some(given) => rows.copy_from_slice(given.bytes),
                    None => rows.chunks_exact_mut(bytes).for_each(|row| field.write_default(row)),
                }
            }
        }
        Ok(handles)
    }
}
