//! What main and its workers both touch: words, rings and areas of bytes whose layout is drawn here.
//!
//! Invariant: no file here decides anything; main and the workers do, each on its own side.

pub(super) mod board;
pub(super) mod claim;
pub(super) mod lane;
pub(super) mod memory;
pub(super) mod program;
#[cfg(unix)]
pub(super) mod segment;
#[cfg(unix)]
pub(super) mod shut_in;
pub(crate) mod undo;
pub(super) mod wait;
