//! Arbitrary bytes as a message of a gateway's client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle_gateway::fuzzing::gateway_message(bytes));
