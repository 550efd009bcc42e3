//! What the log shares with its readers and its background job: the state, and the work that
//! changes files.

use std::{
    sync::{Arc, PoisonError},
    time::Instant,
};

use kv_core::{Epoch, Error, LogId, Lsn, Result, event, guarded};
use kv_vfs::{Access, Origin, Vfs};

use super::{
    buffer::{Unsynced, WrittenBy},
    flushes::{Flushes, Lead},
    foreign, in_place,
    positions::Positions,
    room::{Room, Wanted},
    state::State,
};
use crate::{
    format::segment::Header,
    mark_file::MarkWriter,
    recovery::Tail,
    segment_file::{self, CreateError, Segment},
    sync::{Condvar, Mutex, MutexGuard},
};

/// What an error names as its origin when guarded work has panicked.
const FILE_LAYER: &str = "the file layer";

pub(crate) type Guard<'a> = MutexGuard<'a, State>;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) log_id: LogId,
    /// The process that opened the log.
    pub(crate) origin: Origin,
    pub(crate) epoch: Epoch,
    /// Can be read without the lock.
    pub(crate) positions: Arc<Positions>,
    state: Mutex<State>,
    /// One flush at a time, and the threads that wait for its end to be acknowledged.
    pub(crate) flushes: Flushes,
    /// Notified when something changed that a thread may wait for: a flush or the preparation of a
    /// spare has ended, whatever its outcome.
    changed: Condvar,
    mark: Mutex<MarkWriter>,
}

