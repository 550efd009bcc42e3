//! Backends in memory, for tests and for data that may end with the process. They keep every
//! guarantee of their traits. If you write a backend of your own, read these first.

mod checkpoint_medium;
mod checkpointer;
mod log;
mod log_medium;

pub use checkpoint_medium::{CheckpointDamage, MemoryCheckpointMedium};
pub use checkpointer::MemoryCheckpointer;
pub use log::MemoryLog;
pub use log_medium::{Crash, MemoryLogMedium};
