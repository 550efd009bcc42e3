//! The report of a state in which a check panics.

use std::fmt;

use super::{
    super::{CrashChoice, Moment},
    panics::{Caught, Panic},
};

/// A state in which a check panicked; for a crash after a crash, both states.
#[derive(Clone, Debug)]
pub(super) struct FailureReport {
    /// In the form that `KV_CRASH_REPLAY` accepts.
    replay: String,
    /// Describes what the crash lost or tore.
    lost: String,
    before: String,
    found_as: String,
    said: String,
}

/// Why a check panicked.
pub(super) enum Cause {
    Panic(Panic),
    /// The exploration of crashes after this crash has failed.
    Again(FailureReport),
}

impl Cause {
    pub fn of(caught: Caught) -> Self {
        match caught.payload.downcast::<FailureReport>() {
            Ok(failure) => Self::Again(*failure),
            Err(_) => Self::Panic(caught.panic.unwrap_or_default()),
        }
    }
}

impl FailureReport {
    pub fn new(name: &str, moment: &Moment, found: &CrashChoice, choice: &CrashChoice, panic: &Panic) -> Self {
        Self {
            replay: entry(name, moment, choice),
            lost: moment.disk.losses(choice),
            before: moment.next.clone(),
            found_as: found.to_string(),
            said: panic.to_string(),
        }
    }

    /// The same report, with a crash that came before this one.
    #[must_use]
    pub fn after(self, name: &str, moment: &Moment, choice: &CrashChoice) -> Self {
        Self { replay: format!("{},{}", entry(name, moment, choice), self.replay), ..self }
    }

    pub fn display(&self, seed: u64) -> impl fmt::Display {
        let Self { replay, lost, before, found_as, said } = self;
        let moment = if before.is_empty() { "at the end" } else { &format!("before: {before}") };
        let lost = if lost.is_empty() { "nothing" } else { lost };
        format!(
            "{said}\nin the state KV_CRASH_SEED={seed} KV_CRASH_REPLAY='{replay}'\n({moment}; lost: {lost}; found as {found_as})"
        )
    }
}

fn entry(name: &str, moment: &Moment, choice: &CrashChoice) -> String {
    format!("{name}@{}:{choice}", moment.operation)
}
