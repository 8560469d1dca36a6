//! `bench`: the benchmarks of `cases`, in turn, with medians and spread.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};

use hypostyle_scenes::cases::{Figure, Options, run_all};

use crate::failure::{Failure, Outcome};
use crate::format::{Format, put_rows};
use crate::table::Table;

/// What CSV has of a figure, with the names that JSON has; the quartiles stand in one cell.
const COLUMNS: &[&str] = &["group", "case", "unit", "median", "quartiles", "ratio"];

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Entity counts, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000,10000000",
        value_parser = crate::numbers::positive::<usize>)]
    entities: Vec<usize>,
    /// Rounds of each comparison; use at least three for a meaningful spread.
    #[arg(long, default_value_t = 15, value_parser = crate::numbers::positive::<u16>)]
    rounds: u16,
    /// Only comparisons whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// How to print the figures; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

fn worker_args(name: &str) -> Vec<String> {
    vec!["bench-worker".to_owned(), name.to_owned()]
}

fn as_table(figures: &[Figure]) -> Table {
    let mut table = Table::new(&["case", ">median", ">quartiles", ">ratio", "unit"]);
    for figure in figures {
        let (low, high) = figure.quartiles;
        table.row([
            figure.case.clone(),
            format!("{:.3}", figure.median),
            format!("{low:.3}..{high:.3}"),
            format!("{:.3}", figure.ratio),
            figure.unit.to_owned(),
        ]);
    }
    table
}

/// Measures, with a table per comparison as it ends.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let options = Options {
        sizes: args.entities.clone(),
        rounds: usize::from(args.rounds),
        worker: cfg!(unix).then_some(worker_args),
        filter: args.only.clone(),
    };
    let format = args.format.or_json(json);
    let shows_progress = std::io::stderr().is_terminal();
    let mut written = Ok(());
    let figures = run_all(&options, &mut |title, figures| {
        if !title.is_empty() && shows_progress {
            // progress that cannot be shown is no error
            let _ = writeln!(std::io::stderr(), "measuring {title} ...");
        }
        // a call may bring several comparisons
        for figures in figures.chunk_by(|one, two| one.group == two.group) {
            if format == Format::Table && written.is_ok() {
                written = writeln!(out, "{}\n{}", figures[0].group, as_table(figures));
            }
        }
    });
    written?;
    let figures = figures.map_err(|error| Failure::of(&*error))?;
    let values: Vec<serde_json::Value> = figures.iter().map(as_json).collect();
    match format {
        Format::Table => Ok(()),
        Format::Json => crate::put_json(out, &serde_json::json!({ "figures": values })),
        _ => put_rows(format, COLUMNS, &values, out),
    }
}

fn as_json(figure: &Figure) -> serde_json::Value {
    serde_json::json!({
        "group": figure.group,
        "case": figure.case,
        "unit": figure.unit,
        "median": figure.median,
        "quartiles": [figure.quartiles.0, figure.quartiles.1],
        "ratio": figure.ratio,
    })
}
