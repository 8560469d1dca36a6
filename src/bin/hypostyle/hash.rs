#![forbid(unsafe_code)]
//! `hash REGION`: the newest generation's logical content as one number, the same as `run --print-hash` prints.

use std::io::Write;

use hypostyle::RegionTarget;
use serde_json::json;

use crate::failure::Outcome;
use crate::open::open;
use crate::{put_json, text};

/// What to hash.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region.
    #[arg(value_name = "NAME|DIR")]
    region: RegionTarget,
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let mut reader = open(&args.region)?;
    let snapshot = reader.pin()?;
    let state = text::hash(snapshot.hash());
    if json {
        let data = json!({
            "region": args.region.to_string(),
            "generation": snapshot.generation(),
            "frame": snapshot.frame(),
            "time": snapshot.time(),
            "state": state,
        });
        return put_json(out, &data);
    }
    Ok(writeln!(out, "state {state}")?)
}
