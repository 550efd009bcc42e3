//! The comparison with other engines.
//!
//! `cargo xtask compare` runs it, and leaves its report in `compare` in cargo's target directory. `RESULTS.md` and `headline.svg` beside this crate's manifest
//! are `report.md` and `headline.svg` of the last full run. Every get must find what was put, and every iteration all entries.
//!
//! # How to add an engine
//!
//! 1. Write its file in `engines`: an [`Engine`], the [`Database`] that it opens, and the [`Session`] that a thread calls. Set it up as its
//!    documentation says for each [`Level`](engine::Level), name version and settings in [`settings`](Engine::settings), and let
//!    [`promise`](Engine::promise) say what it really keeps: figures of different promises are never compared. A call that it does not have fails
//!    with [`Unsupported`](engine::Unsupported), and what would have been measured is left out. `engines/hashbrown.rs` and `engines/kv.rs` are short.
//! 2. Give its crate, if it has one, an optional dependency and a feature of the engine's name in `kv-bench/Cargo.toml`: only the comparison
//!    compiles it.
//! 3. Name it in `engines.rs`, as `mod` and in [`all`](engines::all).
//! 4. Have it pass the test that all engines pass: `cargo test -p kv-bench --lib --features NAME engines`. It writes, reads, scans, updates, closes and
//!    opens again, at both levels, and holds what it finds against a model.
//!
//! # A part alone
//!
//! Any implementor of [`kv_core::Log`] or [`kv_core::Checkpointer`] can be measured without a store around it: [`LogAlone`](engines::LogAlone) and
//! [`CheckpointerAlone`](engines::CheckpointerAlone) make it an engine, given a name and a function that opens it. `engines/parts.rs` does so with ours.
//!
//! # From another workspace
//!
//! [`main`] is the whole command, for whatever engines it is given. `examples/stranger.rs` is a program that brings an engine and a log of its own.

mod child;
mod cli;
mod data;
pub mod engine;
pub mod engines;
mod host;
mod measure;
mod report;
mod run;
mod scenarios;
mod summarize;
pub mod summary;
pub mod workloads;

pub use cli::main;
pub use engine::{Database, Engine, Session};
