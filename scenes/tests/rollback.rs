//! Worlds that go back in memory and step again: the same bytes, whoever reads meanwhile.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::HashMap;

use hypostyle::{
    Component, Publication, Reader, Simulation, Snapshot, StepError, System, With, Workers, World, WorldError,
};
use hypostyle_scenes as scenes;
use proptest::prelude::*;
use scenes::{Scene, SceneOptions};

/// Scenes with a small world each, and frames in which much happens.
const SCENES: [(&dyn Scene, u64, u64); 7] = [
    (&scenes::particles::Particles, 3000, 12),
    (&scenes::spheres::Spheres, 200, 30),
    (&scenes::nbody::NBody, 60, 9),
    (&scenes::lj::LennardJones, 256, 20),
    (&scenes::fluids::Fluids, 600, 9),
    (&scenes::field::Plasma, 3000, 12),
    (&scenes::epidemic::Epidemic, 2000, 12),
];

fn begin(scene: &dyn Scene, entities: u64, workers: Workers, keep: usize, publish_every: u64) -> Simulation {
    let options = SceneOptions::new(Some(entities), 7);
    let world = scene.world(&options, World::builder().keep_generations(keep)).unwrap();
    let builder = Simulation::builder().workers(workers).publish_every(publish_every);
    builder.build(world, scene.schedule(&options)).unwrap()
}

fn hash(reader: &mut Reader) -> u64 {
    reader.pin().unwrap().hash()
}

#[test]
fn every_scene_steps_again_to_the_same_bytes() {
    for (scene, entities, frames) in SCENES {
        for workers in [Workers::Local, Workers::Threads(2)] {
            let mut simulation = begin(scene, entities, workers, 8, 1);
            let mut reader = simulation.world().reader().unwrap();
            let mut hashes = vec![0];
            for _ in 0..frames {
                simulation.step(scene.dt()).unwrap();
                hashes.push(hash(&mut reader));
            }
            for back in [1, 5, 8, 3, 0] {
                let before = simulation.world().generation();
                let landed = simulation.rollback(back).unwrap();
                assert_eq!((landed.frame, landed.undone), (frames - back, back), "{}", scene.name());
                assert!(back == 0 || landed.generation == before + 1 && landed.source < before);
                assert_eq!(hash(&mut reader), hashes[landed.frame as usize], "{} back {back}", scene.name());
                for frame in landed.frame + 1..=frames {
                    simulation.step(scene.dt()).unwrap();
                    assert_eq!(hash(&mut reader), hashes[frame as usize], "{} frame {frame}", scene.name());
                }
            }
        }
    }
}

#[test]
fn it_lands_on_the_newest_kept_generation_and_says_which() {
    let (scene, entities, _) = SCENES[0];
    let mut simulation = begin(scene, entities, Workers::Local, 3, 4);
    let mut reader = simulation.world().reader().unwrap();
    let mut hashes = HashMap::new();
    for _ in 0..21 {
        simulation.step(scene.dt()).unwrap();
        let snapshot = reader.pin().unwrap();
        hashes.insert(snapshot.frame(), snapshot.hash());
    }
    let kept: Vec<u64> = simulation.world().kept_generations().map(|kept| kept.frame).collect();
    assert_eq!(kept, [8, 12, 16, 20]);
    for (back, frame) in [(0, 20), (3, 16), (4, 12)] {
        let from = simulation.world().frame();
        let landed = simulation.rollback(back).unwrap();
        assert_eq!((landed.frame, landed.undone), (frame, from - frame), "back {back} from {from}");
        assert_eq!(hash(&mut reader), hashes[&frame]);
    }
    // published at the same frames as the first time
    for frame in 13..=20 {
        simulation.step(scene.dt()).unwrap();
        assert_eq!(reader.pin().unwrap().frame(), frame / 4 * 4);
    }
    assert_eq!(hash(&mut reader), hashes[&20]);
    let error = simulation.rollback(19).unwrap_err().to_string();
    assert!(
        error.contains("stands at frame 20 and cannot go back 19") && error.contains("kept generations"),
        "{error}"
    );
    assert!(matches!(simulation.rollback(21), Err(WorldError::NotKept { frame: 20, frames: 21, .. })));
    assert_eq!(simulation.world().frame(), 20, "nothing has changed");
    simulation.step(scene.dt()).unwrap();
}

