//! The component and resource types of the model test, every shape that a component can have, and the bundles they
//! are spawned in. A value is made from a seed and a handle, alike by kernels, by direct changes and by the model.

use hypostyle::{Bool, Component, Entity, Job, Reduce, Resource, World, WorldError};

/// A component whose values come from seeds.
pub trait Made: Component {
    /// Its place in the layout.
    const INDEX: usize;
    /// A value.
    fn made(seed: u64, link: Entity) -> Self;
}

#[derive(Component, Clone, Copy, Debug)]
pub struct Position {
    pub x: f32,
    pub y: f32,
}

#[derive(Component, Clone, Copy, Debug)]
pub struct Counter {
    pub value: u64,
}

#[derive(Component, Clone, Copy, Debug)]
pub struct Link {
    pub to: Entity,
    pub weight: u16,
}

#[derive(Component, Clone, Copy, Debug)]
pub struct Flag {
    #[component(default = true)]
    pub on: bool,
    pub raw: Bool,
    pub who: Entity,
}

#[derive(Component, Clone, Copy, Debug)]
pub struct Grid {
    pub cells: [i16; 3],
    pub mask: [bool; 2],
}

#[derive(Component, Clone, Copy, Debug)]
pub struct Tag;

#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
pub struct Shield {
    pub power: f32,
    pub owner: Entity,
}

#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle")]
pub struct Asleep;

#[derive(Component, Clone, Copy, Debug)]
#[component(track_changes)]
pub struct Health {
    pub points: i32,
}

#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle", track_changes)]
pub struct Charge {
    pub amount: f64,
}

#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "toggle", track_changes)]
pub struct Mark;

#[derive(Resource, Clone, Copy, Debug)]
pub struct Score {
    pub total: u64,
    pub best: Entity,
}

#[derive(Resource, Clone, Copy, Debug)]
pub struct Gravity {
    #[resource(default = -9.5)]
    pub y: f32,
}

/// A list, which the model has as the packed elements one after the other.
#[derive(Component, Clone, Copy, Debug)]
#[component(storage = "list")]
pub struct Trail {
    pub who: Entity,
    pub seen: u32,
}

/// The place of lists in the layout, behind all others.
pub const TRAIL: usize = COMPONENTS;

impl Trail {
    /// The elements that a seed makes, some of them handles.
    pub fn made(seed: u64, who: Entity) -> Vec<Trail> {
        (0..seed % 7).map(|number| Trail { who, seen: (seed >> 8) as u32 ^ number as u32 }).collect()
    }

    /// All of a list.
    pub fn packed(list: &[Trail]) -> Vec<u8> {
        list.iter().flat_map(|element| pack(*element)).collect()
    }

    /// What a frame makes of a list, by the row's counter; nothing: it stays.
    pub fn renewed(mut list: Vec<Trail>, own: Entity, counter: u64) -> Option<Vec<Trail>> {
        match counter % 5 {
            0 => list.clear(),
            1 | 2 => list.push(Trail { who: own, seen: counter as u32 }),
            3 if counter.is_multiple_of(3) => list = vec![Trail { who: own, seen: 7 }; (counter >> 9) as usize % 40],
            _ => return None,
        }
        Some(list)
    }

    /// The elements of a packed list.
    pub fn unpacked(bytes: &[u8]) -> Vec<Trail> {
        bytes.chunks_exact(Trail::PACKED_BYTES).map(Trail::unpack).collect()
    }
}

/// What all counters that are awake are reduced to; the order of rows is part of it.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct Census {
    pub rows: u64,
    pub sum: u64,
    pub first: Entity,
    pub last: Entity,
}

impl Census {
    /// Of one row.
    pub fn of(entity: Entity, counter: u64) -> Census {
        Census { rows: 1, sum: counter, first: entity, last: entity }
    }
}

impl Reduce for Census {
    fn empty() -> Self {
        Census { rows: 0, sum: 0, first: Entity::NULL, last: Entity::NULL }
    }

    fn join(self, later: Self) -> Self {
        match (self.rows, later.rows) {
            (_, 0) => self,
            (0, _) => later,
            (earlier, rows) => {
                let sum = self.sum ^ later.sum.rotate_left((earlier % 64) as u32);
                Census { rows: earlier + rows, sum, first: self.first, last: later.last }
            }
        }
    }
}

/// The name of a component.
pub fn name_of(component: usize) -> &'static str {
    NAMES.get(component).copied().unwrap_or(Trail::NAME)
}

/// Whether a component keeps changed rows.
pub fn is_tracked(component: usize) -> bool {
    TRACKED.get(component).copied().unwrap_or(false)
}

/// A small number as a float, so that sums stay exact.
fn small(seed: u64) -> f32 {
    (seed >> 20 & 0xfff) as f32 * 0.25
}

