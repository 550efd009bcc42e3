use std::{fmt, io};

use super::{Event, Kind};
use crate::sim::Damage;

/// A failure to inject: the operations that it applies to, the first of them that fails, and what
/// they return.
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
    /// Whether what has failed fails again if it is repeated at once.
    outlasts_repeating: bool,
    /// Whether operations that only read fail for lack of memory, after which nothing is repeated.
    is_never_repeated: bool,
    /// What has failed last, until it is repeated or something else is done.
    failed: Option<Event>,
    effect: FaultEffect,
    error: io::ErrorKind,
}

/// The failure of one operation.
#[derive(Clone, Debug)]
pub(crate) struct InjectedFailure {
    pub error: io::ErrorKind,
    pub effect: FaultEffect,
}

/// What a fault does to an operation.
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
    /// Whether the file layer repeats the operation, so that its caller does not see the failure.
    /// It repeats interrupted operations, except for kinds that are never repeated.
    pub fn is_repeated(&self, kind: Kind) -> bool {
        use Kind::{Create, Lock, Open, OpenDirectory, Read, Write};
        let interrupted = self.error == io::ErrorKind::Interrupted && self.effect == FaultEffect::Fails;
        interrupted && matches!(kind, Create | Lock | Open | OpenDirectory | Read | Write)
    }
}

impl Fault {
    /// Applies to the operations for which `matches` holds. The first of them fails, once, with
    /// EIO.
    pub fn when(matches: impl Fn(&Event) -> bool + Send + 'static) -> Self {
        Self {
            matches: Box::new(matches),
            pass: 0,
            repeats: false,
            spent: false,
            outlasts_repeating: false,
            is_never_repeated: false,
            failed: None,
            effect: FaultEffect::Fails,
            error: io::ErrorKind::Other,
        }
    }

    /// Applies to operations of this kind.
    pub fn on(kind: Kind) -> Self {
        Self::when(move |event| event.kind == kind)
    }

    /// Applies to operations that change the disk.
    pub fn on_changes() -> Self {
        Self::when(|event| event.kind.changes())
    }

    /// Applies to operations that [only read](Kind::only_reads) a file.
    pub fn on_reads() -> Self {
        Self::when(|event| event.kind.only_reads())
    }

    /// Applies to every operation.
    pub fn on_any() -> Self {
        Self::when(|_| true)
    }

    /// Applies only to files and directories whose path, or new path, contains `part`.
    #[must_use]
    pub fn of(self, part: impl Into<String>) -> Self {
        let part = part.into();
        let matches = self.matches;
        Self {
            matches: Box::new(move |event| (event.path.contains(&part) || event.to.contains(&part)) && matches(event)),
            ..self
        }
    }

    /// The n-th matching operation from now fails instead of the first; counted from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { pass: n.saturating_sub(1), ..self }
    }

    /// An operation that fails also fails when it is repeated at once.
    #[must_use]
    pub fn outlasts_repeating(self) -> Self {
        Self { outlasts_repeating: true, ..self }
    }

    /// Reads (what [only reads](Kind::only_reads)) fail for lack of memory, so a backend does not
    /// repeat them: it may do that only for what the medium did not give. Everything else fails as
    /// usual, and must not be repeated either.
    #[must_use]
    pub fn never_repeated(self) -> Self {
        Self { is_never_repeated: true, ..self }
    }

    /// Every matching operation after the first failure fails too.
    #[must_use]
    pub fn for_ever(self) -> Self {
        Self { repeats: true, ..self }
    }

    /// The operations fail with an error of this kind; [`io::ErrorKind::Other`] stands for EIO. The
    /// file layer repeats an open, read or write that is
    /// [interrupted](io::ErrorKind::Interrupted), so its caller does not see the failure; it never
    /// repeats a sync.
    #[must_use]
    pub fn with(self, error: io::ErrorKind) -> Self {
        Self { error, ..self }
    }

    /// A failing write writes the first half of its bytes.
    #[must_use]
    pub fn torn(self) -> Self {
        Self { effect: FaultEffect::Tears, ..self }
    }

    /// A read gives, or a write takes, the first half of its bytes and reports that, without an
    /// error. Only on a [`SimDisk`](crate::sim::SimDisk); elsewhere it fails.
    #[must_use]
    pub fn short(self) -> Self {
        Self { effect: FaultEffect::Shortens, ..self }
    }

    /// A write takes nothing and reports that, without an error. Only on a
    /// [`SimDisk`](crate::sim::SimDisk); elsewhere it fails.
    #[must_use]
    pub fn empty(self) -> Self {
        Self { effect: FaultEffect::TakesNothing, ..self }
    }

    /// A write or a change of length fails, but leaves the file as long as if it had succeeded,
    /// with zeroes in the new part, like an allocation that runs out of space. Only on a
    /// [`SimDisk`](crate::sim::SimDisk); elsewhere it just fails.
    #[must_use]
    pub fn enlarging(self) -> Self {
        Self { effect: FaultEffect::Enlarges, ..self }
    }

    /// Data is damaged as it is read or mapped, but not on the disk: a bit flips in transit, or a
    /// read is misdirected. Only on a [`SimDisk`](crate::sim::SimDisk); elsewhere it fails.
    #[must_use]
    pub fn damaged(self, damage: Damage) -> Self {
        Self { effect: FaultEffect::Damages(damage), ..self }
    }

    /// A failing sync drops the data it should have written. Readers still see the data until the
    /// cache is dropped or the power is cut, and a later sync succeeds without it. Linux's file
    /// systems behave like this. Only on a [`SimDisk`](crate::sim::SimDisk); elsewhere it just
    /// fails.
    #[must_use]
    pub fn forgetful(self) -> Self {
        Self { effect: FaultEffect::Forgets, ..self }
    }

    /// A sync succeeds without doing anything. Only on a [`SimDisk`](crate::sim::SimDisk);
    /// elsewhere it fails.
    #[must_use]
    pub fn pretended(self) -> Self {
        Self { effect: FaultEffect::Pretends, ..self }
    }

    /// The failure of this operation; `None` if the fault does not apply, or is used up.
    pub(crate) fn meet(&mut self, event: &Event) -> Option<InjectedFailure> {
        let is_out_of_memory = self.is_never_repeated && event.kind.only_reads();
        let error = if is_out_of_memory { io::ErrorKind::OutOfMemory } else { self.error };
        let failure = InjectedFailure { error, effect: self.effect.clone() };
        if self.failed.take().is_some_and(|failed| failed == *event) {
            return Some(failure);
        }
        if self.spent || !(self.matches)(event) {
            return None;
        }
        if self.pass > 0 {
            self.pass -= 1;
            return None;
        }
        self.spent = !self.repeats;
        self.failed = self.outlasts_repeating.then(|| event.clone());
        Some(failure)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("pass", &self.pass)
            .field("repeats", &self.repeats)
            .field("spent", &self.spent)
            .field("outlasts_repeating", &self.outlasts_repeating)
            .field("is_never_repeated", &self.is_never_repeated)
            .field("failed", &self.failed)
            .field("effect", &self.effect)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
