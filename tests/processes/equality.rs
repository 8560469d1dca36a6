//! The same bytes, whoever runs the jobs, however small the rings, however often a generation is made.
#![forbid(unsafe_code)]

use hypostyle::{Simulation, Workers, World};

use crate::scenes;
use crate::support::{Course, Random, Setting, course, newest};

/// A scene's course on main alone, every frame published.
pub fn undisturbed(schedule: &'static str, rows: usize, seed: u64, frames: u64) -> Course {
    let setting = Setting::new(schedule, Workers::Local);
    let mut simulation = setting.start(scenes::world(schedule, setting.region(), rows, seed), seed);
    course(&mut simulation, frames)
}

const FRAMES: u64 = 9;
const ROWS: usize = 1500;

/// Every pool, with default and tiny rings, publishing every frame and every third, for three seeds.
pub fn every_pool_ring_and_cadence() {
    let pools = [Workers::Local].into_iter();
    let pools = pools.chain((1..=4).map(Workers::Threads)).chain((1..=4).map(Workers::Processes));
    let pools: Vec<Workers> = pools.collect();
    for seed in [1, 77, 4_000_000_007] {
        let whole = undisturbed("mixed", ROWS, seed, FRAMES);
        let mut hashes: Vec<u64> = whole.hashes.iter().map(|(_, hash)| *hash).collect();
        hashes.dedup();
        assert_eq!(hashes.len() as u64, FRAMES, "every frame changes the world");
        whole.assert_exercises_everything();
        for workers in &pools {
            for ring_bytes in [1 << 20, 256] {
                for publish_every in [1, 3] {
                    let setting = Setting { ring_bytes, publish_every, ..Setting::new("mixed", *workers) };
                    let mut simulation = setting.start(scenes::world("mixed", setting.region(), ROWS, seed), seed);
                    let found = course(&mut simulation, FRAMES);
                    assert_eq!(found.hashes.len() as u64, FRAMES / publish_every);
                    found.assert_like(&whole, &(seed, &setting));
                    assert_shared(&simulation, *workers);
                }
            }
        }
    }
}

/// Where main does not help, its workers did it all.
fn assert_shared(simulation: &Simulation, workers: Workers) {
    if workers != Workers::Local {
        assert_eq!(simulation.report().jobs_on_main, 0, "main left the jobs to {workers}");
        assert!(simulation.worker_status().iter().map(|worker| worker.jobs).sum::<u64>() > 0);
    }
}

impl Course {
    /// The scene is worth its name: patches of every kind were applied, and refused.
    fn assert_exercises_everything(&self) {
        let mut total = hypostyle::PatchCounts::default();
        self.patches.iter().flatten().for_each(|counts| total.add(counts));
        let counts =
            [total.applied, total.stale, total.absent, total.refused, total.spawned, total.despawned, total.dense_rows];
        assert!(counts.iter().all(|count| *count > 10), "{total:?}");
    }
}

/// Main claims jobs, too: who runs what differs from run to run.
pub fn where_main_helps() {
    let whole = undisturbed("mixed", 30_000, 5, 4);
    for workers in [Workers::Threads(2), Workers::Processes(2)] {
        let setting = Setting { main_helps: true, publish_every: 2, ..Setting::new("mixed", workers) };
        let mut simulation = setting.start(scenes::world("mixed", setting.region(), 30_000, 5), 5);
        course(&mut simulation, 4).assert_like(&whole, &setting);
    }
}

/// Lists of pairs keep themselves while rows move, come and go, and while workers die.
pub fn with_pairs() {
    let whole = undisturbed("pairs", 1200, 9, 20);
    let deaths = [None, Some("ran:57"), Some("undo-saved:9"), Some("published:31"), Some("claimed:40")];
    let processes = deaths.map(|fault| (Workers::Processes(2), fault));
    for (workers, fault) in [(Workers::Threads(1), None), (Workers::Threads(3), None)].into_iter().chain(processes) {
        let setting = Setting { fault: fault.map(str::to_owned), ring_bytes: 4096, ..Setting::new("pairs", workers) };
        let mut simulation = setting.start(scenes::world("pairs", setting.region(), 1200, 9), 9);
        course(&mut simulation, 20).assert_like(&whole, &setting);
        let died = simulation.worker_status().iter().map(|worker| worker.deaths).sum::<u64>();
        assert_eq!(died > 0, fault.is_some(), "{died} workers died: {setting:?}");
    }
}

