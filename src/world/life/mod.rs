//! How a world begins, is published, goes back, and begins again from what another one was.
//!
//! Invariant: it knows tables and columns as bytes with shapes, never the types of components.
#![forbid(unsafe_code)]

pub(crate) mod builder;
mod compact;
#[cfg(feature = "fault-injection")]
pub(crate) mod late;
pub(crate) mod publish;
#[cfg(feature = "checkpoint")]
pub(crate) mod restore;
pub(crate) mod rollback;
mod verify;
