//! hypostyle beside other engines: the same work, interleaved, with equal final states; as tables, JSON lines and a
//! document.

mod cases;
mod checksum;
mod components;
mod flecs_raw;
mod letters;
mod measure;
mod others;
mod report;
mod row;
mod sharing;
mod support;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use measure::{Bench, Options};
pub use row::OURS;
use row::Row;

/// The peers' names.
pub const BEVY: &str = "bevy_ecs";
pub const HECS: &str = "hecs";
pub const FLECS: &str = "flecs_ecs";
pub const SHIPYARD: &str = "shipyard";

/// Compares hypostyle with other engines.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    /// Only cases whose `group: case` contains one of these (comma-separated)
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Only engines whose names contain one of these (comma-separated)
    #[arg(long, value_delimiter = ',')]
    engines: Vec<String>,
    /// These sizes instead of each case's own (comma-separated)
    #[arg(long, value_delimiter = ',')]
    entities: Vec<usize>,
    /// Timed rounds [default: 11; with --quick: 2]
    #[arg(long)]
    rounds: Option<usize>,
    /// Tiny sizes and few rounds: a test that everything works and ends in equal states
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Print JSON lines and nothing else
    #[arg(long)]
    json: bool,
    /// Print no results
    #[arg(long)]
    quiet: bool,
    /// Write docs/BENCHMARKS.md, docs/benchmarks/ and docs/pictures/ (a build with native flags writes -native files)
    #[arg(long)]
    write: bool,
    /// Also write the rows to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Add rows from a file of JSON lines (of another program, or saved earlier)
    #[arg(long, value_name = "FILE")]
    rows: Vec<PathBuf>,
    /// Leave the other programs out: compare-snapshots, and compare/web in node
    #[arg(long)]
    alone: bool,
    /// Measure nothing: only take the rows of --rows
    #[arg(long)]
    no_run: bool,
    /// Cores for the cases that use all [default: those there are]
    #[arg(long)]
    cores: Option<usize>,
    /// Print the cases and sizes and measure nothing
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let cores = args.cores.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let options = Options {
        cases: args.cases,
        engines: args.engines,
        entities: args.entities,
        rounds: args.rounds.unwrap_or(if args.quick { 2 } else { 11 }).max(1),
        quick: args.quick,
        cores,
        list: args.list,
    };
    // below two threads bevy's parallel iterators run serially; main helps while it waits
    bevy_tasks::ComputeTaskPool::get_or_init(|| bevy_tasks::TaskPoolBuilder::new().num_threads(cores.max(2)).build());
    rayon::ThreadPoolBuilder::new().num_threads(cores).build_global()?;
    let (json, quiet) = (args.json, args.quiet);
    let tell = move |rows: &[Row]| {
        if quiet {
        } else if json {
            rows.iter().for_each(|row| println!("{}", serde_json::to_string(row).expect("plain data")));
        } else {
            print!("{}", report::terminal(rows, std::io::stdout().is_terminal()));
        }
    };
    let mut bench = Bench { options, rows: Vec::new(), tell: Box::new(tell) };
    if !args.no_run {
        for case in cases::CASES {
            case(&mut bench)?;
        }
    }
    if !args.no_run && !args.alone && !args.list {
        let rows = others::run(&bench.options, args.rounds)?;
        take(&mut bench, rows)?;
    }
    for file in &args.rows {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let rows = row::parse_lines(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        take(&mut bench, rows)?;
    }
    if let Some(file) = &args.save {
        let lines: Vec<String> = bench.rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        std::fs::write(file, lines.join("\n") + "\n")?;
    }
    if args.write && !args.list {
        let written = report::write(&bench.rows, cores)?;
        eprintln!("wrote {}", written.display());
    }
    Ok(())
}

/// Takes the rows of another program in.
fn take(bench: &mut Bench, rows: Vec<Row>) -> Result<(), String> {
    rows.chunk_by(|a, b| (&a.group, &a.case, a.entities) == (&b.group, &b.case, b.entities))
        .for_each(|rows| (bench.tell)(rows));
    bench.rows.extend(rows);
    row::check(&bench.rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `--quick` does: every engine does every case, and all end in equal states.
    #[test]
    fn all_engines_end_in_equal_states() {
        let done = run(Args::parse_from(["compare-ecs", "--quick", "--quiet"]));
        assert!(done.is_ok(), "{done:?}");
    }
}
