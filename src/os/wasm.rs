//! Sleeping on a word of a WebAssembly module's shared memory.
//!
//! Invariant: the word is one of this module's memory, like everything that a reference points to. A page's own thread
//! may not sleep: the browser ends the call with a trap. This file must never know what the word means.
#![expect(unsafe_code, reason = "the two instructions take addresses")]

use core::arch::wasm32::{memory_atomic_notify, memory_atomic_wait32};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps until woken, at most `timeout`, unless the word is no longer `expected`.
pub(crate) fn sleep_on(word: &AtomicU32, expected: u32, timeout: Duration) {
    let timeout_ns = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
    // SAFETY: an aligned address of this module's memory, which the reference keeps alive; the instruction accesses it
    // atomically. Every way to return (woken, another value, timed out) means: look again.
    let _ = unsafe { memory_atomic_wait32(word.as_ptr().cast::<i32>(), expected.cast_signed(), timeout_ns) };
}

/// Wakes up to `count` sleepers.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    // SAFETY: an aligned address of this module's memory; nothing is read or written.
    let _ = unsafe { memory_atomic_notify(word.as_ptr().cast::<i32>(), count) };
}
