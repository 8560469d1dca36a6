//! Arbitrary bytes as what a hostile sender of inputs does.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::inputs_mailbox(bytes));
