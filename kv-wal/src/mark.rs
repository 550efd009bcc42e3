//! The acknowledgement mark: what was durable when it was last acknowledged. Format only, no I/O.
//!
//! The file has two slots, 64 KiB apart so that no disk overwrites both at once; they are written in turn.
//!
//! | at | bytes | field of a slot |
//! |---|---|---|
//! | 0 | 56 | the [preamble](kv_vfs::preamble) of every file: magic `kvwalack`, checksum of the 128 bytes, version 1, features, the log's identity |
//! | 56 | 8 | durable position |
//! | 64 | 8 | counter: one higher with each mark; odd ones are in the second slot |
//! | 72 | 56 | zeroes |
//!
//! A slot is valid if and only if its preamble is. One that is not valid says nothing: a mark is written without
//! a sync, and a power cut may leave anything of it. The mark is the valid slot with the higher counter.

use kv_core::{LogId, Lsn};
use kv_vfs::preamble::{PREAMBLE_BYTES, Preamble, PreambleError};

use crate::{
    bytes::{get_u64, put},
    frame::NUMBER_MAX,
};

/// The bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 128;
/// Where each slot begins, in bytes from the start of the file.
pub(crate) const SLOTS_AT: [u64; 2] = [0, 64 << 10];

const KIND: Preamble = Preamble { magic: *b"kvwalack", version: 1, incompatible_known: 0 };

const DURABLE_AT: usize = PREAMBLE_BYTES;
const COUNTER_AT: usize = 64;

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) log_id: LogId,
    pub(crate) durable: Lsn,
    pub(crate) counter: u64,
}

impl Mark {
    pub(crate) fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        put(&mut bytes, DURABLE_AT, &self.durable.0.to_le_bytes());
        put(&mut bytes, COUNTER_AT, &self.counter.to_le_bytes());
        KIND.seal(&mut bytes, 0, self.log_id.0);
        bytes
    }

    /// What the slot says, `None` if it is not valid; the error says what in a valid slot is newer.
    pub(crate) fn decode(slot: &[u8; SLOT_BYTES]) -> Result<Option<Self>, String> {
        let log_id = match KIND.open(slot) {
            Ok(log_id) => LogId(log_id),
            Err(PreambleError::Damaged { .. }) => return Ok(None),
            Err(PreambleError::Newer { detail }) => return Err(detail),
        };
        let mark = Self { log_id, durable: Lsn(get_u64(slot, DURABLE_AT)), counter: get_u64(slot, COUNTER_AT) };
        Ok((mark.durable.0 <= NUMBER_MAX && mark.counter <= NUMBER_MAX).then_some(mark))
    }

    /// Where the mark belongs, in bytes from the start of the file.
    pub(crate) fn slot_at(&self) -> u64 {
        SLOTS_AT[(self.counter % 2) as usize]
    }
}

#[cfg(test)]
mod tests {
    use kv_core::{LogId, Lsn};

    use super::{Mark, SLOT_BYTES};

    #[test]
    fn a_mark_decodes_to_what_was_encoded_and_with_a_flipped_bit_says_nothing() {
        let mark = Mark { log_id: LogId(1 << 100), durable: Lsn(77), counter: 5 };
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Ok(Some(mark)));
        for bit in 0..SLOT_BYTES * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::decode(&bytes), Ok(None), "bit {bit}");
        }
        assert_eq!(Mark::decode(&[0; SLOT_BYTES]), Ok(None));
    }
}
