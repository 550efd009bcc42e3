//! The cache of a checkpointer that does not map its files.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use foldhash::fast::RandomState;
use kv_core::ReadCacheStats;
use kv_vfs::Origin;

use crate::format::block::BLOCK_BYTES;

/// What a block in the cache takes, in bytes: the block, and at most what finding it takes.
const PLACE_BYTES: u64 = BLOCK_BYTES as u64 + 320;
/// The cache is divided so that threads seldom wait for each other ...
const SHARDS: u64 = 16;
/// ... as long as each shard has this many places.
const SHARD_PLACES: u64 = 64;

/// A block of a part, by the digest of the part, which pins every byte of it whatever number the
/// part has. So a block that was verified once stays right for as long as it is in the cache.
pub(crate) type BlockKey = (u128, u64);

/// Verified blocks of parts, as many as fit into a bound. All parts of a checkpointer share it.
///
/// It evicts by CLOCK: a hand goes around the blocks and takes the first that was not used since it
/// came by. A block counts as used from its second use on, so that what is read once goes first.
#[derive(Debug)]
pub(crate) struct BlockCache {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    limit: u64,
    /// A child made by `fork` takes no lock: it reads without the cache.
    origin: Origin,
}

#[derive(Debug, Default)]
struct Shard {
    at: HashMap<BlockKey, usize, RandomState>,
    places: Vec<CachedBlock>,
    places_max: usize,
    hand: usize,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
struct CachedBlock {
    key: BlockKey,
    block: Bytes,
    is_used: bool,
}

impl BlockCache {
    /// A cache that takes at most `limit` bytes. It holds no block if that is too little for one.
    pub(crate) fn new(limit: u64) -> Self {
        let places = limit / PLACE_BYTES;
        let shards = (places / SHARD_PLACES).clamp(1, SHARDS);
        let shard = |number| {
            let places_max = places / shards + u64::from(number < places % shards);
            Mutex::new(Shard { places_max: places_max as usize, ..Shard::default() })
        };
        Self { shards: (0..shards).map(shard).collect(), hasher: RandomState::default(), limit, origin: Origin::here() }
    }

    pub(crate) fn get(&self, key: BlockKey) -> Option<Bytes> {
        self.shard(key)?.get(key)
    }

    pub(crate) fn insert(&self, key: BlockKey, block: Bytes) {
        if let Some(mut shard) = self.shard(key) {
            shard.insert(key, block);
        }
    }

    pub(crate) fn stats(&self) -> ReadCacheStats {
        let mut stats = ReadCacheStats { limit: self.limit, ..ReadCacheStats::default() };
        if self.origin.is_here() {
            for shard in self.shards.iter().map(lock) {
                stats.bytes += shard.places.len() as u64 * PLACE_BYTES;
                stats.hits += shard.hits;
                stats.misses += shard.misses;
            }
        }
        stats
    }

    fn shard(&self, key: BlockKey) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.hasher.hash_one(key) % self.shards.len() as u64;
        self.origin.is_here().then(|| lock(&self.shards[shard as usize]))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn get(&mut self, key: BlockKey) -> Option<Bytes> {
        let Some(at) = self.at.get(&key) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        let cached = &mut self.places[*at];
        cached.is_used = true;
        Some(cached.block.clone())
    }

    fn insert(&mut self, key: BlockKey, block: Bytes) {
        // Another thread may have read the same block meanwhile.
        if self.places_max == 0 || self.at.contains_key(&key) {
            return;
        }
        let cached = CachedBlock { key, block, is_used: false };
        if self.places.len() < self.places_max {
            self.at.insert(key, self.places.len());
            self.places.push(cached);
            return;
        }
        while std::mem::take(&mut self.places[self.hand].is_used) {
            self.turn();
        }
        self.at.remove(&self.places[self.hand].key);
        self.at.insert(key, self.hand);
        self.places[self.hand] = cached;
        self.turn();
    }

    fn turn(&mut self) {
        self.hand = (self.hand + 1) % self.places.len();
    }
}

#[cfg(test)]
mod tests {
    use kv_testkit::fork;

