//! How operations are carried out: as the faults want it.

use std::{io, path::Path};

use kv_vfs::{Error, Result};

use super::{
    Damage,
    disk::{Inner, SimDisk},
    state::{NodeId, State},
};
use crate::vfs::{Effect, Event, Failure, Injected, Kind};

impl SimDisk {
    /// Does an operation, as the faults want it.
    pub(super) fn run<T>(
        &self,
        event: &Event,
        path: &Path,
        run: impl FnOnce(&mut State, Manner) -> Result<T, io::ErrorKind>,
    ) -> Result<T> {
        let mut inner = self.lock();
        let error = |source: io::Error| Error::new(event.kind.verb(), path, source);
        let failure = match inner.begin(event) {
            Some(failure) => Some(failure),
            None if inner.lies && is_sync(event.kind) => {
                Some(Failure { error: io::ErrorKind::Other, effect: Effect::Pretends })
            }
            None => None,
        };
        let (manner, fails) =
            failure.as_ref().map_or((Some(Manner::Whole), false), |failure| manner(event.kind, &failure.effect));
        let result = manner.map(|manner| run(&mut inner.state, manner));
        let failed = fails || matches!(result, Some(Err(_)));
        inner.note(event, if failed { " failed" } else { "" });
        match (failure, result) {
            (_, Some(Err(kind))) => Err(error(kind.into())),
            (_, Some(Ok(value))) if !fails => Ok(value),
            (failure, _) => {
                inner.failures += 1;
                let kind = failure.map_or(io::ErrorKind::Other, |failure| failure.error);
                Err(error(io::Error::new(kind, Injected)))
            }
        }
    }

    /// Takes a lock until the returned value is dropped; `None` if it is taken.
    pub(super) fn try_lock(&self, directory: NodeId, name: &str) -> Option<Held> {
        let key = (directory, name.to_owned());
        let taken = self.lock().locks.insert(key.clone());
        taken.then(|| Held { disk: self.clone(), key })
    }

    pub(super) fn closed(&self, node: NodeId) {
        self.lock().state.close(node);
    }
}

/// How an operation is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Whole,
    /// A write, of the first half of its bytes.
    Half,
    /// A write, of none of its bytes.
    Nothing,
    /// A write that only makes the file longer.
    Enlarging,
    /// A read, of what is damaged so.
    Damaged(Damage),
    /// A sync that drops what it should write.
    Forgetting,
    /// A sync that does nothing.
    Pretending,
}

/// How an operation with that fault is carried out, if it is, and whether it fails.
fn manner(kind: Kind, effect: &Effect) -> (Option<Manner>, bool) {
    match effect {
        Effect::Tears if kind == Kind::Write => (Some(Manner::Half), true),
        Effect::Shortens if kind == Kind::Write => (Some(Manner::Half), false),
        Effect::TakesNothing if kind == Kind::Write => (Some(Manner::Nothing), false),
        Effect::Enlarges if matches!(kind, Kind::Write | Kind::SetLen) => (Some(Manner::Enlarging), true),
        Effect::Damages(damage) if matches!(kind, Kind::Read | Kind::Map) => {
            (Some(Manner::Damaged(damage.clone())), false)
        }
        Effect::Forgets if kind == Kind::Sync => (Some(Manner::Forgetting), true),
        Effect::Pretends if is_sync(kind) => (Some(Manner::Pretending), false),
        _ => (None, true),
    }
}

fn is_sync(kind: Kind) -> bool {
    matches!(kind, Kind::Sync | Kind::SyncDirectory)
}

/// A lock that is taken.
pub(super) struct Held {
    disk: SimDisk,
    key: (NodeId, String),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.lock().locks.remove(&self.key);
    }
}

impl Inner {
    /// Counts the operation, keeps the moment before it, and says what makes it fail.
    fn begin(&mut self, event: &Event) -> Option<Failure> {
        let changes = event.kind.changes() || event.kind == Kind::Lock;
        if changes && self.recording.is_some() {
            let moment = self.moment(event.to_string());
            self.recording.get_or_insert_default().push(moment);
        }
        self.operations += 1;
        if self.operations > self.stop_at {
            return Some(Failure { error: io::ErrorKind::Other, effect: Effect::Fails });
        }
        let failure = self.faults.iter_mut().find_map(|fault| fault.meet(event));
        failure.filter(|failure| !failure.is_repeated(event.kind))
    }

    fn note(&mut self, event: &Event, outcome: &str) {
        if event.kind.changes() {
            self.trace.push_str(&format!("{event}{outcome}\n"));
        }
    }
}
