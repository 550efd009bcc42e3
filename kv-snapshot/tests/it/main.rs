//! Checkpoints and tables on real files, with faults and damage.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests damage and read files behind the file layer's back"
)]

mod beside;
mod cancel;
mod checkpointer;
mod conformance;
mod conformance_of_writing;
mod copying;
mod crash;
mod damage;
mod faults;
mod golden;
mod healing;
mod merges;
mod model;
mod owner;
mod removal;
mod scrub;
mod support;
mod table;
mod trace;

/// How these tests read checkpoints. Most of them are also run in `tests/pread`, without maps.
const READER: kv_snapshot::Reader = kv_snapshot::Reader::Mapped;
