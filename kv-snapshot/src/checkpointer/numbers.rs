use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kv_core::{Error, Result};

/// Gives out the numbers of parts and checkpoints, and knows which parts are in work.
#[derive(Debug, Default)]
pub(super) struct Numbers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The highest number that was given out or seen in a name. It never becomes less: no number is
    /// given out twice, not even if nothing is left of what it was given out for.
    highest: u64,
    /// How often each number is in work.
    in_work: BTreeMap<u64, usize>,
}

/// A number that was given out. Neither its part nor those that it is written above are removed
/// while this lives.
#[derive(Debug)]
pub(super) struct InWork<'a> {
    pub(super) seq: u64,
    _protected: Protected<'a>,
}

/// Parts of which none is removed while this lives.
#[derive(Debug)]
pub(super) struct Protected<'a> {
    numbers: &'a Numbers,
    seqs: Vec<u64>,
}

impl Numbers {
    /// Learns of the highest number in a name.
    pub(super) fn learn(&self, highest: u64) {
        let mut state = self.state();
        state.highest = state.highest.max(highest);
    }

    /// Gives out the next number, and protects it and `others`.
    pub(super) fn start(&self, others: impl Iterator<Item = u64>) -> Result<InWork<'_>> {
        let seq = self.state().next()?;
        Ok(InWork { seq, _protected: self.protect(others.chain([seq])) })
    }

    /// Protects parts from being removed. The caller holds the lock of the directory, or knows
    /// otherwise that nothing is removed meanwhile.
    pub(super) fn protect(&self, seqs: impl Iterator<Item = u64>) -> Protected<'_> {
        let (mut state, seqs) = (self.state(), seqs.collect::<Vec<_>>());
        for seq in &seqs {
            *state.in_work.entry(*seq).or_default() += 1;
        }
        Protected { numbers: self, seqs }
    }

    /// The number of a manifest whose part has the number `part`: the same, unless a higher one was
    /// given out meanwhile.
    pub(super) fn for_manifest(&self, part: u64) -> Result<u64> {
        let mut state = self.state();
        if state.highest == part { Ok(part) } else { state.next() }
    }

    /// Whether a part of this number is in work.
    pub(super) fn is_in_work(&self, seq: u64) -> bool {
        self.state().in_work.contains_key(&seq)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Result<u64> {
        let no_more = || Error::Misuse("no number is left for another checkpoint".into());
        self.highest = self.highest.checked_add(1).ok_or_else(no_more)?;
        Ok(self.highest)
    }
}

impl Drop for Protected<'_> {
    fn drop(&mut self) {
        let mut state = self.numbers.state();
        for seq in &self.seqs {
            if let Some(count) = state.in_work.get_mut(seq) {
                *count -= 1;
                if *count == 0 {
                    state.in_work.remove(seq);
                }
            }
        }
    }
}
