//! Making checkpoints: freeze the memtable, sync the log, write what is frozen, install the new
//! read view, remove old checkpoints, trim the log.
//!
//! A writer that fills the active memtable freezes it, and the background job writes the frozen
//! memtables to checkpoints, the oldest first. Merging is another job, in
//! [`merging`](super::merging).
//!
//! Two locks are involved, always taken in this order: `checkpoint`, which a thread holds while it
//! writes a checkpoint and until it has trimmed the log after it, and the writer's lock, which it
//! holds for the moment of the freeze. So writers wait for a freeze, but never while a checkpoint
//! is written.

use std::sync::Arc;

use super::{Inner, Shared, commit::Writer, locks::Guard, ownership::JobHandle};
use crate::{
    Change, Changes, CheckpointHead, CheckpointId, Error, Lsn, Result,
    background::{Job, Next, Wake},
    collections::MemtableChanges,
    event,
    panics::guarded,
    sync::lock_unless,
};

impl Inner {
    /// Requests a checkpoint in the background. If the job is dead, that counts as a failed
    /// checkpoint.
    pub(super) fn request_checkpoint(&self) {
        if let Err(dead) = self.checkpoint_job.wake() {
            self.room.note_attempt(Some(&dead));
        }
    }

    /// Makes a checkpoint of the present state. Returns `None` if nothing has changed since the
    /// last checkpoint.
    pub(super) fn checkpoint_now(&self) -> Result<Option<CheckpointId>> {
        let made = self.checkpoint(&|| false);
        self.request_merge();
        made
    }
}

impl Shared {
    /// Makes a checkpoint of the present state. If an earlier attempt froze something and did not
    /// finish, writes that first, and freezes nothing more if that fails. Returns `None` if nothing
    /// has changed since the last checkpoint.
    pub(super) fn checkpoint(&self, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        self.attempt(cancelled, || self.freeze_and_write(cancelled))
    }

    fn freeze_and_write(&self, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        self.reset_medium_trigger()?;
        let finished = self.write_frozen(cancelled)?;
        let lsn = self.freeze_now()?;
        Ok(self.write_frozen_upto(lsn, cancelled)?.or(finished))
    }

    /// Makes the checkpoints that are due: of what writers have frozen, and of the present state if
    /// the log has outgrown its medium.
    fn checkpoint_if_due(&self, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        self.attempt(cancelled, || {
            let (begun, is_full) = {
                let writer = self.lock_writer()?;
                // Opening may have left more in the active memtable than a write would.
                (writer.checkpoint_begun, self.is_memtable_full(&writer))
            };
            let freezes = is_full || self.log_has_outgrown(begun);
            if freezes { self.freeze_and_write(cancelled) } else { self.write_frozen(cancelled) }
        })
    }

    /// Makes the checkpoint on close, if something was written since opening and enough has
    /// changed, or an earlier checkpoint was not finished. Waits in any case until no other thread
    /// writes a checkpoint or trims the log after one.
    pub(super) fn checkpoint_on_close(&self) -> Result<()> {
        // Nothing waits for it any more once the last handle is gone.
        let cancelled = &|| self.is_abandoned();
        let written =
            if self.freeze_on_close()? { self.attempt(cancelled, || self.write_frozen(cancelled)) } else { Ok(None) };
        drop(self.lock_checkpoint(&|| false)?);
        written.map(drop)
    }

    /// Freezes the active memtable if it holds much. Returns `false` if this opening has written
    /// nothing.
    fn freeze_on_close(&self) -> Result<bool> {
        let mut writer = self.lock_writer()?;
        let (record_bytes, begun) = (writer.record_bytes, writer.checkpoint_begun);
        let has_written = writer.has_written();
        if has_written && (record_bytes >= self.options.close_checkpoint_record_bytes || self.log_has_outgrown(begun)) {
            self.freeze(&mut writer);
        }
        Ok(has_written)
    }

    /// Runs an attempt at a checkpoint, and notes whether it failed. If the disk is full and an
    /// older checkpoint can be let go, tries once more.
    fn attempt<T>(&self, cancelled: &dyn Fn() -> bool, attempt: impl Fn() -> Result<T>) -> Result<T> {
        let mut made = guarded("the checkpoint", &attempt);
        if matches!(made, Err(Error::DiskFull { .. })) && self.let_older_checkpoints_go(cancelled).unwrap_or_default() {
            made = guarded("the checkpoint", &attempt);
        }
        self.room.note_attempt(made.as_ref().err());
        made
    }

    /// Whether the active memtable has reached the threshold.
    pub(super) fn is_memtable_full(&self, writer: &Writer) -> bool {
        writer.token.is_active_full(writer.record_bytes, self.options.checkpoint_record_bytes)
    }

    /// Has the log's size on its medium counted from here on, whether this attempt succeeds or not.
    /// So the next attempt is due only when the log has grown as much again.
    fn reset_medium_trigger(&self) -> Result<()> {
        self.lock_writer()?.checkpoint_begun = self.publication.applied();
        Ok(())
    }

    /// Freezes the active memtable, if it has any changes. Returns the position of the newest
    /// frozen memtable. Freezes nothing once the store is closed: closing writes what is frozen
    /// when it looks, and nothing may follow.
    fn freeze_now(&self) -> Result<Option<Lsn>> {
        let mut writer = self.lock_writer()?;
        if !writer.closed {
            self.freeze(&mut writer);
        }
        Ok(self.collections.view().frozen.first().map(|frozen| frozen.lsn))
    }

