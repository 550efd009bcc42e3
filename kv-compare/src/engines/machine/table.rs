//! A lookup that hardly any store can beat: a hash table of offsets into an arena.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use kv_bench::harness::{
    engine::{Result, Unsupported},
    entry_codec,
};

#[derive(Default)]
pub struct Table {
    /// The encoded entries, one after another.
    arena: Vec<u8>,
    offsets: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

impl Table {
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result {
        if self.get(key).is_some() {
            return Err(Unsupported("the arena is append-only").into());
        }
        let Self { arena, offsets, hasher } = self;
        let offset = arena.len();
        entry_codec::write(arena, key, value)?;
        let hash_of = |offset: usize| entry_at(arena, offset).map_or(0, |(key, _)| hasher.hash_one(key));
        offsets.insert_unique(hasher.hash_one(key), offset, |offset| hash_of(*offset));
        Ok(())
    }

    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let mut value = None;
        self.offsets.find(self.hasher.hash_one(key), |offset| {
            value = entry_at(&self.arena, *offset).filter(|(found, _)| *found == key).map(|(_, value)| value);
            value.is_some()
        });
        value
    }

    /// The encoded entries in the order of their insertion, ready to be written to a file.
    pub fn entries(&self) -> &[u8] {
        &self.arena
    }
}

#[inline]
fn entry_at(arena: &[u8], offset: usize) -> Option<(&[u8], &[u8])> {
    let (key, value, _) = entry_codec::split(arena.get(offset..)?)?;
    Some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_value() {
        let mut table = Table::default();
        for n in 0..5000_u32 {
            table.insert(&n.to_be_bytes(), &n.to_le_bytes()).unwrap();
        }
        assert!((0..5000_u32).all(|n| table.get(&n.to_be_bytes()) == Some(&n.to_le_bytes()[..])));
        assert!((5000..9000_u32).all(|n| table.get(&n.to_be_bytes()).is_none()));
        assert!(table.insert(&7_u32.to_be_bytes(), b"another").unwrap_err().is::<Unsupported>());
    }
}
