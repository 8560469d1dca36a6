//! Inputs on a private region: what arrives, what is refused, what a hostile or dying sender can do, frames that fail.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::words::Words;
use super::{InputError, InputSender};
use crate::patch::{Header, Kind, Ring, RingMemory};
use crate::{Bool, Component, Entity, Read, Resource, Schedule, Simulation, System, Workers, World, Write};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Push {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Sum {
    x: f64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Held {
    by: Entity,
    tight: Bool,
}
#[derive(Component, Clone, Copy)]
struct Tag;
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
struct Wind {
    speed: f64,
}

const ROWS: usize = 2_000;

fn world() -> (World, Vec<Entity>) {
    let builder = World::builder().component::<Push>().component::<Sum>().component::<Held>().component::<Tag>();
    let mut world = builder.resource::<Wind>().bytes_max(1 << 26).build().unwrap();
    world.insert_resource(Wind { speed: 0.0 }).unwrap();
    let zero = vec![0f32; ROWS];
    let spawn = world.spawn_columns(ROWS).column("push.x", &zero).column("push.y", &zero);
    let entities = spawn.column("sum.x", &vec![0f64; ROWS]).spawn().unwrap();
    (world, entities)
}

/// Adds what was pushed; a push of a negative number fails.
fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::try_rows::<(Read<Push>, Write<Sum>)>("add", |job, (push, mut sum)| {
        for row in 0..job.len() {
            if push.x[row] < 0.0 {
                return Err("it is pushed the wrong way".into());
            }
            sum.x[row] += f64::from(push.x[row]) + f64::from(push.y[row]);
        }
        Ok(())
    }));
    schedule
}

fn simulation(names: &[&str], workers: Workers) -> (Simulation, Vec<Entity>) {
    let (world, entities) = world();
    let simulation = Simulation::builder().workers(workers).inputs(names.iter().copied()).build(world, schedule());
    (simulation.unwrap(), entities)
}

fn sender(simulation: &Simulation) -> InputSender {
    simulation.world().reader().unwrap().inputs().unwrap().expect("it takes inputs")
}

fn entry(entity: Entity, value: &[u8]) -> Vec<u8> {
    [&entity.to_bits().to_le_bytes()[..], value].concat()
}

fn push(entity: Entity, x: f32, y: f32) -> Vec<u8> {
    entry(entity, &[x.to_le_bytes(), y.to_le_bytes()].concat())
}

fn hash(simulation: &Simulation) -> u64 {
    simulation.world().reader().unwrap().pin().unwrap().hash()
}

#[test]
fn an_input_is_in_the_next_generation_and_its_sender_can_tell() {
    let (mut simulation, entities) = simulation(&["push", "wind", "sum.x"], Workers::Local);
    let mut sender = sender(&simulation);
    assert_eq!(sender.names(), ["push", "wind", "sum.x"]);
    assert!(sender.is_current());
    simulation.step(0.1).unwrap();
    let first = sender.send("push", &push(entities[3], 1.5, 2.0)).unwrap();
    let both = [push(entities[4], 1.0, 0.0), push(entities[3], 2.0, 2.0)].concat();
    let second = sender.send("push", &both).unwrap();
    let generation = simulation.world().generation();
    assert!(sender.contained(generation).is_none_or(|position| position < first), "not before a frame took it");
    let report = simulation.step(0.1).unwrap();
    let counts = &report.inputs;
    assert_eq!((counts.applied, counts.overwritten, counts.total()), (2, 1, 3), "two of them set one entity");
    let generation = simulation.world().generation();
    assert!(sender.contained(generation).unwrap() >= second);
    assert!(sender.contained(generation - 1).is_none_or(|position| position < first));
    assert_eq!(simulation.world().get::<Push>(entities[3]).unwrap(), Push { x: 2.0, y: 2.0 }, "the last wins");
    assert_eq!(simulation.world().get::<Sum>(entities[3]).unwrap(), Sum { x: 4.0 }, "the frame saw it");
    sender.send("wind", &3.0f64.to_le_bytes()).unwrap();
    sender.send("push.y", &entry(entities[7], &9.0f32.to_le_bytes())).unwrap();
    let last = sender.send("sum.x", &entry(entities[9], &100.0f64.to_le_bytes())).unwrap();
    simulation.step(0.1).unwrap();
    assert_eq!(simulation.world().resource::<Wind>().unwrap(), Wind { speed: 3.0 });
    assert_eq!(simulation.world().get::<Push>(entities[7]).unwrap(), Push { x: 0.0, y: 9.0 });
    assert_eq!(simulation.world().get::<Sum>(entities[9]).unwrap(), Sum { x: 100.0 });
    // generations that nothing was taken for, and one that was published between frames
    for _ in 0..600 {
        simulation.step(0.1).unwrap();
    }
    simulation.world_mut().publish().unwrap();
    let generation = simulation.world().generation();
    assert_eq!(sender.contained(generation), Some(last));
    simulation.close();
    assert!(!sender.is_current());
    assert!(matches!(sender.send("wind", &[0; 8]), Err(InputError::Closed)));
    assert!(simulation.world().reader().unwrap().inputs().unwrap().is_none());
}

