//! `watch REGION COLUMN...`: columns in a few numbers, again for every generation, until the writer is gone.
//!
//! A reader that is slower than the writer misses generations; how many is told. It holds a generation only while it
//! looks at it. Of a world of several ranks it looks at frames that all of them have.
#![forbid(unsafe_code)]

use std::io::Write;
use std::time::{Duration, Instant};

use hypostyle::{ClusterReader, Layout, OwnedSnapshot, Reader, RegionTarget, Snapshot, SnapshotError};
use serde_json::json;

use crate::cluster::{self, Cluster};
use crate::failure::{self, Failure, Outcome};
use crate::format::Format;
use crate::open::open;
use crate::signals::Stop;
use crate::stats::{self, Stats};
use crate::text;

/// How long to wait before looking whether the writer lives and whether to end.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to wait before looking whether all ranks have a newer frame.
const RANKS_EVERY: Duration = Duration::from_millis(5);
/// Lines between two lines of heads.
const HEADS_EVERY: u64 = 40;

/// What to watch.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The region, or the name of a world of several ranks.
    #[arg(value_name = "NAME|DIR")]
    region: RegionTarget,
    /// Columns: `position.x`, a component's name for all of its columns, or a pattern, '*.x'.
    #[arg(value_name = "COLUMN", required = true)]
    columns: Vec<String>,
    /// Stop after N generations.
    #[arg(long, value_name = "N", value_parser = crate::numbers::positive::<u64>)]
    count: Option<u64>,
    /// Show at most one generation per S seconds (default: every generation).
    #[arg(long, value_name = "S", value_parser = crate::numbers::seconds, default_value_t = 0.0)]
    interval: f64,
    /// How to print them; --json is short for `ndjson`, as is `json`: an object in each line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    let stop = Stop::catch()?;
    let mut watched = Watched::open(&args.region)?;
    // a name that is none is told at once, not with the first generation
    let columns = stats::columns(watched.layout(), &args.columns)?;
    let interval = Duration::from_secs_f64(args.interval);
    let (mut place, mut last, mut seen) = (0, 0, 0);
    while !stop.is_asked() {
        let Some(newest) = watched.next(place)? else { return Ok(()) };
        if newest == place {
            continue;
        }
        let begun = Instant::now();
        let mut all = Vec::new();
        let (generation, frame, time) = watched.look(|parts| {
            for (name, ty) in &columns {
                all.extend(stats::stats(parts, name, *ty)?);
            }
            let first = &parts[0];
            place = watched_place(parts);
            Ok((first.generation(), first.frame(), first.time()))
        })?;
        let missed = if last == 0 { 0 } else { generation.saturating_sub(last + 1) };
        last = generation;
        match args.format.or_json(json) {
            Format::Json | Format::Ndjson => {
                let data = json!({
                    "generation": last,
                    "frame": frame,
                    "time": time,
                    "missed": missed,
                    "columns": all.iter().map(Stats::json).collect::<Vec<_>>(),
                });
                writeln!(out, "{data}")?;
            }
            Format::Csv => {
                if seen == 0 {
                    writeln!(out, "generation,frame,time,missed,{}", stats::CSV_HEAD)?;
                }
                for stats in &all {
                    writeln!(out, "{last},{frame},{time},{missed},{}", stats.csv())?;
                }
            }
            Format::Table => put(seen, frame, missed, &all, out)?,
        }
        // a reader that follows wants it now
        out.flush()?;
        seen += 1;
        if args.count.is_some_and(|count| seen >= count) {
            return Ok(());
        }
        while begun.elapsed() < interval && !stop.is_asked() {
            std::thread::sleep((interval - begun.elapsed().min(interval)).min(LOOK_EVERY));
        }
    }
    Err(Failure::told(failure::INTERRUPTED))
}

