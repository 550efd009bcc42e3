//! libFuzzer on `kv_fuzz::target("origin")`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kv_fuzz::run("origin", input));
