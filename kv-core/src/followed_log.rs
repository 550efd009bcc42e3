use std::sync::Arc;

use crate::{Log, LogId, LogReader, Lsn, Record, Result};

/// A log as a [`Follower`](crate::Follower) reads it: that of another process, or one that this
/// process has open ([`LocalLog`]).
///
/// A followed log guarantees the following.
///
/// - **F1 durable**: [`read`](FollowedLog::read) returns no record that a crash could still take
///   back.
/// - **F2 faithful**: it returns the records in order of position, each with exactly the bytes that
///   were appended. It never skips one.
/// - **F3 prompt**: a record that was acknowledged as durable before [`look`](FollowedLog::look)
///   was called is read after it.
/// - **F4 never wrong**: damage to durable records is [`Corrupt`](crate::Error::Corrupt), and
///   records that are gone are [`Trimmed`](crate::Error::Trimmed). That the writer trims the log,
///   crashes, and comes back in a new epoch meanwhile is neither.
/// - **F5 no trace**: it changes nothing, takes no lock, and holds up neither the writer nor
///   trimming.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Durability, FollowedLog, LocalLog, Log, Lsn, MemoryLog};
///
/// let log = Arc::new(MemoryLog::new());
/// let mut followed = LocalLog::new(log.clone()); // or kv-wal's `LogFollower`, or yours
/// log.sync(log.append(b"one", Durability::Disk)?)?;
/// assert!(followed.read(Lsn::START)?.is_none()); // it was not there at the last look
/// followed.look()?;
/// assert_eq!(followed.read(Lsn::START)?.unwrap().payload, b"one");
/// assert!(followed.read(Lsn(1))?.is_none()); // no more at present
/// # Ok::<(), kv_core::Error>(())
/// ```
pub trait FollowedLog: Send {
    /// The log's identity.
    fn id(&self) -> LogId;

    /// Finds out how far the log is durable now. Until the next call, no record beyond that is
    /// read.
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) (F4); [`Io`](crate::Error::Io).
    fn look(&mut self) -> Result<()>;

    /// The last position that the log is known to have forgotten; [`Lsn::START`] if it still has
    /// every record. Does no I/O.
    fn trimmed(&self) -> Lsn;

    /// The record after `after`; `None` if the last look found none that is durable.
    ///
    /// # Errors
    /// [`Corrupt`](crate::Error::Corrupt) (F4). [`Trimmed`](crate::Error::Trimmed) if the log no
    /// longer has the record; [`trimmed`](FollowedLog::trimmed) is then above `after`.
    /// [`Io`](crate::Error::Io).
    fn read(&mut self, after: Lsn) -> Result<Option<Record<'_>>>;
}

/// Follows a log that this process has open, of any kind.
pub struct LocalLog {
    log: Arc<dyn Log>,
    /// What was durable at the last look.
    durable: Lsn,
    /// A reader, and the position that it has read up to.
    reader: Option<(Lsn, Box<dyn LogReader>)>,
}

impl LocalLog {
    /// Follows `log`. Has not looked at it yet.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self { log, durable: Lsn::START, reader: None }
    }
}

impl FollowedLog for LocalLog {
    fn id(&self) -> LogId {
        self.log.id()
    }

    fn look(&mut self) -> Result<()> {
        self.durable = self.log.bounds().durable;
        Ok(())
    }

    fn trimmed(&self) -> Lsn {
        self.log.bounds().trimmed
    }

    fn read(&mut self, after: Lsn) -> Result<Option<Record<'_>>> {
        if after >= self.durable {
            return Ok(None);
        }
        // After an error there is none: a reader that has failed may have passed the record.
        let reader = match self.reader.take() {
            Some((at, reader)) if at == after => reader,
            _ => self.log.reader(after)?,
        };
        let (at, reader) = self.reader.insert((after.next(), reader));
        let read = reader.next();
        if read.is_err() {
            *at = Lsn(u64::MAX); // no position to go on from
        }
        read
    }
}
