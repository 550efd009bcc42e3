//! Builds the anchors and the slots of a collection while its entries go by.

use kv_core::Result;

use crate::{
    format::{self, ANCHOR_ENTRIES, EMPTY_SLOT},
    output::Output,
    steps::{self, GoOn, STEP},
};

/// Takes 16 bytes of memory an entry (up to twice that where their number was not said before) and about 1.5 for the anchors.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    first_key: Vec<u8>,
    /// How many bytes all keys so far begin with in common.
    common_bytes: usize,
    anchors: Vec<Anchor>,
    /// Hash above offset, so that sorting them gives the order of the slots.
    hashes: Vec<u128>,
}

#[derive(Debug)]
struct Anchor {
    prefix: u64,
    offset: u64,
    /// The bytes common to all keys when the prefix was taken: later keys can only make that less.
    common_bytes: usize,
}

/// What the directory says about an index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index {
    pub(crate) common_bytes: usize,
    pub(crate) anchors_offset: u64,
    pub(crate) slots_offset: u64,
    pub(crate) slots: u64,
    pub(crate) homes: u64,
}

impl IndexBuilder {
    /// For about so many entries.
    pub(crate) fn new(entries: u64) -> Self {
        let mut hashes = Vec::new();
        // It only saves growing: a number that is far out, which memory does not suffice for, is no reason to fail.
        let _ = hashes.try_reserve_exact(usize::try_from(entries).unwrap_or(usize::MAX));
        Self { hashes, ..Self::default() }
    }

    /// Adds the entry of the next key, in order.
    pub(crate) fn add(&mut self, key: &[u8], hash: u64, offset: u64) {
        let entries = self.hashes.len() as u64;
        if entries == 0 {
            self.first_key = key.to_vec();
            self.common_bytes = key.len();
        } else if !key.starts_with(&self.first_key[..self.common_bytes]) {
            self.common_bytes = key.iter().zip(&self.first_key).take_while(|(a, b)| a == b).count();
        }
        if entries.is_multiple_of(ANCHOR_ENTRIES) {
            let prefix = format::anchor_prefix(&key[self.common_bytes..]);
            self.anchors.push(Anchor { prefix, offset, common_bytes: self.common_bytes });
        }
        self.hashes.push(u128::from(hash) << 64 | u128::from(offset));
    }

    /// Writes anchors and slots.
    pub(crate) fn write(mut self, output: &mut Output, go_on: GoOn<'_>) -> Result<Index> {
        output.pad_to(format::ALIGN_BYTES)?;
        let anchors_offset = output.position();
        for (number, anchor) in self.anchors.iter().enumerate() {
            if number.is_multiple_of(STEP) {
                go_on()?;
            }
            output.write(&format::encode_anchor(self.final_prefix(anchor), anchor.offset))?;
        }
        output.pad_to(format::ALIGN_BYTES)?;
        let slots_offset = output.position();
        let homes = format::homes(self.hashes.len() as u64);
        let slots = self.write_slots(homes, output, go_on)?;
        Ok(Index { common_bytes: self.common_bytes, anchors_offset, slots_offset, slots, homes })
    }

    /// The prefix behind what turned out to be common to all keys. Up to what was common before, the key is the first key.
    fn final_prefix(&self, anchor: &Anchor) -> u64 {
        let known = &self.first_key[self.common_bytes..anchor.common_bytes];
        let bytes: Vec<u8> = known.iter().copied().chain(anchor.prefix.to_be_bytes()).take(8).collect();
        format::anchor_prefix(&bytes)
    }

    fn write_slots(&mut self, homes: u64, output: &mut Output, go_on: GoOn<'_>) -> Result<u64> {
        steps::sort(&mut self.hashes, go_on)?;
        let mut next = 0;
        let fill = |next: &mut u64, upto: u64, output: &mut Output| {
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
            fill(&mut next, format::home(hash, homes), output)?;
            output.write(&format::slot(hash, offset).to_le_bytes())?;
            next += 1;
        }
        fill(&mut next, homes, output)?;
        Ok(next)
    }
}
