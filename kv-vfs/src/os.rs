use std::{
    any::Any,
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, MetadataExt},
        },
    },
    path::{Component, Path, PathBuf},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use rustix::{
    fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags},
    io::{Errno, retry_on_intr},
};

use crate::{
    Access, Error, File, FileId, Lock, Result, Space, Vfs,
    file::{ZEROES_BYTES, write_zeroes_in},
    in_place, lock,
    map::{self, WritableMap},
    place::Place,
};

/// The smallest block size that is reported, in bytes: the unit in which today's disks overwrite.
const BLOCK_BYTES_MIN: u64 = 4096;
/// The largest block size that is reported, in bytes. Some network file systems give a megabyte or
/// more, which is their preferred size of requests and not a unit of overwriting.
const BLOCK_BYTES_MAX: u64 = 64 << 10;

/// File systems that show files of other file systems under a device number of their own: overlay
/// and FUSE, by their numbers in statfs(2).
const LAYERED: [u32; 2] = [0x794c_7630, 0x6573_5546];

/// What is longer is [not copied](File::copy_at) but written, in bytes: for a long run of pages a
/// system call costs less than a page fault for each.
pub const COPIED_BYTES_MAX: usize = 16 << 10;

const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIRECTORY_MODE: Mode = Mode::RWXU;

/// A directory of the operating system's file system.
///
/// The directory is held open, so this value refers to the same directory even if it is renamed.
#[derive(Debug)]
pub struct OsVfs {
    directory: OwnedFd,
    /// As the caller gave it, for messages.
    path: PathBuf,
    place: Place,
    block_bytes: u32,
}

impl OsVfs {
    /// Opens an existing directory.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if it is missing,
    /// [`NotADirectory`](io::ErrorKind::NotADirectory) if it is something else, or another error of
    /// the operating system.
    pub fn open(path: impl AsRef<Path>) -> Result<Arc<Self>> {
        let path = path.as_ref();
        // The caller chose this path, so links in it are followed.
        open_directory(CWD, path.as_os_str(), OFlags::empty())
            .and_then(|directory| Self::new(directory, path, Place::of(path)))
            .map(Arc::new)
            .map_err(|error| Error::new("open directory", path, error))
    }

    /// Opens a directory. If it is missing, creates it first, together with its missing parents.
    /// Only the owner may access the new directories (0700).
    ///
    /// On return the names of the directories that it created survive a power cut. So does the name
    /// of a directory that it found empty, because an earlier call may have been killed after it
    /// created the directory and before it synced the name.
    ///
    /// # Errors
    /// [`NotADirectory`](io::ErrorKind::NotADirectory) if there is something else at the path, or
    /// another error of the operating system.
    pub fn create(path: impl AsRef<Path>) -> Result<Arc<Self>> {
        let path = path.as_ref();
        let vfs = match Self::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create_absent(path)?,
            opened => opened?,
        };
        if vfs.list()?.is_empty() {
            vfs.sync_parent()?;
        }
        Ok(vfs)
    }

    fn create_absent(path: &Path) -> Result<Arc<Self>> {
        if let Some(parent) = path.parent()
            && parent != Path::new("")
        {
            Self::create(parent)?;
        }
        make_directory(CWD, path.as_os_str()).map_err(|error| Error::new("create directory", path, error))?;
        Self::open(path)
    }

    fn sync_parent(&self) -> Result<()> {
        let synced = match open_directory(&self.directory, OsStr::new(".."), OFlags::empty()) {
            // The parent cannot be opened without permission to read it. Sync the whole file system
            // instead.
            Err(Errno::ACCESS) => rustix::fs::syncfs(&self.directory),
            parent => parent.and_then(rustix::fs::fsync),
        };
        synced.map_err(|errno| Error::new("sync the parent of", &self.path, errno))
    }

    fn new(directory: OwnedFd, path: &Path, place: Place) -> rustix::io::Result<Self> {
        let reported = rustix::fs::fstatvfs(&directory)?.f_bsize;
        let block_bytes = reported.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX).next_power_of_two() as u32;
        Ok(Self { directory, path: path.to_owned(), place, block_bytes })
    }

    fn error<'a>(&self, operation: &'static str, name: &'a str) -> impl Fn(Errno) -> Error + use<'_, 'a> {
        move |errno| Error::new(operation, self.path.join(name), errno)
    }

    fn open_file(&self, operation: &'static str, name: &str, flags: OFlags) -> Result<fs::File> {
        check_name(self, operation, name)?;
        // Without NONBLOCK, opening a FIFO would wait for its other end before it could be refused.
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = retry_on_intr(|| rustix::fs::openat(&self.directory, name, flags, FILE_MODE))
            .map_err(self.error(operation, name))?;
        let file = fs::File::from(file);
        let metadata = file.metadata().map_err(|error| Error::new(operation, self.path.join(name), error))?;
        if !metadata.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(Error::new(operation, self.path.join(name), error));
        }
        Ok(file)
    }

    fn file(&self, name: &str, file: fs::File) -> Arc<dyn File> {
        Arc::new(OsFile { file, path: self.path.join(name), written: OnceLock::new() })
    }
}