/// Views show rows of others behind those of their tables: to every pool the same ones, while rows come and go.
pub fn with_ghosts() {
    let seed = 13;
    let run = |setting: &Setting| {
        let mut world = scenes::world("mixed", setting.region(), ROWS, seed);
        let shown = give_ghosts(&mut world);
        let mut simulation = setting.start(world, seed);
        let found = course(&mut simulation, FRAMES);
        assert!(shown > 3 && (0..shown).any(|table| simulation.world().ghosts(table) > 0));
        (found, simulation)
    };
    let (whole, _) = run(&Setting::new("mixed", Workers::Local));
    let without = undisturbed("mixed", ROWS, seed, FRAMES);
    assert!(whole.hashes.iter().zip(&without.hashes).all(|(with, without)| with != without), "ghosts are seen");
    let fault = Some("ran:131".to_owned());
    for (workers, publish_every, fault) in [
        (Workers::Threads(2), 1, None),
        (Workers::Processes(2), 1, None),
        (Workers::Processes(1), 3, None),
        (Workers::Processes(2), 1, fault),
    ] {
        let dies = fault.is_some();
        let setting = Setting { publish_every, fault, ..Setting::new("mixed", workers) };
        let (found, simulation) = run(&setting);
        found.assert_like(&whole, &setting);
        assert_shared(&simulation, workers);
        assert_eq!(simulation.worker_status().iter().any(|worker| worker.deaths > 0), dies);
    }
}

/// Gives every table ghosts of all that the scene's views read; returns the number of tables.
fn give_ghosts(world: &mut World) -> usize {
    for table in 0..world.table_count() {
        let has: Vec<String> = world.table_components(table).map(str::to_owned).collect();
        let rows = 70 + 3 * table;
        let floats: Vec<f32> = (0..rows).map(|row| row as f32 * 0.25).collect();
        let masses: Vec<f64> = (0..rows).map(|row| 1.0 + row as f64).collect();
        let (parts, places) = (vec![0; 6 * rows], vec![0; 12 * rows]);
        let sums: Vec<f64> = (0..5 * rows).map(|at| at as f64 * 0.5).collect();
        let columns: [(&str, &[u8]); 6] = [
            ("position.x", bytemuck::cast_slice(&floats)),
            ("position.y", bytemuck::cast_slice(&floats)),
            ("mass.kg", bytemuck::cast_slice(&masses)),
            ("mass.parts", &parts),
            ("near.sums", bytemuck::cast_slice(&sums)),
            ("near.places", &places),
        ];
        let columns =
            columns.into_iter().filter(|(name, _)| has.iter().any(|has| name.starts_with(&format!("{has}."))));
        world.set_ghosts(table, rows, &columns.collect::<Vec<_>>()).unwrap();
    }
    world.table_count()
}

/// Back in memory, with every pool, and on again.
pub fn gone_back_and_run_again() {
    let seed = 21;
    let whole = undisturbed("mixed", ROWS, seed, 16);
    for (workers, publish_every) in [(Workers::Processes(2), 1), (Workers::Threads(2), 1), (Workers::Processes(1), 3)] {
        let setting = Setting { publish_every, ..Setting::new("mixed", workers) };
        let mut simulation = setting.start(scenes::world("mixed", setting.region(), ROWS, seed), seed);
        simulation.world_mut().set_keep_generations(5);
        let mut random = Random(publish_every + 3);
        course(&mut simulation, 9);
        for _ in 0..6 {
            let (frame, back) = (simulation.world().frame(), random.below(5));
            let landed = simulation.rollback(back).unwrap();
            assert!(landed.frame <= frame - back && landed.frame + publish_every > frame - back, "{landed:?}");
            let mut reader = simulation.world().reader().unwrap();
            let (at, hash) = newest(&mut reader);
            assert!(at == landed.frame && whole.hash_of(at).is_none_or(|known| known == hash), "{landed:?}");
            course(&mut simulation, 16 - landed.frame).assert_like(&whole.from(landed.frame), &setting);
        }
    }
}

impl Course {
    /// The frames after that one.
    fn from(&self, frame: u64) -> Course {
        Course { patches: self.patches[frame as usize..].to_vec(), hashes: self.hashes.clone() }
    }
}

/// Frames that run on one range of rows before the next are frames one by one.
pub fn many_frames_in_one_pass() {
    let whole = undisturbed("local", 5000, 3, 12);
    for workers in [Workers::Local, Workers::Threads(2), Workers::Processes(2)] {
        for publish_every in [1, 3, 4] {
            let setting = Setting { publish_every, ..Setting::new("local", workers) };
            let mut simulation = setting.start(scenes::world("local", setting.region(), 5000, 3), 3);
            let mut reader = simulation.world().reader().unwrap();
            for frames in [5, 1, 6] {
                simulation.run(frames, scenes::DT).unwrap();
                let (frame, hash) = newest(&mut reader);
                let known = whole.hashes.iter().find(|(other, _)| *other == frame).unwrap();
                assert_eq!(known.1, hash, "frame {frame} of {setting:?}");
            }
            assert_eq!(newest(&mut reader), *whole.hashes.last().unwrap());
        }
    }
}
