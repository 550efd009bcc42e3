//! A harness that measures engines on the same work, and logs and checkpointers on their own.
//!
//! Two programs use it. `cargo run --release -p kv-bench` measures this project's engine, its log
//! and its checkpointer. `cargo xtask compare`, the crate `kv-compare`, measures them beside other
//! engines and draws charts. Both read what they measured back: a get must find the value that was
//! put, and an iteration must find all entries.
//!
//! # How to measure a log or a checkpointer of your own
//!
//! Any [`kv_core::Log`] or [`kv_core::Checkpointer`] can be measured without a store around it.
//! [`LogAlone`](engines::LogAlone) and [`CheckpointerAlone`](engines::CheckpointerAlone) turn it
//! into an [`Engine`], given a name and a function that opens it. Then write a program that passes
//! it to [`main`], in any workspace. `examples/stranger.rs` does this with a log and an engine.
//!
//! # How to measure an engine of your own
//!
//! Implement three traits: [`Engine`], the [`Database`] that it opens, and the [`Session`] that one
//! thread calls.
//!
//! - Set the engine up as its documentation recommends for each [`Level`](engine::Level), and name
//!   its version and settings in [`settings`](Engine::settings).
//! - Let [`promise`](Engine::promise) say what a write really survives. Figures are compared only
//!   if their promises are the same.
//! - A call that the engine does not have fails with [`Unsupported`](engine::Unsupported). The
//!   figures that depend on it are left out.
//! - In a test, call [`conformance::check`]. It checks every call against a model, at both levels,
//!   across a close and a second opening.
//!
//! # How it measures
//!
//! Each step of a scenario runs in a child process. So memory is the memory of one engine, and a
//! kill is a real kill. Engines take turns, repetition after repetition. Each outcome is appended
//! to `runs.jsonl`, so a run that was stopped can go on. At the end the medians are written to
//! `compare.json`.

mod aggregate;
mod cgroup;
mod child;
mod cli;
pub mod conformance;
mod data;
pub mod engine;
pub mod engines;
pub mod entry_codec;
mod host;
pub mod load_once;
mod measure;
pub mod number;
mod run;
mod scenarios;
pub mod summary;
pub mod workloads;

pub use cli::{Program, main};
pub use engine::{Database, Engine, Session};
