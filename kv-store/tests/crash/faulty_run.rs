//! A workload on a disk that fails: errors fit the fault, reads keep working, and a crash loses
//! nothing.

use std::fmt;

use kv_store::{Error, Result};
use kv_testkit::sim::{CrashChoice, CrashModel, SimDisk, Survivors};

use crate::{
    driver::Driver,
    every_operation::{ENDS, check},
    findings::{Findings, Verdict, Violation},
    oracle::Oracle,
    workload::Step,
};

/// After this many failed openings in a row, a run is given up.
const OPENINGS_MAX: u32 = 2;

/// A run on a disk that fails.
pub struct FaultyRun<'a> {
    pub findings: &'a Findings,
    pub case: &'a (dyn fmt::Display + Sync),
    pub disk: SimDisk,
    pub driver: Driver,
    /// Which errors are right.
    pub is_right: fn(&Error) -> bool,
    failed: bool,
    /// The first step that begins at this operation or later is the one in which the disk is also
    /// checked between operations.
    pub watched_from: u64,
    watched: Option<Oracle>,
}

/// At how many operations the disk is checked in a step in which something fails, at most.
const MOMENTS_MAX: usize = 4;

impl<'a> FaultyRun<'a> {
    pub fn new(
        findings: &'a Findings,
        case: &'a (dyn fmt::Display + Sync),
        driver: Driver,
        is_right: fn(&Error) -> bool,
    ) -> Self {
        Self {
            findings,
            case,
            disk: driver.disk.clone(),
            driver,
            is_right,
            failed: false,
            watched_from: u64::MAX,
            watched: None,
        }
    }

    /// Opens the store and runs the steps, even if some of them fail. Crashes after the first
    /// failure, and at the end.
    pub fn run(&mut self, steps: &[Step], before: &mut dyn FnMut(usize, &SimDisk)) -> Verdict {
        before(0, &self.disk);
        if self.driver.engine.is_none() {
            let opened = self.driver.open()?;
            self.answer(opened)?;
        }
        let mut failed_openings = 0;
        for (at, step) in steps.iter().enumerate() {
            before(at + 1, &self.disk);
            self.watch();
            let answer = self.driver.step(*step)?;
            self.check_moments();
            self.answer(answer)?;
            failed_openings = if self.driver.engine.is_some() { 0 } else { failed_openings + 1 };
            if failed_openings == OPENINGS_MAX {
                break;
            }
        }
        self.crash();
        Ok(())
    }

    /// In the step in which something will fail, records the disk before each operation.
    fn watch(&mut self) {
        if self.disk.operations() >= self.watched_from {
            self.watched_from = u64::MAX;
            self.watched = Some(self.driver.oracle.clone());
            self.disk.record();
        }
    }

    /// Checks that what was on the disk between the operations of the failing step can be
    /// recovered. A step that reopens the store may find fewer writes than before, and the oracle
    /// then forgets the others. They may still be on the disk earlier in the step, so the oracle
    /// from before the step is used.
    fn check_moments(&mut self) {
        let Some(before) = self.watched.take() else { return };
        let moments = self.disk.take_recording();
        let mut oracle = if self.driver.oracle.last() < before.last() { before } else { self.driver.oracle.clone() };
        oracle.may_misread = false;
        let every = moments.len().div_ceil(MOMENTS_MAX);
        for moment in moments.iter().rev().step_by(every) {
            for end in &ENDS[..2] {
                self.findings.examine(self.case, || check(&oracle, moment, end));
            }
        }
    }

    fn answer(&mut self, answer: Result<()>) -> Verdict {
        let Err(error) = answer else { return Ok(()) };
        if !(self.is_right)(&error) && !self.is_missed(&error) {
            return Err(Violation::wrong(format!("an error that does not fit the fault: {error:?}")));
        }
        self.check_reads()?;
        if !std::mem::replace(&mut self.failed, true) {
            self.crash();
        }
        Ok(())
    }

    /// Whether the error follows from a write of unknown outcome: the steps assume that it is
    /// visible, and it is not.
    fn is_missed(&self, error: &Error) -> bool {
        let oracle = &self.driver.oracle;
        oracle.last() > oracle.acknowledged()
            && matches!(error, Error::KeyNotFound { .. } | Error::CollectionNotFound { .. })
    }

    /// Readers must see everything that was acknowledged, and nothing of unknown outcome.
    fn check_reads(&self) -> Verdict {
        let Some(engine) = &self.driver.engine else { return Ok(()) };
        let published = engine.store.stats().published;
        let acknowledged = self.driver.oracle.acknowledged();
        if published < acknowledged {
            let what = format!("position {acknowledged} was acknowledged, and readers see {published}");
            return Err(Violation::loss(what));
        }
        self.driver.oracle.check_state(&engine.store, published)
    }

    fn crash(&self) {
        let mut oracle = self.driver.oracle.clone();
        oracle.may_misread = false;
        let choices = [
            (CrashModel::Killed, Survivors::Everything),
            (CrashModel::Ext4, Survivors::Nothing),
            (CrashModel::Posix, Survivors::Nothing),
            (CrashModel::Posix, Survivors::Everything),
            (CrashModel::Xfs, Survivors::Sample(1)),
            (CrashModel::Posix, Survivors::Sample(2)),
        ];
        for (model, survivors) in choices {
            let choice = CrashChoice { model, survivors };
            let left = self.disk.crash(&choice);
            self.findings.examine(self.case, || oracle.check(u64::MAX, model, &left));
        }
    }
}
