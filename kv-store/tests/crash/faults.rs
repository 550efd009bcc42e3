//! Makes every operation of the reference workload and of recoveries fail, in each way that applies
//! to it.

use std::{
    collections::BTreeSet,
    fmt,
    io::ErrorKind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use kv_store::Error;
use kv_testkit::{
    sim::{CrashChoice, CrashModel, Damage, SimDisk, Survivors},
    vfs::{Fault, Kind},
};

use crate::{
    coverage::{Activity, Timeline},
    driver::Driver,
    faulty_run::FaultyRun,
    findings::{Findings, Verdict},
    oracle::Oracle,
    situation::Situation,
    workload::{Step, first_steps, reference, small},
};

/// About how many states one failing run is checked in.
pub const STATES_EACH: u64 = 17;

/// What an operation does instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Eio,
    Enospc,
    Eintr,
    /// A write takes half of its bytes, and reports that.
    Short,
    /// A write takes nothing, and reports that.
    Empty,
    /// A write fails after it has taken half of its bytes.
    Torn,
    /// There is no space, but the file gets longer.
    Enlarges,
    /// A bit flips between the disk and the reader.
    Misreads,
    /// A sync fails and drops the data it should have written, which readers still see.
    Forgets,
}

const EFFECTS: [(Effect, &str); 9] = [
    (Effect::Eio, "eio"),
    (Effect::Enospc, "enospc"),
    (Effect::Eintr, "eintr"),
    (Effect::Short, "short"),
    (Effect::Empty, "empty"),
    (Effect::Torn, "torn"),
    (Effect::Enlarges, "enlarges"),
    (Effect::Misreads, "misreads"),
    (Effect::Forgets, "forgets"),
];

impl Effect {
    fn kind(self) -> crate::coverage::FaultKind {
        use crate::coverage::FaultKind;
        match self {
            Self::Eio => FaultKind::Eio,
            Self::Enospc => FaultKind::Enospc,
            Self::Eintr => FaultKind::Eintr,
            Self::Short => FaultKind::Short,
            Self::Empty => FaultKind::Empty,
            Self::Torn => FaultKind::TornWrite,
            Self::Enlarges => FaultKind::Enlarges,
            Self::Misreads => FaultKind::Misreads,
            Self::Forgets => FaultKind::Forgets,
        }
    }

    fn meets(self, kind: Kind) -> bool {
        use Kind::{Create, CreateDirectory, Lock, Map, Read, Rename, SetLen, Sync, SyncDirectory, Write};
        match self {
            Self::Eio => true,
            Self::Enospc => {
                matches!(kind, Create | CreateDirectory | Lock | Rename | SetLen | Sync | SyncDirectory | Write)
            }
            // The file layer repeats interrupted opens, reads and writes, so these are not visible.
            Self::Eintr => matches!(kind, Sync | SyncDirectory),
            Self::Short | Self::Empty | Self::Torn => kind == Write,
            Self::Enlarges => matches!(kind, Write | SetLen),
            Self::Misreads => matches!(kind, Read | Map),
            Self::Forgets => kind == Sync,
        }
    }
}

/// What the failing disk holds at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Nothing. The reference workload follows.
    Empty,
    /// What a killed process or a power cut left. The recovery and the first steps after it follow.
    Killed,
    Torn,
    /// A store that is open, in some state. The verb follows.
    At(Situation),
}

impl Start {
    fn all() -> impl Iterator<Item = Self> {
        [Self::Empty, Self::Killed, Self::Torn].into_iter().chain(Situation::all().map(Self::At))
    }

    fn prepare(self, seed: u64) -> Verdict<(Driver, Vec<Step>)> {
        let disk = SimDisk::new(seed);
        let (model, survivors) = match self {
            Self::At(situation) => return situation.prepare(seed),
            Self::Empty => return Ok((Driver::new(&disk, Oracle::nothing()), reference(seed))),
            Self::Killed => (CrashModel::Killed, Survivors::Everything),
            Self::Torn => (CrashModel::Posix, Survivors::Sample(seed)),
        };
        let driver = Driver::start(&disk, Oracle::nothing(), &small(false))?;
        let left = disk.crash(&CrashChoice { model, survivors });
        Ok((Driver::new(&left, driver.oracle.after_crash(model)), first_steps()))
    }

    /// Whether operations of this activity should fail.
    fn wants(self, activity: Option<Activity>) -> bool {
        match self {
            Self::At(situation) => activity.is_some_and(|activity| activity.verb == situation.verb),
            _ => true,
        }
    }
}

/// A failure: which operation fails (counted from 1), how, and whether all matching ones after it
/// fail too.
#[derive(Clone, Copy, Debug)]
pub struct FaultCase {
    start: Start,
    nth: u64,
    effect: Effect,
    for_ever: bool,
    /// The activity at that time, and the operation with which it begins.
    activity: Option<(u64, Activity)>,
}

