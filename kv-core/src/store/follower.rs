//! A read-only view of a store that another process, or another part of this one, writes.

use std::{
    fmt,
    ops::RangeBounds,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    Snapshot, StoreOptions,
    recovery::{FROZEN_MAX, Opened, Replay, choose, open_listed, with_names},
};
use crate::{
    Checkpoint, CheckpointId, Checkpointer, CollectionInfo, Entries, Error, FollowedLog, Lsn, Result, Value,
    collections::{Collections, NamedCollection, WriterToken},
    sync::{Mutex, lock},
};

/// How long [`Follower::wait_for`] sleeps between two looks, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(5));

/// Reads a store that another process writes to, or another part of this one. It opens the newest
/// checkpoint and applies the records of the log after it.
///
/// `kv_store::follow(path)` follows a store in a directory. [`open`](Follower::open) takes a log
/// and checkpoints of any kind.
///
/// A follower shows the store as it was at its [position](Follower::position), which moves only in
/// [`refresh`](Follower::refresh) and [`wait_for`](Follower::wait_for), and never back.
///
/// - **What it shows is durable**: no crash of the writer, and no power cut, takes it back.
/// - **It is consistent**: at each position it shows exactly what the store showed there. While
///   another thread refreshes it, each single read sees one position; a [`Snapshot`] keeps one.
/// - **It leaves no trace**: it changes nothing, takes no lock that the writer takes, and keeps
///   nothing from being trimmed, merged or removed. The writer does not know of it.
/// - **It is bounded**: it holds in memory what has changed since the newest checkpoint that it has
///   seen, and one memtable more. What was removed from the medium while it reads it has its space
///   back after the next refresh.
///
/// Damage to what is durable is an error, as it is for the store. It is never skipped, and reads of
/// what is not damaged go on.
///
/// A follower is a handle. Clones are cheap and are handles to the same follower. Any number of
/// threads may use it. In a child made by `fork`, [`refresh`](Follower::refresh) waits for ever if
/// another thread was refreshing at that moment: open a follower in the child instead.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use kv_core::{Follower, LocalLog, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
///
/// let (log, checkpoints) = (Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()));
/// let store = Store::with_backends(log.clone(), checkpoints.clone(), StoreOptions::default())?;
/// store.collection("users")?.put("alice", "Alice Liddell")?;
///
/// let follower = Follower::open(Box::new(LocalLog::new(log)), checkpoints, &StoreOptions::default())?;
/// assert_eq!(follower.get("users", "alice")?.unwrap(), "Alice Liddell");
///
/// store.collection("users")?.put("bob", "Bob")?;
/// assert_eq!(follower.get("users", "bob")?, None); // not yet
/// follower.refresh()?;
/// assert_eq!(follower.get("users", "bob")?.unwrap(), "Bob");
/// assert!(follower.wait_for(store.stats().log.durable, Duration::from_secs(1))?); // it is there already
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Follower {
    shared: Arc<Shared>,
}

struct Shared {
    collections: Collections,
    checkpointer: Arc<dyn Checkpointer>,
    snapshot_bytes_max: u64,
    /// Held while the follower is brought up to date.
    tail: Mutex<Tail>,
}

/// What only a refresh uses.
struct Tail {
    log: Box<dyn FollowedLog>,
    writer: WriterToken,
    replay: Replay,
    /// The last position that was applied.
    position: Lsn,
    /// The newest checkpoint that was found to be damaged.
    bad: Option<(CheckpointId, Arc<Error>)>,
}

