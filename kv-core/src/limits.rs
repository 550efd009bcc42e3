use crate::{Error, Result};

/// The longest key that the formats can carry, in bytes.
pub const KEY_BYTES_MAX: usize = 65_535;
/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 20;
/// The largest record that a batch may become, in bytes.
pub const BATCH_BYTES_MAX: usize = 128 << 20;
/// The longest name of a collection, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;
/// The largest number of collections that a store may have at a time.
pub const COLLECTIONS_MAX: usize = 1 << 20;

/// Upper bounds on the parts of new writes. The defaults are the caps of the formats. They can be
/// lowered. Lowering a limit does not affect what is already written: an operation that writes no
/// key and no name still finds and deletes longer ones.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Error, Limits, MemoryCheckpointer, MemoryLog, Store, StoreOptions};
///
/// let limits = Limits { value_bytes_max: 1024, ..Limits::default() };
/// let options = StoreOptions { limits, ..StoreOptions::default() };
/// let store = Store::with_backends(Arc::new(MemoryLog::new()), Arc::new(MemoryCheckpointer::new()), options)?;
/// let refused = store.collection("users")?.put("alice", [0; 1025]).unwrap_err();
/// assert_eq!(refused.to_string(), "value of 1025 bytes is too large: at most 1024 bytes are allowed");
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest key, in bytes. The default, [`KEY_BYTES_MAX`], is also the highest possible
    /// value.
    pub key_bytes_max: usize,
    /// The longest value, in bytes. The default, [`VALUE_BYTES_MAX`], is also the highest possible
    /// value.
    pub value_bytes_max: usize,
    /// The largest record that a batch may become, in bytes. The default, [`BATCH_BYTES_MAX`], is
    /// also the highest possible value.
    pub batch_bytes_max: usize,
    /// The longest name of a collection, in bytes of UTF-8. The default, [`NAME_BYTES_MAX`], is
    /// also the highest possible value.
    pub name_bytes_max: usize,
    /// The largest number of collections at a time. The default, [`COLLECTIONS_MAX`], is also the
    /// highest possible value.
    pub collections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_bytes_max: KEY_BYTES_MAX,
            value_bytes_max: VALUE_BYTES_MAX,
            batch_bytes_max: BATCH_BYTES_MAX,
            name_bytes_max: NAME_BYTES_MAX,
            collections_max: COLLECTIONS_MAX,
        }
    }
}

impl Limits {
    /// These limits, lowered to the caps of the formats where they exceed them.
    pub(crate) fn capped(&self) -> Self {
        let caps = Self::default();
        Self {
            key_bytes_max: self.key_bytes_max.min(caps.key_bytes_max),
            value_bytes_max: self.value_bytes_max.min(caps.value_bytes_max),
            batch_bytes_max: self.batch_bytes_max.min(caps.batch_bytes_max),
            name_bytes_max: self.name_bytes_max.min(caps.name_bytes_max),
            collections_max: self.collections_max.min(caps.collections_max),
        }
    }

    pub(crate) fn check_key(&self, key: &[u8]) -> Result<()> {
        match key.len() {
            len if len == 0 || len > self.key_bytes_max => Err(Error::InvalidKey { len, max: self.key_bytes_max }),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_value(&self, value: &[u8]) -> Result<()> {
        match value.len() {
            len if len > self.value_bytes_max => Err(Error::ValueTooLarge { len, max: self.value_bytes_max }),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_name(&self, name: &str) -> Result<()> {
        match name.len() {
            len if len == 0 || len > self.name_bytes_max => {
                Err(Error::InvalidCollectionName { len, max: self.name_bytes_max })
            }
            _ => Ok(()),
        }
    }

    /// Fails if no collection may be added to `existing` ones.
    pub(crate) fn check_collections(&self, existing: usize) -> Result<()> {
        if existing >= self.collections_max {
            return Err(Error::TooManyCollections { max: self.collections_max });
        }
        Ok(())
    }

    pub(crate) fn check_batch(&self, bytes: usize) -> Result<()> {
        if bytes > self.batch_bytes_max {
            return Err(Error::BatchTooLarge { bytes, max: self.batch_bytes_max });
        }
        Ok(())
    }
}