#[test]
fn without_kept_generations_only_the_newest_is_there() {
    let (scene, entities, _) = SCENES[0];
    let mut simulation = begin(scene, entities, Workers::Local, 0, 1);
    let mut reader = simulation.world().reader().unwrap();
    for _ in 0..3 {
        simulation.step(scene.dt()).unwrap();
    }
    let (newest, allocated) = (hash(&mut reader), simulation.world().usage().allocated);
    let error = simulation.rollback(1).unwrap_err().to_string();
    assert!(error.contains("only the newest generation is kept, that of frame 3"), "{error}");
    let entity = reader.pin().unwrap().tables().next().unwrap().entities()[0];
    simulation.world_mut().despawn(entity).unwrap();
    let landed = simulation.rollback(0).unwrap();
    assert_eq!((landed.frame, landed.undone, landed.generation), (3, 0, landed.source));
    assert!(simulation.world().contains(entity) && hash(&mut reader) == newest);
    for _ in 0..5 {
        simulation.step(scene.dt()).unwrap();
    }
    assert!(simulation.world().usage().allocated <= allocated * 5 / 4);
}

#[test]
fn readers_keep_what_was_undone_and_never_see_a_number_twice() {
    let (scene, entities, _) = SCENES[0];
    let mut simulation = begin(scene, entities, Workers::Local, 6, 1);
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let mut held = Vec::new();
    for round in 0..30u64 {
        if round % 5 == 4 {
            simulation.rollback(round % 4 + 1).unwrap();
        } else {
            simulation.step(scene.dt()).unwrap();
        }
        let pinned = simulation.world().reader().unwrap().into_pinned().unwrap();
        let (generation, hash) = (pinned.snapshot().generation(), pinned.snapshot().hash());
        assert!(seen.insert(generation, hash).is_none(), "generation {generation} was seen before");
        assert!(seen.keys().all(|other| *other <= generation), "numbers grow");
        held.push(pinned);
        if round % 3 == 0 {
            held.remove(round as usize % held.len());
        }
        for pinned in &held {
            assert_eq!(pinned.snapshot().hash(), seen[&pinned.snapshot().generation()], "a pinned generation changed");
        }
    }
}

