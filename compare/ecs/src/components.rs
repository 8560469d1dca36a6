//! The components of the cases. The same types serve all engines: every engine's derive stands on them.
#![forbid(unsafe_code)]

use bytemuck::{Pod, Zeroable};

/// Declares plain components of f32 fields for all engines.
macro_rules! components {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),+ })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[derive(hypostyle::Component, bevy_ecs::component::Component, flecs_ecs::macros::Component, shipyard::Component)]
        #[repr(C)]
        pub struct $name { $(#[allow(missing_docs)] pub $field: f32),+ }
    )* };
}

components! {
    /// Where.
    Position { x, y, z }
    /// How fast.
    Velocity { x, y, z }
    /// How the velocity changes.
    Acceleration { x, y, z }
    /// How much of the velocity is kept.
    Damping { kept }
    /// What is left.
    Health { points }
}
