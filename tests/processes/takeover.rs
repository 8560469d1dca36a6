//! Writers that are killed: their region still reads, and another process goes on from it, bit for bit.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::{Duration, Instant};

use hypostyle::regions::{clean, clean_stale, inspect};
use hypostyle::{RegionError, RegionTarget, Workers, World, WorldError};

use crate::equality::undisturbed;
use crate::hostile;
use crate::scenes;
use crate::support::{Actor, Random, Setting, Subreaper, course, fresh_region, newest};

const ROWS: usize = 600;

/// The role of a writer: steps until it is killed.
pub fn write(region: RegionTarget, workers: Workers, publish_every: u64, seed: u64) {
    let setting = Setting { publish_every, ..Setting::new("mixed", workers) };
    let mut simulation = setting.start(scenes::world("mixed", region, ROWS, seed), seed);
    println!("pids {:?}", simulation.worker_status().iter().filter_map(|worker| worker.pid).collect::<Vec<_>>());
    loop {
        simulation.step(scenes::DT).unwrap();
        println!("frame {}", simulation.world().frame());
    }
}

/// Starts a writer; it has begun to step. Its workers' ids.
fn writer(region: &RegionTarget, workers: Workers, publish_every: u64, seed: u64) -> (Actor, Vec<u32>) {
    let mut writer = Actor::start(&[
        "writer",
        &region.to_string(),
        &workers.to_string(),
        &publish_every.to_string(),
        &seed.to_string(),
    ]);
    let line = writer.hear().unwrap();
    let pids = line.trim_start_matches("pids [").trim_end_matches(']').split(", ").filter_map(|pid| pid.parse().ok());
    (writer, pids.collect())
}

fn name_of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