#[test]
fn what_cannot_be_is_refused_at_the_sender() {
    let (mut simulation, entities) = simulation(&["push", "held", "wind"], Workers::Local);
    let mut sender = sender(&simulation);
    for name in ["sum", "sum.x", "nothing", "push.z", "wind.speed", "tag", ""] {
        let error = sender.send(name, &[0; 16]).unwrap_err();
        assert!(matches!(error, InputError::Undeclared { .. }), "{name}: {error}");
    }
    let good = push(entities[0], 1.0, 1.0);
    for (name, payload) in [("push", &good[..15]), ("push", &[]), ("push.x", &good), ("wind", &good), ("wind", &[])] {
        let error = sender.send(name, payload).unwrap_err();
        assert!(matches!(error, InputError::Length { .. }), "{name}: {error}");
    }
    let large = good.repeat(1 << 14);
    assert!(matches!(sender.send("push", &large), Err(InputError::Length { .. })));
    let mut held = entry(entities[0], &entities[1].to_bits().to_le_bytes());
    held.push(2);
    assert!(matches!(sender.send("held", &held), Err(InputError::NotABool { .. })));
    // nobody drains: the ring fills, and says so
    let some = good.repeat(4_000);
    let sent = std::iter::repeat_with(|| sender.send("push", &some)).take_while(Result::is_ok).count();
    assert!((3..10).contains(&sent), "{sent}");
    assert!(matches!(sender.send("push", &some), Err(InputError::Full)));
    let counts = &simulation.step(0.1).unwrap().inputs;
    let all = 4_000 * sent as u64;
    assert_eq!((counts.applied, counts.overwritten, counts.total()), (1, all - 1, all), "and nothing else came");
    sender.send("push", &some).unwrap();
    let builder = |names: &[&str]| Simulation::builder().inputs(names.iter().copied()).build(world().0, schedule());
    for names in [&["pull"][..], &["push.z"], &["tag"], &["wind.speed"]] {
        let error = builder(names).err().unwrap().to_string();
        assert!(error.contains(names[0]), "{error}");
    }
    let none = Simulation::builder().build(world().0, schedule()).unwrap();
    assert!(none.world().reader().unwrap().inputs().unwrap().is_none());
}

#[test]
fn what_the_writer_finds_impossible_is_counted() {
    let (mut simulation, entities) = simulation(&["push", "held"], Workers::Local);
    let mut sender = sender(&simulation);
    simulation.world_mut().despawn(entities[5]).unwrap();
    sender.send("push", &push(entities[5], 1.0, 1.0)).unwrap();
    sender.send("push", &push(Entity::reserved(7), 1.0, 1.0)).unwrap();
    sender.send("push", &push(Entity::NULL, 1.0, 1.0)).unwrap();
    let mut held = entry(entities[0], &entities[1].to_bits().to_le_bytes());
    held.push(1);
    let last = sender.send("held", &held).unwrap();
    let inputs = simulation.step(0.1).unwrap().inputs.clone();
    assert_eq!((inputs.applied, inputs.stale, inputs.refused), (0, 3, 1), "{inputs:?}");
    assert!(inputs.example.unwrap().to_string().contains("absent component `held`"));
    assert_eq!(sender.contained(simulation.world().generation()), Some(last), "it is done with them all the same");
}

/// A record as a hostile sender may write it.
fn record(kind: Kind, field: u8, component: u16, count: u32, payload: &[u8]) -> Vec<u8> {
    let bytes = (16 + payload.len()).next_multiple_of(8);
    let header = Header { bytes: bytes as u32, kind: kind as u8, field, component, count, sequence: 0 };
    let mut out = [&header.encode()[..], payload].concat();
    out.resize(bytes, 0);
    out
}

fn ring_of(simulation: &Simulation, index: usize) -> super::words::RingWords {
    let reader = simulation.world().reader().unwrap();
    let (block, _) = reader.parts().0.inputs().unwrap().unwrap();
    Words::new(block).unwrap().ring(index)
}

