//! Backups: copies of a store that are made while it is used, and stores that are made from them.
//!
//! A copy is a store of its own. It has one checkpoint, whose parts are hard links to those of the
//! original or of an earlier backup where that is possible, and a log with an identity of its own,
//! which begins after the checkpoint and holds no records. So nothing of the original's log is
//! copied, and what is written to a copy is never taken for what was written to the original.
//!
//! A copy is made under a temporary name, made durable as a whole, and renamed.

mod copying;
pub(crate) mod origin;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use kv_core::{Error, Result, Store};
use kv_snapshot::{Reader, Sharing};
use kv_vfs::{Access, Lock, OsVfs, Vfs};

pub use origin::Origin;

use self::copying::{Temporary, copy};
use crate::{
    Options, format,
    options::{CHECKPOINTS, LOCK},
};

/// What the names of backups begin with, before their numbers.
const PREFIX: &str = "backup-";
/// How many digits a number has, so that names sort by age.
const DIGITS: usize = 10;
/// The name of a copy that is being made, or was interrupted, is this after the name that it is to
/// get.
const TEMPORARY: &str = ".tmp";
/// A backup that is being made.
const NEW_BACKUP: &str = "backup.tmp";
/// The cache for a store that is only opened to be copied.
const CACHE_BYTES: u64 = 8 << 20;

/// A backup in a directory of backups.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Its directory.
    pub path: PathBuf,
    /// Its number, which is above those of the backups that were there when it was made.
    pub number: u64,
    /// What it was made from; `None` if the file that says so is damaged.
    pub origin: Option<Origin>,
}

/// What [`backup_to`] or [`restore`] has made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The directory of the copy.
    pub path: PathBuf,
    /// What it was made from.
    pub origin: Origin,
    /// The bytes of the files that it shares with the original or with an earlier backup.
    pub linked_bytes: u64,
    /// The bytes of the files that were copied.
    pub copied_bytes: u64,
}

/// Makes a backup of a store, which may be written to meanwhile, in a directory of backups. The
/// directory is created if it is missing.
///
/// The backup holds everything that was written when this was called, and perhaps some of what was
/// written since: the state at one position. It is a store of its own, in a directory named
/// `backup-` and a number, with which everything can be done that can be done with a store.
/// [`verify`](crate::verify) checks it, and [`restore`] makes a new store from it.
///
/// A checkpoint is made first. Its files are then shared with the backup through hard links where
/// the file system can do that, with the store itself or with the newest backup in the directory,
/// and copied otherwise. So a backup takes what has changed since the one before it, and any of
/// them can be removed (`rm -r`) without harm to the others. Files that the newest backup does not
/// have are read from the disk and verified. **What is shared is on the disk once**: to be safe
/// from the failure of a disk, make the backups on another one.
///
/// A store over other backends, for example [in memory](Store::in_memory), can be backed up as
/// well. Then everything is read and written each time.
///
/// A backup that is interrupted leaves a directory named `backup.tmp`, which is never taken for a
/// backup, and which the next one replaces. One that fails leaves that directory without data.
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path();
/// let store = kv_store::open(path.join("data"))?;
/// let users = store.collection("users")?;
/// users.put("alice", "Alice Liddell")?;
/// let backup = kv_store::backup_to(&store, path.join("backups"))?;
/// users.delete("alice")?; // by mistake
///
/// kv_store::restore(&backup.path, path.join("restored"))?;
/// let restored = kv_store::open(path.join("restored"))?;
/// assert_eq!(restored.collection("users")?.get("alice")?.unwrap(), "Alice Liddell");
/// # Ok::<(), kv_store::Error>(())
/// ```
///
/// # Errors
/// As [`Store::checkpoint`]. [`Error::Corrupt`] if a file of the store is damaged;
/// [`Error::Locked`] if another process makes a backup in the same directory; [`Error::DiskFull`],
/// [`Error::Io`]. No backup was made then, unless the last sync of the directory failed.
/// [`Error::Misuse`] if the directory is itself that of a store.
pub fn backup_to(store: &Store, directory: impl AsRef<Path>) -> Result<Copied> {
    let directory: Arc<dyn Vfs> = OsVfs::create(directory)?;
    backup_to_in(store, &directory)
}

/// Makes a backup in a directory of any file system, for example a simulated one. Otherwise the
/// same as [`backup_to`].
///
/// # Errors
/// As [`backup_to`].
pub fn backup_to_in(store: &Store, directory: &Arc<dyn Vfs>) -> Result<Copied> {
    let _lock = lock(&**directory)?;
    let newest = directory.list()?.iter().filter_map(|name| number_of(name)).max();
    // If there is none, or it is damaged, more is copied.
    let earlier =
        newest.and_then(|newest| directory.open_directory(&name(newest)).ok()?.open_directory(CHECKPOINTS).ok());
    let temporary = Temporary { name: NEW_BACKUP.to_owned(), is_reserved: true };
    copy(store, directory, &temporary, &name(newest.map_or(1, |newest| newest + 1)), &Sharing::Links { earlier })
}

