//! The disk is full: at every size, and at every step of the reference workload.

use std::{fmt, str::FromStr};

use kv_store::Error;
use kv_testkit::sim::SimDisk;

use crate::{
    coverage::{Fault, Scene},
    finding::{Findings, Verdict, Violation},
    known::Known,
    life::Life,
    tour::Stop,
    trial::Trial,
    workload::{Step, reference},
};

const PAGE_BYTES: u64 = 4096;
/// How many pages there are left where the disk fills up later.
const PAGES_LEFT: [u64; 4] = [0, 1, 2, 5];
/// The states that one run is looked at in.
pub const STATES_EACH: u64 = 13;

/// How many pages the disk has.
#[derive(Clone, Copy, Debug)]
pub enum Case {
    /// From that step of the reference workload on; so many more than are taken then, but for step
    /// 0.
    From(usize, u64),
    /// For a verb in a state: so many more than are taken then.
    At(Stop, u64),
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
    let sizes = (0..bytes_max / PAGE_BYTES + 16).map(|pages| Case::From(0, pages));
    let later = (1..=steps.len()).flat_map(|from_step| PAGES_LEFT.map(|pages| Case::From(from_step, pages)));
    let stops = Stop::all().flat_map(|stop| PAGES_LEFT.map(|pages| Case::At(stop, pages)));
    let mut cases: Vec<_> = sizes.chain(later).chain(stops).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut cases);
    Ok(cases)
}

impl Case {
    pub fn run(&self, seed: u64, findings: &Findings) {
        let prepared = findings.run(self, || match self {
            Self::From(..) => Ok((Life::new(&SimDisk::new(seed), Known::nothing()), reference(seed))),
            Self::At(stop, _) => stop.prepare(seed),
        });
        let Some((life, mut steps)) = prepared else { return };
        let (from, pages) = match self {
            Self::From(step, pages) => {
                steps.truncate(steps.len() - 1); // all but the last close
                (*step, *pages)
            }
            Self::At(stop, pages) => {
                let mut states = life.states();
                states.add(stop.state); // which may come with the step itself
                findings.coverage.met(Scene { verb: stop.verb, states }, Fault::FullDisk);
                (0, *pages)
            }
        };
        let mut trial = Trial::new(findings, self, life, is_right);
        findings.run(self, || {
            trial.run(&steps, &mut |step, disk| {
                if step == from {
                    disk.limit_space(disk.space_bytes() + pages * PAGE_BYTES);
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
        match self {
            Self::From(step, pages) => write!(f, "space@{step}:{pages}"),
            Self::At(stop, pages) => write!(f, "space@{stop}:{pages}"),
        }
    }
}

impl FromStr for Case {
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
