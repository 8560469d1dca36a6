//! `trace`: what a run did when, from a file that `run --trace` wrote or live from a region: tables, Gantt charts, and
//! the comparison of two runs.
//!
//! | file | what |
//! |------|------|
//! | [`chrome`] | files of Chrome's trace event format |
//! | [`summary`], [`diff`] | numbers per system and runner; of two runs |
//! | [`picture`] | boxes in lanes |
//! | [`svg`], [`html`] | a picture, drawn |
#![forbid(unsafe_code)]

mod chrome;
mod diff;
mod html;
mod picture;
#[cfg(test)]
mod sample;
mod summary;
mod svg;

use std::io::Write;
use std::path::{Path, PathBuf};

use hypostyle::RegionTarget;
use hypostyle::trace::Timeline;

use crate::failure::{Failure, Outcome};
use crate::format::{Format, put_rows};
use crate::{open, put_json, text};
use picture::Window;

/// Frames of a still picture, where nothing else is said.
const FRAMES_DEFAULT: u64 = 3;
/// Boxes in a page at most: it has to load and to be drawn in one go.
const SPANS_MAX_HTML: usize = 250_000;
/// Boxes in a still picture at most.
const SPANS_MAX_SVG: usize = 400_000;

/// What to look at, and what to make of it.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// A file that `run --trace` wrote, or a region, live or not.
    #[arg(value_name = "FILE|REGION", required = true)]
    source: Option<String>,
    /// Write a Gantt chart (.svg, .html) or a trace file for Perfetto (.json). May be given several times.
    #[arg(short, long, value_name = "FILE")]
    output: Vec<PathBuf>,
    /// Draw the last N frames. Default: 3 in an SVG, all in an HTML page.
    #[arg(long, value_name = "N", value_parser = crate::numbers::positive::<u64>, conflicts_with = "frames")]
    last: Option<u64>,
    /// Draw frames A to B.
    #[arg(long, value_name = "A..B", value_parser = parse_frames)]
    frames: Option<(u64, u64)>,
    /// How to print the numbers; --json is short for `json`. CSV and lines of JSON have those of systems.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Compare two runs, system by system.
    Diff(diff::Args),
}

fn parse_frames(text: &str) -> Result<(u64, u64), String> {
    let wrong = || "it must be two numbers of frames, like 100..120".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let (from, to) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
    if from <= to { Ok((from, to)) } else { Err(wrong()) }
}

/// Runs the command.
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    if let Some(Command::Diff(args)) = &args.command {
        return diff::run(args, json, out);
    }
    let source = args.source.as_deref().ok_or_else(|| Failure::usage("name a trace file or a region"))?;
    let kinds = args.output.iter().map(|path| Kind::of(path)).collect::<Outcome<Vec<Kind>>>()?;
    let timeline = load(source)?;
    let summary = summary::summarize(&timeline);
    for (path, kind) in args.output.iter().zip(kinds) {
        let (default, spans_max) = match kind {
            Kind::Json => {
                chrome::write(&timeline, path)?;
                continue;
            }
            Kind::Svg => (Window::Last(FRAMES_DEFAULT), SPANS_MAX_SVG),
            Kind::Html => (Window::All, SPANS_MAX_HTML),
        };
        let window = match (args.last, args.frames) {
            (Some(last), _) => Window::Last(last),
            (None, Some((from, to))) => Window::Frames(from, to),
            (None, None) => default,
        };
        let mut picture = picture::picture(&timeline, window, spans_max)
            .ok_or_else(|| Failure::usage("the timeline has no such frames"))?;
        picture.title = title(source, &timeline);
        picture.subtitle = subtitle(&picture, &summary);
        let page =
            if kind == Kind::Svg { svg::svg(&picture, &summary) } else { html::html(&timeline, &picture, &summary) };
        std::fs::write(path, page).map_err(|error| chrome::failed("write", path, &error))?;
    }
    match args.format.or_json(json) {
        Format::Table => Ok(write!(out, "{}", summary.text())?),
        Format::Json => put_json(out, &summary.json(source)),
        format => put_rows(format, summary::SYSTEM_COLUMNS, &summary.systems_json(), out),
    }
}

