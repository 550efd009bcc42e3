//! The acknowledgement mark: what was durable when it was last acknowledged. Format only, no I/O.
//!
//! The file has two slots, 64 KiB apart so that no disk overwrites both at once; they are written in turn.
//!
//! | at | bytes | field of a slot |
//! |---|---|---|
//! | 0 | 8 | magic `kvwalack` |
//! | 8 | 8 | xxh3 of bytes 16 to 128; at this place and over these bytes in every version, and judged first |
//! | 16 | 4 | version, 1 |
//! | 20 | 4 | reserved, 0 |
//! | 24 | 8 | incompatible features |
//! | 32 | 8 | compatible features |
//! | 40 | 16 | the log's identity |
//! | 56 | 8 | durable position |
//! | 64 | 8 | counter: one higher with each mark; odd ones are in the second slot |
//! | 72 | 56 | zeroes |
//!
//! A slot is valid if and only if the magic and the checksum are right. One that is not valid says nothing: a mark is written without
//! a sync, and a power cut may leave anything of it. The mark is the valid slot with the higher counter.

use kv_core::{LogId, Lsn};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    bytes::{get_u32, get_u64, get_u128, put},
    frame::NUMBER_MAX,
};

/// The bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 128;
/// Where each slot begins, in bytes from the start of the file.
pub(crate) const SLOTS_AT: [u64; 2] = [0, 64 << 10];

const MAGIC: &[u8; 8] = b"kvwalack";
const VERSION: u32 = 1;
const CHECKSUM_AT: usize = 8;
const COVERED_AT: usize = 16;
const VERSION_AT: usize = 16;
const INCOMPATIBLE_AT: usize = 24;
const LOG_ID_AT: usize = 40;
const DURABLE_AT: usize = 56;
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
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, VERSION_AT, &VERSION.to_le_bytes());
        put(&mut bytes, LOG_ID_AT, &self.log_id.0.to_le_bytes());
        put(&mut bytes, DURABLE_AT, &self.durable.0.to_le_bytes());
        put(&mut bytes, COUNTER_AT, &self.counter.to_le_bytes());
        let checksum = xxh3_64(&bytes[COVERED_AT..]);
        put(&mut bytes, CHECKSUM_AT, &checksum.to_le_bytes());
        bytes
    }

    /// What the slot says, `None` if it is not valid; the error is the version of a valid slot that is newer.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Self>, u32> {
        let Some(bytes) = bytes.get(..SLOT_BYTES) else { return Ok(None) };
        if !bytes.starts_with(MAGIC) || get_u64(bytes, CHECKSUM_AT) != xxh3_64(&bytes[COVERED_AT..]) {
            return Ok(None);
        }
        let version = get_u32(bytes, VERSION_AT);
        if version != VERSION || get_u64(bytes, INCOMPATIBLE_AT) != 0 {
            return Err(version);
        }
        let mark = Self {
            log_id: LogId(get_u128(bytes, LOG_ID_AT)),
            durable: Lsn(get_u64(bytes, DURABLE_AT)),
            counter: get_u64(bytes, COUNTER_AT),
        };
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