#[test]
fn memory_comes_back() {
    let (scene, entities, _) = SCENES[0];
    let mut simulation = begin(scene, entities, Workers::Local, 0, 1);
    let steps = |simulation: &mut Simulation, count: u32| {
        (0..count).for_each(|_| drop(simulation.step(scene.dt()).unwrap().clone()));
        simulation.world().usage().allocated
    };
    let before = steps(&mut simulation, 10);
    simulation.world_mut().set_keep_generations(20);
    let kept = steps(&mut simulation, 40);
    assert!(kept > before * 3, "{kept} {before}");
    assert!(steps(&mut simulation, 40) <= kept * 11 / 10, "it does not grow");
    simulation.rollback(20).unwrap();
    assert!(steps(&mut simulation, 2) < kept / 2, "what was undone is free");
    simulation.world_mut().set_keep_generations(0);
    assert!(steps(&mut simulation, 3) <= before * 5 / 4);
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Big {
    values: [u64; 16],
}

/// Where memory is short, what is kept is given up first: a publication is worth more.
#[test]
fn a_tight_world_keeps_fewer_generations() {
    let mut world = World::builder().component::<Big>().bytes_max(4 << 20).keep_generations(50).build().unwrap();
    let big = |value: u64| Big { values: [value; 16] };
    let all = world.spawn_batch((0..4000).map(big)).unwrap().to_vec();
    for round in 0..60 {
        world.set(all[7], big(round)).unwrap();
        assert!(matches!(world.publish().unwrap(), Publication::Published(_)), "round {round}");
    }
    let kept = world.kept_generations().len();
    assert!((1..20).contains(&kept), "{kept}");
    // it goes back, however tight: the oldest that is left
    let oldest = world.kept_generations().next().unwrap();
    let landed = world.rollback(0).unwrap();
    assert_eq!((landed.frame, world.get::<Big>(all[7]).unwrap()), (0, big(59)));
    assert!(oldest.generation <= landed.source);
}

#[test]
fn a_frame_that_fails_after_it_goes_back_no_further() {
    let mut schedule = hypostyle::Schedule::new();
    schedule.add(System::try_rows::<With<Big>>("fail", |job, ()| match job.payload() {
        [1] => Err("asked to".into()),
        _ => Ok(()),
    }));
    let mut world = World::builder().component::<Big>().keep_generations(10).build().unwrap();
    world.spawn(Big { values: [1; 16] }).unwrap();
    let mut simulation = Simulation::new(world, schedule, Workers::Local).unwrap();
    for frame in 1..6 {
        simulation.step(1.0).unwrap();
        simulation.world_mut().spawn(Big { values: [frame; 16] }).unwrap();
    }
    simulation.rollback(3).unwrap();
    let count = simulation.world().entity_count();
    simulation.set_payload("fail", [1]).unwrap();
    assert!(matches!(simulation.step(1.0), Err(StepError::Job { undone: 1, frame: 2, .. })));
    assert_eq!((simulation.world().entity_count(), simulation.world().frame()), (count, 2));
    simulation.rollback(1).unwrap();
    assert_eq!(simulation.world().frame(), 1);
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Number {
    value: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Tag;
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle", track_changes)]
struct Toggle {
    value: u64,
}

/// Somebody who copies what the stamps say has changed, and nothing else.
#[derive(Default)]
struct Follower {
    generation: u64,
    columns: HashMap<(usize, String), Vec<u8>>,
    entities: HashMap<usize, Vec<u64>>,
}

impl Follower {
    fn follow(&mut self, snapshot: &Snapshot<'_>) {
        for (index, table) in snapshot.tables().enumerate() {
            let handles: Vec<u64> = table.entities().iter().map(|entity| entity.to_bits()).collect();
            let known = self.entities.insert(index, handles.clone()).unwrap_or_default();
            let changed = table.changed_since("(entity)", self.generation).unwrap().unwrap();
            for (row, handle) in handles.iter().enumerate() {
                let same = known.get(row) == Some(handle);
                assert!(same || changed.contains(row / 1024), "another entity in row {row}, table {index}");
            }
            for name in ["number.value", "toggle.value"] {
                let Some((ty, bytes)) = table.column_bytes(name).unwrap() else { continue };
                let changed = table.changed_since(name, self.generation).unwrap().unwrap();
                let copy = self.columns.entry((index, name.to_owned())).or_default();
                copy.resize(bytes.len(), 0);
                for row in 0..table.rows() {
                    let at = row * ty.bytes()..(row + 1) * ty.bytes();
                    if changed.contains(row / 1024) {
                        copy[at.clone()].copy_from_slice(&bytes[at.clone()]);
                    }
                    assert_eq!(copy[at.clone()], bytes[at], "row {row} of {name}, table {index}");
                }
            }
        }
        self.generation = snapshot.generation();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any edits, publications, rollbacks and pins: states are what they were, and stamps tell what has changed.
    #[test]
    fn any_history_can_be_gone_back(
        steps in prop::collection::vec((0u8..8, 0usize..3000, 0u64..7), 1..60), keep in 1usize..6, follow_every in 1usize..4,
    ) {
        let builder = World::builder().component::<Number>().component::<Tag>().component::<Toggle>();
        let mut world = builder.keep_generations(keep).build().unwrap();
        let number = |value: usize| Number { value: value as u32 };
        world.spawn_batch((0..2500).map(number)).unwrap();
        world.publish().unwrap();
        let mut reader = world.reader().unwrap();
        let mut hashes = vec![hash(&mut reader)];
        let mut follower = Follower::default();
        let mut pinned = None;
        // frames published since the newest rollback
        let mut since = 0;
        for (index, (what, place, back)) in steps.into_iter().enumerate() {
            let alive: Vec<_> = reader.pin().unwrap().tables().flat_map(|table| table.entities().to_vec()).collect();
            let entity = alive[place % alive.len()];
            let entity = if world.contains(entity) { entity } else { continue };
            match what {
                0 => world.set(entity, number(place)).unwrap(),
                1 => world.add(entity, Toggle { value: place as u64 }).unwrap(),
                2 => world.add(entity, Tag).unwrap(),
                3 => drop(world.remove::<Tag>(entity).unwrap()),
                4 => world.despawn(entity).unwrap(),
                5 => drop(world.spawn_batch((0..place / 2).map(number)).unwrap()),
                6 => {
                    let frame = world.frame();
                    match world.rollback(back) {
                        Ok(landed) => {
                            prop_assert_eq!(landed.frame, frame - back);
                            since = 0;
                            hashes.truncate(landed.frame as usize + 1);
                            prop_assert_eq!(hash(&mut reader), hashes[landed.frame as usize]);
                        }
                        Err(error) => {
                            let refused = matches!(&error, WorldError::NotKept { .. });
                            let oldest = world.kept_generations().next().unwrap().frame;
                            prop_assert!(refused && frame.checked_sub(back).is_none_or(|to| to < oldest), "{}", error);
                        }
                    }
                    if index % follow_every == 0 {
                        follower.follow(&reader.pin().unwrap());
                    }
                    continue;
                }
                _ => pinned = Some(world.reader().unwrap().into_pinned().unwrap()),
            }
            world.begin_frame().unwrap();
            world.end_frame(1.0);
            world.publish().unwrap();
            hashes.push(hash(&mut reader));
            since = keep.min(since + 1);
            prop_assert!(world.kept_generations().len() > since);
            if index % follow_every == 0 {
                follower.follow(&reader.pin().unwrap());
            }
        }
        drop(pinned);
    }
}
