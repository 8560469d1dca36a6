//! The components of the cases. The same types serve all engines: every engine's derive stands on them.
#![forbid(unsafe_code)]

/// Declares plain components for all engines.
macro_rules! components {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),+ })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[derive(hypostyle::Component, bevy_ecs::component::Component, flecs_ecs::macros::Component, shipyard::Component)]
        #[repr(C)]
        pub struct $name { $(#[allow(missing_docs)] pub $field: $type),+ }
    )* };
}

pub(crate) use components;

components! {
    /// Where.
    Position { x: f32, y: f32, z: f32 }
    /// How fast.
    Velocity { x: f32, y: f32, z: f32 }
    /// How the velocity changes.
    Acceleration { x: f32, y: f32, z: f32 }
    /// How much of the velocity is kept.
    Damping { kept: f32 }
    /// What is left.
    Health { points: f32 }
    /// Which way up.
    Rotation { x: f32, y: f32, z: f32 }
    /// A matrix of four by four, column by column.
    Transform { m: [f32; 16] }
    /// A value.
    A { value: f32 }
    /// A value.
    B { value: f32 }
    /// A value.
    C { value: f32 }
    /// A value.
    D { value: f32 }
    /// A value.
    E { value: f32 }
    /// What fragmented worlds work on.
    Data { value: f32 }
}
