//! The format on the disk: file names, the header of a segment, frames, and the mark. No module
//! here does I/O.

pub(crate) mod frame;
pub(crate) mod mark;
pub(crate) mod names;
pub(crate) mod segment;
pub(crate) mod zeroes;
