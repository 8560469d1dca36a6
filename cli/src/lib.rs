//! The `hypostyle` command as a library: [`main`] is the whole command line, for your own scenes.
//!
//! A program that hands its [`Scene`]s to it runs them with every option of `hypostyle run`, in worker processes, with
//! checkpoints, journals, traces and plans, and looks at any region:
//!
//! ```no_run
//! use std::error::Error;
//! use std::process::ExitCode;
//!
//! use hypostyle::{Component, Schedule, System, World, WorldBuilder, Write};
//! use hypostyle_cli::{Line, Scene, SceneOptions};
//!
//! #[derive(Component, Clone, Copy)]
//! struct Age { years: f32 }
//!
//! struct Aging;
//!
//! impl Scene for Aging {
//!     fn name(&self) -> &'static str { "aging" }
//!     fn about(&self) -> &'static str { "everybody grows old" }
//!     fn default_entities(&self) -> u64 { 1000 }
//!     fn dt(&self) -> f64 { 1.0 }
//!     fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
//!         let mut world = builder.component::<Age>().build()?;
//!         world.spawn_batch((0..options.entities.unwrap_or(1000)).map(|_| Age { years: 0.0 }))?;
//!         Ok(world)
//!     }
//!     fn schedule(&self, _: &SceneOptions) -> Schedule {
//!         let mut schedule = Schedule::new();
//!         schedule.add(System::rows::<Write<Age>>("grow old", |job, mut age| {
//!             age.years.iter_mut().for_each(|years| *years += job.dt() as f32);
//!         }));
//!         schedule
//!     }
//!     fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
//!         Ok(vec![Line::count("people", world.entity_count())])
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     hypostyle_cli::main(&[&Aging])
//! }
//! ```
//!
//! Inside: one file per command. Data goes to stdout, everything else to stderr; a closed stdout ends a command quietly.
//! This is an ordinary user of the library: it knows nothing that another program could not know.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod ascii;
mod bench;
mod checkpoint;
mod clean;
mod cluster;
mod diff;
mod export;
mod failure;
mod fitted;
mod format;
mod gateway;
mod hash;
mod inspect;
mod layout;
mod list;
mod log;
mod meter;
mod open;
mod options_file;
#[cfg(feature = "pages")]
mod pages;
mod plan;
mod query;
mod replay;
mod rerun;
mod run;
mod run_checkpoints;
mod run_report;
mod scene_list;
mod signals;
mod source;
mod stats;
mod steer;
mod table;
mod text;
mod top;
mod trace;
mod usage;
mod values;
mod watch;
mod worker;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use failure::{Failure, Outcome};
use hypostyle_scenes as scenes;
use hypostyle_scenes::command::{numbers, pace};

#[doc(inline)]
pub use hypostyle_scenes::{Line, Scene, SceneError, SceneOption, SceneOptions, Space, Watch};

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    failed: the system refused something, or a case without a code of its own; of `diff`: they differ
  2    usage: an unknown option, scene, column, or a name that is none
  3    not found: no such region, checkpoint, journal, frame, file or directory, or nothing was published yet
  4    a layout that is not valid, or that does not fit
  5    the simulation failed: a frame was abandoned, or the schedule is wrong
  6    in use: the region has a live writer, or a name or a port is taken
  7    unusable: the region, checkpoint or journal is damaged, not a hypostyle file, or of an unsupported version
  130  interrupted: the frame was finished and everything cleaned up";

/// Worlds in shared memory: run them, watch them from other processes.
#[derive(Parser)]
#[command(name = "hypostyle", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print data as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Print more on stderr (twice: debug output).
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scene.
    Run(Box<run::Args>),
    /// List the scenes.
    Scenes(scene_list::Args),
    /// List regions.
    List(list::Args),
    /// Show a region or a checkpoint: layout, generation, tables, memory, leases, workers.
    Inspect(inspect::Args),
    /// Print the hash of a region's newest generation, or of a checkpoint.
    Hash(hash::Args),
    /// Describe columns: count, minimum, maximum, mean, deviation, histogram.
    Stats(stats::Args),
    /// Write a region's newest generation to a file, while its simulation runs.
    Checkpoint(checkpoint::Args),
    /// Restore a frame from a journal: print its hash, or write it as a checkpoint.
    Replay(replay::Args),
    /// Check whether checkpoints and journals are whole.
    Verify(checkpoint::VerifyArgs),
    /// Describe columns for every generation, until the writer exits.
    Watch(watch::Args),
    /// Show a live region on a terminal, refreshed.
    Top(top::Args),
    /// Pause a run that was started with --steer, let it run some frames, set its pace.
    Steer(steer::Args),
    /// Compare two states: regions, checkpoints, or one of each.
    Diff(diff::Args),
    /// Write a state as an Arrow, Parquet or CSV file; the states of a journal as a data set.
    Export(export::Args),
    /// Show a live region to browsers and tools.
    Gateway(gateway::Args),
    /// Select rows of a state: by a condition, or with SQL.
    Query(query::Args),
    /// Work with layout files.
    #[command(subcommand)]
    Layout(layout::Command),
    /// Show a scene's plan: stages, batches, and why two systems cannot run together.
    Plan(plan::Args),
    /// Show which worker ran which system when: tables, Gantt charts, a comparison of two runs.
    Trace(trace::Args),
    /// Remove regions whose writer has exited; never a live one.
    Clean(clean::Args),
    /// Measure: frames, patches, spawning, pins, beside hand-written loops.
    Bench(bench::Args),
    /// Write completions for shells and manual pages.
    #[cfg(feature = "pages")]
    #[command(hide = true)]
    Pages(pages::Args),
    /// Serve `bench` as a worker process. Not for use by hand.
    #[command(hide = true)]
    BenchWorker {
        /// Which schedule.
        name: String,
    },
    /// Serve `run` as a worker process. Not for use by hand.
    #[command(hide = true)]
    Worker(scenes::command::WorkerArgs),
}

