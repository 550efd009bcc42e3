use std::{fmt, sync::Arc};

use super::log_medium::{MemoryLogMedium, State};
use crate::{Bounds, Durability, Log, LogId, LogReader, Lsn, Record, Result, sync::MutexGuard};

/// A [`Log`] in memory. It offers both durabilities: a crash that its [medium](MemoryLogMedium)
/// simulates keeps the records that have to survive it. The medium cannot be damaged, so there is
/// nothing to prove (L14).
///
/// Dropping the log without [`close`](Log::close) has the effect of a kill of the process: records
/// that were not yet handed to the medium are lost.
///
/// ```
/// use kv_core::{Durability, Log, MemoryLog, MemoryLogMedium};
///
/// let medium = MemoryLogMedium::new();
/// let log = MemoryLog::open(&medium)?;
/// let lsn = log.append(b"hello", Durability::Disk)?;
/// log.sync(lsn)?;
/// drop(log);
///
/// let log = MemoryLog::open(&medium)?;
/// assert_eq!(log.bounds().durable, lsn);
/// # Ok::<(), kv_core::Error>(())
/// ```
pub struct MemoryLog {
    medium: MemoryLogMedium,
}

impl MemoryLog {
    /// An empty log on a medium of its own.
    pub fn new() -> Self {
        let medium = MemoryLogMedium::new();
        medium.state().start();
        Self { medium }
    }

    /// Opens the log on `medium` for writing.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) while another `MemoryLog` on the same medium exists.
    pub fn open(medium: &MemoryLogMedium) -> Result<Self> {
        medium.state().start_alone()?;
        Ok(Self { medium: medium.clone() })
    }

    /// The medium that the log is on.
    pub fn medium(&self) -> &MemoryLogMedium {
        &self.medium
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.medium.state()
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        self.state().end();
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("bounds", &self.bounds()).finish()
    }
}

impl Log for MemoryLog {
    fn id(&self) -> LogId {
        self.state().id
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.state().append(record, durability)
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.state().sync(upto)
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.state().check_readable_after(after)?;
        Ok(Box::new(MemoryLogReader { medium: self.medium.clone(), after, current: Arc::default() }))
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        self.state().trim(upto)
    }

    fn bounds(&self) -> Bounds {
        self.state().bounds()
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        self.state().payload_bytes_after(after)
    }

    fn close(&self) -> Result<()> {
        self.state().close()
    }
}

struct MemoryLogReader {
    medium: MemoryLogMedium,
    after: Lsn,
    current: Arc<[u8]>,
}

impl LogReader for MemoryLogReader {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        let state = self.medium.state();
        let Some((epoch, payload)) = state.durable_record_after(self.after)? else { return Ok(None) };
        self.after = self.after.next();
        self.current = payload;
        Ok(Some(Record { epoch, lsn: self.after, payload: &self.current }))
    }
}
