//! A region whose files were damaged: taken over by a writer that goes on from it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::takeover(bytes));
