//! Runs the reference workload on disks of every size, and on disks that fill up at each step.

use std::{fmt, str::FromStr};

use kv_store::Error;
use kv_testkit::sim::SimDisk;

use crate::{
    coverage::{Activity, FaultKind},
    driver::Driver,
    faulty_run::FaultyRun,
    findings::{Findings, Verdict, Violation},
    oracle::Oracle,
    situation::Situation,
    workload::{Step, reference},
};

const PAGE_BYTES: u64 = 4096;
/// How many pages are left where the disk fills up later.
const PAGES_LEFT: [u64; 4] = [0, 1, 2, 5];
/// How many states one run is checked in.
pub const STATES_EACH: u64 = 13;

/// How many pages the disk has.
#[derive(Clone, Copy, Debug)]
pub enum SpaceCase {
    /// From this step of the reference workload on, the disk has this many pages more than are used
    /// then. At step 0, it has this many pages in all.
    From(usize, u64),
    /// While a verb runs in a state, the disk has this many pages more than are used then.
    At(Situation, u64),
}

/// Every size of the disk from nothing to what the workload takes. Also, from every step on, a disk
/// with little more than is used.
pub fn cases(seed: u64) -> Verdict<Vec<SpaceCase>> {
    let disk = SimDisk::new(seed);
    let steps = reference(seed);
    let mut driver = Driver::new(&disk, Oracle::nothing());
    let mut bytes_max = 0;
    for step in &steps {
        driver.step(*step)?.map_err(|error| Violation::refusal("the workload fails", &error))?;
        bytes_max = disk.space_bytes().max(bytes_max);
    }
    // While a segment is replaced or a checkpoint is written, more space is used than at the end of
    // any step.
    let sizes = (0..bytes_max / PAGE_BYTES + 16).map(|pages| SpaceCase::From(0, pages));
    let later = (1..=steps.len()).flat_map(|from_step| PAGES_LEFT.map(|pages| SpaceCase::From(from_step, pages)));
    let situations = Situation::all().flat_map(|situation| PAGES_LEFT.map(|pages| SpaceCase::At(situation, pages)));
    let mut cases: Vec<_> = sizes.chain(later).chain(situations).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut cases);
    Ok(cases)
}

impl SpaceCase {
    pub fn run(&self, seed: u64, findings: &Findings) {
        let prepared = findings.run(self, || match self {
            Self::From(..) => Ok((Driver::new(&SimDisk::new(seed), Oracle::nothing()), reference(seed))),
            Self::At(situation, _) => situation.prepare(seed),
        });
        let Some((driver, mut steps)) = prepared else { return };
        let (from, pages) = match self {
            Self::From(step, pages) => {
                steps.truncate(steps.len() - 1); // all but the last step, which closes the store
                (*step, *pages)
            }
            Self::At(situation, pages) => {
                let mut states = driver.states();
                states.add(situation.state); // the step itself may lead to the state
                findings.coverage.met(Activity { verb: situation.verb, states }, FaultKind::FullDisk);
                (0, *pages)
            }
        };
        let mut faulty_run = FaultyRun::new(findings, self, driver, is_right);
        findings.run(self, || {
            faulty_run.run(&steps, &mut |step, disk| {
                if step == from {
                    disk.limit_space(disk.space_bytes() + pages * PAGE_BYTES);
                }
            })
        });
        findings.examine(self, || check_going_on(&mut faulty_run));
    }
}

/// A write that fails for lack of space was not logged. So no outcome is unknown, and the log keeps
/// working.
fn is_right(error: &Error) -> bool {
    matches!(error, Error::DiskFull { .. })
}

/// After there is space again, everything works without another opening.
fn check_going_on(faulty_run: &mut FaultyRun<'_>) -> Verdict {
    faulty_run.disk.heal();
    if faulty_run.driver.engine.is_none() {
        faulty_run.driver.open()?.map_err(|error| Violation::refusal("there is space again", &error))?;
    }
    for step in [Step::Usual(1), Step::Usual(2), Step::Usual(3), Step::Checkpoint, Step::Usual(4), Step::Reopen] {
        faulty_run.driver.step(step)?.map_err(|error| Violation::refusal("there is space again", &error))?;
    }
    Ok(())
}

impl fmt::Display for SpaceCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(step, pages) => write!(f, "space@{step}:{pages}"),
            Self::At(situation, pages) => write!(f, "space@{situation}:{pages}"),
        }
    }
}

impl FromStr for SpaceCase {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (from, pages) = text.strip_prefix("space@").and_then(|text| text.split_once(':')).ok_or(())?;
        let pages = pages.parse().map_err(drop)?;
        Ok(match from.parse() {
            Ok(step) => Self::From(step, pages),
            Err(_) => Self::At(from.parse()?, pages),
        })
    }
}
