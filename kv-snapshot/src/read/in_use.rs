//! Which files of parts are in use. A value, an iterator or a snapshot may keep the map of a part,
//! or its open file, when the part was removed long ago. The disk has its space back only later.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;

/// While this lives, a file is mapped or open.
#[derive(Debug, Default)]
pub(crate) struct InUse;

/// A map that keeps its file in use.
struct UsedMap {
    map: Bytes,
    _in_use: Arc<InUse>,
}

impl AsRef<[u8]> for UsedMap {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl InUse {
    /// The same map. Whatever holds a part of it keeps the file in use.
    pub(super) fn map(self: &Arc<Self>, map: Bytes) -> Bytes {
        Bytes::from_owner(UsedMap { map, _in_use: Arc::clone(self) })
    }
}

/// The files of parts that were opened, by the numbers of the parts.
#[derive(Debug, Default)]
pub(crate) struct FilesInUse(Mutex<HashMap<u64, UsedFile>>);

#[derive(Debug)]
struct UsedFile {
    in_use: Weak<InUse>,
    bytes: u64,
    is_removed: bool,
}

impl FilesInUse {
    /// To be held while the file of part `seq`, which has that many bytes, is mapped or open.
    pub(super) fn hold(&self, seq: u64, bytes: u64) -> Arc<InUse> {
        let mut files = self.files();
        let held = files.get(&seq).and_then(|file| file.in_use.upgrade());
        held.unwrap_or_else(|| {
            let in_use = Arc::new(InUse);
            files.insert(seq, UsedFile { in_use: Arc::downgrade(&in_use), bytes, is_removed: false });
            in_use
        })
    }

    /// Notes that the file of a part was removed.
    pub(super) fn removed(&self, seq: u64) {
        if let Some(file) = self.files().get_mut(&seq) {
            file.is_removed = true;
        }
    }

    /// The bytes of the removed files that are in use.
    pub(super) fn removed_bytes(&self) -> u64 {
        self.files().values().filter(|file| file.is_removed).map(|file| file.bytes).sum()
    }

    /// The files, without those that nothing uses any more.
    fn files(&self) -> MutexGuard<'_, HashMap<u64, UsedFile>> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|_, file| file.in_use.strong_count() > 0);
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part may be opened again while an earlier opening of it is still read.
    #[test]
    fn a_removed_file_counts_once_until_the_last_reader_goes() {
        let files = FilesInUse::default();
        let (first, second) = (files.hold(1, 100), files.hold(1, 100));
        let other = files.hold(2, 10);
        assert_eq!(files.removed_bytes(), 0, "nothing is removed");
        files.removed(1);
        files.removed(2);
        files.removed(3); // which nothing has opened
        assert_eq!(files.removed_bytes(), 110);
        drop(second);
        assert_eq!(files.removed_bytes(), 110);
        drop(first);
        assert_eq!(files.removed_bytes(), 10);
        drop(other);
        assert_eq!(files.removed_bytes(), 0);
    }

    #[test]
    fn a_piece_of_a_map_keeps_its_file_in_use() {
        let files = FilesInUse::default();
        let map = files.hold(1, 100).map(Bytes::from(vec![7; 100]));
        let piece = map.slice(10..20);
        files.removed(1);
        drop(map);
        assert_eq!(files.removed_bytes(), 100);
        drop(piece);
        assert_eq!(files.removed_bytes(), 0);
    }
}
