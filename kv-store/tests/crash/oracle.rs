//! The oracle: which writes were begun and acknowledged, and when, as seen from outside the store.
//! From this it says what each recovery must give.

use std::sync::Arc;

use kv_store::{Durability, Error, Lsn, Store};
use kv_testkit::{
    Model,
    sim::{CrashChoice, CrashModel, SimDisk, Survivors},
};

use crate::{
    engine::{Engine, difference},
    findings::{Verdict, Violation},
};

/// What is known of a store from outside. Each fact is kept with the number of disk operations done
/// when it became known.
#[derive(Clone)]
pub struct Oracle {
    /// The state at each position, from 0, and when the write that made it was begun.
    states: Vec<(u64, Arc<Model>)>,
    /// Positions that were acknowledged to survive a power cut.
    durable: Vec<(u64, Lsn)>,
    /// Positions that were acknowledged to survive a killed process.
    written: Vec<(u64, Lsn)>,
    /// Positions of checkpoints that were made.
    checkpoints: Vec<(u64, Lsn)>,
    /// The durable position that the store reported after each step. With one flush at a time,
    /// these are the ends of flushed groups.
    flushed: Vec<(u64, Lsn)>,
    /// A failed sync has dropped data that only the kernel had. So what was acknowledged to survive
    /// a killed process may be gone.
    pub kernel_forgets: bool,
    /// Data may be damaged as it is read. That must be reported, and may cost what a damaged tail
    /// or checkpoint costs.
    pub may_misread: bool,
    /// The newest checkpoint was damaged. That must be reported, and the older one replaces it.
    pub is_damaged: bool,
}

impl Oracle {
    /// A store that was never opened.
    pub fn nothing() -> Self {
        Self {
            states: vec![(0, Arc::default())],
            durable: Vec::new(),
            written: Vec::new(),
            checkpoints: Vec::new(),
            flushed: Vec::new(),
            kernel_forgets: false,
            may_misread: false,
            is_damaged: false,
        }
    }

    /// The oracle for the same store, found at this position: it keeps the states that led there,
    /// and no acknowledgements.
    pub fn found_at(&self, position: Lsn) -> Self {
        let states = &self.states[..=position.0 as usize];
        let states = states.iter().map(|(_, model)| (0, Arc::clone(model))).collect();
        Self { states, is_damaged: self.is_damaged, ..Self::nothing() }
    }

    /// The same oracle, for the disk that such a crash leaves. Everything counts as known before
    /// the first operation of that disk.
    pub fn after_crash(mut self, model: CrashModel) -> Self {
        self.kernel_forgets |= model != CrashModel::Killed;
        self.states.iter_mut().for_each(|(at, _)| *at = 0);
        let Self { durable, written, checkpoints, flushed, .. } = &mut self;
        [durable, written, checkpoints, flushed].into_iter().flatten().for_each(|(at, _)| *at = 0);
        self
    }

    /// The same oracle with only the promises that were known after this many operations. It keeps
    /// all writes, also those that were begun later.
    pub fn at(&self, at: u64) -> Self {
        let mut oracle = self.clone();
        let Self { durable, written, checkpoints, flushed, .. } = &mut oracle;
        [durable, written, checkpoints, flushed].into_iter().for_each(|list| list.retain(|(since, _)| *since <= at));
        oracle
    }

    pub fn last(&self) -> Lsn {
        Lsn(self.states.len() as u64 - 1)
    }

    /// The state after everything that was begun.
    pub fn model(&self) -> &Model {
        &self.states[self.states.len() - 1].1
    }

    /// The state at a position, if it was reached.
    pub fn state_at(&self, position: Lsn) -> Option<&Model> {
        self.states.get(position.0 as usize).map(|(_, model)| &**model)
    }

    pub fn begin(&mut self, at: u64, model: Model) {
        self.states.push((at, Arc::new(model)));
    }

    /// Forgets the last write, which was refused and so has no position.
    pub fn take_back(&mut self) {
        self.states.pop();
    }

    /// Forgets what came after this position, where the store was found: it was legally lost.
    pub fn forget_beyond(&mut self, position: Lsn) {
        self.states.truncate(position.0 as usize + 1);
        self.written.retain(|(_, lsn)| *lsn <= position);
        self.flushed.retain(|(_, lsn)| *lsn <= position);
    }

    /// Notes that everything that was begun is acknowledged.
    pub fn acknowledge(&mut self, at: u64, durability: Durability) {
        self.written.push((at, self.last()));
        if durability == Durability::Disk {
            self.synced(at);
        }
    }

    /// Notes that everything that was acknowledged also survives a power cut now.
    pub fn synced(&mut self, at: u64) {
        self.durable.push((at, self.acknowledged()));
    }

    pub fn checkpointed(&mut self, at: u64, position: Lsn) {
        self.durable.push((at, position));
        self.checkpoints.push((at, position));
    }

