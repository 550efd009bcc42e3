//! Tests of the log, on the operating system's files and on simulated disks that fail.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the tests inspect files and damage them")]

mod basics;
mod begun_later;
mod calls;
mod conformance;
mod crash;
mod damage;
mod faults;
mod filling;
mod follower;
mod foreign;
mod golden;
mod in_place;
mod jobs;
mod long_records;
mod mapped;
mod mark_states;
mod memory;
mod model;
mod power;
mod reopened;
mod seal;
mod space;
mod support;
mod trace;
mod vanished;
