use std::{
    fmt, mem,
    sync::{Arc, PoisonError},
};

use kv_core::{
    Bounds, Durability, Error, FlushStats, Log, LogId, LogReader, Lsn, Result,
    background::{Job, Next, Wake},
};
use kv_vfs::{Lock, Vfs};

use crate::{
    open,
    options::{Options, Sizes},
    reader::Reader,
    recovery::LogRecovery,
    sync::Mutex,
    write::{Guard, Room, Shared, State, WrittenBy, check_space},
};

/// A durable log of opaque records, kept in the segment files of one directory.
///
/// It implements [`Log`]. Call [`close`](Log::close) to shut it down cleanly. Dropping it flushes
/// nothing and leaves the directory as a killed process would.
///
/// The log belongs to the process that opened it. In a child made by `fork`, appending, syncing,
/// reading, trimming and closing fail with [`Error::Forked`], and dropping the log does nothing.
/// [`bounds`](Log::bounds) and [`medium_bytes_after`](Log::medium_bytes_after) show the state at
/// the fork; the second waits for ever if another thread held the log's lock then.
pub struct SegmentedLog {
    shared: Arc<Shared>,
    recovery: LogRecovery,
    record_bytes_max: usize,
    buffered_bytes_max: usize,
    /// How records reach the kernel that are acknowledged without a flush.
    unflushed: WrittenBy,
    /// Wakes the job that prepares spares; `None` once the log is closed. Dropping it waits until a
    /// running job has finished.
    spares: Mutex<Option<Box<dyn Wake>>>,
    /// Whether the seal is written. The lock admits one closing caller at a time, so that only one
    /// seal is written.
    sealed: Mutex<bool>,
    /// Declared last because fields drop in order of declaration: the directory stays locked until
    /// the spare job has ended.
    lock: Lock,
}

impl SegmentedLog {
    /// Opens the log in the directory `vfs`. Creates it if there is none, unless
    /// [`Options::create`] is off. Opening an existing log only reads it; the first
    /// [`append`](Log::append) is the first write.
    ///
    /// # Errors
    /// - [`Locked`](Error::Locked) if the log is already open.
    /// - [`Corrupt`](Error::Corrupt) if something durable is proven to be damaged or missing.
    ///   Nothing has been changed then.
    /// - [`NewerVersion`](Error::NewerVersion) or [`OlderVersion`](Error::OlderVersion) if a file
    ///   has the format of another version.
    /// - [`Misuse`](Error::Misuse) if [`Options::epoch_min`] is too high.
    /// - [`DiskFull`](Error::DiskFull) or [`Io`](Error::Io) if a file cannot be read or created;
    ///   with [`NotFound`](std::io::ErrorKind::NotFound) if there is no log and `create` is off.
    pub fn open(vfs: Arc<dyn Vfs>, options: Options) -> Result<Self> {
        Self::open_as(vfs, options, open::open)
    }

    /// Creates a log that holds no record, as if everything up to `base` had been trimmed: the
    /// first record will have the position after that. Closes it cleanly. This is for the log of a
    /// copy: a checkpoint at position `base` holds what such a log does not.
    ///
    /// On return everything but the directory's own name survives a power cut. After an error the
    /// directory may hold a part of a log.
    ///
    /// # Errors
    /// As [`open`](SegmentedLog::open). With
    /// [`AlreadyExists`](std::io::ErrorKind::AlreadyExists) if there is a log.
    ///
    /// ```
    /// use kv_wal::{Durability, Log, LogId, Lsn, Options, OsVfs, SegmentedLog};
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// let vfs = OsVfs::open(directory.path()).unwrap();
    /// SegmentedLog::create_after(vfs.clone(), LogId(7), Lsn(41), Options::default())?;
    /// let log = SegmentedLog::open(vfs, Options::default())?;
    /// assert_eq!(log.append(b"the next record", Durability::Process)?, Lsn(42));
    /// assert_eq!((log.id(), log.bounds().trimmed), (LogId(7), Lsn(41)));
    /// # Ok::<(), kv_wal::Error>(())
    /// ```
    pub fn create_after(vfs: Arc<dyn Vfs>, log_id: LogId, base: Lsn, options: Options) -> Result<()> {
        let create = |vfs, sizes, options: &Options| open::create_after(vfs, sizes, options, log_id, base);
        let log = Self::open_as(vfs, options, create)?;
        // The start frame of the first segment states the base, and the mark that it is durable.
        let begun = log.wait_for_room(Room::Usual, 0)?;
        log.shared.flush_or_wait(begun).poison.refuse()?;
        log.close()?;
        log.shared.vfs.sync_directory().map_err(Error::from)
    }

