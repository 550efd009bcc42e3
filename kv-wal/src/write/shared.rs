//! What the log shares with its readers and its background job: the state, and the ways to write.

use std::sync::{Arc, PoisonError};

use kv_core::{Error, LogId, Lsn, Result, guarded};
use kv_vfs::{Access, Origin, Vfs};

use super::{buffer::Unsynced, foreign, in_place, state::State};
use crate::{
    error,
    format::segment::Header,
    mark_file::MarkWriter,
    recovery::Tail,
    segment_file::{self, CreateError, Segment},
    sync::{Condvar, Mutex, MutexGuard},
};

/// What is guarded, by its name: work that is done outside the lock while others wait for it. Were
/// it to end in a panic, they would wait for ever.
const FILE_LAYER: &str = "the file layer";

pub(crate) type Guard<'a> = MutexGuard<'a, State>;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) log_id: LogId,
    /// The process that opened the log.
    pub(crate) origin: Origin,
    state: Mutex<State>,
    /// Something changed that somebody may wait for: a flush ended, a spare is there, or is not.
    changed: Condvar,
    mark: Mutex<MarkWriter>,
}

impl Shared {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, log_id: LogId, state: State, mark: MarkWriter) -> Arc<Self> {
        Arc::new(Self {
            vfs,
            log_id,
            origin: Origin::here(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            mark: Mutex::new(mark),
        })
    }

