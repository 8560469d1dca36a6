//! Arbitrary bytes as an encoded layout, and as a layout file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hypostyle::fuzzing::layout_decode(bytes));
