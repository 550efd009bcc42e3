use std::{fmt, io, path::Path};

use bytes::Bytes;

use crate::{Error, Result};

/// The size of each write by which [`File::write_zeroes`] fills a file, in bytes.
pub(crate) const ZEROES_BYTES: usize = 256 << 10;

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

    /// Ensures that all writes to this file that have returned survive a power cut, together with
    /// the length that they gave the file.
    ///
    /// If this fails, it is unknown whether those writes reached the disk, and no later call can
    /// tell: a second call may "succeed" although the bytes are lost. Never retry it.
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

    /// Maps the whole file for reading, at its current length.
    ///
    /// The file must not be changed or truncated while it is mapped. A change would show through
    /// the map. Touching a page beyond a new end, or a page that the disk cannot read, ends the
    /// process with SIGBUS. Clones of the returned handle share the map, which ends when the last
    /// of them is dropped.
    fn map(&self) -> Result<Bytes>;

    /// Identifies the file among all files. Returns `None` if its identity is not known, as for a
    /// file in memory.
    fn identity(&self) -> Result<Option<FileId>> {
        Ok(None)
    }

    /// Whether overwriting bytes that were written before takes no new space, and so cannot fail
    /// for lack of it. File systems that copy on write do take new space; see
    /// [`Vfs::request_overwriting_in_place`](crate::Vfs::request_overwriting_in_place).
    ///
    /// `true` does not cover blocks that the file shares with a file system's snapshot or a
    /// reflinked copy: the first write to each of these takes new space on every file system.
    /// Returns `false` if the operating system does not say. The default implementation returns
    /// `true`.
    fn is_overwritten_in_place(&self) -> bool {
        true
    }

    /// Whether parts of the file have no space on the disk, as in a sparse copy. The first write to
    /// such a part takes new space. The default implementation returns `false`.
    fn has_holes(&self) -> Result<bool> {
        Ok(false)
    }

    /// Whether the file is empty.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset`. Fails with [`io::ErrorKind::UnexpectedEof`] if the file ends
    /// before the buffer is full.
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

    /// Writes all of `bytes` at `offset`, and continues after short writes. A write that accepts no
    /// byte is an error ([`io::ErrorKind::WriteZero`]). After an error any part may have been
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

    /// Writes all of `bytes` at `offset`, over bytes that were written before, and may do so
    /// through a map of the file, which takes no system call. The guarantees are those of
    /// [`write_at`](File::write_at), with two exceptions:
    ///
    /// - An error of the disk that `write_at` would have returned may end the process with SIGBUS
    ///   instead: if the page was no longer in memory, or, on XFS, if the file system has shut
    ///   down.
    /// - Blocks next to the written ones may be written again with the bytes that they have, if the
    ///   kernel keeps them as one unit in memory. It does not if every byte was written by
    ///   [`write_zeroes`](File::write_zeroes) since the file was created, unless pages of the file
    ///   were evicted since, and a reader brought them back.
    ///
    /// Every byte of the file must have been written and synced before. As long as this handle
    /// exists, the file must not be truncated, and no other part of this process may have it
    /// [mapped](File::map). The map ends with the handle. A child made by `fork` has no map, and
    /// must not call this.
    ///
    /// [`OsVfs`](crate::OsVfs) makes such a map on ext4 and XFS only, because a map cannot report
    /// that there is no space, and only if the pages of memory are no larger than the smallest
    /// blocks (4 KiB). The default implementation calls [`write_all_at`](File::write_all_at).
    fn copy_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.write_all_at(bytes, offset)
    }

    /// Reserves the space of `len` bytes at `offset`, at or behind the end of the file, and
    /// enlarges the file by them. They read as zeroes, and no write to them fails for lack of
    /// space, if the file [is overwritten in place](File::is_overwritten_in_place).
    ///
    /// In contrast to [`write_zeroes`](File::write_zeroes) this may write nothing to the disk. But
    /// the first write to each block then changes the file's metadata, which the next
    /// [`sync_data`](File::sync_data) has to write as well. The default implementation writes
    /// zeroes.
    fn reserve(&self, offset: u64, len: u64) -> Result<()> {
        self.write_zeroes(offset, len)
    }

    /// Writes `len` zeroes at `offset`. This allocates the space: if the file [is overwritten in
    /// place](File::is_overwritten_in_place), later writes there neither allocate nor change the
    /// file's metadata. The guarantees are those of [`write_at`](File::write_at).
    fn write_zeroes(&self, offset: u64, len: u64) -> Result<()> {
        write_zeroes_in(self, ZEROES_BYTES, offset, len)
    }
}

/// Writes `len` zeroes at `offset`, in pieces of up to `piece` bytes.
pub(crate) fn write_zeroes_in(file: &(impl File + ?Sized), piece: usize, offset: u64, len: u64) -> Result<()> {
    let zeroes = vec![0; piece.min(usize::try_from(len).unwrap_or(piece))];
    let end = offset + len;
    let mut at = offset;
    while at < end {
        let n = (end - at).min(zeroes.len() as u64);
        file.write_all_at(&zeroes[..n as usize], at)?;
        at += n;
    }
    Ok(())
}

/// The identity of a file. A copy of a file has another identity, and so has the same file on a
/// copy of the whole disk.
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
    /// The number of the file system that holds it. It is valid until the machine is restarted.
    pub device: u64,
    /// The number of the file in that file system.
    pub inode: u64,
    /// Whether the file is seen through a file system that takes its files from another one, such
    /// as an overlay. `device` is then that of the upper file system, not that of the file itself.
    pub is_layered: bool,
}

impl FileId {
    /// Whether this may be the same file as `other`. The comparison is not symmetric: it allows for
    /// `self` being seen through a layered file system, and takes the device of `other` as it is.
    pub fn may_be(&self, other: &Self) -> bool {
        self.inode == other.inode && (self.device == other.device || self.is_layered)
    }
}
