use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use kv_core::{Bounds, Durability, Epoch, Error, FlushStats, Log, LogId, LogReader, Lsn, MemoryLog, Record, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    AcknowledgesWithoutWriting,
    AcknowledgesWithoutFlushing,
    AnswersLate,
    AppendsAfterClose,
    AppendsAfterFailure,
    AppendsProcessLikeDisk,
    CloseDoesNotSync,
    CloseHidesFailures,
    CloseStopsReading,
    CountsNoBytes,
    EpochStays,
    ForgetsRecord(usize),
    FullForEver,
    IdentityChanges,
    LeavesGaps,
    LogsWhatItRefuses,
    MisordersBounds,
    ReaderBeginsWhereItIsDurable,
    ReaderEndsForGood,
    ReaderGivesUndurable,
    ReaderIncludesAfter,
    ReaderSkipsTrimmed,
    ReadsTheFuture,
    RefusesWithoutAWord,
    RetriesFlushes,
    ReusesPositionsAfterTrim,
    StripsZeroes,
    SyncFallsShort,
    SyncsTheFuture,
    TrimsOneMore,
    TrimsTheFuture,
    TrimsUndurable,
}

pub struct FlawedLog {
    pub inner: MemoryLog,
    pub flaw: Flaw,
    pub opened: u64,
    pub trimmed: Mutex<Lsn>,
    /// The records that were appended in this opening.
    pub shadow: Arc<Mutex<Vec<Vec<u8>>>>,
    pub failed: AtomicBool,
    pub was_full: AtomicBool,
    pub closed: AtomicBool,
}

impl FlawedLog {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Log for FlawedLog {
    fn id(&self) -> LogId {
        let id = self.inner.id();
        if self.is(Flaw::IdentityChanges) { LogId(id.0 ^ u128::from(self.opened)) } else { id }
    }

    fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.make_room(record_bytes, kept_bytes)
    }

