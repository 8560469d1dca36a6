//! Workers that die, at named points of the protocol and at any instant: every frame ends with the same bytes.
#![forbid(unsafe_code)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hypostyle::workers::WorkerState;
use hypostyle::{Simulation, WorkerCommand, Workers};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::equality::undisturbed;
use crate::scenes;
use crate::support::{Course, Random, Setting, newest, setting_of, worker_command};

/// Every named point of the worker protocol, and passings of it at which a worker dies. Three dead workers fail a job:
/// the numbers are above the jobs of a batch, so that a worker that was started in it has none left to die of.
const POINTS: [(&str, &[u64]); 8] = [
    ("claimed", &[131, 132, 199]),
    ("begun", &[131, 132, 199]),
    ("undo-saved", &[40, 41, 42, 77]),
    ("mid-record", &[11, 12, 17]),
    ("ran", &[131, 132, 199]),
    ("end-pushed", &[131, 132, 199]),
    ("published", &[131, 132, 199]),
    ("disarmed", &[131, 132, 199]),
];

/// Steps until so many frames and deaths have been, or the undisturbed course ends; checks every generation.
pub fn follow(simulation: &mut Simulation, whole: &Course, frames: u64, deaths: u64, of: &dyn std::fmt::Debug) -> u64 {
    let mut reader = simulation.world().reader().unwrap();
    let (mut seen, mut run) = (0, 0);
    while run < frames || (seen < deaths && run < whole.patches.len() as u64) {
        let report = simulation.step(scenes::DT).unwrap_or_else(|error| panic!("frame {}: {error} ({of:?})", run + 1));
        seen += report.deaths;
        assert_eq!(report.patches, whole.patches[run as usize], "patches of frame {} under {of:?}", run + 1);
        run += 1;
        let (frame, hash) = newest(&mut reader);
        assert_eq!(whole.hash_of(frame).unwrap_or(hash), hash, "frame {frame} under {of:?}");
    }
    seen
}

/// From the third frame on, new workers are dead before they take a job: they are given up, main runs the jobs, and
/// observers of the region are told.
pub fn before_they_take_a_job() {
    let whole = undisturbed("mixed", 1500, 9, 12);
    let place = tempfile::tempdir().unwrap();
    let turned = place.path().join("turned");
    let setting = Setting::new("mixed", Workers::Processes(2));
    let WorkerCommand { program, args } = worker_command("mixed", None);
    let script = format!("[ -e {} ] && export HYPOSTYLE_FAULT=ready:1; exec \"$0\" \"$@\"", turned.to_str().unwrap());
    let args = ["-c".to_owned(), script, program.to_str().unwrap().to_owned()].into_iter().chain(args).collect();
    let world = scenes::world("mixed", setting.region(), 1500, 9);
    let builder = setting.builder().worker_command(WorkerCommand { program: "/bin/sh".into(), args });
    let mut simulation = builder.build(world, scenes::schedule("mixed")).unwrap();
    scenes::seed(&mut simulation, 9);
    let mut reader = simulation.world().reader().unwrap();
    for (index, patches) in whole.patches.iter().enumerate() {
        if index == 2 {
            std::fs::write(&turned, "").unwrap();
            let pids = simulation.worker_status().into_iter().filter_map(|worker| worker.pid);
            assert_eq!(pids.filter(|pid| kill_child(*pid)).count(), 2);
        }
        let report = simulation.step(scenes::DT).unwrap_or_else(|error| panic!("frame {}: {error}", index + 1));
        assert_eq!(report.patches, *patches, "patches of frame {}", index + 1);
        assert!(index < 4 || report.jobs_on_main == report.jobs, "{report:?}");
        let (frame, hash) = newest(&mut reader);
        assert_eq!(whole.hash_of(frame), Some(hash), "frame {frame}");
    }
    let status = simulation.worker_status();
    assert!(status.iter().all(|worker| worker.given_up && !worker.alive && worker.deaths >= 16), "{status:?}");
    let told = reader.workers();
    assert_eq!(told.iter().map(|worker| worker.state).collect::<Vec<_>>(), [WorkerState::GivenUp; 2], "{told:?}");
}

