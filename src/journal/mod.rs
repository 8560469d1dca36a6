//! The history of a run in files: what changed from generation to generation, and every state of it again.
//!
//! A [`Recorder`] is an ordinary reader: it pins each generation as it is published, and a thread of its own writes
//! which bytes differ from the one before, compressed and with checksums, to the end of a *segment*. Each segment begins
//! beside a checkpoint, every so many generations. A death at any instant leaves everything that was written before it:
//! a record that is not whole at the end of the last segment is cut off. A [`Journal`] reads it: any state that was
//! published comes back, byte by byte, as the nearest checkpoint before it and the records up to it.
//!
//! Architecture invariant: nothing here changes a world. The frames wait for the recorder only where it was told never
//! to miss a generation, and then only when it is behind by more than a bound. A file is hostile until checked.

mod delta;
mod differ;
mod error;
mod format;
mod read;
mod recorder;
mod replay;
mod segment;
mod state;
mod write;

#[cfg(test)]
mod tests;

pub use error::{Gap, JournalError, RecordDamage};
pub use read::{Entry, Journal, TruncatedTail, Verification};
pub use recorder::{Backpressure, Compress, Recorded, Recorder, RecorderOptions};
pub use replay::Replay;
