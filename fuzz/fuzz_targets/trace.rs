//! A region's timeline whose file was damaged.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::trace(bytes));
