//! The tests are tested: each flaw of a backend is found by the case that is meant to find it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod caught;
mod enrolled;
mod explore;
mod flawed_checkpointer;
mod flawed_log;
mod linearizability;
mod model;
mod recording;
mod recoverable;
mod scheduler;
mod sim;
mod sim_faults;
mod sound_log;
mod stack_model;
mod vfs;
