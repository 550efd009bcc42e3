//! The change feed: every change in the order of the log, for whatever has to follow the store.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    task::{Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::{Inner, Shared, Store, recovery::undecodable, waiters::Waiting};
use crate::{
    Checkpoint, CollectionId, Epoch, Error, LogReader, Lsn, Result, Value,
    collections::names_in,
    operation::{Operation, decode},
};

/// The changes that were made together, by a single write, a batch or a transaction.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// # use kv_core::{Batch, Lsn};
/// store.write(Batch::new().put("users", "alice", "Alice").put("users", "bob", "Bob"))?;
/// let record = store.changes(Lsn::START)?.next().unwrap()?;
/// assert_eq!(record.lsn, Lsn(1));
/// assert_eq!(record.changes.len(), 3); // one creates the collection
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeRecord {
    /// The epoch of the opening in which the changes were made.
    pub epoch: Epoch,
    /// The position of the record, one above that of the record before it.
    pub lsn: Lsn,
    /// The changes, in the order in which they were made.
    pub changes: Vec<RecordedChange>,
}

/// A change, as recorded in the log.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// # use kv_core::{Lsn, RecordedChange};
/// store.collection("users")?.put("alice", "Alice")?;
/// store.rename_collection("users", "people")?;
/// for record in store.changes(Lsn::START)? {
///     for change in record?.changes {
///         match change {
///             RecordedChange::Put { collection, key, value } => println!("{collection}: {key:?} is {value:?}"),
///             RecordedChange::Delete { collection, key } => println!("{collection}: {key:?} is gone"),
///             other => println!("{other:?}"), // collections were created, dropped, renamed
///         }
///     }
/// }
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordedChange {
    /// A key got a value.
    Put {
        /// The collection's name.
        collection: Arc<str>,
        /// The key.
        key: Value,
        /// The new value.
        value: Value,
    },
    /// A key was deleted.
    Delete {
        /// The collection's name.
        collection: Arc<str>,
        /// The key.
        key: Value,
    },
    /// A collection was created, empty.
    CollectionCreated {
        /// Its name.
        name: Arc<str>,
    },
    /// A collection was dropped with everything in it. Clearing one drops and creates it.
    CollectionDropped {
        /// Its name.
        name: Arc<str>,
    },
    /// A collection was renamed.
    CollectionRenamed {
        /// Its old name.
        from: Arc<str>,
        /// Its new name.
        to: Arc<str>,
    },
}

/// Every change after a position, in order; see [`Store::changes`]. The feed gives a change once it
/// is published and durable, whatever durability it was written with. So every snapshot that is
/// taken afterwards includes the change, and no power cut takes it back.
///
/// As an iterator, the feed gives the changes made so far and then `None`. It goes on when there
/// are more, and [`wait`](ChangeFeed::wait) waits for them. After an error it stays where it is,
/// and the next call tries the same record again, so no change is skipped. If the log has failed,
/// the last thing that the feed gives is that error, once. A feed keeps the store open.
///
/// A feed does not keep the log from being trimmed. If it lags behind the older of the two
/// checkpoints that are kept, every later call may fail with [`Trimmed`](Error::Trimmed), but there
/// is never a gap. In that case, begin again with a snapshot.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// # use kv_core::Lsn;
/// let users = store.collection("users")?;
/// users.put("alice", "Alice")?;
/// let mut feed = store.changes(Lsn::START)?;
/// assert!(feed.next().is_some() && feed.next().is_none());
/// let seen = feed.position(); // keep this together with what follows the store ...
/// drop(feed);
/// users.put("bob", "Bob")?;
/// assert_eq!(store.changes(seen)?.count(), 1); // ... and go on from there, now or after the next opening
/// # Ok::<(), kv_core::Error>(())
/// ```
pub struct ChangeFeed {
    inner: Arc<Inner>,
    reader: Box<dyn LogReader>,
    /// The position of the last change that was returned.
    after: Lsn,
    /// Whether the record after that position was read but not returned, because of an error. The
    /// reader is then past the record, so a new reader is needed to read it again.
    has_failed: bool,
    /// Whether the failure of the log was returned. Nothing comes after it, so it is returned once.
    has_ended: bool,
    /// The names of the collections at that position. `None` while the position is not settled: the
    /// log gives only durable records, and a feed must not flush the log, because that writes.
    names: Option<Names>,
}

type Names = HashMap<CollectionId, Arc<str>>;

