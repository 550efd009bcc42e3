//! The section of that name in `docs/durability.md` lists the assumptions. The format relies on two
//! of them in particular: writing one block does not disturb another, and after a failed flush
//! nothing is known about what was written. So the first failed write or flush of a segment in use,
//! of the mark, or of the directory is final. The identities of segments also rely on random
//! numbers that do not repeat.

#![forbid(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("kv needs a target with 64-bit pointers: it holds file sizes in `usize`");

mod dump;
mod error;
mod format;
mod log;
mod mark_file;
mod open;
mod options;
mod reader;
mod recovery;
mod segment_file;
mod sync;
mod write;

pub use dump::dump;
pub use log::SegmentedLog;
pub use options::Options;
pub use recovery::{LogRecovery, TornTail, is_blank, verify};
