//! A run that is long and crowded: workers die, readers come and go, everything is recorded and saved. Frames are timed, and
//! what the process holds is counted, over time; in the end it holds no more than in the beginning.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hypostyle::checkpoint::{self, CheckpointOptions};
use hypostyle::journal::{Recorder, RecorderOptions};
use hypostyle::{Simulation, Workers};

use crate::scenes;
use crate::support::{Actor, Random, Setting, setting_of};

const ROWS: usize = 1500;
/// Readers at a time, and the generations after which one leaves and the next comes.
const READERS: usize = 4;
const GENERATIONS: u64 = 40;
/// Points of the curves.
const SAMPLES: usize = 60;

/// Part of every run of the tests.
pub fn for_a_moment() {
    let curves = run(6, 0.002, &mut |frames, _| frames >= 30);
    assert!(curves.deaths > 0 && curves.readers >= READERS as u64, "{}", curves.text());
    assert_eq!(curves.samples.len(), 6);
    let text = curves.text();
    assert!(
        ["p50", "p99", "p99.9", "longest", "memory", "descriptors", "leases"].iter().all(|name| text.contains(name))
    );
    curves.assert_flat();
}

/// As long as wanted; prints the curves.
pub fn soak() {
    let each = Duration::from_secs(setting_of("HYPOSTYLE_SOAK_SECONDS", 60)) / SAMPLES as u32;
    // so rarely that no job kills three in a row
    let curves = run(SAMPLES, 0.0002, &mut |frames, begun: Instant| frames >= 10 && begun.elapsed() >= each);
    println!("{}", curves.text());
    curves.assert_flat();
}

/// What was measured in a part of the run.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// Microseconds of a frame: half of them took less, 99 of 100, 999 of 1000, all.
    frames_us: [f64; 4],
    memory_mib: f64,
    descriptors: f64,
    leases: f64,
    region_mib: f64,
}

/// Something that a process holds.
type Held = fn(&Sample) -> f64;

#[derive(Debug, Default)]
struct Curves {
    samples: Vec<Sample>,
    frames: u64,
    deaths: u64,
    readers: u64,
    seconds: f64,
}

/// Runs so many parts, each until `is_over` says so of its frames and its beginning. Workers die with some probability at
/// each point that they pass.
fn run(parts: usize, dying: f64, is_over: &mut dyn FnMut(u64, Instant) -> bool) -> Curves {
    let seed = setting_of("HYPOSTYLE_SOAK_SEED", 1);
    let place = tempfile::tempdir().unwrap();
    let fault = Some(format!("random:{seed}:{dying}"));
    let setting = Setting { fault, ..Setting::new("sealed", Workers::Processes(2)) };
    let region = setting.region();
    let mut simulation = setting.start(scenes::world("sealed", region.clone(), ROWS, seed), seed);
    simulation.step(scenes::DT).unwrap();
    let begin = || Actor::start(&["checker", &region.to_string(), &GENERATIONS.to_string()]);
    let mut readers: Vec<Actor> = (0..READERS).map(|_| begin()).collect();
    let mut random = Random(seed);
    let (begun, mut curves) = (Instant::now(), Curves { readers: READERS as u64, ..Curves::default() });
    for part in 0..parts {
        let journal = place.path().join(format!("journal-{part}"));
        let options = RecorderOptions { checkpoint_every: 50, ..RecorderOptions::new(&journal) };
        let mut recorder = Recorder::start(simulation.world(), options).unwrap();
        let (begun, mut times) = (Instant::now(), Vec::new());
        while !is_over(times.len() as u64, begun) {
            let begun = Instant::now();
            simulation.step(scenes::DT).unwrap();
            times.push(begun.elapsed().as_secs_f64() * 1e6);
            recorder.look().unwrap();
            if times.len() % 10 == 0 {
                save(&simulation, place.path());
                curves.readers += replace_ended(&mut readers, &begin, &mut random);
            }
        }
        curves.frames += times.len() as u64;
        curves.samples.push(sample(&simulation, &mut times));
        recorder.finish().unwrap();
        std::fs::remove_dir_all(journal).unwrap();
    }
    curves.deaths = simulation.worker_status().iter().map(|worker| worker.deaths).sum();
    curves.seconds = begun.elapsed().as_secs_f64();
    curves
}

