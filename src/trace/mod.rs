//! The flight recorder: what main and its workers did and when, always on, in rings that overwrite their oldest events.
//!
//! Each of them writes to a ring of its own: a few plain stores per event, no lock, no system call but the clock's, no
//! allocation. Where the region has files the rings are one of them (`trace`), so that any process can look at the
//! last frames while they run, or at those before a crash; else they are memory of this process.
//!
//! | file | what |
//! |------|------|
//! | `event` | what is recorded, and its 32 bytes |
//! | `memory` | the words, wherever they lie |
//! | `header` | geometry and names: what a reader must know, checked before it is believed |
//! | `ring` | writing events, and reading those that were not overwritten meanwhile |
//! | `timeline` | events of all rings, for people and tools |
//!
//! Architecture invariants: recording never fails, never waits and never changes a result. All times are of one clock
//! (`CLOCK_MONOTONIC`), which all processes of a machine share. What is read is hostile until checked: a worker process
//! can write anything to its ring, and may die at any instruction.

mod event;
mod header;
mod memory;
mod ring;
mod timeline;

pub use event::{Event, EventKind, Phase, Wait};
pub use timeline::{Lane, Timeline, TimelineBatch};

pub(crate) use header::{Names, Trace};
pub(crate) use memory::Block;
pub(crate) use ring::{JobTrace, Recorder, RingPlace};