macro_rules! made {
    ($($index:literal $C:ident ($seed:ident, $link:ident) $value:expr;)*) => {
        $(impl Made for $C {
            const INDEX: usize = $index;
            fn made($seed: u64, $link: Entity) -> Self {
                let _ = ($seed, $link);
                $value
            }
        })*
        /// The components' names, by place.
        pub const NAMES: &[&str] = &[$($C::NAME),*];
        /// Whether each keeps changed rows.
        pub const TRACKED: &[bool] = &[$($C::TRACK_CHANGES),*];
    };
}
use hypostyle::Plain;
made! {
    0 Position (seed, link) Position { x: small(seed), y: small(seed >> 7) };
    1 Counter (seed, link) Counter { value: seed };
    2 Link (seed, link) Link { to: link, weight: seed as u16 };
    3 Flag (seed, link) Flag {
        on: seed & 16 != 0,
        // one in eight is no bool
        raw: bytemuck::cast(if seed % 8 == 7 { 2u8 } else { (seed >> 5) as u8 & 1 }),
        who: link,
    };
    4 Grid (seed, link) Grid { cells: [seed as i16, (seed >> 3) as i16, 7], mask: [seed & 32 != 0, seed & 64 != 0] };
    5 Tag (seed, link) Tag;
    6 Shield (seed, link) Shield { power: small(seed), owner: link };
    7 Asleep (seed, link) Asleep;
    8 Health (seed, link) Health { points: seed as i32 };
    9 Charge (seed, link) Charge { amount: f64::from(small(seed)) };
    10 Mark (seed, link) Mark;
}

/// How many components there are.
pub const COMPONENTS: usize = 11;

/// Runs an expression with `$C` as the component type of an index.
macro_rules! with_component {
    ($index:expr, $C:ident => $body:expr) => {
        match $index {
            0 => {
                type $C = $crate::model::components::Position;
                $body
            }
            1 => {
                type $C = $crate::model::components::Counter;
                $body
            }
            2 => {
                type $C = $crate::model::components::Link;
                $body
            }
            3 => {
                type $C = $crate::model::components::Flag;
                $body
            }
            4 => {
                type $C = $crate::model::components::Grid;
                $body
            }
            5 => {
                type $C = $crate::model::components::Tag;
                $body
            }
            6 => {
                type $C = $crate::model::components::Shield;
                $body
            }
            7 => {
                type $C = $crate::model::components::Asleep;
                $body
            }
            8 => {
                type $C = $crate::model::components::Health;
                $body
            }
            9 => {
                type $C = $crate::model::components::Charge;
                $body
            }
            _ => {
                type $C = $crate::model::components::Mark;
                $body
            }
        }
    };
}
pub(crate) use with_component;

/// The packed bytes of a plain value.
pub fn pack<P: Plain>(value: P) -> Vec<u8> {
    let mut out = vec![0; P::PACKED_BYTES];
    value.pack(&mut out);
    out
}

/// The packed value of a component.
pub fn packed(component: usize, seed: u64, link: Entity) -> Vec<u8> {
    with_component!(component, C => pack(C::made(seed, link)))
}

/// The packed value that a component has where none is given.
pub fn packed_default(component: usize) -> Vec<u8> {
    let null = Entity::NULL.to_bits().to_le_bytes();
    match component {
        2 => [&null[..], &[0, 0]].concat(),
        3 => [&[1, 0][..], &null[..]].concat(),
        6 => [&[0; 4][..], &null[..]].concat(),
        _ => vec![0; packed(component, 0, Entity::NULL).len()],
    }
}

/// Whether a packed value has a bool that is none.
pub fn has_bad_bool(component: usize, bytes: &[u8]) -> bool {
    component == Flag::INDEX && (bytes[0] > 1 || bytes[1] > 1)
}

/// Another seed for each component of a bundle.
pub fn seed_in_bundle(seed: u64, component: usize) -> u64 {
    seed.rotate_left(component as u32 * 8) ^ component as u64
}

macro_rules! bundles {
    ($($kind:literal: [$($C:ident),*];)*) => {
        /// The components of each bundle.
        pub const BUNDLES: &[&[usize]] = &[$(&[$($C::INDEX),*]),*];

        /// Spawns a bundle from a kernel.
        #[allow(unused_variables, clippy::unit_arg)]
        pub fn spawn_in_job(job: &mut Job<'_, '_>, kind: usize, seed: u64, link: Entity) -> Entity {
            match kind {
                $($kind => job.spawn(($($C::made(seed_in_bundle(seed, $C::INDEX), link),)*)),)*
                _ => unreachable!("there are no more bundles"),
            }
        }

        /// Spawns a bundle for each seed.
        #[allow(unused_variables)]
        pub fn spawn_in_world(
            world: &mut World, kind: usize, seeds: &[u64], link: Entity,
        ) -> Result<Vec<Entity>, WorldError> {
            match kind {
                $($kind => world.spawn_batch(
                    seeds.iter().map(|seed| ($($C::made(seed_in_bundle(*seed, $C::INDEX), link),)*)),
                ),)*
                _ => unreachable!("there are no more bundles"),
            }
        }
    };
}
// every one fits a ring of 256 bytes; the last one is wrong
bundles! {
    0: [Position];
    1: [Position, Counter];
    2: [Counter, Link, Position];
    3: [Health, Shield, Tag];
    4: [Counter, Charge, Asleep];
    5: [Flag, Grid, Mark];
    6: [Tag];
    7: [Link, Health, Counter];
    8: [];
    9: [Position, Health, Charge, Grid];
    10: [Counter, Health, Mark, Tag];
    11: [Flag, Position];
    12: [Counter, Tag, Counter];
}
