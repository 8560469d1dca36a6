//! A region whose files were damaged: opened, pinned and read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::region_open(bytes));
