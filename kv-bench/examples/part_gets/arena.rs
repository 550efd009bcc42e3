use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use kv_bench::{key, value};

/// Entries one after the other, and a hash table of their offsets: the least that a table in memory
/// costs.
pub struct Arena {
    bytes: Vec<u8>,
    offsets: HashTable<u64>,
    hasher: FixedState,
}

impl Arena {
    const HEADER_BYTES: usize = 6;

    pub fn filled(count: u64) -> Self {
        let hasher = FixedState::with_seed(1);
        let (mut bytes, mut offsets) = (Vec::new(), HashTable::with_capacity(count as usize));
        for index in 0..count {
            let (key, value, offset) = (key(index), value(index), bytes.len() as u64);
            bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&key);
            bytes.extend_from_slice(&value);
            let hash_at = |offset: &u64| hasher.hash_one(Self::entry(&bytes, *offset).0);
            offsets.insert_unique(hasher.hash_one(&key[..]), offset, hash_at);
        }
        Self { bytes, offsets, hasher }
    }

    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let is_key = |offset: &u64| Self::entry(&self.bytes, *offset).0 == key;
        let offset = self.offsets.find(self.hasher.hash_one(key), is_key)?;
        Some(Self::entry(&self.bytes, *offset).1)
    }

    #[inline]
    fn entry(bytes: &[u8], offset: u64) -> (&[u8], &[u8]) {
        let (header, rest) = bytes[offset as usize..].split_first_chunk::<{ Self::HEADER_BYTES }>().unwrap();
        let key_bytes = u16::from_le_bytes([header[0], header[1]]).into();
        let value_bytes = u32::from_le_bytes([header[2], header[3], header[4], header[5]]) as usize;
        let (key, rest) = rest.split_at(key_bytes);
        (key, &rest[..value_bytes])
    }
}
