//! Group commit, poisoning, roll-over and closing of a whole [`SegmentedLog`](kv_wal::SegmentedLog) over a modelled disk, in every order that
//! loom finds: `cargo xtask loom`.
//!
//! **What is modelled.** The log is the real one, opened through its public interface; only its locks and its condition variable are loom's
//! (`kv-wal/src/sync.rs`). The disk ([`medium`]) hands each write over in one step and syncs in two, with an instant between them at which others may run:
//! what was written by the first step is durable after the second. A test without a bound on preemptions is exhaustive;
//! where the search does not end in reasonable time, the bound stands beside the test's name. A thread that waits for ever is a deadlock, which loom reports: so a wake-up that is lost fails a test.
//!
//! **What this does not cover.** There are two or three threads with one or two calls each, not more. loom wakes waiters only when they are notified, the first come first;
//! a condition variable of the system may also wake them for nothing, which is harmless, since each looks again at the state. loom's locks are never poisoned: a panic *under*
//! the log's lock is not modelled (one in the file layer, outside of it, is). What a disk loses in a power cut is the subject of the crash tests.
#![cfg(loom)]

mod failures;
mod group_commit;
mod medium;
mod segments;
mod support;
