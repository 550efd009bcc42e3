//! The disk is full: at every size, and at every step of the reference workload.

use std::{fmt, str::FromStr};

use kv_store::Error;
use kv_testkit::sim::SimDisk;

use crate::{
    finding::{Findings, Verdict, Violation},
    known::Known,
    trial::Trial,
    workload::{Life, Step, reference},
};

const PAGE_BYTES: u64 = 4096;
/// How many pages there are left where the disk fills up later.
const PAGES_LEFT: [u64; 4] = [0, 1, 2, 5];
/// The states that one run is looked at in.
pub const STATES_EACH: u64 = 13;

/// From that step on the disk has so many pages, or so many more than are taken then.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    from_step: usize,
    pages: u64,
}

/// Every size of the disk from nothing to what the workload takes; and from every step on, hardly more than is taken.
pub fn cases(seed: u64) -> Verdict<Vec<Case>> {
    let disk = SimDisk::new(seed);
    let steps = reference(seed);
    let mut life = Life::new(&disk, Known::nothing());
    let mut bytes_max = 0;
    for step in &steps {
        life.step(*step)?.map_err(|error| Violation::refusal("the workload fails", &error))?;
        bytes_max = disk.space_bytes().max(bytes_max);
    }
    // While a segment is replaced, or a checkpoint written, there is more than at any step's end.
    let sizes = (0..bytes_max / PAGE_BYTES + 16).map(|pages| Case { from_step: 0, pages });
    let later = (1..=steps.len()).flat_map(|from_step| PAGES_LEFT.map(|pages| Case { from_step, pages }));
    Ok(sizes.chain(later).collect())
}

impl Case {
    pub fn run(&self, seed: u64, findings: &Findings) {
        let mut trial = Trial::new(findings, self, SimDisk::new(seed), Known::nothing(), is_right);
        let steps = reference(seed);
        let all_but_close = &steps[..steps.len() - 1];
        findings.run(self, || {
            trial.run(all_but_close, &mut |step, disk| {
                if step == self.from_step {
                    let taken = if step == 0 { 0 } else { disk.space_bytes() };
                    disk.limit_space(taken + self.pages * PAGE_BYTES);
                }
            })
        });
        findings.look(self, || go_on(&mut trial));
    }
}

/// Nothing that failed for want of space was logged: so nothing is of unknown outcome, and the log goes on.
fn is_right(error: &Error) -> bool {
    matches!(error, Error::DiskFull { .. })
}

/// There is space again: without another opening, everything goes on.
fn go_on(trial: &mut Trial<'_>) -> Verdict {
    trial.disk.heal();
    if trial.life.engine.is_none() {
        trial.life.open()?.map_err(|error| Violation::refusal("there is space again", &error))?;
    }
    for step in [Step::Usual(1), Step::Usual(2), Step::Usual(3), Step::Checkpoint, Step::Usual(4), Step::Reopen] {
        trial.life.step(step)?.map_err(|error| Violation::refusal("there is space again", &error))?;
    }
    Ok(())
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "space@{}:{}", self.from_step, self.pages)
    }
}

impl FromStr for Case {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (from_step, pages) = text.strip_prefix("space@").and_then(|text| text.split_once(':')).ok_or(())?;
        Ok(Self { from_step: from_step.parse().map_err(drop)?, pages: pages.parse().map_err(drop)? })
    }
}
