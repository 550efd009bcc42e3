//! The index of a collection: anchors for ordered access, hashed slots for single keys. The
//! layout is described in [`part`](super::part).

use kv_vfs::little_endian::{get_u64, put_u64};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::block::{ALIGN_BYTES, BLOCK_BYTES};

/// The number of entries per anchor.
pub(crate) const ANCHOR_ENTRIES: u64 = 16;
/// The size of an anchor, in bytes.
pub(crate) const ANCHOR_BYTES: u64 = 16;
/// The size of a slot, in bytes.
pub(crate) const SLOT_BYTES: u64 = 8;
/// An empty slot. No entry has offset 0, where the header is.
pub(crate) const EMPTY_SLOT: u64 = 0;
/// The number of bits of an offset in a slot. The tag has the rest.
pub(crate) const OFFSET_BITS: u32 = 48;

const _: () = assert!((ALIGN_BYTES as usize).is_multiple_of(SLOT_BYTES as usize), "a slot lies in one block");
const _: () = assert!(BLOCK_BYTES.is_multiple_of(ANCHOR_BYTES as usize), "an anchor lies in one block");

/// The hash of a key, by which the slots are ordered.
pub(crate) fn hash(key: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(key, seed)
}

/// The number of homes for `entries` entries: 5 for every 4, in whole cache lines.
pub(crate) fn homes(entries: u64) -> u64 {
    (entries + entries.div_ceil(4)).next_multiple_of(ALIGN_BYTES / SLOT_BYTES)
}

/// The home of a hash: the slot where the search for it begins.
#[inline]
pub(crate) fn home(hash: u64, homes: u64) -> u64 {
    ((u128::from(hash) * u128::from(homes)) >> 64) as u64
}

/// The slot of the entry at `offset`, whose key has this hash.
#[inline]
pub(crate) fn slot(hash: u64, offset: u64) -> u64 {
    hash << OFFSET_BITS | offset
}

/// The offset in a slot, if its tag is that of `hash`.
#[inline]
pub(crate) fn slot_candidate(slot: u64, hash: u64) -> Option<u64> {
    (slot_tag(slot) == hash & 0xffff).then_some(slot_offset(slot))
}

/// The tag in a slot.
#[inline]
pub(crate) fn slot_tag(slot: u64) -> u64 {
    slot >> OFFSET_BITS
}

/// The offset in a slot.
#[inline]
pub(crate) fn slot_offset(slot: u64) -> u64 {
    slot & ((1 << OFFSET_BITS) - 1)
}

/// What an anchor holds of a key. `key_rest` is the key without the common prefix.
pub(crate) fn anchor_prefix(key_rest: &[u8]) -> u64 {
    let mut prefix = [0; 8];
    let n = key_rest.len().min(8);
    prefix[..n].copy_from_slice(&key_rest[..n]);
    u64::from_be_bytes(prefix)
}

/// The bytes of an anchor.
pub(crate) fn encode_anchor(prefix: u64, offset: u64) -> [u8; ANCHOR_BYTES as usize] {
    let mut anchor = [0; ANCHOR_BYTES as usize];
    put_u64(&mut anchor, 0, prefix);
    put_u64(&mut anchor, 8, offset);
    anchor
}

/// The prefix and the offset in an anchor.
pub(crate) fn decode_anchor(anchor: &[u8]) -> (u64, u64) {
    (get_u64(anchor, 0), get_u64(anchor, 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_keep_the_load_at_four_fifths_and_cover_all_hashes() {
        assert_eq!((homes(0), homes(1), homes(6), homes(7)), (0, 8, 8, 16));
        assert!((1..10_000).all(|entries| homes(entries) * 4 >= entries * 5 && homes(entries) < entries * 5 / 4 + 10));
        assert_eq!((home(0, 8), home(u64::MAX, 8), home(u64::MAX / 2 + 1, 8)), (0, 7, 4));
    }

    #[test]
    fn anchor_prefixes_order_as_keys_do() {
        let keys: [&[u8]; 6] = [b"", b"\0", b"\0\x01", b"a", b"abcdefgh", b"abcdefgi"];
        assert!(keys.is_sorted_by_key(|key| anchor_prefix(key)));
        assert_eq!(anchor_prefix(b"abcdefgh"), anchor_prefix(b"abcdefgh and more"));
    }
}
