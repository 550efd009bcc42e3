//! Every operation of the reference workload fails, in every way in which it may.

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
    sim::SimDisk,
    vfs::{Fault, Kind},
};

use crate::{
    finding::{Findings, Verdict},
    known::Known,
    trial::Trial,
    workload::{Life, reference},
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
    /// A write fails when it has taken half of its bytes.
    Torn,
    /// A sync fails and drops what it should have written, which readers go on to see.
    Forgets,
}

const EFFECTS: [(Effect, &str); 6] = [
    (Effect::Eio, "eio"),
    (Effect::Enospc, "enospc"),
    (Effect::Eintr, "eintr"),
    (Effect::Short, "short"),
    (Effect::Torn, "torn"),
    (Effect::Forgets, "forgets"),
];

impl Effect {
    fn meets(self, kind: Kind) -> bool {
        use Kind::{Create, CreateDirectory, Lock, Rename, SetLen, Sync, SyncDirectory, Write};
        match self {
            Self::Eio => true,
            Self::Enospc => {
                matches!(kind, Create | CreateDirectory | Lock | Rename | SetLen | Sync | SyncDirectory | Write)
            }
            // Interrupted opens, reads and writes are repeated where nobody sees it.
            Self::Eintr => matches!(kind, Sync | SyncDirectory),
            Self::Short | Self::Torn => kind == Write,
            Self::Forgets => kind == Sync,
        }
    }
}

/// A failure: of which operation, counted from 1, how, and whether of all such ones after it too.
#[derive(Clone, Copy, Debug)]
pub struct Case {
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
            Effect::Torn => fault.torn(),
            Effect::Forgets => fault.forgetful(),
        };
        if self.for_ever { fault.for_ever() } else { fault }
    }

    pub fn run(&self, seed: u64, findings: &Findings) {
        let disk = SimDisk::new(seed);
        disk.fail(self.fault());
        let mut trial = Trial::new(findings, self, disk, is_right);
        trial.life.known.kernel_forgets = self.effect == Effect::Forgets;
        findings.run(self, || trial.run(&reference(seed), &mut |_, _| {}));
    }
}

/// All failures, the workload's operations being what they are on a disk that works.
pub fn cases(seed: u64) -> Verdict<Vec<Case>> {
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let disk = SimDisk::new(seed);
    let noted = Arc::clone(&kinds);
    disk.fail(Fault::when(move |event| {
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(event.kind);
        false
    }));
    Life::lead(&disk, Known::nothing(), &reference(seed))?;
    let kinds = std::mem::take(&mut *kinds.lock().unwrap_or_else(PoisonError::into_inner));
    let of = |(nth, kind): (u64, Kind)| {
        let effects = EFFECTS.into_iter().filter(move |(effect, _)| effect.meets(kind));
        effects.flat_map(move |(effect, _)| [false, true].map(|for_ever| Case { nth, effect, for_ever }))
    };
    Ok((1..).zip(kinds).flat_map(of).collect())
}

fn is_right(error: &Error) -> bool {
    matches!(error, Error::Io { .. } | Error::DiskFull { .. } | Error::Poisoned { .. } | Error::OutcomeUnknown { .. })
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = EFFECTS.iter().find(|(effect, _)| *effect == self.effect).map_or("", |(_, name)| name);
        write!(f, "fault@{}:{name}:{}", self.nth, if self.for_ever { "ever" } else { "once" })
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
        Ok(Self { nth, effect, for_ever })
    }
}
