//! The engine of kv without a medium.

pub mod background;
mod checkpoint;
mod durability;
mod error;
mod limits;
mod log;
mod memory;
mod position;
mod value;

pub use checkpoint::{Change, Changes, Checkpoint, CheckpointHead, Checkpointer, CollectionInfo, Cursor};
pub use durability::Durability;
pub use error::{Error, Refusal, Result};
pub use limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX, Limits, NAME_BYTES_MAX, VALUE_BYTES_MAX};
pub use log::{Bounds, Log, LogReader, Record};
pub use memory::{CheckpointDamage, Crash, MemoryCheckpointMedium, MemoryCheckpointer, MemoryLog, MemoryLogMedium};
pub use position::{CheckpointId, CollectionId, Epoch, LogId, Lsn};
pub use value::Value;
