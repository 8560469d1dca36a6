//! Rows that travel between worlds, and hashes by global ids, against a naive model: everything of each entity, by id.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::{BTreeMap, BTreeSet};

use hypostyle::{
    Changed, Component, Dangling, Entity, Field, GlobalId, IdHashError, List, Read, RowBatch, RowBatchError, World,
    WorldBuilder,
};
use proptest::prelude::*;

#[derive(Field, Clone, Copy, Debug, PartialEq)]
struct Place {
    x: f32,
    y: f64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Body {
    at: Place,
    on: bool,
    links: [Entity; 2],
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Heavy {
    kg: [u16; 3],
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Tag;
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle", track_changes)]
struct Hot {
    by: Entity,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(track_changes)]
struct Count {
    n: u64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "list")]
struct Contact {
    other: Entity,
    on: bool,
    spring: [f32; 2],
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "scratch")]
struct Kept {
    n: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "scratch_list")]
struct Draft {
    value: u8,
}

fn builder() -> WorldBuilder {
    let builder = World::builder().component::<GlobalId>().component::<Body>().component::<Heavy>().component::<Tag>();
    let builder = builder.component::<Hot>().component::<Count>().component::<Contact>();
    builder.component::<Kept>().component::<Draft>()
}

/// What an entity is made of: its place in `all` is its id.
#[derive(Clone, Debug)]
struct Made {
    kind: u8,
    hot: bool,
    counted: bool,
    group: u8,
    links: Vec<usize>,
}

fn made() -> impl Strategy<Value = Vec<Made>> {
    let one = (0u8..6, any::<bool>(), any::<bool>(), 0u8..4, prop::collection::vec(0usize..60, 0..6));
    let made = |(kind, hot, counted, group, links)| Made { kind, hot, counted, group, links };
    prop::collection::vec(one.prop_map(made), 0..60)
}

/// Makes the entities; each names only those that `may` says.
fn world(all: &[Made], may: impl Fn(&Made, &Made) -> bool) -> World {
    let mut world = builder().build().unwrap();
    let body = |i: usize| Body {
        at: Place { x: i as f32, y: -0.5 * i as f64 },
        on: i.is_multiple_of(3),
        links: [Entity::NULL; 2],
    };
    let mut entities = Vec::new();
    for (i, made) in all.iter().enumerate() {
        let id = GlobalId::root(i as u64).child(3, 1);
        let count = Count { n: 0 };
        let entity = match made.kind {
            0 => world.spawn((id, body(i), count)),
            1 => world.spawn((id, body(i), Heavy { kg: [i as u16, 2, 3] }, List::<Contact>::new(), count)),
            2 => world.spawn((id, Tag)),
            3 => world.spawn((id, body(i), Kept { n: i as u32 }, List::<Draft>::new())),
            4 => world.spawn((id, List::<Contact>::new())),
            _ => world.spawn((id, body(i), List::<Contact>::new(), count, Tag)),
        };
        entities.push(entity.unwrap());
    }
    // the changed rows are those of the frame: none of what was just made
    world.publish().unwrap();
    for (i, made) in all.iter().enumerate() {
        let named: Vec<Entity> = made
            .links
            .iter()
            .map(|link| match all.get(*link) {
                Some(target) if may(made, target) => entities[*link],
                _ => Entity::NULL,
            })
            .collect();
        if world.has::<Body>(entities[i])
            && let [a, b, ..] = named[..]
        {
            world.set(entities[i], Body { links: [a, b], ..body(i) }).unwrap();
        }
        if world.has::<Contact>(entities[i]) {
            let contact = |(n, other): (usize, &Entity)| Contact { other: *other, on: n == 1, spring: [i as f32, 1.5] };
            let list: Vec<Contact> = named.iter().enumerate().map(contact).collect();
            world.set_list(entities[i], &list).unwrap();
        }
        if world.has::<Draft>(entities[i]) {
            let list: Vec<Draft> = made.links.iter().map(|link| Draft { value: *link as u8 }).collect();
            world.set_list(entities[i], &list).unwrap();
        }
        if made.hot {
            world.add(entities[i], Hot { by: named.first().copied().unwrap_or(Entity::NULL) }).unwrap();
        }
        if made.counted && world.has::<Count>(entities[i]) {
            world.set(entities[i], Count { n: i as u64 }).unwrap();
        }
    }
    world
}

