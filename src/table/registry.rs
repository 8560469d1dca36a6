//! Which Rust type is which component or resource of the layout, and the sizes that patches are checked by.
#![forbid(unsafe_code)]

use std::any::TypeId;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash as _, Hasher};
use std::sync::Arc;

use crate::layout::{ComponentLayout, FieldLayout, Layout, ScalarType, did_you_mean};
use crate::{Component, Resource};

use super::error::UnknownName;

/// A map of keys that are spread already.
pub(crate) type IdMap<K, V = u16> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Takes a word that is a hash already, or that a multiplication spreads well enough.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        let spread = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = spread ^ (spread >> 32);
    }
}

/// Values by type: with so much room that the first place looked at decides, mostly.
#[derive(Debug)]
pub(crate) struct TypeMap<V> {
    /// A power of two, at least twice as many as there are values.
    places: Vec<(TypeId, Option<V>)>,
    len: usize,
}

/// Stands for no type in a [`TypeMap`].
struct Vacant;

impl<V> Default for TypeMap<V> {
    fn default() -> Self {
        TypeMap { places: vec![(TypeId::of::<Vacant>(), None)], len: 0 }
    }
}

impl<V> TypeMap<V> {
    #[inline(always)]
    fn first_place(&self, ty: TypeId) -> usize {
        let mut hasher = IdHasher::default();
        ty.hash(&mut hasher);
        hasher.finish() as usize & (self.places.len() - 1)
    }

    /// The value of a type.
    #[inline(always)]
    pub(crate) fn get(&self, ty: TypeId) -> Option<&V> {
        let first = self.first_place(ty);
        let (other, value) = self.places.get(first)?;
        if *other == ty { value.as_ref() } else { self.get_after(first, ty) }
    }

    #[inline(never)]
    fn get_after(&self, mut place: usize, ty: TypeId) -> Option<&V> {
        while self.places[place].0 != TypeId::of::<Vacant>() {
            place = (place + 1) & (self.places.len() - 1);
            if self.places[place].0 == ty {
                return self.places[place].1.as_ref();
            }
        }
        None
    }

    /// Gives a type a value, in place of what it had.
    pub(crate) fn insert(&mut self, ty: TypeId, value: V) {
        if 2 * (self.len + 1) > self.places.len() {
            let room = (4 * (self.len + 1)).next_power_of_two();
            let vacant = (0..room).map(|_| (TypeId::of::<Vacant>(), None)).collect();
            let old = std::mem::replace(&mut self.places, vacant);
            self.len = 0;
            for (ty, value) in old {
                if let Some(value) = value {
                    self.insert(ty, value);
                }
            }
        }
        let mut place = self.first_place(ty);
        while self.places[place].0 != ty && self.places[place].1.is_some() {
            place = (place + 1) & (self.places.len() - 1);
        }
        self.len += usize::from(self.places[place].1.is_none());
        self.places[place] = (ty, Some(value));
    }
}

impl<V> FromIterator<(TypeId, V)> for TypeMap<V> {
    fn from_iter<I: IntoIterator<Item = (TypeId, V)>>(values: I) -> Self {
        let mut map = TypeMap::default();
        for (ty, value) in values {
            map.insert(ty, value);
        }
        map
    }
}

/// Types and sizes of a layout's components and resources.
#[derive(Debug)]
pub(crate) struct Registry {
    pub layout: Arc<Layout>,
    components: TypeMap<u16>,
    resources: IdMap<TypeId>,
    /// Offsets inside each component's packed value of entity handles, which a commit resolves.
    pub entity_offsets: Vec<Vec<u32>>,
    /// Offsets inside each component's packed value of bools, which a commit checks.
    pub bool_offsets: Vec<Vec<u32>>,
    /// The same of each resource.
    pub resource_entity_offsets: Vec<Vec<u32>>,
    /// The same of each resource.
    pub resource_bool_offsets: Vec<Vec<u32>>,
}

