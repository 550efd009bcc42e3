//! The record in the `LOCK` file says which process writes to the store. It serves openers that
//! cannot see the lock itself: through a mount that does not pass locks on, or above the overlay
//! layer in which the lock is held.
//!
//! ```text
//! 0          56      72     88          96        104  108    112      120
//! | preamble | token | boot | namespace | started | id | open | device | inode |
//! ```
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 56 | the [preamble](kv_vfs::preamble) of every file: magic `kvowner1`, checksum, version 1, features, zero for the store id |
//! | 56 | 16 | token: a random number for each opening that writes |
//! | 72 | 16 | boot: identifies this boot of this machine |
//! | 88 | 8 | namespace: the one in which the process number is valid |
//! | 96 | 8 | started: when the process was started, in the kernel's ticks since the boot |
//! | 104 | 4 | id: the number of the process |
//! | 108 | 4 | open: 1 until the store is closed, then 0 |
//! | 112 | 16 | device and inode: which file this is, so that a copy can be recognized |
//!
//! An opening writes the record before its first other write (creating a store counts as one), and
//! again when its last handle is dropped. The record is never synced, because it means nothing
//! after a reboot. Anything that is not a whole record, such as an empty or torn file, is ignored,
//! and so never keeps an opener out.

use std::io::ErrorKind;

use kv_vfs::{
    Access, FileId, Process, Result, Vfs,
    preamble::{PREAMBLE_BYTES, Preamble},
};

use crate::options::LOCK;

const KIND: Preamble = Preamble { magic: *b"kvowner1", version: 1, incompatible_known: 0 };

const TOKEN_AT: usize = PREAMBLE_BYTES;
const BOOT_AT: usize = 72;
const NAMESPACE_AT: usize = 88;
const STARTED_AT: usize = 96;
const ID_AT: usize = 104;
const OPEN_AT: usize = 108;
const DEVICE_AT: usize = 112;
const INODE_AT: usize = 120;
const RECORD_BYTES: usize = 128;

/// An opening that writes, or has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) token: u128,
    pub(crate) process: Process,
    pub(crate) open: bool,
    /// Whether the record was written into the same file that it was read from. Otherwise the store
    /// is a copy.
    pub(crate) is_here: bool,
}

impl Record {
    /// The record in the directory; `None` if there is no valid one.
    pub(crate) fn read(directory: &dyn Vfs) -> Result<Option<Self>> {
        let mut bytes = [0; RECORD_BYTES];
        let mut read = || {
            let file = directory.open(LOCK, Access::Read)?;
            file.read_exact_at(&mut bytes, 0)?;
            file.identity()
        };
        match read() {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
            read => read.map(|file| Self::decode(&bytes, file)),
        }
    }

    pub(crate) fn write(&self, directory: &dyn Vfs) -> Result<()> {
        let file = directory.open(LOCK, Access::ReadWrite)?;
        file.write_all_at(&self.encode(file.identity()?), 0)
    }

    /// Whether a process other than `this` has the store open, as far as the record tells: the
    /// record was not closed, is no copy, and names a process that is alive here.
    pub(crate) fn is_held_by_another_than(&self, this: &Process) -> bool {
        self.open && self.is_here && self.process != *this && self.process.is_alive()
    }

    /// The number of the process that has the store open, if the record names one that is alive.
    fn holder(&self) -> Option<u32> {
        let id = self.process.id;
        (self.open && self.is_here && Process::of(id) == Some(self.process)).then_some(id)
    }

