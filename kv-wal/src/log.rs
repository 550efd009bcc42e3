use std::{
    fmt,
    sync::{Arc, PoisonError},
};

use kv_core::{
    Bounds, Durability, Error, Log, LogId, LogReader, Lsn, Result,
    background::{Job, Next, Wake},
};
use kv_vfs::{Lock, Vfs};

use crate::{
    open,
    options::Options,
    reader::Reader,
    recovery::LogRecovery,
    sync::Mutex,
    write::{Guard, Shared, check_space},
};

/// A durable log of opaque records in segments, the files of one directory.
///
/// It belongs to the process that opened it: in a child made by `fork` every call but
/// [`bounds`](Log::bounds) and [`medium_bytes_after`](Log::medium_bytes_after) is refused with
/// [`Error::Forked`], and dropping it does nothing.
///
/// It implements [`Log`]. Dropping it flushes nothing and leaves it as a killed process would: call [`close`](Log::close) to leave
/// it clean.
pub struct SegmentedLog {
    shared: Arc<Shared>,
    recovery: LogRecovery,
    record_bytes_max: usize,
    buffered_bytes_max: usize,
    /// Who prepares spares; `None` once the log is closed. Dropping it waits for a run that is under way.
    spares: Mutex<Option<Box<dyn Wake>>>,
    /// Whether the seal is written; the lock lets only one caller write it.
    sealed: Mutex<bool>,
    /// Dropped last.
    lock: Lock,
}

impl SegmentedLog {
    /// Opens the log in that directory, and creates it if there is none, unless the options say otherwise. An existing log is only read; it is first written by the
    /// first [`append`](Log::append).
    ///
    /// # Errors
    /// [`Locked`](Error::Locked) if it is open already; [`Corrupt`](Error::Corrupt) if something that was durable is proven to be
    /// damaged or missing, and then nothing was changed; [`NewerVersion`](Error::NewerVersion); [`DiskFull`](Error::DiskFull) and
    /// [`Io`](Error::Io), with [`NotFound`](std::io::ErrorKind::NotFound) if there is no log and none was to be created.
    pub fn open(vfs: Arc<dyn Vfs>, options: Options) -> Result<Self> {
        let lock = open::lock(&*vfs)?;
        let sizes = options.sizes(vfs.block_bytes());
        let (shared, recovery) = open::open(vfs, sizes, &options)?;
        let job = SpareJob { shared: Arc::clone(&shared) };
        let spares = { options.scheduler }.spawn("kv-wal-spare", Box::new(job))?;
        Ok(Self {
            shared,
            recovery,
            record_bytes_max: sizes.record_max,
            buffered_bytes_max: sizes.buffered_max,
            spares: Mutex::new(Some(spares)),
            sealed: Mutex::new(false),
            lock,
        })
    }

    /// What was found when the log was opened.
    pub fn recovery(&self) -> &LogRecovery {
        &self.recovery
    }

    /// Fails in a child, made by `fork`, of the process that opened the log: before any lock is
    /// taken, since another thread may have held it at that moment, and hold it in the child for
    /// ever. The first call there closes what the child inherited of the lock on the directory.
    ///
    /// # Errors
    /// [`Forked`](Error::Forked).
    pub fn check_owner(&self) -> Result<()> {
        if self.lock.is_ours() { Ok(()) } else { Err(Error::Forked) }
    }

    /// Waits until the active segment has room for a record of that size, and the buffer and the
    /// disk too.
    fn make_room(&self, record_bytes: usize) -> Result<Guard<'_>> {
        let mut state = self.shared.lock();
        let mut has_space = false;
        loop {
            state.check_open()?;
            let buffered = state.buffer.bytes();
            // Only where records wait: to flush a new segment's start frame by itself would take the room in which a record was made to fit.
            if state.written < state.appended && buffered + record_bytes > self.buffered_bytes_max {
                state = self.shared.flush_or_wait(state);
            } else if !state.begun {
                self.shared.begin(&mut state)?;
            } else if state.active_fits(record_bytes) && (has_space || state.overwrites_in_place()) {
                return Ok(state);
            } else if state.active_fits(record_bytes) {
                drop(state);
                check_space(&*self.shared.vfs, buffered + record_bytes)?;
                has_space = true;
                state = self.shared.lock();
            } else if state.spare_fits(record_bytes) {
                self.shared.check_roll(&mut state)?;
                state.roll();
            } else {
                state = self.shared.prepare_spare(state, record_bytes)?;
            }
        }
    }

    fn wake_spares(&self) {
        if let Some(spares) = &*self.spares.lock().unwrap_or_else(PoisonError::into_inner) {
            // A job that is dead makes appends slower and nothing else: the one that needs a spare
            // prepares it.
            let _ = spares.wake();
        }
    }

    /// Takes no more records and makes all that were taken durable.
    fn finish(&self) -> Result<()> {
        let mut state = self.shared.lock();
        state.closed = true;
        while state.durable < state.appended {
            state.poison.unknown()?;
            state = self.shared.flush_or_wait(state);
        }
        state.poison.refuse()
    }

    /// Writes the seal behind everything, which is durable, and flushes it and then the mark.
    /// Nothing is written if this opening wrote nothing.
    fn seal(&self) -> Result<()> {
        let mut state = self.shared.lock();
        // The spare job, or a trim, may have failed for good since everything was made durable.
        state.poison.refuse()?;
        if state.active.is_none() {
            return Ok(());
        }
        state.push_seal();
        // The mark comes last: it states what precedes the seal, in the epoch of the seal.
        let outcome = state
            .write_out()
            .and_then(|()| std::mem::take(&mut state.unsynced).sync())
            .and_then(|()| self.shared.mark().sync());
        outcome.or_else(|cause| {
            state.poison.set(cause);
            state.poison.refuse()
        })
    }
}

