//! kv and its peers, measured on the same work.
//!
//! `cargo xtask compare` builds this crate with the peers and runs it. The report goes to `compare`
//! in cargo's target directory. `RESULTS.md` and `headline.svg`, beside this crate's manifest, are
//! `report.md` and `headline.svg` of the last long run, whose command `RESULTS.md` names.
//! `RESULTS-BY-SIZE.md` and `ready.svg` (how soon stores are ready after a kill) are those of the
//! last run with larger stores.
//!
//! The measuring itself is the [harness](kv_bench::harness) of kv-bench. This crate adds the peers,
//! maps in memory, the limits of the machine, and the report.
//!
//! This crate is outside the workspace and has a lock file of its own, so that its peers and their
//! dependencies are in no other lock file. Cargo needs its manifest: `--manifest-path
//! kv-compare/Cargo.toml`.
//!
//! # How to add an engine
//!
//! 1. Write a file in `engines` that implements the traits of [`kv_bench::harness`]. Its
//!    documentation says what they require. `engines/hashbrown.rs` and `engines/redb.rs` are short
//!    examples.
//! 2. Add its crate to `Cargo.toml` as an optional dependency, with a feature that has the engine's
//!    name.
//! 3. Name it in `engines.rs`, as `mod` and in [`all`](engines::all).
//! 4. Run the test that checks all engines against a model:
//!    `cargo test --manifest-path kv-compare/Cargo.toml --lib --features NAME engines`.
//!
//! # An engine, a log or a checkpointer of your own
//!
//! It can be measured without a change here: write a program that gives it to
//! [`kv_bench::harness::Program`], with [`report::write`] to write the report.

pub mod engines;
pub mod report;
