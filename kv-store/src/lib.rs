//! The ready-made engine of kv: open a directory as a [`Store`].
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("data");
//! let store = kv_store::open(path)?; // creates it if there is none
//! let users = store.collection("users")?;
//! users.put("alice", "Alice Liddell")?; // on disk when this returns
//! assert_eq!(users.get("alice")?.unwrap(), "Alice Liddell");
//! store.close()?;
//! # Ok::<(), kv_store::Error>(())
//! ```
//!
//! # The API in one screen
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("data");
//! # let block_on = |future: &mut (dyn Future<Output = kv_store::Result<()>> + Unpin)| {
//! #     struct Unpark(std::thread::Thread);
//! #     impl std::task::Wake for Unpark { fn wake(self: std::sync::Arc<Self>) { self.0.unpark(); } }
//! #     let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
//! #     let mut context = std::task::Context::from_waker(&waker);
//! #     loop {
//! #         match std::pin::Pin::new(&mut *future).poll(&mut context) {
//! #             std::task::Poll::Ready(result) => return result,
//! #             std::task::Poll::Pending => std::thread::park(),
//! #         }
//! #     }
//! # };
//! use std::time::Duration;
//! use kv_store::{Batch, Durability, Error, Options, RecordedChange};
//!
//! // Open: `kv_store::open(path)`, or with options, which are plain data.
//! let mut options = Options::default().durability(Durability::Disk); // the default: acknowledged writes survive a power cut
//! options.store.flush_interval = Duration::from_millis(20); // a power cut may take the `Process` writes of about the last 20 ms
//! let store = options.open(&path)?;
//! println!("{}", store.recovery()); // what opening found and did
//!
//! // Collections: owned handles, cheap to clone, for any thread. The first put creates the collection.
//! let users = store.collection("users")?;
//! let visits = store.collection("visits")?.with_durability(Durability::Process); // does not wait for the disk
//!
//! // Verbs: each is one atomic step. Keys and values are anything that derefs to bytes: `&str`, `Vec<u8>`, arrays.
//! users.put("alice", "Alice")?;
//! users.put(String::from("bob"), vec![66, 111, 98])?;
//! visits.put(7_u32.to_be_bytes(), [1])?; // big-endian numbers sort by value
//! assert_eq!(users.get("alice")?.unwrap(), "Alice"); // a `Value` derefs to `[u8]` and keeps its bytes alive
//! assert_eq!(users.get_with("alice", |value| value.len())?, Some(5)); // in place, nothing copied
//! assert_eq!(users.get_many(&["alice", "zoe"])?.len(), 2);
//! assert!(users.contains("bob")? && users.len()? == 2);
//! assert_eq!(users.put_if_absent("alice", "another")?.unwrap(), "Alice"); // returns the existing value
//! assert!(users.compare_and_set("bob", Some(b"Bob"), Some(b"Robert"))?.is_ok()); // `None` means absent
//! visits.update("home", |count| Some([count.map_or(0, |count| count[0]) + 1]))?;
//! assert_eq!(users.take("bob")?.unwrap(), "Robert"); // deletes the key and returns its value
//! assert_eq!(visits.pop_first()?.unwrap().value, [1]); // a queue, too; also `pop_last`, `drain`
//! assert!(matches!(users.delete("bob"), Err(Error::KeyNotFound { .. }))); // `delete_if_present` returns `false`
//! assert_eq!(visits.delete_prefix("tmp/")?, 0); // also `delete_range`; in steps `retain`, `delete_range_in_steps`
//!
//! // Order: byte order, from both ends, with any bounds. Iterators are owned and see one position. Entries are `Result`s.
//! for entry in users.range("a".."n").rev() {
//!     let entry = entry?;
//!     println!("{:?} is {:?}", entry.key, entry.value);
//! }
//! let (_all, _some) = (users.iter(), users.prefix("al"));
//! assert_eq!(users.first()?.unwrap().key, users.last()?.unwrap().key);
//!
//! // Batches and transactions: all or nothing, over any collections. An error or a panic leaves no trace.
//! store.write(Batch::new().put("users", "carol", "Carol").delete_if_present("users", "dan"))?;
//! let visited = store.transact(|tx| {
//!     let visited = tx.get("visits", "home")?.map_or(0, |count| count[0]); // reads see the transaction's writes
//!     tx.put("visits", "home", [visited + 1])?;
//!     Ok(visited) // `try_transact` is for your own error type that is `From<kv_store::Error>`
//! })?;
//! assert_eq!(visited, 1);
//!
//! // Snapshots: every collection at one position, for as long as you hold it. Holding one blocks no other call.
//! let snapshot = store.snapshot();
//! store.rename_collection("users", "people")?; // also create_, clear_ and drop_collection; the cost does not depend on size
//! assert_eq!(snapshot.get("users", "carol")?.unwrap(), "Carol");
//! println!("{:?} at position {}", store.collections()?, snapshot.position()); // names, entries, bytes
//!
//! // Deferred commits: thousands in flight from one thread. They become visible once they are durable.
//! let people = store.collection("people")?.deferred(); // every verb, and each gives a `Commit`
//! let commits: Result<Vec<_>, _> = (0..100_u32).map(|n| people.put(n.to_be_bytes(), "x")).collect();
//! commits?.pop().unwrap().wait()?; // the last one is durable, so all before it are, too
//! # block_on(&mut Box::pin(async {
//! people.put("dora", "Dora")?.await?; // in async code, under any runtime
//! # Ok(()) }))?;
//!
//! // Change feed: every change after a position, in order, once it is durable. Resume later from `record.lsn`.
//! let mut feed = store.changes(snapshot.position())?;
//! while feed.wait(Duration::from_millis(1)) {
//!     for record in &mut feed {
//!         for change in record?.changes {
//!             if let RecordedChange::Put { collection, key, .. } = change {
//!                 println!("{collection}: {key:?}");
//!             }
//!         }
//!     }
//! }
//!
//! // Followers: another process reads along, without a lock, and sees only what is durable.
//! let follower = kv_store::follow(&path)?;
//! assert_eq!(follower.get("people", "dora")?.unwrap(), "Dora");
//! follower.refresh()?; // or `wait_for(position, timeout)`
//!
//! // Maintenance: none is needed. Flushes and checkpoints run in the background; these calls run them now.
//! store.sync()?; // everything written so far survives a power cut
//! store.checkpoint()?; // an opening right after this has nothing to replay
//! println!("{}", store.stats());
//!
//! // Backups: made beside writers, and sharing what has not changed. A backup is a store; `restore` makes a new one from it.
//! # let family = directory.path().join("backups");
//! let backup = kv_store::backup_to(&store, &family)?;
//! assert_eq!(kv_store::backups(&family)?[0].path, backup.path);
//!
//! // Errors say what happened, where, and what to do. There is a variant for each case to handle differently.
//! let refused = people.put("", "no key").unwrap_err();
//! assert_eq!(refused.chain(), "invalid key of 0 bytes: a key has 1 to 65535 bytes");
//! store.close()?; // reports errors; without this call, dropping the last handle closes the store
//! drop((feed, users, visits, people, store)); // once every handle is gone, the directory can be opened again
//! assert!(kv_store::verify(&path)?.damage.is_empty()); // reads every byte of every file
//! # Ok::<(), kv_store::Error>(())
//! ```
//!
//! # Types
//!
//! With the feature `serde`, which is off by default, `typed::Typed` is a view of a collection with
//! keys of types that sort as they do in Rust, and values in JSON or in a codec of your own.
//!
//! # Events
//!
//! With the feature `tracing`, which is off by default, the store and its log emit events for the
//! crate of that name: openings, flushes, segments, checkpoints, merges, waits and failures. A
//! subscriber runs in the thread that does the work, sometimes under a lock of the store. So it
//! must not use the store, and should be quick.
//!
//! # The directory
//!
//! This crate is thin: it puts kv-core, kv-wal and kv-snapshot together, and owns the layout of the
//! directory:
//!
//! | name | what it is |
//! |---|---|
//! | `LOCK` | locked by the process that has the store open; names the process that writes; never removed |
//! | `FORMAT` | marks the directory as a store and names its log; written last at creation |
//! | `ORIGIN` | says what the store was copied from, if it is a [backup](backup_to) or was [restored](restore) |
//! | `log/` | the log's segments and its acknowledgement mark, see kv-wal |
//! | `checkpoints/` | parts and manifests, see kv-snapshot |
//!
//! A directory has one owner: a second opener, in this process or another, gets [`Error::Locked`].
//! Opening an existing store, and reading it, writes no file. Any number of [followers](follow) may
//! read it meanwhile.
//!
//! The owner is the process that opened the directory. In a child made by `fork`, every write,
//! sync, checkpoint and close fails with [`Error::Forked`], and dropping a handle does nothing.
//! Fork first, then open. See [`Options::open`].