    use super::*;

    fn block(number: u64) -> Bytes {
        Bytes::from(vec![number as u8; BLOCK_BYTES])
    }

    #[test]
    fn it_stays_within_its_bound_whatever_is_inserted() {
        for limit in [0, PLACE_BYTES - 1, PLACE_BYTES, 10 * PLACE_BYTES + 5, 3000 * PLACE_BYTES] {
            let cache = BlockCache::new(limit);
            let blocks = 2 * limit / PLACE_BYTES + 10;
            for number in 0..blocks {
                assert_eq!(cache.get((1, number)), None);
                cache.insert((1, number), block(number));
                assert!(cache.stats().bytes <= limit, "{number} of {limit}");
            }
            let held = (0..blocks).filter(|number| cache.get((1, *number)).is_some()).count() as u64;
            assert_eq!(held * PLACE_BYTES, cache.stats().bytes);
            // Blocks are spread by a hash, so a shard may not have been filled.
            assert!(held >= limit / PLACE_BYTES * 9 / 10, "{held} of {limit}");
            assert_eq!((cache.stats().hits, cache.stats().misses), (held, 2 * blocks - held));
        }
    }

    /// What the blocks and what finds them take in memory.
    fn bytes_taken(cache: &BlockCache) -> u64 {
        /// A block has a reference counter of 32 bytes, and an allocator keeps 16 with the block.
        const KEPT_BYTES: usize = 32 + 16;
        let of_shard = |shard: MutexGuard<'_, Shard>| {
            // A hash table fills seven eighths of its buckets, and has a byte more for each.
            let buckets = shard.at.capacity().div_ceil(7) * 8;
            shard.places.len() * (BLOCK_BYTES + KEPT_BYTES)
                + shard.places.capacity() * size_of::<CachedBlock>()
                + buckets * (size_of::<(BlockKey, usize)>() + 1)
        };
        cache.shards.iter().map(lock).map(of_shard).sum::<usize>() as u64
    }

    #[test]
    fn what_it_says_that_it_takes_is_what_it_takes() {
        for places in [1, 100, 127, 3000] {
            let cache = BlockCache::new(places * PLACE_BYTES);
            let empty = 1024 * cache.shards.len() as u64;
            for number in 0..2 * places {
                cache.insert((1, number), block(number));
                let (taken, said) = (bytes_taken(&cache), cache.stats().bytes);
                assert!(taken <= said + empty, "{taken} instead of {said} with {number} of {places}");
            }
        }
    }

    #[test]
    fn a_block_is_found_under_its_own_key_only() {
        let cache = BlockCache::new(100 * PLACE_BYTES);
        cache.insert((1, 7), block(1));
        cache.insert((2, 7), block(2));
        assert_eq!(cache.get((1, 7)), Some(block(1)));
        assert_eq!(cache.get((2, 7)), Some(block(2)));
        assert_eq!(cache.get((1, 8)), None);
        assert_eq!(cache.get((3, 7)), None);
    }

    #[test]
    fn what_is_read_once_does_not_push_out_what_is_used() {
        let cache = BlockCache::new(20 * PLACE_BYTES);
        (0..10).for_each(|number| cache.insert((1, number), block(number)));
        for number in 100..1000 {
            cache.insert((1, number), block(number));
            assert!((0..10).all(|number| cache.get((1, number)) == Some(block(number))), "after {number}");
        }
    }

    /// Nothing in the child would ever release it.
    #[test]
    fn a_child_does_not_wait_for_a_lock_that_its_parent_held() {
        let cache = BlockCache::new(10 * PLACE_BYTES);
        cache.insert((1, 1), block(1));
        let held = lock(&cache.shards[0]);
        match fork::fork() {
            None => fork::end(|| {
                assert_eq!(cache.get((1, 1)), None);
                cache.insert((1, 2), block(2));
                assert_eq!(cache.stats().bytes, 0);
            }),
            Some(child) => assert_eq!(child.wait(), Ok(())),
        }
        drop(held);
        assert_eq!(cache.get((1, 1)), Some(block(1)));
    }
}
