//! Verifies that the entries, anchors, groups and directory of a part agree with each other, which
//! no checksum shows.

use kv_core::{Error, Result};

use crate::{
    format::{
        index::{self, ANCHOR_ENTRIES, GROUP_BYTES, Group, LANES},
        part::Section,
    },
    read::{
        part::{Entry, Part},
        piece::Piece,
    },
};

/// Verifies each collection of a part: its entries are in order, and as many as the directory says;
/// each entry is found through the hash index; each anchor leads to its entry; and the hash index
/// holds nothing else.
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
        let mut last_key = Piece::InPlace(&[]);
        while offset < section.entries_end {
            let entry = self.part.entry(section, offset)?;
            let key = self.part.key(entry)?;
            if *key <= *last_key {
                return Err(self.wrong(offset, "the keys are not in order"));
            }
            if self.part.find(section, &key)?.map(Entry::offset) != Some(offset) {
                return Err(self.wrong(offset, "an entry is not in the index"));
            }
            if entries % ANCHOR_ENTRIES == 0 {
                self.verify_anchor(entries / ANCHOR_ENTRIES, &key, offset)?;
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
        self.verify_groups()
    }

    fn verify_anchor(&self, anchor: u64, key: &[u8], offset: u64) -> Result<()> {
        let rest = key.get(self.section.common_bytes..);
        let expected = rest.map(|rest| (index::anchor_prefix(rest), offset));
        if anchor >= self.section.anchors() || Some(self.part.anchor(self.section, anchor)?) != expected {
            return Err(self.wrong(offset, "an entry does not match its anchor"));
        }
        Ok(())
    }

    /// Every entry has been found through the hash index. So if as many lanes are used as there are
    /// entries, no lane leads anywhere else.
    fn verify_groups(&self) -> Result<()> {
        let mut used = 0;
        for number in 0..self.section.groups {
            let group = self.part.group(self.section, number)?;
            used += self.verify_group(number, Group(&group))?;
        }
        if used != self.section.entries {
            return Err(self.wrong(self.section.groups_offset, "the index does not hold as many entries as there are"));
        }
        Ok(())
    }

    /// Returns the number of lanes that are used.
    fn verify_group(&self, number: u64, group: Group<'_>) -> Result<u64> {
        let wrong = |detail| Err(self.wrong(self.section.groups_offset + number * GROUP_BYTES, detail));
        let used = LANES as u64 - group.empty_lanes().count();
        if used < LANES as u64 && group.filter() != 0 {
            return wrong("a group of the index has room, and entries have passed it");
        }
        for lane in group.empty_lanes() {
            if lane < used || self.part.indexed(self.section, number, lane)? != self.section.entries_offset {
                return wrong("an empty lane of the index is before a used one, or holds an offset");
            }
        }
        Ok(used)
    }

    fn wrong(&self, offset: u64, detail: &str) -> Error {
        Error::corrupt(self.part.blocks().file(), offset, detail)
    }
}
