use std::{path::Path, sync::Arc};

use kv_core::{Error, Result};
use kv_vfs::{Access, Vfs};

use crate::{
    Options, file_error,
    options::{Directory, directory},
};

/// What [`verify`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verification {
    /// Every damage, in the order in which it was met. Empty: everything is sound.
    pub damage: Vec<Error>,
    /// How many checkpoints were read.
    pub checkpoints: u64,
    /// How many files there are.
    pub files: u64,
    /// How many bytes those have.
    pub bytes: u64,
}

/// Reads everything in a store's directory and checks every byte of it. Also a store that refuses to open can be verified. The store
/// must not be open elsewhere.
///
/// It changes nothing, but for one thing: if everything is sound, the note of an earlier damage, which keeps checkpoints and trimming off, is
/// removed.
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("data");
/// kv_store::open(&path)?.collection("users")?.put("alice", "Alice Liddell")?;
/// let verification = kv_store::verify(&path)?;
/// for damage in &verification.damage {
///     println!("{}", damage.chain());
/// }
/// assert!(verification.damage.is_empty() && verification.files > 0);
/// # Ok::<(), kv_store::Error>(())
/// ```
///
/// # Errors
/// [`Locked`](Error::Locked), [`Io`](Error::Io), [`NewerVersion`](Error::NewerVersion): it could not be verified. Damage is
/// no error but the result.
pub fn verify(path: impl AsRef<Path>) -> Result<Verification> {
    verify_in(directory(path.as_ref(), false)?)
}

/// Verifies the store in a directory of any file system: a simulated one, say. Otherwise as [`verify`].
///
/// # Errors
/// As [`verify`].
pub fn verify_in(vfs: Arc<dyn Vfs>) -> Result<Verification> {
    let mut verification = Verification { damage: Vec::new(), checkpoints: 0, files: 0, bytes: 0 };
    let checked =
        Directory::lock(Arc::clone(&vfs), false).and_then(|directory| check_files(&directory, &mut verification));
    verification.note(checked)?;
    if verification.damage.is_empty() {
        // Files that are sound each by itself may still not make a store.
        let opened = Options::default().create(false).open_in(vfs);
        verification.note(opened.map(|_| ()))?;
    }
    Ok(verification)
}

fn check_files(directory: &Directory, verification: &mut Verification) -> Result<()> {
    let checkpoints = directory.open_checkpointer()?.verify()?;
    verification.checkpoints = checkpoints.checkpoints as u64;
    for vfs in [&directory.log, &directory.checkpoints] {
        for name in vfs.list().map_err(file_error)? {
            let file = vfs.open(&name, Access::Read).map_err(file_error)?;
            verification.files += 1;
            verification.bytes += file.len().map_err(file_error)?;
        }
    }
    for finding in checkpoints.findings.into_iter().chain(kv_wal::verify(&*directory.log)?) {
        verification.note(Err(finding))?;
    }
    Ok(())
}

impl Verification {
    /// Takes damage down; any other error is one.
    fn note(&mut self, result: Result<()>) -> Result<()> {
        match result {
            Err(error @ (Error::Corrupt { .. } | Error::Unrecoverable(_))) => self.damage.push(error),
            other => return other,
        }
        Ok(())
    }
}
