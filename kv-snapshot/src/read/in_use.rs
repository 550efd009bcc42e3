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
    /// To be held while the file of a part is mapped or open: the file of part `seq`, which has this
    /// length.
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
