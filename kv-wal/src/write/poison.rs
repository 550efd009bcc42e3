//! Keeps the first failed write or flush of the log, which is final, and turns it into the error
//! for each caller.

use std::sync::Arc;

use kv_core::{Error, Result, event};

/// The first failure, once there is one. It is never cleared.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    cause: Option<Arc<Error>>,
}

impl Poison {
    /// Records the failure, unless there was an earlier one.
    pub(crate) fn set(&mut self, cause: Error) {
        if !self.is_set() {
            event!(ERROR, %cause, "the log has failed");
        }
        self.cause.get_or_insert_with(|| Arc::new(cause));
    }

    pub(crate) fn is_set(&self) -> bool {
        self.cause.is_some()
    }

    /// The error for a caller with something new to write: the call was not carried out.
    pub(crate) fn refuse(&self) -> Result<()> {
        self.cause.as_ref().map_or(Ok(()), |cause| Err(Error::Poisoned { cause: Arc::clone(cause) }))
    }

    /// The error for a caller whose record is appended but not durable: it may or may not be there
    /// after the next opening.
    pub(crate) fn unknown(&self) -> Result<()> {
        self.cause.as_ref().map_or(Ok(()), |cause| Err(Error::OutcomeUnknown { cause: Arc::clone(cause) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_stays() {
        let mut poison = Poison::default();
        assert!(!poison.is_set() && poison.refuse().is_ok() && poison.unknown().is_ok());
        poison.set(Error::Misuse("first".into()));
        poison.set(Error::Misuse("second".into()));
        for error in [poison.refuse(), poison.unknown()].map(Result::unwrap_err) {
            let (Error::Poisoned { cause } | Error::OutcomeUnknown { cause }) = error else { panic!("{error:?}") };
            assert_eq!(cause.to_string(), "misuse: first");
        }
    }
}
