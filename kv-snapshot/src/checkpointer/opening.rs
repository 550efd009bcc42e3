//! Opening a checkpoint, and examining what is known to be damaged.

use std::{ops::Bound, sync::Arc};

use kv_core::{CheckpointId, CollectionId, Cursor, Error, Result};

use super::{MmapCheckpointer, lock};
use crate::{
    damage::Verdict,
    error::unreadable_is_damage,
    format::{manifest::Manifest, names},
    inventory::{Inventory, Named},
    read::{
        checkpoint::{MmapCheckpoint, read_manifest},
        cursor::PartCursor,
        stack::Stack,
    },
    verify::blocks::verify_file,
};

/// What to do with a checkpoint in which damage is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfDamaged {
    Refuse,
    Open,
}

impl MmapCheckpointer {
    pub(super) fn open_checkpoint(&self, id: CheckpointId, if_damaged: IfDamaged) -> Result<Arc<MmapCheckpoint>> {
        self.damage.learn(&Inventory::read(&*self.vfs)?);
        let (manifest, stack) = self.read_checkpoint(id, if_damaged).map_err(unreadable_is_damage)?;
        // A child made by `fork` may read, and takes no lock.
        if self.check_owner().is_ok() {
            lock(&self.directory).opened(&manifest);
        }
        Ok(Arc::new(MmapCheckpoint::new(manifest, stack, self.options.class_bytes)))
    }

    fn read_checkpoint(&self, id: CheckpointId, if_damaged: IfDamaged) -> Result<(Arc<Manifest>, Stack)> {
        let manifest = Arc::new(read_manifest(&*self.vfs, &names::manifest(id), id)?);
        self.examine(&manifest, if_damaged)?;
        let stack = Stack::open(&self.parts, &manifest)?;
        read_names(&stack)?;
        Ok((manifest, stack))
    }

    /// Reads every block of the parts in which damage was met.
    fn examine(&self, manifest: &Manifest, if_damaged: IfDamaged) -> Result<()> {
        for (part, verdict) in self.damage.flagged(&manifest.parts) {
            if if_damaged == IfDamaged::Open && matches!(verdict, Verdict::Damaged | Verdict::Judged) {
                self.damage.settle(part.seq, Verdict::Judged);
                continue;
            }
            if verdict == Verdict::Damaged
                && let Some(damage) = self.damage.of_part(part.seq)
            {
                return Err(damage); // it was read before, for another checkpoint
            }
            let read = verify_file(&*self.vfs, &part, || Ok(())).map_err(unreadable_is_damage);
            match (read, if_damaged) {
                (Ok(()), _) => {
                    self.damage.settle(part.seq, Verdict::Intact);
                    self.parts.forget(&part); // the file may be another one now
                }
                (Err(Error::Corrupt { .. }), IfDamaged::Open) => self.damage.settle(part.seq, Verdict::Judged),
                (Err(error @ Error::Corrupt { .. }), IfDamaged::Refuse) => {
                    self.damage.settle(part.seq, Verdict::Damaged);
                    return Err(error);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first damage that is not examined, or that nothing was decided about.
    pub(super) fn open_damage(&self) -> Option<Error> {
        if !self.damage.is_open() {
            return None;
        }
        self.damage.first_open(&self.named().unwrap_or_else(|_| Named::everything()))
    }
}

/// Reads and verifies the names of the collections. Without them a checkpoint is of no use, so
/// damage to them is damage to the checkpoint as a whole, and leaves no flag.
fn read_names(stack: &Stack) -> Result<()> {
    for part in &stack.parts {
        let Some(section) = part.section(CollectionId::NAMES) else { continue };
        let mut names = PartCursor::new(part.part().clone(), *section, Bound::Unbounded, Bound::Unbounded)?;
        while names.advance()? {}
    }
    Ok(())
}
