//! The checkpoints and the journal of `run`: where from, where to, how often.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use hypostyle::checkpoint::{
    self, CheckpointError, CheckpointFile, CheckpointOptions, CheckpointSet, Keeper, KeeperOptions, Kept,
};
use hypostyle::journal::{Backpressure, Compress, Entry, Journal, Recorded, Recorder, RecorderOptions};
use hypostyle::{Simulation, World, WorldBuilder};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::rerun::Rerun;
use crate::scenes::{Scene, SceneOptions};
use crate::source::{self, Source};
use crate::table::Table;
use crate::text;

/// Seconds between two checkpoints where nothing else is said.
const SECONDS_DEFAULT: f64 = 60.0;

/// Where to write checkpoints, and how often.
#[derive(clap::Args)]
pub(crate) struct CheckpointArgs {
    /// Write checkpoints to this directory during the run, and one at its end.
    #[arg(long = "checkpoint", value_name = "DIR")]
    checkpoints: Option<PathBuf>,
    /// Write a checkpoint at every multiple of N frames; in a journal, after every N generations (default: 1000).
    #[arg(long, value_name = "N", value_parser = crate::numbers::positive::<u64>)]
    checkpoint_every: Option<u64>,
    /// Write a checkpoint every S seconds (default: 60, if --checkpoint-every is not given).
    #[arg(long, value_name = "S", requires = "checkpoints", value_parser = crate::numbers::seconds)]
    checkpoint_seconds: Option<f64>,
    /// Number of the scene's checkpoints to keep.
    #[arg(long, value_name = "K", requires = "checkpoints", default_value_t = 3,
        value_parser = crate::numbers::positive::<u64>)]
    checkpoint_keep: u64,
    /// Compression level of checkpoints: 0 none, 1 fast, up to 19.
    #[arg(long, value_name = "L", default_value_t = 1, allow_negative_numbers = true)]
    checkpoint_level: i32,
    /// Share of one core that writing checkpoints may use while frames run, in percent (default: 25). At 100 a checkpoint is
    /// written sooner, but slows frames more.
    #[arg(long, value_name = "P", requires = "checkpoints", value_parser = clap::value_parser!(u8).range(1..=100))]
    checkpoint_pace: Option<u8>,
    /// Record every generation to a journal in this directory; an existing journal is appended to.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Skip generations instead of waiting when the recorder is behind.
    #[arg(long, requires = "record")]
    record_skip: bool,
    /// When to compress records of columns that changed in many places.
    #[arg(long, requires = "record", value_enum, value_name = "WHEN", default_value_t)]
    record_compress: RecordCompress,
}

/// When to compress records of columns that changed in many places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum RecordCompress {
    /// If compression takes at most an eighth of the time between generations.
    #[default]
    WhenIdle,
    /// No compression.
    Never,
    /// Always, at any cost in time.
    Always,
}

impl CheckpointArgs {
    /// How to write states of a run.
    fn how(&self, scene: &dyn Scene, options: &SceneOptions) -> CheckpointOptions {
        let mut how = CheckpointOptions::default()
            .level(self.checkpoint_level)
            .note("scene", scene.name())
            .note("seed", options.seed.to_string());
        for (name, value) in &options.own {
            how = how.note(format!("option.{name}"), value);
        }
        match options.entities {
            Some(entities) => how.note("entities", entities.to_string()),
            None => how,
        }
    }

    /// What records, if it is asked for.
    pub(crate) fn recorder(
        &self,
        scene: &dyn Scene,
        options: &SceneOptions,
        world: &World,
    ) -> Outcome<Option<Recorder>> {
        let Some(directory) = &self.record else {
            if self.checkpoint_every.is_some() && self.checkpoints.is_none() {
                return Err(Failure::usage("--checkpoint-every needs --checkpoint DIR or --record DIR"));
            }
            return Ok(None);
        };
        let mut how = RecorderOptions::new(directory);
        how.checkpoint_every = self.checkpoint_every.unwrap_or(how.checkpoint_every);
        how.backpressure = if self.record_skip { Backpressure::Skip } else { Backpressure::Wait };
        how.compress = match self.record_compress {
            RecordCompress::WhenIdle => Compress::WhenIdle,
            RecordCompress::Never => Compress::Never,
            RecordCompress::Always => Compress::Always,
        };
        how.options = self.how(scene, options);
        Ok(Some(Recorder::start(world, how)?))
    }

    /// What writes them, if any are asked for.
    pub(crate) fn keeper(&self, scene: &dyn Scene, options: &SceneOptions, world: &World) -> Outcome<Option<Keeper>> {
        let Some(directory) = &self.checkpoints else { return Ok(None) };
        let seconds = match (self.checkpoint_seconds, self.checkpoint_every) {
            (None, None) => Some(SECONDS_DEFAULT),
            (seconds, _) => seconds,
        };
        let mut how = self.how(scene, options);
        how.pace_percent = self.checkpoint_pace;
        let options = KeeperOptions {
            directory: directory.clone(),
            prefix: scene.name().to_owned(),
            every_frames: self.checkpoint_every,
            every: seconds.map(Duration::from_secs_f64),
            keep: usize::try_from(self.checkpoint_keep).unwrap_or(usize::MAX),
            options: how,
        };
        Ok(Some(Keeper::start(world.reader()?, world.frame(), options)?))
    }
}

