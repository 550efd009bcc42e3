//! A file layer for tests of file backends.

mod control;
mod copy;
mod event;
mod fault;
mod wrapper;

pub use copy::copy_directory;
pub use event::{Event, Kind};
pub use fault::Fault;
pub use wrapper::TestVfs;
