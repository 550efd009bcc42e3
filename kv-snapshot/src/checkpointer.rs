mod copying;
mod directory;
mod maintenance;
mod numbers;
mod opening;
mod writing;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use kv_core::{Changes, Checkpoint, CheckpointId, Checkpointer, Effort, Error, ReadCacheStats, Result};
use kv_vfs::{Lock, Origin, Vfs};

pub use self::copying::{CopiedCheckpoint, Sharing};
use self::{directory::Directory, maintenance::Refused, numbers::Numbers, opening::IfDamaged};
use crate::{
    damage::Damage,
    format::names,
    inventory::Inventory,
    read::{cache::BlockCache, open_part::OpenParts},
    verify::{self, VerifyReport},
    write::pace::ChangeRate,
};

/// Keeps checkpoints as files in a directory of their own, and reads them in place through maps, or
/// without maps if its [options](SnapshotOptions::reader) say so.
///
/// A checkpoint is a stack of *parts*, which hold entries, and a *manifest*, which names the parts
/// and states the checkpoint's log and position. No file changes once it has its name. A new
/// checkpoint has one new part, with what has changed since the previous one, on top of the parts
/// of that. So its cost follows the change. It is published in these steps, each only after the one
/// before it succeeded:
///
/// 1. The part is written under a temporary name, synced, read back from the disk and verified, and
///    renamed.
/// 2. The directory is synced.
/// 3. The same is done with the manifest: written, synced, read back, renamed.
/// 4. The directory is synced. From here on the checkpoint survives a power cut.
/// 5. The manifests that are newer than the previous checkpoint are renamed to `….manifest.bad`,
///    because the caller found them to be bad. The directory is synced.
///
/// A crash before step 4 leaves either the complete checkpoint, if the name of its manifest happens
/// to survive, or files that no manifest names, which the next write removes. A crash between steps
/// 4 and 5 leaves the new checkpoint as the newest, with the bad ones listed below it. The new one
/// names the checkpoint that it was made from, so the next write knows the bad ones and sets them
/// aside. (In the other order there would be a moment in which no name tells how far the log must
/// reach.) If a step fails, the steps before it are undone as far as possible.
///
/// [`maintain`](Checkpointer::maintain) merges parts that lie next to each other, in the same
/// steps. A write and a merge go on side by side. They meet in steps 3 to 5 only, under a lock:
/// each edits the newest manifest there is then. The write puts its part on top, and the merge
/// replaces the parts that it has read, wherever they lie in the stack.
///
/// Opening writes nothing. The first call that changes the directory takes a lock on it, for as
/// long as this value lives.
///
/// It belongs to the process that opened it. In a child made by `fork`, writing, merging and
/// removing fail with [`Error::Forked`], and reading leaves no flag. Once the directory has been
/// removed or replaced, they fail with [`Error::DirectoryReplaced`].
///
/// Damaged bytes are an error. A read that meets damage leaves a flag beside the part, a file
/// `….part.damaged`. A page of a mapped file that the disk cannot read, however, ends the process
/// with SIGBUS, and so does another process that truncates the file. With [`Reader::Pread`] the
/// first is [`Error::Io`] and leaves a flag, and the second is damage. When a checkpoint is opened,
/// what the disk cannot read is [`Error::Corrupt`], so that the caller tries an older one.
#[derive(Debug)]
pub struct MmapCheckpointer {
    vfs: Arc<dyn Vfs>,
    options: SnapshotOptions,
    damage: Arc<Damage>,
    parts: OpenParts,
    numbers: Numbers,
    change_rate: ChangeRate,
    /// The process that opened this.
    origin: Origin,
    /// Taken before the first change of the directory.
    lock: OnceLock<Lock>,
    /// Held by the writing thread for the whole write, so that there is one write at a time.
    writer: Mutex<()>,
    /// Held by the merging thread for the whole merge.
    merger: Mutex<()>,
    /// The last merge that found no room.
    refused: Mutex<Option<Refused>>,
    /// Held while a write or a merge begins and while it publishes, and for a whole removal. Not
    /// held while a part is written, which may take long: its number is in work, so that nothing
    /// removes it. Taken after `writer` and `merger`.
    directory: Mutex<Directory>,
}

/// How checkpoints are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// Parts of fewer bytes wait to be merged: they are class 0. Each further class reaches to four
    /// times the size of the one before it, and when four parts of a class have come together, they
    /// are merged. The default is 64 MiB.
    pub class_bytes: u64,
    /// The bytes that a merge may write in a second, at least. It may also write four times as fast
    /// as checkpoints have written recently, and [`Effort::Full`] has no limit. The default is 64
    /// MiB.
    pub merge_bytes_per_second: u64,
    /// A merge leaves this many bytes of the disk free, whatever it writes. The owner of the log
    /// needs them for the next checkpoint. The default is 0.
    pub kept_bytes: u64,
    /// A merge of everything leaves this many bytes of the disk free instead, because it may be
    /// what frees the disk, and at most half of what is free when it begins. The default is 0.
    pub kept_bytes_of_all: u64,
    /// How parts are read. The default is through maps.
    pub reader: Reader,
}

/// How the parts of checkpoints are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// In place, through maps of their files. A page that the disk cannot read ends the process.
    #[default]
    Mapped,
    /// With `pread`, through a cache. No part is ever mapped, so a page that the disk cannot read
    /// is an error. Reads are slower.
    Pread {
        /// How many bytes the cache takes at most, for all parts together. What a cursor has read
        /// ahead, at most 128 KiB for each part and end or one entry, comes on top, and so does
        /// what handles to values keep.
        cache_bytes: u64,
    },
}