/// Waits until every worker was replaced, and sees each of them work again.
fn assert_replaced(simulation: &mut Simulation) {
    let begun = Instant::now();
    while !simulation.worker_status().iter().all(|worker| worker.alive && worker.pid.is_some()) {
        assert!(begun.elapsed() < Duration::from_secs(60), "not replaced: {:?}", simulation.worker_status());
        std::thread::sleep(Duration::from_millis(2));
        simulation.step(scenes::DT).unwrap();
    }
}

/// Dies at each named point, on its n-th passing, in every worker that is ever started.
pub fn at_every_named_point() {
    let mixed = undisturbed("mixed", 1500, 21, 60);
    let flood = undisturbed("flood", 40_000, 21, 60);
    for (point, passings) in POINTS {
        // only a job with many patches has a middle to die in
        let (schedule, rows, whole) =
            if point == "mid-record" { ("flood", 40_000, &flood) } else { ("mixed", 1500, &mixed) };
        let mut deaths = 0;
        for (turn, passing) in passings.iter().enumerate() {
            let setting = Setting {
                ring_bytes: 4096,
                publish_every: if point == "undo-saved" || turn % 2 == 1 { 3 } else { 1 },
                fault: Some(format!("{point}:{passing}")),
                ..Setting::new(schedule, Workers::Processes(2))
            };
            let mut simulation = setting.start(scenes::world(schedule, setting.region(), rows, 21), 21);
            deaths += follow(&mut simulation, whole, 4, 3, &setting);
        }
        assert!(deaths >= 3, "only {deaths} workers died at `{point}`");
    }
}

/// Dies at any point with some probability.
pub fn at_random_points() {
    random_points(1, 100);
}

fn random_points(seed: u64, kills: u64) {
    let whole = undisturbed("mixed", 1500, seed, 150);
    let (mut deaths, mut round) = (0, 0);
    while deaths < kills {
        let setting = Setting {
            ring_bytes: 1024,
            publish_every: 1 + round % 3,
            main_helps: round % 4 == 3,
            fault: Some(format!("random:{}:0.0003", seed * 1000 + round)),
            ..Setting::new("mixed", Workers::Processes(2 + round as usize % 2))
        };
        let mut simulation = setting.start(scenes::world("mixed", setting.region(), 1500, seed), seed);
        deaths += follow(&mut simulation, &whole, 20, (kills - deaths).min(50), &setting);
        assert!(round < 1000, "{deaths} deaths in {round} rounds");
        round += 1;
    }
}

/// Dies while workers find the order of a table and move its rows.
pub fn in_a_sort() {
    const ROWS: usize = 40_000;
    let whole = undisturbed("sorted", ROWS, 0, 12);
    let (mut deaths, mut round) = (0, 0);
    while deaths < 60 {
        let setting = Setting {
            publish_every: 1 + round % 3,
            main_helps: round % 3 == 2,
            fault: Some(format!("random:{}:0.003", 71 + round)),
            ..Setting::new("sorted", Workers::Processes(2 + round as usize % 2))
        };
        let mut simulation = setting.start(scenes::world("sorted", setting.region(), ROWS, 0), 0);
        deaths += follow(&mut simulation, &whole, 12, 60 - deaths, &setting);
        assert!(round < 100, "{deaths} deaths in {round} rounds");
        round += 1;
    }
    for workers in [Workers::Threads(1), Workers::Threads(3), Workers::Processes(2)] {
        let setting = Setting::new("sorted", workers);
        let mut simulation = setting.start(scenes::world("sorted", setting.region(), ROWS, 0), 0);
        follow(&mut simulation, &whole, 12, 0, &setting);
    }
}

/// Kills a child of this process; false where it is none (any more). Never hits another process: the handle is
/// opened first, and the parent compared then.
fn kill_child(pid: u32) -> bool {
    let Some(pid) = Pid::from_raw(pid as i32) else { return false };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let is_child = fields.get(1) == Some(&std::process::id().to_string().as_str());
    is_child && !matches!(fields[0], "Z" | "X") && pidfd_send_signal(&handle, Signal::KILL).is_ok()
}

/// Workers are killed by another thread, at any instruction.
pub fn at_random_instants() {
    random_instants(1, 300);
}

