//! Backends without files, for tests and for data that may end with the process. They keep every guarantee of their traits, and
//! are meant to be read by whoever writes a backend of their own.

mod checkpoint_medium;
mod checkpointer;
mod log;
mod log_medium;

pub use checkpoint_medium::{CheckpointDamage, MemoryCheckpointMedium};
pub use checkpointer::MemoryCheckpointer;
pub use log::MemoryLog;
pub use log_medium::{Crash, MemoryLogMedium};
