//! Writing everything that a store holds to another checkpointer.

use std::{mem, vec};

use super::{Snapshot, Store};
use crate::{
    Change, Changes, CheckpointHead, CheckpointId, Checkpointer, CollectionId, CollectionInfo, Entries, Entry, LogId,
    Lsn, Result, Value,
};

impl Store {
    /// Writes everything that was written to this store so far to another checkpointer, which must
    /// have no checkpoint yet. The result is a checkpoint of the log `log_id`, which has to begin
    /// after its position: together they are a copy of the store. `None` if nothing was ever
    /// written. Readers and writers go on meanwhile.
    ///
    /// This works for every log and checkpointer, and reads and writes the whole store.
    /// `kv_store::backup_to` makes copies that share files.
    ///
    /// ```
    /// use kv_core::{Checkpointer, LogId, MemoryCheckpointer, Store};
    ///
    /// let store = Store::in_memory()?;
    /// store.collection("users")?.put("alice", "Alice Liddell")?;
    /// let copy = MemoryCheckpointer::new(); // or kv-snapshot's `MmapCheckpointer`, or yours
    /// let id = store.copy_to(&copy, LogId(7))?.unwrap();
    /// assert_eq!(copy.open(id)?.head().log_id, LogId(7));
    /// # Ok::<(), kv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`sync`](Store::sync), of reading this store, and of
    /// [`Checkpointer::write`].
    pub fn copy_to(&self, to: &dyn Checkpointer, log_id: LogId) -> Result<Option<CheckpointId>> {
        self.sync()?;
        let snapshot = self.snapshot();
        if snapshot.position() == Lsn::START {
            return Ok(None);
        }
        let head = CheckpointHead { epoch: self.inner.log.bounds().epoch, lsn: snapshot.position(), log_id };
        let mut everything = Everything::new(head, snapshot)?;
        Ok(Some(to.write(None, &mut everything)?.id()))
    }
}

/// Everything that a snapshot shows, as changes of nothing.
struct Everything {
    head: CheckpointHead,
    snapshot: Snapshot,
    /// The names that are still to come. They are the entries of a collection, the first.
    names: vec::IntoIter<CollectionInfo>,
    /// The collections that are still to come, in order of identity.
    collections: vec::IntoIter<CollectionInfo>,
    collection: CollectionId,
    entries: Option<Entries>,
    entry: Entry,
}

impl Everything {
    fn new(head: CheckpointHead, snapshot: Snapshot) -> Result<Self> {
        let mut names = snapshot.collections()?;
        names.sort_unstable_by_key(|info| info.id);
        let (collections, names) = (names.clone().into_iter(), names.into_iter());
        let entry = Entry { key: Value::default(), value: Value::default() };
        Ok(Self { head, snapshot, names, collections, collection: CollectionId::NAMES, entries: None, entry })
    }

    fn next_entry(&mut self) -> Result<Option<Entry>> {
        if let Some(CollectionInfo { id, name, .. }) = self.names.next() {
            return Ok(Some(Entry { key: Value::copy_from(&id.to_key()), value: name.into_bytes().into() }));
        }
        loop {
            if let Some(entry) = self.entries.as_mut().and_then(Entries::next) {
                return entry.map(Some);
            }
            let Some(CollectionInfo { id, name, .. }) = self.collections.next() else { return Ok(None) };
            (self.collection, self.entries) = (id, Some(self.snapshot.iter(&name)));
        }
    }
}

impl Changes for Everything {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        let Some(entry) = self.next_entry()? else { return Ok(None) };
        drop(mem::replace(&mut self.entry, entry));
        Ok(Some(Change { collection: self.collection, key: &self.entry.key, value: Some(&self.entry.value) }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}