impl Vfs for OsVfs {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        self.open_file("open", name, flags).map(|file| self.file(name, file))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        self.open_file("create", name, flags).map(|file| self.file(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(self, "rename", from)?;
        check_name(self, "rename to", to)?;
        rustix::fs::renameat(&self.directory, from, &self.directory, to).map_err(self.error("rename", from))
    }

    fn link(&self, name: &str, to: &dyn Vfs, new_name: &str) -> Result<()> {
        let Some(to) = (to as &dyn Any).downcast_ref::<Self>() else {
            return Err(Error::new("link", self.path.join(name), io::ErrorKind::Unsupported));
        };
        check_name(self, "link", name)?;
        check_name(to, "link to", new_name)?;
        // Without `SYMLINK_FOLLOW`, so that no link is followed.
        rustix::fs::linkat(&self.directory, name, &to.directory, new_name, AtFlags::empty())
            .map_err(self.error("link", name))
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(self, "remove", name)?;
        rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()).map_err(self.error("remove", name))
    }

    fn list(&self) -> Result<Vec<String>> {
        let error = |errno: Errno| Error::new("list", &self.path, errno);
        let mut names = Vec::new();
        let directory = retry_on_intr(|| rustix::fs::Dir::read_from(&self.directory)).map_err(error)?;
        for entry in directory {
            if let Ok(name) = entry.map_err(error)?.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn sync_directory(&self) -> Result<()> {
        rustix::fs::fsync(&self.directory).map_err(|errno| Error::new("sync directory", &self.path, errno))
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        check_name(self, "open directory", name)?;
        let path = self.path.join(name);
        open_directory(&self.directory, OsStr::new(name), OFlags::NOFOLLOW)
            .and_then(|directory| Self::new(directory, &path, self.place.join(name)))
            .map(|vfs| Arc::new(vfs) as Arc<dyn Vfs>)
            .map_err(self.error("open directory", name))
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        check_name(self, "create directory", name)?;
        make_directory(&self.directory, OsStr::new(name)).map_err(self.error("create directory", name))?;
        self.open_directory(name)
    }

    fn try_lock(&self, name: &str, access: Access) -> Result<Option<Lock>> {
        let error = |error| Error::new("lock", self.path.join(name), error);
        // A lock needs no write permission, so that a store on a read-only medium can be opened and
        // read. In an overlay, opening for writing would also copy the file up: from then on this
        // process would not see what the owner writes to the file in the layer below.
        let file = match self.open_file("open", name, OFlags::RDONLY) {
            Err(absent) if absent.kind() == io::ErrorKind::NotFound && access == Access::ReadWrite => {
                self.open_file("open", name, OFlags::RDWR | OFlags::CREATE)?
            }
            opened => opened?,
        };
        match lock::try_exclusive(file) {
            // Network file systems grant an exclusive lock only on a file that is open for writing.
            Err(refused) if refused.raw_os_error() == Some(Errno::BADF.raw_os_error()) => {
                lock::try_exclusive(self.open_file("open", name, OFlags::RDWR)?).map_err(error)
            }
            locked => locked.map_err(error),
        }
    }

    fn lock_holder(&self, name: &str) -> Option<u32> {
        lock::holder(&self.open_file("open", name, OFlags::RDONLY).ok()?)
    }

    fn is_in_place(&self) -> bool {
        self.place.holds(&self.directory)
    }

    fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    fn request_overwriting_in_place(&self) {
        // If this fails, `is_overwritten_in_place` returns `false` for the files, except on an
        // overlay, where it always returns `true`.
        let _ = in_place::request(&self.directory);
    }

    fn space(&self) -> Result<Space> {
        let found = rustix::fs::fstatvfs(&self.directory)
            .map_err(|errno| Error::new("ask for the free space of", &self.path, errno))?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    fn random(&self) -> Result<u128> {
        let mut bytes = [0; 16];
        let mut filled = 0;
        while filled < bytes.len() {
            filled +=
                retry_on_intr(|| rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()))
                    .map_err(|errno| Error::new("get random bytes for", &self.path, errno))?;
        }
        Ok(u128::from_le_bytes(bytes))
    }
}

fn open_directory(at: impl AsFd, path: &OsStr, extra: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | extra;
    retry_on_intr(|| rustix::fs::openat(&at, path.as_bytes(), flags, Mode::empty()))
}

/// Creates a directory. Succeeds if the name exists already.
fn make_directory(at: impl AsFd, path: &OsStr) -> rustix::io::Result<()> {
    match rustix::fs::mkdirat(at, path.as_bytes(), DIRECTORY_MODE) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

fn check_name(vfs: &OsVfs, operation: &'static str, name: &str) -> Result<()> {
    let mut components = Path::new(name).components();
    let single =
        matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name);
    if single {
        return Ok(());
    }
    let error = io::Error::new(io::ErrorKind::InvalidInput, "a name must be a single path component");
    Err(Error::new(operation, vfs.path.join(name), error))
}

#[derive(Debug)]
struct OsFile {
    file: fs::File,
    path: PathBuf,
    /// The map for copies, from the first one on; `None` if it cannot be made.
    written: OnceLock<Option<WritableMap>>,
}

impl OsFile {
    fn error(&self, operation: &'static str) -> impl Fn(io::Error) -> Error + '_ {
        move |error| Error::new(operation, &self.path, error)
    }

    /// Whether it may be written through a map: no copy can fail for lack of space, and none
    /// changes more than the blocks that it writes.
    fn is_mappable(&self) -> bool {
        let pages_are_blocks = rustix::param::page_size() as u64 <= BLOCK_BYTES_MIN;
        pages_are_blocks && in_place::is_certain(&self.file).unwrap_or(false)
    }

    /// A map for copies; `None` if there can be none.
    fn map_for_writing(&self) -> Option<WritableMap> {
        if self.is_mappable() { WritableMap::new(&self.file).ok() } else { None }
    }
}

impl File for OsFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        retry_interrupted(|| self.file.read_at(buffer, offset)).map_err(self.error("read"))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        retry_interrupted(|| self.file.write_at(bytes, offset)).map_err(self.error("write to"))
    }

    fn sync_data(&self) -> Result<()> {
        if let Some(Some(written)) = self.written.get() {
            written.release();
        }
        // Not `fs::File::sync_data`: that repeats the call when a signal interrupts it, and a flush
        // must never be repeated.
        rustix::fs::fdatasync(&self.file).map_err(|errno| Error::new("sync", &self.path, errno))
    }

    fn drop_cache(&self) -> Result<()> {
        rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed)
            .map_err(|errno| Error::new("drop the cache of", &self.path, errno))
    }

