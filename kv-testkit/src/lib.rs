//! What it takes to test a kv backend: of ours, or your own.
//!
//! - [`log`] and [`checkpointer`]: suites that say whether a [`Log`](kv_core::Log) or [`Checkpointer`](kv_core::Checkpointer) keeps the
//!   numbered guarantees of its trait, with opening again, killed processes, failed I/O and threads in them;
//! - [`vfs::TestVfs`]: a file layer that notes what is done, fails where it is told to, and can be halted and copied;
//! - [`linearizability`]: whether what several threads saw of a store can have happened in some order;
//! - [`sim::SimDisk`]: a disk in memory that crashes in every way that file systems may, fails, lies, fills up and rots; and
//!   [`sim::Exploration`], which goes through the states that crashes leave of a workload. [Their guide](sim) shows how to test any code that keeps
//!   files;
//! - [`ManualScheduler`]: background work that runs when the test says so;
//! - [`recoverable`]: what an opening would make of a disk as it is at some moment;
//! - [`Model`]: what a store has to hold, as a map of maps, and [`store`]: comparing the two, step by step.
//!
//! # Test your own backend in ten lines
//!
//! Say how the log is opened on its medium and what a killed process would leave of that. One line then makes one named `#[test]` for each
//! guarantee.
//!
//! ```
//! use std::sync::Arc;
//! use kv_core::{Crash, Log, MemoryLog, MemoryLogMedium, Result};
//! use kv_testkit::log::LogHarness;
//!
//! #[derive(Default)]
//! struct Harness { medium: MemoryLogMedium } // your medium: a connection, a directory ...
//!
//! impl LogHarness for Harness {
//!     fn open(&mut self) -> Result<Arc<dyn Log>> {
//!         Ok(Arc::new(MemoryLog::open(&self.medium)?))
//!     }
//!
//!     fn kill(&mut self) {
//!         self.medium = self.medium.after(Crash::Killed);
//!     }
//! }
//!
//! kv_testkit::log_suite!(my_log, Harness::default);
//! # kv_testkit::log::cases::l1_dense_positions(&mut Harness::default());
//! ```
//!
//! Where the medium is a directory, `kill` copies it: the kernel has what was written, and so has the copy.
//!
//! ```
//! # use std::sync::Arc;
//! # use kv_core::{Log, Result};
//! # fn open_my_log(_: Arc<dyn kv_vfs::Vfs>) -> Result<Arc<dyn Log>> { unimplemented!() }
//! use kv_testkit::{log::{LogFaults, LogHarness}, vfs::{Fault, Kind, TestVfs}};
//! use kv_vfs::OsVfs;
//!
//! struct Harness { parent: tempfile::TempDir, crashes: u32, vfs: Arc<TestVfs> }
//!
//! impl Harness {
//!     fn new() -> Self {
//!         let parent = tempfile::tempdir().unwrap();
//!         let vfs = TestVfs::new(OsVfs::create(parent.path().join("0")).unwrap());
//!         Self { parent, crashes: 0, vfs }
//!     }
//! }
//!
//! impl LogHarness for Harness {
//!     fn open(&mut self) -> Result<Arc<dyn Log>> {
//!         open_my_log(self.vfs.clone())
//!     }
//!
//!     fn kill(&mut self) {
//!         self.crashes += 1;
//!         let image = self.parent.path().join(self.crashes.to_string());
//!         self.vfs.image(&image).unwrap();
//!         self.vfs = TestVfs::new(OsVfs::open(image).unwrap());
//!     }
//! }
//!
//! impl LogFaults for Harness {
//!     fn fail_next_flush(&mut self) {
//!         // Of the files that hold records, not of those that are prepared beside them.
//!         self.vfs.fail(Fault::on(Kind::Sync).of(".wal"));
//!     }
//! }
//!
//! kv_testkit::log_suite!(my_log, Harness::new);
//! kv_testkit::log_fault_suite!(my_log_faults, Harness::new);
//! # let mut harness = Harness::new();
//! # harness.fail_next_flush();
//! # harness.kill();
//! ```
//!
//! A suite can be trusted as far as it finds what is broken: this crate's own tests run its cases over logs and checkpointers with one
//! deliberate flaw each, and fail unless every flaw is found.
#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

pub mod checkpointer;
mod enrol;
pub mod fork;
pub mod linearizability;
pub mod log;
mod model;
#[cfg(loom)]
pub mod orders;
mod recoverable;
mod scheduler;
pub mod sim;
pub mod store;
mod threads;
pub mod vfs;

pub use model::{Model, Operation, Outcome};
pub use recoverable::{Recovered, recoverable};
pub use scheduler::ManualScheduler;