    fn open_as(
        vfs: Arc<dyn Vfs>,
        options: Options,
        open: impl FnOnce(Arc<dyn Vfs>, Sizes, &Options) -> Result<(Arc<Shared>, LogRecovery)>,
    ) -> Result<Self> {
        let lock = open::lock(&*vfs)?;
        let sizes = options.sizes(vfs.block_bytes());
        let (shared, recovery) = open(vfs, sizes, &options)?;
        let job = SpareJob { shared: Arc::clone(&shared) };
        let spares = { options.scheduler }.spawn("kv-wal-spare", Box::new(job))?;
        Ok(Self {
            shared,
            recovery,
            record_bytes_max: sizes.record_max,
            buffered_bytes_max: sizes.buffered_max,
            unflushed: if options.map_segments { WrittenBy::Copy } else { WrittenBy::Call },
            spares: Mutex::new(Some(spares)),
            sealed: Mutex::new(false),
            lock,
        })
    }

    /// What recovery found when the log was opened.
    pub fn recovery(&self) -> &LogRecovery {
        &self.recovery
    }

    /// Fails if this process is a child, made by `fork`, of the process that opened the log.
    ///
    /// The calls that fail in a child check this before they take any lock: another thread of the
    /// parent may have held a lock at the moment of the fork, and then the child's copy of it is
    /// never released. The first call in a child also closes the child's inherited handle on the
    /// directory's lock.
    ///
    /// # Errors
    /// [`Forked`](Error::Forked) in such a child.
    pub fn check_owner(&self) -> Result<()> {
        if self.lock.is_ours() { Ok(()) } else { Err(Error::Forked) }
    }

