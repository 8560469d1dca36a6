//! The only writer: a batch's patches become the world's next state.
//!
//! Architecture invariant: nothing here knows which worker made a patch or when, so the outcome cannot depend on it.
#![forbid(unsafe_code)]

mod abroad;
mod accumulate;
mod alike;
mod apply;
mod lists;
mod marks;
mod pending;
mod reduce;
mod report;
mod sets;
mod structural;

pub(crate) use abroad::deaths;
pub(crate) use apply::{Access, Commit, DenseHandles, JobRows, Scratch};
pub(crate) use reduce::{Across, ReduceError};
pub use report::{PatchCounts, Refusal};
