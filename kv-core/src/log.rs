use std::time::Duration;

use crate::{Durability, Epoch, LogId, Lsn, Result};

/// An ordered, durable sequence of opaque records.
///
/// Every record has a *position*, its log sequence number ([`Lsn`]). The log numbers the records
/// itself; records that a backend writes for its own use take no positions. All methods may be
/// called from any thread at any time.
///
/// A log guarantees the following. The suite in kv-testkit checks each guarantee under its number.
///
/// - **L1 dense**: the first record has position 1. Each further record has the position after that
///   of the last record that survives.
/// - **L2 faithful**: a reader returns the records in order of position, each with exactly the
///   bytes that were appended.
/// - **L3 durable**: after `sync(upto)` has returned `d`, `d >= upto` holds, and the records up to
///   `d` survive a power cut.
/// - **L4 process**: a record appended with [`Durability::Process`] survives a kill of the process
///   once `append` has returned. If records appended with [`Durability::Disk`] are still waiting
///   ahead of it, it survives as soon as they do.
/// - **L5 refusal**: a refused append (record too large, no space, log closed, or a durability that
///   the log cannot give) has logged nothing, and the log stays usable.
/// - **L6 final**: any other failure of a write or flush is final. From then on `append` fails with
///   [`Error::Poisoned`](crate::Error::Poisoned), which carries the first cause. A `sync` for
///   records that were part of the failed write or flush fails with
///   [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown), which carries the same cause, whether
///   it was waiting at that time or is called later. A failed flush is never retried. `sync` up to
///   the durable position, `reader` and `bounds` go on working.
/// - **L7 reading**: a reader returns the records after `after`, up to the position that is durable
///   at the time of each call, and never a record that is not durable. At the end it returns
///   `None`, and it continues when there are more records. Where records have been trimmed it fails
///   with [`Error::Trimmed`](crate::Error::Trimmed); it never leaves a gap. `after` may be any
///   position up to [`Bounds::appended`]. A reader that begins ahead of the durable position
///   returns `None` until `after` is durable, and then continues with the record that follows it.
///   No record has a position above `appended`: `sync`, `reader` and `trim` refuse such a position
///   with [`Error::Misuse`](crate::Error::Misuse), which names both positions.
/// - **L8 trimming**: `trim(upto)` may forget the records up to `upto`, or only some of the oldest,
///   but never one above `upto` or above the durable position. An `upto` above `appended` is
///   refused (L7), and nothing is forgotten.
/// - **L9 prefix**: after a crash the log holds a prefix of the records that were appended. The
///   prefix includes every record that survives that crash by L3 and L4.
/// - **L10 epoch**: each opening for writing has an epoch above that of every earlier record. Each
///   record carries the epoch of the opening that appended it.
/// - **L11 no reuse**: a position that was once durable is never given to another record, even
///   after everything has been trimmed.
/// - **L12 close**: `close` makes everything durable. Afterwards `append` fails with
///   [`Error::Closed`](crate::Error::Closed), and everything else goes on working. Closing again is
///   allowed.
/// - **L13 identity**: `id` is the same at every opening.
/// - **L14 never wrong**: the log never returns a damaged byte as data, and never skips a record.
///   See below.
///
/// # Damage and torn tails (L14)
///
/// Bytes that differ from what was written are either *damage* to records that were durable, or a
/// *torn tail*: the remains of a write that a crash cut off, and that was never promised to survive
/// that crash. Only proof tells the two apart. Anything intact on the medium that states that a
/// position was durable is proof. Examples are a later record that carries the durable position at
/// the time when it was written, a mark that is written when a flush is acknowledged, and the note
/// of a clean close.
///
/// 1. If a record is damaged or missing, and its position is proven durable, then the opening, or
///    the reader that reaches the record, fails with [`Error::Corrupt`](crate::Error::Corrupt). The
///    error names the place. The reader returns no record behind it.
/// 2. If nothing proves that the record was durable, the log ends before it. The opening succeeds,
///    truncates the remains so that they never come back, and reports this in
///    [`opening_notes`](Log::opening_notes).
/// 3. Files that are missing at the beginning of a log may be taken for trimmed ones (L7, L8).
///    Nothing else may.
///
/// A log that finds damage that costs no record, such as damage in padding, may either go on or
/// refuse to open.
///
/// A log keeps enough proof that damage in one place is never silent. The suite damages one block,
/// or one file, of a medium at rest. If the log then opens and a reader reaches its end, at most
/// this much may be missing:
///
/// | | one block (any byte, or all of it) | one file (cut, gone, replaced by an older copy or another file) |
/// |---|---|---|
/// | after a clean close | nothing | nothing |
/// | after a killed process | nothing up to the durable position | nothing up to the durable position |
/// | after a power cut | the group that the last flush made durable, and what follows it | any tail |
///
/// After a power cut less is proven, because the proof of the last flush may not have reached the
/// disk. A log whose medium cannot be damaged keeps L14 without doing anything.
///
/// ```
/// use kv_core::{Durability, Log, Lsn, MemoryLog};
///
/// let log = MemoryLog::new(); // or kv-wal's `SegmentedLog`, or yours
/// let lsn = log.append(b"one", Durability::Disk)?; // it has a position
/// assert!(log.sync(lsn)? >= lsn); // it is durable
/// let mut reader = log.reader(Lsn::START)?;
/// let record = reader.next()?.unwrap();
/// assert_eq!((record.lsn, record.payload), (lsn, &b"one"[..]));
/// assert!(reader.next()?.is_none()); // no more at present
/// assert_eq!(log.bounds().durable, lsn);
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait Log: Send + Sync {
    /// The log's identity (L13).
    fn id(&self) -> LogId;

    /// Makes sure, as far as that is possible, that the next record finds room if it has at most
    /// `record_bytes` bytes. From now on, also for later records, the log leaves `kept_bytes` bytes
    /// of the medium free. The store keeps that room for the checkpoint that allows it to trim the
    /// log. Appends nothing. By default there is always room, and nothing is kept free.
    ///
    /// # Errors
    /// [`DiskFull`](crate::Error::DiskFull) if there is no room: [`append`](Log::append) would
    /// refuse such a record. [`Io`](crate::Error::Io), and, if it is final,
    /// [`Poisoned`](crate::Error::Poisoned).
    fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        let _ = (record_bytes, kept_bytes);
        Ok(())
    }

    /// Whether a record of up to `record_bytes` bytes would find room if the log left `kept_bytes`
    /// bytes of the medium free, whatever [`make_room`](Log::make_room) has set. Changes nothing,
    /// except that the default asks `make_room`, which the store calls again before the next write.
    ///
    /// # Errors
    /// [`DiskFull`](crate::Error::DiskFull) if there is no room.
    fn check_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.make_room(record_bytes, kept_bytes)
    }

    /// Adds a record to the end of the log and returns its position. The record is durable only
    /// after [`sync`](Log::sync) up to that position.
    ///
    /// # Errors
    /// These refuse the record (L5): [`BatchTooLarge`](crate::Error::BatchTooLarge) above
    /// [`Bounds::record_bytes_max`], [`DiskFull`](crate::Error::DiskFull),
    /// [`Closed`](crate::Error::Closed) and
    /// [`UnsupportedDurability`](crate::Error::UnsupportedDurability). These are final (L6):
    /// [`Poisoned`](crate::Error::Poisoned) and [`Fenced`](crate::Error::Fenced). If the record
    /// gets a position and then cannot be handed to the kernel, the call fails with
    /// [`OutcomeUnknown`](crate::Error::OutcomeUnknown).
    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn>;

    /// As [`append`](Log::append), for a record that only deletes: if there is no room for it
    /// otherwise, it may take what is kept free, except for `kept_bytes` bytes. This is for no
    /// other record: until the medium has as much room again as [`make_room`](Log::make_room)
    /// wants to keep, `make_room` fails, even if what was taken has room for more records. The
    /// default has `make_room` keep only these bytes, and appends.
    ///
    /// # Errors
    /// As [`append`](Log::append).
    fn append_deletion(&self, record: &[u8], durability: Durability, kept_bytes: u64) -> Result<Lsn> {
        self.make_room(record.len(), kept_bytes)?;
        self.append(record, durability)
    }

    /// Makes the records up to `upto` durable and returns the durable position, which is at least
    /// `upto` (L3). Concurrent callers share a flush. If a backend can retry a write, or can find
    /// out an unknown outcome, it does so here.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](crate::Error::OutcomeUnknown) (L6); [`Misuse`](crate::Error::Misuse) if
    /// `upto` is above [`Bounds::appended`]. [`DiskFull`](crate::Error::DiskFull) and
    /// [`Io`](crate::Error::Io) only before this opening has appended anything: the log could not
    /// write what it needs before its first record, and nothing has changed.
    fn sync(&self, upto: Lsn) -> Result<Lsn>;

    /// Returns a reader of the records after `after`, which may be ahead of the durable position
    /// (L7).
    ///
    /// # Errors
    /// [`Trimmed`](crate::Error::Trimmed) if `after` is below [`Bounds::trimmed`];
    /// [`Misuse`](crate::Error::Misuse) if it is above [`Bounds::appended`].
    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>>;

    /// Allows the log to forget the records up to `upto` (L8).
    ///
    /// # Errors
    /// [`Misuse`](crate::Error::Misuse) if `upto` is above [`Bounds::appended`];
    /// [`Poisoned`](crate::Error::Poisoned) after a failure (L6); [`Io`](crate::Error::Io), after
    /// which the log may have forgotten only some of the records.
    fn trim(&self, upto: Lsn) -> Result<()>;

    /// The positions that the log has reached. Does no I/O.
    ///
    /// The log puts each call of this before or after each change of the written and of the durable
    /// position, as a lock would: a thread that changes one of them sees what the caller did
    /// before, or the caller sees the change.
    fn bounds(&self) -> Bounds;

    /// Roughly how many bytes the records after `after` take on the medium. Does no I/O. Small
    /// records that are synced one by one may take far more than their own length. The store uses
    /// this number to bound the size of the log.
    fn medium_bytes_after(&self, after: Lsn) -> u64;

    /// What the log has flushed since it was opened, and what waits for a flush. Does no I/O. The
    /// default counts nothing.
    fn flush_stats(&self) -> FlushStats {
        FlushStats::default()
    }

    /// What the user of the log should know about its opening: what was found and done. Each note
    /// is a clause such as "cut a torn tail of 24 bytes". The default has none.
    fn opening_notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes everything durable, and takes no more records. The medium may note that the log was
    /// closed cleanly (L12).
    ///
    /// # Errors
    /// As [`sync`](Log::sync).
    fn close(&self) -> Result<()>;
}