    /// Freezes the active memtable, if it has any changes, and starts a new one.
    pub(super) fn freeze(&self, writer: &mut Writer) {
        let view = self.collections.view();
        let lsn = self.publication.applied();
        let last = view.frozen.first().map_or(view.checkpoint_lsn(), |frozen| frozen.lsn);
        if lsn > last {
            self.collections.freeze(&mut writer.token, lsn, writer.record_bytes);
            writer.record_bytes = 0;
        }
    }

    /// Writes everything that is frozen now to checkpoints.
    fn write_frozen(&self, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        let newest = self.collections.view().frozen.first().map(|frozen| frozen.lsn);
        self.write_frozen_upto(newest, cancelled)
    }

    /// Writes what is frozen up to position `lsn` to checkpoints, the oldest first. Returns the
    /// last checkpoint that was made. Another thread may write some of it meanwhile.
    ///
    /// The flush and the publication come before the checkpoint lock is taken. Both wake waiters.
    /// Under the lock, the wakers would run only after the checkpoint was written, and a waker may
    /// request a checkpoint itself. Nothing goes wrong between the flush and the lock: the position
    /// only has to be durable before its checkpoint is, and what is frozen is looked up again under
    /// the lock.
    fn write_frozen_upto(&self, lsn: Option<Lsn>, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        let Some(lsn) = lsn else { return Ok(None) };
        if self.oldest_frozen().is_none_or(|oldest| oldest > lsn) {
            return Ok(None);
        }
        self.confirm_owner()?;
        self.sync_log(lsn)?; // a checkpoint is never ahead of the durable log
        self.publish_upto(lsn)?;
        let mut made = None;
        loop {
            let writing = self.lock_checkpoint(cancelled)?;
            if self.oldest_frozen().is_none_or(|oldest| oldest > lsn) {
                return Ok(made);
            }
            made = Some(self.write_oldest(cancelled)?);
            self.release()?;
            drop(writing); // not before: a close that waits for this closes the log then
        }
    }

    /// Takes the checkpoint lock, which another thread may hold for long, unless that is cancelled.
    fn lock_checkpoint(&self, cancelled: &dyn Fn() -> bool) -> Result<Guard<'_, ()>> {
        lock_unless(&self.checkpoint, cancelled).map(Guard::new).ok_or(Error::Cancelled)
    }

    fn oldest_frozen(&self) -> Option<Lsn> {
        self.collections.view().frozen.last().map(|oldest| oldest.lsn)
    }

    /// Writes the oldest frozen memtable to a checkpoint and installs that. The caller holds the
    /// checkpoint lock, so no other thread writes the same memtable.
    ///
    /// If writing fails, what is frozen stays for the next attempt.
    fn write_oldest(&self, cancelled: &dyn Fn() -> bool) -> Result<CheckpointId> {
        let view = self.collections.view();
        let Some(oldest) = view.frozen.last() else { return Err(Error::Cancelled) };
        let go_on = &mut || if cancelled() { Err(Error::Cancelled) } else { Ok(()) };
        let head = CheckpointHead { epoch: self.recovery.epoch, lsn: oldest.lsn, log_id: self.log.id() };
        let Some(changed) = view.oldest_changes(go_on)? else { return Err(Error::Cancelled) };
        let mut changes = FrozenChanges { head, changed, cancelled };
        let checkpoint = self.checkpointer.write(view.checkpoint_id(), &mut changes)?;
        let id = checkpoint.id();
        event!(INFO, position = id.lsn.0, parts = checkpoint.stats().parts, "checkpoint made");
        self.collections.install(checkpoint);
        self.room.wake();
        Ok(id)
    }
}

/// The changes of a frozen memtable.
struct FrozenChanges<'a> {
    head: CheckpointHead,
    changed: MemtableChanges,
    cancelled: &'a dyn Fn() -> bool,
}

impl Changes for FrozenChanges<'_> {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        Ok(self.changed.next())
    }

    fn cancelled(&self) -> bool {
        (self.cancelled)()
    }
}

/// Starts the job that makes checkpoints in the background. It wakes the job that merges.
pub(super) fn spawn(shared: &Arc<Shared>, merge_job: &Arc<JobHandle>) -> Result<Box<dyn Wake>> {
    let job = CheckpointJob { shared: Arc::clone(shared), merge_job: Arc::clone(merge_job) };
    shared.options.scheduler.spawn("kv-checkpoint", Box::new(job))
}

struct CheckpointJob {
    shared: Arc<Shared>,
    merge_job: Arc<JobHandle>,
}

impl Job for CheckpointJob {
    fn run(&mut self) -> Next {
        let closing = || self.shared.is_closing();
        if !closing() {
            // A failure has been recorded for `Stats` and for the waiting writers, and leaves
            // everything as it was.
            let _ = self.shared.checkpoint_if_due(&|| self.shared.is_abandoned());
            if !closing() {
                let _ = self.shared.make_room_if_wanted(&closing);
            }
            self.shared.wake_merging(&self.merge_job);
        }
        Next::WhenWoken
    }
}
