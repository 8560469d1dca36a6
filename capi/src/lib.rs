//! The C interface: regions of live simulations, opened read-only from any language that can call C.
//!
//! The committed header is `include/hypostyle.h`, made of this crate by cbindgen; a test compares the two. An example
//! is `examples/read.c`.
//!
//! Invariants
//! - No handle is ever dereferenced: it is a number that is looked up, so a stale one is an error and nothing worse.
//! - No panic crosses the boundary: every function runs inside of `status::guard`.
//! - Only pointers that the caller vouches for are followed: strings to their end, outputs to write one value.

mod handles;
mod lists;
mod region;
mod snapshot;
mod status;
mod text;

#[cfg(test)]
mod tests;
