use std::{
    ops::Bound,
    sync::{Arc, Weak},
};

use super::{Collections, Entries, read_view::ReadView};
use crate::{CollectionId, CollectionInfo, Lsn, Owner, Result, Value};

/// Every collection at one position of the log, for as long as this value lives.
///
/// A snapshot holds a read view and registers its position
/// ([`Horizon::register`](super::Horizon::register)), which keeps the versions at that position
/// from being pruned.
pub(crate) struct Snapshot {
    collections: Arc<Collections>,
    position: Lsn,
    view: Arc<ReadView>,
}

impl Snapshot {
    /// Takes a view and a position that belong together: the view must hold every change up to the
    /// position.
    ///
    /// The view is loaded first, then the position is registered, then the view is loaded again. If
    /// it is still the same, no freeze came in between; so every change that was published at the
    /// registered position had been applied to this view. If it has changed, the position may
    /// include changes to a newer memtable, which this view lacks, and both are taken again. The
    /// comparison by pointer is safe: the held view cannot be freed and its address used again.
    pub(super) fn take(collections: &Arc<Collections>) -> Self {
        loop {
            let view = collections.view.load_full();
            let position = collections.horizon.register();
            // From here on, dropping the snapshot releases the position.
            let snapshot = Self { collections: Arc::clone(collections), position, view };
            if Arc::ptr_eq(&snapshot.view, &collections.view.load()) {
                return snapshot;
            }
        }
    }

    pub(super) fn view(&self) -> &Arc<ReadView> {
        &self.view
    }

    pub(crate) fn position(&self) -> Lsn {
        self.position
    }

    pub(crate) fn collection(&self, name: &str) -> Option<CollectionId> {
        self.collections.names.at(name, || self.position)
    }

    /// Every collection and its size, in order of identity.
    pub(crate) fn collections(&self) -> Result<Vec<CollectionInfo>> {
        let changed = self.view.changed(self.position, |_, _| true, &mut || Ok(()))?;
        self.view.sizes(self.collections.names.all_at(self.position), &changed, &mut || Ok(()))
    }

    /// How many keys the collection has.
    pub(crate) fn len(&self, name: &str) -> Result<u64> {
        let Some(id) = self.collection(name) else { return Ok(0) };
        let changed = self.view.changed(self.position, |collection, _| collection == id, &mut || Ok(()))?;
        let sizes = self.view.sizes(vec![(id, name.into())], &changed, &mut || Ok(()))?;
        Ok(sizes.iter().map(|info| info.entries).sum())
    }

    /// The value of a key.
    pub(crate) fn get(&self, name: &str, key: &[u8]) -> Result<Option<Value>> {
        match self.collection(name) {
            Some(id) => Ok(self.view.get(id, key, || self.position)?.1),
            None => Ok(None),
        }
    }

    /// The values of keys, in the order of `keys`.
    pub(crate) fn get_many(&self, name: &str, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        match self.collection(name) {
            Some(id) => self.view.get_many(id, keys, self.position),
            None => Ok(vec![None; keys.len()]),
        }
    }

    /// Calls `read` with the value of a key. Returns `false` if there is none.
    pub(crate) fn get_with(&self, name: &str, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        match self.collection(name) {
            Some(id) => Ok(self.view.get_with(id, key, || self.position, read)?.1),
            None => Ok(false),
        }
    }

    /// The entries of the collection within the bounds.
    pub(crate) fn range(self: &Arc<Self>, name: &str, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Entries {
        match self.collection(name) {
            Some(collection) => Entries::of_snapshot(self, collection, (lower, upper)),
            None => Entries::empty(),
        }
    }

    /// The entries of the collection whose keys begin with `prefix`.
    pub(crate) fn prefix(self: &Arc<Self>, name: &str, prefix: &[u8]) -> Entries {
        let (lower, upper) = prefix_bounds(prefix);
        self.range(name, lower, upper.as_ref().map(|key| &**key))
    }
}

/// The bounds of the range of keys that begin with `prefix`.
pub(crate) fn prefix_bounds(prefix: &[u8]) -> (Bound<&[u8]>, Bound<Vec<u8>>) {
    (Bound::Included(prefix), prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded))
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // In a child made by `fork`, another thread of the parent may have held the registry's lock
        // at the fork, and nothing would ever release it in the child. Versions are pruned neither
        // in a child nor after the store is gone, so there the position need not be released.
        let is_ours = |owner: &Weak<_>| owner.upgrade().is_some_and(|owner: Arc<dyn Owner>| owner.check().is_ok());
        if self.collections.owner.as_ref().is_none_or(is_ours) {
            self.collections.horizon.release(self.position);
        }
    }
}

/// The first key, in byte order, after all that begin with `prefix`; `None` if there is none.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_that_does_not_begin_with_it() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xFF\xFF"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xFF"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
