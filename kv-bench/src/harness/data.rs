//! Keys and values, the same in every run.

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::mixed;

/// Size of the pool that values are cut from. Its bytes are random and do not compress.
const POOL_BYTES: usize = 1 << 20;
const VALUE_BYTES_MAX: usize = 64 << 10;

pub use crate::key;

/// The values of all indexes. They are slices of one pool of random bytes, so that it costs nothing
/// to make one.
pub struct Values {
    pool: Vec<u8>,
    bytes: usize,
}

impl Values {
    /// Values of `bytes` bytes each, at most 64 KiB.
    pub fn new(bytes: usize) -> Self {
        debug_assert!(bytes <= VALUE_BYTES_MAX, "{bytes}");
        let mut pool = vec![0; POOL_BYTES + VALUE_BYTES_MAX];
        SmallRng::seed_from_u64(1).fill_bytes(&mut pool);
        Self { pool, bytes }
    }

    /// The value of an index.
    pub fn of(&self, index: u64) -> &[u8] {
        let start = (mixed(!index) % POOL_BYTES as u64) as usize;
        &self.pool[start..start + self.bytes]
    }
}

/// Reads the first and the last bytes of a value, so that a read which returns it is not optimized
/// away.
pub fn touch(value: &[u8]) -> u64 {
    let (first, last) = (value.first_chunk::<8>(), value.last_chunk::<8>());
    let word = |chunk: Option<&[u8; 8]>| chunk.map_or(0, |chunk| u64::from_le_bytes(*chunk));
    word(first).wrapping_add(word(last))
}
