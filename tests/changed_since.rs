//! What changed since a generation, against copies of all generations that there were.

#![allow(clippy::unwrap_used, reason = "tests")]
use hypostyle::columns::ChangedColumn;
use hypostyle::{Component, Read, Schedule, Simulation, Snapshot, System, With, Without, Workers, World, Write};
use proptest::prelude::*;

#[derive(Component, Clone, Copy)]
struct A {
    x: f32,
}
#[derive(Component, Clone, Copy)]
struct B {
    y: f64,
}
#[derive(Component, Clone, Copy)]
struct C {
    z: u16,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Hot;

fn world() -> World {
    let builder = World::builder().component::<A>().component::<B>().component::<C>().component::<Hot>();
    builder.keep_generations(6).build().unwrap()
}

/// What columns are asked for by.
const NAMES: [&str; 5] = ["(entity)", "a.x", "b.y", "c.z", "hot"];

#[test]
fn tables_that_changed_hands_have_changed() {
    let mut world = world();
    world.spawn_batch((0..3000).map(|_| A { x: 1.0 })).unwrap();
    world.spawn_batch((0..3000).map(|_| (A { x: 2.0 }, B { y: 0.0 }))).unwrap();
    world.publish().unwrap();
    let (seen, mut reader) = (world.generation(), world.reader().unwrap());
    world.add_where::<(With<A>, Without<B>), C>(C { z: 0 }).unwrap();
    world.remove_where::<With<B>, B>().unwrap();
    world.publish().unwrap();
    let snapshot = reader.pin().unwrap();
    let table = snapshot.tables().next().unwrap();
    assert_eq!(table.column::<f32>("a.x").unwrap().unwrap()[0], 2.0, "other rows, whose column nobody wrote");
    for name in ["a.x", "a", "(entity)"] {
        let changed = table.changed_since(name, seen).unwrap().unwrap();
        assert!(changed.runs().eq([(0, 3000)].map(|(from, to)| from..to)), "{name}");
        assert!(table.changed_since(name, snapshot.generation()).unwrap().unwrap().is_empty());
    }
    assert!(table.changed_since("c.z", seen).unwrap().is_none(), "the table has no such column");
    assert!(table.changed_since("c", seen).unwrap().is_none());
    assert!(table.changed_since("a.y", seen).is_err() && table.changed_since("d", seen).is_err());
    let columns: Vec<_> = snapshot.changed_since(seen).collect();
    assert!(columns.iter().any(|ChangedColumn { table, name, .. }| (*table, name.as_str()) == (0, "a.x")));
    assert!(snapshot.changed_since(snapshot.generation()).next().is_none());
}

#[test]
fn one_row_is_one_chunk() {
    let mut world = world();
    let entities = world.spawn_batch((0..5000).map(|_| (A { x: 1.0 }, B { y: 0.0 }))).unwrap();
    world.add(entities[0], Hot).unwrap();
    world.publish().unwrap();
    let (seen, mut reader) = (world.generation(), world.reader().unwrap());
    world.set(entities[1500], A { x: 3.0 }).unwrap();
    world.set(entities[4999], A { x: 3.0 }).unwrap();
    world.add(entities[2048], Hot).unwrap();
    world.publish().unwrap();
    let snapshot = reader.pin().unwrap();
    let found: Vec<(String, Vec<usize>)> =
        snapshot.changed_since(seen).map(|column| (column.name, column.chunks.iter().collect())).collect();
    assert_eq!(found, [("a.x".to_owned(), vec![1, 4]), ("hot".to_owned(), vec![2])]);
    let table = snapshot.tables().next().unwrap();
    let rows: Vec<_> = table.changed_since("a.x", seen).unwrap().unwrap().runs().collect();
    assert_eq!(rows, [1024..2048, 4096..5000]);
}

/// Who looked at a generation that was undone, while a table's columns were another's, is told when they come back.
#[test]
fn columns_that_come_back_by_a_rollback_have_changed() {
    let mut simulation = Simulation::new(world(), Schedule::new(), Workers::Local).unwrap();
    let world = simulation.world_mut();
    world.spawn_batch((0..2000).map(|_| A { x: 1.0 })).unwrap();
    world.spawn_batch((0..2000).map(|_| (A { x: 2.0 }, B { y: 0.0 }))).unwrap();
    let mut reader = world.reader().unwrap();
    simulation.run(2, 0.1).unwrap();
    let mut copies = Vec::new();
    // the two tables' columns change places by way of a third; then they change back
    for _ in 0..2 {
        let world = simulation.world_mut();
        world.add_where::<(With<A>, Without<B>), C>(C { z: 0 }).unwrap();
        world.remove_where::<With<B>, B>().unwrap();
        world.add_where::<With<C>, B>(B { y: 0.0 }).unwrap();
        world.remove_where::<With<C>, C>().unwrap();
        simulation.step(0.1).unwrap();
        copies.push(copy(&reader.pin().unwrap()));
    }
    let first = |copied: &Copied| copied.tables[0][1].as_ref().map(|bytes| bytes[..4].to_vec());
    assert_eq!(first(&copies[0]), Some(2.0f32.to_le_bytes().to_vec()));
    assert_eq!(first(&copies[1]), Some(1.0f32.to_le_bytes().to_vec()));
    let back = simulation.rollback(3).unwrap();
    let snapshot = reader.pin().unwrap();
    assert_eq!((snapshot.generation(), back.frame), (back.generation, 1));
    copies.iter().for_each(|old| check(old, &snapshot));
}

/// The bytes of a generation: by table the rows of each column.
struct Copied {
    generation: u64,
    tables: Vec<[Option<Vec<u8>>; 5]>,
}

fn copy(snapshot: &Snapshot<'_>) -> Copied {
    let tables = snapshot.tables().map(|table| {
        NAMES.map(|name| match name {
            "(entity)" => Some(table.entities().iter().flat_map(|entity| entity.to_bits().to_le_bytes()).collect()),
            "hot" => {
                let presence = table.presence("hot").unwrap();
                table.changed_since("hot", 0).unwrap()?;
                Some((0..table.rows()).map(|row| u8::from(presence.contains(row))).collect())
            }
            _ => table.column_bytes(name).unwrap().map(|(_, bytes)| bytes.to_vec()),
        })
    });
    Copied { generation: snapshot.generation(), tables: tables.collect() }
}

/// Rows whose bytes are not what they were, or that were not there, are in chunks that have changed.
fn check(old: &Copied, new: &Snapshot<'_>) {
    let now = copy(new);
    for (index, table) in new.tables().enumerate() {
        for (place, name) in NAMES.iter().enumerate() {
            let Some(bytes) = &now.tables[index][place] else { continue };
            let changed = table.changed_since(name, old.generation).unwrap().unwrap();
            assert_eq!(changed.chunks(), table.rows().div_ceil(1024));
            let known = old.tables.get(index).and_then(|table| table[place].as_deref()).unwrap_or_default();
            let unit = bytes.len() / table.rows().max(1);
            for row in 0..table.rows() {
                let at = row * unit..(row + 1) * unit;
                let same = known.get(at.clone()) == Some(&bytes[at]);
                assert!(
                    same || changed.contains(row / 1024),
                    "row {row} of {name} in table {index}, from generation {} to {}",
                    old.generation,
                    now.generation
                );
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Spawn(u8, u16),
    Despawn(u16),
    Set(u16),
    Toggle(u16),
    AddWhere(u8),
    RemoveWhere(u8),
    Publish,
    Rollback(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0u8..4, 1u16..1500).prop_map(|(kind, count)| Step::Spawn(kind, count)),
        1 => any::<u16>().prop_map(Step::Despawn),
        1 => any::<u16>().prop_map(Step::Set),
        1 => any::<u16>().prop_map(Step::Toggle),
        1 => (0u8..4).prop_map(Step::AddWhere),
        1 => (0u8..4).prop_map(Step::RemoveWhere),
        4 => Just(Step::Publish),
        1 => (0u64..5).prop_map(Step::Rollback),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_changed_is_left_out(steps in prop::collection::vec(step(), 1..40)) {
        let mut simulation = Simulation::new(world(), Schedule::new(), Workers::Local).unwrap();
        let mut reader = simulation.world().reader().unwrap();
        simulation.world_mut().spawn_batch((0..1100).map(|i| A { x: i as f32 })).unwrap();
        simulation.step(0.1).unwrap();
        let mut copies: Vec<Copied> = vec![copy(&reader.pin().unwrap())];
        for (number, step) in steps.iter().enumerate() {
            let value = number as f32 + 10.0;
            let entities: Vec<_> = reader.pin().unwrap().tables().flat_map(|table| table.entities().to_vec()).collect();
            let pick = |index: &u16| entities.get(usize::from(*index) % entities.len().max(1)).copied();
            let world = simulation.world_mut();
            match step {
                Step::Spawn(0, count) => drop(world.spawn_batch((0..*count).map(|_| A { x: value })).unwrap()),
                Step::Spawn(1, count) => drop(world.spawn_batch((0..*count).map(|_| (A { x: value }, B { y: 1.0 }))).unwrap()),
                Step::Spawn(2, count) => drop(world.spawn_batch((0..*count).map(|_| (A { x: value }, C { z: 1 }))).unwrap()),
                Step::Spawn(_, count) => drop(world.spawn_batch((0..*count).map(|_| (B { y: 2.0 }, C { z: 1 }))).unwrap()),
                Step::Despawn(index) => drop(pick(index).map(|entity| world.despawn(entity))),
                Step::Set(index) => drop(pick(index).map(|entity| world.set(entity, A { x: value }))),
                Step::Toggle(index) => drop(pick(index).map(|entity| match world.has::<Hot>(entity) {
                    true => world.remove::<Hot>(entity).map(drop),
                    false => world.add(entity, Hot),
                })),
                Step::AddWhere(0) => drop(world.add_where::<(With<A>, Without<B>), B>(B { y: 3.0 }).unwrap()),
                Step::AddWhere(1) => drop(world.add_where::<(With<A>, Without<C>), C>(C { z: 3 }).unwrap()),
                Step::AddWhere(2) => drop(world.add_where::<With<B>, A>(A { x: value }).unwrap()),
                Step::AddWhere(_) => drop(world.add_where::<With<C>, Hot>(Hot).unwrap()),
                Step::RemoveWhere(0) => drop(world.remove_where::<With<B>, B>().unwrap()),
                Step::RemoveWhere(1) => drop(world.remove_where::<(With<A>, With<C>), C>().unwrap()),
                Step::RemoveWhere(2) => drop(world.remove_where::<With<B>, A>().unwrap()),
                Step::RemoveWhere(_) => drop(world.remove_where::<With<Hot>, Hot>().unwrap()),
                Step::Publish => drop(simulation.step(0.1).unwrap().clone()),
                // further than is kept: nothing happens
                Step::Rollback(frames) => drop(simulation.rollback(*frames)),
            }
            let snapshot = reader.pin().unwrap();
            if snapshot.generation() > copies.last().unwrap().generation {
                copies.iter().for_each(|old| check(old, &snapshot));
                copies.push(copy(&snapshot));
            }
        }
    }
}

/// A simulation whose frames write beside the old rows, and of which every fourth is published.
fn halving() -> Simulation {
    let mut schedule = Schedule::new();
    schedule.add(System::neighbours::<Write<A>, Read<A>>("halve", |_, mut a, _| a.x.map(|x| x * 0.5 + 1.0)));
    Simulation::builder().workers(Workers::Local).publish_every(4).build(world(), schedule).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_queries_write_between_frames_is_never_lost(
        steps in prop::collection::vec((0u8..12, 0usize..5000), 10..60),
    ) {
        let mut simulation = halving();
        let mut expected = Vec::new();
        for rows in [3000, 20] {
            let all = simulation.world_mut().spawn_batch((0..rows).map(|row| A { x: row as f32 })).unwrap();
            expected.extend(all.into_iter().map(|entity| (entity, 0.0f32)));
            simulation.world_mut().add_where::<(With<A>, Without<B>), B>(B { y: 0.0 }).unwrap();
        }
        for (entity, x) in &mut expected {
            *x = simulation.world().get::<A>(*entity).unwrap().x;
        }
        for (what, number) in steps {
            let world = simulation.world_mut();
            let place = number % expected.len();
            match what {
                0..4 => {
                    world.query_mut::<Write<A>>(|_, mut a| a.x.map(|x| x + 1.0)).unwrap();
                    expected.iter_mut().for_each(|(_, x)| *x += 1.0);
                }
                4..7 => {
                    simulation.step(1.0).unwrap();
                    expected.iter_mut().for_each(|(_, x)| *x = *x * 0.5 + 1.0);
                }
                7 => drop(world.publish().unwrap()),
                8..10 => {
                    world.set(expected[place].0, A { x: number as f32 }).unwrap();
                    expected[place].1 = number as f32;
                }
                10 => expected.push((world.spawn(A { x: 3.0 }).unwrap(), 3.0)),
                _ => world.despawn(expected.swap_remove(place).0).unwrap(),
            }
            for (entity, x) in &expected {
                prop_assert_eq!(simulation.world().get::<A>(*entity).unwrap().x, *x);
            }
        }
    }

    #[test]
    fn entities_that_are_despawned_all_at_once_leave_what_single_ones_leave(
        counts in prop::collection::vec((1usize..200, any::<bool>()), 1..8), again in 1usize..300,
    ) {
        let after = |at_once: bool| {
            let mut world = world();
            for (count, single) in &counts {
                let all = world.spawn_batch((0..*count).map(|row| A { x: row as f32 })).unwrap();
                if *single {
                    world.despawn(all[count / 2]).unwrap();
                }
                world.spawn_batch((0..count / 3).map(|_| (B { y: 1.0 }, C { z: 2 }))).unwrap();
            }
            let mut gone = Vec::new();
            world.query::<With<A>>(|entities, ()| gone.extend_from_slice(entities)).unwrap();
            if at_once {
                assert_eq!(world.despawn_where::<With<A>>().unwrap(), gone.len() as u64);
            } else {
                gone.iter().for_each(|entity| world.despawn(*entity).unwrap());
            }
            assert!(gone.iter().all(|entity| world.get::<A>(*entity).is_err()));
            let new = world.spawn_batch((0..again).map(|row| A { x: row as f32 })).unwrap();
            world.publish().unwrap();
            let hash = world.reader().unwrap().pin().unwrap().hash();
            (new, hash)
        };
        prop_assert_eq!(after(true), after(false));
    }
}
