//! The bytes on the disk: what they mean, and the names of the files. Format only, no I/O.

pub(crate) mod bytes;
pub(crate) mod frame;
pub(crate) mod mark;
pub(crate) mod names;
pub(crate) mod segment;
