//! Having the waits of several look-ups overlap.

use std::hint::black_box;

use crate::{
    bytes::u64_at,
    format::{self, SLOT_BYTES, Section},
    part::Part,
};

impl Part {
    /// Brings what look-ups of these keys will read closer. Look-ups wait for memory twice each, one after the other; here the first waits of all
    /// keys overlap, and then the second ones, since none of these loads needs another's result. Nothing is verified or believed.
    pub(crate) fn warm(&self, section: &Section, keys: &[&[u8]]) {
        let map = self.blocks().map();
        if section.homes == 0 {
            return;
        }
        let entries: Vec<usize> = keys
            .iter()
            .map(|key| {
                let hash = format::hash(key, self.blocks().seed());
                let slot = (section.slots_offset + format::home(hash, section.homes) * SLOT_BYTES) as usize;
                map.get(slot..slot + SLOT_BYTES as usize)
                    .map_or(0, |slot| format::slot_offset(u64_at(slot, 0)) as usize)
            })
            .collect();
        let first_bytes = entries.iter().filter_map(|entry| map.get(*entry)).map(|byte| usize::from(*byte));
        black_box(first_bytes.sum::<usize>());
    }
}