/// The numbers of a page about the newest frames, as `gantt.html` reads them; none: there are no frames.
#[cfg(feature = "gateway")]
pub(crate) fn page_data(timeline: &Timeline, frames: usize) -> Option<String> {
    let summary = summary::summarize(timeline);
    let mut picture = picture::picture(timeline, Window::Last(frames as u64), SPANS_MAX_HTML)?;
    picture.title = title("region", timeline);
    picture.subtitle = subtitle(&picture, &summary);
    Some(html::data(timeline, &picture, &summary))
}

/// What a file is to hold, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Svg,
    Html,
    Json,
}

impl Kind {
    fn of(path: &Path) -> Outcome<Kind> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(Kind::Svg),
            Some("html" | "htm") => Ok(Kind::Html),
            Some("json") => Ok(Kind::Json),
            _ => Err(Failure::usage(format!("{} must end in .svg, .html or .json", path.display()))),
        }
    }
}

fn title(source: &str, timeline: &Timeline) -> String {
    let name = Path::new(source).file_name().map_or(source.into(), |name| name.to_string_lossy());
    let workers = timeline.lanes.len().saturating_sub(1);
    let workers = match workers {
        0 => "main alone".to_owned(),
        1 => "main and 1 worker".to_owned(),
        _ => format!("main and {workers} workers"),
    };
    format!("{name}: who worked when · {workers}")
}

fn subtitle(picture: &picture::Picture, summary: &summary::Summary) -> String {
    let frames = match (picture.frames.first(), picture.frames.last()) {
        (Some(first), Some(last)) if picture.frames.len() > 1 => format!("frames {} to {}", first.name, last.name),
        (Some(first), _) => format!("frame {}", first.name),
        _ => "no frame".to_owned(),
    };
    let left_out = match picture.left_out {
        0 => String::new(),
        count => format!(" · {} older boxes left out", text::count(count)),
    };
    let runners = picture.rows.len().max(1) as u64;
    let part = |pick: fn(&picture::Row) -> u64| {
        let sum: u64 = picture.rows.iter().map(pick).sum();
        text::percent(sum as f64 / (picture.length_ns * runners) as f64)
    };
    let lost = match summary.lost {
        0 => String::new(),
        lost => format!(" · {} older events lost", text::count(lost)),
    };
    format!(
        "{frames} · {} · runners: {} in kernels, {} waiting{left_out}{lost}",
        text::nanoseconds(picture.length_ns as f64),
        part(|row| row.kernel_ns),
        part(|row| row.wait_ns),
    )
}

/// A file's timeline, or a region's.
fn load(source: &str) -> Outcome<Timeline> {
    let path = Path::new(source);
    if path.is_file() {
        return chrome::read(path);
    }
    let missing = || Failure::new(crate::failure::NOT_FOUND, format!("there is no file {source}, and no such region"));
    let target: RegionTarget = source.parse().map_err(|_| missing())?;
    if path.extension().is_some_and(|end| end == "json") && !path.exists() {
        return Err(missing());
    }
    Ok(open::open(&target)?.timeline()?)
}

/// A run's timeline as it grows, for `run --trace`.
pub(crate) struct Collector {
    timeline: Timeline,
    events_max: usize,
}

impl Collector {
    /// Keeps the newest so many events.
    pub(crate) fn new(events_max: usize) -> Collector {
        Collector { timeline: Timeline::default(), events_max }
    }

    /// Takes in what is new.
    pub(crate) fn collect(&mut self, simulation: &hypostyle::Simulation) {
        simulation.extend_timeline(&mut self.timeline);
        // not every time: it moves all that stays
        if self.timeline.events() > self.events_max.saturating_add(self.events_max / 4) {
            self.timeline.keep_newest(self.events_max);
        }
    }

    /// Writes the file; how many events it has, and how many were lost.
    pub(crate) fn write(mut self, path: &Path) -> Outcome<(usize, u64)> {
        self.timeline.keep_newest(self.events_max);
        chrome::write(&self.timeline, path)?;
        Ok((self.timeline.events(), self.timeline.lost()))
    }
}
