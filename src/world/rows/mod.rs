//! Rows of tables on their way from one world to another: copied out by columns, put in by columns.
//!
//! Handles mean nothing elsewhere: an entity gets another one where it arrives, and handles in fields and lists travel as the
//! global ids of the entities that they name.
//!
//! Architecture invariant: nothing here knows where a batch goes to or comes from; the bytes of one that comes are checked before
//! anything is made of them.

mod batch;
mod elsewhere;
mod error;
mod hash;
mod put;
mod take;

pub use batch::RowBatch;
pub use error::RowBatchError;
pub use put::Dangling;
