//! Finds single keys through the hash index.

use std::ops::Deref;

use kv_core::Result;

use super::part::{Entry, Part};
use crate::format::{
    index::{self, GROUP_BYTES, Group},
    section::Section,
};

/// Something on the way of a search is not verified yet, or longer than usual.
#[derive(Debug)]
pub(crate) struct NotQuick;

impl Part {
    /// The entry of a key and its value, through the hash index, if everything on the way has been
    /// verified. It may be a tombstone.
    ///
    /// Nearly every search ends here. Its answer must stay in registers until it is used. If it
    /// went through memory together with an [`Error`](kv_core::Error), it would be copied in other
    /// pieces than it was written in, and the processor could begin less of the next search while
    /// this one waits. So the callers do not merge it with that of [`find`](Self::find).
    #[inline(always)]
    pub(crate) fn find_quickly(&self, section: &Section, key: &[u8]) -> Result<Option<(Entry, &[u8])>, NotQuick> {
        let verified = |start, end| self.blocks().bytes_of_verified_block(start, end).ok_or(NotQuick);
        let entry = |offset| self.short_entry(section, offset).ok_or(NotQuick);
        let Some(entry) = self.search(section, key, verified, entry)? else { return Ok(None) };
        Ok(Some((entry, self.verified_value(entry).ok_or(NotQuick)?)))
    }

    /// The entry of a key, through the hash index. It may be a tombstone.
    ///
    /// Whatever this reads has been verified, so a key that is not found is absent.
    #[inline(never)]
    pub(crate) fn find(&self, section: &Section, key: &[u8]) -> Result<Option<Entry>> {
        let bytes = |start, end| self.blocks().bytes(start, end);
        let entry = |offset| {
            let entry = self.any_entry(section, offset)?;
            Ok((entry, self.key(entry)?))
        };
        self.search(section, key, bytes, entry)
    }

    /// Searches with these ways to read the hash index, and the entry and the key at an offset.
    #[inline(always)]
    fn search<E, B: Deref<Target = [u8]>>(
        &self,
        section: &Section,
        key: &[u8],
        bytes: impl Fn(u64, u64) -> Result<B, E>,
        entry: impl Fn(u64) -> Result<(Entry, B), E>,
    ) -> Result<Option<Entry>, E> {
        let hash = index::hash(key, self.blocks().seed());
        for number in index::home(hash, section.homes)..section.groups {
            let (start, end) = section.group(number);
            let group = bytes(start, end)?;
            let Some(group) = Group::new(&group) else { break };
            for lane in group.candidates(hash) {
                let (start, end) = section.offset_of(number, lane);
                let (found, its_key) = entry(section.entry_offset(&bytes(start, end)?))?;
                if is_same(&its_key, key) {
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

/// Whether two keys are the same. Those of the usual lengths are compared in two words each,
/// without the call of a function.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && match a.len() {
            8..=16 => a.first_chunk::<8>() == b.first_chunk() && a.last_chunk::<8>() == b.last_chunk(),
            _ => a == b,
        }
}