#[test]
fn records_that_are_no_inputs_change_nothing() {
    let (mut simulation, entities) = simulation(&["push", "wind"], Workers::Local);
    simulation.step(0.0).unwrap();
    let before = hash(&simulation);
    let mut producer = Ring::new(ring_of(&simulation, 0)).producer().unwrap();
    let handle = entities[0].to_bits().to_le_bytes();
    let sum = entry(entities[0], &1.0f64.to_le_bytes());
    let records = [
        record(Kind::SetEntities, 0, 1, 1, &sum),
        record(Kind::AddEntities, 0, 0, 1, &push(entities[0], 1.0, 1.0)),
        record(Kind::RemoveEntities, 0, 0, 1, &handle),
        record(Kind::DespawnEntities, 0, 0, 1, &handle),
        record(Kind::SetRows, 0, 0, 1, &[0; 12]),
        record(Kind::DespawnRows, 0, 0, 1, &[0; 4]),
        record(Kind::Spawn, 0, 1, u32::MAX, &3u16.to_le_bytes()),
        record(Kind::JobBegin, 0, 0, 0, &[0; 8]),
        record(Kind::Failure, 0, 0, 3, b"oh!"),
        record(Kind::SetEntities, 0, 0, 2, &push(entities[0], 1.0, 1.0)),
        record(Kind::SetEntities, 9, 0, 1, &[0; 12]),
        record(Kind::SetEntities, 0, 999, 1, &[0; 16]),
        record(Kind::SetResource, 0, 7, 0, &[0; 8]),
    ];
    for bytes in &records {
        assert!(producer.try_push(bytes).unwrap());
    }
    producer.publish();
    let inputs = simulation.step(0.0).unwrap().inputs.clone();
    assert_eq!((inputs.applied, inputs.refused), (0, records.len() as u64), "{inputs:?}");
    assert_eq!(hash(&simulation), before, "but for the frame's number, which is no part of it");
}

#[test]
fn a_sender_that_dies_in_the_middle_leaves_nothing_and_its_ring() {
    let (mut simulation, entities) = simulation(&["push"], Workers::Local);
    let mut first = sender(&simulation);
    first.send("push", &push(entities[0], 1.0, 0.0)).unwrap();
    simulation.step(0.1).unwrap();
    // in the ring, and never published
    let half = record(Kind::SetEntities, 0, 0, 1, &push(entities[1], 5.0, 5.0));
    let mut dying = Ring::new(ring_of(&simulation, 0)).producer().unwrap();
    assert!(dying.try_push(&half).unwrap());
    drop((dying, first));
    assert_eq!(simulation.step(0.1).unwrap().inputs.total(), 0);
    let mut next = sender(&simulation);
    let position = next.send("push", &push(entities[2], 7.0, 0.0)).unwrap();
    assert_eq!(simulation.step(0.1).unwrap().inputs.applied, 1);
    assert_eq!(next.contained(simulation.world().generation()), Some(position));
    assert_eq!(simulation.world().get::<Push>(entities[1]).unwrap(), Push { x: 0.0, y: 0.0 });
    // as many senders as there are rings
    let others: Vec<InputSender> = (1..crate::limits::INPUT_RINGS).map(|_| sender(&simulation)).collect();
    let reader = simulation.world().reader().unwrap();
    assert!(matches!(reader.inputs(), Err(InputError::NoRing)));
    drop(others);
    assert!(reader.inputs().unwrap().is_some());
}

#[test]
fn inputs_of_frames_that_failed_are_applied_again_once() {
    let (world, entities) = world();
    let fail = Arc::new(AtomicU32::new(0));
    let mut schedule = schedule();
    let left = Arc::clone(&fail);
    schedule.add(System::try_rows::<Read<Sum>>("fail", move |_, _| {
        let failing = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if failing { Err("as told".into()) } else { Ok(()) }
    }));
    let builder = Simulation::builder().workers(Workers::Local).publish_every(3).inputs(["push"]);
    let mut simulation = builder.build(world, schedule).unwrap();
    let mut sender = sender(&simulation);
    for _ in 0..3 {
        simulation.step(0.1).unwrap();
    }
    sender.send("push", &push(entities[0], 2.0, 0.0)).unwrap();
    simulation.step(0.1).unwrap();
    let last = sender.send("push", &push(entities[1], 3.0, 0.0)).unwrap();
    fail.store(1, Ordering::Relaxed);
    simulation.step(0.1).unwrap_err();
    assert_eq!(simulation.world().get::<Push>(entities[0]).unwrap().x, 0.0, "undone");
    assert_eq!(simulation.step(0.1).unwrap().inputs.applied, 2, "both again");
    simulation.step(0.1).unwrap();
    simulation.step(0.1).unwrap();
    assert!(sender.contained(simulation.world().generation()).unwrap() >= last);
    assert_eq!(simulation.world().get::<Push>(entities[1]).unwrap().x, 3.0);
    // one that makes every frame fail is given up
    sender.send("push", &push(entities[0], -1.0, 0.0)).unwrap();
    simulation.step(0.1).unwrap_err();
    simulation.step(0.1).unwrap_err();
    let inputs = simulation.step(0.1).unwrap().inputs.clone();
    assert_eq!((inputs.applied, inputs.refused), (0, 1), "{inputs:?}");
    assert_eq!(simulation.world().get::<Push>(entities[0]).unwrap().x, 2.0);
}