impl Store {
    /// Every change after position `after`: first those that are in the log already, then new ones
    /// as they are made. [`Lsn::START`] is the beginning.
    ///
    /// To follow the store without missing or repeating a change, take a
    /// [`snapshot`](Store::snapshot) and begin after its position. To go on later, keep the
    /// position of the last record that was processed.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use std::time::Duration;
    /// # use kv_core::RecordedChange;
    /// let mut feed = store.changes(store.snapshot().position())?;
    /// store.collection("users")?.put("alice", "Alice Liddell")?;
    /// while feed.wait(Duration::from_millis(10)) {
    ///     for record in &mut feed {
    ///         for change in record?.changes {
    ///             if let RecordedChange::Put { collection, key, value } = change {
    ///                 println!("{collection}: {key:?} is {value:?}");
    ///             }
    ///         }
    ///     }
    /// }
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// This writes nothing, and does not wait. If `after` is not durable yet, the feed gives
    /// nothing until it is.
    ///
    /// # Errors
    /// [`Trimmed`](Error::Trimmed) if the log no longer has every record after `after`: begin with
    /// a snapshot. [`Misuse`](Error::Misuse) if nothing was ever written at `after`.
    /// [`Corrupt`](Error::Corrupt) if the names of the collections at `after` cannot be determined:
    /// the log does not reach back to its beginning, and every checkpoint that has them is damaged.
    /// [`Forked`](Error::Forked) in a child of the process that opened the store.
    pub fn changes(&self, after: Lsn) -> Result<ChangeFeed> {
        self.inner.check_owner()?;
        let reader = self.inner.log.reader(after)?;
        let names = self.inner.has_settled(after).then(|| self.inner.names_at(after)).transpose()?;
        Ok(ChangeFeed { inner: Arc::clone(&self.inner), reader, after, has_failed: false, has_ended: false, names })
    }
}

impl ChangeFeed {
    /// The position of the last record that was returned; before the first one, the position at
    /// which the feed began.
    pub fn position(&self) -> Lsn {
        self.after
    }

    /// Waits until [`next`](Iterator::next) has something to return (a record, or the error with
    /// which the log failed), but no longer than `timeout`. Returns whether there is something.
    /// After a store was closed and its last record returned, this always takes the whole
    /// `timeout`.
    ///
    /// ```
    /// # let store = kv_core::Store::in_memory()?;
    /// # use std::time::Duration;
    /// let mut feed = store.changes(store.snapshot().position())?;
    /// assert!(!feed.wait(Duration::from_millis(1))); // nothing was written
    /// store.collection("users")?.put("alice", "Alice")?;
    /// assert!(feed.wait(Duration::from_secs(10)));
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    pub fn wait(&mut self, timeout: Duration) -> bool {
        if self.inner.check_owner().is_err() {
            return true; // the next record is that error
        }
        let start = Instant::now();
        let waiters = &self.inner.for_settled;
        let waiting = waiters.number(self.after.next());
        let _forget = Forget { inner: &self.inner, waiting };
        loop {
            // The waker is registered before the position is checked, as in `Commit::poll`.
            waiters.register(waiting, &Waker::from(Arc::new(Unpark(thread::current()))));
            let has_failure = !self.has_ended && self.inner.flush_failure.is_set();
            if has_failure || self.inner.has_settled(self.after.next()) {
                return true;
            }
            let Some(left) = timeout.checked_sub(start.elapsed()) else { return false };
            thread::park_timeout(left);
        }
    }

    fn try_next(&mut self) -> Result<Option<ChangeRecord>> {
        self.inner.check_owner()?;
        // Looked at first: nothing settles after a failure, so the last record comes before it.
        let failure = self.inner.flush_failure.cause();
        if !self.inner.has_settled(self.after.next()) {
            return match failure {
                Some(cause) if !std::mem::replace(&mut self.has_ended, true) => Err(Error::Poisoned { cause }),
                _ => Ok(None),
            };
        }
        if self.has_failed {
            self.reader = self.inner.log.reader(self.after)?;
        }
        let names = match &mut self.names {
            Some(names) => names,
            none => none.insert(self.inner.names_at(self.after)?),
        };
        let Some(record) = self.reader.next()? else { return Ok(None) };
        let (epoch, lsn) = (record.epoch, record.lsn);
        self.has_failed = true;
        let operations = decode(record.payload, lsn).map_err(|error| undecodable(lsn, error))?;
        let mut changes = Vec::new();
        for (index, operation) in (0..).zip(operations) {
            let operation = operation.map_err(|error| undecodable(lsn, error))?;
            changes.push(recorded(names, &operation)?);
            note_name(names, CollectionId { lsn, index }, &operation);
        }
        self.after = lsn;
        self.has_failed = false;
        Ok(Some(ChangeRecord { epoch, lsn, changes }))
    }
}

