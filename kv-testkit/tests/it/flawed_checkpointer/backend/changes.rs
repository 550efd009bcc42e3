use std::sync::Arc;

use kv_core::{Change, Changes, Checkpoint, CheckpointHead, CollectionId, Result, Value};

use super::Flaw;

/// Changes that the test did not ask for: none, or a deletion.
pub struct Unasked {
    head: CheckpointHead,
    deletion: Option<(CollectionId, Value)>,
    is_given: bool,
}

impl Unasked {
    pub fn none(head: CheckpointHead) -> Self {
        Self { head, deletion: None, is_given: false }
    }

    pub fn deletion(head: CheckpointHead, collection: CollectionId, key: Value) -> Self {
        Self { head, deletion: Some((collection, key)), is_given: false }
    }
}

impl Changes for Unasked {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        let is_first = !std::mem::replace(&mut self.is_given, true);
        let deletion = self.deletion.as_ref().filter(|_| is_first);
        Ok(deletion.map(|(collection, key)| Change { collection: *collection, key, value: None }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// Changes that are passed on with a flaw.
pub struct Altered<'a> {
    changes: &'a mut dyn Changes,
    flaw: Flaw,
    before: Option<Arc<dyn Checkpoint>>,
    /// How many deletions there were.
    pub deletions: u64,
    given: (Vec<u8>, Option<Vec<u8>>),
}

impl<'a> Altered<'a> {
    pub fn new(changes: &'a mut dyn Changes, flaw: Flaw, before: Option<Arc<dyn Checkpoint>>) -> Self {
        Self { changes, flaw, before, deletions: 0, given: <_>::default() }
    }

    fn is_left_out(&self, change: &Change<'_>) -> bool {
        let is_name = change.collection == CollectionId::NAMES;
        match self.flaw {
            Flaw::KeepsDroppedCollections => is_name && change.value.is_none(),
            Flaw::KeepsOldNames => is_name && change.value.is_some() && self.is_in_before(change),
            Flaw::NamesAreMissing => is_name,
            _ => false,
        }
    }

    fn is_in_before(&self, change: &Change<'_>) -> bool {
        let before = self.before.as_ref();
        before.is_some_and(|before| matches!(before.get(change.collection, change.key), Ok(Some(_))))
    }
}

#[deny(clippy::missing_trait_methods, reason = "a wrapper forwards every method")]
impl Changes for Altered<'_> {
    fn head(&self) -> &CheckpointHead {
        self.changes.head()
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        loop {
            let Some(Change { collection, key, value }) = self.changes.next()? else { return Ok(None) };
            let (key, value) = (key.to_vec(), value.map(<[u8]>::to_vec));
            let change = Change { collection, key: &key, value: value.as_deref() };
            if self.is_left_out(&change) {
                continue;
            }
            self.deletions += u64::from(value.is_none() && collection != CollectionId::NAMES);
            let is_kept = match self.flaw {
                Flaw::DropsTombstones => value.is_none() && collection != CollectionId::NAMES,
                Flaw::TombstoneIsAnEntry => value.is_none() && !self.is_in_before(&change),
                _ => false,
            };
            let value = value.or_else(|| is_kept.then(|| b"still here".to_vec()));
            self.given = (key, value);
            return Ok(Some(Change { collection, key: &self.given.0, value: self.given.1.as_deref() }));
        }
    }

    fn cancelled(&self) -> bool {
        self.changes.cancelled()
    }
}
