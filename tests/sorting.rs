//! Tables in the order of a key: the rows of all kinds of columns go where their entities go, whoever moves them.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{
    Component, Entities, Entity, GlobalId, Read, Schedule, Simulation, System, With, Workers, World, WorldError, Write,
};

#[derive(Component, Clone, Copy)]
struct Key {
    value: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Facts {
    byte: u8,
    place: [f32; 3],
    wide: [u16; 11],
    who: Entity,
}
#[derive(Component, Clone, Copy)]
#[component(track_changes)]
struct Tracked {
    number: u64,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Odd;
#[derive(Component, Clone, Copy)]
#[component(storage = "scratch")]
struct Kept {
    number: u64,
}
#[derive(Component, Clone, Copy)]
struct Left {
    row: u32,
}
#[derive(Component, Clone, Copy)]
struct Extra {
    of: u8,
}

/// Several jobs of moved rows, and a last one that is not full.
const ROWS: u32 = 40_011;
const FRAMES: u64 = 6;

fn facts(entity: Entity) -> Facts {
    let number = entity.index();
    let place = [number as f32, 0.5 * number as f32, -(number as f32)];
    Facts { byte: number as u8, place, wide: [number as u16; 11], who: entity }
}

/// Keys of which many are equal, other ones in every frame.
fn key(entity: Entity, frame: u64) -> u32 {
    let mixed = (u64::from(entity.index()) << 20 ^ frame).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 45) as u32 % 3000
}

fn world() -> World {
    let builder = World::builder().component::<Key>().component::<Facts>().component::<Tracked>().component::<Odd>();
    let mut world = builder.component::<Kept>().component::<Left>().component::<Extra>().build().unwrap();
    let row = |_| {
        let facts = Facts { byte: 0, place: [0.0; 3], wide: [0; 11], who: Entity::NULL };
        (Key { value: 0 }, facts, Tracked { number: 0 }, Kept { number: 0 }, Left { row: 0 })
    };
    let mut all = world.spawn_batch((0..ROWS).map(row)).unwrap();
    let others = (0..ROWS / 5).map(|i| (row(i), Extra { of: 1 }));
    all.extend(world.spawn_batch(others).unwrap());
    for entity in all {
        world.set(entity, facts(entity)).unwrap();
        world.set(entity, Tracked { number: u64::from(entity.index()) }).unwrap();
        world.set(entity, Kept { number: u64::from(entity.index()) }).unwrap();
        if entity.index() % 2 == 1 {
            world.add(entity, Odd).unwrap();
        }
    }
    let mut next = 0;
    world
        .query_mut::<Write<Left>>(|_, mut left| {
            for row in left.row.iter_mut() {
                *row = next;
                next += 1;
            }
        })
        .unwrap();
    world
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Tracked>, Entities)>("count", |job, (mut tracked, own)| {
        let frame = job.frame();
        for (row, entity) in own.iter().enumerate() {
            if (u64::from(entity.index()) + frame).is_multiple_of(7) {
                tracked.number[row] += 1 << 32;
            }
        }
    }));
    let shuffle = System::rows::<(Write<Key>, Entities)>("shuffle", |job, (mut keys, own)| {
        let frame = job.frame();
        keys.value.iter_mut().zip(own).for_each(|(value, entity)| *value = key(*entity, frame));
    });
    schedule.add(shuffle.sort_by("key.value").sort_leaves::<Left>());
    schedule
}

/// Handles in the order of rows.
fn order(world: &World) -> Result<Vec<Entity>, WorldError> {
    let mut order = Vec::new();
    world.query::<With<Key>>(|entities, ()| order.extend_from_slice(entities))?;
    Ok(order)
}

