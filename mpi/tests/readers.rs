//! Readers of a world on several ranks: whatever they see is of one frame, while all ranks go on.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "opening a region is a promise about its writer")]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{chain, comm, looks, plain, scene};
use hypostyle::regions::{notes_of_rank, ranks};
use hypostyle::{ClusterReader, IdHash, Reader, RegionTarget, Simulation, Workers, World};
use hypostyle_mpi::transport::run_threads;
use hypostyle_mpi::{Cluster, ClusterError, Publication};

const RANKS: usize = 3;
const LOOKS: usize = 300;
/// Frames that are seen at least.
const FRAMES_SEEN: usize = 20;
/// Frames that the ranks run at most; a reader that has looked often enough ends them.
const FRAMES_MAX: u64 = 5000;

/// A reader of what is published under a name; none before all ranks have begun.
fn open(name: &RegionTarget) -> Option<ClusterReader> {
    let parts = ranks(name).ok()??;
    let readers: Vec<_> = parts
        .iter()
        .map(|part| {
            let target = RegionTarget::from_path(&part.path);
            // SAFETY: this very test writes it.
            unsafe { Reader::open(&target) }.unwrap()
        })
        .collect();
    ClusterReader::of(readers).ok()
}

fn hash(reader: &ClusterReader) -> (u64, IdHash) {
    let parts = reader.pin().unwrap();
    assert_eq!(parts.len(), RANKS);
    let hashes = parts.iter().map(|part| part.snapshot().hash_by_id().unwrap());
    let hash = hashes.reduce(|a, b| a.combine(b).expect("all parts are of one frame")).unwrap();
    (parts[0].snapshot().frame(), hash)
}

#[test]
fn three_hundred_looks_at_running_ranks_and_none_is_mixed() {
    let (scene, options) = scene("lj", 864);
    let directory = tempfile::tempdir().unwrap();
    let name = RegionTarget::Directory(directory.path().join("melt"));
    let enough = AtomicBool::new(false);
    let mut seen: BTreeMap<u64, IdHash> = BTreeMap::new();
    std::thread::scope(|scope| {
        let ranks = scope.spawn(|| {
            run_threads(RANKS, |rank| {
                let cluster = Cluster::new(comm(rank), 3);
                let publication = Publication::new(&cluster, &name, 3, Vec::new())?;
                let mut world = scene.world(&options, publication.builder()).unwrap();
                let looks = looks((scene, &options), &world);
                cluster.keep_share(&mut world)?;
                let builder = Simulation::builder().workers(Workers::Local);
                let mut simulation = cluster.simulation(world, scene.schedule(&options), looks, builder)?;
                for _ in 0..FRAMES_MAX {
                    let ran = simulation.run(1, scene.dt()).map(drop);
                    ran.map_err(|error| ClusterError::World(chain(&error)))?;
                    let left = u64::from(!enough.load(Ordering::Relaxed));
                    if cluster.comm(|comm| comm.sum("whether to go on", left))? == 0 {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
        });
        let begun = Instant::now();
        let reader = loop {
            assert!(begun.elapsed() < Duration::from_mins(2) && !ranks.is_finished(), "they do not begin");
            let ready = open(&name).filter(|reader| reader.pin().is_ok());
            match ready {
                Some(reader) => break reader,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let mut looks = 0;
        // on a slow machine many looks are at one frame
        while looks < LOOKS || seen.len() <= FRAMES_SEEN {
            looks += 1;
            let (frame, hash) = hash(&reader);
            let before = seen.insert(frame, hash);
            assert!(before.is_none_or(|before| before == hash), "frame {frame} has two states");
        }
        enough.store(true, Ordering::Relaxed);
        assert!(ranks.join().unwrap().unwrap().iter().all(|enough| *enough), "they ended before the last look");
    });
    // each is the state that one process has after that frame: some of them, as each takes a run
    let step = seen.len().div_ceil(4);
    for (frame, hash) in seen.iter().step_by(step) {
        assert_eq!(plain((scene, &options), *frame), *hash, "frame {frame}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "all regions are gone with the run");
}

/// A part in a directory, with these notes.
fn part(name: &RegionTarget, rank: usize, ranks: usize, run: u64, keep: bool) -> World {
    let (scene, options) = scene("particles", 20);
    let builder = World::builder().region(name.of_rank(rank)).keep_region(keep).keep_generations(1);
    let builder =
        notes_of_rank(rank, ranks, run).into_iter().fold(builder, |builder, (name, value)| builder.note(name, value));
    scene.world(&options, builder).unwrap()
}

#[test]
fn parts_that_are_missing_or_of_another_run_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let name = RegionTarget::Directory(directory.path().join("melt"));
    assert!(ranks(&name).unwrap().is_none(), "there is nothing of that name");
    let first = part(&name, 0, 3, 7, false);
    let error = ranks(&name).unwrap_err().to_string();
    assert!(error.contains("rank 1 cannot be read: it is not here"), "{error}");
    let second = part(&name, 1, 3, 7, false);
    let third = part(&name, 2, 3, 8, false);
    let error = ranks(&name).unwrap_err().to_string();
    assert!(error.contains("rank 2 cannot be read: its region is left of another run"), "{error}");
    drop(third);
    let third = part(&name, 2, 3, 7, false);
    assert_eq!(ranks(&name).unwrap().unwrap().len(), 3);
    drop((first, second, third));
    assert!(ranks(&name).unwrap().is_none());
}

#[test]
fn a_run_removes_what_a_dead_one_left_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let name = RegionTarget::Directory(directory.path().join("melt"));
    let begin = || {
        run_threads(1, |rank| {
            let cluster = Cluster::new(comm(rank), 1);
            Publication::new(&cluster, &name, 1, Vec::new()).map(drop)
        })
    };
    // of a live run nothing is removed
    let live = part(&name, 0, 1, 7, false);
    begin().unwrap();
    assert_eq!(ranks(&name).unwrap().unwrap().len(), 1);
    drop(live);
    // nor what was kept
    let mut kept = part(&name, 0, 1, 7, true);
    kept.publish().unwrap();
    drop(kept);
    begin().unwrap();
    assert_eq!(ranks(&name).unwrap().unwrap().len(), 1);
}
