//! Positions and identities.

use std::fmt;

/// A log sequence number: the position of a record in its log, dense from 1.
///
/// ```
/// use kv_core::Lsn;
///
/// assert_eq!(Lsn::START.next(), Lsn(1)); // the first record's
/// assert_eq!(Lsn(12).to_string(), "12");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position before the first record.
    pub const START: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which opening for writing of its log a record comes from; it rises by at least one with each.
///
/// ```
/// use kv_core::{Log, MemoryLog, MemoryLogMedium};
///
/// let medium = MemoryLogMedium::new();
/// let first = MemoryLog::open(&medium)?.bounds().epoch;
/// assert!(MemoryLog::open(&medium)?.bounds().epoch > first);
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a log, random at its creation and kept in every checkpoint made from it.
///
/// ```
/// assert_eq!(kv_core::LogId(0xa1).to_string(), "000000000000000000000000000000a1");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u128);

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The identity of a collection: the position of the record that created it and the index of the operation within the record.
///
/// A collection that is dropped and made again is another one.
///
/// ```
/// # use kv_core::Store;
/// # let store = Store::in_memory()?;
/// let id = |store: &Store| store.collections().map(|collections| collections[0].id);
/// store.create_collection("users")?;
/// let first = id(&store)?;
/// store.drop_collection("users")?;
/// store.create_collection("users")?;
/// assert!(id(&store)? > first);
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId {
    /// The position of the record that created the collection.
    pub lsn: Lsn,
    /// The index of the creating operation within the record.
    pub index: u32,
}

/// The identity of a checkpoint. Ids of one directory order by age.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// # use kv_core::Lsn;
/// store.collection("users")?.put("alice", "Alice")?;
/// let id = store.checkpoint()?.unwrap();
/// assert_eq!(id.lsn, Lsn(1));
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointId {
    /// The epoch in which it was made.
    pub epoch: Epoch,
    /// The position whose state it holds.
    pub lsn: Lsn,
    /// Tells checkpoints of the same position apart; higher is newer. Unique in a directory.
    pub seq: u64,
}
