//! Copying a store to a directory of its own, under a temporary name until it is whole.

use std::{io, path::PathBuf, sync::Arc};

use kv_core::{Error, LogId, Lsn, Result, Store};
use kv_snapshot::{CopiedCheckpoint, MmapCheckpointer, Sharing};
use kv_vfs::{Access, Vfs};
use kv_wal::SegmentedLog;

use super::{
    Copied,
    origin::{self, Origin},
};
use crate::{
    format,
    options::{CHECKPOINTS, LOCK, LOG},
    owner::Owner,
};

/// A file that marks a directory as one in which a copy is being made. It is there before anything
/// else, and goes once the copy is whole.
const COPYING: &str = "COPYING";
/// The names in a directory in which a copy is being made.
const OWN_NAMES: [&str; 7] = [LOCK, COPYING, LOG, CHECKPOINTS, origin::NAME, format::TEMPORARY, format::NAME];

/// Copies a store to a new directory, as a store of its own.
pub(super) fn copy(
    store: &Store,
    parent: &Arc<dyn Vfs>,
    temporary: &Temporary,
    name: &str,
    sharing: &Sharing,
) -> Result<Copied> {
    if parent.list()?.iter().any(|taken| taken == name) {
        return Err(taken(parent.path().join(name), "it exists already: name one that does not"));
    }
    let directory = parent.create_directory(&temporary.name)?;
    temporary.check(&*directory)?;
    let locked = directory.try_lock(LOCK, Access::ReadWrite)?;
    // Another process may have finished its copy in the meantime, and renamed the directory.
    let _lock = locked.filter(|_| directory.is_in_place()).ok_or_else(|| Error::locked(directory.path(), None))?;
    clear(&*directory)?;
    let named = |copied| parent.rename(&temporary.name, name).map(|()| copied).map_err(Error::from);
    let copied = fill(store, &*directory, sharing).and_then(named).inspect_err(|_| drop(clear(&*directory)))?;
    parent.sync_directory()?;
    Ok(Copied { path: parent.path().join(name), ..copied })
}

fn taken(path: PathBuf, detail: &str) -> Error {
    Error::from_io("copy the store to", path, io::Error::new(io::ErrorKind::AlreadyExists, detail))
}

/// The directory in which a copy is made.
pub(super) struct Temporary {
    pub(super) name: String,
    /// Whether nothing but a copy ever has this name.
    pub(super) is_reserved: bool,
}

impl Temporary {
    /// Refuses a directory that holds anything else than what an interrupted copy leaves.
    fn check(&self, directory: &dyn Vfs) -> Result<()> {
        let names = directory.list()?;
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        let is_own = |name: &String| OWN_NAMES.contains(&&**name);
        let is_begun = has(COPYING) || names.iter().all(|name| name == LOCK);
        let is_whole = has(format::NAME) && self.is_reserved;
        if (is_begun || is_whole) && names.iter().all(is_own) {
            return Ok(());
        }
        let detail = "copies are made there, and it holds something that is not the remains of an interrupted one: \
                      rename or remove it";
        Err(taken(directory.path().to_owned(), detail))
    }
}

/// Marks a directory as one in which a copy is being made, before there is anything of it.
fn mark(directory: &dyn Vfs) -> Result<()> {
    match directory.create(COPYING) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    directory.sync_directory().map_err(Error::from)
}

/// Makes an empty directory a copy of a store. Everything in it is durable then.
fn fill(store: &Store, directory: &dyn Vfs, sharing: &Sharing) -> Result<Copied> {
    let (log, checkpoints) = (directory.create_directory(LOG)?, directory.create_directory(CHECKPOINTS)?);
    let log_id = LogId(directory.random()?);
    let copied = copy_checkpoint(store, &checkpoints, log_id, sharing)?;
    let position = copied.map_or(Lsn::START, |copied| copied.id.lsn);
    // No epoch below that of the checkpoint, and the shortest segment.
    let epoch_min = copied.map_or_else(Default::default, |copied| copied.id.epoch);
    let options = kv_wal::Options { epoch_min, segment_bytes_min: 0, segment_bytes_max: 0, ..Default::default() };
    SegmentedLog::create_after(log, log_id, position, options)?;
    let origin = Origin { log_id: store.stats().log_id, position };
    origin.write(directory, log_id)?;
    format::write(directory, log_id)?; // makes every name in the directory durable
    directory.remove(COPYING)?;
    directory.sync_directory()?;
    Ok(Copied {
        path: directory.path().to_owned(),
        origin,
        linked_bytes: copied.map_or(0, |copied| copied.linked_bytes),
        copied_bytes: copied.map_or(0, |copied| copied.copied_bytes),
    })
}

/// Copies everything that was written to a store so far, as a checkpoint of the log `log_id`;
/// `None` if that is nothing.
fn copy_checkpoint(
    store: &Store,
    to: &Arc<dyn Vfs>,
    log_id: LogId,
    sharing: &Sharing,
) -> Result<Option<CopiedCheckpoint>> {
    let Some(owner) = store.owner::<Owner>() else {
        let id = store.copy_to(&MmapCheckpointer::open(Arc::clone(to))?, log_id)?;
        return id.map(|id| CopiedCheckpoint::whole(&**to, id)).transpose();
    };
    let durable = store.stats().log.durable;
    store.checkpoint()?;
    let copied = owner.checkpointer().copy_newest(to, log_id, sharing)?;
    // If the store was closed before the checkpoint began, it made none.
    let is_all = copied.map_or(Lsn::START, |copied| copied.id.lsn) >= durable;
    if is_all { Ok(copied) } else { Err(Error::Closed) }
}

/// Marks a directory as one in which a copy is being made, and removes what an interrupted one has
/// left. FORMAT goes first: without it this is no store. The file that is locked stays.
fn clear(directory: &dyn Vfs) -> Result<()> {
    mark(directory)?;
    let names = directory.list()?;
    if names.iter().any(|name| name == format::NAME) {
        directory.remove(format::NAME)?;
        directory.sync_directory()?;
    }
    for name in names.iter().filter(|name| ![format::NAME, LOCK, COPYING].contains(&&***name)) {
        match &**name {
            LOG | CHECKPOINTS => {
                let inner = directory.open_directory(name)?;
                inner.list()?.iter().try_for_each(|name| inner.remove(name))?;
            }
            _ => directory.remove(name)?,
        }
    }
    Ok(())
}