    fn encode(&self, file: Option<FileId>) -> [u8; RECORD_BYTES] {
        let Self { token, process: Process { boot, namespace, id, started }, open, is_here: _ } = *self;
        let mut bytes = [0; RECORD_BYTES];
        bytes[TOKEN_AT..BOOT_AT].copy_from_slice(&token.to_le_bytes());
        bytes[BOOT_AT..NAMESPACE_AT].copy_from_slice(&boot.to_le_bytes());
        bytes[NAMESPACE_AT..STARTED_AT].copy_from_slice(&namespace.to_le_bytes());
        bytes[STARTED_AT..ID_AT].copy_from_slice(&started.to_le_bytes());
        bytes[ID_AT..OPEN_AT].copy_from_slice(&id.to_le_bytes());
        bytes[OPEN_AT..DEVICE_AT].copy_from_slice(&u32::from(open).to_le_bytes());
        if let Some(FileId { device, inode, .. }) = file {
            bytes[DEVICE_AT..INODE_AT].copy_from_slice(&device.to_le_bytes());
            bytes[INODE_AT..].copy_from_slice(&inode.to_le_bytes());
        }
        KIND.seal(&mut bytes, 0, 0);
        bytes
    }

    fn decode(bytes: &[u8; RECORD_BYTES], file: Option<FileId>) -> Option<Self> {
        KIND.open(bytes).ok()?;
        let process = Process {
            boot: u128::from_le_bytes(field(bytes, BOOT_AT)),
            namespace: u64::from_le_bytes(field(bytes, NAMESPACE_AT)),
            id: u32::from_le_bytes(field(bytes, ID_AT)),
            started: u64::from_le_bytes(field(bytes, STARTED_AT)),
        };
        let open = u32::from_le_bytes(field(bytes, OPEN_AT)) == 1;
        let written = FileId {
            device: u64::from_le_bytes(field(bytes, DEVICE_AT)),
            inode: u64::from_le_bytes(field(bytes, INODE_AT)),
            is_layered: false,
        };
        let is_here = file.is_some_and(|file| file.may_be(&written));
        Some(Self { token: u128::from_le_bytes(field(bytes, TOKEN_AT)), process, open, is_here })
    }
}

/// The number of the process that has locked the directory, if the kernel or the record tells it.
pub(crate) fn lock_holder(directory: &dyn Vfs) -> Option<u32> {
    directory.lock_holder(LOCK).or_else(|| Record::read(directory).ok()??.holder())
}

fn field<const N: usize>(bytes: &[u8; RECORD_BYTES], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let process = Process { boot: 1 << 100, namespace: 2, id: 3, started: 4 };
        Record { token: 5 << 70, process, open: true, is_here: true }
    }

    const FILE: Option<FileId> = Some(FileId { device: 6, inode: 7, is_layered: false });

    #[test]
    fn a_record_decodes_to_what_was_encoded() {
        for record in [record(), Record { open: false, ..record() }] {
            assert_eq!(Record::decode(&record.encode(FILE), FILE), Some(record));
        }
    }

    #[test]
    fn a_record_in_another_file_is_that_of_the_file_it_was_copied_from() {
        let bytes = record().encode(FILE);
        let file = |device, inode, is_layered| Some(FileId { device, inode, is_layered });
        for (file, is_here) in [
            (file(6, 8, false), false), // copied
            (file(6, 8, true), false),
            (file(9, 7, false), false), // on a copy of the disk, or a snapshot
            (file(9, 7, true), true),   // below an overlay
            (None, false),
        ] {
            assert_eq!(Record::decode(&bytes, file), Some(Record { is_here, ..record() }), "{file:?}");
        }
    }

    /// A sector may be written in part, over nothing or over an earlier record.
    #[test]
    fn whatever_is_not_a_whole_record_says_nothing() {
        let whole = record().encode(FILE);
        let before = Record { token: 9, open: false, ..record() }.encode(FILE);
        for at in 0..RECORD_BYTES {
            let mut flipped = whole;
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(Record::decode(&flipped, FILE), None, "byte {at}");
            for under in [[0; RECORD_BYTES], before] {
                let torn: [u8; RECORD_BYTES] = std::array::from_fn(|n| if n < at { whole[n] } else { under[n] });
                if torn != whole && torn != before {
                    assert_eq!(Record::decode(&torn, FILE), None, "torn at {at}");
                }
            }
        }
    }
}
