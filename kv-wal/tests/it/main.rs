//! The log on the operating system's files, and on disks that fail.
#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(clippy::disallowed_methods, reason = "the tests look at files, and damage them")]

mod basics;
mod calls;
mod conformance;
mod crash;
mod damage;
mod faults;
mod foreign;
mod golden;
mod in_place;
mod jobs;
mod mark_states;
mod memory;
mod model;
mod power;
mod reopened;
mod seal;
mod support;
mod trace;
mod vanished;
