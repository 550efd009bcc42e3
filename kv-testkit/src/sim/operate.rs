//! Running operations on the disk, with the faults that apply.

use std::{io, path::Path};

use kv_vfs::{Error, Result};

use super::{
    disk::{Inner, SimDisk},
    execution::{Execution, execution, is_sync},
    state::{NodeId, State},
};
use crate::vfs::{Event, FaultEffect, InjectedFailure, Kind, injected};

impl SimDisk {
    /// Runs an operation, with the faults that apply.
    pub(super) fn run<T>(
        &self,
        event: &Event,
        path: &Path,
        run: impl FnOnce(&mut State, Execution) -> Result<T, io::ErrorKind>,
    ) -> Result<T> {
        let mut inner = self.lock();
        let error = |source: io::Error| Error::new(event.kind.verb(), path, source);
        let failure = match inner.begin(event) {
            Some(failure) => Some(failure),
            None if inner.lies && is_sync(event.kind) => {
                Some(InjectedFailure { error: io::ErrorKind::Other, effect: FaultEffect::Pretends })
            }
            None => None,
        };
        let (execution, fails) =
            failure.as_ref().map_or((Some(Execution::Whole), false), |failure| execution(event.kind, &failure.effect));
        let result = execution.map(|execution| run(&mut inner.state, execution));
        let failed = fails || matches!(result, Some(Err(_)));
        inner.note(event, if failed { " failed" } else { "" });
        match (failure, result) {
            (_, Some(Err(kind))) => Err(error(kind.into())),
            (_, Some(Ok(value))) if !fails => Ok(value),
            (failure, _) => {
                inner.failures += 1;
                let kind = failure.map_or(io::ErrorKind::Other, |failure| failure.error);
                Err(error(injected(kind)))
            }
        }
    }

    /// Takes a lock until the returned value is dropped; `None` if it is taken.
    pub(super) fn try_lock(&self, directory: NodeId, name: &str) -> Option<HeldLock> {
        let key = (directory, name.to_owned());
        let taken = self.lock().locks.insert(key.clone());
        taken.then(|| HeldLock { disk: self.clone(), key })
    }

    pub(super) fn closed(&self, node: NodeId) {
        self.lock().state.close(node);
    }
}

/// A lock that is held until this is dropped.
pub(super) struct HeldLock {
    disk: SimDisk,
    key: (NodeId, String),
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.disk.lock().locks.remove(&self.key);
    }
}

impl Inner {
    /// Counts the operation, records the moment before it, and returns the failure to inject, if
    /// any.
    fn begin(&mut self, event: &Event) -> Option<InjectedFailure> {
        let changes = event.kind.changes() || event.kind == Kind::Lock;
        if changes && self.recording.is_some() {
            let moment = self.moment(event.to_string());
            self.recording.get_or_insert_default().push(moment);
        }
        self.operations += 1;
        if self.operations > self.stop_at {
            return Some(InjectedFailure { error: io::ErrorKind::Other, effect: FaultEffect::Fails });
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
