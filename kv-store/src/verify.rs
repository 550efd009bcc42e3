use std::path::Path;

use kv_core::{Error, Result};
use kv_vfs::Access;

use crate::{Options, file_error, options::Directory};

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
/// # Errors
/// [`Locked`](Error::Locked), [`Io`](Error::Io), [`NewerVersion`](Error::NewerVersion): it could not be verified. Damage is
/// no error but the result.
pub fn verify(path: impl AsRef<Path>) -> Result<Verification> {
    let path = path.as_ref();
    let mut verification = Verification { damage: Vec::new(), checkpoints: 0, files: 0, bytes: 0 };
    let checked = Directory::lock(path, false).and_then(|directory| check_files(&directory, &mut verification));
    verification.note(checked)?;
    if verification.damage.is_empty() {
        // Files that are sound each by itself may still not make a store.
        let opened = Options::default().create(false).open(path);
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
