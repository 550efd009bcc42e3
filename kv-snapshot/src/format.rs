//! The formats: what the files are called and what is in them. No module here does I/O.

pub(crate) mod block;
pub(crate) mod codec;
pub(crate) mod content;
pub(crate) mod entry;
pub(crate) mod index;
pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod part;
pub(crate) mod section;
pub(crate) mod tree;
