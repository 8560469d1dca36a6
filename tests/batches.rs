//! Components of many entities at once do what one call for each does, or nothing.
#![expect(clippy::unwrap_used, reason = "a test may")]

use hypostyle::{Changed, Component, Entity, World, WorldError};
use proptest::prelude::*;

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Place {
    x: f64,
    cell: [u16; 3],
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(track_changes)]
struct Mass {
    kg: f32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Lit {
    glow: u8,
    on: bool,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Marked;

fn world(entities: usize) -> (World, Vec<Entity>) {
    let builder = World::builder().component::<Place>().component::<Mass>().component::<Lit>().component::<Marked>();
    let mut world = builder.build().unwrap();
    let place = |i: usize| Place { x: i as f64, cell: [i as u16; 3] };
    let mut all = world.spawn_batch((0..entities / 2).map(|i| (place(i), Mass { kg: 1.0 }))).unwrap();
    all.extend(world.spawn_batch((entities / 2..entities).map(place)).unwrap());
    (world, all)
}

type Known = (Option<Place>, Option<Mass>, Option<Lit>, bool);

fn all(world: &World, entities: &[Entity]) -> Vec<Known> {
    let get = |e: &Entity| {
        (world.get::<Place>(*e).ok(), world.get::<Mass>(*e).ok(), world.get::<Lit>(*e).ok(), world.has::<Marked>(*e))
    };
    entities.iter().map(get).collect()
}

fn changed(world: &World) -> Vec<Entity> {
    let mut found = Vec::new();
    world.query::<Changed<Mass>>(|entities, _| found.extend_from_slice(entities)).unwrap();
    found.sort_unstable();
    found
}

#[derive(Clone, Debug)]
enum Act {
    SetPlace(Vec<(usize, u16)>),
    SetMass(Vec<(usize, u16)>),
    AddMass(Vec<(usize, u16)>),
    AddLit(Vec<(usize, u16)>),
    Mark(Vec<(usize, u16)>),
    RemoveMass(Vec<(usize, u16)>),
    RemoveLit(Vec<(usize, u16)>),
    Publish,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let some = || prop::collection::vec((0usize..1500, any::<u16>()), 0..1300);
    let act = prop_oneof![
        some().prop_map(Act::SetPlace),
        some().prop_map(Act::SetMass),
        some().prop_map(Act::AddMass),
        some().prop_map(Act::AddLit),
        some().prop_map(Act::Mark),
        some().prop_map(Act::RemoveMass),
        some().prop_map(Act::RemoveLit),
        Just(Act::Publish),
    ];
    prop::collection::vec(act, 1..6)
}

fn place(n: u16) -> Place {
    Place { x: f64::from(n) / 3.0, cell: [n, 1, n / 2] }
}

fn mass(n: u16) -> Mass {
    Mass { kg: f32::from(n) }
}

fn lit(n: u16) -> Lit {
    Lit { glow: n as u8, on: n & 256 != 0 }
}

/// Does it by batches in one world, one by one in the other; what has to be there is.
fn act(act: &Act, batch: (&mut World, &[Entity]), single: (&mut World, &[Entity])) {
    let ((batch, own), (single, other)) = (batch, single);
    match act {
        Act::SetPlace(rows) => {
            batch.set_batch(rows.iter().map(|(i, n)| (own[*i], place(*n)))).unwrap();
            rows.iter().for_each(|(i, n)| single.set(other[*i], place(*n)).unwrap());
        }
        Act::SetMass(rows) => {
            let rows: Vec<_> = rows.iter().filter(|(i, _)| single.has::<Mass>(other[*i])).collect();
            batch.set_batch(rows.iter().map(|(i, n)| (own[*i], mass(*n)))).unwrap();
            rows.iter().for_each(|(i, n)| single.set(other[*i], mass(*n)).unwrap());
        }
        Act::AddMass(rows) => {
            batch.add_batch(rows.iter().map(|(i, n)| (own[*i], mass(*n)))).unwrap();
            rows.iter().for_each(|(i, n)| single.add(other[*i], mass(*n)).unwrap());
        }
        Act::AddLit(rows) => {
            batch.add_batch(rows.iter().map(|(i, n)| (own[*i], lit(*n)))).unwrap();
            rows.iter().for_each(|(i, n)| single.add(other[*i], lit(*n)).unwrap());
        }
        Act::Mark(rows) => {
            batch.add_batch(rows.iter().map(|(i, _)| (own[*i], Marked))).unwrap();
            rows.iter().for_each(|(i, _)| single.add(other[*i], Marked).unwrap());
        }
        Act::RemoveMass(rows) => {
            let entities: Vec<Entity> = rows.iter().map(|(i, _)| own[*i]).collect();
            let removed = batch.remove_batch::<Mass>(&entities).unwrap();
            let had = rows.iter().filter(|(i, _)| single.remove::<Mass>(other[*i]).unwrap()).count();
            assert_eq!(removed, had as u64);
        }
        Act::RemoveLit(rows) => {
            let entities: Vec<Entity> = rows.iter().map(|(i, _)| own[*i]).collect();
            batch.remove_batch::<Lit>(&entities).unwrap();
            rows.iter().for_each(|(i, _)| _ = single.remove::<Lit>(other[*i]).unwrap());
        }
        Act::Publish => {
            batch.publish().unwrap();
            single.publish().unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn batches_are_what_single_calls_are(todo in acts()) {
        let ((mut batch, own), (mut single, other)) = (world(1500), world(1500));
        for one in &todo {
            act(one, (&mut batch, &own), (&mut single, &other));
            prop_assert!(all(&batch, &own) == all(&single, &other), "{one:?}");
            prop_assert_eq!(changed(&batch).len(), changed(&single).len());
        }
        let places: Vec<Place> = own.iter().rev().map(|entity| batch.get::<Place>(*entity).unwrap()).collect();
        let turned: Vec<Entity> = own.iter().rev().copied().collect();
        prop_assert!(batch.get_batch::<Place>(&turned).unwrap() == places);
    }
}

#[test]
fn what_cannot_be_for_one_is_done_to_none() {
    let (mut world, entities) = world(1000);
    let before = all(&world, &entities);
    // the last one has no mass
    let error = world.set_batch(entities.iter().map(|entity| (*entity, mass(7)))).unwrap_err();
    assert!(matches!(error, WorldError::Absent { entity, .. } if entity == entities[500]), "{error}");
    assert!(all(&world, &entities) == before);
    let gone = world.spawn(place(1)).unwrap();
    world.despawn(gone).unwrap();
    let with_gone: Vec<Entity> = entities.iter().copied().chain([gone]).collect();
    for error in [
        world.set_batch(with_gone.iter().map(|entity| (*entity, place(7)))).unwrap_err(),
        world.add_batch(with_gone.iter().map(|entity| (*entity, mass(7)))).unwrap_err(),
        world.remove_batch::<Mass>(&with_gone).unwrap_err(),
        world.get_batch::<Place>(&with_gone).unwrap_err(),
    ] {
        assert!(matches!(error, WorldError::Stale { entity, .. } if entity == gone), "{error}");
        assert!(all(&world, &entities) == before);
    }
    assert!(world.get_batch::<(Place, Mass)>(&entities).is_err());
    // of nobody is nothing
    world.set_batch(std::iter::empty::<(Entity, Mass)>()).unwrap();
    world.add_batch(std::iter::empty::<(Entity, Mass)>()).unwrap();
    assert_eq!(world.remove_batch::<Mass>(&[]).unwrap(), 0);
}