/// What a log has flushed since it was opened, and what waits for a flush.
///
/// ```
/// # use std::time::Duration;
/// use kv_core::FlushStats;
///
/// let mut stats = FlushStats::default();
/// stats.count(3, Duration::from_micros(200)); // a group of three records
/// stats.count(1, Duration::from_micros(100));
/// assert_eq!((stats.flushes, stats.records, stats.largest_group), (2, 4, 3));
/// assert_eq!((stats.time.as_micros(), stats.longest.as_micros()), (300, 200));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushStats {
    /// How many flushes have succeeded.
    pub flushes: u64,
    /// How many records they have made durable. Divided by `flushes`, this is how large a group is
    /// on average: how many records share a flush.
    pub records: u64,
    /// The most records that one flush has made durable.
    pub largest_group: u64,
    /// How long these flushes took in all, from taking the group to its acknowledgement.
    pub time: Duration,
    /// How long the longest took.
    pub longest: Duration,
    /// How many bytes wait in memory for the next flush. What a flush that is under way has taken
    /// is not among them.
    pub waiting_bytes: u64,
    /// How many segments were begun, in a log that consists of segments.
    pub segments: u64,
    /// How many of them had their space reserved instead of filled with zeroes, because records
    /// were long.
    pub reserved_segments: u64,
}

