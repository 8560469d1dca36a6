//! Arbitrary bytes as what other parts of a spread world tell at a commit, and damaged patches.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::told_patches(bytes));
