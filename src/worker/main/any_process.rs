//! A worker process, real or simulated, with one interface, for builds in which a test may simulate them.
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use super::process::Process;
use crate::fault::stage::Actor;
use crate::worker::WorkerCommand;

/// What main holds of a worker process.
pub(in crate::worker) enum AnyProcess {
    Real(Process),
    Simulated(Actor),
}

impl AnyProcess {
    /// As [`Process::start`].
    pub(in crate::worker) fn start(
        command: &WorkerCommand,
        ticket: &str,
        sandbox: Option<&str>,
        workers_lock: Option<&std::fs::File>,
    ) -> io::Result<AnyProcess> {
        Process::start(command, ticket, sandbox, workers_lock).map(AnyProcess::Real)
    }

    /// A simulated one.
    pub(in crate::worker) fn simulated(serve: impl FnOnce() + Send + 'static) -> io::Result<AnyProcess> {
        crate::fault::refusal("worker-start")?;
        Actor::start(serve).map(AnyProcess::Simulated)
    }

    /// As [`Process::pid`].
    pub(in crate::worker) fn pid(&self) -> u32 {
        match self {
            AnyProcess::Real(process) => process.pid(),
            AnyProcess::Simulated(process) => process.pid(),
        }
    }

    /// As [`Process::ended`].
    pub(in crate::worker) fn ended(&mut self) -> Option<String> {
        match self {
            AnyProcess::Real(process) => process.ended(),
            AnyProcess::Simulated(process) => process.ended(),
        }
    }

    /// As [`Process::was_killed`].
    pub(in crate::worker) fn was_killed(&mut self) -> bool {
        match self {
            AnyProcess::Real(process) => process.was_killed(),
            AnyProcess::Simulated(process) => process.was_killed(),
        }
    }

    /// As [`Process::kill`].
    pub(in crate::worker) fn kill(&mut self) {
        match self {
            AnyProcess::Real(process) => process.kill(),
            AnyProcess::Simulated(process) => process.kill(),
        }
    }

    /// As [`Process::end`].
    pub(in crate::worker) fn end(&mut self, grace: Duration) {
        match self {
            AnyProcess::Real(process) => process.end(grace),
            AnyProcess::Simulated(process) => process.end(grace),
        }
    }
}
