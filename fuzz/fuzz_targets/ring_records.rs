//! Arbitrary bytes as patch records, as a ring's memory, and as a ring's positions and data.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::ring_records(bytes));
