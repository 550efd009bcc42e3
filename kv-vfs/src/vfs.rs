use std::{fmt, path::Path, sync::Arc};

use crate::{File, Lock, Result};

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// How much may still be taken. An estimate: others take of it too, and some file systems count
    /// generously.
    pub free: u64,
    /// How much there is, taken or not.
    pub total: u64,
}

/// One directory of a file system, and the files in it.
///
/// Every `name` is a single path component without `/`, and neither `.` nor `..`; others are refused with
/// [`std::io::ErrorKind::InvalidInput`]. Only regular files are opened, and no symbolic link is followed. Methods may be
/// called from any thread.
pub trait Vfs: Send + Sync + fmt::Debug {
    /// The directory's path, for messages.
    fn path(&self) -> &Path;

    /// Opens an existing regular file.
    ///
    /// Says nothing about durability: what is read may be in the page cache only.
    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>>;

    /// Creates a file, empty, open for reading and writing, readable and writable by its owner only (0600).
    ///
    /// Fails with [`std::io::ErrorKind::AlreadyExists`] if the name exists, whatever it is. The name survives a power cut
    /// only after [`sync_directory`](Vfs::sync_directory), and with its bytes only if the file was synced before that.
    fn create(&self, name: &str) -> Result<Arc<dyn File>>;

    /// Renames a file, replacing a file of the new name, atomically: at every instant, and after every crash, the new
    /// name is the old file or the new one.
    ///
    /// Atomic is not durable: until [`sync_directory`](Vfs::sync_directory) a power cut may undo it.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file. Open handles and maps of it stay valid.
    ///
    /// Until [`sync_directory`](Vfs::sync_directory) a power cut may bring it back.
    fn remove(&self, name: &str) -> Result<()>;

    /// The names of everything in the directory, in no particular order. Names that are not UTF-8 are left out: they
    /// are none of ours.
    fn list(&self) -> Result<Vec<String>>;

    /// Makes every creation, rename and removal in this directory that returned before survive a power cut.
    ///
    /// It does not sync the content of files.
    fn sync_directory(&self) -> Result<()>;

    /// Opens an existing subdirectory.
    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>>;

    /// Opens a subdirectory and creates it first if it is absent, accessible by its owner only (0700).
    ///
    /// A new name survives a power cut only after [`sync_directory`](Vfs::sync_directory) on *this* directory.
    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>>;

    /// Takes an exclusive lock on the file `name`, which is never removed; `None` if somebody else,
    /// in this process or another, holds it. Never waits.
    ///
    /// With [`Access::ReadWrite`] the file is created if it is absent. With [`Access::Read`]
    /// nothing is changed at all, and an absent file is an error
    /// ([`std::io::ErrorKind::NotFound`]). The lock is the same either way.
    ///
    /// The lock ends when the returned value is dropped or the process ends, however it ends. It is
    /// not inherited by programs that this process starts; for a child of this process see
    /// [`Lock::is_ours`].
    fn try_lock(&self, name: &str, access: Access) -> Result<Option<Lock>>;

    /// The number of the process that holds the lock on the file `name`, for messages. `None` if that
    /// cannot be told, as by default.
    fn lock_holder(&self, _name: &str) -> Option<u32> {
        None
    }

    /// Whether the directory is still the one at its path. `false` if it is certain that it was
    /// removed, or that another lies in its place: nobody will find there what is written here. A
    /// file layer whose directories nobody can take away answers `true`.
    fn is_in_place(&self) -> bool;

    /// The size in bytes of the unit in which the disk overwrites: the larger of the file system's and the device's
    /// block, and at least 4,096. A power of two.
    fn block_bytes(&self) -> u32;

    /// Asks that files created in this directory from now on are overwritten in place: that a write
    /// over bytes that were written before takes no new space. btrfs does that on request, and then
    /// neither checks nor compresses these files; most file systems always do.
    /// [`File::is_overwritten_in_place`] says what became of it. Does nothing by default.
    fn request_overwriting_in_place(&self) {}

    /// The space of the file system. By default as if there were no end to it.
    ///
    /// # Errors
    /// What the operating system says if it cannot tell.
    fn space(&self) -> Result<Space> {
        Ok(Space { free: u64::MAX, total: u64::MAX })
    }

    /// Random bytes for identities. A simulated disk answers from its seed, so that a run can be repeated.
    fn random(&self) -> Result<u128>;
}
