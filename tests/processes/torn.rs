//! Torn reads: readers in processes of their own check every field of every row of what is newest, while a writer that is
//! flat out grows, shrinks, goes back, is killed and followed by another one.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use hypostyle::{RegionTarget, Simulation, Workers, World};

use crate::hostile;
use crate::readers::check_rows;
use crate::scenes::{self, Sealed, Sparse};
use crate::support::{Actor, Random, Setting, mix, setting_of};

/// Rows that a world begins with, and between which it stays.
const ROWS: usize = 4000;
const ROWS_MOST: u64 = 16_000;
const READERS: u64 = 2;
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// A few million rows, as part of every run of the tests.
pub fn a_few_million_rows() {
    watch(1, 4_000_000);
}

/// As many as wanted.
pub fn as_many_rows_as_wanted() {
    let (seed, rows) = (setting_of("HYPOSTYLE_TORN_SEED", 1), setting_of("HYPOSTYLE_TORN_COUNT", 100_000_000));
    let seen = watch(seed, rows);
    let Seen { rows, generations, writers, seconds } = seen;
    println!(
        "{rows} rows in {generations} generations, checked by {READERS} processes, none torn or mixed; {writers} writers, \
         each killed; {seconds:.0} s"
    );
    if let Some(path) = std::env::var_os("HYPOSTYLE_TORN_JSON") {
        let told = format!(
            "{{\"rows\":{rows},\"generations\":{generations},\"writers\":{writers},\"mixed\":0,\"seconds\":{seconds:.1}}}\n"
        );
        std::fs::write(path, told).unwrap();
    }
}

struct Seen {
    rows: u64,
    generations: u64,
    writers: u64,
    seconds: f64,
}

/// The role of a writer: it takes over what is there, or makes it, and goes on until it is killed.
pub fn write(target: RegionTarget, workers: Workers, seed: u64) {
    let exists = target.path().unwrap().is_some_and(|path| path.exists());
    let mut world =
        if exists { World::resume(&target).unwrap() } else { scenes::sealed_world(target, ROWS, Some(1 << 28)) };
    world.set_keep_generations(4);
    let setting = Setting { main_helps: true, ..Setting::new("sealed", workers) };
    let mut simulation = setting.start(world, 9);
    let mut random = Random(seed);
    loop {
        match random.below(12) {
            0 => grow(&mut simulation, &mut random),
            1 => shrink(&mut simulation, &mut random),
            2 => {
                let frames = random.below(4);
                // the last ones may not have been kept, as nobody has run so far yet
                let _ = simulation.rollback(frames);
            }
            _ => {}
        }
        simulation.step(scenes::DT).unwrap();
        println!("frame {}", simulation.world().frame());
    }
}

fn grow(simulation: &mut Simulation, random: &mut Random) {
    let world = simulation.world_mut();
    let room = ROWS_MOST.saturating_sub(world.entity_count());
    let count = random.below(3000).min(room);
    let row = |i: u64| (Sealed::new(mix(i), i as f32, 0.5, 0), Sparse::new(i as u32));
    world.spawn_batch((0..count).map(row)).unwrap();
}

fn shrink(simulation: &mut Simulation, random: &mut Random) {
    let world = simulation.world_mut();
    let mut all = Vec::new();
    world.query::<()>(|entities, ()| all.extend_from_slice(entities)).unwrap();
    let count = random.below(3000).min(world.entity_count().saturating_sub(ROWS as u64)) as usize;
    for _ in 0..count {
        let at = random.below(all.len() as u64) as usize;
        world.despawn(all.swap_remove(at)).unwrap();
    }
}

/// The role of a reader: checks so many rows, some generations twice.
pub fn read(target: &RegionTarget, rows: u64) {
    let mut reader = hostile::open(target).unwrap();
    println!("open");
    let (mut seen, mut generations, mut last, mut since) = (0, 0, 0, Instant::now());
    while seen < rows {
        let snapshot = reader.pin().unwrap();
        if snapshot.generation() != last {
            (last, since) = (snapshot.generation(), Instant::now());
            generations += 1;
        }
        assert!(since.elapsed() < PATIENCE, "the writers go on");
        let is_held = generations % 16 == 0;
        let before = if is_held { snapshot.hash() } else { 0 };
        for _ in 0..=u8::from(is_held) {
            match check_rows(&snapshot) {
                Ok(count) => seen += count as u64,
                Err(message) => {
                    println!("generation {last}: {message}");
                    std::process::exit(1);
                }
            }
        }
        if is_held && snapshot.hash() != before {
            println!("generation {last} changed while it was held");
            std::process::exit(1);
        }
        drop(snapshot);
        // rather the next one than the same again
        let _ = reader.wait(last, Duration::from_millis(2));
    }
    println!("checked {generations} {seen}");
}

fn watch(seed: u64, rows: u64) -> Seen {
    let begun = Instant::now();
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let target = RegionTarget::Directory(place.path().join("region"));
    let mut random = Random(mix(seed));
    let mut readers: Vec<Actor> = Vec::new();
    let mut writers = 0;
    loop {
        let workers = ["local", "threads:1", "processes:1"][writers as usize % 3];
        let mut writer =
            Actor::start(&["torn-writer", &target.to_string(), workers, &random.below(1 << 40).to_string()]);
        writers += 1;
        let until = Instant::now() + Duration::from_millis(100 + random.below(900));
        while readers.is_empty() || Instant::now() < until {
            assert!(writer.hear().is_some(), "a writer ended by itself: {:?}", writer.child.wait());
            while (readers.len() as u64) < READERS {
                let mut reader = Actor::start(&["torn-reader", &target.to_string(), &(rows / READERS + 1).to_string()]);
                assert_eq!(reader.hear().as_deref(), Some("open"));
                readers.push(reader);
            }
        }
        writer.kill();
        if readers.iter_mut().all(|reader| reader.child.try_wait().unwrap().is_some()) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE + Duration::from_micros(rows), "the readers come to their end");
    }
    let mut seen = Seen { rows: 0, generations: 0, writers, seconds: begun.elapsed().as_secs_f64() };
    for reader in readers {
        let (lines, status) = reader.finish();
        let numbers = lines.first().and_then(|line| line.strip_prefix("checked "));
        let numbers: Vec<u64> = numbers.into_iter().flat_map(|text| text.split(' ')).flat_map(str::parse).collect();
        assert!(status.success() && numbers.len() == 2, "{status}: {lines:?}");
        seen.generations += numbers[0];
        seen.rows += numbers[1];
    }
    assert!(seen.rows >= rows && seen.generations > 10, "{} rows, {} generations", seen.rows, seen.generations);
    let mut world = World::resume(&target).unwrap();
    world.set_keep_region(false);
    drop(world);
    assert!(!place.path().join("region").exists(), "it goes with its last writer");
    seen
}
