//! `replay DIR --to FRAME`: a frame of a journal again: the nearest checkpoint before it, and the records up to it; or,
//! of a run that left checkpoints alone, the frames up to it.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;

use hypostyle::checkpoint::{self, CheckpointOptions};
use hypostyle::journal::Journal;
use hypostyle::{Reader, World};
use serde_json::{Value, json};

use crate::checkpoint::report_json;
use crate::failure::{self, Failure, Outcome};
use crate::rerun::Rerun;
use crate::source::open_journal;
use crate::{put_json, text};

/// What to bring back.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The journal, or a run's checkpoints.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The frame; if it was not published, the newest one before it (default: the last).
    #[arg(long, value_name = "FRAME", value_parser = crate::numbers::count::<u64>)]
    to: Option<u64>,
    /// Print `state <hex>`, the hash of the frame.
    #[arg(long)]
    print_hash: bool,
    /// Print `frame N <hex>` for every frame from the first on.
    #[arg(long)]
    hash_every_frame: bool,
    /// Write the frame as a checkpoint.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    if !Journal::is_journal(&args.directory) && Rerun::is_one(&args.directory) {
        return rerun(args, json, out);
    }
    let journal = open_journal(&args.directory)?;
    let entry = args.to.map_or_else(|| Ok(journal.last()), |frame| journal.at(frame))?;
    let mut states = Vec::new();
    if args.hash_every_frame {
        let kept: Vec<u64> = journal.entries().map(|entry| entry.generation).collect();
        let mut replay = journal.replay()?;
        loop {
            let at = replay.entry()?;
            // what was undone is not told
            if kept.binary_search(&at.generation).is_ok() {
                let state = text::hash(replay.load()?.pin()?.hash());
                if json {
                    states.push(json!({ "frame": at.frame, "state": state }));
                } else {
                    writeln!(out, "frame {} {state}", at.frame)?;
                }
            }
            if at.generation >= entry.generation || !replay.advance()? {
                break;
            }
        }
    }
    let reader = journal.replay_to(entry)?.load()?;
    let (first, last) = (text::count(journal.first().frame), text::count(journal.last().frame));
    let what = format!("the journal has frames {first} to {last}");
    put(args, json, out, reader, journal.notes(), states, &what)
}

/// The same of a run that left checkpoints: from the nearest one, or with all hashes from the beginning. Each checkpoint
/// on the way must be what the frames lead to.
fn rerun(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let run = Rerun::open(&args.directory)?;
    let to = args.to.unwrap_or_else(|| run.last());
    let mut states = Vec::new();
    let mut frames = if args.hash_every_frame { run.begin()? } else { run.at(to, World::builder())? };
    for frame in (0..=to).filter(|_| args.hash_every_frame) {
        frames.run(frame)?;
        let state = frames.reader()?.pin()?.hash();
        if let Some((path, kept)) = run.hash_of(frame)?
            && kept != state
        {
            let (path, kept, state) = (path.display(), text::hash(kept), text::hash(state));
            let message = format!("{path} is state {kept}, and the frames before it lead to {state}");
            return Err(Failure::new(failure::NOT_USABLE, message));
        }
        let state = text::hash(state);
        if json {
            states.push(json!({ "frame": frame, "state": state }));
        } else {
            writeln!(out, "frame {frame} {state}")?;
        }
    }
    let what = format!("the checkpoints lead to frame {}", text::count(run.last()));
    put(args, json, out, frames.reader()?, run.notes(), states, &what)
}

/// Puts out what is asked for of a frame.
fn put(
    args: &Args,
    json: bool,
    out: &mut dyn Write,
    mut reader: Reader,
    notes: &[(String, String)],
    states: Vec<Value>,
    what: &str,
) -> Outcome {
    let snapshot = reader.pin()?;
    let frame = snapshot.frame();
    let state = args.print_hash.then(|| text::hash(snapshot.hash()));
    let report = match &args.output {
        None => None,
        Some(path) => {
            let mut options = CheckpointOptions::default();
            options.notes = notes.to_vec();
            Some(checkpoint::write(&snapshot, path, &options).map_err(Failure::from)?)
        }
    };
    if json {
        let data = json!({
            "journal": args.directory,
            "frame": frame,
            "generation": snapshot.generation(),
            "time": snapshot.time(),
            "entities": snapshot.entity_count(),
            "state": state,
            "states": states,
            "checkpoint": report.as_ref().map(report_json),
        });
        return put_json(out, &data);
    }
    if let Some(report) = &report {
        writeln!(out, "frame {}: {}, {}", text::count(frame), text::bytes(report.file_bytes), report.path.display())?;
    }
    match state {
        Some(state) => writeln!(out, "state {state}")?,
        None if report.is_none() && !args.hash_every_frame => {
            let (frame, entities) = (text::count(frame), text::count(snapshot.entity_count()));
            writeln!(out, "frame {frame}: {entities} entities; {what}")?;
        }
        None => {}
    }
    Ok(())
}
