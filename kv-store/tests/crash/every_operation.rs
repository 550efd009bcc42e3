//! After every operation of a run, the disk can be recovered: as a killed process leaves it, and
//! after power cuts that lose everything unsynced, or nothing.

use kv_testkit::{
    recoverable,
    sim::{CrashChoice, CrashModel, Moment, SimDisk, Survivors},
};

use crate::{
    coverage::{FaultKind, Timeline},
    driver::Driver,
    engine::Engine,
    findings::{Findings, Verdict, Violation},
    oracle::Oracle,
    parallel::for_each_in_parallel,
    situation::Situation,
    workload::{reference, small},
};

/// A run, with the disk before each operation that changed it.
pub struct RecordedRun {
    name: String,
    moments: Vec<Moment>,
    oracle: Oracle,
    timeline: Timeline,
}

/// The crashes that are tried after each operation: everything that can be lost is lost, or nothing
/// is.
pub const ENDS: [CrashChoice; 5] = [
    CrashChoice { model: CrashModel::Killed, survivors: Survivors::Everything },
    CrashChoice { model: CrashModel::Posix, survivors: Survivors::Nothing },
    CrashChoice { model: CrashModel::Posix, survivors: Survivors::Everything },
    CrashChoice { model: CrashModel::Ext4, survivors: Survivors::Nothing },
    CrashChoice { model: CrashModel::Xfs, survivors: Survivors::Nothing },
];

impl RecordedRun {
    /// The reference workload, the small ones, and every verb in every state.
    pub fn all(seed: u64) -> Verdict<Vec<Self>> {
        let whole = |name: &str, steps: &[_]| {
            let disk = SimDisk::new(seed);
            disk.record();
            let driver = Driver::start_timed(&disk, Oracle::nothing(), steps)?;
            Ok(Self::end(name.to_owned(), driver))
        };
        let mut runs =
            vec![whole("reference", &reference(seed))?, whole("small", &small(false))?, whole("closed", &small(true))?];
        for situation in Situation::all() {
            let (mut driver, steps) = situation.prepare(seed)?;
            driver.disk.record();
            driver.run_steps(&steps)?;
            runs.push(Self::end(situation.to_string(), driver));
        }
        Ok(runs)
    }

    fn end(name: String, driver: Driver) -> Self {
        let moments = driver.disk.take_recording();
        Self { name, moments, oracle: driver.oracle, timeline: driver.timeline.unwrap_or_default() }
    }

    fn ends(&self) -> impl Iterator<Item = (&Moment, &CrashChoice)> {
        self.moments.iter().flat_map(|moment| ENDS.iter().map(move |end| (moment, end)))
    }
}

/// All runs to check.
pub struct EveryOperation {
    runs: Vec<RecordedRun>,
}

impl EveryOperation {
    pub fn new(seed: u64) -> Verdict<Self> {
        Ok(Self { runs: RecordedRun::all(seed)? })
    }

    /// How many states there are.
    pub fn states(&self) -> u64 {
        self.runs.iter().map(|run| run.ends().count() as u64).sum()
    }

    /// Checks all states for whose number `is_wanted` holds.
    pub fn examine(&self, is_wanted: impl Fn(u64) -> bool, findings: &Findings) {
        let ends = self.runs.iter().flat_map(|run| run.ends().map(move |(moment, end)| (run, moment, end)));
        let wanted: Vec<_> = (0..).zip(ends).filter(|(number, _)| is_wanted(*number)).map(|(_, end)| end).collect();
        for_each_in_parallel(&wanted, |(run, moment, end)| examine_moment(run, moment, end, findings));
        self.runs.iter().for_each(|run| findings.coverage.performed_all(&run.timeline));
    }

    /// Checks one state again.
    pub fn replay(&self, case: &str, findings: &Findings) -> Option<()> {
        let mut ends = self.runs.iter().flat_map(|run| run.ends().map(move |(moment, end)| (run, moment, end)));
        let (run, moment, end) = ends.find(|(run, moment, end)| name(run, moment, end) == case)?;
        examine_moment(run, moment, end, findings);
        Some(())
    }
}

fn name(run: &RecordedRun, moment: &Moment, end: &CrashChoice) -> String {
    format!("run@{}:{}:{end}", run.name, moment.operation)
}

fn examine_moment(run: &RecordedRun, moment: &Moment, end: &CrashChoice, findings: &Findings) {
    findings.examine(&name(run, moment, end), || check(&run.oracle, moment, end));
    if let Some((_, activity)) = run.timeline.at(moment.operation) {
        let is_kill = end.model == CrashModel::Killed;
        findings.coverage.met(activity, if is_kill { FaultKind::Kill } else { FaultKind::PowerCut });
    }
}

/// Checks that such a crash leaves a state that the store once had, with everything promised by
/// then.
pub fn check(oracle: &Oracle, moment: &Moment, end: &CrashChoice) -> Verdict {
    let recovered = recoverable(&moment.disk.crash(end), |vfs| Engine::open_in(vfs).map(|engine| engine.store));
    let recovered = recovered.map_err(|error| Violation::refusal("not recoverable", &error))?;
    oracle.check_position(moment.operation, end.model, recovered.position)?;
    match oracle.state_at(recovered.position) {
        Some(state) if *state == recovered.state => Ok(()),
        _ => Err(Violation::loss(format!("what is recovered at position {} was never there", recovered.position))),
    }
}
