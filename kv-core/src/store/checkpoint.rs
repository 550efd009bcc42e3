//! Making checkpoints: freeze the memtable, sync the log, write, install the new read view, trim
//! the log, remove old checkpoints.
//!
//! Two locks are involved, always taken in this order: the lock on [`CheckpointState`], which a
//! thread holds while it writes a checkpoint, and the writer's lock, which it holds for the moment
//! of the freeze. So writers wait for a freeze, but never while a checkpoint is written.

use std::{
    sync::{Arc, atomic::Ordering},
    vec,
};

use super::{Inner, Shared, locks::Guard};
use crate::{
    Change, Changes, CheckpointHead, CheckpointId, CollectionId, Epoch, Error, Lsn, Result,
    background::{Job, Next, Wake},
    collections::Changed,
    panics::guarded,
    sync::lock,
};

/// What the checkpoint lock protects.
#[derive(Debug, Default)]
pub(super) struct CheckpointState {
    /// What was frozen and is not in a checkpoint yet. It stays here if writing the checkpoint
    /// fails.
    frozen: Option<Frozen>,
}

/// A position at which the active memtable was frozen.
#[derive(Debug)]
struct Frozen {
    epoch: Epoch,
    lsn: Lsn,
    collections: Vec<(CollectionId, Arc<str>)>,
}

impl Inner {
    /// Requests a checkpoint in the background. If the job is dead, that counts as a failed
    /// checkpoint.
    pub(super) fn request_checkpoint(&self) {
        if let Err(dead) = self.checkpoint_job.wake() {
            self.note_checkpoint(Some(&dead));
        }
    }
}

impl Shared {
    /// Makes a checkpoint of the present state. If an earlier attempt froze something and did not
    /// finish, writes that first. Returns `None` if nothing has changed since the last checkpoint.
    pub(super) fn checkpoint(&self, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        let attempt = || guarded("the checkpoint", || self.freeze_and_write(cancelled));
        let mut result = attempt();
        if matches!(result, Err(Error::DiskFull { .. })) && self.let_older_checkpoints_go().unwrap_or_default() {
            result = attempt();
        }
        self.note_checkpoint(result.as_ref().err());
        result
    }

    fn note_checkpoint(&self, error: Option<&Error>) {
        *lock(&self.checkpoint_error) = error.map(Error::chain);
    }

    fn freeze_and_write(&self, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        self.reset_triggers()?;
        let left_over = self.checkpoint_state().frozen.as_ref().map(|frozen| frozen.lsn);
        let finished = self.finish(left_over, cancelled)?;
        let frozen = self.freeze()?;
        Ok(self.finish(frozen, cancelled)?.or(finished))
    }

