//! Tests of the ready-made engine, on real files and on a simulated disk.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests look at, copy and damage files behind the engine's back")]

mod answers;
mod api;
mod backup;
mod creation;
mod damage;
mod deep;
mod feed;
mod forked;
mod model;
mod model_traces;
mod opening;
mod owners;
mod patrol;
mod reader;
mod refusals;
mod support;
mod trace;
mod unreadable;
