//! `hash REGION|FILE`: the newest generation's logical content as one number, the same as `run --print-hash` prints.
#![forbid(unsafe_code)]

use std::io::Write;

use serde_json::json;

use crate::failure::Outcome;
use crate::source::Source;
use crate::{put_json, text};

/// What to hash.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region, or a checkpoint.
    #[arg(value_name = "REGION|FILE")]
    source: Source,
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let mut opened = args.source.open()?;
    let snapshot = opened.reader.pin()?;
    let state = text::hash(snapshot.hash());
    if json {
        let data = json!({
            "region": args.source.region(),
            "checkpoint": args.source.checkpoint(),
            "generation": snapshot.generation(),
            "frame": snapshot.frame(),
            "time": snapshot.time(),
            "state": state,
        });
        return put_json(out, &data);
    }
    Ok(writeln!(out, "state {state}")?)
}