impl Iterator for ChangeFeed {
    type Item = Result<ChangeRecord>;

    fn next(&mut self) -> Option<Result<ChangeRecord>> {
        self.try_next().transpose()
    }
}

impl fmt::Debug for ChangeFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeFeed").field("position", &self.after).finish_non_exhaustive()
    }
}

impl Shared {
    /// Whether everything up to `position` is published and durable.
    fn has_settled(&self, position: Lsn) -> bool {
        let has = || self.collections.horizon().settled() >= position;
        has() || {
            self.publish();
            has()
        }
    }

    /// The names of the collections at a settled position that the log reaches back to. They come
    /// from the newest checkpoint that is not above that position, and from the log after it.
    fn names_at(&self, position: Lsn) -> Result<Names> {
        let checkpoint = self.checkpoint_upto(position)?;
        let mut names = Names::new();
        let mut reached = Lsn::START;
        if let Some(checkpoint) = checkpoint {
            names.extend(names_in(&*checkpoint)?);
            reached = checkpoint.head().lsn;
        }
        let mut reader = self.log.reader(reached)?;
        while reached < position {
            let Some(record) = reader.next()? else { break };
            reached = record.lsn;
            let operations = decode(record.payload, reached).map_err(|error| undecodable(reached, error))?;
            for (index, operation) in (0..).zip(operations) {
                let operation = operation.map_err(|error| undecodable(reached, error))?;
                note_name(&mut names, CollectionId { lsn: reached, index }, &operation);
            }
        }
        Ok(names)
    }

    /// The newest good checkpoint that is not above `position`; `None` if there is none and the log
    /// reaches back to its beginning. A log may keep more records than it has to. Those from before
    /// the oldest checkpoint are of no use, because the names of their collections are unknown.
    fn checkpoint_upto(&self, position: Lsn) -> Result<Option<Arc<dyn Checkpoint>>> {
        let newest = self.collections.view().checkpoint.clone();
        if let Some(newest) = newest.filter(|newest| newest.head().lsn <= position) {
            return Ok(Some(newest));
        }
        let trimmed = self.log.bounds().trimmed;
        let ids = self.checkpointer.list()?;
        let mut damage = None;
        for id in ids.iter().filter(|id| (trimmed..=position).contains(&id.lsn)) {
            match self.checkpointer.open(*id) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                // A concurrent checkpoint has removed it.
                Err(_) if !self.checkpointer.list()?.contains(id) => return self.checkpoint_upto(position),
                Err(error @ Error::Corrupt { .. }) => damage = damage.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        if trimmed == Lsn::START {
            return Ok(None);
        }
        let oldest = ids.last().map_or(trimmed, |oldest| oldest.lsn);
        Err(damage.unwrap_or(Error::Trimmed { after: position, trimmed: oldest }))
    }
}

/// Applies an operation to the names. `id` is the identity of the collection that it may create.
fn note_name(names: &mut Names, id: CollectionId, operation: &Operation<'_>) {
    match *operation {
        Operation::Create { name } => drop(names.insert(id, name.into())),
        Operation::Drop { collection, .. } => drop(names.remove(&collection)),
        Operation::Rename { collection, to, .. } => drop(names.insert(collection, to.into())),
        Operation::Put { .. } | Operation::Delete { .. } => {}
    }
}

fn recorded(names: &Names, operation: &Operation<'_>) -> Result<RecordedChange> {
    let name_of = |collection: CollectionId| {
        names
            .get(&collection)
            .cloned()
            .ok_or(Error::Misuse("a change of a collection that does not exist was logged".into()))
    };
    Ok(match *operation {
        Operation::Put { collection, key, value } => RecordedChange::Put {
            collection: name_of(collection)?,
            key: Value::copy_from(key),
            value: Value::copy_from(value),
        },
        Operation::Delete { collection, key } => {
            RecordedChange::Delete { collection: name_of(collection)?, key: Value::copy_from(key) }
        }
        Operation::Create { name } => RecordedChange::CollectionCreated { name: name.into() },
        Operation::Drop { name, .. } => RecordedChange::CollectionDropped { name: name.into() },
        Operation::Rename { from, to, .. } => RecordedChange::CollectionRenamed { from: from.into(), to: to.into() },
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

struct Forget<'a> {
    inner: &'a Inner,
    waiting: Waiting,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.inner.for_settled.forget(self.waiting);
    }
}
