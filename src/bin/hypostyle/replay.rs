#![forbid(unsafe_code)]
//! `replay DIR --to FRAME`: a frame of a journal again: the nearest checkpoint before it, and the records up to it.

use std::io::Write;
use std::path::PathBuf;

use hypostyle::checkpoint::{self, Options};
use serde_json::json;

use crate::checkpoint::report_json;
use crate::failure::{Failure, Outcome};
use crate::source::open_journal;
use crate::{put_json, text};

/// What to bring back.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The journal.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The frame; where that was not published, the newest before it (default: the last).
    #[arg(long, value_name = "FRAME")]
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
    let mut reader = journal.replay_to(entry)?.load()?;
    let snapshot = reader.pin()?;
    let state = args.print_hash.then(|| text::hash(snapshot.hash()));
    let report = match &args.output {
        None => None,
        Some(path) => {
            let mut options = Options::default();
            options.notes = journal.notes().to_vec();
            Some(checkpoint::write(&snapshot, path, &options).map_err(Failure::from)?)
        }
    };
    if json {
        let data = json!({
            "journal": journal.path(),
            "frame": entry.frame,
            "generation": entry.generation,
            "time": entry.time,
            "entities": snapshot.entity_count(),
            "state": state,
            "states": states,
            "checkpoint": report.as_ref().map(report_json),
        });
        return put_json(out, &data);
    }
    if let Some(report) = &report {
        writeln!(
            out,
            "frame {}: {}, {}",
            text::count(entry.frame),
            text::bytes(report.file_bytes),
            report.path.display()
        )?;
    }
    match state {
        Some(state) => writeln!(out, "state {state}")?,
        None if report.is_none() && !args.hash_every_frame => {
            let (frame, entities) = (text::count(entry.frame), text::count(snapshot.entity_count()));
            let (first, last) = (text::count(journal.first().frame), text::count(journal.last().frame));
            writeln!(out, "frame {frame}: {entities} entities; the journal has frames {first} to {last}")?;
        }
        None => {}
    }
    Ok(())
}
