//! Checkpoints and tables on real files, with faults and damage.
#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

mod conformance;
mod damage;
mod faults;
mod golden;
mod model;
mod support;
mod table;
mod upkeep;
