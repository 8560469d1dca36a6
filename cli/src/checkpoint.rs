//! `checkpoint REGION -o FILE`: the newest generation in a file, while the simulation runs. `verify FILE`: whether a
//! checkpoint is whole.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::{Path, PathBuf};

use hypostyle::checkpoint::{self, CheckpointFile, CheckpointOptions, CheckpointSet, Damage, Report, WrittenRanks};
use hypostyle::journal::Journal;
use hypostyle::{OwnedSnapshot, RegionTarget};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::failure::{self, Failure, Outcome};
use crate::format::{Format, put_data};
use crate::source::Source;
use crate::table::Table;
use crate::{open, put_json, text};

/// What to write.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region, or the world of several ranks; or a checkpoint, to write it again with other options; or the manifest of a
    /// set, to write it as one.
    #[arg(value_name = "REGION")]
    source: Source,
    /// The file. An existing checkpoint is replaced. Of several ranks a name that ends with .checkpoints is a set: a manifest, and
    /// a file of each rank beside it.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Compression level: 0 none, 1 fast, up to 19.
    #[arg(long, value_name = "L", default_value_t = 1, allow_negative_numbers = true)]
    level: i32,
    /// A text to store with the state; `run --from` uses scene, seed and entities. May be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_note)]
    note: Vec<(String, String)>,
}

/// What to check.
#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    /// Checkpoints, manifests of sets of checkpoints, directories of journals, directories with checkpoints, and regions
    /// (their newest generation's columns are read).
    #[arg(value_name = "FILE|DIR|REGION", required = true)]
    files: Vec<PathBuf>,
    /// How to print what is found; --json is short for `json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

fn parse_note(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs `checkpoint`.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let mut options = CheckpointOptions::default().level(args.level);
    options.notes.clone_from(&args.note);
    options.check()?;
    if let Source::Cluster(name) = &args.source {
        return of_ranks(&Cluster::open(name)?, &args.output, &options, json, out);
    }
    let mut opened = args.source.open()?;
    let kept = opened.notes().iter().filter(|(name, _)| args.note.iter().all(|(other, _)| other != name));
    options.notes.extend(kept.cloned());
    let snapshot = opened.reader.pin()?;
    let report = checkpoint::write(&snapshot, &args.output, &options)?;
    drop(snapshot);
    told(&report, json, out)
}

/// Says what was written.
fn told(report: &Report, json: bool, out: &mut dyn Write) -> Outcome {
    if json {
        return put_json(out, &report_json(report));
    }
    let (bytes, raw) = (text::bytes(report.file_bytes), text::bytes(report.raw_bytes));
    let (frame, entities) = (text::count(report.frame), text::count(report.entities));
    let path = report.path.display();
    Ok(writeln!(out, "frame {frame}, {entities} entities: {raw} in {bytes}, {path} ({})", text::time(report.elapsed))?)
}

/// Writes one frame of all ranks while they run: as a set, or as one file, as one process would have written it.
fn of_ranks(cluster: &Cluster, output: &Path, options: &CheckpointOptions, json: bool, out: &mut dyn Write) -> Outcome {
    let parts = cluster.reader.pin()?;
    let parts: Vec<_> = parts.iter().map(OwnedSnapshot::snapshot).collect();
    let set = match checkpoint::write_ranks(&parts, &cluster.regions[0].notes, output, options)? {
        WrittenRanks::File(report) => return told(&report, json, out),
        WrittenRanks::Set(set) => set,
    };
    if json {
        return put_json(out, &set_json(&set));
    }
    let (frame, entities) = (text::count(set.frame()), text::count(set.rows()));
    let bytes = text::bytes(set.files().iter().map(|file| file.bytes).sum());
    let (files, path) = (set.files().len(), set.path().display());
    Ok(writeln!(out, "frame {frame}, {entities} entities in {files} files: {bytes}, {path}")?)
}

/// A checkpoint that was written, as JSON.
pub(crate) fn report_json(report: &Report) -> Value {
    json!({
        "checkpoint": report.path,
        "generation": report.generation,
        "frame": report.frame,
        "time": report.time,
        "entities": report.entities,
        "raw_bytes": report.raw_bytes,
        "file_bytes": report.file_bytes,
        "seconds": report.elapsed.as_secs_f64(),
    })
}