/// Everything is where it belongs: the order is that of a stable sort, and all values are their entities'.
fn check(world: &World, before: &[Entity], frame: u64) {
    let split = ROWS as usize;
    let mut want = before.to_vec();
    // two tables, each for itself
    want[..split].sort_by_key(|entity| key(*entity, frame));
    want[split..].sort_by_key(|entity| key(*entity, frame));
    assert!(order(world).unwrap() == want, "the order of frame {frame}");
    let mut row = 0;
    world
        .query::<(Read<Facts>, Read<Left>, Read<Kept>, Entities)>(|_, (columns, left, kept, own)| {
            for (index, entity) in own.iter().enumerate() {
                let found = Facts {
                    byte: columns.byte[index],
                    place: columns.place[index],
                    wide: columns.wide[index],
                    who: columns.who[index],
                };
                assert_eq!(found, facts(*entity));
                assert_eq!(kept.number[index], u64::from(entity.index()));
                assert_eq!(left.row[index], row, "what is left stays where it was");
                row += 1;
            }
        })
        .unwrap();
    let mut odd = Vec::new();
    world.query::<With<Odd>>(|entities, ()| odd.extend_from_slice(entities)).unwrap();
    assert_eq!(odd, want.iter().copied().filter(|entity| entity.index() % 2 == 1).collect::<Vec<_>>());
    for entity in want.iter().step_by(97) {
        // by way of the entity map
        assert_eq!(world.get::<Facts>(*entity).unwrap(), facts(*entity));
        let counted = (1..=frame).filter(|frame| (u64::from(entity.index()) + frame).is_multiple_of(7)).count() as u64;
        assert_eq!(world.get::<Tracked>(*entity).unwrap().number, u64::from(entity.index()) + (counted << 32));
    }
}

fn hashes(workers: Workers, publish_every: u64, main_helps: bool) -> Vec<u64> {
    let builder = Simulation::builder().workers(workers).publish_every(publish_every).main_helps(main_helps);
    let mut simulation = builder.build(world(), schedule()).unwrap();
    let mut hashes = Vec::new();
    for frame in 1..=FRAMES {
        let before = order(simulation.world()).unwrap();
        simulation.step(1.0).unwrap();
        check(simulation.world(), &before, frame);
        if frame.is_multiple_of(publish_every) {
            hashes.push(simulation.world().reader().unwrap().pin().unwrap().hash());
        }
    }
    hashes
}

#[test]
fn all_columns_follow_their_entities_whoever_moves_them() {
    let alone = hashes(Workers::Local, 1, true);
    assert_eq!(alone.len(), FRAMES as usize);
    assert_eq!(hashes(Workers::Threads(1), 1, true), alone);
    assert_eq!(hashes(Workers::Threads(3), 1, false), alone);
    let third: Vec<u64> = alone.iter().skip(2).step_by(3).copied().collect();
    assert_eq!(hashes(Workers::Local, 3, true), third);
    assert_eq!(hashes(Workers::Threads(2), 3, true), third);
}

#[test]
fn a_table_in_order_is_left_alone() {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<With<Key>>("sort", |_, ()| {}).sort_by("key.value"));
    let builder = World::builder().component::<Key>();
    let mut world = builder.build().unwrap();
    world.spawn_batch((0..5000).map(|value| Key { value: value / 3 })).unwrap();
    let mut simulation = Simulation::new(world, schedule, Workers::Threads(2)).unwrap();
    simulation.step(1.0).unwrap();
    let mut reader = simulation.world().reader().unwrap();
    let snapshot = reader.pin().unwrap();
    assert_eq!(snapshot.changed_since(1).count(), 0, "no row was moved, so none was written");
}

#[derive(Component, Clone, Copy)]
struct Block {
    at: u16,
}

/// Rows of two tables and what they stand by: block and id.
fn blocks(world: &World) -> Vec<(u16, u64)> {
    let mut rows = Vec::new();
    world
        .query::<(Read<Block>, Read<GlobalId>)>(|_, (block, id)| {
            rows.extend(block.at.iter().copied().zip(id.value.iter().copied()));
        })
        .unwrap();
    rows
}

