//! Direct changes of single entities, against a plain list.
#![forbid(unsafe_code)]

use proptest::prelude::*;

#[cfg(unix)]
use crate::RegionTarget;
use crate::{Bundle, Component, Entity, Plain, Read, With, World, WorldError};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Mass {
    kg: f32,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Place {
    x: f64,
    cell: [u8; 3],
    y: i16,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Named;

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Hot {
    since: f32,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(track_changes)]
struct Age {
    frames: u32,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Unknown {
    value: u8,
}

fn place(seed: u32) -> Place {
    Place { x: f64::from(seed), cell: [seed as u8, 1, 2], y: seed as i16 }
}

fn world() -> World {
    let world = World::builder().component::<Mass>().component::<Place>().component::<Named>();
    world.component::<Hot>().component::<Age>().bytes_max(64 << 20).build().unwrap()
}

/// What an entity should have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Want {
    mass: Option<Mass>,
    place: Option<Place>,
    named: Option<Named>,
    hot: Option<Hot>,
    age: Option<Age>,
}

fn have<B: Bundle>(world: &World, entity: Entity) -> Option<B> {
    let got = world.get::<B>(entity);
    let looked = world.lookup::<B>().unwrap().get(entity);
    assert_eq!(got.is_ok(), looked.is_ok());
    match got {
        Ok(value) => Some(value),
        Err(WorldError::Absent { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

fn check(world: &World, all: &[(Entity, Want)]) {
    assert_eq!(world.entity_count(), all.len() as u64);
    let look = (
        world.lookup::<Mass>().unwrap(),
        world.lookup::<Place>().unwrap(),
        world.lookup::<Named>().unwrap(),
        world.lookup::<Hot>().unwrap(),
        world.lookup::<Age>().unwrap(),
    );
    for (entity, want) in all {
        let looked = Want {
            mass: look.0.get(*entity).ok(),
            place: look.1.get(*entity).ok(),
            named: look.2.get(*entity).ok(),
            hot: look.3.get(*entity).ok(),
            age: look.4.get(*entity).ok(),
        };
        assert_eq!(looked, *want, "{entity} by a look-up");
        let got = Want {
            mass: world.get(*entity).ok(),
            place: world.get(*entity).ok(),
            named: world.get(*entity).ok(),
            hot: world.get(*entity).ok(),
            age: world.get(*entity).ok(),
        };
        assert_eq!(got, *want, "{entity}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Every so many entities from one on.
    Each(What, usize, usize),
    Spawn(u8, usize),
    Batch(u8, usize),
    Publish,
}

#[derive(Clone, Copy, Debug)]
enum What {
    SetMass,
    SetPlace,
    SetHot,
    SetAge,
    AddMass,
    AddPlace,
    AddNamed,
    AddHot,
    AddAge,
    RemoveMass,
    RemovePlace,
    RemoveNamed,
    RemoveHot,
    Despawn,
}

fn ops() -> impl Strategy<Value = Op> {
    use What::*;
    let what = prop::sample::select(vec![
        SetMass,
        SetPlace,
        SetHot,
        SetAge,
        AddMass,
        AddPlace,
        AddNamed,
        AddHot,
        AddAge,
        RemoveMass,
        RemovePlace,
        RemoveNamed,
        RemoveHot,
        Despawn,
    ]);
    prop_oneof![
        6 => (what, 0usize..1500, 1usize..40).prop_map(|(what, from, step)| Op::Each(what, from, step)),
        1 => (0u8..3, 1usize..20).prop_map(|(kind, n)| Op::Spawn(kind, n)),
        1 => (0u8..3, 0usize..700).prop_map(|(kind, n)| Op::Batch(kind, n)),
        3 => Just(Op::Publish),
    ]
}

fn spawn(world: &mut World, kind: u8, n: usize, batch: bool, seed: u32, all: &mut Vec<(Entity, Want)>) {
    let mass = |i: usize| Mass { kg: (seed as usize + i) as f32 };
    let at = |i: usize| place(seed + i as u32);
    fn some<B: Bundle>(world: &mut World, batch: bool, bundles: impl Iterator<Item = B>) -> Vec<Entity> {
        if batch {
            // the hint says nothing
            let mut bundles = bundles;
            world.spawn_batch(std::iter::from_fn(|| bundles.next())).unwrap()
        } else {
            bundles.map(|bundle| world.spawn(bundle).unwrap()).collect()
        }
    }
    let entities = match kind {
        0 => some(world, batch, (0..n).map(mass)),
        1 => some(world, batch, (0..n).map(|i| (at(i), mass(i)))),
        _ => some(world, batch, (0..n).map(|i| (mass(i), Named, Hot { since: 1.0 }))),
    };
    assert_eq!(entities.len(), n);
    all.extend(entities.into_iter().enumerate().map(|(i, entity)| {
        let mut want = Want { mass: Some(mass(i)), ..Want::default() };
        match kind {
            0 => {}
            1 => want.place = Some(at(i)),
            _ => (want.named, want.hot) = (Some(Named), Some(Hot { since: 1.0 })),
        }
        (entity, want)
    }));
}

fn change(world: &mut World, what: What, entity: Entity, want: &mut Want, seed: u32) {
    fn set<C: Component>(world: &mut World, entity: Entity, value: C, want: &mut Option<C>) {
        match world.set(entity, value) {
            Ok(()) => *want = want.map(|_| value),
            Err(WorldError::Absent { .. }) => assert!(want.is_none()),
            Err(error) => panic!("{error}"),
        }
    }
    fn add<C: Component>(world: &mut World, entity: Entity, value: C, want: &mut Option<C>) {
        world.add(entity, value).unwrap();
        *want = Some(value);
    }
    fn remove<C: Component>(world: &mut World, entity: Entity, want: &mut Option<C>) {
        assert_eq!(world.remove::<C>(entity).unwrap(), want.is_some());
        *want = None;
    }
    let (mass, hot, age) = (Mass { kg: seed as f32 }, Hot { since: seed as f32 }, Age { frames: seed });
    match what {
        What::SetMass => set(world, entity, mass, &mut want.mass),
        What::SetPlace => set(world, entity, place(seed), &mut want.place),
        What::SetHot => set(world, entity, hot, &mut want.hot),
        What::SetAge => set(world, entity, age, &mut want.age),
        What::AddMass => add(world, entity, mass, &mut want.mass),
        What::AddPlace => add(world, entity, place(seed), &mut want.place),
        What::AddNamed => add(world, entity, Named, &mut want.named),
        What::AddHot => add(world, entity, hot, &mut want.hot),
        What::AddAge => add(world, entity, age, &mut want.age),
        What::RemoveMass => remove(world, entity, &mut want.mass),
        What::RemovePlace => remove(world, entity, &mut want.place),
        What::RemoveNamed => remove(world, entity, &mut want.named),
        What::RemoveHot => remove(world, entity, &mut want.hot),
        What::Despawn => unreachable!("not a change of components"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 48 }, ..ProptestConfig::default() })]
    #[test]
    fn direct_changes_survive_generations(ops in prop::collection::vec(ops(), 1..40)) {
        let mut world = world();
        let mut all = Vec::new();
        spawn(&mut world, 0, 1500, true, 0, &mut all);
        spawn(&mut world, 1, 300, true, 7, &mut all);
        for (seed, op) in (1000u32..).step_by(1000).zip(ops) {
            match op {
                Op::Publish => {
                    world.publish().unwrap();
                }
                Op::Spawn(kind, n) => spawn(&mut world, kind, n, false, seed, &mut all),
                Op::Batch(kind, n) => spawn(&mut world, kind, n, true, seed, &mut all),
                Op::Each(What::Despawn, from, step) => {
                    let mut index = 0;
                    all.retain(|(entity, _)| {
                        index += 1;
                        let goes = index > from && (index - from).is_multiple_of(step + 3);
                        if goes {
                            world.despawn(*entity).unwrap();
                            assert!(matches!(world.get::<Mass>(*entity), Err(WorldError::Stale { .. })));
                            assert!(matches!(world.set(*entity, Mass { kg: 0.0 }), Err(WorldError::Stale { .. })));
                            assert!(matches!(world.despawn(*entity), Err(WorldError::Stale { .. })));
                        }
                        !goes
                    });
                }
                Op::Each(what, from, step) => {
                    for (index, (entity, want)) in all.iter_mut().enumerate().skip(from).step_by(step) {
                        change(&mut world, what, *entity, want, seed + index as u32);
                    }
                }
            }
        }
        check(&world, &all);
        // every column's other version is brought up to date and shown
        for _ in 0..2 {
            world.publish().unwrap();
            if let Some((entity, want)) = all.first_mut() {
                change(&mut world, What::AddMass, *entity, want, 1);
                change(&mut world, What::AddPlace, *entity, want, 2);
                change(&mut world, What::AddHot, *entity, want, 3);
                change(&mut world, What::RemovePlace, *entity, want, 4);
            }
            check(&world, &all);
        }
    }
}

/// What stood in a row's memory before goes to no reader where a toggle is absent.
#[test]
fn toggles_that_rows_were_not_given_are_zero() {
    let mut world = world();
    let (hot, cold) = (Hot { since: 7.0 }, Mass { kg: 1.0 });
    let hot = [(); 6].map(|()| world.spawn((cold, place(1), hot)).unwrap());
    hot.into_iter().for_each(|entity| world.despawn(entity).unwrap());
    // two come as they are, three come from a table that knows no such toggle, the first of them in the general way
    let [_, _] = [(); 2].map(|()| world.spawn((cold, place(2))).unwrap());
    let moved = [(); 3].map(|()| world.spawn(cold).unwrap());
    moved.into_iter().for_each(|entity| world.add(entity, place(3)).unwrap());
    world.publish().unwrap();
    let mut reader = world.reader().unwrap();
    let snapshot = reader.pin().unwrap();
    let columns = snapshot.tables().filter_map(|table| table.column::<f32>("hot.since").unwrap().map(<[f32]>::to_vec));
    assert_eq!(columns.collect::<Vec<_>>(), [vec![0.0; 5]]);
}

#[test]
fn several_components_are_looked_up_at_once() {
    let mut world = world();
    let both = world.spawn((Mass { kg: 1.0 }, place(2))).unwrap();
    let one = world.spawn(Mass { kg: 3.0 }).unwrap();
    let hot = world.spawn((Mass { kg: 4.0 }, Hot { since: 5.0 }, Named)).unwrap();
    assert_eq!(have::<(Mass, Place)>(&world, both), Some((Mass { kg: 1.0 }, place(2))));
    assert_eq!(have::<(Place, (Mass,))>(&world, both), Some((place(2), (Mass { kg: 1.0 },))));
    assert_eq!(have::<(Mass, Place)>(&world, one), None);
    assert_eq!(have::<(Named, Hot)>(&world, hot), Some((Named, Hot { since: 5.0 })));
    world.remove::<Hot>(hot).unwrap();
    assert_eq!(have::<(Named, Hot)>(&world, hot), None);
    assert_eq!(have::<()>(&world, one), Some(()));
    world.despawn(one).unwrap();
    assert!(matches!(world.get::<()>(one), Err(WorldError::Stale { .. })));
    assert!(matches!(world.lookup::<Mass>().unwrap().get(one), Err(WorldError::Stale { .. })));
    assert!(matches!(world.lookup::<Mass>().unwrap().get(Entity::NULL), Err(WorldError::Stale { .. })));
    assert!(matches!(world.get::<(Mass, Unknown)>(both), Err(WorldError::UnknownComponent { .. })));
    assert!(matches!(world.lookup::<Unknown>(), Err(WorldError::UnknownComponent { .. })));
}

#[test]
fn a_batch_is_despawned_whole_or_not_at_all() {
    let mut world = world();
    let kinds: Vec<Entity> = (0..60_u32)
        .map(|index| match index % 3 {
            0 => world.spawn((Mass { kg: index as f32 }, place(index))).unwrap(),
            1 => world.spawn((Mass { kg: index as f32 }, Hot { since: 1.0 })).unwrap(),
            _ => world.spawn(Mass { kg: index as f32 }).unwrap(),
        })
        .collect();
    // single ends, in the same order, are the naive twin
    let dead = kinds[7];
    world.despawn(dead).unwrap();
    world.publish().unwrap();
    let all: Vec<Entity> = kinds.iter().copied().filter(|entity| *entity != dead).collect();
    assert!(matches!(world.despawn_batch(&kinds), Err(WorldError::Stale { entity }) if entity == dead));
    assert_eq!(world.entity_count(), 59);
    assert!(all.iter().all(|entity| world.contains(*entity)));
    // unsorted, with a repeat
    let goes: Vec<Entity> = all.iter().rev().step_by(2).chain([&all[58]]).copied().collect();
    world.despawn_batch(&goes).unwrap();
    world.despawn_batch(&[]).unwrap();
    assert_eq!(world.entity_count(), 29);
    for (index, entity) in kinds.iter().enumerate() {
        let lives = *entity != dead && !goes.contains(entity);
        assert_eq!(world.contains(*entity), lives);
        if lives {
            assert_eq!(have::<Mass>(&world, *entity), Some(Mass { kg: index as f32 }));
            assert_eq!(have::<Place>(&world, *entity).is_some(), index % 3 == 0);
        }
    }
    let rest: Vec<Entity> = all.iter().copied().filter(|entity| !goes.contains(entity)).collect();
    world.despawn_batch(&rest).unwrap();
    assert_eq!(world.entity_count(), 0);
    assert_eq!(world.spawn(Named).unwrap().index(), 0, "the lowest free index comes first");
}

#[test]
fn columns_of_many_entities_are_set_whole_or_not_at_all() {
    let mut world = world();
    let entities: Vec<Entity> = (0..40_u32)
        .map(|index| match index % 2 {
            0 => world.spawn((Mass { kg: 0.0 }, place(index), Age { frames: 0 })).unwrap(),
            _ => world.spawn((Mass { kg: 0.0 }, Hot { since: 0.0 }, Age { frames: 0 })).unwrap(),
        })
        .collect();
    world.publish().unwrap();
    let (kg, frames): (Vec<f32>, Vec<u32>) = (0..40_u32).map(|index| (index as f32, 100 + index)).unzip();
    let masses = ("mass.kg", <f32 as crate::columns::ColumnItem>::TYPE, bytemuck::cast_slice(&kg));
    let ages = ("age.frames", <u32 as crate::columns::ColumnItem>::TYPE, bytemuck::cast_slice(&frames));
    let since = ("hot.since", <f32 as crate::columns::ColumnItem>::TYPE, bytemuck::cast_slice(&kg));
    let dead = world.spawn(Mass { kg: 9.0 }).unwrap();
    world.despawn(dead).unwrap();
    let mut some_dead = entities.clone();
    some_dead[39] = dead;
    for (wrong, columns, why) in [
        (&some_dead, vec![masses], "no longer alive"),
        (&entities, vec![masses, since], "has no component `hot`"),
        (&entities, vec![masses, ("age.frames", masses.1, ages.2)], "holds u32, not f32"),
        (&entities, vec![masses, ("age.frames", ages.1, &ages.2[4..])], "39"),
        (&entities, vec![masses, ("age.years", ages.1, ages.2)], "years"),
    ] {
        let error = world.set_columns(wrong, &columns).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(entities.iter().all(|entity| have::<Mass>(&world, *entity) == Some(Mass { kg: 0.0 })));
    }
    world.set_columns(&entities, &[masses, ages]).unwrap();
    world.publish().unwrap();
    for (index, entity) in entities.iter().enumerate() {
        let want = (Mass { kg: index as f32 }, Age { frames: 100 + index as u32 });
        assert_eq!(have::<(Mass, Age)>(&world, *entity), Some(want));
    }
    // the last one counts
    let twice = [entities[1], entities[1]];
    world.set_columns(&twice, &[("mass.kg", masses.1, &masses.2[8..16])]).unwrap();
    assert_eq!(have::<Mass>(&world, entities[1]), Some(Mass { kg: 3.0 }));
    assert_eq!(have::<Mass>(&world, entities[2]), Some(Mass { kg: 2.0 }));
}

/// Says that it has as many as it likes.
struct Lying<I>(I, usize);

impl<I: Iterator> Iterator for Lying<I> {
    type Item = I::Item;
    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.1, Some(self.1))
    }
}

#[test]
fn a_batch_is_what_comes_and_not_what_was_promised() {
    for promised in [0, 1, 300, 5000] {
        for n in [0, 1, 256, 1000] {
            let mut world = world();
            let bundles = Lying((0..n).map(|i| (place(i), Mass { kg: i as f32 })), promised);
            let entities = world.spawn_batch(bundles).unwrap();
            assert_eq!(entities.len(), n as usize);
            for (i, entity) in (0..).zip(entities) {
                assert_eq!(world.get::<(Mass, Place)>(entity).unwrap(), (Mass { kg: i as f32 }, place(i)));
            }
            assert_eq!(world.entity_count(), u64::from(n));
        }
    }
}

#[test]
fn a_batch_that_does_not_fit_or_does_not_end_leaves_nothing() {
    let mut world = World::builder().component::<Place>().component::<Mass>().bytes_max(4 << 20).build().unwrap();
    let first = world.spawn_batch((0..100).map(|i| (place(i), Mass { kg: 1.0 }))).unwrap();
    for promised in [0, 1_000_000] {
        let too_many = Lying((0..1_000_000).map(|i| (place(i), Mass { kg: 2.0 })), promised);
        assert!(world.spawn_batch(too_many).is_err());
        assert_eq!(world.entity_count(), 100);
    }
    let panics = std::panic::AssertUnwindSafe(|| {
        let _ = world.spawn_batch((0..600).map(|i| {
            assert!(i < 500, "no more");
            (place(i), Mass { kg: 3.0 })
        }));
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(world.entity_count(), 100);
    let next = world.spawn((place(7), Mass { kg: 4.0 })).unwrap();
    assert_eq!((next.index(), next.generation()), (100, 0));
    for (i, entity) in (0..).zip(first) {
        assert_eq!(world.get::<(Place, Mass)>(entity).unwrap(), (place(i), Mass { kg: 1.0 }));
    }
}

#[test]
fn a_world_made_where_another_was_begins_empty() {
    for round in 0..3u32 {
        let mut world = world();
        assert_eq!(world.entity_count(), 0);
        let n = 200 + round;
        let entities = world.spawn_batch((0..n).map(|i| (place(i + round), Mass { kg: 1.0 }))).unwrap();
        assert_eq!(entities[0], Entity::from_parts(0, 0));
        for (i, entity) in (0..).zip(&entities) {
            assert!(matches!(world.get::<Hot>(*entity), Err(WorldError::Absent { .. })));
            if i % 3 == round {
                world.add(*entity, Hot { since: 2.0 }).unwrap();
                world.add(*entity, Age { frames: 1 }).unwrap();
            }
        }
        let hot = entities.iter().filter(|entity| world.has::<Hot>(**entity)).count();
        assert_eq!(hot, (0..n).filter(|i| i % 3 == round).count());
        world.publish().unwrap();
    }
}

/// A component by hand, which writes its one `f32` as so many bytes, so many times.
#[derive(Clone, Copy)]
struct Liar<const BYTES: usize, const TIMES: usize>;

impl<const BYTES: usize, const TIMES: usize> Plain for Liar<BYTES, TIMES> {
    const NAME: &'static str = "liar";
    const PACKED_BYTES: usize = 4;
    fn fields() -> Vec<crate::layout::FieldLayout> {
        Mass::fields()
    }
    fn pack(&self, out: &mut [u8]) {
        out.fill(0xAA);
    }
    fn unpack(_: &[u8]) -> Self {
        Liar
    }
    fn each_field(&self, write: &mut impl FnMut(&[u8])) {
        (0..TIMES).for_each(|_| write(&[0xAA; BYTES]));
    }
    fn from_fields(read: &mut impl FnMut(&mut [u8])) -> Self {
        (0..TIMES).for_each(|_| read(&mut [0; BYTES]));
        Liar
    }
}

impl<const BYTES: usize, const TIMES: usize> Component for Liar<BYTES, TIMES> {
    type Columns<'a> = MassColumns<'a>;
    type ColumnsMut<'a> = MassColumnsMut<'a>;
    fn columns<'a>(cursor: &mut crate::columns::ColumnCursor<'a>) -> MassColumns<'a> {
        Mass::columns(cursor)
    }
    fn columns_mut<'a>(cursor: &mut crate::columns::ColumnCursor<'a>) -> MassColumnsMut<'a> {
        Mass::columns_mut(cursor)
    }
    fn row_of(_: &MassColumns<'_>, _: usize) -> Self {
        Liar
    }
    fn row_of_mut(_: &MassColumnsMut<'_>, _: usize) -> Self {
        Liar
    }
    fn set_row(_: &mut MassColumnsMut<'_>, _: usize, _: &Self, _: &Self) {}
}

/// Whether anything panicked.
fn lie<const BYTES: usize, const TIMES: usize>() -> bool {
    let mut world = World::builder().component::<Liar<BYTES, TIMES>>().component::<Mass>().build().unwrap();
    let entities = world.spawn_batch((0..2000).map(|i| Mass { kg: i as f32 })).unwrap();
    world.publish().unwrap();
    let mut panicked = false;
    let mut attempt = |world: &mut World, change: &dyn Fn(&mut World)| {
        let change = std::panic::AssertUnwindSafe(|| change(world));
        panicked |= std::panic::catch_unwind(change).is_err();
    };
    for entity in entities.iter().step_by(7) {
        attempt(&mut world, &|world| drop(world.add(*entity, Liar::<BYTES, TIMES>)));
        attempt(&mut world, &|world| drop(world.set(*entity, Liar::<BYTES, TIMES>)));
        attempt(&mut world, &|world| drop(world.get::<Liar<BYTES, TIMES>>(*entity)));
        attempt(&mut world, &|world| drop(world.spawn((Liar::<BYTES, TIMES>, Mass { kg: 0.5 }))));
    }
    for (i, entity) in entities.iter().enumerate().filter(|(i, _)| i % 7 != 0) {
        assert_eq!(world.get::<Mass>(*entity).unwrap().kg, i as f32, "the neighbour of a lie");
    }
    panicked
}

/// Which of the ways to read a component let it have what it asks for: `get`, a look-up, a look-up of a bundle.
fn readings<const BYTES: usize, const TIMES: usize>() -> [bool; 3] {
    let mut world = World::builder().component::<Liar<BYTES, TIMES>>().component::<Mass>().build().unwrap();
    let entity = world.spawn(Mass { kg: 2.0 }).unwrap();
    world.add_where::<With<Mass>, Liar<4, 1>>(Liar).unwrap();
    let is_let = |read: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_ok();
    [
        is_let(&|| {
            let _: Liar<BYTES, TIMES> = world.get::<Liar<BYTES, TIMES>>(entity).unwrap();
        }),
        is_let(&|| {
            let _: Liar<BYTES, TIMES> = world.lookup::<Liar<BYTES, TIMES>>().unwrap().get(entity).unwrap();
        }),
        is_let(&|| {
            let (_, mass) = world.lookup::<(Liar<BYTES, TIMES>, Mass)>().unwrap().get(entity).unwrap();
            assert_eq!(mass.kg, 2.0, "what is read next is not moved");
        }),
    ]
}

#[test]
fn no_door_lets_a_component_by_hand_read_more_than_its_field() {
    assert_eq!(readings::<4, 1>(), [true; 3]);
    assert_eq!(readings::<4, 0>(), [true; 3], "to read less is no harm");
    assert_eq!(readings::<8, 1>(), [false; 3]);
    assert_eq!(readings::<{ 1 << 20 }, 1>(), [false; 3]);
    assert_eq!(readings::<2, 1>(), [false; 3]);
    assert_eq!(readings::<4, 2>(), [false; 3]);
}

#[test]
fn packed_bytes_by_hand_are_those_of_the_fields() {
    #[derive(Clone, Copy)]
    struct Vast;
    impl Plain for Vast {
        const NAME: &'static str = "vast";
        const PACKED_BYTES: usize = 4096;
        fn fields() -> Vec<crate::layout::FieldLayout> {
            Mass::fields()
        }
        fn pack(&self, _: &mut [u8]) {}
        fn unpack(_: &[u8]) -> Self {
            Vast
        }
        fn each_field(&self, _: &mut impl FnMut(&[u8])) {}
        fn from_fields(_: &mut impl FnMut(&mut [u8])) -> Self {
            Vast
        }
    }
    impl crate::Resource for Vast {}
    let error = World::builder().resource::<Vast>().build().err().map(|error| error.to_string());
    assert!(
        error.is_some_and(|error| error.contains("says that its packed value has 4096 bytes, and its fields have 4"))
    );
}

/// Neither one by one, nor in batches, nor where a state is taken up again.
#[test]
fn slots_whose_generations_are_used_up_are_retired() {
    let mut world = world();
    let slots = |entities: &[Entity]| entities.iter().map(|entity| entity.index()).collect::<Vec<_>>();
    let mass = |kg| Mass { kg };
    let first = world.spawn_batch((0..4).map(|i| mass(i as f32))).unwrap();
    world.despawn_batch(&first).unwrap();
    world.store.age_free_slot(0, Entity::GENERATIONS_END - 1);
    world.store.age_free_slot(1, Entity::GENERATIONS_END - 2);

    let second = [world.spawn(mass(0.0)).unwrap(), world.spawn(mass(1.0)).unwrap()];
    assert_eq!(slots(&second), [0, 1]);
    assert_eq!(second.map(Entity::generation), [Entity::GENERATIONS_END - 1, Entity::GENERATIONS_END - 2]);
    for entity in second {
        world.despawn(entity).unwrap();
    }
    // slot 0 had its last entity, slot 1 has one more
    let third = world.spawn_batch((0..3).map(|i| mass(i as f32))).unwrap();
    assert_eq!(slots(&third), [1, 2, 3]);
    assert_eq!(third[0].generation(), Entity::GENERATIONS_END - 1);
    world.despawn_batch(&third).unwrap();
    world.publish().unwrap();

    // what is taken up knows it, too
    let unpublished = world.spawn_batch((0..3).map(|i| mass(i as f32))).unwrap();
    assert_eq!(slots(&unpublished), [2, 3, 4]);
    world.rollback(0).unwrap();
    let fourth = world.spawn_batch((0..3).map(|i| mass(i as f32))).unwrap();
    assert_eq!(slots(&fourth), [2, 3, 4]);
    // a run of slots that end their lives together, of which one is used up
    world.despawn_batch(&fourth).unwrap();
    let before = world.spawn_batch((0..40).map(|i| mass(i as f32))).unwrap();
    world.despawn_batch(&before).unwrap();
    world.store.age_free_slot(7, Entity::GENERATIONS_END - 1);
    let many = world.spawn_batch((0..40).map(|i| mass(i as f32))).unwrap();
    assert_eq!(slots(&many), (2..42).collect::<Vec<_>>());
    assert_eq!(world.despawn_where::<Read<Mass>>().unwrap(), 40);
    let fifth = world.spawn_batch((0..40).map(|i| mass(i as f32))).unwrap();
    assert_eq!(slots(&fifth), (2..43).filter(|slot| *slot != 7).collect::<Vec<_>>());
    for gone in first.iter().chain(&second).chain(&third).chain(&many) {
        assert!(!world.contains(*gone) && matches!(world.despawn(*gone), Err(WorldError::Stale { .. })), "{gone:?}");
    }
}

#[cfg(unix)]
#[test]
fn the_arena_ends_where_its_memory_does() {
    let directory = tempfile::tempdir().unwrap();
    let target = RegionTarget::Directory(directory.path().join("world"));
    let mut world = World::builder().component::<Mass>().region(target).build().unwrap();
    for rows in [0, 1_000_000] {
        world.spawn_batch((0..rows).map(|i| Mass { kg: i as f32 })).unwrap();
        let (arena, backed) = (&world.store.arena, world.store.region.mapping().backed());
        assert!(backed < world.usage().bytes_max);
        assert_eq!(arena.bytes(backed - 8, 8).len(), 8);
        for (offset, bytes) in
            [(backed - 4, 8), (backed, 1), (backed - 4, 8192), (u64::MAX, 8), (u64::MAX - 8191, 8192)]
        {
            let read = || drop(arena.bytes(offset, bytes).to_vec());
            let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
            assert!(read.is_err(), "{bytes} bytes at {offset} of {backed}");
        }
    }
}

#[test]
fn components_by_hand_reach_no_bytes_but_their_own() {
    assert!(!lie::<4, 1>());
    assert!(lie::<8, 1>());
    assert!(lie::<4096, 1>());
    assert!(lie::<2, 1>());
    assert!(lie::<4, 2>());
}

#[test]
#[cfg(unix)]
#[cfg_attr(miri, ignore = "maps files")]
fn a_slot_that_was_filled_and_not_published_is_nobodys() {
    use std::sync::atomic::Ordering::Relaxed;
    let directory = tempfile::tempdir().unwrap();
    let target = RegionTarget::Directory(directory.path().join("region"));
    let builder = || World::builder().component::<Age>().keep_generations(6).keep_region(true);
    let mut world = builder().region(target.clone()).build().unwrap();
    let entity = world.spawn(Age { frames: 0 }).unwrap();
    world.publish().unwrap();
    // a writer that dies between filling a slot and storing the word leaves this
    let slot = &world.store.region.control().slots[100];
    slot.offset.store(4096, Relaxed);
    slot.bytes.store(64, Relaxed);
    slot.checksum.store(1, Relaxed);
    slot.generation.store(2, Relaxed);
    drop(world);
    let mut world = builder().resume(&target).unwrap();
    for frames in 2..5 {
        world.set(entity, Age { frames }).unwrap();
        world.publish().unwrap();
    }
    drop(world);
    // its number was given to another generation since, which is kept
    let mut world = builder().resume(&target).unwrap();
    let kept: Vec<u64> = world.kept_generations().map(|kept| kept.generation).collect();
    assert_eq!(kept, [1, 2, 3, 4]);
    assert_eq!(world.get::<Age>(entity).unwrap(), Age { frames: 4 });
    world.set_keep_region(false);
}
