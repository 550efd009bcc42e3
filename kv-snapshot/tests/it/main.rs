//! Checkpoints and tables on real files, with faults and damage.
#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests damage files behind the file layer's back, and look at what is there"
)]

mod cancel;
mod conformance;
mod crash;
mod damage;
mod faults;
mod golden;
mod model;
mod owner;
mod removal;
mod support;
mod table;
mod trace;
mod upkeep;
