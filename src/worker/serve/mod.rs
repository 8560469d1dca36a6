//! The workers' side: threads and processes alike wait for windows, claim jobs, run them and push their records.
//!
//! Invariant: a worker touches the world only while it runs a job that it has claimed.

pub(crate) mod hosted;
pub(super) mod job;
#[cfg(unix)]
pub(crate) mod process;
pub(super) mod worker_loop;