    /// Waits until a record of that size fits: in the active segment, in the buffer, and on the
    /// disk. The record gets its position under the returned lock, so no other append can take the
    /// room in between.
    ///
    /// Each turn of the loop takes one step towards that, then looks at the whole state again: a
    /// step may release the lock, and anything may change meanwhile.
    fn wait_for_room(&self, room: Room, record_bytes: usize) -> Result<Guard<'_>> {
        let mut state = self.shared.lock();
        let mut has_space = false;
        loop {
            state.check_open()?;
            let buffered = state.buffer.bytes();
            // Flush only if records wait. A new segment's start frame alone must not be flushed:
            // padding would follow it and take the room that the segment was sized to have for this
            // record.
            if state.written() < state.appended() && buffered + record_bytes > self.buffered_bytes_max {
                state = self.shared.flush_or_wait(state);
            } else if !state.begun {
                self.shared.begin(&mut state)?;
            } else if state.active_fits(record_bytes) && (has_space || state.overwrites_in_place()) {
                return Ok(state);
            } else if state.active_fits(record_bytes) {
                let kept_bytes = room.kept_bytes(&state);
                drop(state);
                check_space(&*self.shared.vfs, buffered + record_bytes, kept_bytes)?;
                has_space = true;
                state = self.shared.lock();
            } else if state.spare_fits(record_bytes) {
                self.shared.check_roll(&mut state)?;
                state.roll();
            } else {
                state = self.shared.prepare_spare(state, room, record_bytes)?;
            }
        }
    }

    fn append_in(&self, room: Room, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.check_owner()?;
        if record.len() > self.record_bytes_max {
            return Err(Error::BatchTooLarge { bytes: record.len(), max: self.record_bytes_max });
        }
        if let Room::Reserve { kept_bytes } = room {
            self.shared.check_room(record.len(), kept_bytes)?; // a segment with room says nothing of the disk
        }
        let mut state = self.wait_for_room(room, record.len())?;
        // Frames are written in order. So a `Process` record is written at once only if no earlier
        // record waits; otherwise it waits with that one (L4).
        let nothing_waits = state.written() == state.appended();
        let lsn = state.push_record(record);
        if durability == Durability::Process
            && nothing_waits
            && let Err(cause) = state.write_out(self.unflushed)
        {
            state.poison.set(cause);
            state.poison.unknown()?;
        }
        let wants_spare = mem::take(&mut state.wants_spare);
        drop(state); // first, because a scheduler may run the job in this thread
        if wants_spare {
            self.wake_spares();
        }
        Ok(lsn)
    }

    /// The answer of [`sync`](Log::sync), if there is one now.
    ///
    /// What recovery found may lie above the mark. It is acknowledged only once the mark states it
    /// too: the mark then proves that a later loss is damage and not a torn tail. A log that has
    /// failed or is closed writes no more marks. What recovery found is durable nevertheless; only
    /// that proof is missing.
    fn synced(&self, state: &State, upto: Lsn) -> Option<Lsn> {
        let is_final = state.poison.is_set() || state.closed;
        let synced = if is_final { state.durable() } else { self.shared.positions.marked() };
        (synced >= upto).then_some(synced)
    }

    /// Prepares a flush for the record at `upto`. Returns the answer of [`sync`](Log::sync) if that
    /// needs no flush.
    fn prepare_flush(&self, state: &mut State, upto: Lsn) -> Result<Option<Lsn>> {
        if let Some(synced) = self.synced(state, upto) {
            return Ok(Some(synced)); // another flush has just ended
        }
        state.poison.unknown()?;
        if state.begun {
            return Ok(None);
        }
        self.shared.begin(state)?; // it marks what was recovered
        Ok(self.synced(state, upto))
    }

    fn wake_spares(&self) {
        if let Some(spares) = &*self.spares.lock().unwrap_or_else(PoisonError::into_inner) {
            // A dead job only makes appends slower: an append that needs a spare prepares it
            // itself.
            let _ = spares.wake();
        }
    }

    /// Refuses further records and makes all appended records durable.
    fn finish(&self) -> Result<()> {
        let mut state = self.shared.lock();
        state.closed = true;
        while state.durable() < state.appended() {
            state.poison.unknown()?;
            state = self.shared.flush_or_wait(state);
        }
        state.poison.refuse()
    }

    /// Writes and flushes the seal behind the last record, then syncs the mark. All records are
    /// durable. Writes nothing if this opening wrote nothing.
    fn seal(&self) -> Result<()> {
        let mut state = self.shared.lock();
        // The spare job or a trim may have poisoned the log since every record became durable.
        state.poison.refuse()?;
        if state.active.is_none() {
            return Ok(());
        }
        state.push_seal();
        // Sync the mark last. It states the position before the seal, in the seal's epoch. With it
        // on the disk, the next opening can believe the seal without reading all the unused space
        // behind it.
        let outcome = state
            .write_out(WrittenBy::Call)
            .and_then(|()| mem::take(&mut state.unsynced).sync())
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

    fn make_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.check_owner()?;
        self.shared.make_room(record_bytes, kept_bytes)
    }

    fn check_room(&self, record_bytes: usize, kept_bytes: u64) -> Result<()> {
        self.check_owner()?;
        self.shared.check_room(record_bytes, kept_bytes)
    }

    fn append(&self, record: &[u8], durability: Durability) -> Result<Lsn> {
        self.append_in(Room::Usual, record, durability)
    }

    fn append_deletion(&self, record: &[u8], durability: Durability, kept_bytes: u64) -> Result<Lsn> {
        self.append_in(Room::Reserve { kept_bytes }, record, durability)
    }

    fn sync(&self, upto: Lsn) -> Result<Lsn> {
        self.check_owner()?;
        let mut is_waiting = false;
        loop {
            let seen = self.shared.flushes.seen();
            let marked = self.shared.positions.marked();
            if marked >= upto {
                return Ok(marked);
            }
            let appended = self.shared.positions.appended();
            if upto > appended {
                return Err(Error::never_appended(upto, appended));
            }
            if !mem::replace(&mut is_waiting, true) {
                self.shared.flushes.arrive();
            }
            let Some(lead) = self.shared.flushes.lead_or_wait(upto, seen) else { continue };
            let mut state = self.shared.lock();
            match self.prepare_flush(&mut state, upto).transpose() {
                None => self.shared.flush(state, lead),
                Some(answer) => {
                    self.shared.end_flush(state, lead);
                    return answer;
                }
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
        self.shared.positions.bounds(self.shared.epoch, self.record_bytes_max)
    }

    fn medium_bytes_after(&self, after: Lsn) -> u64 {
        self.shared.lock().medium_bytes_after(after)
    }

    fn flush_stats(&self) -> FlushStats {
        let state = self.shared.lock();
        let mut stats = state.flushed;
        stats.waiting_bytes = state.buffer.bytes() as u64;
        stats
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
        // First stop the appends, and then the job, so that nothing else is written together with
        // the seal.
        self.finish()?;
        let spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(spares); // waits until a running job has finished
        self.seal()?;
        *sealed = true;
        Ok(())
    }
}

impl Drop for SegmentedLog {
    fn drop(&mut self) {
        let spares = self.spares.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if self.check_owner().is_ok() {
            self.shared.lock().closed = true; // a job that was woken has nothing to prepare any more
            drop(spares); // waits until a running job has finished: it would leave a spare
            self.shared.lock().release_files();
        } else {
            // The thread that prepares spares exists only in the parent, so waiting for it here
            // would hang.
            mem::forget(spares);
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

/// The background job that keeps one spare ready.
struct SpareJob {
    shared: Arc<Shared>,
}

impl Job for SpareJob {
    fn run(&mut self) -> Next {
        self.shared.prepare_ahead();
        Next::WhenWoken
    }
}
