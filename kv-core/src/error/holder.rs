use std::{fmt, process};

/// Who has a directory open: a part of [`Error::Locked`](crate::Error::Locked).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockHolder {
    /// A handle of this process, which is still alive: a store, a collection, a change feed or a
    /// commit. Closing a store does not end its handles.
    ThisProcess,
    /// Another process.
    Process {
        /// Its number, if that is known.
        id: Option<u32>,
    },
    /// Another process, which opened the directory through another mount. Its lock is not visible
    /// here, but a record in the directory names the process.
    OtherMount {
        /// Its number.
        id: u32,
    },
    /// Another process, or a handle of this one: the medium does not tell which.
    Unknown,
}

impl LockHolder {
    /// Whether it may help to wait until another process ends.
    pub fn is_another_process(&self) -> bool {
        matches!(self, Self::Process { .. } | Self::OtherMount { .. })
    }
}

/// The process of that number, which may be this one; [`Unknown`](LockHolder::Unknown) if there is
/// no number.
///
/// ```
/// use kv_core::LockHolder;
///
/// assert_eq!(LockHolder::from(Some(std::process::id())), LockHolder::ThisProcess);
/// assert_eq!(LockHolder::from(None), LockHolder::Unknown);
/// ```
impl From<Option<u32>> for LockHolder {
    fn from(id: Option<u32>) -> Self {
        match id {
            Some(id) if id == process::id() => Self::ThisProcess,
            Some(_) => Self::Process { id },
            None => Self::Unknown,
        }
    }
}

/// Displays as the rest of a sentence that begins with the directory. It says what holds the lock,
/// and what to do if this process can do something about it.
impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThisProcess => f.write_str(
                "is already open in this process: clone its handle to share it; to open it again, first drop every \
                 handle (stores, collections, change feeds and commits), even after `close`",
            ),
            Self::Process { id: Some(id) } => write!(f, "is in use by process {id}"),
            Self::Process { id: None } => f.write_str("is in use by another process"),
            Self::OtherMount { id } => {
                write!(f, "is in use by process {id}, through another mount, whose locks are not seen here")
            }
            Self::Unknown => f.write_str(
                "is in use by another process, or by a handle of this one that is still alive (a store, collection, \
                 change feed or commit)",
            ),
        }
    }
}