/// Runs the command line of this process's arguments for these scenes, and gives its exit code. Call it first in `main`:
/// this same executable is started again as each worker process. `hypostyle_scenes::all()` are the scenes of the
/// `hypostyle` command.
///
/// Two scenes of one name, or an option that `run` has itself, end it with a message and the code of wrong usage.
pub fn main(scenes: &'static [&'static dyn Scene]) -> ExitCode {
    if let Err(why) = offer(scenes) {
        eprintln!("error: {why}");
        return ExitCode::from(failure::USAGE);
    }
    // Where this process was started as a worker, it is one and nothing else; the main process is told of errors.
    #[cfg(unix)]
    match hypostyle::serve(worker::schedule) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(_) => return ExitCode::FAILURE,
    }
    if let Err(error) = signals::survive_long_files() {
        tracing::debug!(%error, "the limit of a file's length stays deadly");
    }
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    log_to_stderr(cli.verbose);
    // JSON is read by programs, and stays as it is
    let mut out = ascii::Output::new(std::io::stdout().lock(), !cli.json && ascii::is_wanted());
    let done = dispatch(cli.command, cli.json, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}

/// The command line of this process; else it is told what is wrong with it, or was asked for, and the exit code.
fn parse() -> Result<Cli, ExitCode> {
    let args = options_file::expanded(std::env::args_os().collect()).map_err(|failure| {
        failure.print();
        ExitCode::from(failure.code)
    })?;
    let name = usage::program();
    let matches = command(&name).try_get_matches_from(&args);
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| {
        let command = Cli::command();
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let words: Vec<String> = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
        match usage::one_line(&error, &name, &names, &words) {
            Some(line) => Failure::usage(line).print(),
            // a closed stdout or stderr is no reason to complain
            None => drop(error.print()),
        }
        ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 })
    })
}

/// The command line of a program of this name, for the scenes that it offers.
fn command(program: &str) -> clap::Command {
    Cli::command().name(program.to_owned()).after_help(format!("{}{EXIT_CODES}", first_steps(program)))
}

/// What to try first, with the program's own first scene.
fn first_steps(program: &str) -> String {
    use std::fmt::Write as _;
    let Some(scene) = scenes::command::all().first() else { return String::new() };
    let steps = [
        ("scenes".to_owned(), "what there is to run".to_owned()),
        (format!("run {} --region demo --seconds 60", scene.name()), "for other processes to see".to_owned()),
        ("top demo".to_owned(), "watches it, from another terminal".to_owned()),
        ("gateway demo".to_owned(), "shows it in a browser".to_owned()),
    ];
    let width = steps.iter().map(|(words, _)| words.chars().count()).max().unwrap_or(0);
    let mut text = "First steps:\n".to_owned();
    for (words, about) in steps {
        let _ = writeln!(text, "  {program} {words:width$}  {about}");
    }
    let _ =
        writeln!(text, "The book is docs/book/README.md of hypostyle; `{program} COMMAND --help` has all options.\n");
    text
}

/// Makes these the scenes of the command line.
fn offer(scenes: &'static [&'static dyn Scene]) -> Result<(), String> {
    scenes::command::offer(scenes)?;
    for command in Cli::command().get_subcommands() {
        // options of all commands
        let mut names = vec!["json", "verbose", "help", "version"];
        for arg in command.get_arguments() {
            let name = arg.get_id().as_str();
            if names.contains(&name) {
                return Err(format!(
                    "a scene has an option --{name}, and `{}` has one, too: give it another name",
                    command.get_name()
                ));
            }
            names.push(name);
        }
    }
    Ok(())
}

fn dispatch(command: Command, json: bool, out: &mut dyn Write) -> Outcome {
    match command {
        Command::Run(args) => run::run(&args, json, out),
        Command::Scenes(args) => scene_list::run(&args, json, out),
        Command::List(args) => list::run(&args, json, out),
        Command::Inspect(args) => inspect::run(&args, json, out),
        Command::Hash(args) => hash::run(&args, json, out),
        Command::Stats(args) => stats::run(&args, json, out),
        Command::Checkpoint(args) => checkpoint::run(&args, json, out),
        Command::Verify(args) => checkpoint::verify(&args, json, out),
        Command::Watch(args) => watch::run(&args, json, out),
        Command::Top(args) => top::run(&args, json, out),
        Command::Steer(args) => steer::run(&args, json, out),
        Command::Diff(args) => diff::run(&args, json, out),
        Command::Export(args) => export::run(&args, json, out),
        Command::Gateway(args) => gateway::run(&args, json, out),
        Command::Query(args) => query::run(&args, json, out),
        Command::Replay(args) => replay::run(&args, json, out),
        Command::Layout(layout::Command::Check(args)) => layout::check(&args, json, out),
        Command::Plan(args) => plan::run(&args, json, out),
        Command::Trace(args) => trace::run(&args, json, out),
        Command::Clean(args) => clean::run(&args, json, out),
        Command::Bench(args) => bench::run(&args, json, out),
        #[cfg(feature = "pages")]
        Command::Pages(args) => pages::run(&args, out),
        Command::Worker(_) | Command::BenchWorker { .. } => {
            Err(Failure::usage("workers are started by `run --workers processes:N` and `bench`, not by hand"))
        }
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    // files and pipes get no escape sequences
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).without_time();
    lines.with_ansi(ansi).init();
}

/// Writes data as JSON.
fn put_json(out: &mut dyn Write, value: &serde_json::Value) -> Outcome {
    Ok(writeln!(out, "{value:#}")?)
}
