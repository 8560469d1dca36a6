//! `worker`: this executable as one of the workers of `run`. It builds the schedule from the same words as `run` did,
//! and prints nothing.
#![forbid(unsafe_code)]

use clap::Parser;
use hypostyle::{Schedule, WorkerCommand};

use crate::scenes::{Scene, SceneOptions};
use hypostyle_scenes::command::OwnOptions;

/// What a worker must know to build the same schedule.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_parser = hypostyle_scenes::command::scene)]
    scene: &'static dyn Scene,
    #[arg(long)]
    entities: Option<u64>,
    #[arg(long)]
    seed: u64,
    #[command(flatten)]
    own: OwnOptions,
}

/// The command that starts a worker for a run.
///
/// # Errors
/// The system does not know what this executable is.
#[cfg(unix)]
pub(crate) fn command(scene: &dyn Scene, options: &SceneOptions) -> std::io::Result<WorkerCommand> {
    let mut args = vec!["worker".to_owned(), scene.name().to_owned(), "--seed".to_owned(), options.seed.to_string()];
    if let Some(entities) = options.entities {
        args.extend(["--entities".to_owned(), entities.to_string()]);
    }
    for (name, value) in &options.own {
        args.push(format!("--{name}={value}"));
    }
    Ok(WorkerCommand { program: std::env::current_exe()?, args })
}

/// The schedule that this process's arguments name. Without one the main process refuses this worker, and says so.
pub(crate) fn schedule() -> Schedule {
    match crate::Cli::try_parse() {
        Ok(crate::Cli { command: crate::Command::Worker(args), .. }) => {
            // main has refused options of other scenes
            let own = args.own.of(args.scene).unwrap_or_default();
            args.scene.schedule(&SceneOptions { entities: args.entities, seed: args.seed, own })
        }
        Ok(crate::Cli { command: crate::Command::BenchWorker { name }, .. }) => crate::cases::worker_schedule(&name),
        _ => Schedule::new(),
    }
}
