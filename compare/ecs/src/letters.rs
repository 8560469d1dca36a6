//! 26 small components, and lists of functions over them: worlds with many tables are made of their subsets.
#![forbid(unsafe_code)]

use bevy_ecs::prelude::EntityWorldMut;
use flecs_ecs::prelude::EntityView;
use hypostyle::WorldBuilder;

use crate::components::components;

/// Declares the components, and a list of functions over them for each engine.
macro_rules! letters {
    ($($name:ident)*) => {
        components! { $(
            /// One of 26.
            $name { value: f32 }
        )* }
        /// Declares one in a world of ours.
        pub const REGISTER: &[fn(WorldBuilder) -> WorldBuilder] = &[$(|builder| builder.component::<$name>()),*];
        /// Their names in a world of ours.
        pub const NAMES: &[&str] = &[$(<$name as hypostyle::Plain>::NAME),*];
        /// Adds one to an entity.
        pub const BEVY_INSERT: &[fn(&mut EntityWorldMut<'_>, f32)] =
            &[$(|entity, value| { entity.insert($name { value }); }),*];
        /// Adds one to an entity that is being made.
        pub const HECS_ADD: &[fn(&mut hecs::EntityBuilder, f32)] =
            &[$(|entity, value| { entity.add($name { value }); }),*];
        /// Adds one to an entity.
        pub const FLECS_SET: &[fn(EntityView<'_>, f32)] = &[$(|entity, value| { entity.set($name { value }); }),*];
        /// Adds one to an entity.
        pub const SHIPYARD_ADD: &[fn(&mut shipyard::World, shipyard::EntityId, f32)] =
            &[$(|world, entity, value| world.add_component(entity, $name { value })),*];
    };
}
letters!(L0 L1 L2 L3 L4 L5 L6 L7 L8 L9 L10 L11 L12 L13 L14 L15 L16 L17 L18 L19 L20 L21 L22 L23 L24 L25);
