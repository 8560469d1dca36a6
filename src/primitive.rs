//! The atomics the protocols are written with: `core`'s, or loom's when a model is being checked.
//!
//! Every protocol file (ring, pin) imports its atomics from here and from nowhere else, so that the code that is
//! model-checked is the code that runs.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
