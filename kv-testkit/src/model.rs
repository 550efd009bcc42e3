use std::collections::BTreeMap;

/// The entries of a collection.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The reference model: what a store must hold, as a map of maps.
///
/// ```
/// use kv_testkit::{Model, Operation, Outcome};
///
/// let mut model = Model::default();
/// let put = Operation::put("users", "alice", "Alice");
/// assert_eq!(model.apply(&put), Outcome::Done);
/// assert_eq!(model.get("users", b"alice"), Some(&b"Alice"[..]));
///
/// let deletions = [Operation::delete("users", "alice"), Operation::delete("users", "bob")];
/// assert_eq!(model.apply_batch(&deletions), Outcome::KeyNotFound); // all or nothing
/// assert_eq!(model.get("users", b"alice"), Some(&b"Alice"[..]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    collections: BTreeMap<String, Entries>,
}

/// A change that a store can make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets the value of a key. Creates the collection if it does not exist.
    Put {
        /// The collection's name.
        collection: String,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Deletes a key, which must exist.
    Delete {
        /// The collection's name.
        collection: String,
        /// The key.
        key: Vec<u8>,
    },
    /// Deletes a key if it exists.
    DeleteIfPresent {
        /// The collection's name.
        collection: String,
        /// The key.
        key: Vec<u8>,
    },
    /// Deletes the entry with the lowest key, if there is one.
    PopFirst {
        /// The collection's name.
        collection: String,
    },
    /// Deletes the entry with the highest key, if there is one.
    PopLast {
        /// The collection's name.
        collection: String,
    },
    /// Deletes the entries whose keys are not below `from`, but below `to`.
    DeleteRange {
        /// The collection's name.
        collection: String,
        /// Where the range begins.
        from: Vec<u8>,
        /// Where it ends. If that is not after its beginning, it contains nothing.
        to: Vec<u8>,
    },
    /// Sets the value of a key, or deletes it, if its value is the expected one. `None` means an
    /// absent key.
    CompareAndSet {
        /// The collection's name.
        collection: String,
        /// The key.
        key: Vec<u8>,
        /// The expected value.
        expected: Option<Vec<u8>>,
        /// The new value.
        new: Option<Vec<u8>>,
    },
    /// Creates a collection if it does not exist.
    Create {
        /// The collection's name.
        collection: String,
    },
    /// Drops a collection, which must exist, with everything in it.
    Drop {
        /// The collection's name.
        collection: String,
    },
    /// Empties a collection, which must exist.
    Clear {
        /// The collection's name.
        collection: String,
    },
    /// Renames a collection, which must exist, to a name that must be free.
    Rename {
        /// The collection's name.
        collection: String,
        /// Its new name.
        to: String,
    },
}

/// The answer that a store must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The change was made.
    Done,
    /// There was nothing to do: the key was absent already, the collection was empty, or it existed
    /// already.
    Unchanged,
    /// The key does not exist. Nothing was changed.
    KeyNotFound,
    /// The value is not the expected one. Nothing was changed.
    Mismatch,
    /// The collection does not exist. Nothing was changed.
    CollectionNotFound,
    /// There is already a collection with that name. Nothing was changed.
    CollectionExists,
}

impl Operation {
    /// A [`Put`](Operation::Put).
    pub fn put(collection: &str, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { collection: collection.to_owned(), key: key.into(), value: value.into() }
    }

    /// A [`Delete`](Operation::Delete).
    pub fn delete(collection: &str, key: impl Into<Vec<u8>>) -> Self {
        Self::Delete { collection: collection.to_owned(), key: key.into() }
    }

    /// A [`DeleteIfPresent`](Operation::DeleteIfPresent).
    pub fn delete_if_present(collection: &str, key: impl Into<Vec<u8>>) -> Self {
        Self::DeleteIfPresent { collection: collection.to_owned(), key: key.into() }
    }

    /// A [`Create`](Operation::Create).
    pub fn create(collection: &str) -> Self {
        Self::Create { collection: collection.to_owned() }
    }

    /// A [`Drop`](Operation::Drop).
    pub fn drop(collection: &str) -> Self {
        Self::Drop { collection: collection.to_owned() }
    }
}

