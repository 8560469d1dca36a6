//! What is measured: cases, rounds over engines in turn, and the checks without which no figure counts.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::{Engine, Failure, Spec};
use crate::message::{Answer, Command, Looked, Wrote};
use crate::model::{Dirtiness, SETS, dirty_sets, expected};
use crate::session::{Memory, Session, new_name};

/// Publications before anything is timed; the state after them is compared between engines.
pub const WARM_UP: u64 = 2 * SETS as u64;

/// How much to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rows of every column.
    pub rows: usize,
    /// Seconds of a run.
    pub seconds: f64,
    /// Rounds over all engines.
    pub rounds: usize,
    /// The engines.
    pub engines: Vec<Engine>,
    /// Seed of state and dirty rows.
    pub seed: u64,
}

/// One case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Publications per second; 0: one after the other.
    pub rate_hz: u32,
    /// What a publication changes.
    pub dirtiness: Dirtiness,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rate_hz {
            0 => write!(f, "flat out, {}", self.dirtiness),
            rate => write!(f, "{rate} Hz, {}", self.dirtiness),
        }
    }
}

/// One engine's round of one case.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// The writer's run beside a reader that looks.
    pub wrote: Wrote,
    /// The reader's.
    pub looked: Looked,
    /// Memory after it.
    pub memory: Memory,
    /// The writer's run beside a reader that is stopped while it holds a state.
    pub frozen: Wrote,
    /// Memory after that.
    pub frozen_memory: Memory,
}

/// All rounds of one engine in one case.
#[derive(Clone, Debug)]
pub struct Rounds {
    /// The engine.
    pub engine: Engine,
    /// How it was written to.
    pub way: String,
    /// The state's checksum after the warm-up, as the reader process saw it.
    pub checksum: u64,
    /// Its rounds.
    pub rounds: Vec<Round>,
}

/// The measurement and what it remembers from case to case.
pub struct Runner<'a> {
    settings: &'a Settings,
    stop: &'a AtomicBool,
    /// The fastest way of each engine for a dirtiness, found once, with the medians that decided it.
    ways: HashMap<(Engine, Dirtiness), (String, String)>,
}

fn unexpected(answer: &Answer) -> Failure {
    format!("an answer to another question: {answer:?}").into()
}

fn published(answer: &Answer) -> Result<u64, Failure> {
    if let Answer::Published(publication) = answer { Ok(*publication) } else { Err(unexpected(answer)) }
}

fn wrote(answer: &Answer) -> Result<Wrote, Failure> {
    if let Answer::Wrote(wrote) = answer { Ok(*wrote) } else { Err(unexpected(answer)) }
}

impl<'a> Runner<'a> {
    /// A runner; `stop` ends it between two answers.
    pub fn new(settings: &'a Settings, stop: &'a AtomicBool) -> Self {
        Runner { settings, stop, ways: HashMap::new() }
    }

    fn spec(&self, engine: Engine, way: &str, case: Case) -> Spec {
        Spec {
            session: new_name(),
            engine,
            way: way.to_owned(),
            rows: self.settings.rows,
            seed: self.settings.seed,
            dirtiness: case.dirtiness,
            rate_hz: case.rate_hz,
        }
    }

    /// Checks what the reader sees at a publication against what must be there.
    fn check(&self, spec: &Spec, answer: &Answer) -> Result<u64, Failure> {
        let Answer::Checksum { publication, checksum } = answer else { return Err(unexpected(answer)) };
        let sets = dirty_sets(spec.seed, spec.rows, spec.dirtiness);
        let wanted = expected(spec.seed, spec.rows, &sets, *publication);
        if *checksum == wanted {
            return Ok(*checksum);
        }
        Err(format!(
            "{} ({}), {}: the reader's state at publication {publication} has checksum {checksum:016x}; it must be {wanted:016x}",
            spec.engine.name(),
            spec.way,
            spec.dirtiness
        )
        .into())
    }