/// A main that is killed cannot unlink what it shares with its workers: they do, as they end.
pub fn memory_of_workers() {
    for _ in 0..3 {
        let (mut writer, pids) = writer(&fresh_region(), Workers::Processes(2), 1, 3);
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", writer.child.id())).unwrap();
        let mut segments: Vec<&str> =
            maps.split_whitespace().filter(|word| word.contains("/hypostyle-worker-")).collect();
        segments.sort_unstable();
        segments.dedup();
        // the board, two lanes, the program
        assert!(pids.len() == 2 && segments.len() >= 4, "{segments:?}");
        assert!(segments.iter().all(|path| Path::new(path).exists()), "{segments:?}");
        writer.kill();
        let begun = Instant::now();
        while segments.iter().any(|path| Path::new(path).exists()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "something of {segments:?} is still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Killed at random instants, with every pool, taken over by every pool.
pub fn bit_for_bit() {
    let seed = 13;
    let whole = undisturbed("mixed", ROWS, seed, 160);
    let mut random = Random(5);
    for (round, (workers, publish_every)) in
        [(Workers::Local, 1), (Workers::Processes(2), 1), (Workers::Processes(1), 3), (Workers::Threads(1), 2)]
            .into_iter()
            .cycle()
            .take(8)
            .enumerate()
    {
        let region = fresh_region();
        let (mut writer, pids) = writer(&region, workers, publish_every, seed);
        let mut reader = None;
        for _ in 0..=random.below(30) + publish_every {
            writer.hear().unwrap();
            // opened while it lives, or after its death
            if round % 2 == 0 && reader.is_none() {
                reader = hostile::open(&region).ok().filter(|reader| reader.newest() > 0);
            }
        }
        std::thread::sleep(Duration::from_micros(random.below(4000)));
        writer.kill();
        let mut reader = reader.unwrap_or_else(|| hostile::open(&region).unwrap());
        assert!(!reader.is_alive().unwrap());
        let found = newest(&mut reader);
        let known = |frame: u64| *whole.hashes.iter().find(|(other, _)| *other == frame).unwrap_or(&(0, 0));
        assert!(found.0 < 140, "the course of {} frames is too short", whole.hashes.len());
        if found.0 > 0 {
            assert_eq!(
                found,
                known(found.0),
                "a dead writer's newest generation, {workers} {publish_every} round {round}"
            );
        }
        assert!(inspect(&region).is_stale());
        await_end(&pids);

        let setting = Setting {
            publish_every,
            ..Setting::new("mixed", [Workers::Local, Workers::Processes(2), Workers::Threads(2)][round % 3])
        };
        let snapshot = reader.pin().unwrap();
        let held = snapshot.hash();
        let world = World::resume(&region).unwrap();
        assert_eq!((world.frame(), world.generation()), (found.0, snapshot.generation()));
        let mut simulation = setting.start(world, seed);
        for (frame, hash) in course(&mut simulation, 2 * publish_every + 1).hashes {
            assert_eq!((frame, hash), known(frame), "frame {frame} after {} was taken over by {setting:?}", found.0);
        }
        assert!(simulation.world().frame() == found.0 + 2 * publish_every + 1);
        assert_eq!(snapshot.hash(), held, "what a reader held stayed through the take-over");
        drop(snapshot);
        assert!(reader.is_alive().unwrap());
        drop(simulation);
        assert!(!region.path().unwrap().unwrap().exists(), "it goes with its new writer");
    }
}

/// The role of a writer whose workers hang in a kernel: it publishes a frame before.
pub fn write_and_hang(region: RegionTarget) {
    let setting = Setting::new("faulty", Workers::Processes(1));
    let mut simulation = setting.start(scenes::world("faulty", region, ROWS, 0), 0);
    simulation.step(scenes::DT).unwrap();
    println!("pids {:?}", simulation.worker_status().iter().filter_map(|worker| worker.pid).collect::<Vec<_>>());
    simulation.set_payload("step", [scenes::Fault::Hang as u8]).unwrap();
    println!("hangs");
    simulation.step(scenes::DT).unwrap();
}

/// Whether a process can run instructions.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    name_of(pid) == name_of(std::process::id()) && !matches!(state, None | Some('Z' | 'X'))
}

/// A worker that is held in its kernel (stopped, so that it cannot end itself) when its main is killed: who takes the
/// region over is its writer only once that worker is no more.
pub fn a_worker_that_outlives_its_main() {
    let region = fresh_region();
    // The worker has a process group of its own. Without this its group is orphaned when its main ends, and the kernel
    // ends stopped processes of such a group itself.
    let _subreaper = Subreaper::new();
    let mut main = Actor::start(&["stuck-writer", &region.to_string()]);
    let line = main.hear().unwrap();
    let pid: u32 = line.trim_start_matches("pids [").trim_end_matches(']').parse().unwrap();
    assert_eq!(main.hear().unwrap(), "hangs");
    // it is in its kernel after a moment; before that the same must hold
    std::thread::sleep(Duration::from_millis(200));
    let worker = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(worker, rustix::process::Signal::STOP).unwrap();
    main.kill();
    assert!(is_running(pid), "it was stopped before it could see that its main is gone");
    assert!(!inspect(&region).alive, "its writer is gone all the same");
    let world = World::resume(&region).unwrap();
    assert!(!is_running(pid), "the last writer's worker could still store");
    assert_eq!(world.frame(), 1);
    drop(world);
}

/// A dead writer's workers end with it.
fn await_end(pids: &[u32]) {
    let begun = Instant::now();
    while pids.iter().any(|pid| is_running(*pid)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "workers outlive their main: {pids:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A live region cannot be taken over, cleaned or created anew; a dead one is stale and can.
pub fn live_and_stale() {
    let region = fresh_region();
    let (mut first, _) = writer(&region, Workers::Local, 1, 1);
    first.hear().unwrap();
    assert!(matches!(World::resume(&region), Err(WorldError::Region(RegionError::Live { .. }))));
    assert!(matches!(clean(&region), Err(RegionError::Live { .. })));
    let info = inspect(&region);
    assert!(info.alive && !info.is_stale() && info.error.is_none(), "{info:?}");
    assert_eq!(info.writer_pid, first.child.id());
    let again = World::builder().region(region.clone()).build();
    assert!(matches!(again, Err(WorldError::Region(RegionError::Exists { alive: true, .. }))));
    first.hear().unwrap();
    first.kill();
    let again = World::builder().region(region.clone()).build();
    assert!(matches!(again, Err(WorldError::Region(RegionError::Exists { alive: false, .. }))), "never silently");
    let listed = hypostyle::regions::list().unwrap();
    let own = listed.iter().find(|info| info.name == region.to_string()).unwrap();
    assert!(own.is_stale() && !own.alive && own.generation > 0, "{own:?}");
    clean(&region).unwrap();
    assert!(matches!(clean(&region), Err(RegionError::NotFound { .. })));
    assert!(matches!(World::resume(&region), Err(WorldError::Region(RegionError::NotFound { .. }))));

    // all stale ones of a directory, and only those
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| RegionTarget::Directory(parent.path().join(name));
    let (mut dead, _) = writer(&at("dead"), Workers::Local, 1, 1);
    let (mut live, _) = writer(&at("live"), Workers::Local, 1, 1);
    drop(World::builder().region(at("kept")).keep_region(true).build().unwrap());
    dead.hear().unwrap();
    live.hear().unwrap();
    dead.kill();
    let cleaned = clean_stale(Some(parent.path()), Duration::ZERO).unwrap();
    assert_eq!(cleaned.iter().map(|info| &info.path).collect::<Vec<_>>(), [&parent.path().join("dead")]);
    live.hear().unwrap();
    let mut left: Vec<_> = std::fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["kept", "live"]);
}
