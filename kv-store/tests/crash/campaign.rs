//! Runs all phases, one after the other, within a number of states.

use std::sync::Arc;

use crate::{
    coverage::Coverage,
    crashes::ReferenceRun,
    damage::Damages,
    every_operation::EveryOperation,
    faults,
    findings::{Findings, Row, Verdict},
    marks::MarkedDamages,
    parallel::for_each_in_parallel,
    plan::{CoverageMode, Plan},
    space,
};

/// The largest share of all states, in percent, for each phase that has a countable number of
/// cases.
const EVERY_OPERATION_PERCENT: u64 = 15;
const MARKS_PERCENT: u64 = 20;
const DAMAGE_PERCENT: u64 = 20;
const FAULTS_PERCENT: u64 = 25;
const SPACE_PERCENT: u64 = 5;
/// The share of the states that are left then, in percent, for damage to unused space. If all of
/// that damage can be checked with the larger share, it gets as much.
const UNUSED_PERCENT: u64 = 10;
const UNUSED_PERCENT_MAX: u64 = 75;
/// The share of the states that are left after that, in percent, for crashes after a crash.
const AGAIN_PERCENT: u64 = 40;

const EVERY_OPERATION: &str = "after every operation";
const MARKS: &str = "damage after a power cut";
const DAMAGE: &str = "damage";
const UNUSED: &str = "damage to unused space";
const FAULTS: &str = "every operation fails";
const SPACE: &str = "every size of the disk";
const AGAIN: &str = "crash after a crash";
const CRASHES: &str = "crash at every operation";

