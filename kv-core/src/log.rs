use crate::{Durability, Epoch, LogId, Lsn, Result};

/// An ordered, durable sequence of opaque records.
///
/// Positions are the log's own numbering: control records of the medium take none. All methods may be called from any
/// thread at any time. Guarantees, each checked by the suite in kv-testkit under its number:
///
/// - **L1 dense**: the first record has position 1, and each further one the position after the last that survives.
/// - **L2 faithful**: a reader gives the records in order of position, each with exactly the bytes that were appended.
/// - **L3 durable**: after `sync(upto)` returned `d`, `d >= upto`, and the records up to `d` survive a power cut.
/// - **L4 process**: a record appended with [`Durability::Process`] survives a killed process once `append` returned, unless records
///   appended with [`Durability::Disk`] wait before it: then it survives with them.
/// - **L5 refusal**: an append that is refused (too large, no space, closed, a durability that the log cannot give) logged nothing, and
///   the log stays usable.
/// - **L6 final**: any other failure of a write or flush is final. From then on `append` fails with
///   [`Error::Poisoned`](crate::Error::Poisoned) carrying the first cause; a `sync` that waited for records which
///   were part of it, or is called for such records later, fails with [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) carrying it. Never is a
///   failed flush retried. `sync` up to the durable position, `reader` and `bounds` go on working.
/// - **L7 reading**: a reader gives the records after `after` up to the durable position at the
///   time of each call, and no record that is not durable. At the end it gives `None`, and goes on
///   when there is more. Where records have been trimmed the answer is
///   [`Error::Trimmed`](crate::Error::Trimmed), never a gap. `after` may be any position up to
///   [`Bounds::appended`]. A reader that begins ahead of the durable position gives `None` until
///   `after` is durable, and then goes on with the record that follows it. No record has a position
///   above `appended`: `sync`, `reader` and `trim` refuse one with
///   [`Error::Misuse`](crate::Error::Misuse), which names both positions.
/// - **L8 trimming**: `trim(upto)` may forget records up to `upto`, or fewer, but never one above `upto` or above the durable position.
///   One above `appended` is refused (L7), and nothing is forgotten.
/// - **L9 prefix**: after a crash the log holds a prefix of what was appended, and in it every record that survives that crash
///   by L3 and L4.
/// - **L10 epoch**: each opening for writing has an epoch above that of every record before it; records carry theirs.
/// - **L11 no reuse**: a position that was once durable is never given to another record, even after everything was trimmed.
/// - **L12 close**: `close` makes everything durable. Afterwards `append` fails with [`Error::Closed`](crate::Error::Closed); the rest goes on.
///   Closing twice is allowed.
/// - **L13 identity**: `id` is the same at every opening.
/// - **L14 never wrong**: a damaged byte is never given as data, and no record is skipped. See
///   below.
///
/// # Damage and torn tails (L14)
///
/// Bytes that differ from what was written are either *damage* to records that were durable, or a
/// *torn tail*: the remains of a write that a crash cut off, and that nobody was promised. Only
/// proof tells the two apart. Proof is anything intact on the medium that states that a position
/// was durable, such as a later record that carries the durable position of its time, a mark that
/// is written when a flush is acknowledged, or the note of a clean close.
///
/// 1. If a record is damaged or missing, and its position is proven durable, then the opening fails
///    with [`Error::Corrupt`](crate::Error::Corrupt), or the reader that comes to the record does.
///    The error names the place. The reader gives no record behind it.
/// 2. If nothing proves it, the log ends before that record. The opening succeeds, cuts the remains
///    so that they never come back, and reports the cut in [`opening_notes`](Log::opening_notes).
/// 3. Files that are missing from the beginning of a log may be taken for trimmed ones (L7, L8).
///    Nothing else may.
///
/// A log that meets damage which costs nothing, as in padding, may go on or refuse.
///
/// A log keeps enough proof that damage in one place is never silent. The suite damages one block,
/// or one file, of a medium at rest. If the log then opens and a reader reaches its end, this much
/// may be missing:
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
/// let lsn = log.append(b"one", Durability::Disk)?; // ordered
/// assert!(log.sync(lsn)? >= lsn); // durable
/// let mut reader = log.reader(Lsn::START)?;
/// let record = reader.next()?.unwrap();
/// assert_eq!((record.lsn, record.payload), (lsn, &b"one"[..]));
/// assert!(reader.next()?.is_none()); // for now
/// assert_eq!(log.bounds().durable, lsn);
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait Log: Send + Sync {
    /// The log's identity (L13).
    fn id(&self) -> LogId;

    /// Orders the record after all before it and returns its position. It is durable only after [`sync`](Log::sync) up to that position.
    ///
    /// # Errors
    /// [`BatchTooLarge`](crate::Error::BatchTooLarge) above [`Bounds::record_bytes_max`],
    /// [`DiskFull`](crate::Error::DiskFull), [`Closed`](crate::Error::Closed) and
    /// [`UnsupportedDurability`](crate::Error::UnsupportedDurability) refuse (L5);
    /// [`Poisoned`](crate::Error::Poisoned) and [`Fenced`](crate::Error::Fenced) are final (L6). Where this very call fails to hand the
    /// record to the kernel, it is [`OutcomeUnknown`](crate::Error::OutcomeUnknown).
    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn>;

    /// Makes the records up to `upto` durable and returns the durable position, which is at least `upto` (L3). Concurrent
    /// callers share a flush. A backend that can retry or find out an unknown outcome does so in here.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](crate::Error::OutcomeUnknown) (L6); [`Misuse`](crate::Error::Misuse) if
    /// `upto` lies above [`Bounds::appended`]. [`DiskFull`](crate::Error::DiskFull) and
    /// [`Io`](crate::Error::Io) only before this opening has appended anything: they refuse what
    /// the log needs to begin with, and change nothing.
    fn sync(&self, upto: Lsn) -> Result<Lsn>;

    /// Reads the records after `after`, which may be ahead of the durable position (L7).
    ///
    /// # Errors
    /// [`Trimmed`](crate::Error::Trimmed) if `after` lies before [`Bounds::trimmed`];
    /// [`Misuse`](crate::Error::Misuse) if it lies above [`Bounds::appended`].
    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>>;

    /// Allows the log to forget the records up to `upto` (L8).
    ///
    /// # Errors
    /// [`Misuse`](crate::Error::Misuse) if `upto` lies above [`Bounds::appended`];
    /// [`Poisoned`](crate::Error::Poisoned) after a failure (L6); [`Io`](crate::Error::Io), after
    /// which the log may have forgotten only some of them.
    fn trim(&self, upto: Lsn) -> Result<()>;

    /// Where the log stands. Does no I/O.
    fn bounds(&self) -> Bounds;

    /// About how many bytes of its medium hold the records after `after`. Does no I/O. Small synced records may take far more of the medium
    /// than their own length; whoever bounds the log's size needs to know.
    fn medium_bytes_after(&self, after: Lsn) -> u64;

    /// What opening the log found and did that its user should hear of, each a clause such as "cut a torn tail of 24 bytes". Nothing by
    /// default.
    fn opening_notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes everything durable and takes no more records; a medium may note that it was left clean (L12).
    fn close(&self) -> Result<()>;
}

