//! The engine of kv, without a medium: named collections in memory over a log and checkpoints.
//!
//! A [`Store`] holds named [`Collection`]s, each a map from keys to values, both of any bytes. It
//! appends every change to a [`Log`] before it changes the map in memory. From time to time a
//! [`Checkpointer`] writes an image of everything, so that the log stays short and opening stays
//! quick.
//!
//! `Log` and `Checkpointer` are traits. kv-wal and kv-snapshot implement them with files,
//! [`MemoryLog`] and [`MemoryCheckpointer`] in memory, and you can bring your own.
//!
//! ```
//! use std::sync::Arc;
//! use kv_core::{Batch, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
//!
//! let log = Arc::new(MemoryLog::new()); // any `Log`
//! let checkpointer = Arc::new(MemoryCheckpointer::new()); // any `Checkpointer`
//! let store = Store::with_backends(log, checkpointer, StoreOptions::default())?; // these two: `Store::in_memory()`
//!
//! let users = store.collection("users")?;
//! users.put("alice", "Alice Liddell")?;
//! assert_eq!(users.get("alice")?.unwrap(), "Alice Liddell");
//! store.write(Batch::new().put("users", "bob", "Bob").put("count", "users", "2"))?;
//! assert_eq!(users.len()?, 2);
//! # Ok::<(), kv_core::Error>(())
//! ```
//!
//! This crate does no I/O. It knows nothing of files, memory maps or paths, except for the paths
//! that a backend puts into an [`Error`].
//!
//! # Implementing a backend: start here
//!
//! 1. [`Log`] lists what a log guarantees, numbered L1 to L14; [`Checkpointer`] does the same for
//!    checkpoints, C1 to C10. You can implement one of the two and take the other from kv-wal,
//!    kv-snapshot or this crate.
//! 2. Read the implementations in memory (`kv-core/src/memory`). They keep every guarantee in a few
//!    hundred lines each, and are written to be read.
//! 3. Run the suites of kv-testkit (`log_suite!`, `checkpointer_suite!` and others). Each test is
//!    named after the guarantee that it checks. There are suites for crashes, for failing and full
//!    disks, and for damage.
//! 4. Report failures with the variants of [`Error`] that the traits name, because the store's
//!    reaction depends on the variant.
//! 5. [`FollowedLog`] is for a log that others may read while its owner writes. A [`Follower`]
//!    needs no more than that and the checkpoints.
//!
//! # How a write goes
//!
//! ```text
//! writer's lock: check ─ log.append ─ apply in memory ─ unlock
//! Disk:          log.sync, shared by all waiting writers ─ publish ─ return
//! Process:       publish ─ return
//! ```
//!
//! A change is not visible as soon as it is applied. Readers see changes up to the *published*
//! position, which stays below the first [`Durability::Disk`] write that is not durable yet. An
//! answer that depends on an unpublished change, such as "key not found" after a deletion, is
//! returned only when that change is published.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("kv needs a target with 64-bit pointers: it holds sizes of files in `usize`");

pub mod background;
mod checkpoint;
mod collections;
mod durability;
mod error;
mod events;
mod followed_log;
mod limits;
mod log;
mod memory;
mod operation;
mod owner;
mod panics;
mod position;
mod store;
mod sync;
mod value;

pub use checkpoint::{
    Change, Changes, Checkpoint, CheckpointHead, CheckpointStats, Checkpointer, CollectionInfo, CollectionSize, Cursor,
    Effort, ReadCacheStats, ReadEntry,
};
pub use collections::{Entries, Entry};
pub use durability::Durability;
pub use error::{Error, LockHolder, Place, Refusal, Result};
pub use followed_log::{FollowedLog, LocalLog};
pub use limits::{BATCH_BYTES_MAX, COLLECTIONS_MAX, KEY_BYTES_MAX, Limits, NAME_BYTES_MAX, VALUE_BYTES_MAX};
pub use log::{Bounds, FlushStats, Log, LogReader, Record};
pub use memory::{CheckpointDamage, Crash, MemoryCheckpointMedium, MemoryCheckpointer, MemoryLog, MemoryLogMedium};
pub use owner::Owner;
pub use panics::guarded;
pub use position::{CheckpointId, CollectionId, Epoch, LogId, Lsn};
pub use store::{
    Batch, ChangeFeed, ChangeRecord, Collection, Commit, DeferredCollection, DeferredStore, Follower, Mismatch, Pin,
    RecordedChange, Recovery, Snapshot, Stats, Store, StoreOptions, Transaction, TransactionEntries, recovery,
    verify_replay,
};
#[cfg(feature = "tracing")]
#[doc(hidden)]
pub use tracing;
pub use value::Value;

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
