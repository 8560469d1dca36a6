#![forbid(unsafe_code)]
//! The checkpoints of `run`: where from, where to, how often.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hypostyle::checkpoint::{self, CheckpointFile, Keeper, KeeperOptions, Kept, Options};
use hypostyle::{Simulation, World};
use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::scenes::{Scene, SceneOptions};
use crate::table::Table;
use crate::text;

/// Seconds between two checkpoints where nothing else is said.
const SECONDS_DEFAULT: f64 = 60.0;

/// Where to write checkpoints, and how often.
#[derive(clap::Args)]
pub(crate) struct CheckpointArgs {
    /// Write checkpoints to this directory while it runs, and one at the end.
    #[arg(long = "checkpoint", value_name = "DIR")]
    checkpoints: Option<PathBuf>,
    /// A checkpoint whenever a multiple of so many frames was reached.
    #[arg(long, value_name = "N", requires = "checkpoints", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: Option<u64>,
    /// A checkpoint every so many seconds (default: 60, where --checkpoint-every is not given).
    #[arg(long, value_name = "S", requires = "checkpoints", value_parser = super::run::parse_seconds)]
    checkpoint_seconds: Option<f64>,
    /// How many checkpoints of the scene to keep.
    #[arg(long, value_name = "K", requires = "checkpoints", default_value_t = 3,
        value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_keep: u64,
    /// How hard to compress checkpoints: 0 not at all, 1 fast, up to 19.
    #[arg(long, value_name = "L", requires = "checkpoints", default_value_t = 1, allow_negative_numbers = true)]
    checkpoint_level: i32,
}

impl CheckpointArgs {
    /// What writes them, if any are asked for.
    pub(crate) fn keeper(&self, scene: &dyn Scene, options: &SceneOptions, world: &World) -> Outcome<Option<Keeper>> {
        let Some(directory) = &self.checkpoints else { return Ok(None) };
        let seconds = match (self.checkpoint_seconds, self.checkpoint_every) {
            (None, None) => Some(SECONDS_DEFAULT),
            (seconds, _) => seconds,
        };
        let mut how = Options::default()
            .level(self.checkpoint_level)
            .note("scene", scene.name())
            .note("seed", options.seed.to_string());
        if let Some(entities) = options.entities {
            how = how.note("entities", entities.to_string());
        }
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

/// The checkpoint to go on from: a file, or the scene's newest whole one in a directory.
pub(crate) fn open(path: &Path, scene: &dyn Scene) -> Outcome<CheckpointFile> {
    Ok(if path.is_dir() { checkpoint::newest(path, Some(scene.name()))? } else { checkpoint::open(path)? })
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
