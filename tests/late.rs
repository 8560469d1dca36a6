//! Worlds that have nearly used up their counters: the last generations and frames are as all others, whoever reads,
//! records, resumes or goes back; and after the last there is an error with its number, and nothing has changed.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use hypostyle::checkpoint;
use hypostyle::journal::{Journal, Recorder, RecorderOptions};
use hypostyle::limits::FRAME_MAX;
use hypostyle::stage::GENERATION_LAST;
use hypostyle::{
    Component, Publication, Read, Reader, RegionTarget, Schedule, Simulation, StepError, System, Workers, World,
    WorldError, Write,
};

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Mass {
    kg: f64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(track_changes)]
struct Place {
    x: f64,
}

const ROWS: usize = 3000;

/// A world whose newest generation and frame are these.
fn late(region: RegionTarget, generation: u64, frame: u64) -> World {
    let builder = World::builder().component::<Mass>().component::<Place>().keep_generations(8);
    let mut world = builder.region(region).bytes_max(1 << 26).build().unwrap();
    world.spawn_batch((0..ROWS).map(|row| (Mass { kg: row as f64 }, Place { x: 0.0 }))).unwrap();
    assert_eq!(world.publish_as(generation, frame).unwrap(), Publication::Published(generation));
    world
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Read<Mass>, Write<Place>)>("move", |job, (mass, mut place)| {
        for row in 0..job.len() {
            place.x[row] += mass.kg[row] * job.dt();
        }
    }));
    schedule
}

fn simulation(world: World, workers: Workers) -> Simulation {
    Simulation::builder().workers(workers).inputs(["mass"]).build(world, schedule()).unwrap()
}

fn directory(place: &Path) -> RegionTarget {
    RegionTarget::Directory(place.join("region"))
}

/// Generation, frame and hash of what is newest.
fn newest(reader: &mut Reader) -> (u64, u64, u64) {
    let snapshot = reader.pin().unwrap();
    (snapshot.generation(), snapshot.frame(), snapshot.hash())
}

fn is_the_end(error: &StepError) -> bool {
    let StepError::World { source, .. } = error else { return false };
    matches!(**source, WorldError::NoGenerationLeft { newest: GENERATION_LAST })
}

#[test]
fn the_last_generations_are_as_all_others_and_then_there_are_none() {
    let place = tempfile::tempdir().unwrap();
    for (region, workers) in [(RegionTarget::Heap, Workers::Threads(2)), (directory(place.path()), Workers::Local)] {
        let mut young = simulation(late(RegionTarget::Heap, 10, 7), Workers::Local);
        let mut old = simulation(late(region, GENERATION_LAST - 3, 7), workers);
        let mut reader = old.world().reader().unwrap();
        let mut hashes = Vec::new();
        for ahead in 0..3 {
            young.step(0.5).unwrap();
            old.step(0.5).unwrap();
            let (generation, frame, hash) = newest(&mut reader);
            assert_eq!((generation, frame), (GENERATION_LAST - 2 + ahead, 8 + ahead));
            assert_eq!(hash, newest(&mut young.world().reader().unwrap()).2, "counters are no state");
            hashes.push(hash);
        }
        let held = old.world().reader().unwrap().into_pinned().unwrap();
        for _ in 0..2 {
            let error = old.step(0.5).unwrap_err();
            assert!(is_the_end(&error), "{error}");
            assert_eq!(newest(&mut reader), (GENERATION_LAST, 10, hashes[2]), "it stands where it stood");
            assert_eq!((old.world().generation(), old.world().frame()), (GENERATION_LAST, 10));
        }
        // without a publication there is no end
        old.set_publish_every(1000);
        old.run(5, 0.5).unwrap();
        assert_eq!(old.world().frame(), 15);
        // what was not published can be undone; what was cannot, as that would be a new generation
        assert_eq!(old.rollback(5).unwrap().frame, 10);
        let error = old.rollback(1).unwrap_err();
        assert!(matches!(error, WorldError::NoGenerationLeft { newest: GENERATION_LAST }), "{error}");
        assert_eq!(newest(&mut reader), (GENERATION_LAST, 10, hashes[2]));
        assert_eq!((held.snapshot().generation(), held.snapshot().hash()), (GENERATION_LAST, hashes[2]));
        assert!(old.world().kept_generations().any(|kept| kept.generation == GENERATION_LAST - 1), "still kept");
    }
}

#[test]
fn going_back_takes_the_last_generation() {
    let mut simulation = simulation(late(RegionTarget::Heap, GENERATION_LAST - 3, 0), Workers::Local);
    let first = newest(&mut simulation.world().reader().unwrap()).2;
    simulation.run(2, 0.5).unwrap();
    let back = simulation.rollback(2).unwrap();
    assert_eq!((back.frame, back.generation), (0, GENERATION_LAST));
    let mut reader = simulation.world().reader().unwrap();
    assert_eq!(newest(&mut reader), (GENERATION_LAST, 0, first));
    let snapshot = reader.pin().unwrap();
    let table = snapshot.tables().find(|table| table.rows() > 0).unwrap();
    let changed = |since| table.changed_since("place.x", since).unwrap().unwrap().is_empty();
    assert!(!changed(GENERATION_LAST - 1), "what went back is told as changed");
    assert!(changed(GENERATION_LAST));
}

