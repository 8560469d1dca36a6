//! What several cases need: visiting columns as slices in engines that have no call for it.
#![forbid(unsafe_code)]

use hypostyle::{Schedule, Simulation, Workers, World};

/// Visits the columns of a flecs query of one written and one read component.
macro_rules! flecs_pairs {
    ($query:expr, $A:ty, $B:ty, $each:expr) => {
        $query.run(|mut it| {
            while it.next() {
                $each(it.field_mut::<$A>(0).as_mut_slice(), it.field::<$B>(1).as_slice());
            }
        })
    };
}
pub(crate) use flecs_pairs;

/// Visits the columns of a bevy query of one written and one read component; change detection is bypassed.
macro_rules! bevy_pairs {
    ($query:expr, $world:expr, $each:expr) => {
        for (mut a, b) in $query.contiguous_iter_mut($world).expect("tables are dense") {
            $each(a.bypass_change_detection(), b);
        }
    };
}
pub(crate) use bevy_pairs;

/// Visits the columns of all archetypes that have both components.
pub fn hecs_pairs<A: hecs::Component, B: hecs::Component>(world: &hecs::World, mut each: impl FnMut(&mut [A], &[B])) {
    for archetype in world.archetypes() {
        let (Some(mut a), Some(b)) = (archetype.get::<&mut A>(), archetype.get::<&B>()) else { continue };
        each(&mut a, &b);
    }
}

/// Visits the columns of all archetypes that have the component.
pub fn hecs_single<A: hecs::Component>(world: &hecs::World, mut each: impl FnMut(&mut [A])) {
    for archetype in world.archetypes() {
        if let Some(mut a) = archetype.get::<&mut A>() {
            each(&mut a);
        }
    }
}

/// Main and a thread for each further core.
pub fn workers(cores: usize) -> Workers {
    if cores > 1 { Workers::Threads(cores - 1) } else { Workers::Local }
}

/// A simulation that makes a generation every so many frames.
pub fn simulation(world: World, schedule: Schedule, workers: Workers, publish_every: u64) -> Simulation {
    let builder = Simulation::builder().workers(workers).publish_every(publish_every);
    builder.build(world, schedule).expect("a simulation can be made")
}

/// A frame.
pub fn step(simulation: &mut Simulation) {
    simulation.step(1.0 / 60.0).expect("a frame does not fail");
}

/// A fixed shuffle of 0..n.
pub fn shuffled(n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for index in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(index, (state % (index as u64 + 1)) as usize);
    }
    order
}

/// A fixed hash of a number.
pub fn hash(index: usize) -> u64 {
    let mut x = (index as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Spawns n entities of a tuple of components in flecs, in bulk; the fields of the tuple are named by their places.
macro_rules! flecs_bulk {
    ($world:expr, $n:expr, $entity:expr, $($place:tt),+) => {{
        let n: usize = $n;
        let entities: Vec<_> = (0..n).map($entity).collect();
        let world = &$world;
        let columns = ($(entities.iter().map(|entity| entity.$place).collect::<Vec<_>>(),)+);
        let mut bulk = world.entity_bulk(n as u32);
        $crate::support::flecs_bulk!(@set bulk, columns, 0; $($place),+)
    }};
    (@set $bulk:expr, $columns:ident, $at:tt; 0) => { $bulk.set(&$columns.0).build() };
    (@set $bulk:expr, $columns:ident, $at:tt; 0, 1) => { $bulk.set(&$columns.0).set(&$columns.1).build() };
    (@set $bulk:expr, $columns:ident, $at:tt; 0, 1, 2) => {
        $bulk.set(&$columns.0).set(&$columns.1).set(&$columns.2).build()
    };
    (@set $bulk:expr, $columns:ident, $at:tt; 0, 1, 2, 3) => {
        $bulk.set(&$columns.0).set(&$columns.1).set(&$columns.2).set(&$columns.3).build()
    };
}
pub(crate) use flecs_bulk;

/// A hecs world of four kinds of entities, n of each.
pub fn hecs_world_of<A, B, C, D>(
    n: usize,
    a: impl Fn(usize) -> A,
    b: impl Fn(usize) -> B,
    c: impl Fn(usize) -> C,
    d: impl Fn(usize) -> D,
) -> hecs::World
where
    A: hecs::Bundle + 'static,
    B: hecs::Bundle + 'static,
    C: hecs::Bundle + 'static,
    D: hecs::Bundle + 'static,
{
    let mut world = hecs::World::new();
    world.spawn_batch((0..n).map(a));
    world.spawn_batch((0..n).map(b));
    world.spawn_batch((0..n).map(c));
    world.spawn_batch((0..n).map(d));
    world
}
