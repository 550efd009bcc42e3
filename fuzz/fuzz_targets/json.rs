//! libFuzzer on `kv_fuzz::target("json")`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kv_fuzz::run("json", input));
