use std::{
    io,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use kv_core::{Checkpointer, Durability, Epoch, Error, Log, LogId, Result, Store, StoreOptions};
use kv_snapshot::{MmapCheckpointer, Reader, SnapshotOptions};
use kv_vfs::{Access, Lock, OsVfs, Process, Vfs};
use kv_wal::SegmentedLog;

use crate::{
    format,
    owner::{Claim, Owner},
    record,
    sizes::{self, Sized},
};

/// The highest epoch that is accepted from a checkpoint. It is far below the log's own limit, so
/// that later epochs can still rise.
const EPOCH_MAX: u64 = 1 << 60;

pub(crate) const LOCK: &str = "LOCK";
pub(crate) const LOG: &str = "log";
pub(crate) const CHECKPOINTS: &str = "checkpoints";

/// How long an opening that waits for the lock sleeps before it asks again.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Names that an interrupted creation may leave, and `lost+found`, which file systems create.
const OWN_NAMES: [&str; 6] = [LOCK, format::NAME, format::TEMPORARY, LOG, CHECKPOINTS, "lost+found"];

/// How a store in a directory is opened.
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("data");
/// use kv_store::{Durability, Options};
///
/// let store = Options::default().durability(Durability::Process).open(path)?;
/// # Ok::<(), kv_store::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether to create the directory, and a store in it, if it does not exist. Default: yes.
    pub create: bool,
    /// How the store behaves. On a small disk [`open`](Options::open) lowers its thresholds, so
    /// that the log and the checkpoints fit: no threshold is above a sixteenth of the disk, unless
    /// it is `u64::MAX`, which turns it off.
    pub store: StoreOptions,
    /// How its log is kept. [`open`](Options::open) sets the epoch itself, and makes segments no
    /// longer than an eighth of [`StoreOptions::checkpoint_medium_bytes`].
    pub log: kv_wal::Options,
    /// How checkpoints are read. Default: in place, through maps.
    pub reader: Reader,
    /// How long opening waits if the store is open elsewhere. Default: not at all.
    pub lock_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            store: StoreOptions::default(),
            log: kv_wal::Options::default(),
            reader: Reader::Mapped,
            lock_wait: Duration::ZERO,
        }
    }
}