impl Shared {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, log_id: LogId, state: State, mark: MarkWriter) -> Arc<Self> {
        Arc::new(Self {
            vfs,
            log_id,
            origin: Origin::here(),
            epoch: state.epoch,
            positions: Arc::clone(&state.positions),
            state: Mutex::new(state),
            flushes: Flushes::new(),
            changed: Condvar::new(),
            mark: Mutex::new(mark),
        })
    }

    /// Locks the state. If a thread panicked while it held the lock, a change may be half done, so
    /// the log is poisoned.
    pub(crate) fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(poisoned_by_panic)
    }

    fn wait<'a>(&self, state: Guard<'a>) -> Guard<'a> {
        self.changed.wait(state).unwrap_or_else(poisoned_by_panic)
    }

    /// Makes all appended records durable, or waits while another thread flushes. Either way the
    /// caller must look at the state again: the flush may have failed, or may not have included
    /// what the caller waits for.
    pub(crate) fn flush_or_wait<'a>(&'a self, state: Guard<'a>) -> Guard<'a> {
        match self.flushes.lead() {
            Some(lead) => {
                self.flush(state, lead);
                self.lock()
            }
            None => self.wait(state),
        }
    }

    /// Flushes for all waiting threads (group commit).
    ///
    /// Why no record is acknowledged before it is durable, and none is lost:
    ///
    /// - `upto` is fixed under the lock, together with the chunks that are written, and covers
    ///   nothing more. Records that are appended during the flush have higher positions and wait
    ///   for the next one.
    /// - `unsynced` is taken with them, and gets the segments of the chunks as well. So the sync
    ///   covers every write up to `upto`, including those of `Process` appends. A `Process` append
    ///   during the flush adds its segment to the new list in the state, for the next flush.
    /// - Only a flush changes `durable`, and there is one flush at a time. So `durable` never
    ///   decreases, and the watermark is exactly the durable position at the moment of the write.
    /// - `written`, `durable` and `marked` change only after all the work they stand for has
    ///   succeeded. If any step fails, the log is poisoned: no later flush retries the write, and
    ///   no waiting thread is acknowledged.
    pub(crate) fn flush<'a>(&'a self, mut state: Guard<'a>, lead: Lead<'a>) {
        let began = Instant::now();
        state.close_block();
        let (upto, watermark) = (state.appended(), state.durable());
        lead.take(upto);
        let last_number = state.last_number();
        let mut unsynced = std::mem::take(&mut state.unsynced);
        let mut chunks = state.buffer.take();
        let mut outcome;
        if state.written() == upto {
            // Every record is with the kernel already, and only padding is left to write. Write it
            // under the lock. Otherwise a `Process` append could slip in, see that nothing waits,
            // and write behind the padding. If the process was killed then, before the padding was
            // written, the zeroes in its place would hide that record.
            outcome = guarded(FILE_LAYER, || unsynced.write(&mut chunks, watermark, WrittenBy::Call));
        } else {
            // Meanwhile `written < appended`, so a `Process` append sees that records wait before
            // it, and stays in the buffer behind them.
            drop(state);
            outcome = guarded(FILE_LAYER, || unsynced.write(&mut chunks, watermark, WrittenBy::Call));
            state = self.lock();
            if outcome.is_ok() {
                state.positions.set_written(upto);
            }
        }
        if outcome.is_ok() {
            drop(state);
            outcome = guarded(FILE_LAYER, || {
                let synced = self.sync_and_mark(&unsynced, upto);
                drop((chunks, unsynced)); // unmaps segments that are full, which takes about 1 ms each
                synced
            });
            state = self.lock();
        }
        let time = began.elapsed();
        match outcome {
            Err(cause) => state.poison.set(cause),
            // A `Process` append failed to write during this flush. From then on nothing is
            // acknowledged.
            Ok(()) if state.poison.is_set() => {}
            Ok(()) => {
                state.positions.set_durable(upto);
                state.positions.set_marked(upto);
                state.flushed.count(upto.0 - watermark.0, time);
                state.last_flushed_number = last_number;
            }
        }
        lead.note(time);
        self.end_flush(state, lead);
        if self.positions.durable() >= upto {
            event!(DEBUG, records = upto.0 - watermark.0, ?time, "log flushed"); // under no lock of the log
        }
    }

    /// Ends a flush, or what should have become one.
    pub(crate) fn end_flush(&self, state: Guard<'_>, mut lead: Lead<'_>) {
        lead.give_up(); // under the lock, so that no thread that has it misses this
        drop(state); // before the others wake: they want it
        self.changed.notify_all();
    }

    fn sync_and_mark(&self, unsynced: &Unsynced, durable: Lsn) -> Result<()> {
        unsynced.sync()?;
        self.mark().write(durable)
    }

    pub(crate) fn mark(&self) -> MutexGuard<'_, MarkWriter> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prepares the log for the first write of this opening. This is rare, so it does its I/O under
    /// the lock.
    ///
    /// Before any frame of this opening is written, its epoch is durable in both slots of the mark.
    /// That tells the next opening that a seal of an earlier epoch is not the end of the log.
    ///
    /// # Errors
    /// If nothing was synced yet, the next call tries again. Otherwise, or if the directory is no
    /// longer the log's own, the log is poisoned.
    pub(crate) fn begin(&self, state: &mut State) -> Result<()> {
        let sealed = match (state.tail, state.live.last()) {
            (Tail::BehindSeal(end), Some(last)) => {
                Some((segment_file::open(&*self.vfs, last.number, Access::ReadWrite)?, end))
            }
            _ => None,
        };
        let continued = sealed.as_ref().map(|(segment, end)| (segment, *end));
        state.poison_if_foreign(foreign::check_begin(&*self.vfs, state.next_number, continued))?;
        in_place::prepare(&*self.vfs);
        self.mark().begin(&*self.vfs, state.durable())?;
        state.mark_overwrites_in_place = self.mark().is_overwritten_in_place();
        // The mark was just written. Its name, and that of a spare left by an earlier process, may
        // be in memory only.
        let synced = self.mark().sync().and_then(|()| self.vfs.sync_directory().map_err(Error::from));
        if let Err(cause) = synced {
            state.poison.set(cause);
            return state.poison.refuse();
        }
        state.positions.set_marked(state.durable());
        if let Some((segment, end)) = sealed {
            state.continue_sealed(segment, end);
        }
        state.begun = true;
        Ok(())
    }

    /// Checks that the log may begin the spare: that the spare and the directory are still the
    /// log's own.
    pub(crate) fn check_roll(&self, state: &mut State) -> Result<()> {
        let checked = foreign::check_roll(&*self.vfs, state.spare.as_ref());
        state.poison_if_foreign(checked)
    }

    /// Prepares a spare in which a record of that size fits, or waits while another thread prepares
    /// one. The caller must then look at the state again: the new spare may be too small for it, or
    /// already begun.
    ///
    /// `preparing` admits one thread at a time, and only that thread changes `next_number` and sets
    /// `spare`. So both are unchanged when it locks the state again, and it can put the old spare
    /// back.
    ///
    /// # Errors
    /// The reason why there is no spare. The log is as before, except that it may have given up a
    /// spare that was too small. If the directory could not be synced or is no longer the log's
    /// own, or the file layer panicked, the log is poisoned.
    pub(crate) fn prepare_spare<'a>(
        &'a self,
        mut state: Guard<'a>,
        room: Room,
        record_bytes: usize,
    ) -> Result<Guard<'a>> {
        if state.preparing {
            return Ok(self.wait(state));
        }
        state.preparing = true;
        // A spare that is too small is replaced under its number. Take it out of the state
        // meanwhile, so that no append begins it.
        let mut unused = state.spare.take();
        let number = unused.as_ref().map_or(state.next_number, |spare| spare.header.number);
        let wanted = Wanted {
            number,
            preferred: state.preferred_length(record_bytes),
            shortest: state.shortest_length(record_bytes),
            block: state.sizes.block,
            allocation: state.preferred_allocation(record_bytes),
            kept_bytes: room.kept_bytes(&state),
        };
        let next_number = state.next_number;
        drop(state);
        let mut create = || {
            foreign::check_create(&*self.vfs, next_number, unused.as_ref())?;
            self.create_fitting(&wanted, &mut unused)
        };
        // The panic may have come from the sync of the directory, whose failure is final. So treat
        // every panic as final.
        let created = guarded(FILE_LAYER, || Ok(create())).unwrap_or_else(|panicked| Err(CreateError::Final(panicked)));
        let mut state = self.lock();
        state.preparing = false;
        self.changed.notify_all();
        match created {
            Ok(segment) => {
                state.next_number = number + 1;
                state.spare = Some(segment);
                state.uses_reserve |= room != Room::Usual;
                Ok(state)
            }
            Err(CreateError::Refused(error)) => {
                // If the old spare was given up, the next segment takes its number. Otherwise the
                // numbers would have a gap, which is how a lost segment looks.
                state.next_number = if unused.is_some() { number + 1 } else { number };
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

    pub(super) fn create_segment(&self, wanted: &Wanted, length: u64) -> Result<Segment, CreateError> {
        let identity = new_identity(&*self.vfs).map_err(CreateError::Refused)?;
        let Wanted { number, block, allocation, .. } = *wanted;
        event!(DEBUG, number, length, ?allocation, "preparing a segment");
        let header = Header { log_id: self.log_id, number, identity, block_bytes: block as u32, length };
        segment_file::create(&*self.vfs, &header, allocation, &|| self.lock().used_part())
    }

    /// Prepares the next spare ahead of need, if there is none. The background job calls this.
    pub(crate) fn prepare_ahead(&self) {
        if !self.origin.is_here() {
            return;
        }
        let state = self.lock();
        if state.active.is_some() && state.spare.is_none() && !state.preparing && state.check_open().is_ok() {
            // If this fails, the append that needs the spare tries again and reports the error. The
            // lock is passed on rather than released: the conditions still hold.
            drop(self.prepare_spare(state, Room::Usual, 0));
        }
    }
}

fn poisoned_by_panic(panicked: PoisonError<Guard<'_>>) -> Guard<'_> {
    let mut state = panicked.into_inner();
    state.poison.set(Error::Misuse("a thread panicked while it changed the log".into()));
    state
}

/// A new identity for a segment: random, and not zero.
pub(crate) fn new_identity(vfs: &dyn Vfs) -> Result<u64> {
    loop {
        let identity = vfs.random()? as u64;
        if identity != 0 {
            return Ok(identity);
        }
    }
}
