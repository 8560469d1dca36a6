//! Readers that ask for one frame: what is kept can be pinned, by anybody, whatever the writer does meanwhile.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::sync::atomic::{AtomicBool, Ordering};

use hypostyle::{
    Component, Read, Reader, RegionTarget, Schedule, Simulation, Snapshot, SnapshotError, System, Workers, World, Write,
};

#[derive(Clone, Copy, Debug, PartialEq, Component)]
struct Turn {
    number: u64,
    twice: u64,
}

const ROWS: u64 = 3000;

fn world(region: RegionTarget, keep: usize) -> World {
    let mut world =
        World::builder().component::<Turn>().region(region).keep_generations(keep).keep_region(true).build().unwrap();
    world.spawn_batch((0..ROWS).map(|_| Turn { number: 0, twice: 0 })).unwrap();
    world.publish().unwrap();
    world
}

/// Each frame writes its number into every row.
fn counting() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Turn>>("count", |job, mut turn| {
        turn.number.fill(job.frame());
        turn.twice.fill(2 * job.frame());
    }));
    schedule
}

fn frames(reader: &Reader) -> Vec<u64> {
    reader.frames().iter().map(|kept| kept.frame).collect()
}

/// Every row is of the snapshot's frame.
fn check(snapshot: &Snapshot<'_>) {
    let frame = snapshot.frame();
    let mut rows = 0;
    for table in snapshot.tables() {
        let (number, twice) =
            (table.column::<u64>("turn.number").unwrap().unwrap(), table.column::<u64>("turn.twice").unwrap().unwrap());
        assert!(number.iter().all(|number| *number == frame), "frame {frame}");
        assert!(twice.iter().all(|twice| *twice == 2 * frame), "frame {frame}");
        rows += number.len() as u64;
    }
    assert_eq!(rows, ROWS);
}

#[test]
fn kept_frames_can_be_pinned_and_no_others() {
    let mut simulation = Simulation::new(world(RegionTarget::Heap, 3), counting(), Workers::Local).unwrap();
    for _ in 0..5 {
        simulation.step(1.0).unwrap();
    }
    let mut reader = simulation.world().reader().unwrap();
    assert_eq!(frames(&reader), [2, 3, 4, 5]);
    for frame in 2..=5 {
        let snapshot = reader.pin_frame(frame).unwrap();
        assert_eq!(snapshot.frame(), frame);
        check(&snapshot);
    }
    let error = reader.pin_frame(1).err().unwrap();
    assert!(matches!(error, SnapshotError::NotKept { frame: 1, .. }));
    let text = error.to_string();
    assert!(text.contains("no generation of frame 1 to pin: there are those of frames 2, 3, 4, 5"), "{text}");
    // who has it keeps it, also when the writer does not
    let held = reader.try_clone().unwrap().into_pinned_frame(2).unwrap();
    for _ in 0..6 {
        simulation.step(1.0).unwrap();
        check(&held.snapshot());
    }
    assert_eq!((held.snapshot().frame(), frames(&reader)), (2, vec![8, 9, 10, 11]));
    assert!(reader.pin_frame(2).is_err(), "held by another, but offered no more");
    simulation.world_mut().set_keep_generations(0);
    assert_eq!(frames(&reader), [11]);
    // frames that were undone are gone
    simulation.world_mut().set_keep_generations(3);
    for _ in 0..3 {
        simulation.step(1.0).unwrap();
    }
    assert_eq!(frames(&reader), [11, 12, 13, 14]);
    simulation.rollback(2).unwrap();
    assert_eq!(frames(&reader), [11, 12]);
    check(&reader.pin_frame(12).unwrap());
}

#[test]
fn more_are_kept_than_can_be_pinned() {
    let mut simulation = Simulation::new(world(RegionTarget::Heap, 100), counting(), Workers::Local).unwrap();
    for _ in 0..70 {
        simulation.step(1.0).unwrap();
    }
    let mut reader = simulation.world().reader().unwrap();
    let count = hypostyle::limits::PINNABLE_GENERATIONS_MAX as u64;
    assert_eq!(frames(&reader), (71 - count..=70).collect::<Vec<_>>());
    assert!(reader.pin_frame(70 - count).is_err());
    check(&reader.pin_frame(71 - count).unwrap());
    assert_eq!(simulation.world().kept_generations().len(), 71);
}

#[test]
fn kept_frames_survive_a_take_over() {
    let target: RegionTarget = format!("pin-frame-{}", std::process::id()).parse().unwrap();
    let mut simulation = Simulation::new(world(target.clone(), 4), counting(), Workers::Local).unwrap();
    for _ in 0..9 {
        simulation.step(1.0).unwrap();
    }
    let reader = simulation.world().reader().unwrap();
    drop(simulation);
    let resume = |keep| World::builder().component::<Turn>().keep_generations(keep).keep_region(true).resume(&target);
    let mut simulation = Simulation::new(resume(4).unwrap(), counting(), Workers::Local).unwrap();
    let mut reader_of_new = simulation.world().reader().unwrap();
    assert_eq!(frames(&reader_of_new), [5, 6, 7, 8, 9]);
    for frame in 5..=9 {
        check(&reader_of_new.pin_frame(frame).unwrap());
    }
    let held = reader.into_pinned_frame(6).unwrap();
    for _ in 0..8 {
        simulation.step(1.0).unwrap();
        check(&held.snapshot());
    }
    drop(held);
    // and a world can go back to them
    drop(simulation);
    let mut world = resume(2).unwrap();
    assert_eq!(frames(&world.reader().unwrap()), [15, 16, 17]);
    assert_eq!(world.rollback(2).unwrap().frame, 15);
    check(&world.reader().unwrap().pin_frame(15).unwrap());
    world.publish().unwrap();
    drop(world);
    let mut world = resume(0).unwrap();
    assert_eq!(frames(&world.reader().unwrap()), [15]);
    world.set_keep_region(false);
}