    pub(super) fn checkpoint_state(&self) -> Guard<'_, CheckpointState> {
        Guard::new(lock(&self.checkpoint))
    }

    /// Writes what was frozen at `lsn` to a checkpoint, unless another thread has done so
    /// meanwhile.
    ///
    /// The flush and the publication come before the checkpoint lock is taken. Both wake waiters.
    /// Under the lock, the wakers would run only after the checkpoint was written, and a waker may
    /// request a checkpoint itself. Nothing goes wrong between the flush and the lock: the position
    /// only has to be durable before its checkpoint is, and what is frozen is looked up again under
    /// the lock.
    fn finish(&self, lsn: Option<Lsn>, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        let Some(lsn) = lsn else { return Ok(None) };
        self.confirm_owner()?;
        self.sync_log(lsn)?; // a checkpoint is never ahead of the durable log
        self.publish_upto(lsn)?;
        let mut state = self.checkpoint_state();
        match &state.frozen {
            Some(frozen) if frozen.lsn == lsn => self.write_frozen(&mut state, cancelled),
            _ => Ok(None),
        }
    }

    /// Makes the checkpoint on close, if something was written since opening and enough has
    /// changed, or if an earlier checkpoint was not finished.
    pub(super) fn checkpoint_on_close(&self) -> Result<()> {
        let due = {
            let writer = self.lock_writer()?;
            let much = writer.record_bytes >= self.options.close_checkpoint_record_bytes;
            writer.has_written() && (much || self.log_has_outgrown(&writer))
        };
        if due || self.checkpoint_state().frozen.is_some() {
            self.checkpoint(&|| false)?;
        }
        Ok(())
    }

    /// Resets the counts that trigger a checkpoint, whether this attempt succeeds or not. So the
    /// next attempt is due only when as much has changed again.
    fn reset_triggers(&self) -> Result<()> {
        let mut writer = self.lock_writer()?;
        writer.record_bytes = 0;
        writer.checkpoint_begun = self.publication.applied();
        Ok(())
    }

    /// Freezes the active memtable, if anything has changed since the last checkpoint, and returns
    /// the position of what is frozen.
    ///
    /// If another thread has frozen something since this call began, that is used. It is new
    /// enough: this call began before that freeze, so the caller's own writes are in it.
    fn freeze(&self) -> Result<Option<Lsn>> {
        let epoch = self.log.bounds().epoch; // read first: the log may panic, which must not leave a freeze half done
        let mut state = self.checkpoint_state();
        if state.frozen.is_none() {
            let mut writer = self.lock_writer()?;
            let lsn = self.publication.applied();
            if lsn == self.collections.view().checkpoint_lsn() {
                return Ok(None);
            }
            self.collections.freeze(&mut writer.token);
            state.frozen = Some(Frozen { epoch, lsn, collections: self.collections.names.all_at(lsn) });
        }
        Ok(state.frozen.as_ref().map(|frozen| frozen.lsn))
    }

    /// Writes what is frozen, if anything is, to a checkpoint, and removes what is no longer
    /// needed. If writing fails, what is frozen stays for the next attempt.
    ///
    /// The new read view is installed before `frozen` is cleared and the log is trimmed. So at any
    /// moment each change is in the frozen memtable or in the checkpoint of the current view, and
    /// the log reaches back to a checkpoint that exists.
    fn write_frozen(&self, state: &mut CheckpointState, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        let Some(frozen) = &state.frozen else { return Ok(None) };
        let view = self.collections.view();
        let previous = view.checkpoint_id();
        let lives = |id, _: &[u8]| frozen.collections.binary_search_by_key(&id, |&(id, _)| id).is_ok();
        let go_on = &mut || if cancelled() { Err(Error::Cancelled) } else { Ok(()) };
        let changed = view.changed(frozen.lsn, lives, go_on)?;
        let head = CheckpointHead {
            epoch: frozen.epoch,
            lsn: frozen.lsn,
            log_id: self.log.id(),
            collections: view.sizes(frozen.collections.clone(), &changed, go_on)?,
        };
        let mut changes = FrozenChanges { head, changed: changed.into_iter(), current: None, cancelled };
        let checkpoint = self.checkpointer.write(previous, &mut changes)?;

        let id = checkpoint.id();
        self.collections.checkpointed(checkpoint);
        self.space.update(&self.collections.view());
        state.frozen = None;
        self.trim_and_prune(previous, id)?;
        Ok(Some(id))
    }

    /// Trims the log up to the previous checkpoint and removes older ones. Two checkpoints are
    /// kept, and the log back to the older of them, so that one bad checkpoint loses nothing.
    fn trim_and_prune(&self, previous: Option<CheckpointId>, newest: CheckpointId) -> Result<()> {
        let Some(previous) = previous else { return Ok(()) };
        self.log.trim(previous.lsn)?;
        for id in self.checkpointer.list()? {
            if id != previous && id != newest {
                self.checkpointer.remove(id)?;
            }
        }
        Ok(())
    }
}

/// The changes of a frozen memtable.
struct FrozenChanges<'a> {
    head: CheckpointHead,
    changed: vec::IntoIter<Changed>,
    current: Option<Changed>,
    cancelled: &'a dyn Fn() -> bool,
}

impl Changes for FrozenChanges<'_> {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        self.current = self.changed.next();
        Ok(self.current.as_ref().map(|changed| Change {
            collection: changed.collection,
            key: &changed.key,
            value: changed.value.as_deref(),
        }))
    }

    fn cancelled(&self) -> bool {
        (self.cancelled)()
    }
}

/// Starts the job that makes checkpoints in the background.
pub(super) fn spawn(shared: &Arc<Shared>) -> Result<Box<dyn Wake>> {
    let job = CheckpointJob(Arc::clone(shared));
    shared.options.scheduler.spawn("kv-checkpoint", Box::new(job))
}

struct CheckpointJob(Arc<Shared>);

impl Job for CheckpointJob {
    fn run(&mut self) -> Next {
        let closing = || self.0.closing.load(Ordering::Acquire);
        if !closing() {
            // A failure has been recorded for `Stats`, and leaves everything as it was.
            let _ = self.0.checkpoint(&closing);
        }
        Next::WhenWoken
    }
}
