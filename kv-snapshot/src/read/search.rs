//! Finds single keys through the hash index.

use std::ops::Deref;

use kv_core::Result;

use super::part::{Entry, Part};
use crate::format::{
    index::{self, GROUP_BYTES, Group},
    section::Section,
};

/// Something on the way of a search is not verified yet, or longer than usual.
struct NotQuick;

impl Part {
    /// The entry of a key, through the hash index. It may be a tombstone.
    ///
    /// Whatever this reads has been verified, so a key that is not found is absent.
    pub(crate) fn find(&self, section: &Section, key: &[u8]) -> Result<Option<Entry>> {
        // Nearly every search ends here. It hands on nothing in memory, as an error would be: the
        // processor begins the next search while this one still waits.
        let verified = |start, end| self.blocks().bytes_of_verified_block(start, end).ok_or(NotQuick);
        let entry = |offset| self.short_entry(section, offset).ok_or(NotQuick);
        match self.search(section, key, verified, entry, |entry| Ok(self.key_in_place(entry) == Some(key))) {
            Ok(found) => Ok(found),
            Err(NotQuick) => self.find_thoroughly(section, key),
        }
    }

    #[inline(never)]
    fn find_thoroughly(&self, section: &Section, key: &[u8]) -> Result<Option<Entry>> {
        let bytes = |start, end| self.blocks().bytes(start, end);
        let entry = |offset| self.any_entry(section, offset);
        self.search(section, key, bytes, entry, |entry| Ok(*self.key(entry)? == *key))
    }

    /// Searches with these ways to read the hash index and the entry at an offset, and to compare
    /// an entry's key.
    #[inline(always)]
    fn search<E, B: Deref<Target = [u8]>>(
        &self,
        section: &Section,
        key: &[u8],
        bytes: impl Fn(u64, u64) -> Result<B, E>,
        entry: impl Fn(u64) -> Result<Entry, E>,
        is_sought: impl Fn(Entry) -> Result<bool, E>,
    ) -> Result<Option<Entry>, E> {
        let hash = index::hash(key, self.blocks().seed());
        for number in index::home(hash, section.homes)..section.groups {
            let (start, end) = section.group(number);
            let group = bytes(start, end)?;
            let Some(group) = Group::new(&group) else { break };
            for lane in group.candidates(hash) {
                let (start, end) = section.offset_of(number, lane);
                let found = entry(section.entry_offset(&bytes(start, end)?))?;
                if is_sought(found)? {
                    return Ok(Some(found));
                }
            }
            if !group.was_passed(hash) {
                break;
            }
        }
        Ok(None)
    }

    /// The bytes of a group of the hash index. There must be one with this number.
    pub(crate) fn group(&self, section: &Section, number: u64) -> Result<[u8; GROUP_BYTES as usize]> {
        let (start, end) = section.group(number);
        self.blocks().bytes(start, end)?.first_chunk().copied().ok_or_else(|| self.outside(start))
    }

    /// The offset that the hash index holds for the entry in a lane of a group. The entry may lie
    /// anywhere: the offset is from the file.
    pub(crate) fn indexed(&self, section: &Section, group: u64, lane: u64) -> Result<u64> {
        let (start, end) = section.offset_of(group, lane);
        Ok(section.entry_offset(&self.blocks().bytes(start, end)?))
    }
}
