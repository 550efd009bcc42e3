//! Writing: new files, each under a temporary name until it is complete and verified.

mod index;
pub(crate) mod merge;
pub(crate) mod new_file;
mod output;
pub(crate) mod part_writer;
mod steps;
