//! Followers beside the owner of a store.
//!
//! Each record of the log is one transaction, whose changes follow from its position ([`history`]).
//! So for each position a model says what a follower must show there.
//!
//! - [`interleavings`]: what the owner does at each file operation of a follower in turn, and at
//!   random, on a simulated disk.
//! - [`processes`]: an owner in another process, which is killed again and again.
//! - [`files`]: what a follower may touch, and what it needs; what it refuses.
//! - [`damage`]: damage beside a follower.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests look at, copy and damage files behind the engine's back")]

mod damage;
mod files;
mod history;
mod interleavings;
mod processes;
