//! Arbitrary bytes as the messages of a delta.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle_gateway::fuzzing::delta_apply(bytes));