fn offsets_of(fields: &[FieldLayout], scalar: ScalarType) -> Vec<u32> {
    let mut offsets = Vec::new();
    let mut at = 0;
    for field in fields {
        if field.ty.scalar == scalar {
            let bytes = scalar.bytes();
            offsets.extend((0..field.ty.elements()).map(|element| (at + element * bytes) as u32));
        }
        at += field.ty.bytes();
    }
    offsets
}

impl Registry {
    /// The registry of a layout, with the Rust types that stand for its parts.
    pub(crate) fn new(
        layout: Arc<Layout>,
        components: &[(TypeId, ComponentLayout)],
        resources: &[(TypeId, &str)],
    ) -> Self {
        let ids = components
            .iter()
            .filter_map(|(ty, declared)| layout.component(&declared.name).map(|(id, _)| (*ty, id as u16)))
            .collect();
        let resource_ids =
            resources.iter().filter_map(|(ty, name)| layout.resource(name).map(|(id, _)| (*ty, id as u16))).collect();
        Registry {
            components: ids,
            resources: resource_ids,
            entity_offsets: layout.components().iter().map(|c| offsets_of(&c.fields, ScalarType::Entity)).collect(),
            bool_offsets: layout.components().iter().map(|c| offsets_of(&c.fields, ScalarType::Bool)).collect(),
            resource_entity_offsets: layout
                .resources()
                .iter()
                .map(|r| offsets_of(&r.fields, ScalarType::Entity))
                .collect(),
            resource_bool_offsets: layout.resources().iter().map(|r| offsets_of(&r.fields, ScalarType::Bool)).collect(),
            layout,
        }
    }

    /// The id of a component type.
    #[inline]
    pub(crate) fn component<C: Component>(&self) -> Result<u16, UnknownName> {
        match self.components.get(TypeId::of::<C>()) {
            Some(id) => Ok(*id),
            None => self.component_by_declaration::<C>(),
        }
    }

    #[cold]
    #[inline(never)]
    fn component_by_declaration<C: Component>(&self) -> Result<u16, UnknownName> {
        self.by_declaration::<C>().ok_or_else(|| UnknownName::Component(C::NAME.to_owned(), String::new()))
    }

    /// A type that was never registered still stands for a component that is declared exactly alike.
    fn by_declaration<C: Component>(&self) -> Option<u16> {
        let (id, declared) = self.layout.component(C::NAME)?;
        let own = C::component_layout();
        let same_fields = declared.fields.len() == own.fields.len()
            && declared.fields.iter().zip(&own.fields).all(|(a, b)| a.name == b.name && a.ty == b.ty);
        let same_bytes = C::PACKED_BYTES == declared.packed_bytes();
        (same_fields && same_bytes && declared.storage == own.storage).then_some(id as u16)
    }

    /// The id of a component by name.
    pub(crate) fn component_named(&self, name: &str) -> Result<u16, UnknownName> {
        self.layout.component(name).map(|(id, _)| id as u16).ok_or_else(|| {
            let known = self.layout.components().iter().map(|component| component.name.as_str());
            UnknownName::Component(name.to_owned(), did_you_mean(name, known))
        })
    }

    /// The id of a resource by name.
    pub(crate) fn resource_named(&self, name: &str) -> Result<u16, UnknownName> {
        let found = self.layout.resource(name).map(|(id, _)| id as u16);
        found.ok_or_else(|| {
            let known = self.layout.resources().iter().map(|resource| resource.name.as_str());
            UnknownName::Resource(name.to_owned(), did_you_mean(name, known))
        })
    }

    /// The id of a resource type.
    pub(crate) fn resource<R: Resource>(&self) -> Result<u16, UnknownName> {
        if let Some(id) = self.resources.get(&TypeId::of::<R>()) {
            return Ok(*id);
        }
        let unknown = || UnknownName::Resource(R::NAME.to_owned(), String::new());
        let (id, declared) = self.layout.resource(R::NAME).ok_or_else(unknown)?;
        let own = R::fields();
        let same = declared.fields.len() == own.len()
            && declared.fields.iter().zip(&own).all(|(a, b)| a.name == b.name && a.ty == b.ty);
        if same && R::PACKED_BYTES == declared.packed_bytes() { Ok(id as u16) } else { Err(unknown()) }
    }
}
