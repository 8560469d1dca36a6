//! A run's own program as its worker: both make the schedule from the same words.
#![forbid(unsafe_code)]

use hypostyle::{Schedule, WorkerCommand};

use super::OwnOptions;
use crate::{Scene, SceneOptions};

/// What a worker must know to build the same schedule, as a subcommand that is named `worker`.
#[derive(clap::Args)]
pub struct WorkerArgs {
    #[arg(value_parser = super::scene)]
    scene: &'static dyn Scene,
    #[arg(long)]
    entities: Option<u64>,
    #[arg(long)]
    seed: u64,
    #[command(flatten)]
    own: OwnOptions,
}

impl WorkerArgs {
    /// The schedule of the run. Main has refused options of other scenes.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        let own = self.own.of(self.scene).unwrap_or_default();
        self.scene.schedule(&SceneOptions { entities: self.entities, seed: self.seed, own })
    }
}

/// The command that starts this program as a worker of a run: the words of [`WorkerArgs`].
///
/// # Errors
/// The system does not know what this executable is.
pub fn worker_command(scene: &dyn Scene, options: &SceneOptions) -> std::io::Result<WorkerCommand> {
    let mut args = vec!["worker".to_owned(), scene.name().to_owned(), "--seed".to_owned(), options.seed.to_string()];
    if let Some(entities) = options.entities {
        args.extend(["--entities".to_owned(), entities.to_string()]);
    }
    args.extend(options.own.iter().map(|(name, value)| format!("--{name}={value}")));
    Ok(WorkerCommand { program: std::env::current_exe()?, args })
}
