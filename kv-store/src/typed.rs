//! Collections whose keys and values have types.

mod codec;
mod key;

use std::{
    error, fmt, io,
    marker::PhantomData,
    ops::{Bound, RangeBounds},
};

use serde::{Serialize, de::DeserializeOwned};

pub use codec::{Codec, Json};
pub use key::Key;

use crate::{Collection, Entries, Entry};

/// A view of a collection whose keys are of type `K` and whose values are of type `V`. It needs the
/// feature `serde`.
///
/// Keys are sorted as their type sorts them: see [`Key`]. Values are in JSON unless another
/// [`Codec`] is chosen, so `kv get` prints them, and `kv import --key` writes them.
///
/// It is a handle, and every verb does what the verb of [`Collection`] with that name does. What it
/// lacks, such as comparing, is on [`collection`](Typed::collection).
///
/// ```
/// # fn main() -> Result<(), kv_store::typed::Error> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = kv_store::open(directory.path().join("data"))?;
/// use kv_store::typed::{Key, Json, Codec, Typed};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Order {
///     total: u32,
/// }
///
/// // By customer and number.
/// let orders: Typed<(String, u32), Order> = Typed::new(store.collection("orders")?);
/// orders.put(&("alice".into(), 7), &Order { total: 30 })?;
/// orders.put(&("bob".into(), 1), &Order { total: 12 })?;
/// assert_eq!(orders.get(&("alice".into(), 7))?.unwrap().total, 30);
///
/// let of_alice = orders.prefix(&"alice".to_owned()).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(of_alice.len(), 1);
///
/// // In a transaction, keys and values are encoded by hand.
/// let (key, value) = (("carol".to_owned(), 1).to_bytes(), Json::encode(&Order { total: 5 })?);
/// store.transact(|tx| tx.put("orders", key, value))?;
/// # Ok(())
/// # }
/// ```
pub struct Typed<K, V, C = Json> {
    collection: Collection,
    types: PhantomData<fn(K, V, C)>,
}

/// Why a typed verb failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The store's error.
    Store(crate::Error),
    /// A value cannot be encoded. Nothing was written.
    Encode(io::Error),
    /// A key of the collection is not the encoding of one of this type.
    Key {
        /// The collection.
        collection: Box<str>,
        /// The key.
        key: Vec<u8>,
    },
    /// A value of the collection is not the encoding of one of this type.
    Value {
        /// The collection.
        collection: Box<str>,
        /// Its key.
        key: Vec<u8>,
        /// What the codec says.
        source: io::Error,
    },
}

/// The outcome of a typed verb.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Encode(_) => f.write_str("the value cannot be encoded, and was not written"),
            Self::Key { collection, key } => {
                write!(f, "the key \"{}\" of {collection:?} is not of the type of the keys", key.escape_ascii())
            }
            Self::Value { collection, key, .. } => {
                write!(f, "the value of \"{}\" in {collection:?} is not of the type of the values", key.escape_ascii())
            }
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Encode(source) | Self::Value { source, .. } => Some(source),
            Self::Key { .. } => None,
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::Store(error)
    }
}

impl<K: Key, V: Serialize + DeserializeOwned, C: Codec> Typed<K, V, C> {
    /// A typed view of this collection.
    pub fn new(collection: Collection) -> Self {
        Self { collection, types: PhantomData }
    }

    /// The collection.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// Sets the value of a key; see [`Collection::put`].
    ///
    /// # Errors
    /// [`Error::Encode`]; [`Error::Store`].
    pub fn put(&self, key: &K, value: &V) -> Result<()> {
        Ok(self.collection.put(key.to_bytes(), C::encode(value)?)?)
    }

