//! What changed between two looks at a world, as bytes.
//!
//! A [`Shadow`] follows a region. Each look takes over what a pinned generation changed, and remembers for every item
//! at which look it last changed. So what changed since *any* earlier look can be encoded at any time ([`Shadow::delta`]),
//! at a cost that follows what changed; no history is kept and nothing is queued. A [`State`] is the other end: applied
//! in order, deltas lead it from look to look, byte for byte.
//!
//! ```text
//! pinned generation --look--> Shadow --delta(from look, selection)--> bytes --apply--> State
//! ```
//!
//! A [`Selection`] says what of the world a delta carries: all components and resources, or chosen columns. The bytes are
//! those of UPDATE messages in `docs/protocol.md`.
//!
//! Invariants: nothing here opens, pins, sends or stores anything; a state that a delta was applied to without an error
//! holds exactly what the shadow held at that look; bytes to be applied are hostile until checked.
#![forbid(unsafe_code)]

mod apply;
mod area;
mod block;
mod encode;
mod error;
mod head;
mod quantise;
mod rows;
mod select;
mod shadow;
mod state;
#[cfg(test)]
mod tests;
mod track;

pub use area::{Area, AreaMasks};
pub use encode::Delta;
pub(crate) use encode::MESSAGE_BYTES_MIN;
pub use error::DeltaError;
pub use head::{FLAG_FULL, FLAG_LAST, FLAG_ZSTD, HEAD_BYTES, Head};
pub use select::{SelectError, Selection};
pub use shadow::{Revision, Shadow, UpdateReport};
pub use state::{Role, State, StateColumn, StateTable};