    fn len(&self) -> Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(self.error("measure"))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(self.error("resize"))
    }

    fn identity(&self) -> Result<Option<FileId>> {
        let stat = rustix::fs::fstat(&self.file).and_then(|stat| Ok((stat, rustix::fs::fstatfs(&self.file)?)));
        let (stat, system) = stat.map_err(|errno| Error::new("identify", &self.path, errno))?;
        let is_layered = LAYERED.contains(&(system.f_type as u32));
        Ok(Some(FileId { device: stat.st_dev, inode: stat.st_ino, is_layered }))
    }

    fn is_overwritten_in_place(&self) -> bool {
        in_place::is_granted(&self.file).unwrap_or(false)
    }

    fn has_holes(&self) -> Result<bool> {
        const UNIT_BYTES: u64 = 512; // of `blocks`, whatever the file system's blocks are
        let metadata = self.file.metadata().map_err(self.error("measure"))?;
        Ok(metadata.blocks().saturating_mul(UNIT_BYTES) < metadata.len())
    }

    fn reserve(&self, offset: u64, len: u64) -> Result<()> {
        if !in_place::is_certain(&self.file).unwrap_or(false) {
            return self.write_zeroes(offset, len);
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, len) {
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => {
                Err(Error::new("reserve space for", &self.path, errno))
            }
            // Zeroes do as well if it is not supported or not permitted. If a signal interrupted
            // it, they make progress, while each repetition of the call would start again.
            Err(_) => self.write_zeroes(offset, len),
            Ok(()) => Ok(()),
        }
    }

    /// The kernel may keep what one call writes as one unit in memory (a folio), and a copy to a
    /// map marks the whole unit as changed. So a file that may be mapped is filled block by block.
    /// This takes longer (`cargo bench -p kv-bench -- "long records"`), and each copy to another
    /// block costs a page fault of its own.
    fn write_zeroes(&self, offset: u64, len: u64) -> Result<()> {
        let piece = if self.is_mappable() { BLOCK_BYTES_MIN as usize } else { ZEROES_BYTES };
        write_zeroes_in(self, piece, offset, len)
    }

    fn copy_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        if bytes.len() <= COPIED_BYTES_MAX
            && let Some(written) = self.written.get_or_init(|| self.map_for_writing())
            && written.copy(bytes, offset)
        {
            return Ok(());
        }
        self.write_all_at(bytes, offset)
    }

    fn map(&self) -> Result<Bytes> {
        map::read_only(&self.file).map_err(name_limit).map_err(self.error("map"))
    }
}

/// The operating system says "out of memory" when it has no address space for a map. The cause is a
/// limit, which can be raised: name the limits in the message.
fn name_limit(error: io::Error) -> io::Error {
    const LIMITS: &str = "there is no address space left for the map: raise the limit on address space (`ulimit -v`, \
        RLIMIT_AS) or on the number of maps (`sysctl vm.max_map_count`), and open the file again";
    let is_limited = error.raw_os_error() == Some(Errno::NOMEM.raw_os_error());
    if is_limited { io::Error::new(io::ErrorKind::OutOfMemory, LIMITS) } else { error }
}

fn retry_interrupted<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_interrupted_calls_are_repeated() {
        let mut outcomes = [Err(Errno::INTR), Err(Errno::INTR), Ok(7), Ok(8), Err(Errno::IO)]
            .into_iter()
            .map(|o| o.map_err(io::Error::from));
        let mut operation = || outcomes.next().unwrap();
        assert_eq!(retry_interrupted(&mut operation).unwrap(), 7);
        assert_eq!(retry_interrupted(&mut operation).unwrap(), 8);
        assert_eq!(retry_interrupted(&mut operation).unwrap_err().raw_os_error(), Some(Errno::IO.raw_os_error()));
    }
}