/// The backups in a directory, the newest first. What is not a backup is left out.
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path();
/// let store = kv_store::open(path.join("data"))?;
/// for _ in 0..3 {
///     kv_store::backup_to(&store, path.join("backups"))?;
/// }
/// let backups = kv_store::backups(path.join("backups"))?;
/// assert_eq!(backups.iter().map(|backup| backup.number).collect::<Vec<_>>(), [3, 2, 1]);
/// # Ok::<(), kv_store::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] if a directory cannot be read. Damage is not an error.
pub fn backups(directory: impl AsRef<Path>) -> Result<Vec<Backup>> {
    let directory: Arc<dyn Vfs> = OsVfs::open(directory)?;
    backups_in(&directory)
}

/// The backups in a directory of any file system. Otherwise the same as [`backups`].
///
/// # Errors
/// As [`backups`].
pub fn backups_in(directory: &Arc<dyn Vfs>) -> Result<Vec<Backup>> {
    let mut backups = Vec::new();
    for number in directory.list()?.iter().filter_map(|name| number_of(name)) {
        let backup = match directory.open_directory(&name(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => continue,
            opened => opened?,
        };
        let origin = match Origin::read(&*backup) {
            Ok(None) => continue,
            Err(error @ Error::Io { .. }) => return Err(error),
            read => read.ok().flatten().map(|(origin, _)| origin),
        };
        backups.push(Backup { path: backup.path().to_owned(), number, origin });
    }
    backups.sort_unstable_by_key(|backup| std::cmp::Reverse(backup.number));
    Ok(backups)
}

/// Makes a new store from a backup, or from any store that is not open. `to` must not exist.
///
/// Everything is copied, and verified while it is. The new store has an identity of its own, like
/// each copy, and shares no file with the backup. The backup is opened to read it: if it was
/// written to since it was made, a checkpoint is made in it, too.
///
/// Until it is whole, the new store is in a directory named as `to` with `.tmp` added. What an
/// interrupted restoring has left there is replaced by the next one; if that directory holds
/// anything else, or a store that is whole, nothing is restored.
///
/// # Errors
/// As [`Options::open`] for the backup. [`Error::Corrupt`] if a part of it is damaged.
/// [`Error::Io`] with [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `to` exists, or the
/// directory beside it holds something else; [`Error::DiskFull`].
pub fn restore(backup: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Copied> {
    let to = to.as_ref();
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "name a directory that does not exist yet");
    let name = to.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::from_io("restore to", to, invalid()))?;
    let parent = to.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let store = to_be_copied().open(backup)?;
    let parent: Arc<dyn Vfs> = OsVfs::create(parent)?;
    restore_from(&store, &parent, name)
}

/// Makes a new store from a backup in a directory of any file system: as the subdirectory `name` of
/// `parent`. Otherwise the same as [`restore`].
///
/// # Errors
/// As [`restore`].
pub fn restore_in(backup: Arc<dyn Vfs>, parent: &Arc<dyn Vfs>, name: &str) -> Result<Copied> {
    restore_from(&to_be_copied().open_in(backup)?, parent, name)
}

/// How a backup is opened. It is read without maps, so that a page that the disk cannot read is an
/// error.
fn to_be_copied() -> Options {
    Options::default().create(false).reader(Reader::Pread { cache_bytes: CACHE_BYTES })
}

fn restore_from(store: &Store, parent: &Arc<dyn Vfs>, name: &str) -> Result<Copied> {
    let temporary = Temporary { name: format!("{name}{TEMPORARY}"), is_reserved: false };
    copy(store, parent, &temporary, name, &Sharing::Nothing)
}

/// What the store in a directory was copied from; `None` if it is no copy.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] if the file that says so is damaged.
pub fn origin(path: impl AsRef<Path>) -> Result<Option<Origin>> {
    Ok(Origin::read(&*OsVfs::open(path)?)?.map(|(origin, _)| origin))
}

/// Locks a directory of backups, so that one is made at a time.
fn lock(directory: &dyn Vfs) -> Result<Lock> {
    if format::read(directory)?.is_some() {
        let what = format!("{} is the directory of a store: make backups in another one", directory.path().display());
        return Err(Error::Misuse(what.into()));
    }
    let locked = directory.try_lock(LOCK, Access::ReadWrite)?;
    locked.ok_or_else(|| Error::locked(directory.path(), directory.lock_holder(LOCK)))
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:0DIGITS$}")
}

/// The number of the backup with that name; `None` if it is no backup's.
fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX)?.parse().ok()?;
    (self::name(number) == name).then_some(number)
}
