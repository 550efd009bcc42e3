mod deep;

use std::{path::Path, sync::Arc};

use kv_core::{Error, Result};
use kv_snapshot::SnapshotOptions;
use kv_vfs::{Access, Process, Vfs};

pub use deep::{DeepVerification, verify_deep, verify_deep_in};

use crate::{
    Options,
    backup::origin::{self, Origin},
    options::{Directory, claim, directory},
    untouched::Untouched,
};

/// The result of [`verify`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Verification {
    /// All damage, in the order in which it was found. Empty if everything is sound.
    pub damage: Vec<Error>,
    /// Whether an earlier read met damage and left a note of it. The note stops trimming and the
    /// removal of checkpoints, until the next opening has examined the damage or [`clear_damage`]
    /// finds everything sound.
    pub damage_noted: bool,
    /// How many checkpoints were read.
    pub checkpoints: u64,
    /// How many files there are.
    pub files: u64,
    /// How many bytes the files have.
    pub bytes: u64,
    /// What [`verify_deep`] has compared; `None` after [`verify`], or if there was damage before.
    pub deep: Option<DeepVerification>,
}

/// Reads every file in a store's directory and checks every byte. Damage that looks like the
/// remains of a crash is not reported: damage to the log's acknowledgement mark, to a tail of the
/// log that was never flushed, to the seal and the last padding of a closed log, and to the record
/// in `LOCK`. Works also for a store that refuses to open. The store must not be open elsewhere.
///
/// It changes and creates nothing, not even lock files. While it runs, it locks the lock files that
/// exist.
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
/// [`Locked`](Error::Locked), [`Io`](Error::Io), [`NewerVersion`](Error::NewerVersion): the store
/// could not be verified. Damage is not an error; it is part of the result.
pub fn verify(path: impl AsRef<Path>) -> Result<Verification> {
    verify_as(directory(path.as_ref(), false)?, Process::this(), Depth::Checksums)
}

/// Verifies the store in a directory of any file system, for example a simulated one. Otherwise the
/// same as [`verify`].
///
/// # Errors
/// The same as [`verify`].
pub fn verify_in(vfs: Arc<dyn Vfs>) -> Result<Verification> {
    verify_as(vfs, None, Depth::Checksums)
}

/// Verifies the store in a directory. If everything is sound, clears the note that damage was met
/// earlier, so that trimming and the removal of checkpoints resume. Changes nothing else.
///
/// A read that meets damage in a checkpoint leaves a note, so that no history is removed that a
/// repair may need; [`Verification::damage_noted`] reports the note. Call this after the files were
/// repaired.
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("data");
/// # kv_store::open(&path)?.collection("users")?.put("alice", "Alice Liddell")?;
/// let verification = kv_store::verify(&path)?;
/// if verification.damage.is_empty() && verification.damage_noted {
///     kv_store::clear_damage(&path)?;
/// }
/// # Ok::<(), kv_store::Error>(())
/// ```
///
/// # Errors
/// The same as [`verify`].
pub fn clear_damage(path: impl AsRef<Path>) -> Result<Verification> {
    let vfs = directory(path.as_ref(), false)?;
    let mut verification = verify_as(Arc::clone(&vfs), Process::this(), Depth::Checksums)?;
    if verification.damage.is_empty() && verification.damage_noted {
        let claim = claim(&vfs, false, Process::this())?;
        let checkpoints =
            Directory::open(vfs, false, &claim)?.open_checkpointer(SnapshotOptions::default())?.verify()?;
        verification.damage.extend(checkpoints.findings); // as of now
        verification.damage_noted = !verification.damage.is_empty();
    }
    Ok(verification)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Checksums,
    Deep,
}

fn verify_as(vfs: Arc<dyn Vfs>, this: Option<Process>, depth: Depth) -> Result<Verification> {
    let vfs: Arc<dyn Vfs> = Arc::new(Untouched(vfs));
    let mut verification =
        Verification { damage: Vec::new(), damage_noted: false, checkpoints: 0, files: 0, bytes: 0, deep: None };
    let claimed = claim(&vfs, false, this);
    let Some(claim) = verification.note(claimed)? else { return Ok(verification) };
    let opened = Directory::open(vfs, false, &claim);
    let Some(directory) = verification.note(opened)? else { return Ok(verification) };
    let checked = check_files(&directory, &mut verification);
    verification.note(checked)?;
    if verification.damage.is_empty() && depth == Depth::Deep {
        let compared = deep::compare(&directory, &mut verification);
        verification.note(compared)?;
    }
    if verification.damage.is_empty() {
        // Files that are each sound may still not form a store.
        let opened = Options::default().create(false).open_claimed(claim, directory);
        verification.note(opened)?;
    }
    Ok(verification)
}

fn check_files(directory: &Directory, verification: &mut Verification) -> Result<()> {
    let checkpoints = kv_snapshot::verify(&*directory.checkpoints)?;
    let origin = check_origin(directory);
    verification.note(origin)?;
    verification.checkpoints = checkpoints.checkpoints as u64;
    verification.damage_noted = checkpoints.damage_noted;
    for vfs in [&directory.log, &directory.checkpoints] {
        for name in vfs.list()? {
            let file = vfs.open(&name, Access::Read)?;
            verification.files += 1;
            verification.bytes += file.len()?;
        }
    }
    for finding in checkpoints.findings.into_iter().chain(kv_wal::verify(&*directory.log)?) {
        verification.note::<()>(Err(finding))?;
    }
    Ok(())
}

/// What a copy was made from is only information, but part of the store.
fn check_origin(directory: &Directory) -> Result<()> {
    match Origin::read(&*directory.vfs)? {
        Some((_, copy)) if Some(copy) != directory.log_id => {
            let detail = format!("it belongs to a store with the log {copy}");
            Err(Error::corrupt_whole(directory.vfs.path().join(origin::NAME), detail))
        }
        _ => Ok(()),
    }
}

impl Verification {
    /// Records damage and returns `None`; returns any other error.
    fn note<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Err(error @ (Error::Corrupt { .. } | Error::Unrecoverable(_))) => self.damage.push(error),
            other => return other.map(Some),
        }
        Ok(None)
    }
}
