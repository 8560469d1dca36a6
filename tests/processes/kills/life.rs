//! What those do who are to die: a writer with a journal and checkpoints, a reader, a sender of inputs.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use hypostyle::checkpoint::{self, CheckpointOptions};
use hypostyle::journal::{JournalError, Recorder, RecorderOptions};
use hypostyle::{Component, RegionTarget, SnapshotError, Workers, World, WorldError, regions, stage};

use super::{ROWS, SEED};
use crate::hostile;
use crate::readers::check_rows;
use crate::scenes;
use crate::support::{Setting, mix};

/// A value that is whole or not.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Note {
    pub number: u64,
    pub seal: u64,
}

impl Note {
    pub fn new(number: u64) -> Note {
        Note { number, seal: mix(number) }
    }
}

/// Dies there, if told where.
pub(super) fn doomed(fault: &str) {
    assert!(fault == "none" || stage::kill_at(fault), "`{fault}` is no fault");
}

/// The role of a writer in a directory: it makes the region, or takes it over, and runs so many frames, all of them
/// published, recorded and said; every third is a checkpoint, every fourth goes back a little first. A last one removes
/// the region.
pub fn live(directory: &Path, workers: &str, worker_fault: &str, frames: u64, last: bool, fault: &str) {
    doomed(fault);
    let target = RegionTarget::Directory(directory.join("region"));
    let fresh = || scenes::world("mixed", target.clone(), ROWS, SEED);
    let resumed = if directory.join("region").exists() { Some(World::resume(&target)) } else { None };
    let mut world = match resumed {
        None => fresh(),
        // its writer died before there was anything to go on from
        Some(Err(WorldError::Snapshot(SnapshotError::NothingPublished))) => {
            regions::clean(&target).unwrap();
            fresh()
        }
        Some(resumed) => resumed.unwrap(),
    };
    world.set_keep_generations(3);
    let workers: Workers = workers.parse().unwrap();
    let worker_fault = Some(worker_fault).filter(|fault| *fault != "none").map(str::to_owned);
    let setting = Setting { ring_bytes: 4096, fault: worker_fault, ..Setting::new("mixed", workers) };
    let builder = setting.builder().inputs(["energy"]);
    let mut simulation = builder.build(world, scenes::schedule("mixed")).unwrap();
    scenes::seed(&mut simulation, SEED);
    let mut recorder = record(simulation.world(), directory);
    let mut dead = 0;
    for number in 1..=frames {
        if number % 4 == 0 {
            println!("back");
            simulation.rollback(1).unwrap();
            recorder.look().unwrap();
        }
        simulation.step(scenes::DT).unwrap();
        println!("frame {}", simulation.world().frame());
        // those before the first frame as well
        let deaths = simulation.worker_status().iter().map(|worker| worker.deaths).sum();
        for _ in dead..deaths {
            println!("death");
        }
        dead = deaths;
        recorder.look().unwrap();
        recorder.flush().unwrap();
        println!("recorded {}", simulation.world().frame());
        if number % 3 == 0 {
            let mut reader = simulation.world().reader().unwrap();
            let snapshot = reader.pin().unwrap();
            checkpoint::write(&snapshot, &directory.join("state"), &CheckpointOptions::default()).unwrap();
            println!("checkpoint {}", snapshot.frame());
        }
    }
    recorder.finish().unwrap();
    simulation.set_keep_region(!last);
    println!("ends");
    drop(simulation);
    println!("done");
}

/// Goes on with the journal that is there; where the world went back and that was not recorded any more, begins another.
fn record(world: &World, directory: &Path) -> Recorder {
    let mut number = 1;
    loop {
        let options = RecorderOptions { checkpoint_every: 3, ..RecorderOptions::new(journal(directory, number)) };
        match Recorder::start(world, options) {
            Err(JournalError::Other { .. }) if number < 9 => number += 1,
            started => return started.unwrap(),
        }
    }
}

/// A journal of a place.
pub fn journal(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("journal-{number}"))
}

/// The role of a reader that is to die: checks whatever is the newest, again and again.
pub fn read(target: &RegionTarget, fault: &str) {
    doomed(fault);
    println!("open");
    loop {
        let mut reader = hostile::open(target).unwrap();
        for _ in 0..3 {
            let snapshot = reader.pin().unwrap();
            if let Err(message) = check_rows(&snapshot) {
                println!("{message}");
                return;
            }
        }
    }
}

/// The role of a sender that is to die: numbers, one after the other, each said when it is sent.
pub fn send(target: &RegionTarget, from: u64, fault: &str) {
    doomed(fault);
    let reader = hostile::open(target).unwrap();
    let mut sender = reader.inputs().unwrap().expect("it takes inputs");
    for number in from.. {
        let mut payload = hypostyle::Entity::from_parts(0, 0).to_bits().to_le_bytes().to_vec();
        let Note { number, seal } = Note::new(number);
        payload.extend([number.to_le_bytes(), seal.to_le_bytes()].concat());
        while let Err(hypostyle::InputError::Full) = sender.send("note", &payload) {
            std::thread::yield_now();
        }
        println!("sent {number}");
    }
}
