//! What main tells a worker process of its sandbox, in the environment: how strict it is, and what the worker may write.
//!
//! All that a worker process otherwise knows stands on the board, which every worker can write: a hostile one could send
//! its successors anywhere. The environment is main's alone.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::limits::SANDBOX_VARIABLE;
use crate::os::sandbox;
use crate::worker::Sandbox;
use crate::worker::error::WorkerError;
use crate::worker::shared::segment::path_of;

/// A worker process's sandbox. As text: `<required|best-effort>:<lane>:<program>:<region>`, the first two being segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct ShutIn {
    required: bool,
    lane: String,
    program: String,
    region: String,
}

impl ShutIn {
    /// What a worker is told; none: it is not shut in.
    pub(in crate::worker) fn new(sandbox: Sandbox, lane: &str, program: &str, region: &str) -> Option<ShutIn> {
        (sandbox != Sandbox::Off).then(|| ShutIn {
            required: sandbox == Sandbox::Required,
            lane: lane.to_owned(),
            program: program.to_owned(),
            region: region.to_owned(),
        })
    }

    /// What this process was told; none: it is not to be shut in.
    pub(in crate::worker) fn of_environment() -> Result<Option<ShutIn>, WorkerError> {
        let Some(value) = std::env::var_os(SANDBOX_VARIABLE) else { return Ok(None) };
        let value = value.into_string().map_err(|value| value.to_string_lossy().into_owned());
        let told = value.and_then(|value| value.parse().map_err(|()| value));
        told.map(Some).map_err(|value| WorkerError::SandboxVariable { value })
    }

    /// The program's segment.
    pub(in crate::worker) fn program(&self) -> &str {
        &self.program
    }

    /// The first that the process does: from now on it can write the board, its lane and the region, and no other file.
    pub(in crate::worker) fn begin(&self, board: &str) -> Result<(), WorkerError> {
        self.judge(sandbox::write_only_to(&[path_of(board), path_of(&self.lane), PathBuf::from(&self.region)]))
    }

    /// The last before it is ready: from now on it opens nothing.
    pub(in crate::worker) fn shut(&self) -> Result<(), WorkerError> {
        self.judge(sandbox::shut())
    }

    fn judge(&self, lacks: Vec<String>) -> Result<(), WorkerError> {
        if self.required && !lacks.is_empty() { Err(WorkerError::SandboxLacks { lacks }) } else { Ok(()) }
    }
}

impl fmt::Display for ShutIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sandbox = if self.required { Sandbox::Required } else { Sandbox::BestEffort };
        write!(f, "{sandbox}:{}:{}:{}", self.lane, self.program, self.region)
    }
}

impl FromStr for ShutIn {
    type Err = ();

    fn from_str(text: &str) -> Result<ShutIn, ()> {
        // the region's path may have colons of its own
        let parts: Vec<&str> = text.splitn(4, ':').collect();
        let &[sandbox, lane, program, region] = parts.as_slice() else { return Err(()) };
        let sandbox = sandbox.parse().map_err(drop)?;
        ShutIn::new(sandbox, lane, program, region).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_main_writes_is_what_a_worker_reads() {
        for sandbox in [Sandbox::Required, Sandbox::BestEffort] {
            let told = ShutIn::new(sandbox, "/lane", "/program", "/a region:with/colons").expect("a sandbox");
            assert_eq!(told.to_string().parse(), Ok(told));
        }
        assert_eq!(ShutIn::new(Sandbox::Off, "/lane", "/program", "/region"), None);
        for text in ["", "required", "required:/lane:/program", "off:/lane:/program:/region", "soft:/a:/b:/c"] {
            assert_eq!(text.parse::<ShutIn>(), Err(()), "{text}");
        }
    }
}
