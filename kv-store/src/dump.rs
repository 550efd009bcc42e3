use std::{io::Write, path::Path};

use kv_core::Result;

use crate::options::{LOG, directory};

/// Writes the log of a store to `out` as text, for people: a line for each frame. Takes no lock,
/// changes nothing, and works also for a store that refuses to open, or that another process has
/// open. See [`kv_wal::dump`].
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("data");
/// kv_store::open(&path)?.collection("users")?.put("alice", "Alice Liddell")?;
/// let mut text = Vec::new();
/// kv_store::dump_log(&path, &mut text)?;
/// assert!(String::from_utf8_lossy(&text).contains("record   position 1"));
/// # Ok::<(), kv_store::Error>(())
/// ```
///
/// # Errors
/// [`Io`](kv_core::Error::Io): there is no log, it cannot be read, or `out` cannot be written.
/// [`NewerVersion`](kv_core::Error::NewerVersion): a newer version of kv wrote it. Damage is not an
/// error: the text reports it.
pub fn dump_log(path: impl AsRef<Path>, out: &mut dyn Write) -> Result<()> {
    let log = directory(path.as_ref(), false)?.open_directory(LOG)?;
    kv_wal::dump(&*log, out)
}