/// Everything of each entity, by id, handles as ids.
fn described(world: &World) -> BTreeMap<u64, String> {
    let mut own = BTreeMap::new();
    world
        .query::<Read<GlobalId>>(|entities, ids| own.extend(ids.value.iter().copied().zip(entities.to_vec())))
        .unwrap();
    let id = |entity: Entity| world.get::<GlobalId>(entity).ok().map(|id| id.value);
    let mut changed = BTreeSet::new();
    world.query::<Changed<Hot>>(|entities, ()| changed.extend(entities.iter().map(|entity| (*entity, 0)))).unwrap();
    world.query::<Changed<Count>>(|entities, ()| changed.extend(entities.iter().map(|entity| (*entity, 1)))).unwrap();
    let describe = |entity: Entity| {
        let body = world.get::<Body>(entity).ok();
        let body = body.map(|body| (body.at, body.on, body.links.map(id)));
        let hot = world.get::<Hot>(entity).ok().map(|hot| id(hot.by));
        let contacts = world.list::<Contact>(entity).ok();
        let contacts = contacts.map(|list| list.iter().map(|c| (id(c.other), c.on, c.spring)).collect::<Vec<_>>());
        let others = (world.get::<Heavy>(entity).ok(), world.get::<Count>(entity).ok(), world.has::<Tag>(entity));
        let scratch = (world.get::<Kept>(entity).ok(), world.list::<Draft>(entity).ok());
        let changed = [changed.contains(&(entity, 0)), changed.contains(&(entity, 1))];
        format!("{body:?} {hot:?} {contacts:?} {others:?} {scratch:?} {changed:?}")
    };
    own.into_iter().map(|(id, entity)| (id, describe(entity))).collect()
}

/// Rows of each table whose entities belong to these groups.
fn rows_of(world: &World, all: &[Made], from_group: u8) -> Vec<(usize, Vec<u32>)> {
    let group: BTreeMap<u64, u8> =
        all.iter().enumerate().map(|(i, made)| (GlobalId::root(i as u64).child(3, 1).value, made.group)).collect();
    let rows = |table: usize| {
        let entities = world.table_entities(table).iter();
        let is_of = |entity: &Entity| group[&world.get::<GlobalId>(*entity).unwrap().value] >= from_group;
        // in another order than they have
        let rows: Vec<u32> = (0..).zip(entities).filter(|(_, entity)| is_of(entity)).map(|(row, _)| row).collect();
        rows.into_iter().rev().collect()
    };
    (0..world.table_count()).map(|table| (table, rows(table))).collect()
}

/// Takes rows of all tables. Handles into them are gone once the first ones have left, so that all are copied first.
fn take(world: &mut World, rows: &[(usize, Vec<u32>)]) -> Vec<Vec<u8>> {
    let batches = rows.iter().map(|(table, rows)| world.copy_rows(*table, rows).unwrap().encode()).collect();
    rows.iter().for_each(|(table, rows)| world.remove_rows(*table, rows).unwrap());
    batches
}