/// A campaign, as configured by the environment.
pub struct Campaign {
    plan: Plan,
    coverage: Arc<Coverage>,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Campaign {
    pub fn new(plan: Plan) -> Self {
        Self { plan, coverage: Arc::default(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Runs all phases, and prints how much was checked.
    ///
    /// # Panics
    /// If anything is wrong.
    pub fn run(mut self) {
        self.every_operation();
        self.marks();
        let damages = self.damage();
        self.exhaust(FAULTS, FAULTS_PERCENT, faults::STATES_EACH, faults::cases, faults::FaultCase::run);
        self.exhaust(SPACE, SPACE_PERCENT, space::STATES_EACH, space::cases, space::SpaceCase::run);
        if let Some(damages) = damages {
            self.damage_unused(&damages);
        }
        self.crash();
        self.print();
        assert!(self.rows.iter().all(Row::is_clean), "there are violations: see above");
        let gaps = self.coverage.wrong();
        let is_checked = self.plan.coverage >= CoverageMode::Check;
        assert!(!is_checked || gaps.is_empty(), "there are gaps in the coverage: see above");
    }

    /// Checks evenly spaced states of all runs.
    fn every_operation(&mut self) {
        let (seed, part, share) = (self.plan.seed, self.plan.part, self.plan.share(EVERY_OPERATION_PERCENT));
        let Some(every_operation) = self.phase("every run", 0, |_| EveryOperation::new(seed)) else { return };
        let all = every_operation.states();
        let every = all.div_ceil(share.max(1)).max(1);
        let states = self.plan.take(all / every);
        self.phase(EVERY_OPERATION, states, |findings| {
            every_operation.examine(|number| number % every == 0 && part.has(number / every), findings);
            Ok(())
        });
        self.notes.push(format!("{EVERY_OPERATION}: {} of {all} states", all.div_ceil(every)));
    }

    fn marks(&mut self) {
        let (seed, part) = (self.plan.seed, self.plan.part);
        let Some(marked) = self.phase("every power cut", 0, |_| MarkedDamages::new(seed)) else { return };
        let wanted = self.plan.share(MARKS_PERCENT).max(marked.core()).min(marked.states());
        let states = self.plan.take(wanted);
        let note =
            self.phase(MARKS, states, |findings| Ok(marked.examine(wanted, |number| part.has(number), findings)));
        self.notes.extend(note.map(|note| format!("{MARKS}: {note}")));
    }

    fn damage(&mut self) -> Option<Damages> {
        let (seed, part) = (self.plan.seed, self.plan.part);
        let damages = self.phase("small stores", 0, |_| Damages::new(seed))?;
        let wanted = self.plan.share(DAMAGE_PERCENT).min(damages.used());
        let states = self.plan.take(wanted);
        let note = self.phase(DAMAGE, states, |findings| Ok(damages.damage_used(wanted, part, findings)));
        self.notes.extend(note.map(|note| format!("{DAMAGE}: {note}")));
        Some(damages)
    }

    /// Damage to unused space costs the most states and finds the least. All of it is checked if at
    /// most 75 % of the states that are left suffice for that; otherwise a small part.
    fn damage_unused(&mut self, damages: &Damages) {
        let (left, part) = (self.plan.left(), self.plan.part);
        let is_enough = damages.unused() <= left * UNUSED_PERCENT_MAX / 100;
        let wanted = if is_enough { damages.unused() } else { left * UNUSED_PERCENT / 100 };
        let states = self.plan.take(wanted);
        let note = self.phase(UNUSED, states, |findings| Ok(damages.damage_unused(wanted, part, findings)));
        self.notes.extend(note.map(|note| format!("{UNUSED}: {note}")));
        self.notes.push(format!("of all damages, {}", damages.report()));
    }

    /// Checks all cases, or as many as fit.
    fn exhaust<T: Sync + Send>(
        &mut self,
        name: &'static str,
        percent: u64,
        states_each: u64,
        cases: fn(u64) -> Verdict<Vec<T>>,
        run: fn(&T, u64, &Findings),
    ) {
        let (seed, part) = (self.plan.seed, self.plan.part);
        let Some(mut cases) = self.phase("every run", 0, |_| cases(seed)) else { return };
        let all = cases.len();
        cases.truncate((self.plan.share(percent) / states_each) as usize);
        let states = self.plan.take(cases.len() as u64 * states_each);
        self.notes.push(format!("{name}: {} of {all} runs", cases.len()));
        let cases = part.of(cases);
        self.phase(name, states, |findings| {
            for_each_in_parallel(&cases, |case| run(case, seed, findings));
            Ok(())
        });
    }

    /// Spends what is left on crashes.
    fn crash(&mut self) {
        let (seed, part) = (self.plan.seed, self.plan.part);
        let Some(recorded) = self.phase("reference workload", 0, |_| ReferenceRun::new(seed)) else { return };
        let again = self.plan.left() * AGAIN_PERCENT / 100;
        let states = self.plan.take(again);
        self.phase(AGAIN, states, |findings| {
            recorded.crash_again(again, part, findings);
            Ok(())
        });
        let left = self.plan.left();
        let states = self.plan.take(left);
        let count = self.phase(CRASHES, states, |findings| Ok(recorded.crash(left, part, findings)));
        self.notes.extend(count.map(|count| format!("{CRASHES}: {count}")));
    }

    /// Runs a phase that checks about `states` states. That number is 0 for the preparation of a
    /// phase.
    fn phase<T>(&mut self, name: &'static str, states: u64, run: impl FnOnce(&Findings) -> Verdict<T>) -> Option<T> {
        let findings = Findings::new(name, self.plan.seed, states, &self.coverage);
        let result = findings.run(&name, || run(&findings));
        self.rows.push(findings.into_row());
        result
    }

    #[expect(clippy::print_stdout, reason = "how much was checked is part of the result")]
    fn print(&self) {
        println!("\n{}; {}", self.plan.part, Row::HEADINGS.trim_start());
        for row in &self.rows {
            println!("{row}");
        }
        println!("{}", Row::total(&self.rows));
        for note in &self.notes {
            println!("{note}");
        }
        if self.plan.coverage == CoverageMode::Table {
            println!("{}", self.coverage.table());
        }
        println!("{}", self.coverage.summary());
        if self.plan.coverage >= CoverageMode::Check {
            self.coverage.wrong().iter().for_each(|gap| println!("{gap}"));
        }
    }

    /// Checks a single state again: a line such as `store@120:posix:only:17`.
    ///
    /// # Panics
    /// If there is no such state, or anything is wrong.
    pub fn replay(self, case: &str) {
        let seed = self.plan.seed;
        let findings = Findings::new("replay", seed, 0, &self.coverage);
        let found = findings.run(&case, || {
            Ok(match case.split_once('@').map(|(kind, _)| kind) {
                Some("fault") => {
                    let same = faults::cases(seed)?.into_iter().find(|other| other.to_string() == case);
                    same.map(|case| case.run(seed, &findings))
                }
                Some("space") => case.parse::<space::SpaceCase>().ok().map(|case| case.run(seed, &findings)),
                Some("store") => ReferenceRun::new(seed)?.replay(case, &findings),
                Some("mark") => MarkedDamages::new(seed)?.replay(case, &findings),
                Some("run") => EveryOperation::new(seed)?.replay(case, &findings),
                _ => Damages::new(seed)?.replay(case, &findings),
            })
        });
        assert!(found.flatten().is_some(), "there is no state {case:?} with the seed {seed}");
        assert!(findings.into_row().is_clean(), "the violation is still there");
    }
}
