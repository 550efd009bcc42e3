//! Verifies that the parts of a part agree with each other: what no checksum can say.

use kv_core::{Error, Result};

use crate::{
    format::{self, ANCHOR_ENTRIES, EMPTY_SLOT, Section},
    part::{Entry, Part},
};

/// Verifies each collection of a part: entries in order, as many as the directory says; each found through the index and through its anchor; and
/// nothing else in the index.
pub(crate) fn audit_entries(part: &Part) -> Result<()> {
    part.sections().iter().try_for_each(|section| Audit { part, section }.collection())
}

struct Audit<'a> {
    part: &'a Part,
    section: &'a Section,
}

impl Audit<'_> {
    fn collection(&self) -> Result<()> {
        let section = self.section;
        let (mut entries, mut bytes) = (0, 0);
        let mut offset = section.entries_offset;
        let mut last_key: &[u8] = &[];
        while offset < section.entries_end {
            let entry = self.part.entry(section, offset)?;
            let key = self.part.key(entry);
            if key <= last_key {
                return Err(self.wrong(offset, "keys are not in order"));
            }
            if self.part.find(section, key)?.map(Entry::offset) != Some(offset) {
                return Err(self.wrong(offset, "an entry is not in the index"));
            }
            if entries % ANCHOR_ENTRIES == 0 {
                self.anchor(entries / ANCHOR_ENTRIES, key, offset)?;
            }
            entries += 1;
            bytes += (key.len() + self.part.value(entry)?.len()) as u64;
            last_key = key;
            offset = entry.end();
        }
        if (entries, bytes) != (section.entries, section.bytes) {
            return Err(
                self.wrong(section.entries_offset, "there are not as many entries or bytes as the directory says")
            );
        }
        self.slots()
    }

    fn anchor(&self, anchor: u64, key: &[u8], offset: u64) -> Result<()> {
        let rest = key.get(self.section.common_bytes..);
        let expected = rest.map(|rest| (format::anchor_prefix(rest), offset));
        if anchor >= self.section.anchors() || Some(self.part.anchor(self.section, anchor)?) != expected {
            return Err(self.wrong(offset, "an entry does not match its anchor"));
        }
        Ok(())
    }

    /// Each entry has been found; so as many slots as entries means that there are no others.
    fn slots(&self) -> Result<()> {
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
