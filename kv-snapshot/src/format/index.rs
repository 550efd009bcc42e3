//! The index of a collection: anchors for ordered access, hashed groups for single keys. The layout
//! is described in [`part`](super::part).

use kv_vfs::little_endian::{get_u64, put_u64};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::block::{ALIGN_BYTES, BLOCK_BYTES};

/// The number of entries per anchor.
pub(crate) const ANCHOR_ENTRIES: u64 = 32;
/// The size of an anchor, in bytes.
pub(crate) const ANCHOR_BYTES: u64 = 16;
/// The size of a group, in bytes.
pub(crate) const GROUP_BYTES: u64 = 2 * (LANES as u64 + 1);
/// The number of lanes of a group. Each is for one entry.
pub(crate) const LANES: usize = 15;
/// The number of lanes of a group that are in use on average, in a large collection.
const LANES_USED: u64 = 12;
/// A tag of an empty lane.
const EMPTY: u16 = 0;

const _: () = assert!(ALIGN_BYTES.is_multiple_of(GROUP_BYTES), "a group lies in one cache line and in one block");
const _: () = assert!(BLOCK_BYTES.is_multiple_of(ANCHOR_BYTES as usize), "an anchor lies in one block");

/// The hash of a key.
#[inline]
pub(crate) fn hash(key: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(key, seed)
}

/// The number of homes for `entries` entries.
pub(crate) fn homes(entries: u64) -> u64 {
    if entries <= LANES as u64 { entries.min(1) } else { entries.div_ceil(LANES_USED) }
}

/// The home of a hash: the group where the search for it begins.
#[inline]
pub(crate) fn home(hash: u64, homes: u64) -> u64 {
    ((u128::from(hash) * u128::from(homes)) >> 64) as u64
}

/// The tag of a hash.
#[inline]
fn tag(hash: u64) -> u16 {
    // The empty tag is taken, so two values of these bits share a tag.
    match hash as u16 {
        EMPTY => 1,
        tag => tag,
    }
}

/// The bit of an overflow filter that stands for a hash.
#[inline]
pub(crate) fn filter_bit(hash: u64) -> u16 {
    1 << (hash >> 16 & 0xf)
}

/// A group: the tags of up to 15 entries, and then the overflow filter.
///
/// It is read where it lies: a copy would be written and at once read in other pieces, which
/// processors do slowly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a>(pub(crate) &'a [u8; GROUP_BYTES as usize]);

impl<'a> Group<'a> {
    /// The group at the start of `bytes`; `None` if these end within it.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// The lanes whose tag is that of `hash`.
    #[inline]
    pub(crate) fn candidates(self, hash: u64) -> Lanes {
        self.lanes_with(tag(hash))
    }

    /// The empty lanes.
    pub(crate) fn empty_lanes(self) -> Lanes {
        self.lanes_with(EMPTY)
    }

    /// Compares all tags at once, four in a word: a loop over the tags is compiled to three times
    /// as many instructions.
    #[inline]
    fn lanes_with(self, tag: u16) -> Lanes {
        const IN_EACH: u64 = 0x0001_0001_0001_0001;
        const LOW: u64 = 0x7fff * IN_EACH;
        let tags = u64::from(tag) * IN_EACH;
        let mut lanes = 0;
        for (number, word) in self.0.as_chunks().0.iter().enumerate() {
            let difference = u64::from_le_bytes(*word) ^ tags;
            // Bit 15 of each tag where all 16 bits are the same: no sum carries into the next tag.
            let same = !(((difference & LOW) + LOW) | difference | LOW);
            lanes |= same >> (15 - number);
        }
        Lanes(lanes & !Lanes::FILTER)
    }

    /// Whether an entry with this hash, or one that shares its bit, went on to a later group.
    #[inline]
    pub(crate) fn was_passed(self, hash: u64) -> bool {
        self.filter() & filter_bit(hash) != 0
    }

    #[inline]
    pub(crate) fn filter(self) -> u16 {
        self.tag(LANES)
    }

    /// The tag in a lane.
    #[inline]
    pub(crate) fn tag(self, lane: usize) -> u16 {
        u16::from_le_bytes([self.0[2 * lane], self.0[2 * lane + 1]])
    }
}

/// The bytes of a group with the entries of these hashes, at most 15.
pub(crate) fn encode_group(hashes: impl Iterator<Item = u64>, filter: u16) -> [u8; GROUP_BYTES as usize] {
    let mut bytes = [0; GROUP_BYTES as usize];
    let (pairs, _) = bytes.as_chunks_mut();
    for (pair, hash) in pairs[..LANES].iter_mut().zip(hashes) {
        *pair = tag(hash).to_le_bytes();
    }
    pairs[LANES] = filter.to_le_bytes();
    bytes
}

/// A set of lanes of a group: bit 16 × (lane mod 4) + lane / 4 stands for a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lanes(u64);

impl Lanes {
    /// The bit of the filter, which is no lane.
    const FILTER: u64 = 1 << (16 * (LANES % 4) + LANES / 4);

