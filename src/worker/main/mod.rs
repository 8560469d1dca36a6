//! Main's side of the workers: it hands windows of jobs out, collects their records, and replaces workers that die.
//!
//! Invariant: what a worker process wrote is checked before it is used; what is done is what the ledger says.

#[cfg(all(unix, feature = "fault-injection"))]
mod any_process;
mod collect;
mod handle;
mod ledger;
pub(crate) mod own;
pub(crate) mod pool;
#[cfg(unix)]
mod process;
mod set;
pub(crate) mod staged;
