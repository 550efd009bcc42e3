//! Why a command failed.

use std::io;

use kv_store::Error;

use crate::exit::{Exit, advice};

/// A failed command: an exit code and one line that says what failed, why, and what to do next.
#[derive(Debug)]
pub enum Failure {
    /// Something that was asked for is absent.
    Absent(String),
    /// The command line is wrong, in a way that shows only when the command runs.
    Usage(String),
    /// The input was refused.
    Refused(String),
    /// The data is damaged.
    Damaged(String),
    /// The store failed while doing `what`.
    Store { what: String, source: Error },
    /// An I/O error outside of the store: in another file, in a pipe or in a child process.
    Io { what: String, source: io::Error },
    /// A signal has asked for the end. What was done is in `line`.
    Interrupted { line: String, signal: i32 },
    /// Writing to stdout failed.
    Output(io::Error),
}

impl Failure {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Absent(_) => Exit::Absent,
            Self::Usage(_) => Exit::Usage,
            Self::Refused(_) => Exit::Refused,
            Self::Damaged(_) => Exit::Damaged,
            Self::Store { source, .. } => source.into(),
            // The reader has seen enough.
            Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            // The signal itself ends the process, so this code is not seen.
            Self::Interrupted { .. } | Self::Io { .. } | Self::Output(_) => Exit::Io,
        }
    }

    /// The same, with where it happened before it.
    pub fn at(self, place: &str) -> Self {
        let placed = |text: String| format!("{place}: {text}");
        match self {
            Self::Absent(text) => Self::Absent(placed(text)),
            Self::Usage(text) => Self::Usage(placed(text)),
            Self::Refused(text) => Self::Refused(placed(text)),
            Self::Damaged(text) => Self::Damaged(placed(text)),
            Self::Store { what, source } => Self::Store { what: placed(what), source },
            Self::Io { what, source } => Self::Io { what: placed(what), source },
            Self::Interrupted { line, signal } => Self::Interrupted { line: placed(line), signal },
            Self::Output(error) => Self::Output(error),
        }
    }

    /// The line to print; `None` if the command is to end quietly.
    pub fn line(&self) -> Option<String> {
        match self {
            Self::Absent(text) | Self::Usage(text) | Self::Refused(text) | Self::Damaged(text) => Some(text.clone()),
            Self::Interrupted { line, .. } => Some(line.clone()),
            Self::Store { what, source } => Some(explain(what, source)),
            Self::Io { what, source } => Some(format!("{what}: {source}")),
            Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Output(e) => Some(format!("cannot write to stdout: {e}")),
        }
    }
}

/// `what: error: its cause: its cause; what to do next`, on one line.
pub fn explain(what: &str, error: &Error) -> String {
    let advice = advice(error).map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{what}: {}{advice}", error.chain()).replace('\n', " ")
}

/// Adds to an error what was being done.
pub trait Context<T> {
    /// Turns an error into a [`Failure`] that says what was being done.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> Context<T> for kv_store::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|source| Failure::Store { what: what(), source })
    }
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|source| Failure::Io { what: what(), source })
    }
}