impl Follower {
    /// Follows the store whose log and checkpoints these are, and brings it up to date. Of the
    /// checkpointer only `list`, `open` and `open_damaged` are called. Of the options two count:
    /// [`checkpoint_record_bytes`](StoreOptions::checkpoint_record_bytes), the size of a memtable,
    /// and [`snapshot_bytes_max`](StoreOptions::snapshot_bytes_max).
    ///
    /// # Errors
    /// As [`refresh`](Follower::refresh).
    pub fn open(
        mut log: Box<dyn FollowedLog>,
        checkpointer: Arc<dyn Checkpointer>,
        options: &StoreOptions,
    ) -> Result<Self> {
        log.look()?; // before the checkpoints: so the log reaches back to one that is found
        let found = choose(log.id(), log.trimmed(), Lsn(u64::MAX), &*checkpointer)?;
        let position = found.good_id().map_or(Lsn::START, |id| id.lsn);
        let (collections, writer) = Collections::new(found.good, &found.names);
        let replay = Replay::new(options.checkpoint_record_bytes);
        let bad = found.bad.into_iter().next();
        let tail = Mutex::new(Tail { log, writer, replay, position, bad });
        let shared = Shared { collections, checkpointer, snapshot_bytes_max: options.snapshot_bytes_max, tail };
        let follower = Self { shared: Arc::new(shared) };
        follower.shared.catch_up(&mut lock(&follower.shared.tail))?;
        Ok(follower)
    }

    /// Brings the follower up to what is durable now, and returns its position. Every write that
    /// was acknowledged as durable before this call is visible after it.
    ///
    /// # Errors
    /// [`Corrupt`](Error::Corrupt) or [`Unrecoverable`](Error::Unrecoverable) if something that is
    /// durable is damaged or missing; [`NewerVersion`](Error::NewerVersion);
    /// [`DirectoryReplaced`](Error::DirectoryReplaced); [`Io`](Error::Io). The follower then shows
    /// what it has reached so far, and the next call tries again.
    pub fn refresh(&self) -> Result<Lsn> {
        let tail = &mut lock(&self.shared.tail);
        tail.log.look()?;
        self.shared.take_newest(tail)?;
        self.shared.catch_up(tail)?;
        Ok(tail.position)
    }

    /// Refreshes the follower again and again until it has reached `position`, or the timeout has
    /// passed. Returns whether it has reached it.
    ///
    /// # Errors
    /// As [`refresh`](Follower::refresh).
    pub fn wait_for(&self, position: Lsn, timeout: Duration) -> Result<bool> {
        let began = Instant::now();
        let (mut pause, longest) = PAUSES;
        while self.position() < position && self.refresh()? < position {
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(longest);
        }
        Ok(true)
    }

    /// The position whose state the follower shows.
    pub fn position(&self) -> Lsn {
        self.shared.collections.horizon().published()
    }

    /// The checkpoint that the follower reads.
    pub fn checkpoint(&self) -> Option<CheckpointId> {
        self.shared.collections.checkpoint_id()
    }

    /// About how many bytes of memory the changes take that the checkpoint does not have.
    pub fn memory_bytes(&self) -> u64 {
        self.shared.collections.unwritten_bytes()
    }

    /// The newest checkpoint that the follower has found to be damaged, with the error. The
    /// follower does without it as long as it can: it reads an older one, and has what follows in
    /// memory. If that becomes too much, it takes the damaged one. What is damaged there can then
    /// not be read.
    pub fn bad_checkpoint(&self) -> Option<(CheckpointId, Arc<Error>)> {
        lock(&self.shared.tail).bad.clone()
    }

