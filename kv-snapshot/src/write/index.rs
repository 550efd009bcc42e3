//! Builds the anchors and the hash index of a collection while its entries are written.

use kv_core::Result;

use super::{
    output::Output,
    steps::{self, GoOn, STEP},
};
use crate::format::{
    block::ALIGN_BYTES,
    index::{self, ANCHOR_ENTRIES, LANES, OffsetWidth},
};

/// Takes 16 bytes of memory per entry, or up to 32 if the number of entries was not known in
/// advance, and about 0.75 bytes per entry for the anchors.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    entries_offset: u64,
    first_key: Vec<u8>,
    /// The length of the prefix common to all keys so far.
    common_bytes: usize,
    anchors: Vec<Anchor>,
    hashes: Vec<Hashed>,
}

/// An entry of the hash index: the hash in the upper half, and in the lower one the offset from
/// where the entries begin. Sorted, they are in the order of their lanes.
type Hashed = u128;

fn hash_of(hashed: Hashed) -> u64 {
    (hashed >> 64) as u64
}

#[derive(Debug)]
struct Anchor {
    prefix: u64,
    offset: u64,
    /// The length of the common prefix when this prefix was taken. Later keys can only shorten it.
    common_bytes: usize,
}

/// What the directory states about an index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index {
    pub(crate) common_bytes: usize,
    pub(crate) anchors_offset: u64,
    pub(crate) groups_offset: u64,
    pub(crate) groups: u64,
    pub(crate) homes: u64,
    pub(crate) offset_width: OffsetWidth,
}

impl IndexBuilder {
    /// An index for about `entries` entries, which begin at `entries_offset`.
    pub(crate) fn new(entries: u64, entries_offset: u64) -> Self {
        let mut hashes = Vec::new();
        // Reserving only saves growing later. A number that is far too large must not fail here.
        let _ = hashes.try_reserve_exact(usize::try_from(entries).unwrap_or(usize::MAX));
        Self { entries_offset, hashes, ..Self::default() }
    }

    /// Adds the next entry, in order of keys.
    pub(crate) fn add(&mut self, key: &[u8], hash: u64, offset: u64) {
        let entries = self.hashes.len() as u64;
        if entries == 0 {
            self.first_key = key.to_vec();
            self.common_bytes = key.len();
        } else if !key.starts_with(&self.first_key[..self.common_bytes]) {
            self.common_bytes = key.iter().zip(&self.first_key).take_while(|(a, b)| a == b).count();
        }
        if entries.is_multiple_of(ANCHOR_ENTRIES) {
            let prefix = index::anchor_prefix(&key[self.common_bytes..]);
            self.anchors.push(Anchor { prefix, offset, common_bytes: self.common_bytes });
        }
        self.hashes.push(u128::from(hash) << 64 | u128::from(offset - self.entries_offset));
    }

    /// Writes the anchors, the groups and the offsets behind the entries, which end at
    /// `entries_end`.
    pub(crate) fn write(mut self, entries_end: u64, output: &mut Output, go_on: GoOn<'_>) -> Result<Index> {
        output.pad_to(ALIGN_BYTES)?;
        let anchors_offset = output.position();
        for (number, anchor) in self.anchors.iter().enumerate() {
            if number.is_multiple_of(STEP) {
                go_on()?;
            }
            output.write(&index::encode_anchor(self.final_prefix(anchor), anchor.offset))?;
        }
        output.pad_to(ALIGN_BYTES)?;
        let groups_offset = output.position();
        steps::sort(&mut self.hashes, go_on)?;
        let homes = index::homes(self.hashes.len() as u64);
        let groups = self.write_groups(homes, output, go_on)?;
        output.pad_to(ALIGN_BYTES)?;
        let offset_width = OffsetWidth::for_offsets_below(entries_end - self.entries_offset);
        self.write_offsets(homes, offset_width, output, go_on)?;
        Ok(Index { common_bytes: self.common_bytes, anchors_offset, groups_offset, groups, homes, offset_width })
    }

    /// The prefix of an anchor's key after the final common prefix. Where the common prefix has
    /// become shorter since the anchor was taken, the missing bytes are those of the first key.
    fn final_prefix(&self, anchor: &Anchor) -> u64 {
        let known = &self.first_key[self.common_bytes..anchor.common_bytes];
        let bytes: Vec<u8> = known.iter().copied().chain(anchor.prefix.to_be_bytes()).take(8).collect();
        index::anchor_prefix(&bytes)
    }

    /// Returns the number of groups.
    fn write_groups(&self, homes: u64, output: &mut Output, go_on: GoOn<'_>) -> Result<u64> {
        let mut placement = Placement::new(&self.hashes, homes);
        while let Some((placed, filter)) = placement.next(go_on)? {
            let hashes = placed.iter().map(|hashed| hash_of(*hashed));
            output.write(&index::encode_group(hashes, filter))?;
        }
        Ok(placement.groups)
    }

