//! Arbitrary bytes as records, and as a ring's memory.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::ring_records(bytes));