/// A position in a log from which records are read one after the other.
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
    /// The next record, or `None` at the end for now (L7).
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) if the next record is damaged or missing (L14);
    /// [`Trimmed`](crate::Error::Trimmed); [`Io`](crate::Error::Io) if it cannot be read.
    fn next(&mut self) -> Result<Option<Record<'_>>>;
}

/// A record of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The opening for writing from which the record comes.
    pub epoch: Epoch,
    /// The record's position.
    pub lsn: Lsn,
    /// The bytes that were appended.
    pub payload: &'a [u8],
}

/// Where a log stands: `trimmed <= durable <= written <= appended`.
///
/// ```
/// # use kv_core::{Durability, Log, Lsn, MemoryLog};
/// # let log = MemoryLog::new();
/// log.append(b"one", Durability::Disk)?;
/// let bounds = log.bounds();
/// assert_eq!((bounds.appended, bounds.durable), (Lsn(1), Lsn(0))); // it waits for a sync
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The last position that the log has forgotten; [`Lsn::START`] if it has everything.
    pub trimmed: Lsn,
    /// The last position that survives a power cut.
    pub durable: Lsn,
    /// The last position that survives a killed process.
    pub written: Lsn,
    /// The last position that was given to a record.
    pub appended: Lsn,
    /// The epoch of this opening.
    pub epoch: Epoch,
    /// The largest record that the log takes, in bytes.
    pub record_bytes_max: usize,
}
