//! Tests of the ready-made engine, on real files.
#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(clippy::disallowed_methods, reason = "tests look at, copy and damage files behind the engine's back")]

mod answers;
mod api;
mod creation;
mod damage;
mod feed;
mod forked;
mod model;
mod opening;
mod owners;
mod refusals;
mod support;
mod trace;
