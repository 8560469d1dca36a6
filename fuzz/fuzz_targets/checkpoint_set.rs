//! Arbitrary text as the manifest of a set of checkpoints, and damaged ones.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::checkpoint_set(bytes));
