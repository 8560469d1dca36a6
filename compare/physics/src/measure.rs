//! Contenders in turn, and the results of their rounds.

use std::error::Error;
use std::io::IsTerminal;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;

/// Time of one round, seconds for all of its steps.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// By the clock.
    pub wall: f64,
    /// Of all threads and processes.
    pub cpu: f64,
    /// Bytes that the state takes at the end, by its own account.
    pub bytes: Option<f64>,
}

impl Sample {
    /// With what its state takes.
    pub fn with_bytes(self, bytes: u64) -> Sample {
        Sample { bytes: Some(bytes as f64), ..self }
    }
}

/// One that runs a case: a round from a fresh state on.
pub type Round = Box<dyn FnMut() -> Result<Sample, Box<dyn Error>>>;

/// A case: the same work for all contenders; the first one is what the others are compared with.
pub struct Case {
    /// What is computed.
    pub name: String,
    /// What one unit of work is, as `atom and step`.
    pub unit: &'static str,
    /// Units in a round.
    pub units: f64,
    /// What memory is told of, as `atom`, and how many there are.
    pub things: (&'static str, f64),
    /// By name.
    pub contenders: Vec<(String, Round)>,
}

/// The median of some rounds and their quartiles.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// Lower quartile.
    pub low: f64,
    /// Median.
    pub median: f64,
    /// Upper quartile.
    pub high: f64,
}

/// A contender's rounds, nanoseconds per unit.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Who.
    pub name: String,
    /// By the clock.
    pub wall: Spread,
    /// Of processors.
    pub cpu: Spread,
    /// Bytes for each of the case's things, in the last round.
    pub bytes: Option<f64>,
}

/// Results of a case.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// What was computed.
    pub name: String,
    /// What times are per.
    pub unit: &'static str,
    /// What memory is per.
    pub thing: &'static str,
    /// Rounds of each.
    pub rounds: u32,
    /// One for each contender.
    pub rows: Vec<Row>,
}

impl Case {
    /// Runs all contenders in turn, round after round.
    pub fn run(mut self, rounds: u32) -> Result<Table, Box<dyn Error>> {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); self.contenders.len()];
        let shows = std::io::stderr().is_terminal();
        for round in 1..=rounds {
            for ((name, contender), samples) in self.contenders.iter_mut().zip(&mut samples) {
                if shows {
                    eprintln!("{}: round {round} of {rounds}: {name}", self.name);
                }
                samples.push(contender().map_err(|error| format!("{}: {name}: {error}", self.name))?);
            }
        }
        let rows = self.contenders.iter().zip(&samples).map(|((name, _), samples)| {
            let of = |time: fn(&Sample) -> f64| {
                spread(samples.iter().map(|sample| time(sample) * 1e9 / self.units).collect())
            };
            let bytes = samples.last().and_then(|sample| sample.bytes).map(|bytes| bytes / self.things.1);
            Row { name: name.clone(), wall: of(|sample| sample.wall), cpu: of(|sample| sample.cpu), bytes }
        });
        Ok(Table { name: self.name, unit: self.unit, thing: self.things.0, rounds, rows: rows.collect() })
    }
}

fn spread(mut times: Vec<f64>) -> Spread {
    times.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
    Spread { low: at(0.25), median: at(0.5), high: at(0.75) }
}

/// Times what is done, in this process and those that it has waited for.
pub fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Sample, Box<dyn Error>> {
    let (cpu, begin) = (cpu_seconds()?, Instant::now());
    work()?;
    Ok(Sample { wall: begin.elapsed().as_secs_f64(), cpu: cpu_seconds()? - cpu, bytes: None })
}

fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