impl Options {
    /// Sets whether to create a store if it does not exist.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets the default durability: what an acknowledged write survives, unless the write sets its
    /// own.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.store.durability = durability;
        self
    }

    /// Sets how checkpoints are read. With [`Reader::Pread`] no file is mapped, nor is the log
    /// written through maps: a page that the disk cannot read is an error, and does not end the
    /// process.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// use kv_store::{Options, Reader};
    ///
    /// let options = Options::default().reader(Reader::Pread { cache_bytes: 256 << 20 });
    /// let store = options.open(directory.path().join("data"))?;
    /// assert_eq!(store.stats().read_cache.map(|cache| cache.limit), Some(256 << 20));
    /// # Ok::<(), kv_store::Error>(())
    /// ```
    #[must_use]
    pub fn reader(mut self, reader: Reader) -> Self {
        self.reader = reader;
        self
    }

    /// Sets how long opening waits if the store is open elsewhere: in another process, or through a
    /// handle of this one that is still alive. It asks again every 10 ms. When the time is over, it
    /// fails with [`Error::Locked`], which says what has the store open, and how long the opening
    /// has waited. Of several that wait, any may be the next.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("data");
    /// use std::{thread, time::Duration};
    /// use kv_store::Options;
    ///
    /// let store = kv_store::open(&path)?;
    /// let busy = thread::spawn(move || {
    ///     thread::sleep(Duration::from_millis(50));
    ///     drop(store); // the last handle
    /// });
    /// let store = Options::default().lock_wait(Duration::from_secs(10)).open(&path)?;
    /// # busy.join().unwrap();
    /// # Ok::<(), kv_store::Error>(())
    /// ```
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Opens the store in a directory, and recovers it. [`Store::recovery`] reports what the
    /// recovery found and did.
    ///
    /// ```
    /// # use std::io::ErrorKind;
    /// # let directory = tempfile::tempdir().unwrap();
    /// use kv_store::{Error, Options};
    ///
    /// match Options::default().create(false).open(directory.path()) {
    ///     Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => println!("there is no store yet"),
    ///     opened => println!("{}", opened?.recovery()),
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// A store is created only in a directory that is empty, except for `lost+found` or the remains
    /// of an interrupted creation. A directory that holds anything else is refused.
    ///
    /// The store belongs to the process that opens it. In a child made by `fork`, every write,
    /// sync, checkpoint and close fails with [`Error::Forked`], and dropping a handle does nothing.
    /// So open the store after forking. Reads in the child show what was published at the fork;
    /// they may wait for ever if another thread of the parent was in the middle of a call at that
    /// moment.
    ///
    /// # Errors
    /// - [`Error::Locked`]: the store is open already, in another process or this one. It counts as
    ///   open, even after `close`, until its last handle is dropped. With
    ///   [`lock_wait`](Options::lock_wait) it was open for that long.
    /// - [`Error::Io`], with [`NotFound`](io::ErrorKind::NotFound) if there is no store and none
    ///   should be created, and with [`DirectoryNotEmpty`](io::ErrorKind::DirectoryNotEmpty) if the
    ///   directory holds other things.
    /// - [`Error::Corrupt`], [`Error::Unrecoverable`]: the store is damaged. Nothing was changed.
    /// - [`Error::NewerVersion`]: a newer version of kv wrote it.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Store> {
        self.open_as(directory(path.as_ref(), self.create)?, Process::this())
    }

    /// Opens the store in a directory of any file system, for example a simulated one. Otherwise
    /// the same as [`open`](Options::open).
    ///
    /// ```
    /// use kv_store::Options;
    /// use kv_testkit::sim::SimDisk;
    ///
    /// let disk = SimDisk::new(1); // in memory, for tests: it crashes, fails, fills up and rots on demand
    /// let store = Options::default().open_in(disk.vfs())?;
    /// store.collection("users")?.put("alice", "Alice Liddell")?;
    /// # Ok::<(), kv_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`open`](Options::open).
    pub fn open_in(&self, vfs: Arc<dyn Vfs>) -> Result<Store> {
        self.open_as(vfs, None)
    }

    fn snapshot_options(&self, store: &StoreOptions) -> SnapshotOptions {
        SnapshotOptions {
            kept_bytes: store.kept_bytes(),
            kept_bytes_of_all: store.kept_bytes_when_merging(),
            reader: self.reader,
            ..SnapshotOptions::default()
        }
    }

    fn open_as(&self, vfs: Arc<dyn Vfs>, this: Option<Process>) -> Result<Store> {
        let claim = self.claim_in_time(&vfs, this)?;
        let directory = Directory::open(vfs, self.create, &claim).map_err(|error| claim.explain(error))?;
        self.open_claimed(claim, directory)
    }

    /// As [`claim`], again and again until the time to wait is over.
    fn claim_in_time(&self, vfs: &Arc<dyn Vfs>, this: Option<Process>) -> Result<Claim> {
        let begun = Instant::now();
        loop {
            match claim(vfs, self.create, this) {
                Err(Error::Locked { path, holder, .. }) if !self.lock_wait.is_zero() => {
                    let waited = begun.elapsed();
                    if waited >= self.lock_wait {
                        return Err(Error::Locked { path, holder, waited });
                    }
                    thread::sleep(LOCK_PAUSE.min(self.lock_wait - waited));
                }
                claimed => return claimed,
            }
        }
    }

    /// Opens the store in a directory that this process has claimed.
    pub(crate) fn open_claimed(&self, claim: Claim, directory: Directory) -> Result<Store> {
        let Sized { log, store: store_options } = sizes::sized(&*directory.vfs, &self.log, &self.store);
        // A reader without maps is chosen by those whose process must survive a page that the disk
        // cannot read.
        let log_options = kv_wal::Options { map_segments: log.map_segments && self.reader == Reader::Mapped, ..log };
        let (log, checkpointer) = directory
            .open_parts(&log_options, self.snapshot_options(&store_options))
            .map_err(|error| claim.explain(error))?;
        let Directory { vfs, log: log_directory, checkpoints, .. } = directory;
        let directories = [vfs, log_directory, checkpoints];
        let owner = Arc::new(Owner::new(claim, directories, Arc::clone(&log), Arc::clone(&checkpointer)));
        let options = StoreOptions { owner: Some(Arc::clone(&owner) as _), ..store_options };
        Store::with_backends(log, checkpointer, options).map_err(|error| owner.explain(error))
    }
}