    /// The fastest way, by the median of publications one after the other. Every way's result is checked.
    fn way(&mut self, engine: Engine, dirtiness: Dirtiness) -> Result<(String, String), Failure> {
        if let Some(known) = self.ways.get(&(engine, dirtiness)) {
            return Ok(known.clone());
        }
        let ways = engine.ways(dirtiness);
        let mut tried = Vec::new();
        for way in ways.iter().filter(|_| ways.len() > 1) {
            let spec = self.spec(engine, way, Case { rate_hz: 0, dirtiness });
            let mut session = Session::start(&spec, self.stop)?;
            let publication = published(&session.ask_writer(Command::Publish(WARM_UP))?)?;
            self.check(&spec, &session.ask_reader(Command::Checksum(publication))?)?;
            let run = wrote(&session.ask_writer(Command::Run(self.settings.seconds.min(0.3)))?)?;
            tried.push((run.publish.p50, *way));
        }
        tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        let best = tried.first().map_or(ways[0], |(_, way)| way);
        let told: Vec<String> = tried.iter().map(|(p50, way)| format!("{way} {:.0} us", p50 / 1e3)).collect();
        let found = (best.to_owned(), told.join(", "));
        self.ways.insert((engine, dirtiness), found.clone());
        Ok(found)
    }

    /// What decided an engine's way, for its note; empty where there was no choice.
    pub fn choice(&self, engine: Engine, dirtiness: Dirtiness) -> &str {
        self.ways.get(&(engine, dirtiness)).map_or("", |(_, told)| told)
    }

    fn round(&self, engine: Engine, way: &str, case: Case) -> Result<(u64, Round), Failure> {
        let spec = self.spec(engine, way, case);
        let mut session = Session::start(&spec, self.stop)?;
        let publication = published(&session.ask_writer(Command::Publish(WARM_UP))?)?;
        let checksum = self.check(&spec, &session.ask_reader(Command::Checksum(publication))?)?;
        let (run, look) = session.ask_both(Command::Run(self.settings.seconds))?;
        let Answer::Looked(looked) = look else { return Err(unexpected(&look)) };
        let run = wrote(&run)?;
        let memory = session.memory();

        // a reader that holds a state and does not move
        let held = self.check(&spec, &session.ask_reader(Command::Hold)?)?;
        session.freeze_reader(true);
        let frozen = wrote(&session.ask_writer(Command::Run(self.settings.seconds / 2.0))?)?;
        let frozen_memory = session.memory();
        session.freeze_reader(false);
        let still = self.check(&spec, &session.ask_reader(Command::Release)?)?;
        if still != held {
            return Err(format!("{}: a state changed while it was held", engine.name()).into());
        }
        let publication = published(&session.ask_writer(Command::Publish(1))?)?;
        self.check(&spec, &session.ask_reader(Command::Checksum(publication))?)?;
        Ok((checksum, Round { wrote: run, looked, memory, frozen, frozen_memory }))
    }

    /// One case: all engines in turn, round by round.
    pub fn case(&mut self, case: Case) -> Result<Vec<Rounds>, Failure> {
        let mut results = Vec::new();
        for engine in self.settings.engines.iter().copied() {
            let (way, _) = self.way(engine, case.dirtiness)?;
            results.push(Rounds { engine, way, checksum: 0, rounds: Vec::new() });
        }
        for _ in 0..self.settings.rounds {
            for result in &mut results {
                if self.stop.load(Ordering::Relaxed) {
                    return Err("interrupted".into());
                }
                let (checksum, round) = self.round(result.engine, &result.way, case)?;
                result.checksum = checksum;
                result.rounds.push(round);
            }
        }
        if let Some(pair) = results.windows(2).find(|pair| pair[0].checksum != pair[1].checksum) {
            let [a, b] = [&pair[0], &pair[1]].map(|result| result.engine.name());
            return Err(format!("{case}: {a} and {b} do not have the same state").into());
        }
        Ok(results)
    }
}
