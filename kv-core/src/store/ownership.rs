//! Checks whether this process may write to the store. The check comes before any lock is taken,
//! because in a child made by `fork`, a lock may stay held for ever by a thread that exists only in
//! the parent.

use std::sync::{Arc, OnceLock};

use super::Shared;
use crate::{Error, Owner, Result, background::Wake};

/// The store's owner, and whether it has lost the medium.
pub(super) struct Ownership {
    owner: Option<Arc<dyn Owner>>,
    /// Why this process must not write any more. Once set, it stays.
    lost: OnceLock<Arc<Error>>,
}

impl Ownership {
    pub(super) fn new(owner: Option<Arc<dyn Owner>>) -> Self {
        Self { owner, lost: OnceLock::new() }
    }

    /// Fails in a child of the process that opened the store.
    pub(super) fn check(&self) -> Result<()> {
        self.owner.as_ref().map_or(Ok(()), |owner| owner.check())
    }

    /// Fails if this process must not write.
    pub(super) fn check_writable(&self) -> Result<()> {
        self.check()?;
        self.lost.get().map_or(Ok(()), |cause| Err(Error::Poisoned { cause: Arc::clone(cause) }))
    }

    /// Has the owner check whether the medium is still its own. If it is not, that is final.
    fn confirm(&self) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        owner.confirm().or_else(|cause| {
            let _ = self.lost.set(Arc::new(cause));
            self.check_writable()
        })
    }
}

/// A background job of this store. Dropping the handle ends the job.
pub(super) struct JobHandle(Option<Box<dyn Wake>>);

impl JobHandle {
    pub(super) fn new(job: Box<dyn Wake>) -> Self {
        Self(Some(job))
    }

    /// # Errors
    /// As [`Wake::wake`].
    pub(super) fn wake(&self) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |job| job.wake())
    }

    /// Gives up the job without ending it. In a child the job's thread does not exist, so it cannot
    /// be joined.
    pub(super) fn leave(&mut self) {
        std::mem::forget(self.0.take());
    }
}

impl Shared {
    /// Fails in a child of the process that opened the store.
    pub(super) fn check_owner(&self) -> Result<()> {
        self.ownership.check()
    }

    /// Fails if the medium no longer belongs to this process. Called before the first write and
    /// before each checkpoint.
    pub(super) fn confirm_owner(&self) -> Result<()> {
        self.ownership.confirm()
    }
}
