//! Tests that run the `kv` binary.

mod demo;
mod exits;
mod export;
mod help;
mod import;
mod keys;
mod kill;
mod kv;
mod list;
mod upkeep;