/// The directory at this path.
pub(crate) fn directory(path: &Path, create: bool) -> Result<Arc<dyn Vfs>> {
    let opened = if create { OsVfs::create(path) } else { OsVfs::open(path) };
    opened.map(|vfs| vfs as _).map_err(Error::from)
}

/// Locks a store's directory. Before that, another process may be changing everything in it.
///
/// # Errors
/// [`Error::Locked`]. If nothing should be created and there is no store, an error that says so.
pub(crate) fn claim(vfs: &Arc<dyn Vfs>, create: bool, this: Option<Process>) -> Result<Claim> {
    let locked = if create { lock_or_create(&**vfs)? } else { lock_existing(&**vfs)? };
    let lock = locked.ok_or_else(|| Error::locked(vfs.path(), record::lock_holder(&**vfs)))?;
    Claim::new(Arc::clone(vfs), this, lock)
}

fn lock_or_create(vfs: &dyn Vfs) -> Result<Option<Lock>> {
    refuse_other_things(vfs)?;
    vfs.try_lock(LOCK, Access::ReadWrite).map_err(Error::from)
}

/// Locks the directory of an existing store. Creates no file if there is no store.
fn lock_existing(vfs: &dyn Vfs) -> Result<Option<Lock>> {
    let lock = || match vfs.try_lock(LOCK, Access::Read) {
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(None),
        locked => locked.map(Some).map_err(Error::from),
    };
    if let Some(locked) = lock()? {
        return Ok(locked);
    }
    if format::read(vfs)?.is_some() {
        return vfs.try_lock(LOCK, Access::ReadWrite).map_err(Error::from); // a copy without a lock file
    }
    let no_store = no_format(vfs);
    // If another process has locked the directory meanwhile, that process is creating a store. What
    // was read here before then means nothing.
    lock()?.map_or_else(|| Err(no_store?), Ok)
}

/// Refuses a directory that is not a store and holds anything except the remains of an interrupted
/// creation.
fn refuse_other_things(vfs: &dyn Vfs) -> Result<()> {
    if format::read(vfs)?.is_some() {
        return Ok(());
    }
    let names = vfs.list()?;
    let Some(other) = names.into_iter().filter(|name| !OWN_NAMES.contains(&&**name)).min() else { return Ok(()) };
    let detail = format!("it already contains {other:?}: use a directory that is absent or empty");
    let source = io::Error::new(io::ErrorKind::DirectoryNotEmpty, detail);
    Err(Error::from_io("create a store in", vfs.path(), source))
}

/// The directory of a store, which is locked.
pub(crate) struct Directory {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) log: Arc<dyn Vfs>,
    pub(crate) checkpoints: Arc<dyn Vfs>,
    /// The log that FORMAT names; `None` while the store is being created.
    pub(crate) log_id: Option<LogId>,
}

impl Directory {
    pub(crate) fn open(vfs: Arc<dyn Vfs>, create: bool, claim: &Claim) -> Result<Self> {
        let log_id = format::read(&*vfs)?;
        if log_id.is_none() && !create {
            return Err(no_format(&*vfs)?);
        }
        if log_id.is_some() {
            // The creation may have been interrupted before its last step. Nothing may be
            // acknowledged while FORMAT's name can still be lost.
            vfs.sync_directory()?;
        }
        let (log, checkpoints) = match log_id {
            Some(_) => (existing(&*vfs, LOG)?, existing(&*vfs, CHECKPOINTS)?),
            None => {
                let layout = create_layout(&*vfs)?;
                claim.confirm()?; // creating a store is its first write
                layout
            }
        };
        Ok(Self { vfs, log, checkpoints, log_id })
    }

    /// Opens the log and the checkpoints, and finishes the creation of a new store.
    pub(crate) fn open_parts(
        &self,
        options: &kv_wal::Options,
        snapshot_options: SnapshotOptions,
    ) -> Result<(Arc<SegmentedLog>, Arc<MmapCheckpointer>)> {
        let checkpointer = self.open_checkpointer(snapshot_options)?;
        let log = self.open_log(&*checkpointer, options)?;
        if self.log_id.is_none() {
            // The log may come from a creation that was killed before it made the names in it
            // durable. FORMAT must not become durable before them.
            self.log.sync_directory()?;
            format::write(&*self.vfs, log.id())?;
        }
        Ok((log, checkpointer))
    }

