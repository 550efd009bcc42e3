//! Verifies that a store holds what was written to it, which no checksum shows.

use std::{path::Path, sync::Arc};

use kv_core::{Checkpoint, CheckpointId, Checkpointer, Log, Lsn, Result, verify_replay};
use kv_snapshot::SnapshotOptions;
use kv_vfs::{Process, Vfs};

use super::{Depth, Verification, verify_as};
use crate::{
    Options,
    options::{Directory, directory},
    sizes::sized,
};

/// What [`verify_deep`] has compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeepVerification {
    /// How many parts of checkpoints hold the entries that were to be written into them.
    pub parts: u64,
    /// How many merged parts hold what those parts hold that they were merged from.
    pub merges: u64,
    /// How many checkpoints are what the checkpoint before them and the log between the two make.
    pub replays: u64,
    /// What could not be compared, and why: sentences for people.
    pub unchecked: Vec<String>,
}

/// Does what [`verify`](crate::verify()) does, and then compares what the store holds with what was
/// to be written, which checksums do not show: a checksum matches whatever it was computed from.
///
/// - Each part of a checkpoint is compared with the digest of its entries, which was computed
///   before they were stored.
/// - Each merged part is compared with the parts that it was merged from, entry by entry, if a
///   checkpoint still names them.
/// - Each checkpoint is compared with the one before it and the log between the two, entry by
///   entry, if the log still reaches back that far. The oldest is compared with the log alone, if
///   that reaches back to the beginning.
///
/// What could not be compared is listed in [`DeepVerification::unchecked`]. That is usual: merged
/// parts and the log replace what came before them. This reads all entries several times. It
/// changes nothing.
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("data");
/// let store = kv_store::open(&path)?;
/// store.collection("users")?.put("alice", "Alice Liddell")?;
/// store.checkpoint()?;
/// drop(store);
/// let verification = kv_store::verify_deep(&path)?;
/// assert!(verification.damage.is_empty());
/// let deep = verification.deep.unwrap();
/// assert_eq!((deep.parts, deep.replays, deep.unchecked.len()), (1, 1, 0));
/// # Ok::<(), kv_store::Error>(())
/// ```
///
/// # Errors
/// The same as [`verify`](crate::verify()).
pub fn verify_deep(path: impl AsRef<Path>) -> Result<Verification> {
    verify_as(directory(path.as_ref(), false)?, Process::this(), Depth::Deep)
}

/// Verifies the store in a directory of any file system, for example a simulated one. Otherwise the
/// same as [`verify_deep`].
///
/// # Errors
/// The same as [`verify_deep`].
pub fn verify_deep_in(vfs: Arc<dyn Vfs>) -> Result<Verification> {
    verify_as(vfs, None, Depth::Deep)
}

/// Compares everything that there is something to compare with.
pub(super) fn compare(directory: &Directory, verification: &mut Verification) -> Result<()> {
    let mut deep = DeepVerification::default();
    let checkpoints = kv_snapshot::verify_deep(&directory.checkpoints)?;
    (deep.parts, deep.merges) = (checkpoints.parts as u64, checkpoints.merges as u64);
    deep.unchecked = checkpoints.unchecked;
    for finding in checkpoints.findings {
        verification.note::<()>(Err(finding))?;
    }
    let options = Options::default();
    let log_options = sized(&*directory.vfs, &options.log, &options.store).log;
    let (log, checkpointer) = directory.open_parts(&log_options, SnapshotOptions::default())?;
    let ids = checkpointer.list()?;
    for (at, newer) in ids.iter().enumerate() {
        let older = ids.get(at + 1).copied();
        if log.bounds().trimmed > older.map_or(Lsn::START, |older| older.lsn) {
            deep.unchecked.push(not_replayed(*newer, older));
            continue;
        }
        let replayed = replay(&*log, &*checkpointer, *newer, older);
        deep.replays += u64::from(verification.note(replayed)?.is_some());
    }
    verification.deep = Some(deep);
    Ok(())
}

fn replay(
    log: &dyn Log,
    checkpointer: &dyn Checkpointer,
    newer: CheckpointId,
    older: Option<CheckpointId>,
) -> Result<()> {
    let older: Option<Arc<dyn Checkpoint>> = older.map(|older| checkpointer.open(older)).transpose()?;
    verify_replay(log, older.as_deref(), &*checkpointer.open(newer)?)
}

fn not_replayed(newer: CheckpointId, older: Option<CheckpointId>) -> String {
    let (position, number) = (newer.lsn, newer.seq);
    let why = match older {
        Some(older) => format!("the log after the one before it, at position {}, was trimmed", older.lsn),
        None => "there is none before it, and the beginning of the log was trimmed".to_owned(),
    };
    format!("checkpoint {number}, at position {position}, was not compared with the log: {why}")
}
