//! The reference workload on a disk that fails: what goes wrong is said, reads go on, and a crash loses nothing.

use std::fmt;

use kv_store::{Error, Result};
use kv_testkit::sim::{CrashChoice, CrashModel, Pick, SimDisk};

use crate::{
    everywhen::{ENDS, check},
    finding::{Findings, Verdict, Violation},
    known::Known,
    life::Life,
    workload::Step,
};

/// Openings that fail one after the other, before a trial is given up.
const OPENINGS_MAX: u32 = 2;

/// A life on a disk that fails.
pub struct Trial<'a> {
    pub findings: &'a Findings,
    pub case: &'a (dyn fmt::Display + Sync),
    pub disk: SimDisk,
    pub life: Life,
    /// Which errors are right.
    pub is_right: fn(&Error) -> bool,
    failed: bool,
    /// With that operation begins the step in which the disk is looked at between operations, too.
    pub watched_from: u64,
    watched: Option<Known>,
}

/// Of the operations of a step in which something fails, so many are looked at.
const MOMENTS_MAX: usize = 4;

impl<'a> Trial<'a> {
    pub fn new(
        findings: &'a Findings,
        case: &'a (dyn fmt::Display + Sync),
        life: Life,
        is_right: fn(&Error) -> bool,
    ) -> Self {
        Self {
            findings,
            case,
            disk: life.disk.clone(),
            life,
            is_right,
            failed: false,
            watched_from: u64::MAX,
            watched: None,
        }
    }

    /// Opens the store and goes through the steps, whatever comes of each; after the first failure, and at the end, it crashes.
    pub fn run(&mut self, steps: &[Step], before: &mut dyn FnMut(usize, &SimDisk)) -> Verdict {
        before(0, &self.disk);
        if self.life.engine.is_none() {
            let opened = self.life.open()?;
            self.answer(opened)?;
        }
        let mut failed_openings = 0;
        for (at, step) in steps.iter().enumerate() {
            before(at + 1, &self.disk);
            self.watch();
            let answer = self.life.step(*step)?;
            self.look_back();
            self.answer(answer)?;
            failed_openings = if self.life.engine.is_some() { 0 } else { failed_openings + 1 };
            if failed_openings == OPENINGS_MAX {
                break;
            }
        }
        self.crash();
        Ok(())
    }

    /// In the step in which something is going to fail, the disk is kept as it is before each
    /// operation.
    fn watch(&mut self) {
        if self.disk.operations() >= self.watched_from {
            self.watched_from = u64::MAX;
            self.watched = Some(self.life.known.clone());
            self.disk.record();
        }
    }

    /// What was on the disk between the operations of the step in which something failed can be
    /// recovered. What was begun in a step that opens the store again was known before it; what an
    /// opening does not find is known no more.
    fn look_back(&mut self) {
        let Some(before) = self.watched.take() else { return };
        let moments = self.disk.take_recording();
        let mut known = if self.life.known.last() < before.last() { before } else { self.life.known.clone() };
        known.may_misread = false;
        let every = moments.len().div_ceil(MOMENTS_MAX);
        for moment in moments.iter().rev().step_by(every) {
            for end in &ENDS[..2] {
                self.findings.look(self.case, || check(&known, moment, end));
            }
        }
    }

    fn answer(&mut self, answer: Result<()>) -> Verdict {
        let Err(error) = answer else { return Ok(()) };
        if !(self.is_right)(&error) && !self.is_missed(&error) {
            return Err(Violation::wrong(format!("an error that does not fit: {error:?}")));
        }
        self.check_reads()?;
        if !std::mem::replace(&mut self.failed, true) {
            self.crash();
        }
        Ok(())
    }

    /// After a write of unknown outcome, the steps go by a state that is not seen.
    fn is_missed(&self, error: &Error) -> bool {
        let known = &self.life.known;
        known.last() > known.acknowledged()
            && matches!(error, Error::KeyNotFound { .. } | Error::CollectionNotFound { .. })
    }

    /// What is published is what was acknowledged, and maybe more; nothing of unknown outcome.
    fn check_reads(&self) -> Verdict {
        let Some(engine) = &self.life.engine else { return Ok(()) };
        let published = engine.store.stats().published;
        let acknowledged = self.life.known.acknowledged();
        if published < acknowledged {
            let what = format!("position {acknowledged} was acknowledged, and readers see {published}");
            return Err(Violation::loss(what));
        }
        self.life.known.check_state(&engine.store, published)
    }

    fn crash(&self) {
        let mut known = self.life.known.clone();
        known.may_misread = false;
        let choices = [
            (CrashModel::Killed, Pick::Everything),
            (CrashModel::Ext4, Pick::Nothing),
            (CrashModel::Posix, Pick::Nothing),
            (CrashModel::Posix, Pick::Everything),
            (CrashModel::Xfs, Pick::Sample(1)),
            (CrashModel::Posix, Pick::Sample(2)),
        ];
        for (model, pick) in choices {
            let choice = CrashChoice { model, pick };
            let left = self.disk.crash(&choice);
            self.findings.look(self.case, || known.check(u64::MAX, model, &left));
        }
    }
}
