//! Positions and identities.

use std::fmt;

/// A log sequence number: the position of a record in its log. Positions are dense and start at 1.
/// The documentation says "position" throughout.
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

/// The number of an opening for writing. Each opening has a higher epoch than every opening before
/// it. A record carries the epoch of the opening that appended it.
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

/// The identity of a log. It is chosen at random when the log is created, and every checkpoint that
/// is made from the log carries it.
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

/// The identity of a collection: the position of the record that created it, and the index of the
/// creating operation within that record.
///
/// A collection that is dropped and created again has another identity.
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

impl CollectionId {
    /// The collection that every checkpoint has, and that no user sees: for each collection that
    /// exists, it holds its [key](CollectionId::to_key) with its name as the value.
    pub const NAMES: Self = Self { lsn: Lsn::START, index: 0 };

    /// The key of this collection in [`NAMES`](CollectionId::NAMES). Keys sort as identities do.
    pub fn to_key(self) -> [u8; 12] {
        let mut key = [0; 12];
        key[..8].copy_from_slice(&self.lsn.0.to_be_bytes());
        key[8..].copy_from_slice(&self.index.to_be_bytes());
        key
    }

    /// The collection that a key of [`NAMES`](CollectionId::NAMES) stands for; `None` if it is not
    /// such a key.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (lsn, index) = key.split_first_chunk::<8>()?;
        let index = index.try_into().ok()?;
        Some(Self { lsn: Lsn(u64::from_be_bytes(*lsn)), index: u32::from_be_bytes(index) })
    }
}

/// The identity of a checkpoint. The ids in one directory sort by age.
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
    /// Distinguishes checkpoints of the same position; a higher one is newer. Unique in a
    /// directory.
    pub seq: u64,
}
