//! What is said of a state in which a check panics.

use std::fmt;

use super::{
    super::{CrashChoice, Moment},
    panics::{Caught, Panic},
};

/// A state in which a check panicked; of a crash after a crash, both.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// As `KV_CRASH_REPLAY` takes it.
    replay: String,
    before: String,
    shrunk_from: Option<CrashChoice>,
    said: String,
}

/// What a check panicked with.
pub(super) enum Cause {
    Panic(Panic),
    /// The exploration of crashes after this crash has failed.
    Again(Failure),
}

impl Cause {
    pub fn of(caught: Caught) -> Self {
        match caught.payload.downcast::<Failure>() {
            Ok(failure) => Self::Again(*failure),
            Err(_) => Self::Panic(caught.panic.unwrap_or_default()),
        }
    }
}

impl Failure {
    pub fn new(name: &str, moment: &Moment, choice: &CrashChoice, panic: &Panic) -> Self {
        Self {
            replay: entry(name, moment, choice),
            before: moment.next.clone(),
            shrunk_from: None,
            said: panic.to_string(),
        }
    }

    #[must_use]
    pub fn shrunk_from(self, choice: CrashChoice) -> Self {
        Self { shrunk_from: Some(choice), ..self }
    }

    /// The same, after a crash that came first.
    #[must_use]
    pub fn after(self, name: &str, moment: &Moment, choice: &CrashChoice) -> Self {
        Self { replay: format!("{},{}", entry(name, moment, choice), self.replay), ..self }
    }

    pub fn display(&self, seed: u64) -> impl fmt::Display {
        let Self { replay, before, shrunk_from, said } = self;
        let shrunk = shrunk_from.as_ref().map(|choice| format!(", shrunk from {choice}")).unwrap_or_default();
        let before = if before.is_empty() { "at the end" } else { &format!("before: {before}") };
        format!("{said}\nin the state KV_CRASH_SEED={seed} KV_CRASH_REPLAY='{replay}' ({before}{shrunk})")
    }
}

fn entry(name: &str, moment: &Moment, choice: &CrashChoice) -> String {
    format!("{name}@{}:{choice}", moment.operation)
}
