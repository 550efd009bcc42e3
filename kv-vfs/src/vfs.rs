use std::{any::Any, fmt, io, path::Path, sync::Arc};

use crate::{Error, File, Lock, Result};

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
    /// What is left. This is an estimate: other processes use the space too, and some file systems
    /// overstate it.
    pub free: u64,
    /// The whole size, used or not.
    pub total: u64,
}

/// One directory of a file system, and the files in it.
///
/// Every `name` must be a single path component: without `/`, and neither `.` nor `..`. For any
/// other name a method fails with [`std::io::ErrorKind::InvalidInput`]. Only regular files are
/// opened, and no symbolic link is followed. Methods may be called from any thread.
pub trait Vfs: Any + Send + Sync + fmt::Debug {
    /// The directory's path, for messages.
    fn path(&self) -> &Path;

    /// Opens an existing regular file.
    ///
    /// What is read need not be durable: it may be in the page cache only.
    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>>;

    /// Creates an empty file and opens it for reading and writing. Only its owner may read and
    /// write it (0600).
    ///
    /// Fails with [`std::io::ErrorKind::AlreadyExists`] if the name exists, whatever it names. The
    /// name survives a power cut only after [`sync_directory`](Vfs::sync_directory), and the bytes
    /// only if the file was synced as well.
    fn create(&self, name: &str) -> Result<Arc<dyn File>>;

    /// Renames a file. If a file has the new name already, it is replaced. This is atomic: at every
    /// instant, and after every crash, the new name refers either to what it referred to before or
    /// to the renamed file. A subdirectory can be renamed as well, if the new name is free.
    ///
    /// It is not durable: until [`sync_directory`](Vfs::sync_directory) a power cut may undo it.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Gives a file another name, in the directory `to` (a hard link). Both names refer to the same
    /// file, whatever happens to the other one, so the file must not be changed any more.
    ///
    /// Fails with [`AlreadyExists`](io::ErrorKind::AlreadyExists) if the new name exists. Where
    /// files cannot be linked, it fails with another error, for example
    /// [`CrossesDevices`](io::ErrorKind::CrossesDevices) if `to` is on another file system: copy
    /// the file then. The default implementation links nothing and fails with
    /// [`Unsupported`](io::ErrorKind::Unsupported).
    ///
    /// The new name survives a power cut only after [`sync_directory`](Vfs::sync_directory) on
    /// `to`.
    fn link(&self, name: &str, to: &dyn Vfs, new_name: &str) -> Result<()> {
        let _ = (to, new_name);
        Err(Error::new("link", self.path().join(name), io::ErrorKind::Unsupported))
    }

    /// Removes a file. Open handles and maps of it stay valid.
    ///
    /// Until [`sync_directory`](Vfs::sync_directory) a power cut may bring it back.
    fn remove(&self, name: &str) -> Result<()>;

    /// The names of everything in the directory, in no particular order. Names that are not UTF-8
    /// are left out: kv creates none.
    fn list(&self) -> Result<Vec<String>>;

    /// Ensures that all creations, renames and removals in this directory that have returned
    /// survive a power cut. It does not sync the content of files.
    fn sync_directory(&self) -> Result<()>;

    /// Opens an existing subdirectory.
    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>>;

    /// Opens a subdirectory, and creates it first if it is missing. Only the owner may access a new
    /// one (0700).
    ///
    /// A new name survives a power cut only after [`sync_directory`](Vfs::sync_directory) on *this*
    /// directory.
    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>>;

    /// Takes an exclusive lock on the file `name`; `None` if it is locked already, in this process
    /// or another. Never waits. The file must never be removed.
    ///
    /// With [`Access::ReadWrite`] the file is created if it is missing. With [`Access::Read`]
    /// nothing is changed, and a missing file is an error ([`std::io::ErrorKind::NotFound`]). The
    /// lock is the same either way.
    ///
    /// The lock ends when the returned value is dropped, or when the process ends in any way.
    /// Programs that this process starts do not inherit it. For a child made by `fork` see
    /// [`Lock::is_ours`].
    fn try_lock(&self, name: &str, access: Access) -> Result<Option<Lock>>;

    /// The number of the process that holds the lock on the file `name`, for messages. Returns
    /// `None` if that is not known. The default implementation always returns `None`.
    fn lock_holder(&self, _name: &str) -> Option<u32> {
        None
    }

    /// Whether the directory is still the one at its path. Returns `false` only if it is certain
    /// that the directory was removed or that something else is at its path: what is written to the
    /// directory could then not be found there. A file layer whose directories cannot be removed or
    /// replaced returns `true`.
    fn is_in_place(&self) -> bool;

    /// The size, in bytes, of the unit in which the disk overwrites: a power of two, and at least
    /// 4,096. It should be no smaller than the file system's block and the device's.
    /// [`OsVfs`](crate::OsVfs) goes by what the file system reports, and reports at most 64 KiB.
    fn block_bytes(&self) -> u32;

    /// Asks that files created in this directory from now on are overwritten in place: overwriting
    /// bytes that were written before takes no new space. Most file systems always do that. btrfs
    /// does it on request, and then neither checksums nor compresses these files.
    /// [`File::is_overwritten_in_place`] tells whether the request was granted. The default
    /// implementation does nothing.
    fn request_overwriting_in_place(&self) {}

    /// The space of the file system. The default implementation reports unlimited space.
    ///
    /// # Errors
    /// The operating system's error if it cannot tell.
    fn space(&self) -> Result<Space> {
        Ok(Space { free: u64::MAX, total: u64::MAX })
    }

    /// A random number, for identities. A simulated disk derives it from its seed, so that a run
    /// can be repeated.
    fn random(&self) -> Result<u128>;
}
