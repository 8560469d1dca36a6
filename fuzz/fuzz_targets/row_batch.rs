//! Arbitrary bytes as rows for a world, and damaged rows.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::row_batch(bytes));
