//! Group commit, poisoning, roll-over and closing of a whole [`SegmentedLog`](kv_wal::SegmentedLog)
//! over a modelled disk, in all interleavings that loom finds: `cargo xtask loom`.
//!
//! **What is modelled.** The log is the real one, opened through its public interface. Only its
//! locks and its condition variable are loom's (`kv-wal/src/sync.rs`). The disk ([`medium`]) takes
//! each write in one step and syncs in two, between which other threads may run: what was written
//! before the first step is durable after the second. A test without a bound on preemptions is
//! exhaustive. Where the search would take too long, the test states a bound beside its name. loom
//! reports a thread that waits for ever as a deadlock, so a lost wake-up fails a test.
//!
//! **What is not covered.** There are two or three threads with one or two calls each, not more.
//! loom wakes waiting threads only when they are notified, first come, first served. A condition
//! variable of the operating system may also wake them for no reason, which is harmless because
//! each looks at the state again. loom's locks are never poisoned: a panic *under* the log's lock
//! is not modelled, only one in the file layer outside of it. What a disk loses in a power cut is
//! the subject of the crash tests.
#![cfg(loom)]

mod failures;
mod group_commit;
mod medium;
mod segments;
mod support;
