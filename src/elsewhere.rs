//! Entities that live in another part of a spread world, and are named here.
#![forbid(unsafe_code)]

use crate::Component;

/// What an entity has that lives in another part of a spread world, and that a handle names here: beside its
/// [`GlobalId`](crate::GlobalId) nothing else.
///
/// A world whose entities name each other by handles is spread over many processes where its layout has this component; a
/// plain process needs it as little as a world without handles does, and has no entity with it. Rows that leave
/// ([`World::leave_rows`](crate::World::leave_rows)) stand for their entities with it, under the same handles, and are entities again
/// when they come back ([`World::put_rows`](crate::World::put_rows)).
///
/// Their rows are no part of the state: no query sees them, [`World::entity_count`](crate::World::entity_count) and hashes by
/// id leave them out. A handle of one is alive, and counts as the id that it names. The engine alone makes and ends them.
///
/// ```
/// use hypostyle::{Component, Elsewhere, Entity, GlobalId, World};
/// #[derive(Component, Clone, Copy)]
/// struct Moon { planet: Entity }
/// let mut world = World::builder().component::<GlobalId>().component::<Elsewhere>().component::<Moon>().build()?;
/// let planet = world.spawn(GlobalId::root(3))?;
/// world.spawn((GlobalId::root(4), Moon { planet }))?;
/// let hash = world.hash_by_id()?;
/// let planets = world.table_with(&["global_id"])?;
/// let bytes = world.copy_rows(planets, &[0])?.encode();
/// world.leave_rows(planets, &[0])?;
/// assert!(world.contains(planet) && world.entity_count() == 1);
/// let back = world.decode_rows(&bytes)?;
/// assert_eq!(world.put_rows(&[back], hypostyle::Dangling::Refuse)?, [planet]);
/// assert_eq!(world.hash_by_id()?, hash);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere;
