//! Tests of kv-core over its backends in memory.
#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

mod answers;
mod api;
mod background;
mod backpressure;
mod bulk;
mod checkpoint;
mod closures;
mod concurrency;
mod conformance;
mod deferred;
mod feed;
mod follower;
mod held;
mod horizon;
mod jobs;
mod lowered_limits;
mod merging;
mod model;
mod owner;
mod panicking;
mod patrol;
mod pins;
mod publication;
mod queues;
mod recovery;
mod scans;
mod store;
mod support;
mod transaction;
mod wakers;
