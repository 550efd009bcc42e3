//! What the bytes on the disk mean, and how the files are named. Format only, no I/O.

pub(crate) mod frame;
pub(crate) mod mark;
pub(crate) mod names;
pub(crate) mod segment;
pub(crate) mod zeroes;
