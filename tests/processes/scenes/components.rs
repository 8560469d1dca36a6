//! Components and resources of the scenes that do not seal their rows.
#![forbid(unsafe_code)]

use hypostyle::{Component, Entity, Field, Reduce, Resource};

#[derive(Component, Clone, Copy, Debug)]
pub struct Position {
    pub x: f32,
    pub y: f32,
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Velocity {
    pub x: f32,
    pub y: f32,
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Mass {
    pub kg: f64,
    pub parts: [u16; 3],
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Energy {
    pub value: f64,
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Link {
    pub to: Entity,
    pub strength: i32,
}
#[derive(Field, Clone, Copy, Debug)]
pub struct Spin {
    pub axis: [f32; 3],
    pub rate: f32,
}
#[derive(Component, Clone, Copy, Debug)]
pub struct Rotor(pub Spin, pub u32);
#[derive(Component, Clone, Copy, Debug)]
pub struct Hot;
#[derive(Component, Clone, Copy, Debug)]
#[component(track_changes)]
pub struct Charge {
    pub q: i32,
    pub on: bool,
}
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
pub struct Frozen {
    pub since: f32,
}
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
pub struct Seen;
#[derive(Component, Clone, Copy, Debug)]
pub struct Cell {
    pub key: u32,
}
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "scratch")]
pub struct Near {
    pub sums: [f64; 5],
    pub places: [u32; 3],
}
#[derive(Resource, Clone, Copy, Debug)]
pub struct Weather {
    #[resource(default = 0.25)]
    pub wind: f32,
    #[resource(default = 1)]
    pub storms: u32,
}

#[derive(Resource, Reduce, Clone, Copy, Debug)]
pub struct Census {
    #[reduce(sum)]
    pub drift: f64,
    #[reduce(max)]
    pub fastest: f32,
    #[reduce(sum)]
    pub rows: u64,
    #[reduce(sum)]
    pub histogram: [u32; 5],
}

/// What all frames have left, joined to what was there.
#[derive(Resource, Reduce, Clone, Copy, Debug)]
pub struct Ledger {
    #[reduce(sum)]
    pub drift: [f64; 7],
    #[reduce(or)]
    pub seen: u32,
}
