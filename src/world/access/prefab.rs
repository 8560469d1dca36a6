//! Prefabs: named lists of components with values or per-index functions, spawned in bulk, with overrides.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::Entity;
use crate::component::Component;

use super::edit::BLOCK;
use crate::world::World;
use crate::world::error::WorldError;
use crate::world::store::scatter::Values;

/// A component's packed value for the entity with this index of a spawn.
type Make = Arc<dyn Fn(usize, &mut [u8]) + Send + Sync>;

#[derive(Clone)]
struct Part {
    name: &'static str,
    bytes: usize,
    id: fn(&crate::table::Registry) -> Result<u16, WorldError>,
    make: Make,
}

/// A named list of components with values.
///
/// ```
/// use hypostyle::{Component, Prefab, World};
/// #[derive(Component, Clone, Copy, Debug, PartialEq)]
/// struct Health { points: u32 }
/// #[derive(Component, Clone, Copy, Debug, PartialEq)]
/// struct Rank { value: u32 }
/// let mut world = World::builder().component::<Health>().component::<Rank>().build()?;
/// world.define_prefab("guard", Prefab::new().with(Health { points: 10 }).with_each(|i| Rank { value: i as u32 }));
/// let guards = world.spawn_prefab("guard", 3)?.with(Health { points: 99 }).spawn()?;
/// assert_eq!(world.get::<Health>(guards[2])?, Health { points: 99 });
/// assert_eq!(world.get::<Rank>(guards[2])?, Rank { value: 2 });
/// # Ok::<(), hypostyle::WorldError>(())
/// ```
#[derive(Clone, Default)]
pub struct Prefab {
    parts: Vec<Part>,
}

impl Prefab {
    /// A prefab without components.
    #[must_use]
    pub fn new() -> Self {
        Prefab::default()
    }

    /// Gives every entity this value; it replaces an earlier one of the same component.
    #[must_use]
    pub fn with<C: Component>(self, value: C) -> Self {
        self.with_each(move |_| value)
    }

    /// Gives the entity with index `i` of a spawn the value `f(i)`.
    #[must_use]
    pub fn with_each<C: Component>(mut self, f: impl Fn(usize) -> C + Send + Sync + 'static) -> Self {
        let part = Part {
            name: C::NAME,
            bytes: C::PACKED_BYTES,
            id: super::bundle::valued::<C>,
            make: Arc::new(move |index, out| f(index).pack(out)),
        };
        match self.parts.iter_mut().find(|other| other.name == C::NAME) {
            Some(other) => *other = part,
            None => self.parts.push(part),
        }
        self
    }
}

impl std::fmt::Debug for Prefab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.parts.iter().map(|part| part.name)).finish()
    }
}

/// A builder for spawning a prefab: overrides first, then [`PrefabSpawn::spawn`].
#[must_use = "nothing is spawned before `spawn`"]
pub struct PrefabSpawn<'w> {
    world: &'w mut World,
    count: usize,
    prefab: Prefab,
}

impl World {
    /// Defines a prefab; a second one of the same name replaces the first.
    pub fn define_prefab(&mut self, name: impl Into<String>, prefab: Prefab) {
        self.prefabs.insert(name.into(), prefab);
    }

    /// Spawns `count` entities of a prefab: returns a builder, whose [`PrefabSpawn::spawn`] does it.
    ///
    /// # Errors
    /// No prefab of that name.
    pub fn spawn_prefab(&mut self, name: &str, count: usize) -> Result<PrefabSpawn<'_>, WorldError> {
        self.check_maker()?;
        let prefab = self.prefabs.get(name).cloned().ok_or_else(|| WorldError::UnknownPrefab {
            name: name.to_owned(),
            known: self.prefabs.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        Ok(PrefabSpawn { world: self, count, prefab })
    }
}

impl PrefabSpawn<'_> {
    /// Gives every entity this value instead of the prefab's.
    pub fn with<C: Component>(mut self, value: C) -> Self {
        self.prefab = self.prefab.with(value);
        self
    }

    /// Gives the entity with index `i` the value `f(i)` instead of the prefab's.
    pub fn with_each<C: Component>(mut self, f: impl Fn(usize) -> C + Send + Sync + 'static) -> Self {
        self.prefab = self.prefab.with_each(f);
        self
    }

    /// Spawns the entities, and returns their handles in order.
    ///
    /// # Errors
    /// A component that the world does not have, no memory; no entity is spawned then.
    pub fn spawn(self) -> Result<Vec<Entity>, WorldError> {
        let world = self.world;
        let ids: Vec<u16> =
            self.prefab.parts.iter().map(|part| (part.id)(&world.registry)).collect::<Result<_, _>>()?;
        let n = u32::try_from(self.count)
            .map_err(|_| WorldError::TooManyEntities { asked: self.count as u64, max: crate::limits::ENTITIES_MAX })?;
        world.store.begin_change();
        world.check_repeats(&ids)?;
        let table = world.table_of(&ids)?;
        let before = world.capacities(table);
        // a function of the user's may panic: values go past the rows in use, which become rows when all are there
        let done = catch_unwind(AssertUnwindSafe(|| write_values(world, table, &self.prefab, &ids, n)));
        match done {
            Ok(Ok(())) => {
                let mut handles = Vec::new();
                world.append_entities(&ids, n, &mut handles)?;
                Ok(handles)
            }
            failed => {
                world.give_back(table, before);
                failed.unwrap_or_else(|panic| resume_unwind(panic)).map(|()| Vec::new())
            }
        }
    }
}

/// Writes the values of `n` entities past the rows in use of their table.
fn write_values(world: &mut World, table: u32, prefab: &Prefab, ids: &[u16], n: u32) -> Result<(), WorldError> {
    world.make_room(table, n)?;
    let stride: usize = prefab.parts.iter().map(|part| part.bytes).sum();
    if stride == 0 {
        return Ok(());
    }
    let mut packed = vec![0; stride * BLOCK];
    let first = world.store.tables[table as usize].rows;
    for begin in (0..n).step_by(BLOCK) {
        let count = (n - begin).min(BLOCK as u32);
        for index in 0..count as usize {
            let mut at = index * stride;
            for part in &prefab.parts {
                (part.make)(begin as usize + index, &mut packed[at..at + part.bytes]);
                at += part.bytes;
            }
        }
        let mut values = Values { bytes: &packed[..count as usize * stride], stride, at: 0 };
        for id in ids {
            values.at += world.store.write_unused(table, *id, first + begin, values);
        }
    }
    Ok(())
}