    /// The state. If a thread panicked while it changed it, something may be half done: the log is poisoned.
    pub(crate) fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(poisoned_by_panic)
    }

    fn wait<'a>(&self, state: Guard<'a>) -> Guard<'a> {
        self.changed.wait(state).unwrap_or_else(poisoned_by_panic)
    }

    /// Makes everything durable that was appended, or waits for somebody who does. Who calls looks again at what has become of it.
    pub(crate) fn flush_or_wait<'a>(&'a self, state: Guard<'a>) -> Guard<'a> {
        if state.flushing { self.wait(state) } else { self.flush(state) }
    }

    /// Flushes for everyone who waits. The results are published when the outcome of all of it is known.
    fn flush<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        state.flushing = true;
        state.close_block();
        let (upto, watermark) = (state.appended, state.durable);
        let mut unsynced = std::mem::take(&mut state.unsynced);
        let chunks = state.buffer.take();
        let mut outcome;
        if state.written == upto {
            // Only padding. A record that is appended now must find it written: nobody waits before it.
            outcome = guarded(FILE_LAYER, || unsynced.write(chunks, watermark));
        } else {
            drop(state);
            outcome = guarded(FILE_LAYER, || unsynced.write(chunks, watermark));
            state = self.lock();
            if outcome.is_ok() {
                state.written = upto;
            }
        }
        if outcome.is_ok() {
            drop(state);
            outcome = guarded(FILE_LAYER, || self.sync_and_mark(&unsynced, upto));
            state = self.lock();
        }
        state.flushing = false;
        match outcome {
            Err(cause) => state.poison.set(cause),
            // A write beside this flush failed: from then on nothing is acknowledged.
            Ok(()) if state.poison.is_set() => {}
            Ok(()) => (state.durable, state.marked) = (upto, upto),
        }
        self.changed.notify_all();
        state
    }

    fn sync_and_mark(&self, unsynced: &Unsynced, durable: Lsn) -> Result<()> {
        unsynced.sync()?;
        self.mark().write(durable)
    }

    pub(crate) fn mark(&self) -> MutexGuard<'_, MarkWriter> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the log ready for the first write of this opening. That is rare, so it happens under the lock.
    ///
    /// The opening's epoch is durable in both slots of the mark before any frame of it leaves: that
    /// is what tells the next opening that a seal of an earlier epoch is not the end of the log.
    ///
    /// # Errors
    /// Where nothing was flushed yet, it can be tried again; otherwise the log is poisoned.
    pub(crate) fn begin(&self, state: &mut State) -> Result<()> {
        let sealed = match (state.tail, state.live.last()) {
            (Tail::Sealed(end), Some(last)) => {
                Some((segment_file::open(&*self.vfs, last.number, Access::ReadWrite)?, end))
            }
            _ => None,
        };
        let continued = sealed.as_ref().map(|(segment, end)| (segment, *end));
        state.poison_if_foreign(foreign::check_begin(&*self.vfs, state.next_number, continued))?;
        in_place::prepare(&*self.vfs);
        self.mark().begin(&*self.vfs, state.durable)?;
        state.mark_overwrites_in_place = self.mark().is_overwritten_in_place();
        // The mark, and the spare of an earlier process, may have names in memory only.
        let synced = self.mark().sync().and_then(|()| self.vfs.sync_directory().map_err(error::io));
        if let Err(cause) = synced {
            state.poison.set(cause);
            return state.poison.refuse();
        }
        state.marked = state.durable;
        if let Some((segment, end)) = sealed {
            state.continue_sealed(segment, end);
        }
        state.begun = true;
        Ok(())
    }

    /// Checks that the spare can be begun: that it and the directory are still the log's own.
    pub(crate) fn check_roll(&self, state: &mut State) -> Result<()> {
        let checked = foreign::check_roll(&*self.vfs, state.spare.as_ref());
        state.poison_if_foreign(checked)
    }

    /// Prepares a spare in which a record of that size fits, or waits for somebody who prepares one; then look again.
    ///
    /// # Errors
    /// What kept the spare from being prepared. The log is as before, unless its directory could
    /// not be synced or is not its own any more, or the file layer panicked: then it is poisoned.
    pub(crate) fn prepare_spare<'a>(&'a self, mut state: Guard<'a>, record_bytes: usize) -> Result<Guard<'a>> {
        if state.preparing {
            return Ok(self.wait(state));
        }
        state.preparing = true;
        // A spare that is too small is replaced. Nobody may begin to use it meanwhile.
        let unused = state.spare.take();
        let number = unused.as_ref().map_or(state.next_number, |spare| spare.header.number);
        let (length, block, next_number) = (state.new_length(record_bytes), state.sizes.block, state.next_number);
        drop(state);
        let create = || {
            foreign::check_create(&*self.vfs, next_number, unused.as_ref())?;
            self.create_segment(number, length, block)
        };
        // A panic may have been in the sync of the directory, which is final when it fails. So it
        // is taken for that.
        let created = guarded(FILE_LAYER, || Ok(create())).unwrap_or_else(|panicked| Err(CreateError::Final(panicked)));
        let mut state = self.lock();
        state.preparing = false;
        self.changed.notify_all();
        match created {
            Ok(segment) => {
                state.next_number = number + 1;
                state.spare = Some(segment);
                Ok(state)
            }
            Err(CreateError::Refused(error)) => {
                state.spare = unused;
                Err(error)
            }
            Err(CreateError::Final(error)) => {
                state.poison.set(error);
                state.poison.refuse()?;
                Ok(state)
            }
        }
    }

    fn create_segment(&self, number: u64, length: u64, block: u64) -> Result<Segment, CreateError> {
        let identity = new_identity(&*self.vfs).map_err(CreateError::Refused)?;
        let header = Header { log_id: self.log_id, number, identity, block_bytes: block as u32, length };
        segment_file::create(&*self.vfs, &header)
    }

    /// Prepares the next spare ahead of need, if there is need.
    pub(crate) fn prepare_ahead(&self) {
        if !self.origin.is_here() {
            return;
        }
        let state = self.lock();
        if state.active.is_some() && state.spare.is_none() && !state.preparing && state.check_open().is_ok() {
            // If it fails, the append that needs the spare tries again and says why.
            drop(self.prepare_spare(state, 0));
        }
    }
}

fn poisoned_by_panic(panicked: PoisonError<Guard<'_>>) -> Guard<'_> {
    let mut state = panicked.into_inner();
    state.poison.set(Error::Misuse("a thread panicked while it changed the log".into()));
    state
}

/// A segment's identity: random, and not zero.
pub(crate) fn new_identity(vfs: &dyn Vfs) -> Result<u64> {
    loop {
        let identity = vfs.random().map_err(error::io)? as u64;
        if identity != 0 {
            return Ok(identity);
        }
    }
}
