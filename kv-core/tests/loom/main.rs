//! A whole store, with concurrent writers, readers and checkpoints, in every interleaving that loom
//! finds: `cargo xtask loom`.
//!
//! **What is modelled.** The store is the real one, opened through its public interface over a log
//! whose flush takes two steps ([`log`]). Its locks, atomics and swapped pointers are loom's
//! (`kv-core/src/sync.rs`). How readers find their versions is also explored alone, in
//! `kv-core/src/collections/loom_tests.rs`, and parts of the store in
//! `kv-core/src/store/loom_tests.rs`. A test without a bound on preemptions is exhaustive. Where
//! the search would take too long, the bound stands beside the test's name and in its output. A
//! thread that waits for ever is a deadlock, which loom reports.
//!
//! **What is not covered.** There are two or three threads, which do one or two things each. loom
//! explores the interleavings that the C11 memory model allows, with two exceptions: it treats
//! `SeqCst` as `AcqRel` (the code relies on no more), and no load sees a store that comes later in
//! its execution. `ArcSwap` is a stand-in that acquires and releases as the real one does. The hash
//! tables are not modelled: their contents are behind locks. Hashes have a fixed seed. Background
//! threads, the channels that wake them, and the poisoning of the writer's lock by a panic are not
//! modelled. With a bound on preemptions, loom's search may also miss interleavings within the
//! bound.
#![cfg(loom)]

mod feed;
mod log;
mod publication;
mod snapshots;
mod support;