    fn check_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.inner.check_room(record_bytes, kept_bytes)
    }

    fn append_deletion(&self, record: &[u8], durability: Durability, kept_bytes: u64) -> Result<Lsn> {
        let _ = kept_bytes;
        self.append(record, durability)
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        let max = self.inner.bounds().record_bytes_max;
        if self.is(Flaw::LogsWhatItRefuses) && record.len() > max {
            self.inner.append(&record[..max], durability)?;
        }
        if self.is(Flaw::LeavesGaps) && record.len() % 7 == 3 {
            self.inner.append(b"", durability)?;
        }
        if self.is(Flaw::FullForEver) && self.was_full.load(Ordering::Relaxed) {
            return Err(Error::from_io("append to", "", std::io::ErrorKind::StorageFull.into()));
        }
        let record = match self.flaw {
            Flaw::StripsZeroes => &record[..record.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)],
            _ => record,
        };
        let durability = match self.flaw {
            Flaw::AppendsProcessLikeDisk => Durability::Disk,
            Flaw::AcknowledgesWithoutFlushing => Durability::Process,
            _ => durability,
        };
        self.shadow.lock().unwrap().push(record.to_vec());
        match self.inner.append(record, durability) {
            Err(Error::Closed) if self.is(Flaw::AppendsAfterClose) => Ok(self.inner.bounds().appended.next()),
            Err(Error::Poisoned { .. }) if self.is(Flaw::AppendsAfterFailure) => {
                Ok(self.inner.bounds().appended.next())
            }
            Err(error @ Error::DiskFull { .. }) => {
                self.was_full.store(true, Ordering::Relaxed);
                Err(error)
            }
            Ok(_) if self.is(Flaw::AnswersLate) => {
                thread::sleep(Duration::from_micros(50));
                Ok(self.inner.bounds().appended)
            }
            appended => appended,
        }
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        // One at a time, so that the effect of this flaw on the second does not depend on chance.
        let _first = self.is(Flaw::RetriesFlushes).then(|| self.shadow.lock());
        match self.flaw {
            Flaw::AcknowledgesWithoutWriting | Flaw::AcknowledgesWithoutFlushing => return Ok(upto),
            Flaw::SyncsTheFuture if upto > self.inner.bounds().appended => return Ok(upto),
            Flaw::RetriesFlushes if self.failed.load(Ordering::Relaxed) => return Ok(upto),
            _ => {}
        }
        let durable = self.inner.sync(upto);
        if durable.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        if self.is(Flaw::SyncFallsShort) { durable.map(|durable| Lsn(durable.0.saturating_sub(1))) } else { durable }
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        if self.is(Flaw::CloseStopsReading) && self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        if self.is(Flaw::ReaderGivesUndurable) {
            return Ok(Box::new(ShadowReader { shadow: Arc::clone(&self.shadow), after, payload: Vec::new() }));
        }
        let Bounds { durable, appended, .. } = self.inner.bounds();
        let after = match self.flaw {
            Flaw::ReaderBeginsWhereItIsDurable if after <= appended => after.min(durable),
            Flaw::ReadsTheFuture => after.min(appended),
            Flaw::RefusesWithoutAWord if after > appended => return Err(Error::Misuse("too far".into())),
            Flaw::ReaderIncludesAfter => Lsn(after.0.saturating_sub(1)),
            Flaw::ReaderSkipsTrimmed => after.max(self.inner.bounds().trimmed),
            _ => after,
        };
        Ok(Box::new(FlawedReader { inner: self.inner.reader(after)?, flaw: self.flaw, ended: false }))
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        *self.trimmed.lock().unwrap() = upto;
        let appended = self.inner.bounds().appended;
        self.inner.trim(match self.flaw {
            Flaw::TrimsOneMore if upto < appended => upto.next(),
            Flaw::TrimsTheFuture => upto.min(appended),
            _ => upto,
        })
    }

    fn bounds(&self) -> Bounds {
        let mut bounds = self.inner.bounds();
        match self.flaw {
            Flaw::AcknowledgesWithoutWriting | Flaw::AcknowledgesWithoutFlushing => bounds.durable = bounds.appended,
            Flaw::EpochStays => bounds.epoch = Epoch(1),
            Flaw::MisordersBounds => bounds.written = bounds.appended.next(),
            Flaw::TrimsUndurable => bounds.trimmed = *self.trimmed.lock().unwrap(),
            _ => {}
        }
        bounds
    }

    fn flush_stats(&self) -> FlushStats {
        self.inner.flush_stats()
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        if self.is(Flaw::CountsNoBytes) { 0 } else { self.inner.medium_bytes_after(after) }
    }

    fn opening_notes(&self) -> Vec<String> {
        self.inner.opening_notes()
    }

    fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        match self.flaw {
            Flaw::CloseDoesNotSync => Ok(()),
            Flaw::CloseHidesFailures => {
                let _ = self.inner.close();
                Ok(())
            }
            _ => self.inner.close(),
        }
    }
}

struct FlawedReader {
    inner: Box<dyn LogReader>,
    flaw: Flaw,
    ended: bool,
}

impl LogReader for FlawedReader {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        if self.ended && self.flaw == Flaw::ReaderEndsForGood {
            return Ok(None);
        }
        let record = self.inner.next()?;
        self.ended = record.is_none();
        let epoch = |record: Record<'_>| if self.flaw == Flaw::EpochStays { Epoch(1) } else { record.epoch };
        Ok(record.map(|record| Record { epoch: epoch(record), ..record }))
    }
}

struct ShadowReader {
    shadow: Arc<Mutex<Vec<Vec<u8>>>>,
    after: Lsn,
    payload: Vec<u8>,
}

impl LogReader for ShadowReader {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        let Some(payload) = self.shadow.lock().unwrap().get(self.after.0 as usize).cloned() else { return Ok(None) };
        self.after = self.after.next();
        self.payload = payload;
        Ok(Some(Record { epoch: Epoch(1), lsn: self.after, payload: &self.payload }))
    }
}
