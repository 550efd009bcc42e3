//! Immutable, checksummed, memory-mapped key-value files, and checkpoints of a store made of them.
//!
//! - [`MmapCheckpointer`] keeps the checkpoints of a [`kv_core::Store`]: each a file of entries, read in place, and a manifest that
//!   names it.
//! - [`Table`] and [`TableWriter`] are such a file used alone.
//!
//! This crate does not know the log, nor what a store does with its checkpoints: which to use, which to keep, when to make one.
//! It reaches files only through [`kv_vfs::Vfs`].
//!
//! # What is assumed of the disk
//!
//! 1. What was synced, and whose name was made durable by syncing the directory, is there after a power cut.
//! 2. Anything else may be there, in part, or not at all: bytes, lengths, names, renames and removals each for themselves.
//! 3. A rename is atomic.
//! 4. Bytes may change at any time while they are stored. They are verified when they are written and each time before they are first used.
//! 5. Nobody else changes or cuts the files. A page that the disk cannot read ends the process (SIGBUS) when it is touched.
#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("kv needs a target with 64-bit pointers: it holds sizes of files in `usize`");

mod audit;
mod audit_entries;
mod blocks;
mod bytes;
mod checkpoint;
mod checkpointer;
mod codec;
mod cursor;
mod dump;
mod fault;
#[cfg(test)]
mod forged_tests;
mod format;
mod index;
mod listing;
mod manifest;
mod marker;
mod merge;
mod names;
mod new_file;
mod output;
mod part;
mod part_writer;
mod steps;
mod stripes;
mod table;
mod tree;
mod verification;
mod warm;

// What a user of tables and checkpoints needs besides, so that this crate is enough.
pub use kv_core::{
    Change, Changes, Checkpoint, CheckpointHead, CheckpointId, Checkpointer, CollectionId, CollectionInfo, Cursor,
    Epoch, Error, LogId, Lsn, Place, Result, Value,
};
pub use kv_vfs::{OsVfs, Vfs};

pub use checkpointer::MmapCheckpointer;
pub use cursor::TableCursor;
pub use dump::dump;
pub use table::{Table, TableWriter};
pub use verification::{Verification, verify};

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