/// What to go on from.
pub(crate) enum Start {
    /// A checkpoint.
    File(Box<CheckpointFile>),
    /// A set of checkpoints of many ranks.
    Set(Box<CheckpointSet>),
    /// A frame of a journal.
    Journal(Box<Journal>, Entry),
    /// A frame of a run that left checkpoints.
    Rerun(Box<Rerun>, PathBuf, u64),
}

impl Start {
    /// What its run kept beside the state.
    pub(crate) fn note(&self, name: &str) -> Option<&str> {
        match self {
            Start::File(file) => file.note(name),
            Start::Set(set) => set.note(name),
            Start::Journal(journal, _) => journal.note(name),
            Start::Rerun(run, ..) => {
                run.notes().iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
            }
        }
    }

    /// Its path; of a frame `DIR@FRAME`.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Start::File(file) => file.path().to_owned(),
            Start::Set(set) => set.path().to_owned(),
            Start::Journal(journal, entry) => format!("{}@{}", journal.path().display(), entry.frame).into(),
            Start::Rerun(_, path, frame) => format!("{}@{frame}", path.display()).into(),
        }
    }

    /// What it is, for people.
    pub(crate) fn what(&self) -> String {
        let kind = match self {
            Start::File(_) => "checkpoint",
            Start::Set(_) => "checkpoints",
            Start::Journal(..) => "journal",
            Start::Rerun(..) => "run",
        };
        format!("{kind} {}", self.path().display())
    }

    /// A world that goes on from it.
    pub(crate) fn restore(&self, builder: WorldBuilder) -> Outcome<World> {
        Ok(match self {
            Start::File(file) => file.restore(builder)?,
            Start::Set(set) => set.restore(builder)?,
            Start::Journal(journal, entry) => journal.replay_to(*entry)?.restore(builder)?,
            Start::Rerun(run, _, frame) => run.at(*frame, builder)?.into_world(),
        })
    }
}

/// What to go on from: a checkpoint's file, the manifest of a set, the scene's newest whole one in a directory, a journal,
/// or a frame of one.
pub(crate) fn open(path: &Path, scene: &dyn Scene) -> Outcome<Start> {
    match path.to_str().and_then(source::journal) {
        Some(Source::Journal(directory, frame)) => {
            let journal = source::open_journal(&directory)?;
            let entry = frame.map_or_else(|| Ok(journal.last()), |frame| journal.at(frame))?;
            return Ok(Start::Journal(Box::new(journal), entry));
        }
        Some(Source::Rerun(directory, frame)) => {
            return Ok(Start::Rerun(Box::new(Rerun::open(&directory)?), directory, frame));
        }
        _ => {}
    }
    if !path.is_dir() && matches!(path.to_str().map(str::parse), Some(Ok(Source::Set(_)))) {
        return Ok(Start::Set(Box::new(CheckpointSet::open(path)?)));
    }
    if !path.is_dir() {
        return Ok(Start::File(Box::new(checkpoint::open(path)?)));
    }
    match checkpoint::newest(path, Some(scene.name())) {
        Ok(file) => Ok(Start::File(Box::new(file))),
        // many ranks may have run here
        Err(error @ CheckpointError::Empty { .. }) => match CheckpointSet::newest(path, Some(scene.name()))? {
            Some(set) => Ok(Start::Set(Box::new(set))),
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// What was recorded, for a run's table.
pub(crate) fn put_recorded(recorded: &Recorded, table: &mut Table) {
    let left_out = match recorded.skipped {
        0 => String::new(),
        skipped => format!(", {} left out", text::count(skipped)),
    };
    let (generations, bytes) = (text::count(recorded.generations), text::bytes(recorded.bytes));
    let waited = format!("waited {} for it {} times", text::time(recorded.waited), text::count(recorded.waits));
    let what = format!("{generations} generations{left_out} in {bytes}, busy {}, {waited}", text::time(recorded.busy));
    table.pair("journal", what);
}

/// The same as JSON.
pub(crate) fn recorded_json(recorded: &Recorded) -> Value {
    json!({
        "generations": recorded.generations,
        "skipped": recorded.skipped,
        "bytes": recorded.bytes,
        "checkpoints": recorded.checkpoints,
        "waits": recorded.waits,
        "seconds_waited": recorded.waited.as_secs_f64(),
        "seconds_busy": recorded.busy.as_secs_f64(),
    })
}

/// Looks whether a checkpoint is due.
pub(crate) fn look(keeper: &mut Option<Keeper>, simulation: &Simulation) -> Outcome {
    if let Some(keeper) = keeper {
        keeper.look(simulation.world().frame())?;
    }
    Ok(())
}

/// Adds what was written to a run's table.
pub(crate) fn put(kept: &Kept, table: &mut Table) {
    let failed = if kept.failed == 0 { String::new() } else { format!(", {} failed", text::count(kept.failed)) };
    let newest = kept.newest.as_ref().map_or_else(String::new, |newest| {
        let (bytes, raw) = (text::bytes(newest.file_bytes), text::bytes(newest.raw_bytes));
        format!("; the newest is {}, {raw} in {bytes}, {}", newest.path.display(), text::time(newest.elapsed))
    });
    table.pair("checkpoints", format!("{} written{failed}{newest}", text::count(kept.written)));
}

/// What was written, as JSON.
pub(crate) fn kept_json(kept: &Kept) -> Value {
    json!({
        "written": kept.written,
        "failed": kept.failed,
        "failure": kept.failure.as_ref().map(ToString::to_string),
        "newest": kept.newest.as_ref().map(crate::checkpoint::report_json),
    })
}
