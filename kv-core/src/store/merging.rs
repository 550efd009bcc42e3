//! Background merging: the checkpointer merges the parts that checkpoints are stacked from, so that
//! reads stay fast and the medium small.

use std::sync::Arc;

use super::{Inner, Shared, ownership::JobHandle};
use crate::{
    CheckpointId, Effort, Error, Result,
    background::{Job, Next, Wake},
    event,
    panics::guarded,
    sync::lock,
};

impl Inner {
    pub(super) fn request_merge(&self) {
        self.wake_merging(&self.merge_job);
    }

    /// Makes a checkpoint, merges everything into as little as possible, verifies that, and then
    /// removes the older checkpoint and the log before the newest one.
    pub(super) fn compact(&self) -> Result<Option<CheckpointId>> {
        let made = self.checkpoint(&|| false)?;
        let merged = self.merge_everything(&|| false, &|| false)?;
        Ok(merged.or(made))
    }
}

impl Shared {
    /// Wakes the job that merges. If it is dead, that counts as a failed merge.
    pub(super) fn wake_merging(&self, job: &JobHandle) {
        if let Err(dead) = job.wake() {
            self.note_merge(Some(&dead));
        }
    }

    /// Lets the checkpointer work until nothing is left to do. Returns the last checkpoint that
    /// this made.
    pub(super) fn merge(&self, effort: Effort, cancelled: &dyn Fn() -> bool) -> Result<Option<CheckpointId>> {
        let merged = guarded("a merge", || {
            let mut last = None;
            self.confirm_owner()?;
            while let Some(checkpoint) = self.checkpointer.maintain(effort, cancelled)? {
                event!(INFO, position = checkpoint.id().lsn.0, parts = checkpoint.stats().parts, "parts merged");
                last = Some(checkpoint.id());
                self.collections.install(checkpoint);
                self.release()?;
                if effort == Effort::Full {
                    break; // the caller goes on if it has to
                }
            }
            Ok(last)
        });
        self.note_merge(merged.as_ref().err());
        merged
    }

    /// Merges everything, and removes what that replaces. If there is room to merge only a part of
    /// it at once, goes on with the room that this frees, unless that `took_long`. Returns the last
    /// checkpoint that this made.
    ///
    /// It does not stop as soon as there is some room: what is written next would lie above what
    /// was merged, which then finds no room to be merged with what lies below.
    pub(super) fn merge_everything(
        &self,
        cancelled: &dyn Fn() -> bool,
        took_long: &dyn Fn() -> bool,
    ) -> Result<Option<CheckpointId>> {
        let parts = || self.collections.view().checkpoint_stats.parts;
        let mut last = None;
        // Each merge leaves fewer parts. Those that come meanwhile are left to the background:
        // otherwise this might never end.
        for _ in 0..parts().max(1) {
            let merged = self.merge(Effort::Full, cancelled)?;
            self.let_older_checkpoints_go(cancelled)?;
            last = merged.or(last);
            if merged.is_none() || parts() <= 1 || took_long() {
                break;
            }
        }
        Ok(last)
    }

    fn note_merge(&self, error: Option<&Error>) {
        let failure = error.filter(|error| !matches!(error, Error::Cancelled));
        *lock(&self.merge_error) = failure.map(|error| {
            event!(WARN, cause = error.chain(), "a merge failed");
            error.chain()
        });
    }
}

/// Starts the job that merges in the background.
pub(super) fn spawn(shared: &Arc<Shared>) -> Result<Box<dyn Wake>> {
    let job = MergeJob { shared: Arc::clone(shared), seen: None };
    shared.options.scheduler.spawn("kv-merge", Box::new(job))
}

struct MergeJob {
    shared: Arc<Shared>,
    /// The newest checkpoint when the job ended its last run.
    seen: Option<CheckpointId>,
}

impl Job for MergeJob {
    /// A new checkpoint wakes the job. It runs once more when there was no other checkpoint for a
    /// while, and then does what pays only at rest.
    fn run(&mut self) -> Next {
        let shared = &self.shared;
        let closing = || shared.is_closing();
        if closing() {
            return Next::WhenWoken;
        }
        let at_rest = shared.collections.checkpoint_id() == self.seen;
        let effort = if at_rest { Effort::AtRest } else { Effort::Needed };
        let merged = shared.merge(effort, &closing); // a failure has been recorded for `Stats`
        self.seen = shared.collections.checkpoint_id();
        match (at_rest, merged) {
            (false, Ok(_)) => Next::After(shared.options.rest_interval),
            _ => Next::WhenWoken,
        }
    }
}
