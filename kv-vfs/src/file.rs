use std::{
    any::Any,
    fmt, io,
    path::Path,
    sync::{Mutex, TryLockError},
};

use bytes::Bytes;

use crate::{Error, Origin, Result};

/// How much [`File::write_zeroes`] writes at once, in bytes.
const ZEROES_BYTES: usize = 256 << 10;

/// One open regular file, read and written at positions given in bytes from its start.
///
/// Methods may be called from any thread; concurrent operations on disjoint ranges do not disturb each other.
pub trait File: Send + Sync + fmt::Debug {
    /// The file's path, for messages. It may be out of date after a rename.
    fn path(&self) -> &Path;

    /// Reads up to `buffer.len()` bytes at `offset` and returns how many it read; zero only at or beyond the end of the
    /// file (or for an empty buffer). Interrupted calls are repeated.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes up to `bytes.len()` bytes at `offset` and returns how many it wrote. A write beyond the end enlarges the
    /// file, with zeroes between. Interrupted calls are repeated.
    ///
    /// On return the bytes are with the kernel: they survive the process, but nothing of them, any part of them, or a torn
    /// part of them may survive a power cut until [`sync_data`](File::sync_data).
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize>;

    /// Makes every write to this file that returned before, and the length that they gave it, survive a power cut.
    ///
    /// Once it has failed, nothing is known about those writes, now or later: a second call may "succeed" though the bytes are
    /// gone. Never retry it.
    fn sync_data(&self) -> Result<()>;

    /// Asks that later reads come from the disk and not from memory. Call [`sync_data`](File::sync_data) before:
    /// what was not synced stays in memory. It is a request; a file system may decline.
    fn drop_cache(&self) -> Result<()>;

    /// The file's length in bytes.
    fn len(&self) -> Result<u64>;

    /// Sets the file's length: cuts it, or enlarges it with zeroes (without taking space for them).
    ///
    /// Survives a power cut only after [`sync_data`](File::sync_data).
    fn set_len(&self, len: u64) -> Result<()>;

    /// Maps the whole file, of the length that it has now, for reading.
    ///
    /// Only for files that nobody changes or cuts any more: a change would show through, and touching a page beyond a new end,
    /// or one that the disk cannot read, kills the process (SIGBUS). Clones of the returned handle share the map, which
    /// ends with the last of them.
    fn map(&self) -> Result<Bytes>;

    /// Which file it is, among all that exist; `None` where that cannot be told, as in memory.
    fn identity(&self) -> Result<Option<FileId>> {
        Ok(None)
    }

    /// Whether a write over bytes that were written before takes no new space, so that it cannot
    /// fail for want of it. Not so on file systems that copy on write; see
    /// [`Vfs::request_overwriting_in_place`](crate::Vfs::request_overwriting_in_place).
    ///
    /// `true` does not cover blocks that the file shares with a snapshot or a reflinked copy: the
    /// first write to each of these takes new space on every file system. Where the operating
    /// system does not tell, `false`. By default `true`.
    fn is_overwritten_in_place(&self) -> bool {
        true
    }

    /// Whether the file is empty.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset`; [`io::ErrorKind::UnexpectedEof`] if the file ends before.
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

    /// Writes all of `bytes` at `offset`, going on after short writes. A write that takes nothing is an error
    /// ([`io::ErrorKind::WriteZero`]). Promises what [`write_at`](File::write_at) promises; after an error any part may have
    /// been written.
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

    /// Writes `len` zeroes at `offset`, so that the space is taken and later writes there neither
    /// allocate nor change the file's metadata, if the file [is overwritten in
    /// place](File::is_overwritten_in_place). Promises what [`write_at`](File::write_at) promises.
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

/// Which file it is: a copy of it is another one, and so is the same one in a copy of the whole
/// disk.
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
    /// The file system, since the machine was started.
    pub device: u64,
    /// The number of the file in it.
    pub inode: u64,
    /// Whether it is seen through a file system that has its files from another one, such as an
    /// overlay: the device is not that of the file itself.
    pub is_layered: bool,
}

impl FileId {
    /// Whether it may be the very file that somebody else knows by the other identity.
    pub fn may_be(&self, other: &Self) -> bool {
        self.inode == other.inode && (self.device == other.device || self.is_layered)
    }
}

/// A lock that is held until this value is dropped. See [`Vfs::try_lock`](crate::Vfs::try_lock).
#[must_use = "the lock ends when this is dropped"]
pub struct Lock {
    origin: Origin,
    /// Only a child ever takes it out, in its one thread: so nobody waits for this mutex.
    held: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

impl Lock {
    /// A lock that ends when `held` is dropped: for implementors of [`Vfs`](crate::Vfs).
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self { origin: Origin::here(), held: Mutex::new(Some(Box::new(held))) }
    }

    /// Whether this is the process that took the lock, and not a child of it, made by `fork`. Costs
    /// no system call, and takes no lock.
    ///
    /// A child neither has the lock nor may end it. The first call in it closes what it inherited,
    /// so that the lock ends with its parent.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.origin.is_here() || self.let_go()
    }

    #[cold]
    fn let_go(&self) -> bool {
        let inherited = match self.held.try_lock() {
            Ok(mut held) => held.take(),
            Err(TryLockError::Poisoned(held)) => held.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        drop(inherited);
        false
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}
