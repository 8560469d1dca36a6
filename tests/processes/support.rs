//! What the tests share: settings of a run and the hashes it makes, children that play a role, random numbers.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hypostyle::{
    PatchCounts, Reader, RegionTarget, Sandbox, Simulation, SimulationBuilder, WorkerCommand, Workers, World,
};

use crate::scenes;

static IN_WORKER: AtomicBool = AtomicBool::new(false);

/// This process is a worker.
pub fn enter_worker() {
    IN_WORKER.store(true, Ordering::Relaxed);
}

/// Whether this process is a worker.
pub fn in_worker() -> bool {
    IN_WORKER.load(Ordering::Relaxed)
}

/// Scrambles a number (the finaliser of SplitMix64).
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A random sequence that can be replayed.
pub struct Random(pub u64);

impl Random {
    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % bound
    }
}

/// A number from the environment, or this one.
pub fn setting_of(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A name for a region that no other test or process uses.
pub fn fresh_region() -> RegionTarget {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    RegionTarget::Named(format!("proofs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// This executable.
pub fn own() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// Worker processes of a schedule, which die as `fault` says.
pub fn worker_command(schedule: &str, fault: Option<&str>) -> WorkerCommand {
    let args = ["worker", schedule].map(str::to_owned);
    match fault {
        None => WorkerCommand { program: own(), args: args.into() },
        Some(fault) => {
            // `env` becomes what it starts: the worker is main's child all the same
            let mut all = vec![format!("HYPOSTYLE_FAULT={fault}"), own().to_str().unwrap().to_owned()];
            all.extend(args);
            WorkerCommand { program: "/usr/bin/env".into(), args: all }
        }
    }
}

/// How a scene is run.
#[derive(Clone, Debug)]
pub struct Setting {
    pub schedule: &'static str,
    pub workers: Workers,
    pub ring_bytes: usize,
    pub publish_every: u64,
    pub main_helps: bool,
    pub sandbox: Sandbox,
    pub fault: Option<String>,
}

impl Setting {
    /// Default rings, a generation a frame, and main leaves the jobs to the workers.
    pub fn new(schedule: &'static str, workers: Workers) -> Setting {
        Setting {
            schedule,
            workers,
            ring_bytes: 1 << 20,
            publish_every: 1,
            main_helps: false,
            sandbox: Sandbox::Off,
            fault: None,
        }
    }

    /// Where the world must live.
    pub fn region(&self) -> RegionTarget {
        if matches!(self.workers, Workers::Processes(_)) { fresh_region() } else { RegionTarget::Heap }
    }

    /// The builder of such a simulation.
    pub fn builder(&self) -> SimulationBuilder {
        Simulation::builder()
            .workers(self.workers)
            .ring_bytes(self.ring_bytes)
            .publish_every(self.publish_every)
            .main_helps(self.main_helps)
            .sandbox(self.sandbox)
            .seed(17)
            .worker_command(worker_command(self.schedule, self.fault.as_deref()))
    }

    /// The simulation of a world.
    pub fn start(&self, world: World, seed: u64) -> Simulation {
        let schedule = scenes::schedule(self.schedule);
        let mut simulation = self.builder().build(world, schedule).unwrap();
        scenes::seed(&mut simulation, seed);
        simulation
    }
}

/// The hash of the newest generation, and its frame.
pub fn newest(reader: &mut Reader) -> (u64, u64) {
    let snapshot = reader.pin().unwrap();
    (snapshot.frame(), snapshot.hash())
}

/// Results of a run, frame by frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Frame and hash of every generation, once each; not of frame 0.
    pub hashes: Vec<(u64, u64)>,
    /// Every system's patches in every frame.
    pub patches: Vec<Vec<PatchCounts>>,
}

impl Course {
    /// The hash of a frame; none for frame 0.
    ///
    /// # Panics
    /// For a frame that the course does not have.
    pub fn hash_of(&self, frame: u64) -> Option<u64> {
        let found = self.hashes.iter().find(|(other, _)| *other == frame).map(|(_, hash)| *hash);
        assert!(found.is_some() || frame == 0, "the course of {} frames has frame {frame}", self.hashes.len());
        found
    }

    /// Whether this course, in which perhaps not every frame was published, agrees with one in which each was.
    pub fn assert_like(&self, whole: &Course, of: &dyn std::fmt::Debug) {
        for (frame, hash) in &self.hashes {
            let known = whole.hashes.iter().find(|(other, _)| other == frame).expect("a frame of the whole course");
            assert_eq!(known.1, *hash, "the hash of frame {frame} under {of:?}");
        }
        for (frame, (own, other)) in self.patches.iter().zip(&whole.patches).enumerate() {
            assert_eq!(own, other, "the patches of frame {} under {of:?}", frame + 1);
        }
    }
}

/// Steps a simulation and notes what comes of it.
pub fn course(simulation: &mut Simulation, frames: u64) -> Course {
    let mut reader = simulation.world().reader().unwrap();
    let mut course = Course::default();
    for _ in 0..frames {
        let report = simulation.step(scenes::DT).unwrap();
        course.patches.push(report.patches.clone());
        let found = newest(&mut reader);
        if found.0 > 0 && course.hashes.last() != Some(&found) {
            course.hashes.push(found);
        }
    }
    course
}

/// A child of this executable in a role, with whom one can talk line by line. It is killed when dropped.
pub struct Actor {
    pub child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts a child in a role.
    pub fn start(role: &[&str]) -> Actor {
        Actor::start_by(&[], role)
    }

    /// Starts a child in a role, by a command that runs what follows it.
    pub fn start_by(by: &[String], role: &[&str]) -> Actor {
        let mut words = by.iter().cloned().chain([own().to_str().unwrap().to_owned(), "role".to_owned()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(role).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Actor { child, stdin, stdout }
    }

    /// Sends a line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line; none: it has ended.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.stdout.read_line(&mut line).unwrap() > 0).then(|| line.trim_end().to_owned())
    }

    /// Sends a line and hears the answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear().unwrap_or_else(|| panic!("the child ended instead of answering `{line}`"))
    }

    /// Everything else that it says, and how it ended.
    pub fn finish(mut self) -> (Vec<String>, ExitStatus) {
        self.stdin = None;
        let mut lines = Vec::new();
        while let Some(line) = self.hear() {
            lines.push(line);
        }
        (lines, self.child.wait().unwrap())
    }

    /// Kills it at once and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.kill();
    }
}

/// As long as it lives, processes whose parent ends become this one's children. Nobody waits for them, so those that end
/// stay as zombies, which is nothing for other tests.
pub struct Subreaper;

impl Subreaper {
    pub fn new() -> Subreaper {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        Subreaper
    }
}

impl Drop for Subreaper {
    fn drop(&mut self) {
        rustix::process::set_child_subreaper(None).unwrap();
    }
}