impl Model {
    /// Makes a change, or none if it is refused.
    pub fn apply(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::Put { collection, key, value } => {
                self.collections.entry(collection.clone()).or_default().insert(key.clone(), value.clone());
                Outcome::Done
            }
            Operation::Delete { collection, key } => self.remove(collection, key).map_or(Outcome::KeyNotFound, done),
            Operation::DeleteIfPresent { collection, key } => {
                self.remove(collection, key).map_or(Outcome::Unchanged, done)
            }
            Operation::PopFirst { collection } => {
                let popped = self.collections.get_mut(collection).and_then(Entries::pop_first);
                popped.map_or(Outcome::Unchanged, |(_, value)| done(value))
            }
            Operation::PopLast { collection } => {
                let popped = self.collections.get_mut(collection).and_then(Entries::pop_last);
                popped.map_or(Outcome::Unchanged, |(_, value)| done(value))
            }
            Operation::DeleteRange { collection, from, to } => {
                let Some(entries) = self.collections.get_mut(collection) else { return Outcome::Unchanged };
                let before = entries.len();
                entries.retain(|key, _| key < from || key >= to);
                if entries.len() < before { Outcome::Done } else { Outcome::Unchanged }
            }
            Operation::CompareAndSet { collection, key, expected, new } => {
                if self.get(collection, key) != expected.as_deref() {
                    return Outcome::Mismatch;
                }
                match new {
                    Some(value) => self.apply(&Operation::put(collection, key.clone(), value.clone())),
                    None => self.remove(collection, key).map_or(Outcome::Done, done),
                }
            }
            Operation::Create { collection } => {
                let existing = self.collections.contains_key(collection);
                self.collections.entry(collection.clone()).or_default();
                if existing { Outcome::Unchanged } else { Outcome::Done }
            }
            Operation::Drop { collection } => {
                self.collections.remove(collection).map_or(Outcome::CollectionNotFound, |_| Outcome::Done)
            }
            Operation::Clear { collection } => match self.collections.get_mut(collection) {
                Some(entries) => {
                    entries.clear();
                    Outcome::Done
                }
                None => Outcome::CollectionNotFound,
            },
            Operation::Rename { collection, to } => {
                if !self.collections.contains_key(collection) {
                    return Outcome::CollectionNotFound;
                }
                if self.collections.contains_key(to) {
                    return Outcome::CollectionExists;
                }
                let entries = self.collections.remove(collection).unwrap_or_default();
                self.collections.insert(to.clone(), entries);
                Outcome::Done
            }
        }
    }

    /// Makes all changes in order, or none if one of them is refused. The answer is then that of
    /// the first refused change.
    pub fn apply_batch(&mut self, operations: &[Operation]) -> Outcome {
        let mut changed = self.clone();
        for operation in operations {
            match changed.apply(operation) {
                Outcome::Done | Outcome::Unchanged => {}
                refused => return refused,
            }
        }
        *self = changed;
        Outcome::Done
    }

    /// The value of a key.
    pub fn get(&self, collection: &str, key: &[u8]) -> Option<&[u8]> {
        self.collections.get(collection)?.get(key).map(Vec::as_slice)
    }

    /// The entries of a collection whose keys begin with `prefix`, in byte order; none if the
    /// collection does not exist.
    pub fn prefix<'a>(&'a self, collection: &str, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let entries = self.collections.get(collection).into_iter().flatten();
        entries.map(|(key, value)| (&key[..], &value[..])).filter(move |(key, _)| key.starts_with(prefix))
    }

    /// How many keys a collection has.
    pub fn len(&self, collection: &str) -> usize {
        self.collections.get(collection).map_or(0, BTreeMap::len)
    }

    /// Whether a collection has no keys.
    pub fn is_empty(&self, collection: &str) -> bool {
        self.len(collection) == 0
    }

    /// All collections, by name.
    pub fn collections(&self) -> &BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> {
        &self.collections
    }

    fn remove(&mut self, collection: &str, key: &[u8]) -> Option<Vec<u8>> {
        self.collections.get_mut(collection)?.remove(key)
    }
}

fn done(_removed: Vec<u8>) -> Outcome {
    Outcome::Done
}