    /// The value of a key; see [`Collection::get`].
    ///
    /// # Errors
    /// [`Error::Value`]; [`Error::Store`].
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        let key = key.to_bytes();
        let found = self.collection.get(&key)?;
        found.map(|value| value_of::<V, C>(&self.collection, &key, &value)).transpose()
    }

    /// Whether the key is present; see [`Collection::contains`].
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn contains(&self, key: &K) -> Result<bool> {
        Ok(self.collection.contains(key.to_bytes())?)
    }

    /// Deletes a key; see [`Collection::delete`].
    ///
    /// # Errors
    /// [`Error::Store`], with [`KeyNotFound`](crate::Error::KeyNotFound) if it is absent.
    pub fn delete(&self, key: &K) -> Result<()> {
        Ok(self.collection.delete(key.to_bytes())?)
    }

    /// Deletes a key if it is present, and returns whether it was; see
    /// [`Collection::delete_if_present`].
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn delete_if_present(&self, key: &K) -> Result<bool> {
        Ok(self.collection.delete_if_present(key.to_bytes())?)
    }

    /// Takes the entry with the lowest key out; see [`Collection::pop_first`].
    ///
    /// # Errors
    /// [`Error::Key`] or [`Error::Value`]: the entry is taken out nevertheless. [`Error::Store`].
    pub fn pop_first(&self) -> Result<Option<(K, V)>> {
        self.collection.pop_first()?.map(|entry| entry_of::<K, V, C>(&self.collection, &entry)).transpose()
    }

    /// Takes the entry with the highest key out; otherwise as [`pop_first`](Typed::pop_first).
    ///
    /// # Errors
    /// As [`pop_first`](Typed::pop_first).
    pub fn pop_last(&self) -> Result<Option<(K, V)>> {
        self.collection.pop_last()?.map(|entry| entry_of::<K, V, C>(&self.collection, &entry)).transpose()
    }

    /// All entries, in the order of their keys, at one position.
    pub fn iter(&self) -> TypedEntries<K, V, C> {
        self.entries(self.collection.iter())
    }

    /// The entries whose keys lie in `keys`, in order, at one position.
    pub fn range(&self, keys: impl RangeBounds<K>) -> TypedEntries<K, V, C> {
        let bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>) =
            (keys.start_bound().map(Key::to_bytes), keys.end_bound().map(Key::to_bytes));
        self.entries(self.collection.range(bounds))
    }

    /// The entries whose keys are tuples that begin with `first`, in order, at one position. It is
    /// the first part of the tuple, or a tuple of its first parts.
    pub fn prefix(&self, first: &impl Key) -> TypedEntries<K, V, C> {
        let mut prefix = Vec::new();
        first.encode(&mut prefix, true);
        self.entries(self.collection.prefix(prefix))
    }

    fn entries(&self, entries: Entries) -> TypedEntries<K, V, C> {
        TypedEntries { collection: self.collection.clone(), entries, types: PhantomData }
    }
}

impl<K, V, C> Clone for Typed<K, V, C> {
    fn clone(&self) -> Self {
        Self { collection: self.collection.clone(), types: PhantomData }
    }
}

impl<K, V, C> fmt::Debug for Typed<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.collection.name()).finish()
    }
}

/// The entries of a typed collection, in order. What is not of its types is an error, and the
/// iterator goes on behind it.
pub struct TypedEntries<K, V, C = Json> {
    collection: Collection,
    entries: Entries,
    types: PhantomData<fn(K, V, C)>,
}

impl<K: Key, V: DeserializeOwned, C: Codec> TypedEntries<K, V, C> {
    fn decode(&self, entry: crate::Result<Entry>) -> Result<(K, V)> {
        entry_of::<K, V, C>(&self.collection, &entry?)
    }
}

impl<K: Key, V: DeserializeOwned, C: Codec> Iterator for TypedEntries<K, V, C> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(self.decode(entry))
    }
}

impl<K: Key, V: DeserializeOwned, C: Codec> DoubleEndedIterator for TypedEntries<K, V, C> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next_back()?;
        Some(self.decode(entry))
    }
}

fn entry_of<K: Key, V: DeserializeOwned, C: Codec>(collection: &Collection, entry: &Entry) -> Result<(K, V)> {
    let key = K::from_bytes(&entry.key)
        .ok_or_else(|| Error::Key { collection: collection.name().into(), key: entry.key.to_vec() })?;
    Ok((key, value_of::<V, C>(collection, &entry.key, &entry.value)?))
}

fn value_of<V: DeserializeOwned, C: Codec>(collection: &Collection, key: &[u8], value: &[u8]) -> Result<V> {
    C::decode(value).map_err(|source| Error::Value { collection: collection.name().into(), key: key.to_vec(), source })
}
