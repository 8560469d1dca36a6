//! Arbitrary bytes as a checkpoint, and damaged checkpoints.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::checkpoint_decode(bytes));
