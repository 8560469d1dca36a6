#![forbid(unsafe_code)]
//! `clean`: removes regions whose writer is gone. A live region is never touched: the library refuses.

use std::io::Write;
use std::path::PathBuf;

use hypostyle::RegionTarget;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::{put_json, text};

/// What to remove.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region: stale, kept or unreadable, but not live.
    #[arg(value_name = "NAME|DIR", conflicts_with_all = ["all_stale", "directory"])]
    region: Option<RegionTarget>,
    /// All regions whose writer died without keeping them; also what happens when no region is given.
    #[arg(long)]
    all_stale: bool,
    /// Look for stale regions in this directory (default: among the named ones).
    #[arg(long = "in", value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let cleaned = match &args.region {
        Some(target) => {
            let info = hypostyle::inspect(target);
            hypostyle::clean(target).map_err(|error| Failure::from(error).before("not removed"))?;
            vec![info]
        }
        None => hypostyle::clean_stale(args.directory.as_deref())?,
    };
    if json {
        let names: Vec<_> = cleaned.iter().map(|region| json!({ "name": region.name, "path": region.path })).collect();
        return put_json(out, &json!({ "removed": names }));
    }
    for region in &cleaned {
        writeln!(out, "removed {} ({}, {} frames)", region.name, text::bytes(region.bytes_backed), region.frames)?;
    }
    if cleaned.is_empty() {
        writeln!(out, "no stale regions")?;
    }
    Ok(())
}
