//! Tests that run the `kv` binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod binary;
mod demo;
mod exits;
mod export;
mod help;
mod import;
mod keys;
mod kill;
mod kv;
mod list;
mod maintenance;
mod safe;
mod terminal;