fn random_instants(seed: u64, kills: u64) {
    let whole = undisturbed("mixed", 1500, seed, 400);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        let setting = Setting {
            ring_bytes: [1 << 20, 4096, 512][round as usize % 3],
            publish_every: [3, 1, 2][round as usize % 3],
            main_helps: round % 4 == 2,
            ..Setting::new("mixed", Workers::Processes(2 + round as usize % 2))
        };
        let mut simulation = setting.start(scenes::world("mixed", setting.region(), 1500, seed), seed);
        let (targets, stop, hits) = (Mutex::new(Vec::new()), AtomicBool::new(false), AtomicU64::new(0));
        let deaths = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random(seed << 20 | round);
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_micros(random.below(6000)));
                    let mut targets = targets.lock().unwrap();
                    if !targets.is_empty() {
                        let at = random.below(targets.len() as u64) as usize;
                        hits.fetch_add(u64::from(kill_child(targets.swap_remove(at))), Ordering::Relaxed);
                    }
                }
            });
            // dropped also where this panics: or else the scope would wait for ever
            let _stop = OnDrop(&stop);
            killing(&mut simulation, &whole, &targets, &hits, kills - killed, &setting)
        });
        assert!(deaths > 0 && deaths <= hits.load(Ordering::Relaxed));
        killed += hits.load(Ordering::Relaxed);
        assert_replaced(&mut simulation);
        assert!(round < 1000, "{killed} kills in {round} rounds");
        round += 1;
    }
}

/// Children of this process, whoever started them, from their first instant on.
fn children() -> Vec<u32> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let of_thread = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).ok();
    threads
        .filter_map(of_thread)
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Killed before they are ready: before they have begun to serve, while they set themselves up, and after that.
pub fn from_their_first_instant_on() {
    const KILLS: u64 = 6;
    let whole = undisturbed("mixed", 1500, 3, 60);
    let mut before_ready = 0;
    for round in 0..8 {
        let setting = Setting::new("mixed", Workers::Processes(1 + round as usize % 3));
        let world = scenes::world("mixed", setting.region(), 1500, 3);
        let (stop, hits) = (AtomicBool::new(false), AtomicU64::new(0));
        let deaths = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random(round);
                while !stop.load(Ordering::Relaxed) && hits.load(Ordering::Relaxed) < KILLS {
                    std::thread::sleep(Duration::from_micros(random.below(1 + 4000 * (round % 4))));
                    let children = children();
                    if !children.is_empty() {
                        let at = random.below(children.len() as u64) as usize;
                        hits.fetch_add(u64::from(kill_child(children[at])), Ordering::Relaxed);
                    }
                }
            });
            let _stop = OnDrop(&stop);
            let mut simulation = setting.start(world, 3);
            before_ready += hits.load(Ordering::Relaxed);
            let deaths = follow(&mut simulation, &whole, 12, KILLS, &setting);
            stop.store(true, Ordering::Relaxed);
            assert_replaced(&mut simulation);
            deaths
        });
        assert!(deaths > 0, "{deaths} deaths in round {round}");
    }
    assert!(before_ready > 8, "only {before_ready} workers were killed before all were ready");
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Steps while the killer is at work; shows it who can be killed. Deaths seen.
fn killing(
    simulation: &mut Simulation,
    whole: &Course,
    targets: &Mutex<Vec<u32>>,
    hits: &AtomicU64,
    kills: u64,
    setting: &Setting,
) -> u64 {
    let mut reader = simulation.world().reader().unwrap();
    let mut deaths = 0;
    for (index, patches) in whole.patches.iter().enumerate() {
        if index >= 30 && hits.load(Ordering::Relaxed) >= kills {
            break;
        }
        let alive =
            simulation.worker_status().into_iter().filter(|worker| worker.alive).filter_map(|worker| worker.pid);
        *targets.lock().unwrap() = alive.collect();
        let report = simulation.step(scenes::DT).unwrap_or_else(|error| panic!("frame {}: {error}", index + 1));
        deaths += report.deaths;
        assert_eq!(report.patches, *patches, "patches of frame {} under {setting:?}", index + 1);
        let (frame, hash) = newest(&mut reader);
        assert_eq!(whole.hash_of(frame).unwrap_or(hash), hash, "frame {frame} under {setting:?}");
    }
    targets.lock().unwrap().clear();
    deaths
}

/// The long version: as many kills as asked for, from a seed of its own.
pub fn soak() {
    let (seed, kills) = (setting_of("HYPOSTYLE_SOAK_SEED", 1), setting_of("HYPOSTYLE_SOAK_KILLS", 1000));
    random_instants(100 + seed, kills.div_ceil(2));
    random_points(100 + seed, kills.div_ceil(2));
}
