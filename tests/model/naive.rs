//! The naive world: what the contract says, in maps, without tables, extents or generations. It knows nothing of the
//! engine but handles.

use std::collections::{BTreeMap, BTreeSet};

use hypostyle::Entity;

use super::components::{COMPONENTS, has_bad_bool, is_tracked, packed, packed_default, seed_in_bundle};
use super::program::symbol;

/// A component's value, and whether frames of either parity wrote it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Value {
    pub bytes: Vec<u8>,
    pub changed: [bool; 2],
}

/// What a query asks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub all: &'static [usize],
    pub none: &'static [usize],
    pub any: &'static [usize],
    pub changed: &'static [usize],
}

/// What became of patches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub applied: u64,
    pub overwritten: u64,
    pub stale: u64,
    pub absent: u64,
    pub refused: u64,
    pub spawned: u64,
    pub despawned: u64,
}

/// Entities by handle, in the order of slots; free slots; resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Naive {
    pub entities: BTreeMap<(u32, u32), BTreeMap<usize, Value>>,
    generations: Vec<u32>,
    free: BTreeSet<u32>,
    pub resources: [Option<Vec<u8>>; 3],
    pub frame: u64,
    pub time: f64,
}

fn key(entity: Entity) -> (u32, u32) {
    (entity.index(), entity.generation())
}

impl Naive {
    pub fn handles(&self) -> Vec<Entity> {
        self.entities.keys().map(|(index, generation)| Entity::from_parts(*index, *generation)).collect()
    }

    pub fn contains(&self, entity: Entity) -> bool {
        self.entities.contains_key(&key(entity))
    }

    pub fn value(&self, entity: Entity, component: usize) -> Option<&Value> {
        self.entities.get(&key(entity))?.get(&component)
    }

    /// The bytes of a present component.
    pub fn bytes(&self, entity: Entity, component: usize) -> Option<&[u8]> {
        self.value(entity, component).map(|value| &value.bytes[..])
    }

    /// The lowest free slot's handle.
    pub fn allocate(&mut self) -> Entity {
        let slot = self.free.pop_first().unwrap_or_else(|| {
            self.generations.push(0);
            self.generations.len() as u32 - 1
        });
        Entity::from_parts(slot, self.generations[slot as usize])
    }

    /// The slot is free from now on.
    pub fn release(&mut self, entity: Entity) {
        self.generations[entity.index() as usize] += 1;
        self.free.insert(entity.index());
    }

    pub fn insert(&mut self, entity: Entity) {
        self.entities.insert(key(entity), BTreeMap::new());
    }

    pub fn kill(&mut self, entity: Entity) {
        self.entities.remove(&key(entity));
        self.release(entity);
    }

    /// Writes a component, present or not, in a frame of this parity.
    pub fn write(&mut self, entity: Entity, component: usize, bytes: Vec<u8>, parity: usize) {
        let Some(components) = self.entities.get_mut(&key(entity)) else { panic!("{entity} is dead in the model") };
        let value = components.entry(component).or_default();
        value.bytes = bytes;
        value.changed[parity] = is_tracked(component);
    }

    /// Takes a component; false where there was none.
    pub fn remove(&mut self, entity: Entity, component: usize) -> bool {
        self.entities.get_mut(&key(entity)).is_some_and(|components| components.remove(&component).is_some())
    }

    /// The frame that direct changes count to.
    pub fn parity(&self) -> usize {
        (self.frame & 1) as usize
    }

    pub fn clear_changed(&mut self, parity: usize) {
        self.entities.values_mut().flat_map(BTreeMap::values_mut).for_each(|value| value.changed[parity] = false);
    }

    pub fn matching(&self, wanted: &Wanted) -> Vec<Entity> {
        let matches = |components: &BTreeMap<usize, Value>| {
            let changed =
                |component: &usize| components.get(component).is_some_and(|value| value.changed != [false; 2]);
            wanted.all.iter().all(|component| components.contains_key(component))
                && !wanted.none.iter().any(|component| components.contains_key(component))
                && (wanted.any.is_empty() || wanted.any.iter().any(|component| components.contains_key(component)))
                && (wanted.changed.is_empty() || wanted.changed.iter().any(changed))
        };
        self.entities
            .iter()
            .filter(|(_, components)| matches(components))
            .map(|((index, generation), _)| Entity::from_parts(*index, *generation))
            .collect()
    }
}

/// What a kernel wants, with real handles in place of reserved ones where they stand for values.
#[derive(Clone, Debug)]
pub enum Wish {
    Set(usize, Vec<u8>),
    Add(usize, Vec<u8>),
    Remove(usize),
    Despawn,
}

/// What a system may do.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    pub sets: Vec<usize>,
    pub adds: Vec<usize>,
    pub removes: Vec<usize>,
    pub spawns: Vec<usize>,
    pub despawns: bool,
    pub score: bool,
}

impl Allowed {
    /// Everything.
    pub fn all() -> Self {
        let all: Vec<usize> = (0..COMPONENTS).collect();
        Allowed { sets: all.clone(), adds: all.clone(), removes: all.clone(), spawns: all, despawns: true, score: true }
    }
}

/// Stale handles in a value: the components that have a handle have one.
fn handles_stale(component: usize, stale: bool) -> u64 {
    u64::from(stale && [2, 3, 6].contains(&component))
}