    fn write_offsets(&self, homes: u64, width: OffsetWidth, output: &mut Output, go_on: GoOn<'_>) -> Result<()> {
        let width = width.bytes() as usize;
        // The entries are placed a second time, which is faster than to remember where each is.
        let mut placement = Placement::new(&self.hashes, homes);
        while let Some((placed, _)) = placement.next(go_on)? {
            let mut offsets = [0; LANES * 8];
            for (bytes, hashed) in offsets.chunks_exact_mut(width).zip(placed) {
                bytes.copy_from_slice(&(*hashed as u64).to_le_bytes()[..width]);
            }
            output.write(&offsets[..LANES * width])?;
        }
        Ok(())
    }
}

/// Distributes entries over groups, one group after the other.
///
/// The entries are placed in order of their hashes, and so of their homes. Each goes to the first
/// group from its home on that has room after those before it. So the entries that have passed a
/// full group are the next ones to be placed.
struct Placement<'a> {
    /// The entries that are not placed yet, sorted.
    rest: &'a [Hashed],
    homes: u64,
    /// The number of groups so far.
    groups: u64,
}

impl<'a> Placement<'a> {
    fn new(hashes: &'a [Hashed], homes: u64) -> Self {
        Self { rest: hashes, homes, groups: 0 }
    }

    /// The entries of the next group, and its filter; `None` after the last group.
    fn next(&mut self, go_on: GoOn<'_>) -> Result<Option<(&'a [Hashed], u16)>> {
        if self.groups.is_multiple_of((STEP / LANES) as u64) {
            go_on()?;
        }
        if self.groups >= self.homes && self.rest.is_empty() {
            return Ok(None);
        }
        let (homes, group) = (self.homes, self.groups);
        let has_come = |hashed: &&Hashed| index::home(hash_of(**hashed), homes) <= group;
        let count = self.rest.iter().take(LANES).take_while(has_come).count();
        let (placed, rest) = self.rest.split_at(count);
        let mut filter = 0;
        for passing in rest.iter().take_while(has_come) {
            filter |= index::filter_bit(hash_of(*passing));
            if filter == u16::MAX {
                break; // no more can be added, however many pass
            }
        }
        self.rest = rest;
        self.groups += 1;
        Ok(Some((placed, filter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tag is the offset, the filter bit that of `n`.
    fn hashed(home_of_16: u64, n: u64) -> Hashed {
        let hash = home_of_16 << 60 | (n & 0xf) << 16 | (n + 1);
        u128::from(hash) << 64 | u128::from(n)
    }

    fn placed(mut hashes: Vec<Hashed>, homes: u64) -> Vec<(Vec<Hashed>, u16)> {
        hashes.sort_unstable();
        let mut placement = Placement::new(&hashes, homes);
        let mut groups = Vec::new();
        while let Some((placed, filter)) = placement.next(&mut || Ok(())).unwrap() {
            groups.push((placed.to_vec(), filter));
        }
        assert_eq!(placement.groups, groups.len() as u64);
        groups
    }

    /// Follows the rules of a search in groups that were built from `hashes`.
    fn check(hashes: &[Hashed], homes: u64) {
        let groups = placed(hashes.to_vec(), homes);
        let mut found = 0;
        for (number, (entries, filter)) in groups.iter().enumerate() {
            assert!(*filter == 0 || entries.len() == LANES, "only full groups are passed");
            for entry in entries {
                let home = index::home(hash_of(*entry), homes) as usize;
                let passed = &groups[home..number];
                assert!(passed.iter().all(|(_, filter)| filter & index::filter_bit(hash_of(*entry)) != 0));
            }
            found += entries.len();
        }
        assert_eq!(found, hashes.len());
        assert!(groups.len() as u64 >= homes && groups.len() as u64 <= homes + hashes.len().div_ceil(LANES) as u64);
    }

    #[test]
    fn an_entry_is_in_the_first_group_with_room_from_its_home_on() {
        let at_home: Vec<_> = (0..15).map(|n| hashed(3, n)).collect();
        let groups = placed(at_home.clone(), 16);
        assert_eq!(groups.len(), 16);
        assert_eq!(groups[3], (at_home.clone(), 0));
        let one_more = [&at_home[..], &[hashed(3, 15), hashed(4, 16)]].concat();
        let groups = placed(one_more, 16);
        assert_eq!(groups[3].1, 1 << 15);
        assert_eq!(groups[4], (vec![hashed(3, 15), hashed(4, 16)], 0));
    }

    #[test]
    fn all_entries_may_have_one_home() {
        for home in [0, 7, 15] {
            for count in [0, 1, 15, 16, 30, 31, 100, 1000] {
                check(&(0..count).map(|n| hashed(home, n)).collect::<Vec<_>>(), 16);
            }
        }
        let last = placed((0..31).map(|n| hashed(15, n)).collect(), 16);
        assert_eq!(last.len(), 18, "they go on behind the last home");
        assert_eq!((last[15].1, last[16].1, last[17].1), (0xff80, 1 << 15, 0));
    }

    #[test]
    fn entries_spread_at_random_follow_the_rules() {
        let mut rng = fastrand::Rng::with_seed(8);
        for count in (0..300).chain([5000]) {
            let hashes: Vec<_> = (0..count).map(|n| u128::from(rng.u64(..)) << 64 | n).collect();
            check(&hashes, index::homes(count as u64));
        }
    }
}
