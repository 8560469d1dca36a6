//! `worker`: this executable as one of the workers of `run` or `bench`. It prints nothing.
#![forbid(unsafe_code)]

use clap::Parser;
use hypostyle::Schedule;

/// The schedule that this process's arguments name. Without one the main process refuses this worker, and says so.
pub(crate) fn schedule() -> Schedule {
    match crate::Cli::try_parse() {
        Ok(crate::Cli { command: crate::Command::Worker(args), .. }) => args.schedule(),
        Ok(crate::Cli { command: crate::Command::BenchWorker { name }, .. }) => {
            hypostyle_scenes::cases::worker_schedule(&name)
        }
        _ => Schedule::new(),
    }
}
