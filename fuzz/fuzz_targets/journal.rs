//! Damaged journals: opened, verified, every frame asked for.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::journal(bytes));
