//! The acknowledgement mark: the durable position that was last acknowledged, and the epoch. Format
//! only, no I/O.
//!
//! The file has two slots, which are written in turn. They are 64 KiB apart, which is at least the
//! size of any block that the disk may overwrite at once. So a torn write spoils at most one of
//! them.
//!
//! | at | bytes | field of a slot |
//! |---|---|---|
//! | 0 | 56 | the [preamble](kv_vfs::preamble) of every file: magic `kvwalack`, checksum of the 128 bytes, version 2, features, the log's id |
//! | 56 | 8 | durable position |
//! | 64 | 8 | counter: one higher with each mark; odd ones go to the second slot |
//! | 72 | 8 | epoch of the opening that wrote the slot |
//! | 80 | 48 | zeroes |
//!
//! A slot is valid if and only if its preamble is valid and no number is above 2^62. A slot that is
//! not valid proves nothing: most marks are written without a sync, so a power cut may leave any
//! part of them. A valid slot was true when it was written, and it stays true, because positions
//! and epochs only grow. So for each number the two slots together state the higher of their
//! values.

use kv_core::{Epoch, LogId, Lsn};
use kv_vfs::preamble::{PREAMBLE_BYTES, Preamble, PreambleError};

use kv_vfs::little_endian::{get_u64, put};

use super::frame::NUMBER_MAX;

/// The bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 128;
/// Where each slot begins, in bytes from the start of the file.
pub(crate) const SLOTS_AT: [u64; 2] = [0, 64 << 10];

const KIND: Preamble = Preamble { magic: *b"kvwalack", version: 2, incompatible_known: 0 };

const DURABLE_AT: usize = PREAMBLE_BYTES;
const COUNTER_AT: usize = 64;
const EPOCH_AT: usize = 72;

/// What a slot states, or both slots together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) log_id: LogId,
    /// The records up to this position were durable.
    pub(crate) durable: Lsn,
    pub(crate) counter: u64,
    /// An opening with this epoch began to write.
    pub(crate) epoch: Epoch,
}

impl Mark {
    pub(crate) fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        for (at, value) in [(DURABLE_AT, self.durable.0), (COUNTER_AT, self.counter), (EPOCH_AT, self.epoch.0)] {
            put(&mut bytes, at, &value.to_le_bytes());
        }
        KIND.seal(&mut bytes, 0, self.log_id.0);
        bytes
    }

    /// Decodes a slot. `None` if it is not valid. The error is for a valid slot in the format of
    /// another version.
    pub(crate) fn decode(slot: &[u8; SLOT_BYTES]) -> Result<Option<Self>, PreambleError> {
        let log_id = match KIND.open(slot) {
            Ok(log_id) => LogId(log_id),
            Err(PreambleError::Damaged { .. }) => return Ok(None),
            Err(other_version) => return Err(other_version),
        };
        let [durable, counter, epoch] = [DURABLE_AT, COUNTER_AT, EPOCH_AT].map(|at| get_u64(slot, at));
        let sound = [durable, counter, epoch].iter().all(|number| *number <= NUMBER_MAX);
        Ok(sound.then_some(Self { log_id, durable: Lsn(durable), counter, epoch: Epoch(epoch) }))
    }

    /// What this slot and another one of the same log state together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            log_id: self.log_id,
            durable: self.durable.max(other.durable),
            counter: self.counter.max(other.counter),
            epoch: self.epoch.max(other.epoch),
        }
    }

    /// Where the mark is written, in bytes from the start of the file.
    pub(crate) fn slot_at(&self) -> u64 {
        SLOTS_AT[(self.counter % 2) as usize]
    }
}

#[cfg(test)]
mod tests {
    use kv_core::{Epoch, LogId, Lsn};

    use super::{Mark, SLOT_BYTES};

    const MARK: Mark = Mark { log_id: LogId(1 << 100), durable: Lsn(77), counter: 5, epoch: Epoch(3) };

    #[test]
    fn a_mark_decodes_to_what_was_encoded_and_with_a_flipped_bit_says_nothing() {
        let bytes = MARK.encode();
        assert_eq!(Mark::decode(&bytes), Ok(Some(MARK)));
        for bit in 0..SLOT_BYTES * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::decode(&bytes), Ok(None), "bit {bit}");
        }
        assert_eq!(Mark::decode(&[0; SLOT_BYTES]), Ok(None));
    }

    #[test]
    fn two_slots_state_the_higher_of_each_number() {
        let other = Mark { durable: Lsn(78), counter: 4, epoch: Epoch(2), ..MARK };
        assert_eq!(MARK.and(other), Mark { durable: Lsn(78), ..MARK });
        assert_eq!(other.and(MARK), MARK.and(other));
    }
}
