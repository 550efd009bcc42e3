//! Verifies that the entries, anchors, slots and directory of a part agree with each other, which
//! no checksum shows.

use kv_core::{Error, Result};

use crate::{
    format::{
        index::{self, ANCHOR_ENTRIES, EMPTY_SLOT},
        part::Section,
    },
    read::part::{Entry, Part},
};

/// Verifies each collection of a part: its entries are in order, and as many as the directory says;
/// each entry is found through the slots; each anchor leads to its entry; and the slots hold
/// nothing else.
pub(crate) fn verify_entries(part: &Part) -> Result<()> {
    part.sections().iter().try_for_each(|section| Collection { part, section }.verify())
}

struct Collection<'a> {
    part: &'a Part,
    section: &'a Section,
}

impl Collection<'_> {
    fn verify(&self) -> Result<()> {
        let section = self.section;
        let (mut entries, mut tombstones, mut bytes) = (0, 0, 0);
        let mut offset = section.entries_offset;
        let mut last_key: &[u8] = &[];
        while offset < section.entries_end {
            let entry = self.part.entry(section, offset)?;
            let key = self.part.key(entry);
            if key <= last_key {
                return Err(self.wrong(offset, "the keys are not in order"));
            }
            if self.part.find(section, key)?.map(Entry::offset) != Some(offset) {
                return Err(self.wrong(offset, "an entry is not in the index"));
            }
            if entries % ANCHOR_ENTRIES == 0 {
                self.verify_anchor(entries / ANCHOR_ENTRIES, key, offset)?;
            }
            entries += 1;
            let value = self.part.value(entry)?;
            if entry.is_tombstone() {
                tombstones += 1;
            } else {
                bytes += (key.len() + value.len()) as u64;
            }
            last_key = key;
            offset = entry.end();
        }
        if (entries, tombstones, bytes) != (section.entries, section.tombstones, section.bytes) {
            let detail = "the directory states a wrong number of entries, tombstones or bytes";
            return Err(self.wrong(section.entries_offset, detail));
        }
        self.verify_slots()
    }

    fn verify_anchor(&self, anchor: u64, key: &[u8], offset: u64) -> Result<()> {
        let rest = key.get(self.section.common_bytes..);
        let expected = rest.map(|rest| (index::anchor_prefix(rest), offset));
        if anchor >= self.section.anchors() || Some(self.part.anchor(self.section, anchor)?) != expected {
            return Err(self.wrong(offset, "an entry does not match its anchor"));
        }
        Ok(())
    }

    /// Every entry has been found through the slots. So if as many slots are used as there are
    /// entries, no slot points anywhere else.
    fn verify_slots(&self) -> Result<()> {
        let mut used = 0;
        for slot in 0..self.section.slots {
            used += u64::from(self.part.slot(self.section, slot)? != EMPTY_SLOT);
        }
        if used != self.section.entries {
            return Err(self.wrong(self.section.slots_offset, "the index does not hold as many entries as there are"));
        }
        Ok(())
    }

    fn wrong(&self, offset: u64, detail: &str) -> Error {
        Error::corrupt(self.part.blocks().file(), offset, detail)
    }
}
