//! Tests of kv-core over its backends in memory.
#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

mod background;
mod checkpoint;
mod concurrency;
mod conformance;
mod deferred;
mod feed;
mod model;
mod owner;
mod publication;
mod recovery;
mod scans;
mod store;
mod support;
mod transaction;
