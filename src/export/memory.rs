//! A pinned generation's columns as Arrow buffers, in place.
//!
//! Invariant: a buffer holds the pin of the generation whose bytes it shows.
#![expect(unsafe_code, reason = "bytes of a pinned generation become Arrow buffers")]

use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::Buffer;

use crate::snapshot::Pinned;

/// A pinned generation, as what keeps buffers' memory.
#[derive(Clone)]
pub(super) struct Held(Arc<AssertUnwindSafe<Pinned>>);

impl Held {
    /// Shares a pin.
    pub(super) fn new(pinned: Pinned) -> Held {
        Held(Arc::new(AssertUnwindSafe(pinned)))
    }

    /// The generation.
    pub(super) fn pinned(&self) -> &Pinned {
        &self.0
    }

    /// Bytes of one of the generation's columns, without a copy.
    ///
    /// # Panics
    /// When they are not of the generation.
    pub(super) fn buffer(&self, bytes: &[u8]) -> Buffer {
        if bytes.is_empty() {
            return Buffer::default();
        }
        assert!(self.0.names(bytes), "these are the bytes of a column of the generation");
        let start = NonNull::from(bytes).cast::<u8>();
        // SAFETY: the bytes lie in an extent that the pinned generation names (just checked). The pin is owned by the
        // Arc, which the buffer holds: until the buffer is gone they stay where they are, readable and unchanged
        // (contract of `Reader::open`).
        unsafe { Buffer::from_custom_allocation(start, bytes.len(), Arc::clone(&self.0) as _) }
    }
}
