//! Bundles: what an entity is spawned with. A component, or a tuple of bundles.
#![forbid(unsafe_code)]

use crate::table::{Registry, Table};
use crate::{Component, Entity};

use super::lookup::RowOffsets;
use crate::world::World;
use crate::world::error::WorldError;

pub(crate) mod sealed {
    /// Keeps bundles to the derives.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a bundle",
        label = "not a component, nor a tuple or struct of components",
        note = "a component is a struct with `#[derive(Clone, Copy, hypostyle::Component)]`",
        note = "a struct of components is a bundle with `#[derive(Clone, Copy, hypostyle::Bundle)]`"
    )]
    pub trait Sealed {}
}

impl<C: Component> sealed::Sealed for C {}

/// Components with values: a component, a tuple of up to 16 bundles, or a struct of bundles with `#[derive(Bundle)]`.
/// Sealed: the derives make bundles.
///
/// ```
/// use hypostyle::{Bundle, Component, World};
/// #[derive(Component, Clone, Copy, Debug, PartialEq)]
/// struct Position { x: f32, y: f32 }
/// #[derive(Component, Clone, Copy, Debug, PartialEq)]
/// struct Mass(f32);
/// #[derive(Bundle, Clone, Copy, Debug, PartialEq)]
/// struct Ship { position: Position, mass: Mass }
/// let mut world = World::builder().component::<Position>().component::<Mass>().build()?;
/// let ship = Ship { position: Position { x: 1.0, y: 2.0 }, mass: Mass(3.0) };
/// let entity = world.spawn(ship)?;
/// assert_eq!(world.get::<Ship>(entity)?, ship);
/// assert_eq!(world.get::<Mass>(entity)?, Mass(3.0));
/// # Ok::<(), hypostyle::WorldError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a bundle",
    label = "not a component, nor a tuple of components",
    note = "a bundle is a component, or a tuple of up to 16 bundles: `(Position {{ x: 0.0 }}, Velocity {{ x: 1.0 }})`",
    note = "a component is a struct with `#[derive(Clone, Copy, hypostyle::Component)]`",
    note = "a struct of components is a bundle with `#[derive(Clone, Copy, hypostyle::Bundle)]`"
)]
pub trait Bundle: Copy + Send + Sync + 'static + sealed::Sealed {
    /// Bytes of all packed values, one after the other.
    const PACKED_BYTES: usize;
    /// Appends the ids of the components in order.
    ///
    /// # Errors
    /// A component that the world does not have.
    #[doc(hidden)]
    fn ids(registry: &RegistryRef<'_>, out: &mut Vec<u16>) -> Result<(), WorldError>;
    /// Writes all packed values. `out` is `PACKED_BYTES` long.
    #[doc(hidden)]
    fn pack_all(&self, out: &mut [u8]);
    /// Calls `write` with the bytes of each field of each component in order.
    #[doc(hidden)]
    fn each_field(&self, write: &mut impl FnMut(&[u8]));
    /// Copies a row's values out.
    ///
    /// # Errors
    /// A component that the world or the row does not have.
    #[doc(hidden)]
    fn fetch(row: &RowRef<'_>) -> Result<Self, WorldError>;
    /// The same by offsets that are known; none where the row lacks a component.
    #[doc(hidden)]
    fn look(row: &mut RowOffsets<'_>) -> Option<Self>;
}

/// A registry as bundles see it.
pub struct RegistryRef<'a>(pub(crate) &'a Registry);

/// A row as bundles see it.
pub struct RowRef<'a> {
    pub(in crate::world) world: &'a World,
    pub(in crate::world) table: &'a Table,
    pub(in crate::world) row: u32,
    pub(in crate::world) entity: Entity,
}

/// The id of a component of which an entity has one value: of all but lists.
#[inline(always)]
pub(crate) fn valued<C: Component>(registry: &Registry) -> Result<u16, WorldError> {
    if C::STORAGE.is_list() {
        return Err(WorldError::list(C::NAME));
    }
    Ok(registry.component::<C>()?)
}

impl<C: Component> Bundle for C {
    const PACKED_BYTES: usize = C::PACKED_BYTES;
    fn ids(registry: &RegistryRef<'_>, out: &mut Vec<u16>) -> Result<(), WorldError> {
        out.push(valued::<C>(registry.0)?);
        Ok(())
    }
    #[inline]
    fn pack_all(&self, out: &mut [u8]) {
        self.pack(out);
    }
    #[inline(always)]
    fn each_field(&self, write: &mut impl FnMut(&[u8])) {
        crate::Plain::each_field(self, write);
    }
    #[inline(always)]
    fn fetch(row: &RowRef<'_>) -> Result<Self, WorldError> {
        let component = valued::<C>(&row.world.registry)?;
        match row.world.store.read_single(row.table, row.row, component) {
            Some(value) => Ok(value),
            None => Err(WorldError::absent::<C>(row.entity)),
        }
    }
    #[inline(always)]
    fn look(row: &mut RowOffsets<'_>) -> Option<Self> {
        row.read()
    }
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Bundle),*> sealed::Sealed for ($($name,)*) {}
        impl<$($name: Bundle),*> Bundle for ($($name,)*) {
            const PACKED_BYTES: usize = 0 $(+ $name::PACKED_BYTES)*;
            fn ids(_registry: &RegistryRef<'_>, _out: &mut Vec<u16>) -> Result<(), WorldError> {
                $($name::ids(_registry, _out)?;)*
                Ok(())
            }
            #[inline]
            fn pack_all(&self, _out: &mut [u8]) {
                let _at = 0;
                $(let (_at, _end) = (_at, _at + $name::PACKED_BYTES);
                  self.$index.pack_all(&mut _out[_at.._end]);
                  let _at = _end;)*
            }
            #[inline(always)]
            fn each_field(&self, _write: &mut impl FnMut(&[u8])) {
                $(Bundle::each_field(&self.$index, _write);)*
            }
            #[inline(always)]
            fn fetch(_row: &RowRef<'_>) -> Result<Self, WorldError> {
                Ok(($($name::fetch(_row)?,)*))
            }
            #[inline(always)]
            fn look(_row: &mut RowOffsets<'_>) -> Option<Self> {
                Some(($($name::look(_row)?,)*))
            }
        }
    };
}
tuples!();
tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);
