//! Wide vectors without asking: loops and kernels exist in versions for AVX2 and AVX-512, one of which is chosen when the
//! program runs.
//!
//! Invariant: the bytes are those of the plain version. Each element is computed by the same correctly rounded
//! operations in the same order at every width; sums go by eight lanes, however many of them a register holds. Nothing that
//! fuses or reorders floating-point operations (FMA, fast-math) is ever switched on here.

pub(crate) mod lanes;
pub(crate) mod map;
mod vectors;

pub use vectors::{Vectors, WideKernel, wide};
