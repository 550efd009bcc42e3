//! libFuzzer on `kv_fuzz::target("frame")`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kv_fuzz::run("frame", input));
