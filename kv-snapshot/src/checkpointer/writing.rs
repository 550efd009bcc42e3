//! Writing a checkpoint: what has changed becomes a part on top of the stack.

use std::sync::Arc;

use kv_core::{Changes, CheckpointHead, CheckpointId, Error, Result};

use super::{MmapCheckpointer, directory::Attempt, lock};
use crate::{
    format::{manifest::Manifest, names},
    inventory::Inventory,
    read::{
        checkpoint::{MmapCheckpoint, read_manifest},
        stack::Stack,
    },
    write::{
        changes::{go_on, write_changes},
        new_part::NewPart,
    },
};

/// A write that has begun.
struct Begun<'a> {
    attempt: Attempt<'a>,
    /// What it is made from; its parts are protected from removal.
    base: Option<Arc<Manifest>>,
    /// Keeps the parts of `base` open.
    _stack: Option<Stack>,
}

impl MmapCheckpointer {
    pub(super) fn write_changes(
        &self,
        previous: Option<CheckpointId>,
        changes: &mut dyn Changes,
    ) -> Result<Arc<MmapCheckpoint>> {
        self.check_owner()?;
        let _one_writer = lock(&self.writer);
        let mut begun = self.begin_write(previous, changes.head())?;
        let written = self.write_begun(previous, &mut begun, changes);
        if written.is_err() {
            self.discard(&begun.attempt);
        }
        written
    }

    /// Checks that the checkpoint can be written, and removes what interrupted writes left.
    fn begin_write(&self, previous: Option<CheckpointId>, head: &CheckpointHead) -> Result<Begun<'_>> {
        let directory = self.lock_directory()?;
        let inventory = self.take_inventory()?;
        let highest = CheckpointId { epoch: head.epoch, lsn: head.lsn, seq: u64::MAX };
        if inventory.manifests.first().is_some_and(|newest| *newest > highest) {
            return Err(Error::Misuse("a checkpoint must be newer than all that are listed".into()));
        }
        let base = match previous.map(|id| (id, directory.merged_from(id, &inventory))) {
            None => None,
            Some((_, Some(merged))) => Some(merged),
            Some((id, None)) => Some(Arc::new(read_manifest(&*self.vfs, &names::manifest(id), id)?)),
        };
        if base.as_ref().is_some_and(|base| base.log_id != head.log_id) {
            return Err(Error::Misuse("the previous checkpoint belongs to another log".into()));
        }
        let stack = base.as_ref().map(|base| Stack::open(&self.parts, base)).transpose()?;
        self.clean(&inventory)?;
        let below = base.iter().flat_map(|base| base.parts.iter().map(|part| part.seq));
        let attempt = Attempt::write(self.numbers.start(below)?);
        Ok(Begun { attempt, base, _stack: stack })
    }

    fn write_begun(
        &self,
        previous: Option<CheckpointId>,
        begun: &mut Begun<'_>,
        changes: &mut dyn Changes,
    ) -> Result<Arc<MmapCheckpoint>> {
        let is_bottom = begun.base.as_ref().is_none_or(|base| base.parts.is_empty());
        let head = *changes.head();
        let create = || NewPart::create(&self.vfs, begun.attempt.number.seq, head.log_id);
        let part = write_changes(changes, is_bottom, create)?;
        let part = part.map(|part| part.finish(None, &mut || go_on(changes))).transpose()?;

        let mut directory = self.lock_directory()?;
        let inventory = Inventory::read(&*self.vfs)?;
        // Merges may have replaced parts meanwhile.
        let merged = previous.and_then(|id| directory.merged_from(id, &inventory));
        let base = merged.or_else(|| begun.base.clone());
        let below = base.iter().flat_map(|base| base.parts.iter().copied());
        let parts = part.into_iter().chain(below).collect();
        let made = self.publish(&mut directory, &mut begun.attempt, &head, base.as_deref(), parts)?;
        self.change_rate.note(part.map_or(0, |part| part.summary.bytes));
        Ok(made)
    }
}
