//! `query SOURCE CONDITION`, `query SOURCE --sql SQL`: rows of a state. `query SOURCE`: question after question, from a
//! terminal or a pipe.
//!
//! What it takes is very heavy to build; a program without the feature `query` says so when it is asked.
#![forbid(unsafe_code)]

#[cfg(feature = "query")]
mod asked;
#[cfg_attr(not(feature = "query"), allow(dead_code, reason = "tested all the same"))]
mod names;
#[cfg(feature = "query")]
mod shell;
#[cfg_attr(not(feature = "query"), allow(dead_code, reason = "tested all the same"))]
mod statement;
#[cfg(feature = "query")]
mod terminal;

use std::io::Write;
use std::path::PathBuf;

use crate::failure::Outcome;
use crate::format::Format;
use crate::source::Source;

/// What to ask.
#[derive(clap::Args)]
#[cfg_attr(not(feature = "query"), allow(dead_code, reason = "checked, and then refused"))]
pub(crate) struct Args {
    /// The region, the name of a world of several ranks, a checkpoint, or a journal's frame: DIR@FRAME.
    #[arg(value_name = "REGION|FILE|DIR@FRAME")]
    source: Source,
    /// Condition on rows, as in SQL: "position.x > 10 and velocity.y < 0". Without it and without --sql, questions are read
    /// from the terminal or the pipe: conditions, SQL that ends with `;`, and `.help`.
    #[arg(value_name = "CONDITION", conflicts_with = "sql")]
    condition: Option<String>,
    /// A complete SQL query. The table is `world`; its columns are `entity`, the fields of all components, and for components
    /// without fields a bool: whether the entity has it.
    #[arg(long, value_name = "SQL")]
    sql: Option<String>,
    /// Maximum number of rows for a condition (default: 100 in a printed table, else all).
    #[arg(long, value_name = "N", conflicts_with = "sql", value_parser = crate::numbers::count::<usize>)]
    limit: Option<usize>,
    /// Show only the columns of these components.
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "sql")]
    components: Option<Vec<String>>,
    /// Write the answer to a file; its name ends with .arrow, .parquet or .csv.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to print the answer; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "output")]
    format: Format,
}

/// Runs the command.
#[cfg(not(feature = "query"))]
pub(crate) fn run(_args: &Args, _json: bool, _out: &mut dyn Write) -> Outcome {
    Err(crate::failure::Failure::usage(
        "this program was built without `query`: build it with `cargo build --release --features query`",
    ))
}

/// Runs the command.
#[cfg(feature = "query")]
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let format = args.format.or_json(json);
    let state = asked::State::open(&args.source)?;
    let columns = names::selected(args.components.as_deref(), state.layout())?;
    if args.sql.is_none() && args.condition.is_none() && args.output.is_none() {
        return shell::Shell::new(state, columns, args.limit, format).run(out);
    }
    let is_short = format == Format::Table && args.output.is_none();
    let limit = args.limit.or(is_short.then_some(asked::ROWS_SHOWN));
    let sql = match (&args.sql, &args.condition) {
        (Some(sql), _) => sql.clone(),
        (None, condition) => statement::select(&columns, condition.as_deref().unwrap_or("true"), limit),
    };
    let answer = state.newest()?.ask(&state.quoted(&sql))?;
    match &args.output {
        Some(path) => asked::write(path, answer, json, out),
        None => asked::put(&answer, format, out),
    }
}