impl FlushStats {
    /// Counts a flush that has succeeded.
    pub fn count(&mut self, records: u64, took: Duration) {
        self.flushes += 1;
        self.records += records;
        self.largest_group = self.largest_group.max(records);
        self.time += took;
        self.longest = self.longest.max(took);
    }
}

/// Reads the records of a log one after the other.
///
/// ```
/// # use kv_core::{Durability, Log, Lsn, MemoryLog};
/// # let log = MemoryLog::new();
/// let mut reader = log.reader(Lsn::START)?;
/// assert!(reader.next()?.is_none()); // nothing yet
/// let lsn = log.append(b"one", Durability::Disk)?;
/// assert!(reader.next()?.is_none()); // not durable yet
/// log.sync(lsn)?;
/// assert_eq!(reader.next()?.unwrap().payload, b"one");
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait LogReader: Send {
    /// The next record, or `None` if there is none at present (L7).
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) if the next record is damaged or missing (L14);
    /// [`Trimmed`](crate::Error::Trimmed); [`Io`](crate::Error::Io) if it cannot be read.
    fn next(&mut self) -> Result<Option<Record<'_>>>;
}

/// A record of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The epoch of the opening for writing that appended the record.
    pub epoch: Epoch,
    /// The record's position.
    pub lsn: Lsn,
    /// The bytes that were appended.
    pub payload: &'a [u8],
}

/// The positions that a log has reached: `trimmed <= durable <= written <= appended`.
///
/// ```
/// # use kv_core::{Durability, Log, Lsn, MemoryLog};
/// # let log = MemoryLog::new();
/// log.append(b"one", Durability::Disk)?;
/// let bounds = log.bounds();
/// assert_eq!((bounds.appended, bounds.durable), (Lsn(1), Lsn(0))); // not durable until a sync
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The last position that the log has forgotten; [`Lsn::START`] if it still has every record.
    pub trimmed: Lsn,
    /// The last position that survives a power cut.
    pub durable: Lsn,
    /// The last position that survives a kill of the process.
    pub written: Lsn,
    /// The last position that was given to a record.
    pub appended: Lsn,
    /// The epoch of this opening.
    pub epoch: Epoch,
    /// The largest record that the log takes, in bytes.
    pub record_bytes_max: usize,
}
