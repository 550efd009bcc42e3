//! A whole store, with writers, readers and checkpoints at once, in every order that loom finds: `cargo xtask loom`.
//!
//! **What is modelled.** The store is the real one, opened through its public interface over a log whose flush takes two steps ([`log`]); its locks, atomics and
//! exchanged pointers are loom's (`kv-core/src/sync.rs`). The registry of readers, and snapshots that meet a change of the view, are tried by themselves as well, in
//! `kv-core/src/collections/loom_tests.rs`, without a bound. A test without a bound on preemptions is exhaustive; where the search does not end in reasonable time, the
//! bound stands beside the test's name and in what it prints. A thread that waits for ever is a deadlock, which loom reports.
//!
//! **What this does not cover.** Two or three threads do one or two things each, not more. loom tries the orders that the memory model of C11 allows, with the exception
//! that it takes `SeqCst` for `AcqRel` (none of the code relies on more) and lets no load see a store that comes later in its run. `ArcSwap` is a stand-in that acquires and releases as the real one
//! does, and the hash tables are not looked into: what they hold is behind locks. Hashes have a fixed seed. Background threads, the channels that wake them, and the poisoning of
//! the writer's lock by a panic are not modelled. With a bound on preemptions loom's search may also miss orders within the bound.
#![cfg(loom)]

mod feed;
mod log;
mod publication;
mod snapshots;
mod support;