#[test]
fn the_order_by_key_and_id_is_independent_of_the_order_before() {
    let run = |shuffle: u64, workers| {
        let builder = World::builder().component::<Block>().component::<GlobalId>().component::<Facts>();
        let mut world = builder.component::<Extra>().build().unwrap();
        let row = |i: u64| (Block { at: (i % 97) as u16 }, GlobalId::root(i), facts(Entity::from_parts(i as u32, 0)));
        // each id once, in another order each time
        let ids = |count: u64| (0..count).map(move |i| (i * shuffle + 5) % count);
        world.spawn_batch(ids(10_007).map(row)).unwrap();
        world.spawn_batch(ids(1009).map(|i| (row(i), Extra { of: 1 }))).unwrap();
        let mut schedule = Schedule::new();
        let next = System::rows::<(Write<Block>, Read<GlobalId>)>("next", |job, (mut block, id)| {
            let frame = job.frame();
            block.at.iter_mut().zip(id.value).for_each(|(at, id)| *at = ((id + id / 31 * frame) % 97) as u16);
        });
        schedule.add(next.sort_by("block.at").sort_then_by("global_id.value"));
        let mut simulation = Simulation::new(world, schedule, workers).unwrap();
        for frame in 1..=4 {
            simulation.step(1.0).unwrap();
            let rows = blocks(simulation.world());
            let sorted = |rows: &[(u16, u64)]| rows.is_sorted();
            assert!(sorted(&rows[..10_007]) && sorted(&rows[10_007..]), "frame {frame}");
        }
        let mut values = Vec::new();
        let world = simulation.world();
        world
            .query::<(Read<GlobalId>, Read<Facts>)>(|_, (id, facts)| {
                values.extend(id.value.iter().copied().zip(facts.place.iter().map(|place| place[1])));
            })
            .unwrap();
        assert!(values.iter().all(|(id, half)| *half == 0.5 * *id as f32), "values follow their rows");
        blocks(world)
    };
    let once = run(1, Workers::Local);
    assert!(run(7919, Workers::Threads(2)) == once && run(5000, Workers::Local) == once);
}

#[test]
fn a_table_in_order_by_both_is_left_alone() {
    let builder = World::builder().component::<Key>().component::<GlobalId>();
    let mut world = builder.build().unwrap();
    world.spawn_batch((0..5000).map(|i| (Key { value: i / 3 }, GlobalId::root(u64::from(i))))).unwrap();
    world.spawn((Key { value: 9000 }, GlobalId::root(1))).unwrap();
    // without the second column: by the key alone
    world.spawn_batch((0..50).map(|value| Key { value })).unwrap();
    let mut schedule = Schedule::new();
    let sort = System::rows::<With<Key>>("sort", |_, ()| {}).sort_by("key.value");
    schedule.add(sort.sort_then_by("global_id.value"));
    let mut simulation = Simulation::new(world, schedule, Workers::Threads(2)).unwrap();
    simulation.step(1.0).unwrap();
    let mut reader = simulation.world().reader().unwrap();
    let snapshot = reader.pin().unwrap();
    assert_eq!(snapshot.changed_since(1).count(), 0, "no row was moved, so none was written");
}

#[test]
fn what_cannot_be_sorted_by_is_refused_when_the_schedule_is_built() {
    let refusal = |system: fn(System) -> System| {
        let world = World::builder().component::<Key>().component::<Facts>().component::<GlobalId>().build().unwrap();
        let mut schedule = Schedule::new();
        schedule.add(system(System::rows::<With<Key>>("sort", |_, ()| {})));
        Simulation::new(world, schedule, Workers::Local).err().unwrap().to_string()
    };
    let alone = refusal(|system| system.sort_then_by("global_id.value"));
    assert!(alone.contains("not by what: add `.sort_by("), "{alone}");
    let place = refusal(|system| system.sort_by("facts.place"));
    assert!(place.contains("`facts.place`, which is [f32; 3]: sort by a field of one value"), "{place}");
    let wide = refusal(|system| system.sort_by("key.value").sort_then_by("facts.wide"));
    assert!(wide.contains("`facts.wide`"), "{wide}");
    let left = refusal(|system| system.sort_by("key.value").sort_then_by("global_id.value").sort_leaves::<GlobalId>());
    assert!(left.contains("sorts by `global_id.value` and leaves that component"), "{left}");
    let unknown = refusal(|system| system.sort_by("key.value").sort_then_by("global_id.valeu"));
    assert!(unknown.contains("valeu"), "{unknown}");
}
