//! Following a store that another process writes to.

use std::{path::Path, sync::Arc};

use kv_core::{FollowedLog, Follower, Result};
use kv_snapshot::{MmapCheckpointer, SnapshotOptions};
use kv_vfs::{OsVfs, Vfs};
use kv_wal::LogFollower;

use crate::{
    Options, format,
    options::{CHECKPOINTS, LOG, existing, expect_log, missing_log, no_format},
    untouched::Untouched,
};

/// Opens the store in a directory for reading, with the default [`Options`], while another process
/// may have it open and write to it. See [`Options::follow`].
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("data");
/// let store = kv_store::open(&path)?; // in another process, or in this one
/// store.collection("users")?.put("alice", "Alice Liddell")?;
///
/// let follower = kv_store::follow(&path)?;
/// assert_eq!(follower.get("users", "alice")?.unwrap(), "Alice Liddell");
/// store.collection("users")?.put("bob", "Bob")?;
/// follower.refresh()?; // up to everything that is durable now
/// assert_eq!(follower.len("users")?, 2);
/// # Ok::<(), kv_store::Error>(())
/// ```
///
/// # Errors
/// See [`Options::follow`].
pub fn follow(path: impl AsRef<Path>) -> Result<Follower> {
    Options::default().follow(path)
}

impl Options {
    /// Opens the store in a directory for reading, while another process may have it open and write
    /// to it. Takes no lock and changes nothing: it needs the right to read the directory and its
    /// files, and nothing more. The owner of the store does not know of it.
    ///
    /// The follower shows what is durable, as of its last [`refresh`](Follower::refresh): every
    /// write that was acknowledged with [`Durability::Disk`](crate::Durability), and a
    /// [`Durability::Process`](crate::Durability) write once it was flushed, within the owner's
    /// flush interval. It never shows what a crash could take back. So after a process was killed,
    /// it shows what that process has flushed; what else the log holds becomes visible when the
    /// next owner makes its first write, or syncs.
    ///
    /// Of the options, [`reader`](Options::reader) counts, and those that [`Follower::open`] names.
    ///
    /// # Errors
    /// - [`Error::Io`](crate::Error::Io), with [`NotFound`](std::io::ErrorKind::NotFound) if there
    ///   is no store.
    /// - [`Error::Corrupt`](crate::Error::Corrupt),
    ///   [`Error::Unrecoverable`](crate::Error::Unrecoverable): what is durable is damaged.
    /// - [`Error::NewerVersion`](crate::Error::NewerVersion): a newer version of kv wrote it.
    pub fn follow(&self, path: impl AsRef<Path>) -> Result<Follower> {
        self.follow_in(OsVfs::open(path)?)
    }

    /// Follows the store in a directory of any file system, for example a simulated one. Otherwise
    /// the same as [`follow`](Options::follow).
    ///
    /// # Errors
    /// The same as [`follow`](Options::follow).
    pub fn follow_in(&self, vfs: Arc<dyn Vfs>) -> Result<Follower> {
        let vfs = Untouched(vfs);
        let expected = match format::read(&vfs)? {
            Some(log_id) => log_id,
            None => {
                let absent = no_format(&vfs);
                // Its owner may have created it meanwhile. Then what was found before means
                // nothing.
                format::read(&vfs)?.map_or_else(|| Err(absent?), Ok)?
            }
        };
        let (log, checkpoints) = (existing(&vfs, LOG)?, existing(&vfs, CHECKPOINTS)?);
        let log = LogFollower::open(Arc::clone(&log)).map_err(|error| missing_log(&*log, error))?;
        expect_log(&vfs, expected, log.id())?;
        let options = SnapshotOptions { reader: self.reader, ..SnapshotOptions::default() };
        let checkpointer = MmapCheckpointer::open_with(checkpoints, options)?;
        Follower::open(Box::new(log), Arc::new(checkpointer), &self.store)
    }
}
