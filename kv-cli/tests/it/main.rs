//! Tests that run the `kv` binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod about;
mod backup;
mod bench;
mod binary;
mod changes;
mod demo;
mod dump;
mod exits;
mod export;
mod guide;
mod help;
mod import;
mod inspect;
mod keys;
mod kill;
mod kv;
mod list;
mod maintenance;
mod safe;
mod shell;
mod terminal;
