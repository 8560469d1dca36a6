//! Looking at one component of one entity in flecs, by the C function that its book names.
//!
//! The Rust crate's own `get` cannot be used here: without the feature `flecs_safety_locks`, which the crate advises to
//! turn off for speed, version 0.2.2 declares the C function below it with another return type than it then has, and
//! crashes.
#![expect(unsafe_code, reason = "calls a C function and reads what it points to")]

use bytemuck::Pod;
use flecs_ecs::core::WorldProvider;
use flecs_ecs::prelude::{ComponentId, Entity, World};
use flecs_ecs::sys;

/// Looks at components of one type.
pub struct Getter<'w, T> {
    world: &'w World,
    id: u64,
    component: std::marker::PhantomData<T>,
}

impl<'w, T: ComponentId + Pod> Getter<'w, T> {
    /// Looks up the component's id.
    pub fn new(world: &'w World) -> Self {
        Getter { world, id: *world.component_id::<T>(), component: std::marker::PhantomData }
    }

    /// The component of an entity, if it has one.
    #[inline]
    pub fn get(&self, entity: Entity) -> Option<T> {
        // SAFETY: the world lives as long as self, and dead entities and absent components are answered with null
        // where asserts are off, with an abort where they are on.
        let component = unsafe { sys::ecs_get_id(self.world.world_ptr(), *entity, self.id) };
        // SAFETY: not null: it points to the entity's component of the type with this id, which is plain data, and
        // nothing changes the world between the two calls.
        (!component.is_null()).then(|| unsafe { component.cast::<T>().read() })
    }
}