impl Reader {
    /// The cache to read through; `None` if parts are mapped.
    fn cache(self) -> Option<Arc<BlockCache>> {
        match self {
            Self::Mapped => None,
            Self::Pread { cache_bytes } => Some(Arc::new(BlockCache::new(cache_bytes))),
        }
    }
}

/// The bytes of the cache that a verification reads through if parts are not mapped. It is apart
/// from the cache for reads, and so leaves that as it is.
const VERIFY_CACHE_BYTES: u64 = 8 << 20;

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            class_bytes: 64 << 20,
            merge_bytes_per_second: 64 << 20,
            kept_bytes: 0,
            kept_bytes_of_all: 0,
            reader: Reader::Mapped,
        }
    }
}

impl MmapCheckpointer {
    /// Opens the checkpoints in a directory, which may be empty.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read.
    pub fn open(vfs: Arc<dyn Vfs>) -> Result<Self> {
        Self::open_with(vfs, SnapshotOptions::default())
    }

    /// Like [`open`](MmapCheckpointer::open), with options.
    ///
    /// # Errors
    /// As [`open`](MmapCheckpointer::open).
    pub fn open_with(vfs: Arc<dyn Vfs>, options: SnapshotOptions) -> Result<Self> {
        let inventory = Inventory::read(&*vfs)?;
        let damage = Arc::new(Damage::new(vfs.clone()));
        damage.learn(&inventory);
        Ok(Self {
            options,
            parts: OpenParts::new(vfs.clone(), damage.clone(), options.reader.cache()),
            vfs,
            damage,
            numbers: Numbers::default(),
            change_rate: ChangeRate::new(),
            origin: Origin::here(),
            lock: OnceLock::new(),
            writer: Mutex::default(),
            merger: Mutex::default(),
            refused: Mutex::default(),
            directory: Mutex::default(),
        })
    }

    /// Fails if this process is a child, made by `fork`, of the process that opened this.
    ///
    /// It takes no lock, and is called before any lock is taken: another thread of the parent may
    /// have held a lock at the fork, and nothing would ever release it in the child. The first call
    /// in a child also closes the child's inherited handle on the directory's lock.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn check_owner(&self) -> Result<()> {
        let is_ours = self.lock.get().map_or_else(|| self.origin.is_here(), Lock::is_ours);
        if is_ours { Ok(()) } else { Err(Error::Forked) }
    }

    /// Reads and verifies every listed checkpoint, from the disk: its manifest, every block of its
    /// parts, and whether entries, order and index agree. If nothing is wrong, the flags of damage
    /// are removed, and removing works again (C9). [`verify`](crate::verify()) does the same
    /// verification and changes nothing.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read or a flag cannot be removed; [`Error::Locked`]
    /// if there are flags and another process writes. Damage is not an error: it is in the report.
    pub fn verify(&self) -> Result<VerifyReport> {
        let cache = self.parts.cache().map(|_| Arc::new(BlockCache::new(VERIFY_CACHE_BYTES)));
        let report = verify::verify_through(&*self.vfs, cache.as_ref())?;
        if report.is_clean() && (report.damage_noted || self.damage.has_flags()) {
            let _directory = self.lock_directory()?;
            self.damage.clear(&Inventory::read(&*self.vfs)?)?;
        }
        Ok(report)
    }
}

impl Checkpointer for MmapCheckpointer {
    fn list(&self) -> Result<Vec<CheckpointId>> {
        Ok(Inventory::read(&*self.vfs)?.manifests)
    }

    fn open(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        Ok(self.open_checkpoint(id, IfDamaged::Refuse)?)
    }

    fn open_damaged(&self, id: CheckpointId) -> Result<Arc<dyn Checkpoint>> {
        Ok(self.open_checkpoint(id, IfDamaged::Open)?)
    }

    fn damage(&self) -> Option<Arc<Error>> {
        self.open_damage().map(Arc::new)
    }

    fn read_cache(&self) -> Option<ReadCacheStats> {
        self.parts.cache().map(BlockCache::stats)
    }

    fn removed_bytes(&self) -> u64 {
        self.parts.removed_bytes()
    }

    fn write(&self, previous: Option<CheckpointId>, changes: &mut dyn Changes) -> Result<Arc<dyn Checkpoint>> {
        Ok(self.write_changes(previous, changes)?)
    }

    fn maintain(&self, effort: Effort, cancelled: &dyn Fn() -> bool) -> Result<Option<Arc<dyn Checkpoint>>> {
        Ok(self.merge_parts(effort, cancelled)?.map(|checkpoint| checkpoint as Arc<dyn Checkpoint>))
    }

    fn verify(&self, id: CheckpointId, cancelled: &dyn Fn() -> bool) -> Result<()> {
        self.check_owner()?;
        self.verify_whole(id, cancelled)
    }

    fn remove(&self, id: CheckpointId) -> Result<()> {
        let mut directory = self.lock_directory()?;
        self.take_inventory()?;
        if let Some(damage) = self.open_damage() {
            return Err(damage);
        }
        directory.make_names_durable(&*self.vfs)?;
        match self.vfs.remove(&names::manifest(id)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        }
        // Before its parts are removed: a manifest that a power cut brings back must find them.
        self.vfs.sync_directory()?;
        self.clean(&self.take_inventory()?)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic leaves nothing half changed in memory: each state is replaced in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
