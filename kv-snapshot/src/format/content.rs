//! The digest of what a part holds, apart from how it is stored.
//!
//! It is the xxh3-128 of all entries in order: for each, the collection's position (8 bytes) and
//! index (4), the kind (1), the length of the key (8), the length of the value (8), the key and the
//! value. Integers are little-endian.
//!
//! Checksums are computed over the bytes of the file, so they match whatever was put there. This
//! digest is computed before that, over what the writer was given. If the entries that are read
//! back have the same digest, nothing was changed, lost or added between the two.

use kv_core::CollectionId;
use xxhash_rust::xxh3::Xxh3;

use super::entry::Kind;

const LENGTHS_BYTES: usize = 8 + 4 + 1 + 8 + 8;

/// The digest of a sequence of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentDigest(pub(crate) u128);

/// Computes the digest of a sequence of entries.
#[derive(Default)]
pub(crate) struct ContentHasher(Box<Xxh3>);

impl ContentHasher {
    /// Adds an entry: a put, or without a value a tombstone.
    pub(crate) fn add(&mut self, collection: CollectionId, key: &[u8], value: Option<&[u8]>) {
        let kind = if value.is_some() { Kind::Put } else { Kind::Tombstone };
        let value = value.unwrap_or_default();
        let mut lengths = [0; LENGTHS_BYTES];
        lengths[..8].copy_from_slice(&collection.lsn.0.to_le_bytes());
        lengths[8..12].copy_from_slice(&collection.index.to_le_bytes());
        lengths[12] = kind as u8;
        lengths[13..21].copy_from_slice(&(key.len() as u64).to_le_bytes());
        lengths[21..].copy_from_slice(&(value.len() as u64).to_le_bytes());
        for bytes in [&lengths[..], key, value] {
            self.0.update(bytes);
        }
    }

    pub(crate) fn digest(&self) -> ContentDigest {
        ContentDigest(self.0.digest128())
    }
}

impl std::fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentHasher")
    }
}
