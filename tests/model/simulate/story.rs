//! What happens in a simulation: steps that a seed draws, and how the engine is set up for them.

use hypostyle::Workers;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::director::Dice;
use crate::model::program::{Edit, Instruction, edit, instruction};

/// One thing that happens. Numbers pick from what there is.
#[derive(Clone, Debug)]
pub enum Step {
    /// The owner changes the world.
    Edit(Edit),
    /// A frame, by all systems.
    Frame { payloads: [Vec<Instruction>; 4], known: Vec<u16>, dt: f64 },
    /// A reader pins the newest generation and holds it.
    Pin,
    /// A reader that holds one lets go.
    Unpin(u8),
    /// A reader that holds one dies.
    ReaderDies(u8),
    /// Back to a generation that is kept.
    Rollback(u8),
    /// The writer ends, and another takes the region over.
    TakeOver,
    /// Somebody else wants to be the writer, while there is one.
    SecondOpener,
    /// The newest generation goes to a file.
    Checkpoint,
    /// Others send inputs.
    Send,
    /// More publications than there are slots of directories.
    ManyPublications,
    /// The test itself goes wrong: to see that it is told.
    Wrong,
}

impl Step {
    pub fn name(&self) -> &'static str {
        match self {
            Step::Edit(_) => "edit",
            Step::Frame { .. } => "frame",
            Step::Pin => "pin",
            Step::Unpin(_) => "unpin",
            Step::ReaderDies(_) => "reader dies",
            Step::Rollback(_) => "rollback",
            Step::TakeOver => "take-over",
            Step::SecondOpener => "second opener",
            Step::Checkpoint => "checkpoint",
            Step::Send => "send",
            Step::ManyPublications => "many publications",
            Step::Wrong => "wrong",
        }
    }
}

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing: only who runs when is the seed's.
    Calm,
    /// A worker or two die in each step.
    Deaths,
    /// Workers die as often as they come.
    Slaughter,
    /// The writer dies; what it leaves is looked at, and sometimes gone on with.
    Crashes,
    /// The system refuses.
    Refusals,
    /// Anything of these in any step.
    Storm,
}

/// How the engine is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub workers: Workers,
    pub main_helps: bool,
    pub ring_bytes: usize,
    pub publish_every: u64,
    pub fuse: bool,
    pub sort: bool,
    pub job_rows: u32,
    /// The region is a directory of files, and not in the memory of the process.
    pub shared: bool,
    pub keep: usize,
    /// All that is published is recorded.
    pub journal: bool,
    pub readers: usize,
    /// It takes inputs.
    pub inputs: bool,
    pub weather: Weather,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Story {
    pub seed: u64,
    pub setup: Setup,
    /// Each step, with a seed for what happens in it.
    pub steps: Vec<(u64, Step)>,
}

impl Story {
    pub fn new(seed: u64) -> Story {
        let mut dice = Dice(seed ^ 0x0051_3017);
        let weather = [
            Weather::Calm,
            Weather::Deaths,
            Weather::Deaths,
            Weather::Slaughter,
            Weather::Crashes,
            Weather::Crashes,
            Weather::Refusals,
            Weather::Storm,
            Weather::Storm,
        ];
        let weather = dice.pick(&weather);
        // enough entities for a region to grow often
        let crowd = dice.one_in(12);
        let shared = dice.one_in(2) || matches!(weather, Weather::Crashes);
        let setup = Setup {
            workers: Workers::Simulated(dice.pick(&[1, 2, 2, 3])),
            main_helps: dice.one_in(2),
            ring_bytes: dice.pick(&[256, 256, 1024, 1 << 16]),
            publish_every: dice.pick(&[1, 1, 1, 2, 3]),
            fuse: dice.one_in(2),
            sort: dice.one_in(3),
            job_rows: if crowd { 64 } else { dice.pick(&[3, 8, 8, 64]) },
            shared,
            keep: dice.pick(&[0, 0, 2, 5]),
            journal: shared && dice.one_in(3),
            readers: dice.pick(&[0, 1, 1, 2]),
            inputs: dice.one_in(2),
            weather,
        };
        let rng_seed = RngSeed::Fixed(seed);
        let mut runner = TestRunner::new(Config { rng_seed, failure_persistence: None, ..Config::default() });
        let count = 4 + dice.below(14);
        let mut steps = Vec::new();
        // something to begin with
        for _ in 0..1 + dice.below(if crowd { 12 } else { 4 }) {
            let count = 1 + dice.below(if crowd { 120 } else { 24 }) as u8;
            let (kind, seed, link) = (dice.roll() as u8, dice.roll() as u32, 0);
            steps.push((dice.roll(), Step::Edit(Edit::Spawn { kind, count, seed, link })));
        }
        for _ in 0..count {
            steps.push((dice.roll(), step(&mut dice, &mut runner, crowd)));
        }
        if dice.one_in(48) {
            steps.push((dice.roll(), Step::ManyPublications));
        }
        Story { seed, setup, steps }
    }
}

fn draw<S: Strategy>(strategy: S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).expect("nothing is filtered").current()
}

fn step(dice: &mut Dice, runner: &mut TestRunner, crowd: bool) -> Step {
    match dice.below(43) {
        0..=18 => {
            let mut payload = || {
                let count = dice.below(5);
                (0..count).map(|_| draw(instruction(), runner)).collect()
            };
            let payloads = [payload(), payload(), payload(), payload()];
            let known = (0..dice.below(5)).map(|_| dice.roll() as u16).collect();
            Step::Frame { payloads, known, dt: 0.125 * (1 + dice.below(8)) as f64 }
        }
        19..=29 => Step::Edit(match draw(edit(), runner) {
            Edit::Spawn { kind, count, seed, link } => {
                Edit::Spawn { kind, count: if crowd { count } else { count % 24 }, seed, link }
            }
            Edit::SpawnColumns { count, seed } => Edit::SpawnColumns { count: count % 24, seed },
            other => other,
        }),
        30 | 31 => Step::Pin,
        32 => Step::Unpin(dice.roll() as u8),
        33 => Step::ReaderDies(dice.roll() as u8),
        34 => Step::Rollback(dice.below(4) as u8),
        35 => Step::TakeOver,
        36 => Step::SecondOpener,
        37 | 38 => Step::Checkpoint,
        39..=41 => Step::Send,
        _ => Step::Edit(Edit::Publish),
    }
}
