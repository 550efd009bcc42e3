//! Prefetching, so that the waits of several look-ups overlap.

use std::hint::black_box;

use super::part::Part;
use crate::format::{
    index::{self, Group},
    part::Section,
};

/// Stands for a key whose tag is not in its group: there is nothing to load.
const NOTHING: u64 = u64::MAX;

impl Part {
    /// Brings what look-ups of these keys will read into the processor's caches.
    ///
    /// A look-up waits for memory three times: for its group, for the offset of its entry, and for
    /// the entry. Here the first waits of all keys overlap, and then the second and the third ones,
    /// because within a pass no load depends on one for another key. What is read here is not
    /// verified, so it may only decide what to load next.
    pub(crate) fn prefetch(&self, section: &Section, keys: &[&[u8]]) {
        let map = self.blocks().map();
        let mut places: Vec<u64> = keys.iter().map(|key| self.place_of_offset(section, key)).collect();
        for place in &mut places {
            let offset = bytes_from(map, *place).and_then(|rest| rest.get(..section.offset_width.bytes() as usize));
            *place = offset.map_or(NOTHING, |offset| section.entry_offset(offset));
        }
        let first_bytes = places.iter().filter_map(|entry| bytes_from(map, *entry)?.first());
        black_box(first_bytes.map(|byte| usize::from(*byte)).sum::<usize>());
    }

    /// Where the hash index holds the offset of the first entry that may have this key.
    fn place_of_offset(&self, section: &Section, key: &[u8]) -> u64 {
        let hash = index::hash(key, self.blocks().seed());
        let number = index::home(hash, section.homes);
        let group = bytes_from(self.blocks().map(), section.group(number).0).and_then(Group::new);
        let lane = group.and_then(|group| group.candidates(hash).next());
        lane.map_or(NOTHING, |lane| section.offset_of(number, lane).0)
    }
}

/// What is read through here is not verified.
fn bytes_from(map: &[u8], offset: u64) -> Option<&[u8]> {
    map.get(offset as usize..)
}