#![forbid(unsafe_code)]

mod backup;
mod dump;
mod follow;
mod format;
mod options;
mod owner;
mod record;
mod sizes;
#[cfg(feature = "serde")]
pub mod typed;
mod untouched;
mod verify;

use std::path::Path;

pub use backup::{Backup, Copied, Origin, backup_to, backup_to_in, backups, backups_in, origin, restore, restore_in};
pub use dump::dump_log;
pub use follow::follow;
pub use kv_core::{
    BATCH_BYTES_MAX, Batch, Bounds, COLLECTIONS_MAX, ChangeFeed, ChangeRecord, CheckpointId, Checkpointer, Collection,
    CollectionId, CollectionInfo, Commit, DeferredCollection, DeferredStore, Durability, Entries, Entry, Epoch, Error,
    FlushStats, Follower, KEY_BYTES_MAX, Limits, LockHolder, Log, LogId, Lsn, Mismatch, NAME_BYTES_MAX, Owner, Place,
    RecordedChange, Recovery, Refusal, Result, Snapshot, Stats, Store, StoreOptions, Transaction, TransactionEntries,
    VALUE_BYTES_MAX, Value, background, recovery,
};
pub use kv_snapshot::Reader;
pub use kv_vfs::{OsVfs, Vfs};
pub use kv_wal::Options as LogOptions;
pub use options::Options;
pub use verify::{DeepVerification, Verification, clear_damage, verify, verify_deep, verify_deep_in, verify_in};

/// Opens the store in a directory with the default [`Options`], and creates it if it does not
/// exist.
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("data");
/// # use kv_store::Error;
/// let store = kv_store::open(&path)?;
/// store.collection("users")?.put("alice", "Alice Liddell")?;
/// assert!(matches!(kv_store::open(&path), Err(Error::Locked { .. }))); // one owner; clone its handles to share them
/// drop(store);
/// assert_eq!(kv_store::open(&path)?.collection("users")?.get("alice")?.unwrap(), "Alice Liddell");
/// # Ok::<(), Error>(())
/// ```
///
/// The store belongs to this process. A child made by `fork` cannot write to it: see
/// [`Options::open`].
///
/// # Errors
/// See [`Options::open`].
pub fn open(path: impl AsRef<Path>) -> Result<Store> {
    Options::default().open(path)
}

/// The examples of the README are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of the workspace's README are compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct WorkspaceReadme;
