//! `hash REGION|FILE`: the newest generation's logical content as one number, the same as `run --print-hash` prints; by global
//! ids with `--by-id`.
#![forbid(unsafe_code)]

use std::io::Write;

use serde_json::json;

use crate::failure::Outcome;
use crate::format::{Format, put_data};
use crate::source::Source;
use crate::{cluster, text};

/// What CSV has, with the names that JSON has.
pub(crate) const COLUMNS: &[&str] =
    &["region", "checkpoint", "generation", "frame", "time", "state", "ranks", "state_by_id"];

/// What to hash.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region, or the world of several ranks; a checkpoint, or the manifest of a set of them.
    #[arg(value_name = "REGION|FILE")]
    source: Source,
    /// Print `state-by-id <hex>`: entities by their global ids, in which neither handles nor the order of rows count.
    #[arg(long)]
    by_id: bool,
    /// How to print it; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let format = args.format.or_json(json);
    if let Source::Cluster(name) = &args.source {
        return cluster::hash(name, args.by_id, format, out);
    }
    let mut opened = args.source.open()?;
    let snapshot = opened.reader.pin()?;
    let by_id = args.by_id.then(|| snapshot.hash_by_id()).transpose()?;
    let state = text::hash(snapshot.hash());
    if format != Format::Table {
        let mut data = json!({
            "region": args.source.region(),
            "checkpoint": args.source.checkpoint(),
            "generation": snapshot.generation(),
            "frame": snapshot.frame(),
            "time": snapshot.time(),
            "state": state,
        });
        if let Some(state) = by_id {
            data["state_by_id"] = json!(state.to_string());
        }
        return put_data(format, &data, COLUMNS, std::slice::from_ref(&data), out);
    }
    match by_id {
        Some(state) => Ok(writeln!(out, "state-by-id {state}")?),
        None => Ok(writeln!(out, "state {state}")?),
    }
}
