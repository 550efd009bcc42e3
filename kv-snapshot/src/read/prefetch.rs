//! Prefetching, so that the waits of several look-ups overlap.

use std::hint::black_box;

use kv_vfs::little_endian::get_u64;

use super::part::Part;
use crate::format::{
    index::{self, SLOT_BYTES},
    part::Section,
};

impl Part {
    /// Brings what look-ups of these keys will read into the processor's caches.
    ///
    /// A look-up waits for memory twice: for its slot, and then for its entry. Here the first waits
    /// of all keys overlap, and then the second ones, because no load depends on one for another
    /// key. What is read here is not verified, so it may only decide what to load next.
    pub(crate) fn prefetch(&self, section: &Section, keys: &[&[u8]]) {
        let map = self.blocks().map();
        if section.homes == 0 {
            return;
        }
        let entries: Vec<usize> = keys
            .iter()
            .map(|key| {
                let hash = index::hash(key, self.blocks().seed());
                let slot = (section.slots_offset + index::home(hash, section.homes) * SLOT_BYTES) as usize;
                map.get(slot..slot + SLOT_BYTES as usize)
                    .map_or(0, |slot| index::slot_offset(get_u64(slot, 0)) as usize)
            })
            .collect();
        let first_bytes = entries.iter().filter_map(|entry| map.get(*entry)).map(|byte| usize::from(*byte));
        black_box(first_bytes.sum::<usize>());
    }
}
