//! Builds the anchors and the slots of a collection while its entries are written.

use kv_core::Result;

use super::{
    output::Output,
    steps::{self, GoOn, STEP},
};
use crate::format::{
    block::ALIGN_BYTES,
    index::{self, ANCHOR_ENTRIES, EMPTY_SLOT},
};

/// Takes 16 bytes of memory per entry, or up to 32 if the number of entries was not known in
/// advance, and about 1.5 bytes for the anchors.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    first_key: Vec<u8>,
    /// The length of the prefix common to all keys so far.
    common_bytes: usize,
    anchors: Vec<Anchor>,
    /// The hash in the upper half, the offset in the lower: sorted, they are in the order of the
    /// slots.
    hashes: Vec<u128>,
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
    pub(crate) slots_offset: u64,
    pub(crate) slots: u64,
    pub(crate) homes: u64,
}

impl IndexBuilder {
    /// An index for about `entries` entries.
    pub(crate) fn new(entries: u64) -> Self {
        let mut hashes = Vec::new();
        // Reserving only saves growing later. A number that is far too large must not fail here.
        let _ = hashes.try_reserve_exact(usize::try_from(entries).unwrap_or(usize::MAX));
        Self { hashes, ..Self::default() }
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
        self.hashes.push(u128::from(hash) << 64 | u128::from(offset));
    }

    /// Writes the anchors and the slots.
    pub(crate) fn write(mut self, output: &mut Output, go_on: GoOn<'_>) -> Result<Index> {
        output.pad_to(ALIGN_BYTES)?;
        let anchors_offset = output.position();
        for (number, anchor) in self.anchors.iter().enumerate() {
            if number.is_multiple_of(STEP) {
                go_on()?;
            }
            output.write(&index::encode_anchor(self.final_prefix(anchor), anchor.offset))?;
        }
        output.pad_to(ALIGN_BYTES)?;
        let slots_offset = output.position();
        let homes = index::homes(self.hashes.len() as u64);
        let slots = self.write_slots(homes, output, go_on)?;
        Ok(Index { common_bytes: self.common_bytes, anchors_offset, slots_offset, slots, homes })
    }

    /// The prefix of an anchor's key after the final common prefix. Where that is shorter than the
    /// one when the anchor was taken, the missing bytes are those of the first key.
    fn final_prefix(&self, anchor: &Anchor) -> u64 {
        let known = &self.first_key[self.common_bytes..anchor.common_bytes];
        let bytes: Vec<u8> = known.iter().copied().chain(anchor.prefix.to_be_bytes()).take(8).collect();
        index::anchor_prefix(&bytes)
    }

    fn write_slots(&mut self, homes: u64, output: &mut Output, go_on: GoOn<'_>) -> Result<u64> {
        steps::sort(&mut self.hashes, go_on)?;
        let mut next = 0;
        let fill = |next: &mut u64, upto: u64, output: &mut Output| -> Result<()> {
            while *next < upto {
                output.write(&EMPTY_SLOT.to_le_bytes())?;
                *next += 1;
            }
            Ok(())
        };
        for (number, packed) in self.hashes.iter().enumerate() {
            if number.is_multiple_of(STEP) {
                go_on()?;
            }
            let (hash, offset) = ((packed >> 64) as u64, *packed as u64);
            fill(&mut next, index::home(hash, homes), output)?;
            output.write(&index::slot(hash, offset).to_le_bytes())?;
            next += 1;
        }
        fill(&mut next, homes, output)?;
        Ok(next)
    }
}