    pub(crate) fn count(self) -> u64 {
        self.0.count_ones().into()
    }
}

impl Iterator for Lanes {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        let bit = u64::from(self.0.trailing_zeros());
        (self.0 != 0).then(|| {
            self.0 &= self.0 - 1;
            bit % 16 * 4 + bit / 16
        })
    }
}

/// How many bytes the offset of an entry takes in the array beside the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetWidth {
    Four,
    Six,
}

impl OffsetWidth {
    /// The width for offsets below `end`.
    pub(crate) fn for_offsets_below(end: u64) -> Self {
        if end <= 1 << 32 { Self::Four } else { Self::Six }
    }

    /// The width, in bytes.
    #[inline]
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Four => 4,
            Self::Six => 6,
        }
    }

    /// The offset in the array's bytes for one lane.
    #[inline]
    pub(crate) fn decode(self, bytes: &[u8]) -> u64 {
        match (self, bytes) {
            (Self::Four, [a, b, c, d, ..]) => u32::from_le_bytes([*a, *b, *c, *d]).into(),
            (Self::Six, [a, b, c, d, e, f, ..]) => u64::from_le_bytes([*a, *b, *c, *d, *e, *f, 0, 0]),
            _ => 0,
        }
    }
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn homes_keep_the_load_at_four_fifths_and_cover_all_hashes() {
        assert_eq!((homes(0), homes(1), homes(15), homes(16), homes(25)), (0, 1, 1, 2, 3));
        assert!((1..10_000).all(|entries| homes(entries) * 15 >= entries));
        assert!((100..10_000).all(|entries| homes(entries) <= entries / 12 + 1));
        assert_eq!((home(0, 8), home(u64::MAX, 8), home(u64::MAX / 2 + 1, 8)), (0, 7, 4));
    }

    #[test]
    fn a_group_finds_each_of_its_lanes_and_no_other() {
        let hashes: Vec<u64> = (0..15).map(|n| 0xabcd_0000 + n * 0x111).collect(); // the first has tag 0
        for used in 0..=15 {
            let bytes = encode_group(hashes[..used].iter().copied(), 0xffff);
            let group = Group::new(&bytes).unwrap();
            assert_eq!(group.empty_lanes().count(), 15 - used as u64);
            for (lane, hash) in hashes.iter().enumerate() {
                let found: Vec<_> = group.candidates(*hash).collect();
                assert_eq!(found, if lane < used { vec![lane as u64] } else { vec![] });
            }
        }
        let twice = encode_group([7, 8, 7, 6, 5, 7].into_iter(), 9);
        assert_eq!(Group::new(&twice).unwrap().candidates(7).collect::<BTreeSet<_>>(), [0, 2, 5].into());
        assert_eq!(Group::new(&twice).unwrap().candidates(9).count(), 0, "the filter is no tag");
    }

    #[test]
    fn a_tag_of_zero_is_not_an_empty_lane() {
        let bytes = encode_group([0x5_0000].into_iter(), 0);
        let group = Group::new(&bytes).unwrap();
        assert_eq!(group.empty_lanes().count(), 14);
        assert_eq!(group.candidates(0x5_0000).collect::<Vec<_>>(), [0]);
        assert_eq!(group.candidates(0x7_0001).collect::<Vec<_>>(), [0], "it has the tag of 1");
    }

    #[test]
    fn each_of_sixteen_hashes_has_a_bit_of_its_own_in_the_filter() {
        let bits: Vec<u16> = (0..16).map(|n| filter_bit(n << 16 | 0xffff)).collect();
        assert!(bits.iter().enumerate().all(|(n, bit)| *bit == 1 << n));
        let bytes = encode_group([].into_iter(), filter_bit(3 << 16));
        let group = Group::new(&bytes).unwrap();
        assert!(group.was_passed(3 << 16) && !group.was_passed(2 << 16));
    }

    #[test]
    fn offsets_take_four_bytes_up_to_four_gibibytes() {
        let width = OffsetWidth::for_offsets_below;
        assert_eq!(
            (width(0), width(1 << 32), width((1 << 32) + 1)),
            (OffsetWidth::Four, OffsetWidth::Four, OffsetWidth::Six)
        );
        for (end, largest) in [(1 << 32, (1 << 32) - 1), (1 << 48, (1u64 << 48) - 1)] {
            let bytes = &largest.to_le_bytes()[..width(end).bytes() as usize];
            assert_eq!(width(end).decode(bytes), largest);
        }
    }

    #[test]
    fn anchor_prefixes_order_as_keys_do() {
        let keys: [&[u8]; 6] = [b"", b"\0", b"\0\x01", b"a", b"abcdefgh", b"abcdefgi"];
        assert!(keys.is_sorted_by_key(|key| anchor_prefix(key)));
        assert_eq!(anchor_prefix(b"abcdefgh"), anchor_prefix(b"abcdefgh and more"));
    }
}
