//! Recovery: which checkpoint to begin with, and what to replay on top of it.
//!
//! The table in docs/durability.md, section "Recovery", says how a store decides. `decide`
//! implements that table. The tests below and those in `tests/it/recovery.rs` cover all its rows.
//!
//! "Bad" means that [`Checkpointer::open`] fails with [`Error::Corrupt`], or that the names of the
//! collections cannot be read. Checkpoints are tried from the newest on, until one opens. Those of
//! the two newest positions are always tried, and older ones if the log reaches back to them. (The
//! others are left over from a removal.) If one that is tried belongs to another log, or cannot be
//! opened for any reason but damage (such as a newer version), the store refuses to open, whatever
//! else there is.
//!
//! If nothing that remains restores everything, but the log reaches back to a bad checkpoint that
//! can be opened in part ([`Checkpointer::open_damaged`]), the store opens from that one: what is
//! damaged cannot be read, and everything else can.

use std::{fmt, sync::Arc};

use crate::{
    Checkpoint, CheckpointId, Checkpointer, Epoch, Error, Log, LogId, Lsn, Record, Refusal, Result,
    collections::{Collections, NamedCollection, WriterToken, names_in},
    operation::{DecodeError, decode},
};

/// What opening a store found and did. Displays as one line.
///
/// ```
/// # let store = kv_core::Store::in_memory()?;
/// assert_eq!(store.recovery().to_string(), "opened at position 0: without a checkpoint, records replayed: 0");
/// assert!(store.recovery().bad_checkpoints.is_empty(), "a checkpoint was damaged: look at the disk");
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovery {
    /// The checkpoint that the state was taken from, if there was one.
    pub checkpoint: Option<CheckpointId>,
    /// How many records were replayed on top of it.
    pub replayed_records: u64,
    /// The bytes of those records.
    pub replayed_bytes: u64,
    /// The position of the state: that of the last record.
    pub position: Lsn,
    /// The epoch of this opening.
    pub epoch: Epoch,
    /// Checkpoints that were damaged, newest first, each with its error. The next checkpoint that
    /// is made sets them aside.
    pub bad_checkpoints: Vec<(CheckpointId, Arc<Error>)>,
    /// What the log reports about its own opening, for example a torn tail that it truncated.
    pub log_notes: Vec<String>,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opened at position {}: ", self.position)?;
        match self.checkpoint {
            Some(id) => write!(f, "from the checkpoint at position {}", id.lsn)?,
            None => write!(f, "without a checkpoint")?,
        }
        write!(f, ", records replayed: {}", self.replayed_records)?;
        for (id, error) in &self.bad_checkpoints {
            write!(f, "; the checkpoint at position {} cannot be used: {error}", id.lsn)?;
        }
        for note in &self.log_notes {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

/// The recovered state.
pub(super) struct Recovered {
    pub(super) collections: Collections,
    pub(super) writer: WriterToken,
    pub(super) recovery: Recovery,
    /// The bytes of the records in the active memtable.
    pub(super) record_bytes: u64,
}

/// Recovers the state as the table says. Memtables are frozen when they reach `threshold` bytes.
pub(super) fn recover(log: &dyn Log, checkpointer: &dyn Checkpointer, threshold: u64) -> Result<Recovered> {
    let bounds = log.bounds();
    let found = choose(log.id(), bounds.trimmed, bounds.durable, checkpointer)?;
    let chosen = found.good_id();
    let (collections, mut writer) = Collections::new(found.good, &found.names);
    let mut recovery = Recovery {
        checkpoint: chosen,
        replayed_records: 0,
        replayed_bytes: 0,
        position: chosen.map_or(Lsn::START, |id| id.lsn),
        epoch: bounds.epoch,
        bad_checkpoints: found.bad,
        log_notes: log.opening_notes(),
    };
    let mut replay = Replay::new(threshold);
    let mut reader = log.reader(recovery.position)?;
    while let Some(record) = reader.next()? {
        replay.apply(&collections, &mut writer, &record)?;
        recovery.replayed_records += 1;
        recovery.replayed_bytes += record.payload.len() as u64;
        recovery.position = record.lsn;
    }
    Ok(Recovered { collections, writer, recovery, record_bytes: replay.record_bytes })
}

/// The checkpoint to begin with, as the table says. The log holds the records after `trimmed`, and
/// is durable up to `durable`.
pub(super) fn choose(log: LogId, trimmed: Lsn, durable: Lsn, checkpointer: &dyn Checkpointer) -> Result<Found> {
    let mut found = examine(log, trimmed, checkpointer)?;
    match decide(&found.positions(), trimmed, durable) {
        Err(Refusal::HistoryMissing { .. }) if found.open_damaged(log, checkpointer, trimmed) => {}
        decided => decided.map(drop).map_err(|refusal| Error::Unrecoverable(found.explain(refusal)))?,
    }
    Ok(found)
}

/// The checkpoints that were tried: the bad ones, newest first, and the first good one.
#[derive(Default)]
pub(super) struct Found {
    pub(super) bad: Vec<(CheckpointId, Arc<Error>)>,
    pub(super) good: Option<Arc<dyn Checkpoint>>,
    /// The names of the collections in it.
    pub(super) names: Vec<NamedCollection>,
}

impl Found {
    fn positions(&self) -> Vec<Candidate> {
        let bad = self.bad.iter().map(|&(id, _)| Candidate { id, good: false });
        bad.chain(self.good.iter().map(|good| Candidate { id: good.id(), good: true })).collect()
    }

    /// Adds what is wrong with the bad checkpoints.
    fn explain(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::HistoryMissing { checkpoint, trimmed, .. } => {
                let bad = self.bad.iter().map(|(id, error)| (*id, error.chain())).collect();
                Refusal::HistoryMissing { checkpoint, trimmed, bad }
            }
            other => other,
        }
    }

    pub(super) fn good_id(&self) -> Option<CheckpointId> {
        self.good.as_ref().map(|good| good.id())
    }

    /// Nothing that remains restores everything. Opens the newest checkpoint nevertheless that can
    /// be read in part, and that the log reaches back to; `false` if there is none.
    fn open_damaged(&mut self, log: LogId, checkpointer: &dyn Checkpointer, trimmed: Lsn) -> bool {
        let reached = self.bad.iter().filter(|(id, _)| trimmed <= id.lsn);
        let opened = reached.filter_map(|(id, _)| with_names(checkpointer.open_damaged(*id)).ok());
        let Some((good, names)) = { opened }.find(|(checkpoint, _)| checkpoint.head().log_id == log) else {
            return false;
        };
        (self.good, self.names) = (Some(good), names);
        true
    }
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: CheckpointId,
    good: bool,
}

fn examine(log: LogId, trimmed: Lsn, checkpointer: &dyn Checkpointer) -> Result<Found> {
    loop {
        if let Some(found) = examine_listed(log, trimmed, checkpointer)? {
            return Ok(found);
        }
    }
}

/// `None` if a checkpoint was removed meanwhile, by an owner that is at work. There is a newer one
/// then.
fn examine_listed(log: LogId, trimmed: Lsn, checkpointer: &dyn Checkpointer) -> Result<Option<Found>> {
    let mut found = Found::default();
    let mut positions = Vec::new();
    for id in checkpointer.list()? {
        if !positions.contains(&id.lsn) {
            positions.push(id.lsn);
        }
        if positions.len() > 2 && id.lsn < trimmed {
            break;
        }
        match open_listed(log, checkpointer, id)? {
            Opened::Good(checkpoint, names) => {
                (found.good, found.names) = (Some(checkpoint), names);
                break;
            }
            Opened::Bad(error) => found.bad.push((id, error)),
            Opened::Gone => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// What became of an attempt to open a checkpoint that was listed.
pub(super) enum Opened {
    Good(Arc<dyn Checkpoint>, Vec<NamedCollection>),
    Bad(Arc<Error>),
    /// It is no longer listed.
    Gone,
}

/// Opens a checkpoint of that log. If its files are not there, that is damage only if it is still
/// listed: a checkpoint is taken off the list before its files are removed.
pub(super) fn open_listed(log: LogId, checkpointer: &dyn Checkpointer, id: CheckpointId) -> Result<Opened> {
    match with_names(checkpointer.open(id)) {
        Ok((checkpoint, names)) => {
            refuse_foreign(log, &*checkpoint)?;
            Ok(Opened::Good(checkpoint, names))
        }
        Err(Error::Corrupt { .. }) if !checkpointer.list()?.contains(&id) => Ok(Opened::Gone),
        Err(error @ Error::Corrupt { .. }) => Ok(Opened::Bad(Arc::new(error))),
        Err(error) => Err(error),
    }
}

/// A checkpoint with the names of its collections. Without them it is of no use.
pub(super) fn with_names(opened: Result<Arc<dyn Checkpoint>>) -> Result<(Arc<dyn Checkpoint>, Vec<NamedCollection>)> {
    let checkpoint = opened?;
    let names = names_in(&*checkpoint)?;
    Ok((checkpoint, names))
}

fn refuse_foreign(expected: LogId, checkpoint: &dyn Checkpoint) -> Result<()> {
    let found = checkpoint.head().log_id;
    if found == expected {
        return Ok(());
    }
    Err(Error::Unrecoverable(Refusal::ForeignCheckpoint { checkpoint: checkpoint.id(), found, expected }))
}

/// Implements the table: decides which checkpoint to begin with. The candidates are the checkpoints
/// that were tried, newest first; only the last one can be good.
fn decide(candidates: &[Candidate], trimmed: Lsn, durable: Lsn) -> Result<Option<CheckpointId>, Refusal> {
    if let Some(newest) = candidates.first()
        && durable < newest.id.lsn
    {
        return Err(Refusal::LogEndsEarly { checkpoint: newest.id, durable });
    }
    let chosen = candidates.iter().find(|candidate| candidate.good).map(|candidate| candidate.id);
    if trimmed > chosen.map_or(Lsn::START, |id| id.lsn) {
        return Err(Refusal::HistoryMissing { checkpoint: chosen, trimmed, bad: Vec::new() });
    }
    Ok(chosen)
}

/// The most memtables that are frozen while the log is replayed. The log may hold far more than is
/// left behind today, if the threshold was higher before.
pub(super) const FROZEN_MAX: usize = 8;

/// Applies the records of a log, and freezes the active memtable when it is full.
pub(super) struct Replay {
    /// Memtables are frozen when they reach this many bytes.
    threshold: u64,
    /// The bytes of the records in the active memtable.
    pub(super) record_bytes: u64,
}

impl Replay {
    pub(super) fn new(threshold: u64) -> Self {
        Self { threshold, record_bytes: 0 }
    }

    /// Applies a durable record and publishes it. The record is checked as a whole before any of it
    /// is applied.
    pub(super) fn apply(
        &mut self,
        collections: &Collections,
        writer: &mut WriterToken,
        record: &Record<'_>,
    ) -> Result<()> {
        let lsn = record.lsn;
        let undecodable = |error| undecodable(lsn, error);
        for operation in decode(record.payload, lsn).map_err(undecodable)? {
            operation.map_err(undecodable)?;
        }
        let operations = decode(record.payload, lsn).map_err(undecodable)?.map_while(Result::ok); // all are ok, as just checked
        collections.apply(writer, lsn, operations);
        collections.horizon().publish(lsn, lsn);
        self.record_bytes += record.payload.len() as u64;
        let threshold = if collections.frozen() < FROZEN_MAX { self.threshold } else { u64::MAX };
        if writer.is_active_full(self.record_bytes, threshold) {
            collections.freeze(writer, lsn, self.record_bytes);
            self.record_bytes = 0;
        }
        Ok(())
    }
}

/// The error for a record that the log returned intact, but that is not a record of a store.
pub(super) fn undecodable(lsn: Lsn, error: DecodeError) -> Error {
    match error {
        DecodeError::Malformed { offset, what } => Error::corrupt(lsn, offset as u64, what),
        DecodeError::Newer { what } => Error::NewerVersion { place: lsn.into(), detail: what },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: bool = true;
    const BAD: bool = false;

    /// Decides for checkpoints at positions 20 (the newest) and 10, and a log.
    fn decide_for(verdicts: &[bool], trimmed: u64, durable: u64) -> Result<Option<u64>, &'static str> {
        let candidates: Vec<_> = std::iter::zip([20, 10], verdicts)
            .map(|(lsn, &good)| Candidate { id: CheckpointId { epoch: Epoch(1), lsn: Lsn(lsn), seq: lsn }, good })
            .collect();
        match decide(&candidates, Lsn(trimmed), Lsn(durable)) {
            Ok(chosen) => Ok(chosen.map(|id| id.lsn.0)),
            Err(Refusal::HistoryMissing { .. }) => Err("history missing"),
            Err(Refusal::LogEndsEarly { .. }) => Err("log ends early"),
            Err(refusal) => panic!("not from the table: {refusal}"),
        }
    }

    #[test]
    fn every_row_of_the_table() {
        let missing = Err("history missing");
        let early = Err("log ends early");
        // no checkpoint
        assert_eq!(decide_for(&[], 0, 0), Ok(None));
        assert_eq!(decide_for(&[], 0, 30), Ok(None));
        assert_eq!(decide_for(&[], 1, 30), missing);
        // good
        assert_eq!(decide_for(&[GOOD], 0, 20), Ok(Some(20)));
        assert_eq!(decide_for(&[GOOD], 20, 30), Ok(Some(20)));
        assert_eq!(decide_for(&[GOOD], 21, 30), missing);
        // any, and the log ends before the newest
        assert_eq!(decide_for(&[GOOD], 0, 19), early);
        assert_eq!(decide_for(&[BAD, GOOD], 0, 19), early);
        assert_eq!(decide_for(&[BAD, BAD], 0, 19), early);
        assert_eq!(decide_for(&[BAD], 0, 19), early);
        // bad, then good
        assert_eq!(decide_for(&[BAD, GOOD], 10, 20), Ok(Some(10)));
        assert_eq!(decide_for(&[BAD, GOOD], 11, 20), missing);
        // bad, then bad or none
        assert_eq!(decide_for(&[BAD, BAD], 0, 20), Ok(None));
        assert_eq!(decide_for(&[BAD], 0, 20), Ok(None));
        assert_eq!(decide_for(&[BAD, BAD], 1, 20), missing);
        assert_eq!(decide_for(&[BAD], 1, 20), missing);
    }
}