    /// Every collection at the follower's position, for as long as the returned value lives.
    /// [`Snapshot`] has all the ways to read.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.shared.collections.snapshot_to_keep(self.shared.snapshot_bytes_max))
    }

    /// The value of a key; `None` if it is absent, or there is no such collection.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get(&self, collection: &str, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.now().get(collection, key)
    }

    /// All entries of a collection, in byte order of their keys, at one position.
    pub fn iter(&self, collection: &str) -> Entries {
        self.snapshot().iter(collection)
    }

    /// The entries whose keys lie in `keys`, in byte order of their keys, at one position.
    pub fn range<K: AsRef<[u8]>>(&self, collection: &str, keys: impl RangeBounds<K>) -> Entries {
        self.snapshot().range(collection, keys)
    }

    /// The entries whose keys begin with `prefix`, in byte order of their keys, at one position.
    pub fn prefix(&self, collection: &str, prefix: impl AsRef<[u8]>) -> Entries {
        self.snapshot().prefix(collection, prefix)
    }

    /// How many keys the collection has.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn len(&self, collection: &str) -> Result<u64> {
        self.now().len(collection)
    }

    /// Whether the collection has no keys, or there is no such collection.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn is_empty(&self, collection: &str) -> Result<bool> {
        self.now().is_empty(collection)
    }

    /// All collections and their sizes, in order of their names.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn collections(&self) -> Result<Vec<CollectionInfo>> {
        self.now().collections()
    }

    /// The state for a call that does not keep it.
    fn now(&self) -> Snapshot {
        Snapshot::new(self.shared.collections.snapshot())
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("position", &self.position())
            .field("checkpoint", &self.checkpoint())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Applies the records that the last look has found. Where the log no longer has them, goes on
    /// from a newer checkpoint.
    ///
    /// This ends, because the last look has set an end: each checkpoint is nearer to it.
    fn catch_up(&self, tail: &mut Tail) -> Result<()> {
        loop {
            match self.apply_records(tail) {
                Err(trimmed @ Error::Trimmed { .. }) => self.start_again(tail, trimmed)?,
                applied => return applied,
            }
        }
    }

    fn apply_records(&self, tail: &mut Tail) -> Result<()> {
        let Tail { log, writer, replay, position, .. } = tail;
        while let Some(record) = log.read(*position)? {
            replay.apply(&self.collections, writer, &record)?;
            *position = record.lsn;
        }
        Ok(())
    }

    /// The log no longer has what follows. The owner trims it only up to a checkpoint, so one that
    /// is listed now is ahead of the follower. If it is not, history is missing.
    fn start_again(&self, tail: &mut Tail, trimmed: Error) -> Result<()> {
        let found = choose(tail.log.id(), tail.log.trimmed(), Lsn(u64::MAX), &*self.checkpointer)?;
        tail.bad = found.bad.into_iter().next();
        match found.good {
            Some(checkpoint) if checkpoint.head().lsn > tail.position => {
                self.restart(tail, checkpoint, &found.names);
                Ok(())
            }
            _ => Err(trimmed), // a follower never goes back
        }
    }

    fn restart(&self, tail: &mut Tail, checkpoint: Arc<dyn Checkpoint>, names: &[NamedCollection]) {
        tail.position = checkpoint.head().lsn;
        tail.replay.record_bytes = 0;
        self.collections.restart(&mut tail.writer, checkpoint, names);
    }

    /// Takes the newest checkpoint in place of the one that is read, so that neither memory nor the
    /// files that the owner has removed are kept for ever.
    fn take_newest(&self, tail: &mut Tail) -> Result<()> {
        loop {
            let newest = self.checkpointer.list()?.into_iter().next();
            let Some(newest) = newest.filter(|newest| Some(*newest) > self.collections.checkpoint_id()) else {
                return Ok(());
            };
            let is_bad = tail.bad.as_ref().is_some_and(|(bad, _)| *bad == newest);
            let (checkpoint, names) = if !is_bad {
                match open_listed(tail.log.id(), &*self.checkpointer, newest)? {
                    Opened::Good(checkpoint, names) => (checkpoint, names),
                    Opened::Bad(error) => {
                        tail.bad = Some((newest, error));
                        continue;
                    }
                    Opened::Gone => continue, // there is a newer one
                }
            } else if self.collections.frozen() < FROZEN_MAX {
                return Ok(()); // the older one, and what is in memory, hold the same
            } else {
                with_names(self.checkpointer.open_damaged(newest))?
            };
            if newest.lsn > tail.position {
                self.restart(tail, checkpoint, &names); // quicker than what the log has up to there
            } else {
                self.collections.install(checkpoint);
            }
            return Ok(());
        }
    }
}
