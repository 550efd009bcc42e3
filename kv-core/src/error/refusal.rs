use std::fmt;

use crate::{CheckpointId, LogId, Lsn};

/// Why a log and its checkpoints were refused as a store. See the table that
/// [`recovery`](crate::recovery) names.
///
/// ```
/// use std::sync::Arc;
/// use kv_core::{Durability, Error, Log, MemoryCheckpointer, MemoryLog, Refusal, Store, StoreOptions};
///
/// let log = MemoryLog::new();
/// let lsn = log.append(b"a record", Durability::Disk)?;
/// log.sync(lsn)?;
/// log.trim(lsn)?; // but no checkpoint holds what the record changed
/// let checkpointer = Arc::new(MemoryCheckpointer::new());
/// let refused = Store::with_backends(Arc::new(log), checkpointer, StoreOptions::default()).unwrap_err();
/// assert!(matches!(refused, Error::Unrecoverable(Refusal::HistoryMissing { checkpoint: None, .. })));
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The log begins after the position of the checkpoint. Or there is no checkpoint, and the log
    /// does not reach back to its first record.
    HistoryMissing {
        /// The newest usable checkpoint, which the log would have to continue.
        checkpoint: Option<CheckpointId>,
        /// The last position that the log no longer has.
        trimmed: Lsn,
        /// The checkpoints that cannot be used, newest first, each with what is wrong with it.
        bad: Vec<(CheckpointId, String)>,
    },
    /// The log ends before the position of a checkpoint. That position was durable in the log
    /// before the checkpoint was made, so records are missing.
    LogEndsEarly {
        /// The newest checkpoint.
        checkpoint: CheckpointId,
        /// The last position that the log has.
        durable: Lsn,
    },
    /// The checkpoint belongs to another log.
    ForeignCheckpoint {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The log that the checkpoint names.
        found: LogId,
        /// The log that is there.
        expected: LogId,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HistoryMissing { checkpoint, trimmed, bad } => {
                match checkpoint {
                    Some(id) => {
                        write!(f, "history is missing: the newest usable checkpoint is at position {}, but", id.lsn)?;
                    }
                    None => write!(f, "history is missing: there is no usable checkpoint, and")?,
                }
                write!(f, " the log begins after position {trimmed}")?;
                let mut bad = bad.iter();
                bad.try_for_each(|(id, why)| write!(f, "; the checkpoint at position {} cannot be used: {why}", id.lsn))
            }
            Self::LogEndsEarly { checkpoint, durable } => write!(
                f,
                "the log ends at position {durable}, before the checkpoint at position {}: a part of the log is missing",
                checkpoint.lsn
            ),
            Self::ForeignCheckpoint { checkpoint, found, expected } => write!(
                f,
                "the checkpoint at position {} belongs to the log {found}, not to the log {expected} that is here",
                checkpoint.lsn
            ),
        }
    }
}
