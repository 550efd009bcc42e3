//! Crashes at every operation of the reference workload, and again at every operation of the
//! recovery.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kv_testkit::sim::{Count, CrashChoice, CrashModel, Exploration, Moment, SimDisk, Survivors};

use crate::{
    driver::Driver,
    findings::{Findings, Verdict},
    oracle::Oracle,
    parallel::for_each_in_parallel,
    plan::RunPart,
    workload::{first_steps, reference},
};

/// A third crash follows in about one of this many states that the second one leaves.
const THIRD_ONE_IN: u64 = 64;

/// The reference workload, with the disk before each of its operations.
pub struct ReferenceRun {
    moments: Vec<Moment>,
    oracle: Oracle,
    seed: u64,
}

impl ReferenceRun {
    pub fn new(seed: u64) -> Verdict<Self> {
        let disk = SimDisk::new(seed);
        disk.record();
        let oracle = Driver::oracle_after(&disk, Oracle::nothing(), &reference(seed))?;
        Ok(Self { moments: disk.take_recording(), oracle, seed })
    }

    /// Crashes at every moment, with about `states_max` states in all.
    pub fn crash(&self, states_max: u64, part: RunPart, findings: &Findings) -> Count {
        let exploration = Exploration::new(states_max, self.seed).with_part(part.number, part.of);
        let count = exploration.run("store", &self.moments, &CrashModel::ALL, &|moment, choice, left| {
            let case = format!("store@{}:{choice}", moment.operation);
            findings.examine(&case, || self.oracle.check(moment.operation, choice.model, left));
        });
        if !findings.is_clean() {
            // Explores once more, and panics at a violation. The exploration then shrinks the first
            // one, and prints the simplest state.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                exploration.run("store", &self.moments, &CrashModel::ALL, &|moment, choice, left| {
                    let verdict = self.oracle.check(moment.operation, choice.model, left);
                    verdict.unwrap_or_else(|violation| panic!("{violation:?}"));
                });
            }));
        }
        count
    }

    /// Crashes once, recovers, and crashes at every moment of the recovery, about `states_max`
    /// times in all.
    pub fn crash_again(&self, states_max: u64, part: RunPart, findings: &Findings) {
        let mut firsts: Vec<_> = self.moments.iter().flat_map(|moment| corner_cases(moment, self.seed)).collect();
        let mut rng = fastrand::Rng::with_seed(self.seed);
        rng.shuffle(&mut firsts);
        // There are about as many first crashes as there are second crashes after each of them.
        let each = states_max.isqrt().max(64);
        firsts.truncate((states_max / each) as usize);
        let firsts = part.of(firsts);
        for_each_in_parallel(&firsts, |(moment, choice)| {
            let case = format!("store@{}:{choice}", moment.operation);
            let left = moment.disk.crash(choice);
            let found = findings.run(&case, || self.oracle.check(moment.operation, choice.model, &left));
            if let Some(position) = found {
                let again = Again { seed: self.seed ^ moment.operation, case, oracle: self.oracle.found_at(position) };
                again.crash(&moment.disk.crash(choice), each, 2, findings);
            }
        });
    }

    /// Checks one state again.
    pub fn replay(&self, case: &str, findings: &Findings) -> Option<()> {
        let mut crashes = case.strip_prefix("store@")?.split(',');
        let (mut oracle, mut left) = self.step_to(&self.moments, &self.oracle, crashes.next()?, case, findings)?;
        for crash in crashes {
            let again = Again { seed: 0, case: case.to_owned(), oracle };
            let (moments, recovered) = findings.run(&case, || again.recover(&left))?;
            (oracle, left) = self.step_to(&moments, &recovered, crash, case, findings)?;
        }
        Some(())
    }

    fn step_to(
        &self,
        moments: &[Moment],
        oracle: &Oracle,
        crash: &str,
        case: &str,
        findings: &Findings,
    ) -> Option<(Oracle, SimDisk)> {
        let (operation, choice) = crash.split_once(':')?;
        let (operation, choice): (u64, CrashChoice) = (operation.parse().ok()?, choice.parse().ok()?);
        let moment = moments.iter().find(|moment| moment.operation == operation)?;
        let left = moment.disk.crash(&choice);
        let found = findings.examine(&case, || oracle.check(operation, choice.model, &left));
        Some((oracle.found_at(found.unwrap_or_default()), moment.disk.crash(&choice)))
    }
}

/// What a crash left, and what the oracle knows of it.
struct Again {
    seed: u64,
    /// The crashes so far.
    case: String,
    oracle: Oracle,
}

impl Again {
    fn recover(&self, left: &SimDisk) -> Verdict<(Vec<Moment>, Oracle)> {
        left.record();
        let oracle = Driver::oracle_after(left, self.oracle.clone(), &first_steps())?;
        Ok((left.take_recording(), oracle))
    }

    fn crash(&self, left: &SimDisk, states_max: u64, depth: u32, findings: &Findings) {
        let Some((moments, oracle)) = findings.run(&self.case, || self.recover(left)) else { return };
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut crashes: Vec<_> = moments.iter().flat_map(|moment| corner_cases(moment, rng.u64(..))).collect();
        rng.shuffle(&mut crashes);
        crashes.truncate(states_max as usize);
        for (moment, choice) in crashes {
            let case = format!("{},{}:{choice}", self.case, moment.operation);
            let left = moment.disk.crash(&choice);
            let found = findings.examine(&case, || oracle.check(moment.operation, choice.model, &left));
            if let Some(position) = found
                && depth < 3
                && rng.u64(..THIRD_ONE_IN) == 0
            {
                let again = Self { seed: rng.u64(..), case, oracle: oracle.found_at(position) };
                again.crash(&moment.disk.crash(&choice), states_max / THIRD_ONE_IN * 4, depth + 1, findings);
            }
        }
    }
}

/// The corner cases (nothing, everything and each prefix survives), and two random choices.
fn corner_cases(moment: &Moment, seed: u64) -> Vec<(&Moment, CrashChoice)> {
    let mut rng = fastrand::Rng::with_seed(seed ^ moment.operation);
    let mut choices = Vec::new();
    for model in CrashModel::ALL {
        let all = moment.disk.crash_states(model, 1, seed);
        let is_one = all.len() == 1;
        let is_corner_case = |survivors: &Survivors| {
            matches!(
                survivors,
                Survivors::Nothing | Survivors::Everything | Survivors::Prefix(_) | Survivors::Numbered(_)
            )
        };
        choices.extend(all.into_iter().filter(|choice| is_corner_case(&choice.survivors)));
        if !is_one {
            choices.extend([(); 2].map(|()| CrashChoice { model, survivors: Survivors::Sample(rng.u64(..1 << 32)) }));
        }
    }
    choices.into_iter().map(|choice| (moment, choice)).collect()
}
