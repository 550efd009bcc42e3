//! The ready-made engine of kv: a directory, opened as a [`Store`].
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("data");
//! let store = kv_store::open(path)?;
//! let users = store.collection("users")?;
//! users.put("alice", "Alice Liddell")?; // on disk when this returns
//! assert_eq!(users.get("alice")?.unwrap(), "Alice Liddell");
//! store.close()?;
//! # Ok::<(), kv_store::Error>(())
//! ```
//!
//! This crate is thin: it puts kv-core, kv-wal and kv-snapshot together, and owns the directory's layout:
//!
//! | name | what it is |
//! |---|---|
//! | `LOCK` | locked by the process that has the store open; never removed |
//! | `FORMAT` | says that this is a store, and of which log; written last at creation |
//! | `log/` | the log's segments and its mark, see kv-wal |
//! | `checkpoints/` | parts and manifests, see kv-snapshot |
//!
//! A directory has one owner: a second opener, in this process or another, gets [`Error::Locked`]. Opening a store that was closed, and
//! reading it, write no file.

#![forbid(unsafe_code)]

mod format;
mod options;
mod verify;

use std::path::Path;

pub use kv_core::{
    BATCH_BYTES_MAX, Batch, Bounds, COLLECTIONS_MAX, ChangeFeed, ChangeRecord, CheckpointId, Collection, CollectionId,
    CollectionInfo, Commit, Durability, Entries, Entry, Epoch, Error, KEY_BYTES_MAX, Limits, LogId, Lsn, Mismatch,
    NAME_BYTES_MAX, RecordedChange, Recovery, Refusal, Result, Snapshot, Stats, Store, StoreOptions, Transaction,
    TransactionEntries, VALUE_BYTES_MAX, Value, background,
};
pub use kv_wal::Options as LogOptions;
pub use options::Options;
pub use verify::{Verification, verify, verify_in};

/// Opens the store in a directory with the default [`Options`], and creates it if there is none.
///
/// # Errors
/// See [`Options::open`].
pub fn open(path: impl AsRef<Path>) -> Result<Store> {
    Options::default().open(path)
}

/// The file layer's error as the engine's.
fn file_error(error: kv_vfs::Error) -> Error {
    Error::from_io(error.operation, error.path, error.source)
}

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
