//! The tests are tested: each flaw of a backend is found by the case that is there for it.

mod caught;
mod enrolled;
mod flawed_checkpointer;
mod flawed_log;
mod model;
mod scheduler;
mod vfs;
