//! Checkpoints that are read without maps, through a cache: the tests of `tests/it` that read, and
//! what holds for this reader only.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests damage and read files behind the file layer's back"
)]

use kv_snapshot::Reader;

#[path = "../it/beside.rs"]
mod beside;
#[path = "../it/checkpointer.rs"]
mod checkpointer;
#[path = "../it/conformance.rs"]
mod conformance;
#[path = "../it/damage.rs"]
mod damage;
#[path = "../it/faults.rs"]
mod faults;
#[path = "../it/healing.rs"]
mod healing;
#[path = "../it/merges.rs"]
mod merges;
#[path = "../it/model.rs"]
mod model;
mod reads;
#[path = "../it/scrub.rs"]
mod scrub;
#[path = "../it/support.rs"]
mod support;

/// The cache has room for so few blocks that many tests evict some.
const READER: Reader = Reader::Pread { cache_bytes: 200_000 };