    /// Notes the durable and the published position that the store reports. Both are promises, too.
    pub fn note(&mut self, at: u64, durable: Lsn, published: Lsn) {
        let note = |list: &mut Vec<(u64, Lsn)>, position| {
            if highest_at(list, u64::MAX) < position {
                list.push((at, position));
            }
        };
        note(&mut self.flushed, durable);
        note(&mut self.durable, durable);
        note(&mut self.written, published);
    }

    /// The least that one damage may leave after a power cut, whatever the mark says: everything
    /// but the last flushed group, which nothing later names.
    pub fn all_but_the_last_group(&self, at: u64) -> Lsn {
        let last = highest_at(&self.flushed, at);
        let before = self.flushed.iter().filter(|(since, lsn)| *since <= at && *lsn < last).map(|(_, lsn)| *lsn);
        before.max().unwrap_or_default()
    }

    /// The last position that was acknowledged at any level. At most one write above it has an
    /// unknown outcome.
    pub fn acknowledged(&self) -> Lsn {
        highest_at(&self.written, u64::MAX)
    }

    /// How many acknowledgements there were, and how many of them for a power cut.
    pub fn acknowledgements(&self) -> (usize, usize) {
        (self.written.len(), self.durable.len())
    }

    /// The position up to which such a crash must leave everything, if it comes after this many
    /// operations.
    pub fn promised(&self, at: u64, model: CrashModel) -> Lsn {
        let durable = highest_at(&self.durable, at);
        if model == CrashModel::Killed && !self.kernel_forgets {
            durable.max(highest_at(&self.written, at))
        } else {
            durable
        }
    }

    /// Opens what a crash after this many operations left, checks it, and returns the position that
    /// was found.
    pub fn check(&self, at: u64, model: CrashModel, left: &SimDisk) -> Verdict<Lsn> {
        let engine = Engine::open(left).map_err(|error| Violation::refusal("locked out", &error))?;
        let position = self.check_opened(at, model, &engine)?;
        // The next opening must find the same as this one, even if the power is cut in between.
        let again = left.crash(&CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing });
        let again = Engine::open(&again).map_err(|error| Violation::refusal("locked out again", &error))?;
        let found = again.store.recovery().position;
        if found != position {
            return Err(Violation::loss(format!("one recovery finds position {position}, the next one {found}")));
        }
        self.check_state(&again.store, position)?;
        Ok(position)
    }

    /// Checks whether such a crash, after this many operations, may leave the store at this
    /// position.
    pub fn check_position(&self, at: u64, model: CrashModel, position: Lsn) -> Verdict {
        let promised = self.promised(at, model);
        if position < promised {
            let what = format!("position {promised} was acknowledged, and the store is at {position}");
            return Err(Violation::loss(what));
        }
        let begun = self.states.iter().rposition(|(begun, _)| *begun <= at).unwrap_or_default() as u64;
        if position.0 > begun {
            return Err(Violation::wrong(format!("position {position} was never written")));
        }
        Ok(())
    }

    /// The same, for an engine that is open.
    pub fn check_opened(&self, at: u64, model: CrashModel, engine: &Engine) -> Verdict<Lsn> {
        let recovery = engine.store.recovery();
        let position = recovery.position;
        self.check_position(at, model, position)?;
        if self.may_misread {
            return self.check_state(&engine.store, position).map(|()| position);
        }
        if self.is_damaged {
            return self.check_state(&engine.store, position).map(|()| position);
        }
        if recovery.checkpoint.map_or(Lsn::START, |id| id.lsn) < highest_at(&self.checkpoints, at) {
            return Err(Violation::loss("a checkpoint is lost".to_owned()));
        }
        if !recovery.bad_checkpoints.is_empty() {
            return Err(Violation::wrong(format!("damage is reported in a sound store: {recovery}")));
        }
        self.check_state(&engine.store, position)?;
        Ok(position)
    }

    /// Checks whether an open store holds exactly the state at this position.
    pub fn check_state(&self, store: &Store, position: Lsn) -> Verdict {
        let expected = self.state_at(position);
        let expected = expected.ok_or_else(|| Violation::wrong(format!("there is no position {position}")))?;
        match difference(store, expected) {
            Ok(None) => Ok(()),
            Ok(Some(difference)) => Err(Violation::loss(format!("at position {position}, {difference}"))),
            Err(Error::Corrupt { .. }) if self.may_misread => Ok(()),
            Err(error) => Err(Violation::refusal("the store cannot be read", &error)),
        }
    }
}

fn highest_at(oracle: &[(u64, Lsn)], at: u64) -> Lsn {
    oracle.iter().filter(|(since, _)| *since <= at).map(|(_, lsn)| *lsn).max().unwrap_or_default()
}
