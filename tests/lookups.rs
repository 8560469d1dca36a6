//! Components that are written through a look-up are as if each had been set by itself, now and in later generations.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may")]

use hypostyle::{Bundle, Changed, Component, Entity, Publication, World, WorldError};
use proptest::prelude::*;

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Place {
    x: f64,
    cell: [u16; 3],
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Mass {
    kg: f32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(track_changes)]
struct Health {
    points: i32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Lit {
    glow: u8,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Marked;

const ENTITIES: usize = 3000;

/// Entities in six tables, some of them lit; one of ten is gone.
fn world() -> (World, Vec<Entity>) {
    let builder = World::builder().component::<Place>().component::<Mass>().component::<Health>();
    let mut world = builder.component::<Lit>().component::<Marked>().build().unwrap();
    let mut all = Vec::new();
    for i in 0..ENTITIES as u16 {
        let entity = world.spawn(place(i)).unwrap();
        if i % 3 > 0 {
            world.add(entity, Mass { kg: f32::from(i) }).unwrap();
        }
        if i % 2 > 0 {
            world.add(entity, Health { points: i32::from(i) }).unwrap();
        }
        if i % 5 == 0 {
            world.add(entity, Marked).unwrap();
        }
        if i % 7 < 3 {
            world.add(entity, Lit { glow: i as u8 }).unwrap();
        }
        all.push(entity);
    }
    all.iter().step_by(10).for_each(|entity| world.despawn(*entity).unwrap());
    (world, all)
}

fn place(n: u16) -> Place {
    Place { x: f64::from(n) / 3.0, cell: [n, 1, n / 2] }
}

type Values = (Option<Place>, Option<Mass>, Option<Health>, Option<Lit>);

fn all(world: &World, entities: &[Entity]) -> Vec<Values> {
    let get = |e: &Entity| (world.get(*e).ok(), world.get(*e).ok(), world.get(*e).ok(), world.get(*e).ok());
    entities.iter().map(get).collect()
}

fn changed(world: &World) -> Vec<Entity> {
    let mut found = Vec::new();
    world.query::<Changed<Health>>(|entities, _| found.extend_from_slice(entities)).unwrap();
    found
}

/// Sets through a look-up in one world and one by one in the other; how many were refused, in both for the same reason.
fn set<B: Bundle + Copy + std::fmt::Debug + PartialEq>(
    (looked, single): (&mut World, &mut World),
    entities: &[Entity],
    values: &[(usize, B)],
    forget: bool,
    one: impl Fn(&mut World, Entity, B) -> Result<(), WorldError>,
) -> usize {
    let mut refused = 0;
    let mut look = looked.lookup_mut::<B>().unwrap();
    for (i, value) in values {
        let (mine, theirs) = (look.set(entities[*i], *value), one(single, entities[*i], *value));
        assert_eq!(format!("{mine:?}"), format!("{theirs:?}"));
        refused += usize::from(mine.is_err());
        match mine {
            Ok(()) => assert_eq!(look.get(entities[*i]).unwrap(), *value),
            Err(_) => assert!(look.get(entities[*i]).is_err()),
        }
    }
    if forget {
        std::mem::forget(look);
    }
    refused
}

#[derive(Clone, Debug)]
enum Act {
    Place(Vec<(usize, u16)>, bool),
    Lit(Vec<(usize, u16)>, bool),
    Health(Vec<(usize, u16)>, bool),
    Both(Vec<(usize, u16)>, bool),
    WithTracked(Vec<(usize, u16)>, bool),
    Publish,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let some = || (prop::collection::vec((0..ENTITIES, any::<u16>()), 0..400), any::<bool>());
    let act = prop_oneof![
        some().prop_map(|(rows, forget)| Act::Place(rows, forget)),
        some().prop_map(|(rows, forget)| Act::Lit(rows, forget)),
        some().prop_map(|(rows, forget)| Act::Health(rows, forget)),
        some().prop_map(|(rows, forget)| Act::Both(rows, forget)),
        some().prop_map(|(rows, forget)| Act::WithTracked(rows, forget)),
        Just(Act::Publish),
        Just(Act::Publish),
    ];
    prop::collection::vec(act, 2..12)
}

/// Each value of a row made from its number.
fn made<B>(rows: &[(usize, u16)], value: impl Fn(u16) -> B) -> Vec<(usize, B)> {
    rows.iter().map(|(i, n)| (*i, value(*n))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_a_lookup_sets_is_what_single_calls_set(todo in acts()) {
        let ((mut looked, entities), (mut single, others)) = (world(), world());
        prop_assert_eq!(&entities, &others);
        let (mass, lit) = (|n| Mass { kg: f32::from(n) }, |n: u16| Lit { glow: n as u8 });
        let health = |n| Health { points: i32::from(n) };
        for act in &todo {
            let both = (&mut looked, &mut single);
            match act {
                Act::Publish => {
                    both.0.publish().unwrap();
                    both.1.publish().unwrap();
                }
                Act::Place(rows, forget) => _ = set(both, &entities, &made(rows, place), *forget, World::set),
                Act::Lit(rows, forget) => _ = set(both, &entities, &made(rows, lit), *forget, World::set),
                Act::Health(rows, forget) => _ = set(both, &entities, &made(rows, health), *forget, World::set),
                Act::Both(rows, forget) => {
                    _ = set(both, &entities, &made(rows, |n| (lit(n), Marked, mass(n))), *forget, |world, entity, value| {
                        world.get::<(Lit, Marked, Mass)>(entity)?;
                        world.set(entity, value.0)?;
                        world.set(entity, value.2)
                    });
                }
                Act::WithTracked(rows, forget) => {
                    _ = set(both, &entities, &made(rows, |n| (place(n), health(n))), *forget, |world, entity, value| {
                        world.get::<(Place, Health)>(entity)?;
                        world.set(entity, value.0)?;
                        world.set(entity, value.1)
                    });
                }
            }
            prop_assert!(all(&looked, &entities) == all(&single, &entities), "{act:?}");
            prop_assert_eq!(changed(&looked), changed(&single));
        }
        // what was written before is in the other copy of each column, too
        for _ in 0..2 {
            for world in [&mut looked, &mut single] {
                world.publish().unwrap();
                world.set(entities[1], place(7)).unwrap();
                world.set(entities[1], Health { points: 7 }).unwrap();
                world.set(entities[1], Mass { kg: 7.0 }).unwrap();
            }
            let hash = |world: &World| world.reader().unwrap().pin().unwrap().hash();
            prop_assert_eq!(hash(&looked), hash(&single));
            prop_assert!(all(&looked, &entities) == all(&single, &entities));
        }
    }
}

#[test]
fn what_is_not_there_is_refused_and_nothing_changes() {
    let (mut world, entities) = world();
    let before = all(&world, &entities);
    let mut look = world.lookup_mut::<(Place, Mass)>().unwrap();
    let value = (place(9), Mass { kg: 9.0 });
    assert!(matches!(look.set(entities[0], value), Err(WorldError::Stale { .. })));
    assert!(matches!(look.set(entities[3], value), Err(WorldError::Absent { .. })));
    let mut calls = 0;
    assert!(look.update(entities[3], |_| calls += 1).is_err());
    assert_eq!(calls, 0);
    drop(look);
    assert!(all(&world, &entities) == before);
    let mut look = world.lookup_mut::<(Place, Mass)>().unwrap();
    look.set(entities[1], value).unwrap();
    // the table is open, and still refuses those of others
    assert!(matches!(look.set(entities[3], value), Err(WorldError::Absent { .. })));
    look.update(entities[1], |(place, mass)| (place.x, mass.kg) = (1.5, mass.kg + 1.0)).unwrap();
    assert_eq!(look.get(entities[1]).unwrap(), (Place { x: 1.5, cell: [9, 1, 4] }, Mass { kg: 10.0 }));
    drop(look);
    let twice = world.lookup_mut::<(Mass, Mass)>().err().map(|error| error.to_string());
    assert!(twice.is_some_and(|error| error.contains("Mass") || error.contains("mass")));
}

#[test]
fn no_column_but_those_that_were_written_counts_as_changed() {
    let (mut world, entities) = world();
    world.publish().unwrap();
    let Publication::Published(before) = world.publish().unwrap() else { panic!("nobody holds anything") };
    let mut look = world.lookup_mut::<Place>().unwrap();
    look.set(entities[1], place(3)).unwrap();
    assert!(look.set(entities[0], place(3)).is_err());
    look.get(entities[2]).unwrap();
    drop(look);
    world.publish().unwrap();
    let mut reader = world.reader().unwrap();
    let snapshot = reader.pin().unwrap();
    let changed: Vec<_> = snapshot.changed_since(before).map(|column| column.name.to_string()).collect();
    assert_eq!(changed, ["place.x", "place.cell"]);
}
