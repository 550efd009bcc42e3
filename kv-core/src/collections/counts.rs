use std::collections::HashMap;

use crate::{
    CollectionId, CollectionSize, Lsn,
    limits::COLLECTIONS_MAX,
    sync::{Mutex, lock},
};

/// The sizes of collections as they were counted last, so that counting again costs what is new
/// since then.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<HashMap<CollectionId, (Lsn, CollectionSize)>>);

impl Counts {
    /// What is known of a collection's size at a position from `lowest` up to `highest`, and that
    /// position.
    pub(super) fn known(&self, id: CollectionId, lowest: Lsn, highest: Lsn) -> Option<(Lsn, CollectionSize)> {
        lock(&self.0).get(&id).copied().filter(|(lsn, _)| (lowest..=highest).contains(lsn))
    }

    /// Notes the size of a collection at a position, unless a newer one is known.
    pub(super) fn note(&self, id: CollectionId, lsn: Lsn, size: CollectionSize) {
        let mut counts = lock(&self.0);
        if counts.len() >= COLLECTIONS_MAX && !counts.contains_key(&id) {
            counts.clear(); // most of them were dropped
        }
        let known = counts.entry(id).or_insert((lsn, size));
        if known.0 < lsn {
            *known = (lsn, size);
        }
    }
}
