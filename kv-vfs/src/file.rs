use std::{fmt, io, path::Path};

use bytes::Bytes;

use crate::{Error, Result};

/// The size of a write of [`File::write_zeroes`], in bytes.
const ZEROES_BYTES: usize = 256 << 10;

/// One open regular file, read and written at offsets in bytes from its start.
///
/// Methods may be called from any thread. Concurrent operations on disjoint ranges do not affect
/// each other.
pub trait File: Send + Sync + fmt::Debug {
    /// The file's path, for messages. After a rename it may be out of date.
    fn path(&self) -> &Path;

    /// Reads up to `buffer.len()` bytes at `offset` and returns how many it read. Zero means that
    /// `offset` is at or beyond the end of the file, or that the buffer is empty. Interrupted calls
    /// are repeated.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes up to `bytes.len()` bytes at `offset` and returns how many it wrote. A write beyond
    /// the end enlarges the file, with zeroes in between. Interrupted calls are repeated.
    ///
    /// On return the kernel has the bytes: they survive the process. Until
    /// [`sync_data`](File::sync_data), a power cut may leave any part of them, a torn part, or
    /// nothing.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize>;

    /// Makes every write to this file that has returned survive a power cut, and the length that
    /// those writes gave it.
    ///
    /// Once this has failed, nothing is known about those writes, and never will be: a second call
    /// may "succeed" though the bytes are lost. Never retry it.
    fn sync_data(&self) -> Result<()>;

    /// Asks that later reads come from the disk and not from memory. Call
    /// [`sync_data`](File::sync_data) first: bytes that are not synced stay in memory. This is a
    /// request, which a file system may ignore.
    fn drop_cache(&self) -> Result<()>;

    /// The file's length in bytes.
    fn len(&self) -> Result<u64>;

    /// Sets the file's length: truncates it, or enlarges it with zeroes, without allocating space
    /// for them.
    ///
    /// The new length survives a power cut only after [`sync_data`](File::sync_data).
    fn set_len(&self, len: u64) -> Result<()>;

    /// Maps the whole file for reading, at the length that it has now.
    ///
    /// The file must not be changed or truncated any more. A change would show through the map; and
    /// touching a page beyond a new end, or one that the disk cannot read, ends the process with
    /// SIGBUS. Clones of the returned handle share the map, which ends with the last of them.
    fn map(&self) -> Result<Bytes>;

    /// Which file this is, among all that exist; `None` if that is not known, as for a file in
    /// memory.
    fn identity(&self) -> Result<Option<FileId>> {
        Ok(None)
    }

    /// Whether a write over bytes that were written before takes no new space, so that it cannot
    /// fail for lack of space. That is not so on file systems that copy on write; see
    /// [`Vfs::request_overwriting_in_place`](crate::Vfs::request_overwriting_in_place).
    ///
    /// `true` does not cover blocks that the file shares with a file system's snapshot or a
    /// reflinked copy: the first write to each of these takes new space on every file system.
    /// `false` if the operating system does not say. The default is `true`.
    fn is_overwritten_in_place(&self) -> bool {
        true
    }

    /// Whether the file is empty.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset`. Fails with [`io::ErrorKind::UnexpectedEof`] if the file ends
    /// before that.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset)? {
                0 => return Err(Error::new("read", self.path(), io::ErrorKind::UnexpectedEof)),
                n => {
                    buffer = &mut buffer[n..];
                    offset += n as u64;
                }
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` at `offset`, and continues after short writes. A write that takes
    /// nothing is an error ([`io::ErrorKind::WriteZero`]). After an error any part may have been
    /// written. The guarantees are those of [`write_at`](File::write_at).
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset)? {
                0 => return Err(Error::new("write to", self.path(), io::ErrorKind::WriteZero)),
                n => {
                    bytes = &bytes[n..];
                    offset += n as u64;
                }
            }
        }
        Ok(())
    }

    /// Writes `len` zeroes at `offset`. This takes the space: if the file [is overwritten in
    /// place](File::is_overwritten_in_place), later writes there neither allocate nor change the
    /// file's metadata. The guarantees are those of [`write_at`](File::write_at).
    fn write_zeroes(&self, offset: u64, len: u64) -> Result<()> {
        let zeroes = vec![0; ZEROES_BYTES.min(usize::try_from(len).unwrap_or(ZEROES_BYTES))];
        let end = offset + len;
        let mut at = offset;
        while at < end {
            let n = (end - at).min(zeroes.len() as u64);
            self.write_all_at(&zeroes[..n as usize], at)?;
            at += n;
        }
        Ok(())
    }
}

/// Which file it is. A copy of a file is another file, and so is the same file on a copy of the
/// whole disk.
///
/// ```
/// use kv_vfs::FileId;
///
/// let below = FileId { device: 1, inode: 7, is_layered: false };
/// let above = FileId { device: 2, inode: 7, is_layered: true };
/// let on_a_snapshot = FileId { device: 3, inode: 7, is_layered: false };
/// assert!(above.may_be(&below) && !on_a_snapshot.may_be(&below));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// The file system that holds it. The number is valid until the machine is restarted.
    pub device: u64,
    /// The number of the file in that file system.
    pub inode: u64,
    /// Whether it is seen through a file system that takes its files from another one, such as an
    /// overlay. `device` is then not that of the file itself.
    pub is_layered: bool,
}

impl FileId {
    /// Whether this may be the same file as `other`, which was seen elsewhere.
    pub fn may_be(&self, other: &Self) -> bool {
        self.inode == other.inode && (self.device == other.device || self.is_layered)
    }
}