impl Log for SegmentedLog {
    fn id(&self) -> LogId {
        self.shared.log_id
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.check_owner()?;
        if record.len() > self.record_bytes_max {
            return Err(Error::BatchTooLarge { bytes: record.len(), max: self.record_bytes_max });
        }
        let mut state = self.make_room(record.len())?;
        let nothing_waits = state.written == state.appended;
        let lsn = state.push_record(record);
        if durability == Durability::Process
            && nothing_waits
            && let Err(cause) = state.write_out()
        {
            state.poison.set(cause);
            state.poison.unknown()?;
        }
        let wants_spare = std::mem::take(&mut state.wants_spare);
        drop(state);
        if wants_spare {
            self.wake_spares();
        }
        Ok(lsn)
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.check_owner()?;
        let mut state = self.shared.lock();
        if upto > state.appended {
            return Err(Error::never_appended(upto, state.appended));
        }
        loop {
            // What recovery found may be above the mark. Nobody is told of it before the mark says so too.
            if state.marked >= upto {
                return Ok(state.marked);
            }
            // A log that has failed or is closed writes no mark any more. What recovery found is
            // on disk all the same; it lacks only the proof against later damage.
            if (state.poison.is_set() || state.closed) && state.durable >= upto {
                return Ok(state.durable);
            }
            state.poison.unknown()?;
            if state.begun {
                state = self.shared.flush_or_wait(state);
            } else {
                self.shared.begin(&mut state)?;
            }
        }
    }

    fn reader(&self, after: Lsn) -> Result<Box<dyn LogReader>> {
        self.check_owner()?;
        Reader::new(Arc::clone(&self.shared), after).map(|reader| Box::new(reader) as Box<dyn LogReader>)
    }

    fn trim(&self, upto: Lsn) -> Result<()> {
        self.check_owner()?;
        self.shared.trim(upto)
    }

    fn bounds(&self) -> Bounds {
        let state = self.shared.lock();
        Bounds {
            trimmed: state.trimmed,
            durable: state.durable,
            written: state.written,
            appended: state.appended,
            epoch: state.epoch,
            record_bytes_max: self.record_bytes_max,
        }
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        self.shared.lock().medium_bytes_after(after)
    }

    fn opening_notes(&self) -> Vec<String> {
        self.recovery.torn.iter().map(ToString::to_string).collect()
    }

    fn close(&self) -> Result<()> {
        self.check_owner()?;
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        if *sealed {
            return Ok(());
        }
        self.finish()?;
        let spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(spares); // waits for a run that is under way
        self.seal()?;
        *sealed = true;
        Ok(())
    }
}

impl Drop for SegmentedLog {
    fn drop(&mut self) {
        if self.check_owner().is_err() {
            // The thread that prepares spares is the parent's: there is none to wait for.
            let spares = self.spares.get_mut().unwrap_or_else(PoisonError::into_inner).take();
            std::mem::forget(spares);
        }
    }
}

impl fmt::Debug for SegmentedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentedLog")
            .field("directory", &self.shared.vfs.path())
            .field("id", &self.shared.log_id)
            .field("bounds", &self.bounds())
            .finish_non_exhaustive()
    }
}

/// Keeps one spare ready.
struct SpareJob {
    shared: Arc<Shared>,
}

impl Job for SpareJob {
    fn run(&mut self) -> Next {
        self.shared.prepare_ahead();
        Next::WhenWoken
    }
}
