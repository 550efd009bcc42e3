//! The reference workload on a disk that fails: what goes wrong is said, reads go on, and a crash loses nothing.

use std::fmt;

use kv_store::{Error, Result};
use kv_testkit::sim::{CrashChoice, CrashModel, Pick, SimDisk};

use crate::{
    finding::{Findings, Verdict, Violation},
    known::Known,
    workload::{Life, Step},
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
}

impl<'a> Trial<'a> {
    pub fn new(
        findings: &'a Findings,
        case: &'a (dyn fmt::Display + Sync),
        disk: SimDisk,
        known: Known,
        is_right: fn(&Error) -> bool,
    ) -> Self {
        let life = Life::new(&disk, known);
        Self { findings, case, disk, life, is_right, failed: false }
    }

    /// Opens the store and goes through the steps, whatever comes of each; after the first failure, and at the end, it crashes.
    pub fn run(&mut self, steps: &[Step], before: &mut dyn FnMut(usize, &SimDisk)) -> Verdict {
        before(0, &self.disk);
        let opened = self.life.open()?;
        self.answer(opened)?;
        let mut failed_openings = 0;
        for (at, step) in steps.iter().enumerate() {
            before(at + 1, &self.disk);
            let answer = self.life.step(*step)?;
            self.answer(answer)?;
            failed_openings = if self.life.engine.is_some() { 0 } else { failed_openings + 1 };
            if failed_openings == OPENINGS_MAX {
                break;
            }
        }
        self.crash();
        Ok(())
    }

    fn answer(&mut self, answer: Result<()>) -> Verdict {
        let Err(error) = answer else { return Ok(()) };
        if !(self.is_right)(&error) && !self.is_missed(&error) {
            return Err(Violation::wrong(format!("an error that does not fit: {error:?}")));
        }
        self.check_reads(&error)?;
        if !std::mem::replace(&mut self.failed, true) {
            self.crash();
        }
        Ok(())
    }

    /// After a write of unknown outcome, the steps go by a state that is not seen.
    fn is_missed(&self, error: &Error) -> bool {
        let known = &self.life.known;
        known.last() > known.acknowledged() && matches!(error, Error::KeyNotFound | Error::CollectionNotFound { .. })
    }

    /// What is published is what was acknowledged, and maybe more; nothing of unknown outcome.
    fn check_reads(&self, error: &Error) -> Verdict {
        let Some(engine) = &self.life.engine else { return Ok(()) };
        let published = engine.store.stats().published;
        let acknowledged = self.life.known.acknowledged();
        if published < acknowledged {
            let what = format!("position {acknowledged} was acknowledged, and readers see {published}");
            return Err(Violation::loss(what));
        }
        if matches!(error, Error::OutcomeUnknown { .. }) && published > acknowledged {
            return Err(Violation::wrong("a write of unknown outcome is seen".to_owned()));
        }
        self.life.known.check_state(engine, published)
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
