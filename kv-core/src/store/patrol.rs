//! Reading the checkpoint in the background: once after opening, so that it is in memory and
//! verified before it is needed, and slowly for ever, so that damage is found while it can be
//! healed.

use std::{sync::Arc, time::Duration};

use super::Shared;
use crate::{
    CheckpointId, Error, Result,
    background::{Job, Next, Wake},
    panics::guarded,
};

/// How many bytes are read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Starts the job that reads the checkpoint, if the options ask for it.
pub(super) fn spawn(shared: &Arc<Shared>) -> Result<Option<Box<dyn Wake>>> {
    let options = &shared.options;
    if !options.warm && options.patrol_bytes_per_second == 0 {
        return Ok(None);
    }
    let job = Patrol { shared: Arc::clone(shared), warms: options.warm, reading: None, next: 0 };
    let job = options.scheduler.spawn("kv-patrol", Box::new(job))?;
    job.wake()?;
    Ok(Some(job))
}

struct Patrol {
    shared: Arc<Shared>,
    /// Whether the first pass after opening is under way, which is not slowed down.
    warms: bool,
    /// The checkpoint that is being read.
    reading: Option<CheckpointId>,
    /// Where the next piece of it begins.
    next: u64,
}

impl Patrol {
    /// Reads the next piece of the checkpoint. At its end, or if there is a newer checkpoint,
    /// begins again. Returns `false` if the end was reached.
    ///
    /// Damage needs no more than to be met: the checkpointer keeps a note of it.
    fn read_piece(&mut self) -> bool {
        let view = self.shared.collections.view();
        if self.reading != view.checkpoint_id() {
            self.reading = view.checkpoint_id();
            self.next = 0;
        }
        let Some(checkpoint) = &view.checkpoint else { return false };
        let next = match guarded("the patrol", || checkpoint.scrub(self.next, PIECE_BYTES)) {
            Ok(next) => next,
            // It goes on behind what is damaged or cannot be read.
            Err(Error::Corrupt { .. } | Error::Io { .. }) => Some(self.next + PIECE_BYTES),
            Err(_) => None,
        };
        self.next = next.unwrap_or(0);
        next.is_some()
    }
}

impl Job for Patrol {
    fn run(&mut self) -> Next {
        while self.warms && !self.shared.is_closing() {
            self.warms = self.read_piece();
        }
        let rate = self.shared.options.patrol_bytes_per_second;
        if rate == 0 || self.shared.is_closing() {
            return Next::WhenWoken;
        }
        self.read_piece();
        Next::After(Duration::from_secs_f64(PIECE_BYTES as f64 / rate as f64))
    }
}
