use std::collections::BTreeMap;

use kv_core::{Change, Changes, CheckpointHead, CollectionId, Epoch, LogId, Lsn, Result};

/// The log that all checkpoints of the suite belong to.
pub const LOG_ID: LogId = LogId(0x0123_4567_89ab_cdef);

pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a checkpoint must hold, and what changed since the last one.
#[derive(Clone, Default)]
pub struct Image {
    pub epoch: Epoch,
    pub lsn: Lsn,
    pub collections: BTreeMap<CollectionId, (String, Entries)>,
    changes: BTreeMap<(CollectionId, Vec<u8>), Option<Vec<u8>>>,
}

impl Image {
    /// An image at the given epoch and position, without collections.
    pub fn new(epoch: u64, lsn: u64) -> Self {
        Self { epoch: Epoch(epoch), lsn: Lsn(lsn), ..Self::default() }
    }

    /// Creates a collection. No `index` may be used twice in the history of an image.
    pub fn create(&mut self, index: u32, name: &str) -> CollectionId {
        let id = CollectionId { lsn: Lsn(1), index };
        self.collections.insert(id, (name.to_owned(), Entries::new()));
        self.changes.insert((CollectionId::NAMES, id.to_key().to_vec()), Some(name.as_bytes().to_vec()));
        id
    }

    pub fn rename(&mut self, id: CollectionId, name: &str) {
        self.collections.get_mut(&id).unwrap().0 = name.to_owned();
        self.changes.insert((CollectionId::NAMES, id.to_key().to_vec()), Some(name.as_bytes().to_vec()));
    }

    pub fn drop_collection(&mut self, id: CollectionId) {
        self.collections.remove(&id);
        self.changes.retain(|(collection, _), _| *collection != id);
        self.changes.insert((CollectionId::NAMES, id.to_key().to_vec()), None);
    }

    pub fn put(&mut self, id: CollectionId, key: &[u8], value: &[u8]) {
        self.collections.get_mut(&id).unwrap().1.insert(key.to_vec(), value.to_vec());
        self.changes.insert((id, key.to_vec()), Some(value.to_vec()));
    }

    /// Deletes a key that may be absent. A key that was put and deleted since the last checkpoint
    /// leaves such a change.
    pub fn delete(&mut self, id: CollectionId, key: &[u8]) {
        self.collections.get_mut(&id).unwrap().1.remove(key);
        self.changes.insert((id, key.to_vec()), None);
    }

    /// The same state at a later position, without changes so far.
    pub fn later(&self) -> Self {
        Self { lsn: Lsn(self.lsn.0 + 10), ..self.at_same_position() }
    }

    /// The same state at the same position, without changes.
    pub fn at_same_position(&self) -> Self {
        Self { changes: BTreeMap::new(), ..self.clone() }
    }

    /// The same state with every entry as a change, to be written without a previous checkpoint.
    pub fn all_changed(&self) -> Self {
        let mut image = self.at_same_position();
        let names = self.names().into_iter();
        image.changes.extend(names.map(|(key, name)| ((CollectionId::NAMES, key), Some(name))));
        for (id, (_, entries)) in &self.collections {
            image.changes.extend(entries.iter().map(|(key, value)| ((*id, key.clone()), Some(value.clone()))));
        }
        image
    }

    pub fn head(&self) -> CheckpointHead {
        CheckpointHead { epoch: self.epoch, lsn: self.lsn, log_id: LOG_ID }
    }

    /// The entries of [`CollectionId::NAMES`].
    pub fn names(&self) -> Entries {
        let name = |(id, (name, _)): (&CollectionId, &(String, _))| (id.to_key().to_vec(), name.clone().into_bytes());
        self.collections.iter().map(name).collect()
    }

    pub fn changes(&self) -> ImageChanges<'_> {
        ImageChanges { head: self.head(), rest: self.changes.iter(), given: 0, before_each: Box::new(|_| Ok(Go::On)) }
    }
}

/// Whether the work continues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Go {
    On,
    Stop,
}

/// The changes of an image, with an action before each of them.
pub struct ImageChanges<'a> {
    head: CheckpointHead,
    rest: std::collections::btree_map::Iter<'a, (CollectionId, Vec<u8>), Option<Vec<u8>>>,
    given: usize,
    before_each: Box<dyn Fn(usize) -> Result<Go> + 'a>,
}

impl<'a> ImageChanges<'a> {
    /// Calls `act` with the number of changes given so far, before each change and whenever the
    /// writer asks whether to stop.
    pub fn with(self, act: impl Fn(usize) -> Result<Go> + 'a) -> Self {
        Self { before_each: Box::new(act), ..self }
    }
}

impl Changes for ImageChanges<'_> {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> Result<Option<Change<'_>>> {
        (self.before_each)(self.given)?;
        self.given += 1;
        let change = self.rest.next();
        Ok(change.map(|((collection, key), value)| Change { collection: *collection, key, value: value.as_deref() }))
    }

    fn cancelled(&self) -> bool {
        matches!((self.before_each)(self.given), Ok(Go::Stop))
    }
}
