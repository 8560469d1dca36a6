//! Runs a program under some settings, and writes down every generation.

use hypostyle::{RegionTarget, Simulation, Snapshot, StepError, WorkerCommand, Workers, World};

use super::palette::mix;
use super::program::Program;

/// How the engine runs a program.
#[derive(Clone, Debug)]
pub struct Settings {
    pub workers: Workers,
    pub ring_bytes: usize,
    pub main_helps: bool,
    pub publish_every: u64,
    pub fuse: bool,
    /// After this frame the world's process ends, as it were, and another one takes the region over.
    pub left_after: Option<u64>,
    /// Whether all frames are asked for at once.
    pub at_once: bool,
    /// What is started as worker processes.
    pub command: Option<WorkerCommand>,
}

impl Settings {
    pub fn of(workers: Workers) -> Self {
        Settings {
            workers,
            ring_bytes: 1 << 16,
            main_helps: true,
            publish_every: 1,
            fuse: true,
            left_after: None,
            at_once: false,
            command: None,
        }
    }
}

/// What a generation held.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub frame: u64,
    pub hash: u64,
    /// Of the rows' order.
    pub order: u64,
    pub entities: u64,
}

/// How a run went, and how it ended: with an error's text, or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub states: Vec<State>,
    pub patches: String,
    pub error: Option<String>,
}

fn state(snapshot: &Snapshot<'_>) -> State {
    let mut order = 0;
    for table in snapshot.tables() {
        for word in [u64::MAX].into_iter().chain(table.entities().iter().map(|entity| entity.to_bits())) {
            order = mix(order ^ word);
        }
    }
    State { frame: snapshot.frame(), hash: snapshot.hash(), order, entities: snapshot.entity_count() }
}

fn simulate(world: World, program: &Program, settings: &Settings) -> Result<Simulation, StepError> {
    let builder = match &settings.command {
        Some(command) => Simulation::builder().worker_command(command.clone()),
        None => Simulation::builder(),
    };
    builder
        .workers(settings.workers)
        .ring_bytes(settings.ring_bytes)
        .main_helps(settings.main_helps)
        .publish_every(settings.publish_every)
        .fuse(settings.fuse)
        .seed(7)
        .build(world, program.schedule())
}

/// Runs it.
pub fn run(program: &Program, settings: &Settings) -> Trace {
    run_and_count(program, settings).0
}

/// As [`run`]; and how many workers died.
pub fn run_and_count(program: &Program, settings: &Settings) -> (Trace, u64) {
    let in_files = settings.left_after.is_some() || settings.command.is_some();
    let place = in_files.then(|| tempfile::tempdir().expect("a temporary directory"));
    let target = place.as_ref().map(|place| RegionTarget::Directory(place.path().join("region")));
    let mut builder = Program::builder();
    if let Some(target) = &target {
        builder = builder.region(target.clone()).keep_region(true);
    }
    let mut world = builder.build().expect("the layout is valid");
    program.fill(&mut world);
    world.publish().expect("there is room");
    let mut simulation = simulate(world, program, settings).expect("the schedule is sound");
    let mut trace = Trace { states: Vec::new(), patches: String::new(), error: None };
    let frames = u64::from(program.frames);
    let mut deaths = 0;
    let mut patches: Vec<(u64, u64, u64, u64, u64, u64)> = Vec::new();
    for frame in 1..=frames {
        let done = if settings.at_once { simulation.run(frames, 0.125) } else { simulation.step(0.125) };
        let counts = match done {
            Ok(report) => {
                deaths += report.deaths;
                report.patches.clone()
            }
            Err(error) => {
                let text = error.to_string();
                // all but who ran the job
                let (before, after) = text.split_once(" (on ").unwrap_or((&text, ""));
                trace.error = Some(format!("{before}{}", after.split_once("; ").map_or("", |(_, rest)| rest)));
                break;
            }
        };
        patches.resize(counts.len(), (0, 0, 0, 0, 0, 0));
        for (sum, c) in patches.iter_mut().zip(&counts) {
            sum.0 += c.applied;
            sum.1 += c.overwritten;
            sum.2 += c.stale;
            sum.3 += c.absent;
            sum.4 += c.refused;
            sum.5 += c.spawned << 32 | c.despawned;
        }
        if frame == frames || settings.at_once {
            simulation.world_mut().publish().expect("there is room");
        }
        let mut reader = simulation.world().reader().expect("there are leases");
        let snapshot = reader.pin().expect("something is published");
        let newest = state(&snapshot);
        drop(snapshot);
        drop(reader);
        if trace.states.last().map_or(0, |last| last.frame) < newest.frame {
            trace.states.push(newest);
        }
        if settings.at_once {
            break;
        }
        if let Some(target) = target.as_ref().filter(|_| settings.left_after == Some(frame)) {
            drop(simulation);
            let world = Program::builder().keep_region(true).resume(target).expect("its writer has ended");
            simulation = simulate(world, program, settings).expect("it was built before");
        }
    }
    trace.patches = format!("{patches:?}");
    (trace, deaths)
}
