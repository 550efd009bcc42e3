//! Traits that the media of this module share.

use kv_core::{Crash, MemoryCheckpointMedium, MemoryLogMedium};

use crate::vfs::{Fault, Files};

/// The medium that a backend is kept on.
pub trait Medium {
    /// Becomes what is left if the process is killed now.
    fn kill(&mut self);
}

/// A medium that holds files.
pub trait FileMedium: Medium {
    fn fail(&self, fault: Fault);

    fn heal(&self);

    /// How many operations have failed because of a fault.
    fn failures(&self) -> u64;

    fn files(&self) -> Files;

    fn restore(&mut self, files: &Files);
}

impl Medium for MemoryLogMedium {
    fn kill(&mut self) {
        *self = self.after(Crash::Killed);
    }
}

impl Medium for MemoryCheckpointMedium {
    fn kill(&mut self) {
        *self = self.after_crash();
    }
}
