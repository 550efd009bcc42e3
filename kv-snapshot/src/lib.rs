//! Immutable, checksummed, memory-mapped key-value files, and checkpoints of a store that consist
//! of such files.
//!
//! - [`MmapCheckpointer`] keeps the checkpoints of a [`kv_core::Store`]. A checkpoint is a durable
//!   image of the store at one position: a stack of *parts*, which are immutable sorted table
//!   files, and a *manifest*, which names the parts. A new checkpoint adds one part with what has
//!   changed, and parts are merged in the background. All of them are read in place, through maps,
//!   or with `pread` through a cache if [`SnapshotOptions::reader`] says so.
//! - [`Table`] and [`TableWriter`] read and write such a table file outside of any checkpoint.
//!
//! A checkpoint is not a `Snapshot`: that is a read view of a running store, in memory.
//!
//! This crate does not know the log. Nor does it know the policy of a store: which checkpoint to
//! open, which to keep, and when to make one. It reaches files only through [`kv_vfs::Vfs`].
//!
//! # Disks
//!
//! The section "What is assumed about disks" in `docs/durability.md` lists the assumptions. These
//! shape the formats here and the order of the steps:
//!
//! - **Only what was synced survives a power cut**, under a name that was synced with the
//!   directory. So a file gets its name after its bytes are durable, and a manifest is written
//!   after the names of its parts are durable.
//! - **A rename is atomic.** So a name stands for a whole file or for none.
//! - **Stored bytes may change at any time.** So a checksum covers every byte. Every checksum is
//!   verified when a file is written, and again before the first use after each opening.
//! - **No other process changes or truncates the files.** They are mapped: touching a page that was
//!   cut off, or that the disk cannot read, ends the process with SIGBUS. With [`Reader::Pread`]
//!   they are not, and this is an error.
#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("kv needs a target with 64-bit pointers: it holds sizes of files in `usize`");

// `format` defines the bytes, `read` reads them through maps or a cache, `write` creates new files,
// and `verify` verifies files from end to end. `checkpointer` and `table` are the public types over
// these. `inventory` lists a directory of checkpoints, `merging` chooses the parts to merge, and
// `damage` remembers the damage that reads have met.
mod checkpointer;
mod damage;
#[cfg(test)]
mod deep_tests;
mod dump;
mod error;
#[cfg(test)]
mod forged_tests;
mod format;
mod inventory;
mod merging;
#[cfg(test)]
mod part_tests;
mod read;
mod table;
mod verify;
mod write;

// Re-exported so that a user of tables and checkpoints needs no other crate.
pub use kv_core::{
    Change, Changes, Checkpoint, CheckpointHead, CheckpointId, CheckpointStats, Checkpointer, CollectionId,
    CollectionSize, Cursor, Effort, Epoch, Error, LogId, Lsn, Place, ReadCacheStats, ReadEntry, Result, Value,
};
pub use kv_vfs::{OsVfs, Vfs};

pub use checkpointer::{CopiedCheckpoint, MmapCheckpointer, Reader, Sharing, SnapshotOptions};
pub use dump::dump;
pub use read::cursor::TableCursor;
pub use table::{Table, TableWriter};
pub use verify::{DeepReport, VerifyReport, verify, verify_deep};

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
