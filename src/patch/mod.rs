//! How change travels: records, the writer a kernel uses, the ring to the committer.
//!
//! A kernel writes patches through a [`PatchWriter`] into a private buffer; a worker pushes whole records from there
//! into its [`Ring`]; the committer drains the ring into a private buffer and reads [`Records`].
//!
//! Architecture invariant: nothing here knows what a patch does. Rows, handles and permissions are the commit's.

mod error;
mod record;
mod records;
mod reserved;
mod ring;
mod ring_memory;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{PatchError, RecordError, RingError};
pub(crate) use record::{HANDLE_BYTES, HEADER_BYTES, Header, Kind, Op, ROW_BYTES, RecordSizes, padded};
pub(crate) use records::{Body, Entries, ListPiece, ListTarget, Records, SpawnRun};
pub(crate) use reserved::{batch_tag, first_reserved};
#[cfg(all(test, loom))]
pub(crate) use ring::models::MODELS;
pub(crate) use ring::{Consumer, DrainError, Producer, Ring};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use ring_memory::RingLine;
pub(crate) use ring_memory::RingMemory;
pub(crate) use writer::PatchWriter;
