use std::{ops::Bound, sync::Arc};

use super::{Collections, Entries, read_view::ReadView};
use crate::{CollectionId, CollectionInfo, Error, Lsn, Result, Value, sync::yield_now};

/// Every collection at one position of the log, for as long as this value lives.
///
/// A snapshot holds a read view: the memtables and the checkpoint that it reads. It is registered
/// nowhere, so its cost does not depend on how many others there are.
pub(crate) struct Snapshot {
    position: Lsn,
    /// What it reads; if it was refused, the bytes that are held and how many may be.
    view: Result<Arc<ReadView>, (u64, u64)>,
}

impl Snapshot {
    /// The published state.
    ///
    /// The position is loaded before the view. So the view has every change up to the position, and
    /// since nothing is removed from a memtable, the versions of that position are still there. But
    /// the view may also be so much newer that its checkpoint or its names are above the position.
    /// Then both are loaded again.
    pub(super) fn take(collections: &Collections) -> Self {
        loop {
            let position = collections.horizon.published();
            let view = collections.view.load_full();
            if view.reaches_back_to(position) {
                return Self { position, view: Ok(view) };
            }
            yield_now();
        }
    }

    /// A snapshot that holds nothing, because others hold too much.
    pub(super) fn refused(collections: &Collections, held_bytes: u64, max: u64) -> Self {
        Self { position: collections.horizon.published(), view: Err((held_bytes, max)) }
    }

    pub(super) fn view(&self) -> Result<&Arc<ReadView>> {
        self.view
            .as_ref()
            .map_err(|(held_bytes, max)| Error::SnapshotsHoldTooMuch { held_bytes: *held_bytes, max: *max })
    }

    pub(crate) fn position(&self) -> Lsn {
        self.position
    }

    pub(crate) fn collection(&self, name: &str) -> Result<Option<CollectionId>> {
        Ok(self.view()?.names.at(name, self.position))
    }

    /// Every collection and its size, in order of identity.
    pub(crate) fn collections(&self) -> Result<Vec<CollectionInfo>> {
        let view = self.view()?;
        let named = view.names.all_at(self.position);
        named.iter().map(|collection| view.size(collection, self.position, &mut || Ok(()))).collect()
    }

    /// How many keys the collection has.
    pub(crate) fn len(&self, name: &str) -> Result<u64> {
        let Some(id) = self.collection(name)? else { return Ok(0) };
        Ok(self.view()?.size(&(id, name.into()), self.position, &mut || Ok(()))?.entries)
    }

    /// The value of a key.
    pub(crate) fn get(&self, name: &str, key: &[u8]) -> Result<Option<Value>> {
        match self.collection(name)? {
            Some(id) => Ok(self.view()?.get(id, key, self.position)?.1),
            None => Ok(None),
        }
    }

    /// The values of keys, in the order of `keys`.
    pub(crate) fn get_many(&self, name: &str, keys: &[&[u8]]) -> Result<Vec<Option<Value>>> {
        match self.collection(name)? {
            Some(id) => self.view()?.get_many(id, keys, self.position),
            None => Ok(vec![None; keys.len()]),
        }
    }

    /// Calls `read` with the value of a key. Returns `false` if there is none.
    pub(crate) fn get_with(&self, name: &str, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        match self.collection(name)? {
            Some(id) => Ok(self.view()?.get_with(id, key, self.position, read)?.1),
            None => Ok(false),
        }
    }

    /// The entries of the collection within the bounds.
    pub(crate) fn range(&self, name: &str, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Entries {
        let entries = || match self.collection(name)? {
            Some(collection) => Entries::of_snapshot(self, collection, (lower, upper)),
            None => Ok(Entries::empty()),
        };
        entries().unwrap_or_else(Entries::failed)
    }

    /// The entries of the collection whose keys begin with `prefix`.
    pub(crate) fn prefix(&self, name: &str, prefix: &[u8]) -> Entries {
        let (lower, upper) = prefix_bounds(prefix);
        self.range(name, lower, upper.as_ref().map(|key| &**key))
    }
}

/// The bounds of the range of keys that begin with `prefix`.
pub(crate) fn prefix_bounds(prefix: &[u8]) -> (Bound<&[u8]>, Bound<Vec<u8>>) {
    (Bound::Included(prefix), prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded))
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
