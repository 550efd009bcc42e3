//! Every operation of the reference workload fails, and every operation of recoveries, in every way in which it may.

use std::{
    fmt,
    io::ErrorKind,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use kv_store::Error;
use kv_testkit::{
    sim::{CrashChoice, CrashModel, Damage, Pick, SimDisk},
    vfs::{Fault, Kind},
};

use crate::{
    finding::{Findings, Verdict},
    known::Known,
    trial::Trial,
    workload::{Life, Step, first_steps, reference, small},
};

/// The states that one failing run is looked at in.
pub const STATES_EACH: u64 = 12;

/// What an operation does instead of what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Eio,
    Enospc,
    Eintr,
    /// A write takes half of its bytes, and says so.
    Short,
    /// A write takes nothing, and says so.
    Empty,
    /// A write fails when it has taken half of its bytes.
    Torn,
    /// There is no space, and the file is longer all the same.
    Enlarges,
    /// A bit flips between the disk and the reader.
    Misreads,
    /// A sync fails and drops what it should have written, which readers go on to see.
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
    fn meets(self, kind: Kind) -> bool {
        use Kind::{Create, CreateDirectory, Lock, Map, Read, Rename, SetLen, Sync, SyncDirectory, Write};
        match self {
            Self::Eio => true,
            Self::Enospc => {
                matches!(kind, Create | CreateDirectory | Lock | Rename | SetLen | Sync | SyncDirectory | Write)
            }
            // Interrupted opens, reads and writes are repeated where nobody sees it.
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
    /// Nothing: the reference workload follows.
    Empty,
    /// What a killed process left, or a power cut: recovery and first steps follow.
    Killed,
    Torn,
}

const STARTS: [(Start, &str); 3] = [(Start::Empty, "empty"), (Start::Killed, "killed"), (Start::Torn, "torn")];

impl Start {
    fn prepare(self, seed: u64) -> Verdict<(SimDisk, Known, Vec<Step>)> {
        let disk = SimDisk::new(seed);
        let (model, pick) = match self {
            Self::Empty => return Ok((disk, Known::nothing(), reference(seed))),
            Self::Killed => (CrashModel::Killed, Pick::Everything),
            Self::Torn => (CrashModel::Posix, Pick::Sample(seed)),
        };
        let life = Life::begin(&disk, Known::nothing(), &small(false))?;
        let left = disk.crash(&CrashChoice { model, pick });
        Ok((left, life.known.after_crash(model), first_steps()))
    }
}

/// A failure: of which operation, counted from 1, how, and whether of all such ones after it too.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    start: Start,
    nth: u64,
    effect: Effect,
    for_ever: bool,
}

impl Case {
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
            let (disk, mut known, steps) = self.start.prepare(seed)?;
            known.may_misread = self.effect == Effect::Misreads;
            known.kernel_forgets |= matches!(self.effect, Effect::Forgets | Effect::Misreads);
            disk.fail(self.fault());
            let is_right = if known.may_misread { is_right_of_damage } else { is_right };
            Trial::new(findings, self, disk, known, is_right).run(&steps, &mut |_, _| {})
        });
    }
}

/// All failures, the operations being what they are on a disk that works.
pub fn cases(seed: u64) -> Verdict<Vec<Case>> {
    let mut cases = Vec::new();
    for (start, _) in STARTS {
        let of = |(nth, kind): (u64, Kind)| {
            let effects = EFFECTS.into_iter().filter(move |(effect, _)| effect.meets(kind));
            // Where every read is damaged, so is the proof of what a damaged read has missed.
            let for_ever = |effect| if effect == Effect::Misreads { &[false][..] } else { &[false, true] };
            effects.flat_map(move |(effect, _)| {
                for_ever(effect).iter().map(move |for_ever| Case { start, nth, effect, for_ever: *for_ever })
            })
        };
        cases.extend((1..).zip(operations(start, seed)?).flat_map(of));
    }
    Ok(cases)
}

fn operations(start: Start, seed: u64) -> Verdict<Vec<Kind>> {
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&kinds);
    let (disk, known, steps) = start.prepare(seed)?;
    disk.fail(Fault::when(move |event| {
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(event.kind);
        false
    }));
    Life::lead(&disk, known, &steps)?;
    let mut kinds = kinds.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *kinds))
}

fn is_right_of_damage(error: &Error) -> bool {
    is_right(error) || matches!(error, Error::Corrupt { .. } | Error::Unrecoverable(_))
}

fn is_right(error: &Error) -> bool {
    matches!(error, Error::Io { .. } | Error::DiskFull { .. } | Error::Poisoned { .. } | Error::OutcomeUnknown { .. })
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = EFFECTS.iter().find(|(effect, _)| *effect == self.effect).map_or("", |(_, name)| name);
        let start = STARTS.iter().find(|(start, _)| *start == self.start).map_or("", |(_, name)| name);
        write!(f, "fault@{}:{name}:{}:{start}", self.nth, if self.for_ever { "ever" } else { "once" })
    }
}

impl FromStr for Case {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.strip_prefix("fault@").ok_or(())?.split(':');
        let nth = words.next().and_then(|nth| nth.parse().ok()).ok_or(())?;
        let effect = words.next().and_then(|word| EFFECTS.iter().find(|(_, name)| *name == word)).ok_or(())?.0;
        let for_ever = match words.next() {
            Some("once") => false,
            Some("ever") => true,
            _ => return Err(()),
        };
        let start = words.next().and_then(|word| STARTS.iter().find(|(_, name)| *name == word)).ok_or(())?.0;
        Ok(Self { start, nth, effect, for_ever })
    }
}
