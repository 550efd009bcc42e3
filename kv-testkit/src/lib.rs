//! Tests for kv backends.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

pub mod checkpointer;
mod enrol;
pub mod log;
mod scheduler;
pub mod vfs;

pub use scheduler::ManualScheduler;
