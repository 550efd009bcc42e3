//! The `ORIGIN` file of a copy says what it was copied from.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 56 | the [preamble](kv_vfs::preamble) of every file: magic `kvorigin`, checksum of the 80 bytes, version 1, features, the identity of the copy's log |
//! | 56 | 16 | the identity of the log that was copied |
//! | 72 | 8 | the position up to which it was copied |
//!
//! A copy has a log of its own, which begins after that position. The file is written before
//! FORMAT, and never changed.

use std::io;

use kv_core::{Error, LogId, Lsn, Result};
use kv_vfs::{
    Access, Vfs,
    little_endian::{get_u64, get_u128, put},
    preamble::{PREAMBLE_BYTES, Preamble, PreambleError},
};

pub(crate) const NAME: &str = "ORIGIN";

const KIND: Preamble = Preamble { magic: *b"kvorigin", version: 1, incompatible_known: 0 };

const OF_AT: usize = PREAMBLE_BYTES;
const POSITION_AT: usize = 72;
const ORIGIN_BYTES: usize = 80;

/// What a store was copied from, by [`backup_to`](crate::backup_to) or [`restore`](crate::restore):
/// it holds what the original held at that position, and whatever was written to it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The identity of the original's log.
    pub log_id: LogId,
    /// The position of the original that was copied. The copy's own records come after it.
    pub position: Lsn,
}

impl Origin {
    /// Writes the file, durably but for its name. `copy` is the identity of the copy's log.
    pub(crate) fn write(&self, directory: &dyn Vfs, copy: LogId) -> Result<()> {
        let file = directory.create(NAME)?;
        file.write_all_at(&self.encode(copy), 0)?;
        file.sync_data().map_err(Error::from)
    }

    /// The origin of the store in a directory, and the identity of its log; `None` if it is no
    /// copy.
    pub(crate) fn read(directory: &dyn Vfs) -> Result<Option<(Self, LogId)>> {
        let file = match directory.open(NAME, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = [0; ORIGIN_BYTES];
        let len = file.len()?.min(ORIGIN_BYTES as u64) as usize;
        file.read_exact_at(&mut bytes[..len], 0)?;
        match Self::decode(&bytes[..len]) {
            Ok(origin) => Ok(Some(origin)),
            Err(PreambleError::Damaged { offset, detail }) => Err(Error::corrupt(file.path(), offset, detail)),
            Err(PreambleError::Older { detail }) => Err(Error::OlderVersion { place: file.path().into(), detail }),
            Err(PreambleError::Newer { detail }) => Err(Error::NewerVersion { place: file.path().into(), detail }),
        }
    }

    fn encode(&self, copy: LogId) -> [u8; ORIGIN_BYTES] {
        let mut bytes = [0; ORIGIN_BYTES];
        put(&mut bytes, OF_AT, &self.log_id.0.to_le_bytes());
        put(&mut bytes, POSITION_AT, &self.position.0.to_le_bytes());
        KIND.seal(&mut bytes, 0, copy.0);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<(Self, LogId), PreambleError> {
        let copy = KIND.open(bytes)?;
        if bytes.len() < ORIGIN_BYTES {
            return Err(PreambleError::Damaged { offset: bytes.len() as u64, detail: "the file is truncated" });
        }
        let origin = Self { log_id: LogId(get_u128(bytes, OF_AT)), position: Lsn(get_u64(bytes, POSITION_AT)) };
        Ok((origin, LogId(copy)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { log_id: LogId(7 << 100), position: Lsn(42) };

    #[test]
    fn an_origin_decodes_to_what_was_encoded_and_a_flipped_bit_or_a_cut_is_damage() {
        let bytes = ORIGIN.encode(LogId(9));
        assert_eq!(Origin::decode(&bytes), Ok((ORIGIN, LogId(9))));
        for at in 0..ORIGIN_BYTES {
            let mut flipped = bytes;
            flipped[at] ^= 1 << (at % 8);
            assert!(matches!(Origin::decode(&flipped), Err(PreambleError::Damaged { .. })), "byte {at}");
            assert!(matches!(Origin::decode(&bytes[..at]), Err(PreambleError::Damaged { .. })), "length {at}");
        }
    }
}
