//! `list`: regions, and how they are doing.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;

use hypostyle::regions::RegionInfo;
use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::format::{Format, put_rows};
use crate::table::Table;
use crate::{cluster, put_json, text};

/// What CSV has of a region, with the names that JSON has.
const COLUMNS: &[&str] = &[
    "name",
    "path",
    "state",
    "alive",
    "kept",
    "stale",
    "writer_pid",
    "generation",
    "frames",
    "publish_skipped",
    "reader_pids",
    "bytes_backed",
    "bytes_max",
    "layout_hash",
    "created_ns",
    "owner_name",
    "error",
];

/// What to list.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The directory whose regions to list (default: all named regions).
    directory: Option<PathBuf>,
    /// How to print them; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let regions = match &args.directory {
        Some(directory) => hypostyle::regions::list_in(directory)?,
        None => hypostyle::regions::list()?,
    };
    let format = args.format.or_json(json);
    if format == Format::Json {
        let clusters = cluster::among(&regions).into_iter().map(|(name, ranks)| {
            json!({ "name": name, "ranks": ranks.iter().map(|region| region.name.as_str()).collect::<Vec<_>>() })
        });
        let clusters: Vec<Value> = clusters.collect();
        let regions: Vec<Value> = regions.iter().map(info_json).collect();
        return put_json(out, &json!({ "regions": regions, "clusters": clusters }));
    }
    if format != Format::Table {
        return put_rows(format, COLUMNS, &regions.iter().map(info_json).collect::<Vec<_>>(), out);
    }
    if regions.is_empty() {
        return Ok(writeln!(out, "no regions")?);
    }
    let heads = ["region", "state", ">writer", ">generation", ">frames", ">readers", ">memory", "made"];
    let mut table = Table::new(&heads);
    for region in &regions {
        let pid = if region.writer_pid == 0 { "-".to_owned() } else { region.writer_pid.to_string() };
        table.row([
            region.name.clone(),
            state(region).to_owned(),
            pid,
            text::count(region.generation),
            text::count(region.frames),
            region.reader_pids.len().to_string(),
            text::bytes(region.bytes_backed),
            if region.created_ns == 0 { "-".to_owned() } else { text::ago(region.created_ns) },
        ]);
    }
    write!(out, "{table}")?;
    for (name, ranks) in cluster::among(&regions) {
        let alive = ranks.iter().filter(|region| region.alive).count();
        writeln!(out, "{name}: a world of {} ranks, {alive} of them live", ranks.len())?;
    }
    for region in &regions {
        if let Some(error) = &region.error {
            writeln!(out, "{}: {error}", region.name)?;
        }
    }
    if regions.iter().any(RegionInfo::is_stale) {
        let program = crate::usage::program();
        writeln!(out, "stale: the writer is gone and did not keep it; `{program} clean` removes such regions")?;
    }
    Ok(())
}

/// What a region is, in a word.
pub(crate) fn state(region: &RegionInfo) -> &'static str {
    match region {
        _ if region.is_foreign() => "another user's",
        _ if region.error.is_some() => "unreadable",
        _ if region.temporary && region.alive => "in the making",
        _ if region.alive => "live",
        _ if region.is_stale() => "stale",
        _ => "kept",
    }
}

/// What is told of a region, as JSON.
pub(crate) fn info_json(region: &RegionInfo) -> Value {
    json!({
        "name": region.name,
        "path": region.path,
        "state": state(region).replace(' ', "_").replace('\'', ""),
        "alive": region.alive,
        "kept": region.kept,
        "stale": region.is_stale(),
        "temporary": region.temporary,
        "same_boot": region.same_boot,
        "writer_pid": region.writer_pid,
        "writer_epoch": region.writer_epoch,
        "generation": region.generation,
        "frames": region.frames,
        "publish_skipped": region.publish_skipped,
        "reader_pids": region.reader_pids,
        "bytes_backed": region.bytes_backed,
        "bytes_max": region.bytes_max,
        "layout_hash": text::hash(region.layout_hash),
        "created_ns": region.created_ns,
        "owner": region.owner,
        "owner_name": region.owner_name(),
        "notes": region.notes.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "error": region.error,
    })
}