#[test]
fn the_last_generation_is_taken_over_saved_and_recorded() {
    let place = tempfile::tempdir().unwrap();
    let region = directory(place.path());
    let mut world = late(region.clone(), GENERATION_LAST - 5, 0);
    world.set_keep_region(true);
    let mut simulation = simulation(world, Workers::Local);
    let journal = place.path().join("journal");
    let options = RecorderOptions { checkpoint_every: 2, ..RecorderOptions::new(&journal) };
    let mut recorder = Recorder::start(simulation.world(), options).unwrap();
    let mut reader = simulation.world().reader().unwrap();
    let mut states = vec![newest(&mut reader)];
    recorder.look().unwrap();
    for _ in 0..4 {
        simulation.step(0.5).unwrap();
        recorder.look().unwrap();
        states.push(newest(&mut reader));
    }
    drop(simulation);
    let mut simulation = self::simulation(World::resume(&region).unwrap(), Workers::Local);
    simulation.step(0.5).unwrap();
    states.push(newest(&mut simulation.world().reader().unwrap()));
    assert_eq!(states.last().unwrap().0, GENERATION_LAST);
    recorder.finish().unwrap();

    let file = place.path().join("state");
    let pinned = simulation.world().reader().unwrap().into_pinned().unwrap();
    checkpoint::write(&pinned.snapshot(), &file, &Default::default()).unwrap();
    let file = checkpoint::open(&file).unwrap();
    assert!(file.verify().unwrap().is_whole());
    let restored = file.restore(World::builder().component::<Mass>().component::<Place>()).unwrap();
    assert_eq!(newest(&mut restored.reader().unwrap()), states[5], "it has its number again");
    let error = self::simulation(restored, Workers::Local).step(0.5).unwrap_err();
    assert!(is_the_end(&error), "{error}");

    let journal = Journal::open(&journal).unwrap();
    let found: Vec<_> = journal.entries().map(|entry| (entry.generation, entry.frame)).collect();
    assert_eq!(found, states.iter().map(|(generation, frame, _)| (*generation, *frame)).collect::<Vec<_>>());
    assert!(journal.verify().unwrap().damaged.is_empty());
    for (entry, state) in journal.entries().zip(&states) {
        assert_eq!(newest(&mut journal.replay_to(entry).unwrap().load().unwrap()), *state);
    }
}

#[test]
fn inputs_are_told_up_to_the_last_generation() {
    let mut simulation = simulation(late(RegionTarget::Heap, GENERATION_LAST - 2, 0), Workers::Local);
    let entity =
        simulation.world().reader().unwrap().pin().unwrap().tables().flat_map(|t| t.entities().to_vec()).next();
    let payload = |kg: f64| [entity.unwrap().to_bits().to_le_bytes(), kg.to_le_bytes()].concat();
    let mut sender = simulation.world().reader().unwrap().inputs().unwrap().unwrap();
    for kg in [5.0, 6.0] {
        let position = sender.send("mass", &payload(kg)).unwrap();
        simulation.step(0.5).unwrap();
        let generation = simulation.world().generation();
        assert!(sender.contained(generation).unwrap() >= position);
        assert!(sender.contained(generation - 1).is_none_or(|before| before < position));
    }
    let position = sender.send("mass", &payload(7.0)).unwrap();
    assert!(is_the_end(&simulation.step(0.5).unwrap_err()));
    assert!(sender.contained(GENERATION_LAST).unwrap() < position, "it is in no generation");
    assert_eq!(simulation.world().get::<Mass>(entity.unwrap()).unwrap(), Mass { kg: 6.0 });
}

#[test]
fn the_last_frame_is_as_all_others_and_then_there_is_none() {
    let place = tempfile::tempdir().unwrap();
    let mut simulation = simulation(late(RegionTarget::Heap, 5, FRAME_MAX - 3), Workers::Local);
    let error = simulation.run(4, 0.5).unwrap_err();
    assert!(matches!(error, StepError::FrameRange { frame, frames: 4 } if frame == FRAME_MAX - 3), "{error}");
    assert_eq!(simulation.world().frame(), FRAME_MAX - 3, "none of them was run");
    simulation.run(2, 0.5).unwrap();
    // as many as there are
    simulation.run_while(u64::MAX, 0.5, &mut || true).unwrap();
    let (generation, frame, hash) = newest(&mut simulation.world().reader().unwrap());
    assert_eq!((generation, frame), (8, FRAME_MAX));
    for _ in 0..2 {
        assert!(matches!(simulation.step(0.5), Err(StepError::FrameRange { frame: FRAME_MAX, frames: 1 })));
        assert!(matches!(simulation.run_while(9, 0.5, &mut || true), Err(StepError::FrameRange { .. })));
    }
    simulation.run(0, 0.5).unwrap();
    let error = simulation.world_mut().begin_frame().unwrap_err();
    assert!(matches!(error, WorldError::NoFrameLeft { frame: FRAME_MAX }), "{error}");
    assert_eq!(newest(&mut simulation.world().reader().unwrap()), (8, FRAME_MAX, hash));
    let file = place.path().join("state");
    let pinned = simulation.world().reader().unwrap().into_pinned().unwrap();
    checkpoint::write(&pinned.snapshot(), &file, &Default::default()).unwrap();
    let restored = checkpoint::open(&file).unwrap().load().unwrap().pin().unwrap().frame();
    assert_eq!(restored, FRAME_MAX);
    assert_eq!(simulation.rollback(2).unwrap().frame, FRAME_MAX - 2);
    assert_eq!(simulation.step(0.5).unwrap().frame, FRAME_MAX - 1);
}
