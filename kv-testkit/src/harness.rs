//! Harnesses for the suites. Each is made from the function that opens a backend.
//!
//! | made by | the medium | suites |
//! |---|---|---|
//! | [`on_disk`] | a [`SimDisk`](crate::sim::SimDisk) | all suites for logs; those for checkpointers except damage |
//! | [`in_directory`] | a directory of the operating system | all except power cuts and space; checkpointers: also without damage |
//! | [`in_memory`] | the media of kv-core's backends in memory | all except damage to the files of a log |
//!
//! A backend on another medium (a service, a device) implements the harness traits of
//! [`log`](crate::log) or [`checkpointer`](crate::checkpointer) for a type of its own.

mod checkpointer;
mod directory;
mod log;
mod medium;
mod simulated;

use std::{fmt, path::Path, sync::Arc};

use kv_core::Result;
use kv_vfs::Vfs;

pub use directory::Directory;
use medium::FileMedium;
pub use simulated::Simulated;

use crate::vfs::Files;

/// A harness on a simulated disk, see [`on_disk`].
pub type OnDisk<T> = Harness<Simulated, T>;
/// A harness in a directory of the operating system, see [`in_directory`].
pub type InDirectory<T> = Harness<Directory, T>;

type Open<M, T> = Box<dyn FnMut(&mut M) -> Result<T>>;

/// A medium, and how a backend `T` is opened on it. It implements each harness trait that the
/// medium supports.
pub struct Harness<M, T> {
    medium: M,
    open: Open<M, T>,
    /// A part of the paths of the files that hold records.
    records_in: String,
    /// How many operations had failed when the last failure was requested.
    failures_before: Option<u64>,
}

/// A harness on a new [`SimDisk`](crate::sim::SimDisk), which loses power, fails, fills up and
/// rots. `open` opens the backend in its top directory, and creates it at the first call.
///
/// The example of the [guide](crate) runs all suites for logs on it.
pub fn on_disk<T>(mut open: impl FnMut(Arc<dyn Vfs>) -> Result<T> + 'static) -> OnDisk<T> {
    Harness::new(Simulated::new(), move |medium| open(medium.disk().vfs()))
}

/// A harness on files of the operating system, in new directories below `parent`. The harness keeps
/// `parent` alive, so it can be a `tempfile::TempDir`. `open` opens the backend in a directory, and
/// creates it at the first call.
///
/// # Panics
/// If another harness has its directories below `parent`, since both would number them from 0.
pub fn in_directory<T>(
    parent: impl AsRef<Path> + 'static,
    mut open: impl FnMut(Arc<dyn Vfs>) -> Result<T> + 'static,
) -> InDirectory<T> {
    Harness::new(Directory::new(parent), move |medium| open(medium.vfs()))
}

/// A harness on a medium in memory: a [`MemoryLogMedium`](kv_core::MemoryLogMedium) or a
/// [`MemoryCheckpointMedium`](kv_core::MemoryCheckpointMedium). `open` opens the backend on it, for
/// example one that wraps a [`MemoryLog`](kv_core::MemoryLog).
///
/// ```
/// use kv_core::{MemoryLog, MemoryLogMedium};
/// use kv_testkit::harness::in_memory;
///
/// kv_testkit::log_suite!(my_log, || in_memory(MemoryLogMedium::new(), |medium| MemoryLog::open(medium)));
/// # let mut harness = in_memory(MemoryLogMedium::new(), |medium| MemoryLog::open(medium));
/// # kv_testkit::log::cases::l1_dense_positions(&mut harness);
/// ```
pub fn in_memory<M, T>(medium: M, open: impl FnMut(&mut M) -> Result<T> + 'static) -> Harness<M, T> {
    Harness::new(medium, open)
}

impl<M, T> Harness<M, T> {
    fn new(medium: M, open: impl FnMut(&mut M) -> Result<T> + 'static) -> Self {
        Self { medium, open: Box::new(open), records_in: String::new(), failures_before: None }
    }

    /// The medium as it is now.
    pub fn medium(&self) -> &M {
        &self.medium
    }

    fn open_backend(&mut self) -> Result<T> {
        (self.open)(&mut self.medium)
    }
}

impl<M: FileMedium, T> Harness<M, T> {
    /// Names the files that hold records, by a part of their paths such as ".wal". When a suite
    /// makes a flush of records fail, only a flush of these files fails. By default, any flush may
    /// fail.
    #[must_use]
    pub fn records_in(self, part: impl Into<String>) -> Self {
        Self { records_in: part.into(), ..self }
    }

    /// Every file on the medium.
    pub fn files(&self) -> Files {
        self.medium.files()
    }

    /// Replaces the medium by one that holds exactly these files, all of them durable.
    pub fn restore(&mut self, files: &Files) {
        self.medium.restore(files);
    }
}

impl<M: fmt::Debug, T> fmt::Debug for Harness<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("medium", &self.medium).finish_non_exhaustive()
    }
}
