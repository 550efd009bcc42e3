//! The engine of kv without a medium: a mapping of mappings that is the tail of a log over a checkpoint.
//!
//! A [`Store`] holds named [`Collection`]s, each a bucket of `key -> blob`. It appends every change to a [`Log`] before the map in memory
//! changes, and has a [`Checkpointer`] keep images of the whole from time to time, so that the log stays short and opening quick. Both
//! are traits: kv-wal and kv-snapshot keep them in files, [`MemoryLog`] and [`MemoryCheckpointer`] in memory, and you may bring your own; kv-testkit has the
//! suites that say whether they do what they must.
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
//! This crate does no I/O: it knows no files, no maps and no paths but those that a backend puts into an [`Error`].
//!
//! # How a write goes
//!
//! ```text
//! writer's lock: check ─ log.append ─ apply in memory ─ unlock
//! Disk:          log.sync, shared with everybody who waits ─ publish ─ return
//! Process:       publish ─ return
//! ```
//!
//! What is applied is not yet seen: readers see up to the *published* position, which stays below the first [`Durability::Disk`] write that is
//! not durable. An answer that rests on something unpublished, such as "key not found", is given when that is published.

#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("kv needs a target with 64-bit pointers: it holds sizes of files in `usize`");

pub mod background;
mod checkpoint;
mod collections;
mod durability;
mod error;
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

pub use checkpoint::{Change, Changes, Checkpoint, CheckpointHead, Checkpointer, CollectionInfo, Cursor};
pub use collections::{Entries, Entry};
pub use durability::Durability;
pub use error::{Error, LockHolder, Place, Refusal, Result};
pub use limits::{BATCH_BYTES_MAX, COLLECTIONS_MAX, KEY_BYTES_MAX, Limits, NAME_BYTES_MAX, VALUE_BYTES_MAX};
pub use log::{Bounds, Log, LogReader, Record};
pub use memory::{CheckpointDamage, Crash, MemoryCheckpointMedium, MemoryCheckpointer, MemoryLog, MemoryLogMedium};
pub use owner::Owner;
pub use panics::guarded;
pub use position::{CheckpointId, CollectionId, Epoch, LogId, Lsn};
pub use store::{
    Batch, ChangeFeed, ChangeRecord, Collection, Commit, Mismatch, RecordedChange, Recovery, Snapshot, Stats, Store,
    StoreOptions, Transaction, TransactionEntries, recovery,
};
pub use value::Value;

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
