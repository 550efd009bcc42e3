//! A durable, segmented, group-committing log of opaque records.

#![forbid(unsafe_code)]

mod buffer;
mod bytes;
mod dump;
mod error;
mod file;
mod frame;
mod log;
mod mark;
mod mark_file;
mod names;
mod open;
mod options;
mod poison;
mod proof;
mod reader;
mod recovery;
mod scanner;
mod seal;
mod segment;
mod shared;
mod state;
mod survey;
mod trim;
mod verify;

pub use dump::dump;
pub use log::SegmentedLog;
pub use options::Options;
pub use recovery::{Recovery, Torn};
pub use verify::{is_blank, verify};
