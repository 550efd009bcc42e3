//! Writing: new files, each under a temporary name until it is complete and verified.

pub(crate) mod changes;
mod index;
pub(crate) mod merge;
pub(crate) mod new_file;
pub(crate) mod new_part;
mod output;
pub(crate) mod pace;
pub(crate) mod part_writer;
pub(crate) mod steps;