impl FaultCase {
    fn fault(self) -> Fault {
        let done = AtomicU64::new(0);
        let fault = Fault::when(move |event| {
            done.fetch_add(1, Ordering::Relaxed) + 1 >= self.nth && self.effect.meets(event.kind)
        });
        let fault = match self.effect {
            Effect::Eio => fault,
            Effect::Enospc => fault.with(ErrorKind::StorageFull),
            Effect::Eintr => fault.with(ErrorKind::Interrupted),
            Effect::Short => fault.short(),
            Effect::Empty => fault.empty(),
            Effect::Torn => fault.torn(),
            Effect::Enlarges => fault.with(ErrorKind::StorageFull).enlarging(),
            // Some bit of the first block.
            Effect::Misreads => fault.damaged(Damage::FlippedBit(self.nth * 7919 % (4096 * 8))),
            Effect::Forgets => fault.forgetful(),
        };
        if self.for_ever { fault.for_ever() } else { fault }
    }

    pub fn run(&self, seed: u64, findings: &Findings) {
        findings.run(self, || {
            let (mut driver, steps) = self.start.prepare(seed)?;
            driver.timeline = None;
            driver.oracle.may_misread = self.effect == Effect::Misreads;
            driver.oracle.kernel_forgets |= matches!(self.effect, Effect::Forgets | Effect::Misreads);
            driver.disk.fail(self.fault());
            let is_right = if driver.oracle.may_misread { is_right_of_damage } else { is_right };
            let mut faulty_run = FaultyRun::new(findings, self, driver, is_right);
            if let Some((from, activity)) = self.activity {
                faulty_run.watched_from = from;
                findings.coverage.met(activity, self.effect.kind());
            }
            faulty_run.run(&steps, &mut |_, _| {})
        });
    }
}

/// All failures of the operations that a run does on a working disk.
pub fn cases(seed: u64) -> Verdict<Vec<FaultCase>> {
    let mut cases = Vec::new();
    for start in Start::all() {
        let (operations, timeline, first) = operations(start, seed)?;
        for (nth, kind) in (1..).zip(operations) {
            let activity = timeline.at(first + nth - 1);
            if !start.wants(activity.map(|(_, activity)| activity)) {
                continue;
            }
            for (effect, _) in EFFECTS.into_iter().filter(|(effect, _)| effect.meets(kind)) {
                // Only one read is damaged. If all were, so would be the evidence that shows what
                // the damaged read missed.
                let for_ever = if effect == Effect::Misreads { &[false][..] } else { &[false, true] };
                cases.extend(for_ever.iter().map(|for_ever| FaultCase {
                    start,
                    nth,
                    effect,
                    for_ever: *for_ever,
                    activity,
                }));
            }
        }
    }
    fastrand::Rng::with_seed(seed).shuffle(&mut cases);
    Ok(new_ones_first(cases))
}

/// Puts those first that reach a new combination, so that a sample reaches as much as all cases.
fn new_ones_first(cases: Vec<FaultCase>) -> Vec<FaultCase> {
    let mut seen = BTreeSet::new();
    let is_new = |case: &FaultCase| {
        let Some((_, Activity { verb, states })) = case.activity else { return false };
        let fault = case.effect.kind();
        let is_new_verb = seen.insert((Some(verb), None, fault));
        states.iter().fold(is_new_verb, |is_new, state| seen.insert((None, Some(state), fault)) | is_new)
    };
    let (mut first, rest): (Vec<_>, Vec<_>) = cases.into_iter().partition(is_new);
    first.extend(rest);
    first
}

/// The operations of a run, its activities, and the number of the first operation.
fn operations(start: Start, seed: u64) -> Verdict<(Vec<Kind>, Timeline, u64)> {
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&kinds);
    let (mut driver, steps) = start.prepare(seed)?;
    let first = driver.disk.operations();
    driver.timeline.get_or_insert_default();
    driver.disk.fail(Fault::when(move |event| {
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(event.kind);
        false
    }));
    driver.run_steps(&steps)?;
    let mut kinds = kinds.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((std::mem::take(&mut *kinds), driver.timeline.unwrap_or_default(), first))
}

fn is_right_of_damage(error: &Error) -> bool {
    is_right(error) || matches!(error, Error::Corrupt { .. } | Error::Unrecoverable(_))
}

fn is_right(error: &Error) -> bool {
    matches!(error, Error::Io { .. } | Error::DiskFull { .. } | Error::Poisoned { .. } | Error::OutcomeUnknown { .. })
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Killed => f.write_str("killed"),
            Self::Torn => f.write_str("torn"),
            Self::At(situation) => situation.fmt(f),
        }
    }
}

impl fmt::Display for FaultCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = EFFECTS.iter().find(|(effect, _)| *effect == self.effect).map_or("", |(_, name)| name);
        write!(f, "fault@{}:{name}:{}:{}", self.nth, if self.for_ever { "ever" } else { "once" }, self.start)
    }
}
