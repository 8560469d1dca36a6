//! Lists of single entities, between frames; and the bundle that gives a new entity an empty one.
#![forbid(unsafe_code)]

use std::marker::PhantomData;

use crate::layout::SPAN_BYTES;
use crate::{Component, Entity};

use super::bundle::{Bundle, RegistryRef, RowRef, sealed};
use super::lookup::RowOffsets;
use crate::world::World;
use crate::world::error::WorldError;

/// An empty list, as part of what an entity is spawned with: `world.spawn((position, List::<Contact>::new()))`. In
/// declarations of a system it stands for the component: `.spawns::<List<Contact>>()`, `.removes::<List<Contact>>()`.
pub struct List<C>(PhantomData<fn() -> C>);

impl<C> List<C> {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        List(PhantomData)
    }
}

impl<C> Default for List<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for List<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for List<C> {}

impl<C> std::fmt::Debug for List<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("List")
    }
}

impl<C: Component> sealed::Sealed for List<C> {}

impl<C: Component> Bundle for List<C> {
    const PACKED_BYTES: usize = SPAN_BYTES;
    fn ids(registry: &RegistryRef<'_>, out: &mut Vec<u16>) -> Result<(), WorldError> {
        out.push(list_id::<C>(registry)?);
        Ok(())
    }
    fn pack_all(&self, out: &mut [u8]) {
        out.fill(0);
    }
    fn each_field(&self, write: &mut impl FnMut(&[u8])) {
        write(&[0; SPAN_BYTES / 2]);
        write(&[0; SPAN_BYTES / 2]);
    }
    fn fetch(_: &RowRef<'_>) -> Result<Self, WorldError> {
        Err(WorldError::list(C::NAME))
    }
    fn look(_: &mut RowOffsets<'_>) -> Option<Self> {
        None
    }
}

/// The id of a component that is a list.
pub(crate) fn list_id<C: Component>(registry: &RegistryRef<'_>) -> Result<u16, WorldError> {
    let id = registry.0.component::<C>()?;
    if C::STORAGE.is_list() { Ok(id) } else { Err(WorldError::NoList { component: C::NAME.to_owned() }) }
}

/// The id of a component that is a list, by name.
pub(crate) fn list_named(registry: &RegistryRef<'_>, name: &str) -> Result<u16, WorldError> {
    let id = registry.0.component_named(name)?;
    let is_list = registry.0.layout.components()[usize::from(id)].storage.is_list();
    if is_list { Ok(id) } else { Err(WorldError::NoList { component: name.to_owned() }) }
}

impl World {
    /// Gives an entity a list, in place of the one that it has; an entity without the component gets it.
    ///
    /// ```
    /// use hypostyle::{Component, World};
    /// #[derive(Component, Clone, Copy, Debug, PartialEq)]
    /// #[component(storage = "list")]
    /// struct Waypoint { x: f32, y: f32 }
    /// let mut world = World::builder().component::<Waypoint>().build()?;
    /// let ship = world.spawn(())?;
    /// let way = [Waypoint { x: 0.0, y: 1.0 }, Waypoint { x: 5.0, y: 1.0 }];
    /// world.set_list(ship, &way)?;
    /// assert_eq!(world.list::<Waypoint>(ship)?, way);
    /// world.set_list::<Waypoint>(ship, &[])?;
    /// assert!(world.list::<Waypoint>(ship)?.is_empty() && world.has::<Waypoint>(ship));
    /// # Ok::<(), hypostyle::WorldError>(())
    /// ```
    ///
    /// # Errors
    /// An unknown component, or one that is no list; a dead entity; no memory: the list that was there stays.
    pub fn set_list<C: Component>(&mut self, entity: Entity, elements: &[C]) -> Result<(), WorldError> {
        let component = list_id::<C>(&RegistryRef(&self.registry))?;
        let mut packed = vec![0; elements.len() * C::PACKED_BYTES];
        for (out, element) in packed.chunks_exact_mut(C::PACKED_BYTES).zip(elements) {
            element.pack(out);
        }
        self.set_packed_list(entity, component, elements.len(), &packed)
    }

    /// As [`World::set_list`], by the component's name: packed elements, one after the other.
    ///
    /// # Errors
    /// As [`World::set_list`]; bytes that are no whole elements.
    pub fn set_list_named(&mut self, entity: Entity, component: &str, packed: &[u8]) -> Result<(), WorldError> {
        let id = list_named(&RegistryRef(&self.registry), component)?;
        let bytes = self.layout().components()[usize::from(id)].packed_bytes();
        if !packed.len().is_multiple_of(bytes) {
            return Err(WorldError::ListBytes { component: component.to_owned(), element: bytes, got: packed.len() });
        }
        self.set_packed_list(entity, id, packed.len() / bytes, packed)
    }

    fn set_packed_list(
        &mut self,
        entity: Entity,
        component: u16,
        elements: usize,
        packed: &[u8],
    ) -> Result<(), WorldError> {
        self.check_maker()?;
        let mut at = self.store.locate(entity).ok_or(WorldError::stale(entity))?;
        self.store.begin_change();
        self.store.make_room_for_list(component, elements)?;
        if self.store.tables[at.table as usize].shape.slot(component).is_none() {
            at = self.move_one(at, component, true)?;
        }
        self.store.secure_component(at.table, component)?;
        Ok(self.store.put_list((at.table, at.row), component, packed)?)
    }

    /// Copies an entity's list out.
    ///
    /// # Errors
    /// An unknown component, or one that is no list; a dead entity; an entity without the component.
    pub fn list<C: Component>(&self, entity: Entity) -> Result<Vec<C>, WorldError> {
        let component = list_id::<C>(&RegistryRef(&self.registry))?;
        let packed = self.packed_list(entity, component)?;
        Ok(packed.chunks_exact(C::PACKED_BYTES).map(C::unpack).collect())
    }

    /// As [`World::list`], by the component's name: packed elements, one after the other.
    ///
    /// # Errors
    /// As [`World::list`].
    pub fn list_named(&self, entity: Entity, component: &str) -> Result<Vec<u8>, WorldError> {
        self.packed_list(entity, list_named(&RegistryRef(&self.registry), component)?)
    }

    fn packed_list(&self, entity: Entity, component: u16) -> Result<Vec<u8>, WorldError> {
        let at = self.store.locate(entity).ok_or(WorldError::stale(entity))?;
        let mut packed = Vec::new();
        if self.store.read_list((at.table, at.row), component, &mut packed) {
            return Ok(packed);
        }
        let component = self.layout().components()[usize::from(component)].name.clone();
        Err(WorldError::Absent { entity, component })
    }
}