/// A batch's patches being applied, one after the other, in canonical order.
pub struct Batch<'w> {
    pub world: &'w mut Naive,
    parity: usize,
    /// The handles of the kernel call's spawns; false: refused.
    call: Vec<(Entity, bool)>,
    /// Real handles of this batch's new entities: nobody can know them yet.
    fresh: BTreeSet<(u32, u32)>,
    refused: Vec<Entity>,
    despawned: Vec<Entity>,
    /// Sets of this batch that nothing has replaced: entity and component.
    live_sets: BTreeSet<((u32, u32), usize)>,
    score_is_set: bool,
}

impl<'w> Batch<'w> {
    pub fn new(world: &'w mut Naive, parity: usize) -> Self {
        let (fresh, live_sets) = (BTreeSet::new(), BTreeSet::new());
        Batch { world, parity, call: vec![], fresh, refused: vec![], despawned: vec![], live_sets, score_is_set: false }
    }

    pub fn begin_call(&mut self) {
        self.call.clear();
    }

    /// What a handle in a value becomes: of a refused spawn, one that is dead; of another job, null. Whether it is stale.
    pub fn real(&self, entity: Entity) -> (Entity, bool) {
        match symbol(entity) {
            None => (entity, false),
            Some(nth) => self.call.get(nth).map_or((Entity::NULL, true), |(real, _)| (*real, false)),
        }
    }

    /// A spawn whose values name `link`. Its handle.
    pub fn spawn(
        &mut self,
        allowed: &Allowed,
        components: &[usize],
        seed: u64,
        link: Entity,
        counts: &mut Counts,
    ) -> Entity {
        let (link, stale) = self.real(link);
        let entity = self.world.allocate();
        let unique: BTreeSet<_> = components.iter().collect();
        if unique.len() != components.len() || components.iter().any(|c| !allowed.spawns.contains(c)) {
            counts.refused += 1;
            self.refused.push(entity);
            self.call.push((entity, false));
            return entity;
        }
        counts.applied += 1;
        counts.spawned += 1;
        self.world.insert(entity);
        self.fresh.insert(key(entity));
        self.call.push((entity, true));
        for component in components {
            let bytes = packed(*component, seed_in_bundle(seed, *component), link);
            let bad = has_bad_bool(*component, &bytes);
            counts.refused += u64::from(bad);
            counts.stale += handles_stale(*component, stale && !bad);
            self.world.write(entity, *component, if bad { packed_default(*component) } else { bytes }, self.parity);
        }
        entity
    }

    fn target(&self, entity: Entity) -> Option<Entity> {
        if let Some(nth) = symbol(entity) {
            return self.call.get(nth).filter(|(_, spawned)| *spawned).map(|(real, _)| *real);
        }
        (self.world.contains(entity) && !self.fresh.contains(&key(entity))).then_some(entity)
    }

    /// A patch; `stale`: the handle in its value was of another job.
    pub fn apply(&mut self, allowed: &Allowed, target: Entity, wish: Wish, stale: bool, counts: &mut Counts) {
        let declared = match &wish {
            Wish::Set(component, _) => allowed.sets.contains(component),
            Wish::Add(component, _) => allowed.adds.contains(component),
            Wish::Remove(component) => allowed.removes.contains(component),
            Wish::Despawn => allowed.despawns,
        };
        if !declared {
            counts.refused += 1;
            return;
        }
        let Some(entity) = self.target(target) else {
            counts.stale += 1;
            return;
        };
        if let Wish::Set(component, bytes) | Wish::Add(component, bytes) = &wish {
            counts.stale += handles_stale(*component, stale && !has_bad_bool(*component, bytes));
        }
        match wish {
            Wish::Despawn if self.despawned.contains(&entity) => counts.stale += 1,
            Wish::Despawn => {
                counts.applied += 1;
                counts.despawned += 1;
                self.despawned.push(entity);
            }
            Wish::Set(component, bytes) | Wish::Add(component, bytes) if has_bad_bool(component, &bytes) => {
                counts.refused += 1;
            }
            Wish::Set(component, _) if self.world.value(entity, component).is_none() => counts.refused += 1,
            Wish::Set(component, bytes) | Wish::Add(component, bytes) => {
                // a set, or an add of what is there
                let set = self.world.value(entity, component).is_some();
                if set && !self.live_sets.insert((key(entity), component)) {
                    counts.overwritten += 1;
                } else {
                    counts.applied += 1;
                }
                self.world.write(entity, component, bytes, self.parity);
            }
            Wish::Remove(component) => {
                if self.world.remove(entity, component) {
                    self.live_sets.remove(&(key(entity), component));
                    counts.applied += 1;
                } else {
                    counts.absent += 1;
                }
            }
        }
    }

    pub fn set_score(&mut self, allowed: &Allowed, bytes: Vec<u8>, stale: bool, counts: &mut Counts) {
        if allowed.score {
            if std::mem::replace(&mut self.score_is_set, true) {
                counts.overwritten += 1;
            } else {
                counts.applied += 1;
            }
            counts.stale += u64::from(stale);
            self.world.resources[0] = Some(bytes);
        } else {
            counts.refused += 1;
        }
    }

    /// Despawned entities end, freed handles become free.
    pub fn finish(self) {
        for entity in self.despawned {
            self.world.kill(entity);
        }
        for entity in self.refused {
            self.world.release(entity);
        }
    }
}
