//! A running world's consistent state in other processes: hypostyle beside LMDB (heed) and iceoryx2.
//!
//! One process changes a world of position and velocity and publishes it again and again, another one looks. Every
//! engine does the same work on the same rows, and the state that its reader process sees is checked against what must
//! be there; a difference is an error, not a footnote.

mod child;
mod clock;
mod engine;
mod histogram;
mod message;
mod model;
mod report;
mod run;
mod session;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};

use engine::{Engine, Failure, Spec};
use model::Dirtiness;
use run::{Case, Runner, Settings};

/// Compares ways to show a running world's consistent state to other processes.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    process: Option<Process>,
    /// Rows of position + velocity (6 f32 columns). The blackboard knows 1000000 and 20000 only.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=50_000_000))]
    rows: u32,
    /// Seconds of each run; half as many with a stopped reader.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds over all engines.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Engines.
    #[arg(long, value_delimiter = ',', default_values_t = Engine::ALL.map(Word))]
    engines: Vec<Word>,
    /// Publications per second; 0: one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [60, 1000, 0])]
    rates: Vec<u32>,
    /// Percent of rows that a publication changes; `c` in runs of 1000, `r` at random.
    #[arg(long, value_delimiter = ',', default_value = "1c,1r,10c,10r,100")]
    dirty: Vec<Dirtiness>,
    /// Seed of the initial state and of the dirty rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// JSON lines on standard output instead of tables.
    #[arg(long)]
    json: bool,
    /// A short test: 20000 rows, tenths of a second, flat out, one round.
    #[arg(long)]
    quick: bool,
}

/// An engine as it is written on the command line.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Word(Engine);

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use clap::ValueEnum;
        let value = self.0.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl std::str::FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        clap::ValueEnum::from_str(text, true).map(Word).map_err(|_| {
            let known = Engine::ALL.map(|engine| Word(engine).to_string());
            format!("no engine is called `{text}`; there are {}", known.join(", "))
        })
    }
}

/// The processes that a session starts.
#[derive(Debug, Subcommand)]
enum Process {
    /// Changes the state.
    #[command(hide = true)]
    Writer { spec: String },
    /// Looks at it.
    #[command(hide = true)]
    Reader { spec: String },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let spec = |text: &str| serde_json::from_str::<Spec>(text);
    let done = match &arguments.process {
        Some(Process::Writer { spec: text }) => match spec(text) {
            Ok(spec) => std::process::exit(child::write(spec)),
            Err(error) => Err(error.into()),
        },
        Some(Process::Reader { spec: text }) => match spec(text) {
            Ok(spec) => std::process::exit(child::read(spec)),
            Err(error) => Err(error.into()),
        },
        None => compare(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("compare-snapshots: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn settings(arguments: &Arguments) -> Settings {
    let quick = arguments.quick;
    let rows = if quick { 20_000 } else { arguments.rows as usize };
    let engines = arguments.engines.iter().map(|word| word.0).filter(|engine| {
        let takes = engine.takes(rows);
        if !takes {
            eprintln!("{} is left out: it is not built for {rows} rows", engine.name());
        }
        takes
    });
    Settings {
        rows,
        seconds: if quick { 0.1 } else { arguments.seconds.clamp(0.01, 3600.0) },
        rounds: if quick { 1 } else { arguments.rounds as usize },
        engines: engines.collect(),
        seed: arguments.seed,
    }
}

fn compare(arguments: &Arguments) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let stale = session::remove_stale();
    if stale > 0 {
        eprintln!("removed {stale} files and directories that dead processes had left in shared memory");
    }
    let settings = settings(arguments);
    let rates: &[u32] = if arguments.quick { &[0] } else { &arguments.rates };
    let cases: Vec<Case> = arguments
        .dirty
        .iter()
        .flat_map(|dirtiness| rates.iter().map(|rate_hz| Case { rate_hz: *rate_hz, dirtiness: *dirtiness }))
        .collect();
    let mut out = std::io::stdout().lock();
    if !arguments.json {
        writeln!(
            out,
            "{} rows x 6 f32 = {:.1} MB; {} rounds of {} s; medians over the rounds\n",
            settings.rows,
            settings.rows as f64 * 24e-6,
            settings.rounds,
            settings.seconds
        )?;
        for engine in &settings.engines {
            writeln!(out, "{}: {}", engine.name(), engine.note())?;
        }
    }
    let mut runner = Runner::new(&settings, &stop);
    for (index, case) in cases.iter().enumerate() {
        if arguments.json || std::io::stderr().is_terminal() {
            eprintln!("{}/{}: {case}", index + 1, cases.len());
        }
        let results: Vec<_> = runner.case(*case)?;
        let results: Vec<_> = results
            .into_iter()
            .map(|result| {
                let choice = runner.choice(result.engine, case.dirtiness);
                let note = result.engine.note();
                let note = if choice.is_empty() { note.to_owned() } else { format!("{note}; tried: {choice}") };
                (result, note)
            })
            .collect();
        if arguments.json {
            report::json(&mut out, *case, settings.rows, &results)?;
        } else {
            report::table(&mut out, *case, &results)?;
            for (result, _) in &results {
                let choice = runner.choice(result.engine, case.dirtiness);
                if !choice.is_empty() {
                    writeln!(out, "  {}: fastest of {choice}", result.engine.name())?;
                }
            }
            out.flush()?;
        }
        if stop.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
    }
    Ok(())
}