/// What is told of a checkpoint, as JSON.
pub(crate) fn file_json(file: &CheckpointFile) -> Value {
    json!({
        "path": file.path(),
        "generation": file.generation(),
        "frame": file.frame(),
        "time": file.time(),
        "created_ns": file.created_ns(),
        "file_bytes": file.file_bytes(),
        "raw_bytes": file.raw_bytes(),
        "layout_hash": text::hash(file.layout().hash()),
        "notes": file.notes().iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>(),
    })
}

/// What is told of a checkpoint, as a table.
pub(crate) fn file_table(file: &CheckpointFile) -> Table {
    let mut table = Table::pairs();
    table.pair("checkpoint", file.path().display());
    table.pair("made", text::ago(file.created_ns()));
    table.pair("generation", text::count(file.generation()));
    table.pair("frame", text::count(file.frame()));
    table.pair("time", file.time());
    table.pair("entities", text::count(file.entity_count()));
    table.pair("bytes", format!("{} hold {}", text::bytes(file.file_bytes()), text::bytes(file.raw_bytes())));
    for (name, value) in file.notes() {
        table.pair(&format!("note {name}"), value);
    }
    table
}

/// What is told of a set of checkpoints, as JSON.
pub(crate) fn set_json(set: &CheckpointSet) -> Value {
    json!({
        "path": set.path(),
        "frame": set.frame(),
        "file_bytes": set.files().iter().map(|file| file.bytes).sum::<u64>(),
        "files": set.files().iter().enumerate().map(|(rank, file)| {
            json!({ "path": set.file_path(rank), "file_bytes": file.bytes, "rows": file.rows, "hash": format!("{:032x}", file.hash) })
        }).collect::<Vec<_>>(),
        "order": set.order(),
        "notes": set.notes().iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// What is told of a set of checkpoints, as tables.
pub(crate) fn put_set(set: &CheckpointSet, out: &mut dyn Write) -> Outcome {
    let mut table = Table::pairs();
    table.pair("checkpoints", set.path().display());
    table.pair("frame", text::count(set.frame()));
    table.pair("entities", text::count(set.rows()));
    table.pair("order", set.order().join(", "));
    for (name, value) in set.notes() {
        table.pair(&format!("note {name}"), value);
    }
    write!(out, "{table}")?;
    let mut table = Table::new(&[">rank", ">entities", ">bytes"]);
    for (rank, file) in set.files().iter().enumerate() {
        table.row([rank.to_string(), text::count(file.rows), text::bytes(file.bytes)]);
    }
    Ok(write!(out, "\n{table}")?)
}

/// Runs `verify`.
pub(crate) fn verify(args: &VerifyArgs, json: bool, out: &mut dyn Write) -> Outcome {
    let format = args.format.or_json(json);
    let json = format != Format::Table;
    let mut worst: Option<Failure> = None;
    let mut answers = Vec::new();
    let mut journals = Vec::new();
    let mut regions = Vec::new();
    let mut sets = Vec::new();
    for path in &parts(&args.files)? {
        let found = match region(path) {
            Some(target) => verify_region(&target, json, out, &mut regions),
            None if path.is_dir() => verify_journal(path, json, out, &mut journals),
            None if is_set(path) => verify_set(path, json, out, &mut sets),
            None => verify_file(path, json, out, &mut answers),
        };
        if let Err(failure) = found {
            worst.get_or_insert(failure);
        }
    }
    if json {
        let kinds = [("checkpoint", &answers), ("journal", &journals), ("region", &regions), ("set", &sets)];
        let rows: Vec<Value> =
            kinds.iter().flat_map(|(kind, found)| found.iter().map(|found| verified_row(kind, found))).collect();
        let data = json!({ "checkpoints": answers, "journals": journals, "regions": regions, "sets": sets });
        put_data(format, &data, &["kind", "name", "whole", "frame", "problems"], &rows, out)?;
    }
    worst.map_or(Ok(()), Err)
}

/// Reads all of a checkpoint.
fn verify_file(path: &Path, json: bool, out: &mut dyn Write, answers: &mut Vec<Value>) -> Outcome {
    let (verification, file) = match checkpoint::open(path).and_then(|file| Ok((file.verify()?, file))) {
        Ok(found) => found,
        Err(error) => {
            answers.push(json!({
                "path": path, "whole": false, "chunks": null, "damaged": [], "error": error.to_string(),
                "contradiction": null,
                "checkpoint": null,
            }));
            if !json {
                writeln!(out, "{}: not readable", path.display())?;
            }
            return Err(error.into());
        }
    };
    let (damaged, chunks) = (verification.damaged.len() as u64, verification.chunks);
    answers.push(json!({
        "path": path,
        "whole": verification.is_whole(),
        "contradiction": verification.contradiction,
        "chunks": chunks,
        "damaged": verification.damaged.iter().map(damage_json).collect::<Vec<_>>(),
        "error": null,
        "checkpoint": file_json(&file),
    }));
    if !json {
        put_verification(path, &file, &verification, out)?;
    }
    let path = path.display();
    match &verification.contradiction {
        _ if damaged > 0 => {
            Err(Failure::new(failure::NOT_USABLE, format!("{path} is damaged: {damaged} of {chunks} chunks")))
        }
        Some(contradiction) => {
            Err(Failure::new(failure::NOT_USABLE, format!("{path} cannot be loaded: {contradiction}")))
        }
        None => Ok(()),
    }
}

/// What was found in one file, journal or region, in a few words: `problems` are texts.
fn verified_row(kind: &str, found: &Value) -> Value {
    let damaged = found["damaged"].as_array().into_iter().chain(found["problems"].as_array()).flatten();
    let damaged = damaged.map(|problem| problem.get("problem").unwrap_or(problem));
    let problems = damaged.chain([&found["contradiction"], &found["error"]]).filter(|problem| !problem.is_null());
    let problems: Vec<String> =
        problems.map(|problem| problem.as_str().map_or_else(|| problem.to_string(), str::to_owned)).collect();
    let frame = [&found["frame"], &found["checkpoint"]["frame"], &found["frames"][1]];
    json!({
        "kind": kind,
        "name": found.get("path").or(found.get("region")),
        "whole": found["whole"],
        "frame": frame.into_iter().find(|frame| !frame.is_null()),
        "problems": problems.join("; "),
    })
}

/// What was found in a checkpoint, for people.
fn put_verification(
    path: &Path,
    file: &checkpoint::CheckpointFile,
    verification: &checkpoint::Verification,
    out: &mut dyn Write,
) -> Outcome {
    let (path, raw) = (path.display(), text::bytes(verification.raw_bytes));
    let (frame, chunks) = (text::count(file.frame()), text::count(verification.chunks));
    match verification.damaged.len() as u64 {
        0 if verification.contradiction.is_some() => writeln!(out, "{path}: cannot be loaded")?,
        0 => writeln!(out, "{path}: whole, frame {frame}, {raw} in {chunks} chunks")?,
        damaged => writeln!(out, "{path}: {} of {chunks} chunks are damaged", text::count(damaged))?,
    }
    for damage in &verification.damaged {
        writeln!(out, "  {damage}")?;
    }
    if let Some(contradiction) = &verification.contradiction {
        writeln!(out, "  {contradiction}")?;
    }
    Ok(())
}

/// The region that a user names, if it is one: a directory with a region's files, or a word that is no file.
fn region(path: &Path) -> Option<RegionTarget> {
    let is_region = path.join("descriptor").exists() || (!path.exists() && path.components().count() == 1);
    let has_end = path.extension().is_some();
    path.to_str().filter(|_| is_region && (path.is_dir() || !has_end))?.parse().ok()
}

/// Reads all columns of a region's newest generation.
fn verify_region(target: &RegionTarget, json: bool, out: &mut dyn Write, answers: &mut Vec<Value>) -> Outcome {
    let mut reader = open::open(target)?;
    let snapshot = reader.pin()?;
    let found = snapshot.check().err().map(|error| error.to_string());
    let frame = snapshot.frame();
    answers.push(json!({
        "region": target.to_string(),
        "whole": found.is_none(),
        "generation": snapshot.generation(),
        "frame": frame,
        "contradiction": found,
    }));
    let (frame, entities) = (text::count(frame), text::count(snapshot.entity_count()));
    match found {
        None if json => Ok(()),
        None => Ok(writeln!(out, "region {target}: whole, frame {frame}, {entities} entities")?),
        Some(what) => {
            if !json {
                writeln!(out, "region {target}: damaged\n  {what}")?;
            }
            Err(Failure::new(failure::NOT_USABLE, format!("region {target} is damaged: {what}")))
        }
    }
}

/// What to verify: of a directory that has checkpoints and is no journal, each of them.
fn parts(named: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in named {
        let mut inside = Vec::new();
        if path.is_dir() && !Journal::is_journal(path) {
            for entry in std::fs::read_dir(path)? {
                inside.push(entry?.path());
            }
            inside.retain(|path| path.extension().is_some_and(|end| end == "checkpoint" || end == "checkpoints"));
            inside.sort();
        }
        if inside.is_empty() {
            inside.push(path.clone());
        }
        all.append(&mut inside);
    }
    Ok(all)
}

/// Whether a path is a manifest, or is called as one.
fn is_set(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "checkpoints") || CheckpointSet::is_one(path)
}

/// Checks a manifest, each of its files, and that they are one world.
fn verify_set(path: &Path, json: bool, out: &mut dyn Write, answers: &mut Vec<Value>) -> Outcome {
    let set = CheckpointSet::open(path)?;
    let mut problems = Vec::new();
    for rank in 0..set.files().len() {
        let found = set.file(rank).and_then(|file| file.verify());
        let problem = match &found {
            Ok(verification) => verification.problem().map(|what| format!("{}: {what}", set.file_path(rank).display())),
            Err(error) => Some(error.to_string()),
        };
        problems.extend(problem);
    }
    if problems.is_empty() {
        // whole files may still be of two worlds
        problems.extend(set.load().err().map(|error| error.to_string()));
    }
    answers.push(json!({
        "path": path,
        "whole": problems.is_empty(),
        "frame": set.frame(),
        "entities": set.rows(),
        "files": set.files().len(),
        "problems": problems,
        "notes": set.notes().iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    }));
    if !json {
        let state = if problems.is_empty() { "whole" } else { "damaged" };
        let (frame, entities) = (text::count(set.frame()), text::count(set.rows()));
        let files = text::count(set.files().len() as u64);
        writeln!(out, "{}: {state}, frame {frame}, {entities} entities in {files} files", path.display())?;
        for problem in &problems {
            writeln!(out, "  {problem}")?;
        }
    }
    match problems.first() {
        None => Ok(()),
        Some(what) => Err(Failure::new(failure::NOT_USABLE, format!("{} is damaged: {what}", path.display()))),
    }
}

/// Brings every state of a journal back.
fn verify_journal(path: &Path, json: bool, out: &mut dyn Write, answers: &mut Vec<Value>) -> Outcome {
    let journal = Journal::open(path)?;
    let found = journal.verify()?;
    let (first, last) = (journal.first(), journal.last());
    answers.push(json!({
        "path": path,
        "whole": found.damaged.is_empty(),
        "generations": found.generations,
        "segments": found.segments,
        "bytes": found.bytes,
        "frames": [first.frame, last.frame],
        "damaged": found.damaged,
        "truncated_tail": journal.truncated_tail().map(ToString::to_string),
        "finished": found.finished,
        "recording": format!("{:016x}", journal.recording_id()),
    }));
    let path = path.display();
    if !json {
        let (generations, segments) = (text::count(found.generations), text::count(found.segments));
        let (first, last) = (text::count(first.frame), text::count(last.frame));
        let whole = if found.damaged.is_empty() { "whole, " } else { "damaged, " };
        writeln!(
            out,
            "{path}: {whole}{generations} generations, frames {first} to {last}, {} in {segments} segments",
            text::bytes(found.bytes)
        )?;
        let unfinished = "it was not finished: its writer died or still records, and later frames may be missing";
        let unfinished = (!found.finished && found.damaged.is_empty()).then(|| unfinished.to_owned());
        for line in found.damaged.iter().chain(&journal.truncated_tail().map(ToString::to_string)).chain(&unfinished) {
            writeln!(out, "  {line}")?;
        }
    }
    if found.damaged.is_empty() {
        return Ok(());
    }
    Err(Failure::new(failure::NOT_USABLE, format!("{path} is damaged: {}", found.damaged[0])))
}

fn damage_json(damage: &Damage) -> Value {
    json!({
        "chunk": damage.chunk,
        "offset": damage.offset,
        "bytes": damage.bytes,
        "table": damage.table,
        "column": damage.column,
        "rows": [damage.rows.0, damage.rows.1],
        "problem": damage.problem,
    })
}