/// Of what no generation contains none says that it does, and nothing is lost.
#[test]
fn inputs_that_a_rollback_undoes_before_they_are_published_are_applied_again() {
    let (world, entities) = world();
    let builder = Simulation::builder().workers(Workers::Local).publish_every(2).inputs(["push"]);
    let mut simulation = builder.build(world, schedule()).unwrap();
    let mut sender = sender(&simulation);
    simulation.run(2, 0.1).unwrap();
    let mut last = sender.send("push", &push(entities[0], 1.0, 0.0)).unwrap();
    simulation.run(2, 0.1).unwrap();
    for (way_back, number) in [(0, 2.0f32), (1, 3.0)] {
        let before = last;
        last = sender.send("push", &push(entities[0], number, 0.0)).unwrap();
        simulation.step(0.1).unwrap();
        assert!(simulation.rollback(99).is_err());
        assert_eq!(simulation.world().get::<Push>(entities[0]).unwrap().x, number, "it did not go back");
        assert_eq!(simulation.rollback(way_back).unwrap().undone, 1);
        assert_eq!(simulation.world().get::<Push>(entities[0]).unwrap().x, number - 1.0, "undone");
        // whoever publishes it, it is not in there
        simulation.world_mut().publish().unwrap();
        assert_eq!(sender.contained(simulation.world().generation()), Some(before));
        assert_eq!(simulation.step(0.1).unwrap().inputs.applied, 1, "again");
        simulation.step(0.1).unwrap();
        assert_eq!(simulation.world().get::<Push>(entities[0]).unwrap().x, number);
        assert_eq!(sender.contained(simulation.world().generation()), Some(last));
        assert_eq!(simulation.step(0.1).unwrap().inputs.applied, 0, "once");
        simulation.step(0.1).unwrap();
    }
}

#[test]
fn the_same_inputs_come_to_the_same_bytes_for_any_workers() {
    let run = |workers: Workers| {
        let (mut simulation, entities) = simulation(&["push", "sum"], workers);
        let mut senders = [sender(&simulation), sender(&simulation)];
        for frame in 0..40u32 {
            for (which, sender) in senders.iter_mut().enumerate() {
                for index in 0..frame as usize {
                    let entity = entities[(index * 37 + which) % ROWS];
                    sender.send("push", &push(entity, (index + which) as f32, frame as f32)).unwrap();
                    sender.send("sum", &entry(entity, &f64::from(frame).to_le_bytes())).unwrap();
                }
            }
            simulation.step(0.1).unwrap();
        }
        hash(&simulation)
    };
    let local = run(Workers::Local);
    assert_eq!(local, run(Workers::Threads(1)));
    assert_eq!(local, run(Workers::Threads(3)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 64 }, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_of_arbitrary_bytes_hurts_nobody(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        head in prop_oneof![Just(0u64), any::<u64>()],
        tail in prop_oneof![(0u64..50).prop_map(|words| words * 8), any::<u64>()],
        framed in any::<bool>(),
    ) {
        let (mut simulation, entities) = simulation(&["wind"], Workers::Local);
        simulation.step(0.0).unwrap();
        let ring = ring_of(&simulation, 0);
        ring.owner().store(1, Ordering::Relaxed);
        let mut bytes = bytes;
        bytes.resize(bytes.len().next_multiple_of(8).max(16), 0);
        if framed {
            let length = bytes.len() as u32;
            bytes[..4].copy_from_slice(&length.to_le_bytes());
        }
        ring.write(0, &bytes);
        ring.head().store(head, Ordering::Relaxed);
        ring.tail().store(if framed { bytes.len() as u64 } else { tail }, Ordering::Relaxed);
        let mut good = sender(&simulation);
        for frame in 0..200u32 {
            good.send("wind", &f64::from(frame).to_le_bytes()).unwrap();
            simulation.step(0.0).unwrap();
            prop_assert_eq!(simulation.world().resource::<Wind>().unwrap(), Wind { speed: f64::from(frame) });
            if frame == 100 {
                // its owner is gone
                ring.owner().store(0, Ordering::Relaxed);
            }
        }
        prop_assert_eq!(simulation.world().get::<Push>(entities[0]).unwrap(), Push { x: 0.0, y: 0.0 });
        let mut next = sender(&simulation);
        next.send("wind", &7.5f64.to_le_bytes()).unwrap();
        simulation.step(0.0).unwrap();
        prop_assert_eq!(simulation.world().resource::<Wind>().unwrap(), Wind { speed: 7.5 });
    }
}