    pub(crate) fn open_checkpointer(&self, options: SnapshotOptions) -> Result<Arc<MmapCheckpointer>> {
        MmapCheckpointer::open_with(Arc::clone(&self.checkpoints), options).map(Arc::new)
    }

    /// Opens the log, in an epoch above that of every checkpoint.
    fn open_log(&self, checkpointer: &dyn Checkpointer, options: &kv_wal::Options) -> Result<Arc<SegmentedLog>> {
        let newest = checkpointer.list()?.into_iter().map(|id| id.epoch.0).max();
        let above_newest = newest.map_or(Some(0), |epoch| epoch.checked_add(1));
        let above_newest = above_newest.filter(|epoch| *epoch <= EPOCH_MAX).ok_or_else(|| {
            Error::corrupt_whole(self.checkpoints.path(), "the name of a checkpoint has an epoch that is too high")
        })?;
        let epoch_min = options.epoch_min.max(Epoch(above_newest));
        let create = self.log_id.is_none();
        let options = kv_wal::Options { epoch_min, create, ..options.clone() };
        let log = SegmentedLog::open(Arc::clone(&self.log), options).map_err(|error| missing_log(&*self.log, error))?;
        if let Some(expected) = self.log_id {
            expect_log(&*self.vfs, expected, log.id())?;
        }
        Ok(Arc::new(log))
    }
}

/// A store that has a FORMAT file must have a log.
pub(crate) fn missing_log(log: &dyn Vfs, error: Error) -> Error {
    match error {
        Error::Io { ref source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Error::corrupt_whole(log.path(), "the log is missing")
        }
        other => other,
    }
}

/// Fails if the log that was found is not the one that the FORMAT file of `vfs` names.
pub(crate) fn expect_log(vfs: &dyn Vfs, expected: LogId, found: LogId) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let detail = format!("it names the log {expected}, but the log in this directory is {found}");
    Err(Error::corrupt_whole(vfs.path().join(format::NAME), detail))
}

/// Opens a subdirectory that every store has.
pub(crate) fn existing(vfs: &dyn Vfs, name: &str) -> Result<Arc<dyn Vfs>> {
    vfs.open_directory(name).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::corrupt_whole(error.path, "the directory is missing"),
        _ => error.into(),
    })
}

/// Creates the subdirectories of a new store. The remains of an interrupted creation hold nothing;
/// anything more belongs to a store whose FORMAT file is lost.
fn create_layout(vfs: &dyn Vfs) -> Result<(Arc<dyn Vfs>, Arc<dyn Vfs>)> {
    let log = vfs.create_directory(LOG)?;
    let checkpoints = vfs.create_directory(CHECKPOINTS)?;
    if !is_blank(&log, &checkpoints)? {
        return Err(lost_format(vfs));
    }
    vfs.sync_directory()?;
    Ok((log, checkpoints))
}

/// Whether nothing was ever written to the log or the checkpoints.
fn is_blank(log: &Arc<dyn Vfs>, checkpoints: &Arc<dyn Vfs>) -> Result<bool> {
    let no_checkpoints = MmapCheckpointer::open(Arc::clone(checkpoints))?.list()?.is_empty();
    Ok(no_checkpoints && kv_wal::is_blank(&**log)?)
}

fn lost_format(vfs: &dyn Vfs) -> Error {
    let detail = "the file is missing, but the directory has a log and checkpoints of a store";
    Error::corrupt_whole(vfs.path().join(format::NAME), detail)
}

/// The error for a directory that has no FORMAT file, if no store should be created: either there
/// is no store, or the store has lost that file.
pub(crate) fn no_format(vfs: &dyn Vfs) -> Result<Error> {
    if let (Ok(log), Ok(checkpoints)) = (vfs.open_directory(LOG), vfs.open_directory(CHECKPOINTS))
        && !is_blank(&log, &checkpoints)?
    {
        return Ok(lost_format(vfs));
    }
    let absent = io::Error::new(io::ErrorKind::NotFound, "there is no store in this directory");
    Ok(Error::from_io("open", vfs.path().join(format::NAME), absent))
}
