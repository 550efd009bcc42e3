use std::{fmt, io};

use super::{Event, Kind};
use crate::sim::Damage;

/// A failure that is going to happen: which operations it meets, from which of them on, and what they give.
///
/// ```
/// use std::io::ErrorKind;
/// use kv_testkit::vfs::{Fault, Kind};
///
/// // The third sync fails, and each one after it.
/// let fault = Fault::on(Kind::Sync).nth(3).for_ever();
/// // There is no space for new files whose names have "segment" in them.
/// let fault = Fault::on(Kind::Create).of("segment").for_ever().with(ErrorKind::StorageFull);
/// ```
pub struct Fault {
    matches: Box<dyn Fn(&Event) -> bool + Send>,
    /// How many more matching operations succeed before the first failure.
    pass: u64,
    repeats: bool,
    spent: bool,
    effect: FaultEffect,
    error: io::ErrorKind,
}

/// What a fault does to an operation that it meets.
#[derive(Clone, Debug)]
pub(crate) struct InjectedFailure {
    pub error: io::ErrorKind,
    pub effect: FaultEffect,
}

/// What becomes of an operation that a fault meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultEffect {
    Fails,
    Tears,
    Shortens,
    TakesNothing,
    Enlarges,
    Forgets,
    Pretends,
    Damages(Damage),
}

impl InjectedFailure {
    /// Whether the file layer repeats the operation, so that nobody sees the failure: it was interrupted, and is none of those that are never
    /// repeated.
    pub fn is_repeated(&self, kind: Kind) -> bool {
        use Kind::{Create, Lock, Open, OpenDirectory, Read, Write};
        let interrupted = self.error == io::ErrorKind::Interrupted && self.effect == FaultEffect::Fails;
        interrupted && matches!(kind, Create | Lock | Open | OpenDirectory | Read | Write)
    }
}

impl Fault {
    /// Meets the operations for which `matches` holds: the first of them fails, once, with [`io::ErrorKind::Other`].
    pub fn when(matches: impl Fn(&Event) -> bool + Send + 'static) -> Self {
        Self {
            matches: Box::new(matches),
            pass: 0,
            repeats: false,
            spent: false,
            effect: FaultEffect::Fails,
            error: io::ErrorKind::Other,
        }
    }

    /// Meets operations of that kind.
    pub fn on(kind: Kind) -> Self {
        Self::when(move |event| event.kind == kind)
    }

    /// Meets operations that change the disk.
    pub fn on_changes() -> Self {
        Self::when(|event| event.kind.changes())
    }

    /// Meets every operation.
    pub fn on_any() -> Self {
        Self::when(|_| true)
    }

    /// Meets only those of files and directories whose path, or new path, contains `part`.
    #[must_use]
    pub fn of(self, part: impl Into<String>) -> Self {
        let part = part.into();
        let matches = self.matches;
        Self {
            matches: Box::new(move |event| (event.path.contains(&part) || event.to.contains(&part)) && matches(event)),
            ..self
        }
    }

    /// The n-th operation from now that it meets fails, instead of the first; counted from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { pass: n.saturating_sub(1), ..self }
    }

    /// Every one after the first failure fails too.
    #[must_use]
    pub fn for_ever(self) -> Self {
        Self { repeats: true, ..self }
    }

    /// The operations fail with an error of that kind. An open, read or write that is [interrupted](io::ErrorKind::Interrupted) is repeated by
    /// the file layer, so that nobody sees it; a sync is not.
    #[must_use]
    pub fn with(self, error: io::ErrorKind) -> Self {
        Self { error, ..self }
    }

    /// A write that fails has written the first half of its bytes.
    #[must_use]
    pub fn torn(self) -> Self {
        Self { effect: FaultEffect::Tears, ..self }
    }

    /// A write takes the first half of its bytes and says so, without an error. On a [`SimDisk`](crate::sim::SimDisk); elsewhere it fails.
    #[must_use]
    pub fn short(self) -> Self {
        Self { effect: FaultEffect::Shortens, ..self }
    }

    /// A write takes nothing and says so, without an error. On a [`SimDisk`](crate::sim::SimDisk); elsewhere it fails.
    #[must_use]
    pub fn empty(self) -> Self {
        Self { effect: FaultEffect::TakesNothing, ..self }
    }

    /// A write that fails, or a length that cannot be set, leaves the file as long as if it had succeeded, with zeroes where nothing is: as an
    /// allocation may that finds no space. On a [`SimDisk`](crate::sim::SimDisk); elsewhere it only fails.
    #[must_use]
    pub fn enlarging(self) -> Self {
        Self { effect: FaultEffect::Enlarges, ..self }
    }

    /// What is read or mapped is damaged so, while what is on the disk is not: a bit that flips on the way, a read that goes astray. On a
    /// [`SimDisk`](crate::sim::SimDisk); elsewhere it fails.
    #[must_use]
    pub fn damaged(self, damage: Damage) -> Self {
        Self { effect: FaultEffect::Damages(damage), ..self }
    }

    /// A sync that fails drops what it should have written: readers go on to see it, until the cache is dropped or the power cut, and
    /// a later sync succeeds without it. So do Linux's file systems. On a [`SimDisk`](crate::sim::SimDisk); elsewhere it only fails.
    #[must_use]
    pub fn forgetful(self) -> Self {
        Self { effect: FaultEffect::Forgets, ..self }
    }

    /// A sync succeeds without having been done. On a [`SimDisk`](crate::sim::SimDisk); elsewhere it fails.
    #[must_use]
    pub fn pretended(self) -> Self {
        Self { effect: FaultEffect::Pretends, ..self }
    }

    /// What happens to the operation. `None` if it does not, or the fault is over.
    pub(crate) fn meet(&mut self, event: &Event) -> Option<InjectedFailure> {
        if self.spent || !(self.matches)(event) {
            return None;
        }
        if self.pass > 0 {
            self.pass -= 1;
            return None;
        }
        self.spent = !self.repeats;
        Some(InjectedFailure { error: self.error, effect: self.effect.clone() })
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { matches: _, pass, repeats, spent, effect, error } = self;
        write!(f, "Fault {{ pass: {pass}, repeats: {repeats}, spent: {spent}, effect: {effect:?}, error: {error} }}")
    }
}
