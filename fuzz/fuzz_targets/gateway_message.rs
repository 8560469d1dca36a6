//! Arbitrary bytes as a message of a gateway's client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::gateway::gateway_message(bytes));