#[test]
fn what_is_given_up_for_memory_stays_with_its_reader() {
    let mut world = World::builder().component::<Turn>().bytes_max(1 << 20).keep_generations(20).build().unwrap();
    world.spawn_batch((0..ROWS).map(|_| Turn { number: 0, twice: 0 })).unwrap();
    world.publish().unwrap();
    let mut simulation = Simulation::new(world, counting(), Workers::Local).unwrap();
    let reader = simulation.world().reader().unwrap();
    let mut held: Vec<hypostyle::columns::Pinned> = Vec::new();
    let mut given_up = 0;
    for frame in 1..=200 {
        simulation.step(1.0).unwrap();
        let kept = frames(&reader);
        given_up += u64::from(frame > 20 && kept.len() < 21);
        // the oldest one: the first that the writer gives up
        held.push(reader.try_clone().unwrap().into_pinned_frame(kept[0]).unwrap());
        held.iter().for_each(|pinned| check(&pinned.snapshot()));
        if held.len() > 3 {
            held.remove(0);
        }
    }
    assert!(given_up > 50, "memory was tight in {given_up} frames");
}

/// A world with several kept generations, and a pin of one of them that the writer has not seen yet.
fn just_pinned(bytes_max: u64, back: usize) -> (World, hypostyle::columns::Pinned) {
    let mut world = World::builder().component::<Turn>().bytes_max(bytes_max).keep_generations(6).build().unwrap();
    world.spawn_batch((0..ROWS).map(|_| Turn { number: 0, twice: 0 })).unwrap();
    world.publish().unwrap();
    let mut simulation = Simulation::new(world, counting(), Workers::Local).unwrap();
    for _ in 0..8 {
        simulation.step(1.0).unwrap();
    }
    let world = simulation.into_world();
    let reader = world.reader().unwrap();
    let kept = frames(&reader);
    (world, reader.into_pinned_frame(kept[kept.len() - back]).unwrap())
}

#[test]
fn who_has_just_pinned_keeps_it_where_the_writer_keeps_fewer() {
    for back in 2..=7 {
        let (mut world, held) = just_pinned(64 << 20, back);
        world.set_keep_generations(0);
        // wants other extents for all columns
        world.query_mut::<Write<Turn>>(|_, mut turn| turn.number.fill(u64::MAX)).unwrap();
        check(&held.snapshot());
        world.query_mut::<Write<Turn>>(|_, mut turn| turn.twice.fill(u64::MAX)).unwrap();
        world.spawn_batch((0..ROWS).map(|_| Turn { number: u64::MAX, twice: u64::MAX })).unwrap();
        check(&held.snapshot());
    }
}

#[test]
fn who_has_just_pinned_keeps_it_where_memory_is_short() {
    for back in 2..=7 {
        let (mut world, held) = just_pinned(1 << 20, back);
        let mut refused = 0;
        for _ in 0..40 {
            let spawned = world.spawn_batch((0..ROWS / 4).map(|_| Turn { number: u64::MAX, twice: u64::MAX }));
            refused += u64::from(spawned.is_err());
            check(&held.snapshot());
        }
        assert!(refused > 0, "memory was not short");
        assert_eq!(world.kept_generations().len(), 1, "all but the newest was given up");
    }
}

#[test]
fn frames_that_are_pinned_at_random_are_whole() {
    let mut simulation = Simulation::new(world(RegionTarget::Heap, 5), counting(), Workers::Local).unwrap();
    let (over, first) = (AtomicBool::new(false), simulation.world().reader().unwrap());
    let pinned: u64 = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|number| {
                let (mut reader, over) = (first.try_clone().unwrap(), &over);
                scope.spawn(move || {
                    let (mut pinned, mut at) = (0, number);
                    while !over.load(Ordering::Relaxed) {
                        let kept = reader.frames();
                        at = (at * 7 + 3) % 11;
                        let Some(kept) = kept.get(at % kept.len().max(1)) else { continue };
                        match reader.pin_frame(kept.frame) {
                            Ok(snapshot) => {
                                assert_eq!(snapshot.frame(), kept.frame);
                                check(&snapshot);
                                pinned += 1;
                            }
                            Err(SnapshotError::NotKept { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    pinned
                })
            })
            .collect();
        for round in 0..1500 {
            simulation.step(1.0).unwrap();
            if round % 10 == 9 {
                simulation.rollback(3).unwrap();
            }
        }
        over.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(pinned > 0);
    let mut rows = 0;
    simulation.world().query::<Read<Turn>>(|entities, _| rows += entities.len() as u64).unwrap();
    assert_eq!(rows, ROWS);
}