fn save(simulation: &Simulation, place: &Path) {
    let mut reader = simulation.world().reader().unwrap();
    checkpoint::write(&reader.pin().unwrap(), &place.join("state"), &CheckpointOptions::default()).unwrap();
}

/// Others come for readers that have seen enough; now and then one is killed. How many came.
fn replace_ended(readers: &mut [Actor], begin: &dyn Fn() -> Actor, random: &mut Random) -> u64 {
    let mut came = 0;
    for reader in readers.iter_mut() {
        let is_killed = random.below(20) == 0;
        if is_killed || reader.child.try_wait().unwrap().is_some() {
            let old = std::mem::replace(reader, begin());
            let (said, status) = if is_killed {
                (Vec::new(), None)
            } else {
                let (said, status) = old.finish();
                (said, Some(status))
            };
            assert!(status.is_none_or(|status| status.success()), "a reader said {said:?}");
            came += 1;
        }
    }
    came
}

fn sample(simulation: &Simulation, times: &mut [f64]) -> Sample {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() as f64 * part) as usize).min(times.len() - 1)];
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = pages.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap();
    let leases = simulation.world().reader().unwrap().leases().unwrap();
    Sample {
        frames_us: [at(0.5), at(0.99), at(0.999), times[times.len() - 1]],
        memory_mib: pages * 4096.0 / f64::from(1 << 20),
        descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count() as f64,
        leases: leases.iter().filter(|lease| lease.alive).count() as f64,
        region_mib: simulation.world().usage().backed as f64 / f64::from(1 << 20),
    }
}

impl Curves {
    fn curve(&self, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(of).collect()
    }

    /// The curves, one a line.
    fn text(&self) -> String {
        let Curves { frames, deaths, readers, seconds, .. } = self;
        let mut out = format!("{frames} frames in {seconds:.0} s; {deaths} workers died, {readers} readers came\n");
        for (index, name) in ["p50", "p99", "p99.9", "longest"].into_iter().enumerate() {
            line(&mut out, name, "us", &self.curve(|sample| sample.frames_us[index]));
        }
        line(&mut out, "memory", "MiB", &self.curve(|sample| sample.memory_mib));
        line(&mut out, "region", "MiB", &self.curve(|sample| sample.region_mib));
        line(&mut out, "descriptors", "", &self.curve(|sample| sample.descriptors));
        line(&mut out, "leases", "", &self.curve(|sample| sample.leases));
        out
    }

    /// In the last third the process holds what it held in the first, and a little for what happens to be going on.
    fn assert_flat(&self) {
        let third = self.samples.len().div_ceil(3);
        let most = |part: &[Sample], of: Held| part.iter().map(of).fold(0.0, f64::max);
        let (first, last) = (&self.samples[..third], &self.samples[self.samples.len() - third..]);
        let held: [(&str, Held, f64); 4] = [
            ("memory", |sample| sample.memory_mib, 16.0),
            ("region", |sample| sample.region_mib, 4.0),
            ("descriptors", |sample| sample.descriptors, 8.0),
            ("leases", |sample| sample.leases, READERS as f64),
        ];
        for (name, of, more) in held {
            let (before, after) = (most(first, of), most(last, of));
            assert!(
                after <= before * 1.1 + more,
                "{name}: {before} in the first third, {after} in the last\n{}",
                self.text()
            );
        }
    }
}

/// A curve in eighths of its largest value.
fn line(out: &mut String, name: &str, unit: &str, values: &[f64]) {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (least, most) =
        (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(0.0, f64::max));
    let bar = |value: &f64| BARS[((value / most.max(f64::MIN_POSITIVE) * 8.0).ceil() as usize).clamp(1, 8) - 1];
    let bars: String = values.iter().map(bar).collect();
    let _ = writeln!(out, "{name:<12}{bars}  {least:.0} to {most:.0} {unit}");
}