/// Where a reader is that has seen these: behind a generation, or behind a frame of all ranks, which begin with 0.
fn watched_place(parts: &[Snapshot<'_>]) -> u64 {
    match parts {
        [one] => one.generation(),
        parts => parts[0].frame() + 1,
    }
}

/// What is watched.
enum Watched {
    Region(Reader),
    /// The ranks of one world, two at least.
    Ranks(ClusterReader),
}

impl Watched {
    fn open(target: &RegionTarget) -> Outcome<Watched> {
        if !cluster::is_one(target) {
            return Ok(Watched::Region(open(target)?));
        }
        let ranks = Cluster::open(target)?.reader;
        match ranks.ranks().len() {
            1 => Ok(Watched::Region(open(&target.of_rank(0))?)),
            _ => Ok(Watched::Ranks(ranks)),
        }
    }

    fn layout(&self) -> &Layout {
        match self {
            Watched::Region(reader) => reader.layout(),
            Watched::Ranks(ranks) => ranks.layout(),
        }
    }

    /// The newest place; `last` where there is none newer yet, and nothing once there never will be.
    fn next(&self, last: u64) -> Result<Option<u64>, SnapshotError> {
        let newest = || match self {
            Watched::Region(reader) => reader.newest(),
            Watched::Ranks(ranks) => ranks.frames().last().map_or(0, |frame| frame + 1),
        };
        let came = match self {
            Watched::Region(reader) => reader.wait(last, LOOK_EVERY),
            Watched::Ranks(_) => {
                let begun = Instant::now();
                while newest() <= last && begun.elapsed() < LOOK_EVERY {
                    std::thread::sleep(RANKS_EVERY);
                }
                Some(newest()).filter(|newest| *newest > last)
            }
        };
        if came.is_some() {
            return Ok(came);
        }
        let alive = match self {
            Watched::Region(reader) => reader.is_alive()?,
            Watched::Ranks(ranks) => {
                let alive = ranks.ranks().iter().map(|rank| rank.is_alive()).collect::<Result<Vec<_>, _>>()?;
                alive.into_iter().all(|alive| alive)
            }
        };
        if alive {
            return Ok(Some(last));
        }
        // it may have published between the wait and its end
        Ok(Some(newest()).filter(|newest| *newest > last))
    }

    /// Looks at the newest one.
    fn look<T>(&mut self, look: impl FnOnce(&[Snapshot<'_>]) -> Outcome<T>) -> Outcome<T> {
        match self {
            Watched::Region(reader) => look(std::slice::from_ref(&reader.pin()?)),
            Watched::Ranks(ranks) => {
                let parts = ranks.pin()?;
                look(&parts.iter().map(OwnedSnapshot::snapshot).collect::<Vec<_>>())
            }
        }
    }
}

fn put(seen: u64, frame: u64, missed: u64, all: &[Stats], out: &mut dyn Write) -> Outcome {
    let width = all.iter().map(|stats| stats.name().len()).max().unwrap_or(0).max("column".len());
    if seen.is_multiple_of(HEADS_EVERY) {
        let heads = ["frame", "rows", "min", "max", "mean", "deviation"];
        let [frame, rows, min, max, mean, deviation] = heads;
        writeln!(
            out,
            "{frame:>10}  {:width$}  {rows:>12}  {min:>12}  {max:>12}  {mean:>12}  {deviation:>12}  histogram, min to max",
            "column"
        )?;
    }
    for (place, stats) in all.iter().enumerate() {
        let frame = if place == 0 { text::count(frame) } else { String::new() };
        let [name, rows, min, max, mean, deviation, bar, mut remarks] = stats.cells();
        if place == 0 && missed > 0 {
            let comma = if remarks.is_empty() { "" } else { ", " };
            remarks = format!("{remarks}{comma}{} generations missed", text::count(missed));
        }
        let line = format!(
            "{frame:>10}  {name:width$}  {rows:>12}  {min:>12}  {max:>12}  {mean:>12}  {deviation:>12}  {bar:16}  {remarks}"
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
