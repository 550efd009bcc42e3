//! A file layer for tests of file backends.

mod control;
mod copy;
mod event;
mod fault;
mod files;
mod wrapper;

pub(crate) use control::injected;
pub use copy::copy_directory;
pub use event::{Event, Kind};
pub use fault::Fault;
pub(crate) use fault::{FaultEffect, InjectedFailure};
pub use files::Files;
pub(crate) use files::{read_files, update_files, write_files};
pub use wrapper::TestVfs;
