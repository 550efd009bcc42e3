use std::{
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use kv_core::{
    Checkpoint, CheckpointHead, CheckpointId, CheckpointStats, CollectionId, CollectionSize, Cursor, Error, Result,
    Value,
};

use super::{
    Flaw,
    cursor::{Collected, Ending},
};

/// What a flawed checkpointer shares with its checkpoints.
#[derive(Default)]
pub struct Shared {
    pub removed: Mutex<Vec<CheckpointId>>,
    pub newest: Mutex<Option<Arc<dyn Checkpoint>>>,
    pub writing: AtomicBool,
    /// Whether a read has met damage.
    pub met_damage: AtomicBool,
}

pub struct FlawedCheckpoint {
    pub inner: Arc<dyn Checkpoint>,
    pub id: CheckpointId,
    pub flaw: Flaw,
    /// The checkpoint that this one was made from.
    pub previous: Option<Arc<dyn Checkpoint>>,
    /// How many deletions it was made with.
    pub deletions: u64,
    pub shared: Arc<Shared>,
    /// Not shared, so it ends with this checkpoint.
    pub alive: Arc<()>,
}

impl FlawedCheckpoint {
    fn watch<T>(&self, read: Result<T>) -> Result<T> {
        if matches!(read, Err(Error::Corrupt { .. })) {
            self.shared.met_damage.store(true, Ordering::Release);
        }
        read
    }

    fn first_collection(&self) -> Result<CollectionId> {
        let mut names = self.inner.range(CollectionId::NAMES, Bound::Unbounded, Bound::Unbounded)?;
        names.advance()?;
        Ok(CollectionId::from_key(names.key()).unwrap_or(CollectionId::NAMES))
    }
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Checkpoint for FlawedCheckpoint {
    fn id(&self) -> CheckpointId {
        self.id
    }

    fn head(&self) -> &CheckpointHead {
        self.inner.head()
    }

    fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Value>> {
        let key = if self.flaw == Flaw::TruncatesKeys { &key[..key.len().min(65_535)] } else { key };
        let newest = self.shared.newest.lock().unwrap().clone().filter(|_| self.flaw == Flaw::FollowsNewest);
        match self.watch(newest.as_ref().unwrap_or(&self.inner).get(collection, key)) {
            Ok(_) if self.flaw == Flaw::WriteDisturbsReaders && self.shared.writing.load(Ordering::Acquire) => Ok(None),
            Ok(Some(value)) if self.flaw == Flaw::EmptyIsAbsent && value.is_empty() => Ok(None),
            Ok(_) if self.flaw == Flaw::CollectionsAreOne && collection != CollectionId::NAMES => {
                self.inner.get(self.first_collection()?, key)
            }
            Err(Error::Corrupt { .. }) if self.flaw == Flaw::DamageIsAbsence => Ok(None),
            _ if self.flaw == Flaw::RemoveClosesIt && self.shared.removed.lock().unwrap().contains(&self.id) => {
                Ok(None)
            }
            got => got,
        }
    }

    fn get_many(&self, collection: CollectionId, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        let mut values = keys.iter().map(|key| self.get(collection, key)).collect::<Result<Vec<_>>>()?;
        if self.flaw == Flaw::GetManySkipsTheAbsent {
            values.retain(Option::is_some);
        }
        Ok(values)
    }

    fn get_with(&self, collection: CollectionId, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        if self.flaw == Flaw::GetWithForgetsToCall {
            return Ok(self.inner.get(collection, key)?.is_some());
        }
        self.watch(self.inner.get_with(collection, key, read))
    }

    fn range(&self, collection: CollectionId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Result<Box<dyn Cursor>> {
        let upper = match upper {
            Bound::Included(key) if self.flaw == Flaw::BoundsAreExclusive => Bound::Excluded(key),
            upper => upper,
        };
        let cursor = self.watch(self.inner.range(collection, lower, upper))?;
        match self.flaw {
            Flaw::CursorBackwards | Flaw::RetreatsFromTheFront | Flaw::EndsPassEachOther | Flaw::ReadsBeyondTheEnd => {
                Ok(Box::new(Collected::new(cursor, self.flaw)?))
            }
            Flaw::CursorEndsWithCheckpoint => Ok(Box::new(Ending { cursor, checkpoint: Arc::downgrade(&self.alive) })),
            _ => Ok(cursor),
        }
    }

    fn size(&self, collection: CollectionId) -> Result<CollectionSize> {
        let mut size = self.watch(self.inner.size(collection))?;
        match (self.flaw, &self.previous) {
            (Flaw::SizeCountsDeletionsOfNothing, Some(previous)) => {
                size.entries = size.entries.min(previous.size(collection)?.entries.saturating_sub(self.deletions));
            }
            (Flaw::SizeIgnoresDeletions, Some(previous)) => {
                size.entries = size.entries.max(previous.size(collection)?.entries);
            }
            _ => {}
        }
        Ok(size)
    }

    fn scrub(&self, from: u64, bytes: u64) -> Result<Option<u64>> {
        self.watch(self.inner.scrub(from, bytes))
    }

    fn stats(&self) -> CheckpointStats {
        self.inner.stats()
    }
}
