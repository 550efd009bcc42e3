//! A log whose flush takes two steps, so that other threads may run in between.

use std::sync::{Arc, Mutex as StdMutex, MutexGuard as StdMutexGuard};

use kv_core::{Bounds, Durability, Epoch, Error, Log, LogId, LogReader, Lsn, Record, Result};
use loom::sync::Mutex;

#[derive(Default)]
pub struct ModelLog {
    /// The log as loom sees it: every call locks this for a moment, so that loom may switch
    /// threads.
    turn: Arc<Mutex<()>>,
    /// The lock is the standard library's: loom does not switch threads while it is held.
    state: Arc<StdMutex<State>>,
}

#[derive(Default)]
struct State {
    /// The records from position 1 on, each with its durability.
    records: Vec<(Durability, Arc<[u8]>)>,
    written: Lsn,
    durable: Lsn,
    flush_fails: bool,
    failure: Option<Arc<Error>>,
}

impl ModelLog {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes the next flush fail, for good.
    pub fn fail_flush(&self) {
        self.lock().flush_fails = true;
    }

    /// The last position that a power cut would leave now.
    pub fn durable(&self) -> Lsn {
        self.lock().durable
    }

    /// The last position that a reader may see now: everything up to it is with the kernel, and
    /// every `Disk` record up to it is durable.
    pub fn may_be_seen(&self) -> Lsn {
        let state = self.lock();
        let waits = |&(lsn, durability): &(Lsn, Durability)| lsn > state.durable && durability == Durability::Disk;
        let first_waiting = state.positions().find(waits);
        first_waiting.map_or(state.written, |(lsn, _)| state.written.min(Lsn(lsn.0 - 1)))
    }

    fn step(&self) -> StdMutexGuard<'_, State> {
        drop(self.turn.lock().unwrap());
        self.lock()
    }

    fn lock(&self) -> StdMutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn appended(&self) -> Lsn {
        Lsn(self.records.len() as u64)
    }

    fn positions(&self) -> impl Iterator<Item = (Lsn, Durability)> {
        (1..).map(Lsn).zip(self.records.iter().map(|(durability, _)| *durability))
    }
}

impl Log for ModelLog {
    fn id(&self) -> LogId {
        LogId(1)
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        let mut state = self.step();
        if let Some(cause) = state.failure.clone() {
            return Err(Error::Poisoned { cause });
        }
        let alone = state.written == state.appended();
        state.records.push((durability, record.into()));
        if alone && durability == Durability::Process {
            state.written = state.appended();
        }
        Ok(state.appended())
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        let flushed = {
            let mut state = self.step();
            if state.durable >= upto {
                return Ok(state.durable);
            }
            state.written = state.appended();
            state.written
        };
        let mut state = self.step();
        if std::mem::take(&mut state.flush_fails) {
            state.failure = Some(Arc::new(Error::Misuse("the disk fails, as the test requested".into())));
        }
        if let Some(cause) = state.failure.clone() {
            return Err(Error::OutcomeUnknown { cause });
        }
        state.durable = state.durable.max(flushed);
        Ok(state.durable)
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        let log = Self { turn: Arc::clone(&self.turn), state: Arc::clone(&self.state) };
        Ok(Box::new(Reader { log, after, current: Arc::default() }))
    }

    fn trim(&self, _upto: Lsn) -> Result<()> {
        Ok(())
    }

    fn bounds(&self) -> Bounds {
        let state = self.step();
        Bounds {
            trimmed: Lsn::START,
            durable: state.durable,
            written: state.written,
            appended: state.appended(),
            epoch: Epoch(1),
            record_bytes_max: usize::MAX,
        }
    }

    fn medium_bytes_after(&self, _after: Lsn) -> u64 {
        0
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

struct Reader {
    log: ModelLog,
    after: Lsn,
    current: Arc<[u8]>,
}

impl LogReader for Reader {
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        let state = self.log.step();
        if state.durable <= self.after {
            return Ok(None);
        }
        self.current = Arc::clone(&state.records[self.after.0 as usize].1);
        self.after = self.after.next();
        Ok(Some(Record { epoch: Epoch(1), lsn: self.after, payload: &self.current }))
    }
}
