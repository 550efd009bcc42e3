//! Tests that run the `kv` binary.