fn decoded(world: &World, batches: &[Vec<u8>]) -> Vec<RowBatch> {
    batches.iter().map(|bytes| world.decode_rows(bytes).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn rows_that_leave_and_come_back_are_what_they_were(all in made(), from_group in 1u8..4) {
        // nobody who stays names one who leaves
        let mut here = world(&all, |own, target| own.group >= from_group || target.group < from_group);
        let (before, hash) = (described(&here), here.hash_by_id().unwrap());
        let rows = rows_of(&here, &all, from_group);
        let batches = take(&mut here, &rows);
        let left = all.iter().filter(|made| made.group < from_group).count();
        prop_assert_eq!(here.entity_count(), left as u64);
        let batches = decoded(&here, &batches);
        let entities = here.put_rows(&batches, Dangling::Refuse).unwrap();
        prop_assert_eq!(entities.len() + left, all.len());
        prop_assert_eq!(described(&here), before);
        prop_assert_eq!(here.hash_by_id().unwrap(), hash);
        here.publish().unwrap();
        let mut reader = here.reader().unwrap();
        let snapshot = reader.pin().unwrap();
        snapshot.check().unwrap();
        prop_assert_eq!(snapshot.hash_by_id().unwrap(), hash);
    }

    #[test]
    fn parts_of_a_state_come_to_its_hash(all in made(), from_group in 1u8..4) {
        let mut here = world(&all, |own, target| (own.group >= from_group) == (target.group >= from_group));
        let (before, hash) = (described(&here), here.hash_by_id().unwrap());
        let rows = rows_of(&here, &all, from_group);
        let batches = take(&mut here, &rows);
        // tables are made where there are none
        let mut there = builder().build().unwrap();
        let batches = decoded(&there, &batches);
        let names: Vec<u64> = batches.iter().flat_map(ids_of).collect();
        let entities = there.put_rows(&batches, Dangling::Refuse).unwrap();
        let found: Vec<u64> = entities.iter().map(|entity| there.get::<GlobalId>(*entity).unwrap().value).collect();
        prop_assert_eq!(found, names, "entities are returned in the order of batches and rows");
        let mut both = described(&here);
        both.extend(described(&there));
        prop_assert_eq!(both, before);
        prop_assert_eq!(here.hash_by_id().unwrap().combine(there.hash_by_id().unwrap()), Some(hash));
    }

    #[test]
    fn bytes_of_anybody_are_refused_or_harmless(
        all in made(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut here = world(&all, |_, _| true);
        let rows = rows_of(&here, &all, 2);
        for (table, rows) in rows {
            let mut bytes = here.copy_rows(table, &rows).unwrap().encode();
            for (place, value) in &places {
                // the head more often than chance would have it
                let at = if value.is_multiple_of(2) { place.index(40.min(bytes.len())) } else { place.index(bytes.len()) };
                bytes[at] ^= value;
            }
            if let Some(cut) = &cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(batch) = here.decode_rows(&bytes) {
                prop_assert_eq!(batch.encode(), bytes);
                here.put_rows(&[batch], Dangling::Null).unwrap();
                here.publish().unwrap();
                here.reader().unwrap().pin().unwrap().check().unwrap();
            }
        }
    }
}

fn ids_of(batch: &RowBatch) -> Vec<u64> {
    let (_, bytes) = batch.column("global_id.value").unwrap();
    bytes.chunks_exact(8).map(|id| u64::from_le_bytes(id.try_into().unwrap())).collect()
}

fn body(link: Entity) -> Body {
    Body { at: Place { x: 0.0, y: 0.0 }, on: false, links: [link, Entity::NULL] }
}

#[test]
fn handles_that_lead_nowhere_are_told_of() {
    let (mut here, mut there) = (builder().build().unwrap(), builder().build().unwrap());
    let target = here.spawn(GlobalId::root(77)).unwrap();
    here.spawn((GlobalId::root(1), body(target))).unwrap();
    let batch = here.take_rows(1, &[0]).unwrap();
    let refused = there.put_rows(std::slice::from_ref(&batch), Dangling::Refuse).unwrap_err();
    assert!(matches!(&refused, RowBatchError::Dangling { component, id: 77 } if component == "body"), "{refused}");
    assert_eq!(there.entity_count(), 0, "nothing has changed");
    let made_null = there.put_rows(std::slice::from_ref(&batch), Dangling::Null).unwrap();
    assert_eq!(there.get::<Body>(made_null[0]).unwrap().links, [Entity::NULL; 2]);
    // where it is, it is found
    there.despawn(made_null[0]).unwrap();
    let named = there.spawn(GlobalId::root(77)).unwrap();
    let linked = there.put_rows(&[batch], Dangling::Refuse).unwrap();
    assert_eq!(there.get::<Body>(linked[0]).unwrap().links, [named, Entity::NULL]);

    let nameless = here.spawn(Tag).unwrap();
    let names_it = here.spawn((GlobalId::root(2), body(nameless))).unwrap();
    let refused = here.take_rows(1, &[0]).unwrap_err();
    assert!(
        matches!(&refused, RowBatchError::NoId { entity, target, .. } if (*entity, *target) == (names_it, nameless)),
        "{refused}"
    );
    assert!(here.contains(names_it));
    assert!(matches!(here.take_rows(1, &[0, 0]), Err(RowBatchError::Row { row: 0, rows: 1, .. })));
    assert!(matches!(here.take_rows(1, &[1]), Err(RowBatchError::Row { row: 1, rows: 1, .. })));
    let other = World::builder().component::<GlobalId>().build().unwrap();
    let bytes = here.copy_rows(0, &[0]).unwrap().encode();
    assert!(matches!(other.decode_rows(&bytes), Err(RowBatchError::Layout { .. })));
}

#[test]
fn rows_come_in_whole_or_not_at_all() {
    let make = |bytes| World::builder().component::<GlobalId>().component::<Heavy>().bytes_max(bytes).build().unwrap();
    let mut large = make(64 << 20);
    let heavy = |i| (GlobalId::root(i), Heavy { kg: [i as u16; 3] });
    large.spawn_batch((0..400_000).map(heavy)).unwrap();
    let rows: Vec<u32> = (0..400_000).collect();
    let all = large.copy_rows(0, &rows).unwrap();
    let few = large.copy_rows(0, &rows[..10]).unwrap();
    let mut small = make(2 << 20);
    let refused = small.put_rows(&[few.clone(), all], Dangling::Refuse).unwrap_err();
    assert!(matches!(refused, RowBatchError::World(_)), "{refused}");
    assert_eq!(small.entity_count(), 0);
    assert_eq!(small.put_rows(&[few], Dangling::Refuse).unwrap().len(), 10);
    assert_eq!(small.hash_by_id().unwrap().rows(), 10);
}

#[test]
fn the_hash_by_id_is_of_values_and_ids_alone() {
    let mut one = builder().build().unwrap();
    let spawn = |world: &mut World, n: u64| world.spawn((GlobalId::root(n), Heavy { kg: [n as u16, 0, 0] })).unwrap();
    let own: Vec<Entity> = (0..5).map(|n| spawn(&mut one, n)).collect();
    let hash = one.hash_by_id().unwrap();
    let mut other = builder().build().unwrap();
    let gone = spawn(&mut other, 9);
    other.despawn(gone).unwrap();
    for n in (0..5).rev() {
        spawn(&mut other, n);
    }
    assert_eq!(other.hash_by_id().unwrap(), hash);
    assert_eq!(hash.to_string().len(), 32);
    one.set(own[2], Heavy { kg: [2, 0, 1] }).unwrap();
    assert_ne!(one.hash_by_id().unwrap(), hash);
    one.set(own[2], Heavy { kg: [2, 0, 0] }).unwrap();
    one.add(own[2], Tag).unwrap();
    assert_ne!(one.hash_by_id().unwrap(), hash, "a tag is part of it");
    one.remove::<Tag>(own[2]).unwrap();
    assert_eq!(one.hash_by_id().unwrap(), hash);
    let twice = spawn(&mut one, 3);
    let (first, second) = (own[3], twice);
    assert_eq!(one.hash_by_id(), Err(IdHashError::Twice { id: 3, first, second }));
    one.despawn(twice).unwrap();
    let nameless = one.spawn(Tag).unwrap();
    assert_eq!(one.hash_by_id(), Err(IdHashError::NoId { entity: nameless }));
    let mut none = World::builder().component::<Tag>().build().unwrap();
    none.spawn(Tag).unwrap();
    assert_eq!(none.hash_by_id(), Err(IdHashError::NoComponent));
}
